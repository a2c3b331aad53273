# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""pyvmomi over our own HTTPS session: one place for certificates, time limits and the meaning of a lost answer.

pyvmomi serialises the calls and owns their escaping; faults come out as `CrossvisorError`s, so that no caller can forget to translate one.
Several threads may call at once: every call takes a connection of its own out of the session's pool.
"""

from __future__ import annotations

import contextlib
import re
import traceback
from collections.abc import Sequence
from typing import Any

from ansible_collections.crossvisor.san.plugins.module_utils._san.connection import Connection
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import (
    AuthenticationFailed,
    ConnectionFailed,
    CrossvisorError,
    NotFound,
    OutcomeUnknown,
    RemoteError,
    in_one_sentence,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.https import (
    HttpsSession,
    connection_failure,
    no_answer,
    worth_repeating,
)

try:
    import requests
    from pyVmomi import vim, vmodl
    from pyVmomi.SoapAdapter import SoapResponseDeserializer, SoapStubAdapterBase
    from pyVmomi.VmomiSupport import GetServiceVersions, GetVersionNamespace

    PYVMOMI_IMPORT_ERROR: str | None = None
except ImportError:
    PYVMOMI_IMPORT_ERROR = traceback.format_exc()
    SoapStubAdapterBase = object

_PATH = "/sdk"
_OLDEST_VERSION = "vim.version.version11"
"""vSphere 6.5: what is spoken until the endpoint has told its version."""

_CONTINUATION = "ContinueRetrievePropertiesEx"
_READS = frozenset(
    {
        "RetrieveServiceContent",
        "Login",
        "Logout",
        "Fetch",
        "RetrievePropertiesEx",
        _CONTINUATION,
        "CreateContainerView",
        "DestroyView",
        "QueryConnectionInfo",
        "FindByUuid",
        "FindAllByUuid",
    }
)
"""Calls that change nothing but the session: losing their answer loses nothing."""
_REPEATABLE = _READS - {_CONTINUATION}
_LOOK = "so that it may have been carried out: look there, then run this task again."
_PATIENCE = {"RescanAllHba": 600.0}
"""Seconds that a call may take, where that is more than for others: it answers only when it is done."""
_LOGOUT_SECONDS = 10.0
"""Seconds that a logout may take: whoever ends this run does not wait for long before it is killed."""
_DOCTYPE = b"<!DOCTYPE"
_END = re.compile(rb"Envelope\s*>\s*$")
_END_LENGTH = 100
_LONGEST_REASON = 200


class VimStub(SoapStubAdapterBase):  # type: ignore[misc]
    """What pyvmomi's managed objects call through."""

    def __init__(self, connection: Connection, https: HttpsSession) -> None:
        super().__init__(version=_OLDEST_VERSION)
        self.requestContext = None
        self._connection = connection
        self._https = https

    def speak(self, api_version: str) -> None:
        """Speak the newest version of the API that pyvmomi and the endpoint both know."""
        self.ComputeVersionInfo(_newest_common(api_version))

    def InvokeMethod(self, mo: Any, info: Any, args: Sequence[Any]) -> Any:  # noqa: N802 (pyvmomi's name)
        """Call a method and return its result. Raises a `CrossvisorError`, with pyvmomi's fault as its cause."""
        return self._result(info, self.post(mo, info, args).content)

    def post(self, mo: Any, info: Any, args: Sequence[Any], stream: bool = False) -> requests.Response:
        """Call a method and return the reply that carries its result, with `stream` before it is read. Raises a `CrossvisorError`.

        A call that changes something and loses its answer is `OutcomeUnknown`; a read is sent once more.
        """
        try:
            envelope = self.SerializeRequest(mo, info, args)
        except vmodl.MethodFault as fault:  # a method that this version of the API does not have
            raise self._error(info, fault) from fault
        response = self._send(info.wsdlName, envelope, stream)
        if response.status_code == 200:
            return response
        with response:
            raise self._refusal(info, response)

    def unreadable(self, info: Any, error: Exception) -> CrossvisorError:
        """The error for an answer that breaks off, or that is not XML."""
        if isinstance(error, SyntaxError):
            return self._garbled(info, str(error))
        return connection_failure(self._connection, error)

    def _refusal(self, info: Any, response: requests.Response) -> CrossvisorError:
        """What an answer other than 200 means: SOAP carries its faults in a 500, anything else is of a proxy or of another product."""
        try:
            if response.status_code == 500:
                self._result(info, response.content)
        except CrossvisorError as error:
            return error
        except OSError as error:
            return self.unreadable(info, error)
        status = f"HTTP {response.status_code} {response.reason}"
        if response.status_code < 500:
            return self._not_soap(info, status)
        if info.wsdlName not in _READS:
            return OutcomeUnknown(f"{self._connection} answered {info.wsdlName} with {status}, {_LOOK}")
        return RemoteError(f"{self._connection} answered {info.wsdlName} with {status}.", str(response.status_code))

    def _garbled(self, info: Any, reason: str) -> CrossvisorError:
        """The error for an answer that says nothing, whatever its status."""
        if info.wsdlName in _READS:
            return self._not_soap(info, reason)
        return OutcomeUnknown(f"What {self._connection} answered to {info.wsdlName} cannot be read ({reason}), {_LOOK}")

    def _not_soap(self, info: Any, reason: str) -> ConnectionFailed:
        role = self._connection.role
        return ConnectionFailed(
            f"What {self._connection} answered to {info.wsdlName} is not SOAP ({reason}): "
            f"check that {role}.hostname and {role}.port are those of a vCenter Server or ESXi host."
        )

    def _send(self, method: str, envelope: bytes, stream: bool) -> requests.Response:
        try:
            return self._request(method, envelope, stream)
        except OutcomeUnknown as lost:
            if method not in _REPEATABLE or not worth_repeating(_cause(lost)):
                raise self._lost(method, lost) from lost
        try:
            return self._request(method, envelope, stream)
        except OutcomeUnknown as lost:
            raise self._lost(method, lost) from lost

    def _request(self, method: str, envelope: bytes, stream: bool) -> requests.Response:
        headers = {"SOAPAction": self.versionId, "Content-Type": "text/xml; charset=UTF-8"}
        return self._https.request("POST", _PATH, data=envelope, headers=headers, stream=stream, timeout=self._patience(method))

    def _patience(self, method: str) -> float:
        """Seconds that the answer to a call may take."""
        usual = self._connection.timeout
        return min(usual, _LOGOUT_SECONDS) if method == "Logout" else max(usual, _PATIENCE.get(method, 0))

    def _lost(self, method: str, lost: OutcomeUnknown) -> CrossvisorError:
        if method in _READS:
            return connection_failure(self._connection, _cause(lost))
        return OutcomeUnknown(f"{no_answer(self._connection, _cause(lost), method)}, {_LOOK}")

    def _result(self, info: Any, reply: bytes) -> Any:
        if _DOCTYPE in reply:
            raise self._garbled(info, "a document type declaration")
        try:
            result = SoapResponseDeserializer(self).Deserialize(reply, info.result)
        except Exception as error:  # pyvmomi has no class for an answer that is not of its types
            raise self._garbled(info, in_one_sentence(str(error) or type(error).__name__)[:_LONGEST_REASON]) from error
        if not _END.search(reply[-_END_LENGTH:]):  # which pyvmomi does not look for, so that of a list the rest might be missing
            raise self._garbled(info, "it breaks off")
        if isinstance(result, vmodl.MethodFault):
            raise self._error(info, result) from result
        if result is None and f"{info.wsdlName}Response".encode() not in reply:  # pyvmomi takes any text for an answer without a result
            raise self._garbled(info, "neither a result nor a fault")
        return result

    def _error(self, info: Any, fault: Any) -> CrossvisorError:
        connection = self._connection
        if isinstance(fault, vim.fault.InvalidLogin):
            return AuthenticationFailed(
                f"The {connection.role} {connection} refuses the user {connection.username} or the password: "
                f"check {connection.role}.username and {connection.role}.password."
            )
        if isinstance(fault, vim.fault.NotAuthenticated):
            return AuthenticationFailed(f"The session at {connection} has ended: run this task again.")
        if isinstance(fault, vim.fault.NoPermission):
            return AuthenticationFailed(
                f"The user {connection.username} lacks the privilege {fault.privilegeId} on {described(fault.object)} at {connection}: "
                f"{info.wsdlName} was refused; have the privilege granted."
            )
        if isinstance(fault, vmodl.fault.ManagedObjectNotFound):
            return NotFound(f"The object {reference(fault.obj)} no longer exists at {connection}.")
        return RemoteError(f"{connection} refused {info.wsdlName} ({fault_code(fault)}): {fault_message(fault)}", fault_code(fault))


def _cause(lost: OutcomeUnknown) -> OSError:
    """What went wrong on the connection."""
    return lost.__cause__ if isinstance(lost.__cause__, OSError) else OSError(str(lost))


def fault_code(fault: Any) -> str:
    """The name of a fault's type as the API spells it, such as `InvalidDeviceSpec`."""
    return str(getattr(type(fault), "_wsdlName", type(fault).__name__))


def fault_message(fault: Any) -> str:
    """What the endpoint says of a fault, in its own words, its details included."""
    details = [message.message for message in fault.faultMessage or () if message.message]
    return "; ".join(dict.fromkeys([fault.msg or fault_code(fault), *details]))


def reference(managed: Any) -> str:
    """A managed object by type and id, such as `VirtualMachine vm-42`."""
    return f"{fault_code(managed)} {managed._GetMoId()}" if managed is not None else "(unknown)"


def described(managed: Any) -> str:
    """A managed object by type, id and, where it can be read, its name."""
    with contextlib.suppress(CrossvisorError, AttributeError):
        return f"{reference(managed)} ({managed.name})"
    return reference(managed)


def _newest_common(api_version: str) -> str:
    """The newest version that pyvmomi knows and that is no newer than the endpoint's `AboutInfo.apiVersion`."""
    limit = _numbers(api_version)
    known = [(_numbers(GetVersionNamespace(version).rpartition("/")[2]), version) for version in GetServiceVersions("vim25")]
    common = [(numbers, version) for numbers, version in known if numbers and numbers <= limit]
    return str(max(common)[1]) if common else _OLDEST_VERSION


def _numbers(version: str) -> tuple[int, ...]:
    """`8.0.2.0` as numbers; empty for the names of unreleased versions."""
    parts = version.split(".")
    return tuple(int(part) for part in parts) if all(part.isdecimal() for part in parts) else ()
