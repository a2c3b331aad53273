# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One HTTPS session to one endpoint, with every failure of the transport told in one sentence.

Knows nothing of what is spoken over it; `http_guard.py` says what is taken for an answer. A lost answer to a request that may have changed
something is `OutcomeUnknown`, never an error that sounds as if nothing had happened.
"""

from __future__ import annotations

import re
import socket
import ssl
import traceback
from typing import Any

from ansible_collections.crossvisor.san.plugins.module_utils._san.connection import Connection
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import ConnectionFailed, MissingLibrary, OutcomeUnknown
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.limits import LARGEST_ANSWER, Excess

try:
    import requests
    import urllib3

    from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.http_guard import Redirection, guard

    REQUESTS_IMPORT_ERROR: str | None = None
except ImportError:
    REQUESTS_IMPORT_ERROR = traceback.format_exc()

_SAFE_METHODS = frozenset({"GET", "HEAD"})
_FILE_LIBRARIES = frozenset({"X509", "PEM"})
"""Parts of OpenSSL that read files of certificates."""


class HttpsSession:
    """A keep-alive session; certificates are verified as the connection says, whatever the environment holds."""

    def __init__(
        self,
        connection: Connection,
        headers: dict[str, str] | None = None,
        authenticate: bool = False,
        largest: int = LARGEST_ANSWER,
    ) -> None:
        """Nothing is sent. `largest` is in bytes, for an answer that is read whole. Raises `MissingLibrary` or `InvalidInput`."""
        if REQUESTS_IMPORT_ERROR:
            raise MissingLibrary("The Python library 'requests' is not installed where this task runs: pip install requests.")
        self._connection = connection
        self._base = f"https://{_bracketed(str(connection.hostname))}:{connection.port}"
        self._session = guard(requests.Session(), largest)
        self._session.proxies.update(requests.utils.get_environ_proxies(self._base))
        self._session.headers.update(headers or {})
        if authenticate:
            self._session.auth = (connection.required("username"), connection.required("password"))
        if connection.verify is False:
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)

    def request(self, method: str, path: str, **arguments: Any) -> requests.Response:
        """Send one request and return the response, whatever its status.

        A read that lost its connection is sent once more. Raises `ConnectionFailed` or `OutcomeUnknown`.
        """
        return self._carry(method, path, arguments, method in _SAFE_METHODS, f"{method} {path.partition('?')[0]}")

    def post(self, path: str, asked: str, reads: bool, **arguments: Any) -> requests.Response:
        """The same for what is always posted: whether it reads, and what it asks for, in messages, is said beside it."""
        return self._carry("POST", path, arguments, reads, asked)

    def _carry(self, method: str, path: str, arguments: dict[str, Any], safe: bool, asked: str) -> requests.Response:
        try:
            return self._send(method, path, arguments)
        except OSError as error:
            if nothing_done(error) or (safe and not worth_repeating(error)):
                raise connection_failure(self._connection, error) from error
            if not safe:
                raise OutcomeUnknown(
                    f"{_broken_off(self._connection, error, asked)}; look there whether it was done, then run this task again."
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
        arguments = {"timeout": connection.timeout, **arguments}
        try:
            return self._session.request(method, f"{self._base}{path}", verify=connection.verify, **arguments)
        except urllib3.exceptions.LocationValueError as error:  # which requests lets pass
            raise requests.exceptions.InvalidURL(str(error)) from error


def connection_failure(connection: Connection, error: Exception) -> ConnectionFailed:
    """The one sentence for a connection that could not be made."""
    role = connection.role
    root = _root(error)
    if isinstance(root, ssl.SSLCertVerificationError):
        return ConnectionFailed(
            f"The certificate of {connection} is not trusted ({_cause(error)}): "
            f"name its authority in {role}.ca_path, give as {role}.hostname the name that it was issued for, "
            f"or set {role}.validate_certs to false for a lab."
        )
    if connection.ca_path and (_is_missing_file(error) or getattr(root, "library", None) in _FILE_LIBRARIES):
        return ConnectionFailed(f"The file {connection.ca_path} of {role}.ca_path cannot be read as certificates: {_cause(error)}.")
    if isinstance(error, requests.exceptions.SSLError):
        return ConnectionFailed(
            f"The {role} {connection} does not speak TLS as it should ({_cause(error)}): check {role}.hostname and {role}.port."
        )
    if isinstance(root, Excess):
        return ConnectionFailed(f"The {role} {connection} {root.told(role)}.")
    if _timed_out(error):
        return ConnectionFailed(
            f"The {role} {connection} did not answer within {connection.timeout:g} s: "
            f"check the address and firewalls, or raise {role}.timeout."
        )
    return ConnectionFailed(f"The {role} {connection} cannot be reached ({_cause(error)}): check {role}.hostname and {role}.port.")


def no_answer(connection: Connection, error: OSError, request: str) -> str:
    """That the answer to a request was not heard, as the beginning of a sentence that says what that means."""
    root = _root(error)
    if isinstance(root, Excess):
        return f"The {connection.role} {connection} {root}, instead of answering {request}"
    return f"No answer to {request} came from {connection} before the connection was lost or the time over"


def _broken_off(connection: Connection, error: OSError, request: str) -> str:
    if isinstance(_root(error), Excess):
        return no_answer(connection, error, request)
    if _timed_out(error):
        return f"The time for one request to {connection} was over before the answer to {request} came"
    return f"The connection to {connection} was lost before the answer to {request} came"


def nothing_done(error: OSError) -> bool:
    """Tell whether nothing can have happened at the other end: the connection was not even made, or the request was sent away."""
    root = _root(error)
    return (
        _is_missing_file(error)
        or isinstance(error, (requests.exceptions.ConnectTimeout, requests.exceptions.InvalidURL))
        or isinstance(root, (ssl.SSLCertVerificationError, urllib3.exceptions.NewConnectionError))
        or (isinstance(root, Redirection) and root.nothing_done)
    )


def worth_repeating(error: OSError) -> bool:
    """Tell whether a read that failed may well succeed when it is sent again: not where it was waited for, or answered with an excess."""
    return not (_timed_out(error) or isinstance(_root(error), Excess))


def _timed_out(error: BaseException) -> bool:
    return isinstance(error, requests.exceptions.Timeout) or isinstance(_root(error), (urllib3.exceptions.ReadTimeoutError, socket.timeout))


def _is_missing_file(error: Exception) -> bool:
    """Tell whether the library refused the file of certificates before it connected: an `OSError` of its own, not the system's."""
    return error.__class__ is OSError and error.errno is None


def _root(error: BaseException) -> BaseException:
    """The innermost exception of the library's wrapping."""
    inner = next((part for part in (getattr(error, "reason", None), *error.args) if isinstance(part, BaseException)), None)
    return _root(inner) if inner else error


def _cause(error: BaseException) -> str:
    """The innermost reason, without the library's wrapping and object addresses."""
    root = _root(error)
    if isinstance(root, ssl.SSLError):
        reason = getattr(root, "verify_message", None) or str(root.reason or root).replace("_", " ").lower()
        return str(reason).rstrip(".")
    return re.sub(r"^HTTPS?Connection\w*\(.*?\): ", "", str(root)).strip().rstrip(".")


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
