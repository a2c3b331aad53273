# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A session with XAPI, the management API of XenServer and XCP-ng, on the library XenAPI.

Protocol facts are of xen-api (doc/data/xenapi.json, ocaml/idl): XML-RPC at `/`, integers as text, references as opaque text, `Status` and
`Value` or `ErrorDescription` in every answer. Only the pool's master answers a login; any other host names it (`HOST_IS_SLAVE`).
"""

from __future__ import annotations

import contextlib
import traceback
import xmlrpc.client
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ansible_collections.crossvisor.san.plugins.module_utils._san.connection import Connection
from ansible_collections.crossvisor.san.plugins.module_utils._san.ending import uncut
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import (
    AuthenticationFailed,
    ConnectionFailed,
    CrossvisorError,
    MissingLibrary,
    MissingRight,
    NotFound,
    OutcomeUnknown,
    RemoteError,
    in_one_sentence,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire import xapi_xml
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.https import HttpsSession

try:
    import XenAPI

    XENAPI_IMPORT_ERROR: str | None = None
except ImportError:
    XENAPI_IMPORT_ERROR = traceback.format_exc()

NULL = "OpaqueRef:NULL"
Record = Mapping[str, Any]
Records = Mapping[str, Record]
"""Opaque reference → record."""

_API_VERSION = "1.0"
_ORIGINATOR = "crossvisor.san"
_SLAVE = "HOST_IS_SLAVE"
_WRONG_LOGIN = frozenset({"SESSION_AUTHENTICATION_FAILED", "USER_IS_NOT_LOCAL_SUPERUSER", "AUTH_UNKNOWN_ERROR"})
_NO_RIGHT = frozenset({"RBAC_PERMISSION_DENIED", "PERMISSION_DENIED"})
_GONE = frozenset({"HANDLE_INVALID", "UUID_INVALID", "OBJECT_NOLONGER_EXISTS"})
_LONGEST_WORD = 300
_PATH = "/"


class XapiFailure(RemoteError):
    """XAPI said no; `details` are the parameters of its error, after the code."""

    def __init__(self, message: str, code: str, details: Sequence[str] = ()) -> None:
        super().__init__(message, code)
        self.details = tuple(details)


class XapiSession:
    """A login at the master of a pool. Every call raises only `CrossvisorError`s."""

    def __init__(self, connection: Connection) -> None:
        """Log in, at the master if the endpoint is another host of its pool.

        Raises `MissingLibrary`, `InvalidInput`, `ConnectionFailed` or `AuthenticationFailed`.
        """
        if XENAPI_IMPORT_ERROR:
            raise MissingLibrary("The Python library 'XenAPI' is not installed where this task runs: pip install XenAPI.")
        self.connection = connection
        self._username, self._password = connection.required("username"), connection.required("password")
        self._transport = _Transport(connection)
        self._raw = self._session()
        with uncut():
            try:
                self._log_in(connection)
            except BaseException:
                self._transport.close()
                raise

    @property
    def address(self) -> str:
        """The endpoint as the user named it."""
        return str(self.connection)

    def records(self, kind: str) -> Records:
        """Every object of a class in one call."""
        return dict(self.read(f"{kind}.get_all_records"))

    def read(self, method: str, *arguments: Any, timeout: float | None = None) -> Any:
        """Ask for something. Raises `ConnectionFailed` when the answer was lost; `XapiFailure`, `NotFound` or `MissingRight`."""
        try:
            return self._call(method, arguments, timeout)
        except OutcomeUnknown as lost:
            raise ConnectionFailed(f"{str(lost).rstrip('.')}; nothing was changed by that question.") from lost
        except XapiFailure as failure:
            told = f"The hypervisor {self.connection} refuses {method} ({failure}): see the pool's log, then run this task again."
            raise XapiFailure(told, failure.code, failure.details) from failure

    def change(self, method: str, *arguments: Any, timeout: float) -> Any:
        """Change something within `timeout` seconds. Raises as `read`, and `OutcomeUnknown` when the answer was lost."""
        return self._call(method, arguments, max(timeout, self.connection.timeout))

    def close(self) -> None:
        """Log out. Raises nothing."""
        with uncut(), contextlib.suppress(CrossvisorError, XenAPI.Failure, xmlrpc.client.Error, OSError):
            self._transport.timeout = None
            if self._raw.handle:
                self._raw.xenapi.session.logout()
        self._transport.close()

    def _session(self) -> Any:
        return XenAPI.Session(f"https://{self.connection.hostname}{_PATH}", transport=self._transport)

    def _log_in(self, connection: Connection) -> None:
        try:
            self._send_login()
        except XapiFailure as refused:
            if refused.code != _SLAVE or not refused.details:
                raise self._refusal(refused) from refused
            self._go_to_master(connection, refused.details[0])

    def _go_to_master(self, connection: Connection, master: str) -> None:
        """Log in at the host that another one of the pool has named as its master."""
        self._transport.close()
        try:
            self._transport = _Transport(replace(connection, hostname=master))
            self._raw = self._session()
            self._send_login()
        except XapiFailure as refused:
            raise self._refusal(refused) from refused
        except AuthenticationFailed:
            raise
        except CrossvisorError as error:
            raise ConnectionFailed(
                f"The hypervisor {connection} is not the master of its pool and names {master} as it, which cannot be used "
                f"({str(error).rstrip('.')}): give the master's name as hypervisor.hostname."
            ) from error

    def _send_login(self) -> None:
        self._guarded("session.login_with_password", self._raw.xenapi.login_with_password, self._credentials)

    @property
    def _credentials(self) -> tuple[str, ...]:
        return (self._username, self._password, _API_VERSION, _ORIGINATOR)

    def _refusal(self, refused: XapiFailure) -> CrossvisorError:
        if refused.code in _WRONG_LOGIN:
            return AuthenticationFailed(
                f"The hypervisor {self.connection} does not accept the login of {self._username}: "
                "check hypervisor.username and hypervisor.password."
            )
        return ConnectionFailed(f"The hypervisor {self.connection} refuses the login: {refused}.")

    def _call(self, method: str, arguments: Sequence[Any], timeout: float | None) -> Any:
        self._transport.timeout = timeout
        send = self._raw.xenapi
        for part in method.split("."):
            send = getattr(send, part)
        try:
            return self._guarded(method, send, arguments)
        except XapiFailure as failure:
            if failure.code in _NO_RIGHT:
                raise MissingRight(
                    f"The account {self._username} may not call {method} at {self.connection}: give it the role pool-operator."
                ) from failure
            if failure.code == _SLAVE:
                raise ConnectionFailed(
                    f"The pool of the hypervisor {self.connection} has another master by now ({failure}), and nothing was done upon "
                    f"{method}: run this task again."
                ) from failure
            if failure.code in _GONE:
                raise NotFound(f"What {method} was asked about is no longer in the pool ({failure}): run this task again.") from failure
            raise

    def _guarded(self, method: str, send: Any, arguments: Sequence[Any]) -> Any:
        """Call, and tell every foreseeable failure as one of ours."""
        try:
            return send(*arguments)
        except XenAPI.Failure as failure:
            details = [str(detail) for detail in failure.details] or ["INTERNAL_ERROR"]
            raise XapiFailure(self._told(details), details[0], details[1:]) from failure
        except (xmlrpc.client.Error, TypeError, ValueError) as error:
            raise ConnectionFailed(
                f"The hypervisor {self.connection} does not answer {method} as XAPI should ({type(error).__name__}): "
                "check hypervisor.hostname and hypervisor.port."
            ) from error

    def _told(self, details: Sequence[str]) -> str:
        """An error of XAPI's in its own words, without XML, references and the password."""
        shown = [word for word in details[1:] if word and "<" not in word and not word.startswith("OpaqueRef:")]
        words = in_one_sentence(", ".join(shown))[:_LONGEST_WORD]
        whole = f"{details[0]} ({words})" if words else details[0]
        return whole.replace(self._password, "…") if self._password else whole


def is_xapi(connection: Connection) -> bool:
    """Tell whether XAPI answers at an endpoint; no credential is sent. Raises `ConnectionFailed` or `MissingLibrary`.

    A question without a session is answered by every host of a pool, with the error that there is none or that it is not the master.
    """
    question = xmlrpc.client.dumps((NULL,), "host.get_all")
    https = HttpsSession(connection)
    try:
        response = https.request("POST", _PATH, data=question.encode(), headers=_HEADERS)
        told = xapi_xml.answer(response.content) if response.status_code == 200 else None
    except OutcomeUnknown as lost:
        raise ConnectionFailed(f"{str(lost).rstrip('.')}; nothing was changed by that question.") from lost
    except (xmlrpc.client.Error, ValueError):
        return False
    finally:
        https.close()
    return isinstance(told, dict) and told.get("Status") in ("Success", "Failure") and bool({"Value", "ErrorDescription"} & told.keys())


_HEADERS = {"Content-Type": "text/xml"}


class _Transport(xmlrpc.client.Transport):
    """XML-RPC over a session that keeps to the rules of `http_guard`."""

    def __init__(self, connection: Connection) -> None:
        super().__init__()
        self._connection_of_ours = connection
        self._https = HttpsSession(connection)
        self.timeout: float | None = None
        """Seconds for the next call; None for those of the connection."""

    def request(self, host: Any, handler: str, request_body: Any, verbose: bool = False) -> Any:
        patience = {} if self.timeout is None else {"timeout": self.timeout}
        response = self._https.request("POST", handler, data=request_body, headers=_HEADERS, **patience)
        if response.status_code != 200:
            raise ConnectionFailed(
                f"The hypervisor {self._connection_of_ours} answers HTTP {response.status_code} where XAPI should be: "
                "check hypervisor.hostname and hypervisor.port."
            )
        return (xapi_xml.answer(response.content),)

    def close(self) -> None:
        self._https.close()
