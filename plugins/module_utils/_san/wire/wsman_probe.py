# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether an endpoint is a WS-Management service, asked without credentials and with nothing but requests."""

from __future__ import annotations

import traceback

from ansible_collections.crossvisor.san.plugins.module_utils._san.connection import Connection
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import MissingLibrary
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.https import connection_failure
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.limits import LARGEST_PROBE
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.wsman_endpoint import endpoint_url

try:
    import requests
    import urllib3

    from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.http_guard import guard

    REQUESTS_IMPORT_ERROR: str | None = None
except ImportError:
    REQUESTS_IMPORT_ERROR = traceback.format_exc()

_IDENTITY = "http://schemas.dmtf.org/wbem/wsman/identity/1/wsmanidentity.xsd"
_SIGNS = (_IDENTITY.encode(), b"IdentifyResponse")
_IDENTIFY = (
    f'<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:i="{_IDENTITY}">'
    "<s:Header/><s:Body><i:Identify/></s:Body></s:Envelope>"
).encode()
_HEADERS = {"Content-Type": "application/soap+xml;charset=UTF-8", "WSMANIDENTIFY": "unauthenticated"}
"""MS-WSMV 3.1.4.1.23: with this header Windows answers Identify without a login."""


def is_wsman(connection: Connection, scheme: str | None = None) -> bool:
    """Tell whether a WS-Management service answers; False for any other web server.

    Without a scheme, port 5985 speaks HTTP and every other one TLS. Raises `ConnectionFailed` or `MissingLibrary`.
    """
    if REQUESTS_IMPORT_ERROR:
        raise MissingLibrary("The Python library 'requests' is not installed where this task runs: pip install requests.")
    if connection.verify is False:
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    try:
        with guard(requests.Session(), LARGEST_PROBE) as session:
            response = session.post(
                endpoint_url(connection, scheme),
                data=_IDENTIFY,
                headers=_HEADERS,
                timeout=connection.timeout,
                verify=connection.verify,
            )
    except OSError as error:
        raise connection_failure(connection, error) from error
    return response.status_code == 200 and all(sign in response.content for sign in _SIGNS)
