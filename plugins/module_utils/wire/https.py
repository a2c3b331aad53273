# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One HTTPS session to one endpoint, with every failure of the transport told in one sentence.

Knows nothing of what is spoken over it. A lost answer to a request that may have changed something is
`OutcomeUnknown`, never an error that sounds as if nothing had happened.
"""

from __future__ import annotations

import re
import traceback
from typing import Any

from ansible_collections.crossvisor.san.plugins.module_utils.connection import Connection
from ansible_collections.crossvisor.san.plugins.module_utils.errors import ConnectionFailed, MissingLibrary, OutcomeUnknown

try:
    import requests
    import urllib3

    REQUESTS_IMPORT_ERROR: str | None = None
except ImportError:
    REQUESTS_IMPORT_ERROR = traceback.format_exc()

_SAFE_METHODS = frozenset({"GET", "HEAD"})


class HttpsSession:
    """A keep-alive session; certificates are verified as the connection says, whatever the environment holds."""

    def __init__(self, connection: Connection, headers: dict[str, str] | None = None, authenticate: bool = False) -> None:
        if REQUESTS_IMPORT_ERROR:
            raise MissingLibrary("The Python library 'requests' is not installed where this task runs: pip install requests.")
        self._connection = connection
        self._session = requests.Session()
        self._session.headers.update(headers or {})
        if authenticate:
            self._session.auth = (connection.required("username"), connection.required("password"))

    def request(self, method: str, path: str, **arguments: Any) -> requests.Response:
        """Send one request and return the response, whatever its status.

        A read that lost its connection is sent once more. Raises `ConnectionFailed` or `OutcomeUnknown`.
        """
        try:
            return self._send(method, path, arguments)
        except OSError as error:
            if _never_sent(error):
                raise connection_failure(self._connection, error) from error
            if method not in _SAFE_METHODS:
                raise OutcomeUnknown(
                    f"The connection to {self._connection} was lost before the answer to {method} {path} came; "
                    "look there whether it was done, then run this task again."
                ) from error
        try:
            return self._send(method, path, arguments)
        except OSError as error:
            raise connection_failure(self._connection, error) from error

    def close(self) -> None:
        """Close the connection."""
        self._session.close()

    def _send(self, method: str, path: str, arguments: dict[str, Any]) -> requests.Response:
        connection = self._connection
        url = f"https://{_bracketed(str(connection.hostname))}:{connection.port}{path}"
        arguments = {"timeout": connection.timeout, **arguments}
        return self._session.request(method, url, verify=connection.verify, **arguments)


def connection_failure(connection: Connection, error: Exception) -> ConnectionFailed:
    """The one sentence for a connection that could not be made."""
    if isinstance(error, requests.exceptions.SSLError):
        return ConnectionFailed(
            f"The certificate of {connection} is not trusted ({_cause(error)}): "
            f"name its authority in {connection.role}.ca_path, or set {connection.role}.validate_certs to false for a lab."
        )
    if isinstance(error, requests.exceptions.Timeout):
        return ConnectionFailed(
            f"The {connection.role} {connection} did not answer within {connection.timeout:g} s: "
            f"check the address and firewalls, or raise {connection.role}.timeout."
        )
    if isinstance(error, OSError) and not isinstance(error, requests.exceptions.RequestException) and connection.ca_path:
        return ConnectionFailed(f"The file {connection.ca_path} of {connection.role}.ca_path cannot be read as certificates: {error}.")
    return ConnectionFailed(
        f"The {connection.role} {connection} cannot be reached ({_cause(error)}): "
        f"check {connection.role}.hostname and {connection.role}.port."
    )


def _never_sent(error: OSError) -> bool:
    """Tell whether the connection was not even made, so that nothing can have happened at the other end."""
    if isinstance(error, (requests.exceptions.SSLError, requests.exceptions.ConnectTimeout)):
        return True
    if not isinstance(error, requests.exceptions.RequestException):
        return True
    reason = getattr(error.args[0], "reason", None) if error.args else None
    return isinstance(reason, urllib3.exceptions.NewConnectionError)


def _cause(error: BaseException) -> str:
    """The innermost reason, without the library's wrapping and object addresses."""
    innermost: BaseException = error
    while innermost.args and isinstance(innermost.args[0], BaseException):
        innermost = innermost.args[0]
    reason = getattr(innermost.args[0] if innermost.args else innermost, "reason", None) or getattr(innermost, "reason", None)
    return re.sub(r"^HTTPS?Connection\w*\(.*?\): ", "", str(reason or innermost))


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
