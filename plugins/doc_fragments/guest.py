# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The documentation twin of the `guest` option in plugins/module_utils/_san/connection.py."""

from __future__ import annotations


class ModuleDocFragment:
    """How to reach a Windows guest."""

    DOCUMENTATION = r"""
options:
  guest:
    description:
      - Where the Windows guest is reached by Windows Remote Management, and the credentials for it.
      - What is not given here is taken from environment variables, so that AWX credentials and pipelines can provide it.
      - C(module_defaults) of the action group C(crossvisor.san.guest) give it to all modules that take it.
    type: dict
    suboptions:
      hostname:
        description:
          - Name or address of the guest.
          - Taken from E(CROSSVISOR_GUEST_HOSTNAME).
        type: str
      port:
        description:
          - Port of its Windows Remote Management service; without it, 5986.
          - Taken from E(CROSSVISOR_GUEST_PORT).
        type: int
      username:
        description:
          - Account to log in with.
          - Taken from E(CROSSVISOR_GUEST_USERNAME).
        type: str
      password:
        description:
          - Password of the account.
          - Taken from E(CROSSVISOR_GUEST_PASSWORD).
        type: str
      validate_certs:
        description:
          - Whether the guest's certificate must be valid. It must be unless this says V(false).
          - Taken from E(CROSSVISOR_GUEST_VALIDATE_CERTS).
        type: bool
      ca_path:
        description:
          - File with the certificates of the authorities to trust, in PEM format; without it, those of the system.
          - Taken from E(CROSSVISOR_GUEST_CA_PATH).
        type: path
      timeout:
        description:
          - Seconds that one request may take.
          - Taken from E(CROSSVISOR_GUEST_TIMEOUT), else 60.
        type: float
      transport:
        description:
          - How to log in to Windows, V(ntlm), V(kerberos), V(credssp), V(basic) or V(certificate).
          - Messages are encrypted by TLS, or over HTTP with the key of an V(ntlm), V(kerberos) or V(credssp) login; the others need TLS.
          - Without it, V(certificate) if O(guest.client_cert) is given, else V(ntlm).
          - V(kerberos) and V(credssp) need the extras of that name of pywinrm.
          - Taken from E(CROSSVISOR_GUEST_TRANSPORT).
        type: str
      scheme:
        description:
          - What the Windows Remote Management service speaks, V(https) or V(http).
          - Without it, V(http) on port 5985 and V(https) on any other.
          - Taken from E(CROSSVISOR_GUEST_SCHEME).
        type: str
      client_cert:
        description:
          - File with a client certificate that Windows maps to an account, in PEM format.
          - Taken from E(CROSSVISOR_GUEST_CLIENT_CERT).
        type: path
      client_key:
        description:
          - File with the key of the client certificate, in PEM format.
          - Taken from E(CROSSVISOR_GUEST_CLIENT_KEY).
        type: path
"""
