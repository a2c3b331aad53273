# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where a host's WS-Management service listens: Windows' ports and path."""

from __future__ import annotations

from ansible_collections.crossvisor.san.plugins.module_utils._san.connection import Connection

HTTP_PORT = 5985
HTTPS_PORT = 5986
_PATH = "/wsman"


def endpoint_url(connection: Connection, scheme: str | None = None) -> str:
    """The URL of the service. Without a scheme, port 5985 speaks HTTP and every other one TLS. Raises `InvalidInput` without a hostname."""
    port = connection.port or HTTPS_PORT
    host = connection.required("hostname")
    host = f"[{host}]" if ":" in host else host
    return f"{scheme or ('http' if port == HTTP_PORT else 'https')}://{host}:{port}{_PATH}"
