# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The documentation twin of the `array` option in plugins/module_utils/_san/connection.py."""

from __future__ import annotations


class ModuleDocFragment:
    """How to reach one array, and how to reach several. ansible-test wants each text whole, so that the suboptions stand here twice."""

    DOCUMENTATION = r"""
options:
  array:
    description:
      - Where the storage array is managed, and the credentials for it.
      - What is not given here is taken from environment variables, so that AWX credentials and pipelines can provide it.
      - C(module_defaults) of the action group C(crossvisor.san.array) give it to all modules that take it.
    type: dict
    suboptions:
      type:
        description:
          - Which array it is, and by which of its interfaces it is asked.
          - V(ontap) is NetApp ONTAP 9.11.1 or later by REST.
          - V(ontap_zapi) is NetApp ONTAP 9.8 to 9.17 over ZAPI, its older interface, which needs the Python library C(netapp-lib).
            It is for releases before 9.11.1, and for accounts that may log in over ZAPI (the application C(ontapi)) alone.
            Over it there are no snapshots.
          - V(auto) is NetApp ONTAP by REST, and over ZAPI where REST is switched off or the release is older than 9.11.1.
            A login that REST refuses is not tried over ZAPI.
          - Taken from the environment variable E(CROSSVISOR_ARRAY_TYPE), else V(auto).
        type: str
        choices: [auto, ontap, ontap_zapi]
      hostname:
        description:
          - Name or address of the array's management interface.
          - Taken from E(CROSSVISOR_ARRAY_HOSTNAME).
        type: str
      port:
        description:
          - Port of the management interface, by default 443.
          - Taken from E(CROSSVISOR_ARRAY_PORT).
        type: int
      username:
        description:
          - Account to log in with.
          - Taken from E(CROSSVISOR_ARRAY_USERNAME).
        type: str
      password:
        description:
          - Password of the account.
          - Taken from E(CROSSVISOR_ARRAY_PASSWORD).
        type: str
      validate_certs:
        description:
          - Whether the array's certificate must be valid. It must be unless this says V(false).
          - Taken from E(CROSSVISOR_ARRAY_VALIDATE_CERTS).
        type: bool
      ca_path:
        description:
          - File with the certificates of the authorities to trust, in PEM format; without it, those of the system.
          - Taken from E(CROSSVISOR_ARRAY_CA_PATH).
        type: path
      timeout:
        description:
          - Seconds that one request may take.
          - Taken from E(CROSSVISOR_ARRAY_TIMEOUT), else 60.
        type: float
"""

    ARRAYS = r"""
options:
  arrays:
    description:
      - The storage arrays to ask for the LUNs and exports that the hosts use.
      - If the list is empty, the array that the environment variables name, if they do.
      - An array that does not answer costs its rows their lower half and gives a warning; the map is made all the same.
    type: list
    elements: dict
    default: []
    suboptions:
      type:
        description:
          - Which array it is, and by which of its interfaces it is asked.
          - V(ontap) is NetApp ONTAP 9.11.1 or later by REST.
          - V(ontap_zapi) is NetApp ONTAP 9.8 to 9.17 over ZAPI, its older interface, which needs the Python library C(netapp-lib).
            It is for releases before 9.11.1, and for accounts that may log in over ZAPI (the application C(ontapi)) alone.
            Over it there are no snapshots.
          - V(auto) is NetApp ONTAP by REST, and over ZAPI where REST is switched off or the release is older than 9.11.1.
            A login that REST refuses is not tried over ZAPI.
          - Taken from the environment variable E(CROSSVISOR_ARRAY_TYPE), else V(auto).
        type: str
        choices: [auto, ontap, ontap_zapi]
      hostname:
        description:
          - Name or address of the array's management interface.
          - Taken from E(CROSSVISOR_ARRAY_HOSTNAME).
        type: str
      port:
        description:
          - Port of the management interface, by default 443.
          - Taken from E(CROSSVISOR_ARRAY_PORT).
        type: int
      username:
        description:
          - Account to log in with.
          - Taken from E(CROSSVISOR_ARRAY_USERNAME).
        type: str
      password:
        description:
          - Password of the account.
          - Taken from E(CROSSVISOR_ARRAY_PASSWORD).
        type: str
      validate_certs:
        description:
          - Whether the array's certificate must be valid. It must be unless this says V(false).
          - Taken from E(CROSSVISOR_ARRAY_VALIDATE_CERTS).
        type: bool
      ca_path:
        description:
          - File with the certificates of the authorities to trust, in PEM format; without it, those of the system.
          - Taken from E(CROSSVISOR_ARRAY_CA_PATH).
        type: path
      timeout:
        description:
          - Seconds that one request may take.
          - Taken from E(CROSSVISOR_ARRAY_TIMEOUT), else 60.
        type: float
"""
