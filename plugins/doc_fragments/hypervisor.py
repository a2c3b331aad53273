# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The documentation twin of the `hypervisor` option in plugins/module_utils/connection.py."""

from __future__ import annotations


class ModuleDocFragment:
    """How to reach a hypervisor."""

    DOCUMENTATION = r"""
options:
  hypervisor:
    description:
      - Where the hypervisor is managed, and the credentials for it.
      - What is not given here is taken from environment variables, so that AWX credentials and pipelines can provide it.
    type: dict
    suboptions:
      type:
        description:
          - Which hypervisor it is.
          - V(auto) asks the endpoint who it is, before any credential is sent to it.
          - Taken from the environment variable E(CROSSVISOR_HYPERVISOR_TYPE), else V(auto).
        type: str
        choices: [auto, vmware]
      hostname:
        description:
          - Name or address of the endpoint, for instance of the vCenter Server.
          - Taken from E(CROSSVISOR_HYPERVISOR_HOSTNAME), or from E(VMWARE_HOST).
        type: str
      port:
        description:
          - Port of the endpoint; without it, the platform's usual one.
          - Taken from E(CROSSVISOR_HYPERVISOR_PORT), or from E(VMWARE_PORT) for VMware.
        type: int
      username:
        description:
          - Account to log in with.
          - Taken from E(CROSSVISOR_HYPERVISOR_USERNAME), or from E(VMWARE_USER) for VMware.
        type: str
      password:
        description:
          - Password of the account.
          - Taken from E(CROSSVISOR_HYPERVISOR_PASSWORD), or from E(VMWARE_PASSWORD) for VMware.
        type: str
      validate_certs:
        description:
          - Whether the endpoint's certificate must be valid. It must be unless this says V(false).
          - Taken from E(CROSSVISOR_HYPERVISOR_VALIDATE_CERTS), or from E(VMWARE_VALIDATE_CERTS) for VMware.
        type: bool
      ca_path:
        description:
          - File with the certificates of the authorities to trust, in PEM format; without it, those of the system.
          - Taken from E(CROSSVISOR_HYPERVISOR_CA_PATH).
        type: path
      timeout:
        description:
          - Seconds that one request may take.
          - Taken from E(CROSSVISOR_HYPERVISOR_TIMEOUT), else 60.
        type: float
"""
