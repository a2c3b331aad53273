# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From the connection that a user described to a client of a Windows machine's WMI."""

from __future__ import annotations

from ansible_collections.crossvisor.san.plugins.module_utils._san.connection import Connection
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import InvalidInput
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.cim import CimClient
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.wsman import WsmanSession
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.wsman_transport import CERTIFICATE, NTLM, ClientCertificate


def open_client(connection: Connection) -> CimClient:
    """Prepare a login, which happens with the first request: by certificate when one is given, else by NTLM unless the user chose.

    Raises `MissingLibrary` or `InvalidInput`.
    """
    certificate = _certificate(connection)
    transport = connection.transport or (CERTIFICATE if certificate else NTLM)
    return CimClient(WsmanSession(connection, transport, scheme=connection.scheme, client_certificate=certificate))


def _certificate(connection: Connection) -> ClientCertificate | None:
    given = (connection.client_cert, connection.client_key)
    if not any(given):
        return None
    if not all(given):
        raise InvalidInput(f"A login by certificate needs both {connection.role}.client_cert and {connection.role}.client_key.")
    return ClientCertificate(str(connection.client_cert), str(connection.client_key))
