# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a WS-Management fault says, as one sentence with the code that WMI gave it.

Codes are those of wsmerror.h (0x80338xxx) and wbemcli.h (0x80041xxx), written as Windows' documentation writes them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from ansible_collections.crossvisor.san.plugins.module_utils._san.connection import Connection
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import (
    AuthenticationFailed,
    CrossvisorError,
    RemoteError,
    TimedOut,
    in_one_sentence,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.wsman_envelope import (
    ENUMERATION,
    SOAP,
    TRANSFER,
    WSMAN_FAULT,
    Element,
    Request,
    content_of,
    local_name,
    namespace_of,
)

NOT_FOUND = "0x80041002"
INVALID_NAMESPACE = "0x8004100E"
INVALID_CLASS = "0x80041010"
RESOURCE_NOT_FOUND = "0x80338000"
OPERATION_TIMED_OUT = "0x80338029"
ENVELOPE_SIZE_REFUSED = "0x80338047"
RESPONSE_TOO_LARGE = "0x80338048"
REQUEST_TOO_LARGE = "0x80338049"

MISSING = frozenset({NOT_FOUND, INVALID_NAMESPACE, INVALID_CLASS, RESOURCE_NOT_FOUND})
"""The instance, its class or its namespace does not exist."""

_ACCESS_DENIED = frozenset({"0x00000005", "0x80070005", "0x80041003"})
_READING = (ENUMERATION, f"{TRANSFER}/Get")
_TEXTS = frozenset({"Message", "ProviderFault", "Description"})
_RAISE_LIMIT = "raise MaxEnvelopeSizekb of its WinRM service"


@dataclass(frozen=True)
class Fault:
    """A fault, outermost code first: the service's own, then those of the WMI provider behind it."""

    codes: tuple[str, ...]
    subcode: str
    """Such as `AccessDenied`, without its prefix."""
    text: str

    @property
    def code(self) -> str:
        """The code that is nearest to the cause, such as `0x80041002`; without one, the subcode."""
        return self.codes[-1] if self.codes else self.subcode


def parse_fault(root: Element) -> Fault | None:
    """The fault in an envelope; None when the envelope is an ordinary answer."""
    fault = content_of(root)
    if fault is None or fault.tag != f"{{{SOAP}}}Fault":
        return None
    detail = fault.find(f"{{{SOAP}}}Detail")
    subcode = fault.findtext(f"{{{SOAP}}}Code/{{{SOAP}}}Subcode/{{{SOAP}}}Value") or fault.findtext(f"{{{SOAP}}}Code/{{{SOAP}}}Value") or ""
    told = [_squeezed(item.text) for item in detail.iter() if local_name(item) in _TEXTS] if detail is not None else []
    reason = _squeezed(fault.findtext(f"{{{SOAP}}}Reason/{{{SOAP}}}Text"))
    return Fault(
        codes=tuple(_codes(detail)) if detail is not None else (),
        subcode=subcode.strip().rpartition(":")[2],
        text=next((text for text in reversed(told) if text), reason) or "no reason was given",
    )


def error_of(fault: Fault, request: Request, connection: Connection) -> CrossvisorError:
    """The error for a fault that answers a request."""
    if fault.subcode == "AccessDenied" or _ACCESS_DENIED.intersection(fault.codes):
        return _access_denied(fault, request, connection)
    if fault.code == OPERATION_TIMED_OUT or fault.subcode == "TimedOut":
        return TimedOut(f"{connection} did not finish {request.name} in time: raise {connection.role}.timeout, or see what keeps it busy.")
    if fault.code == RESPONSE_TOO_LARGE:
        return RemoteError(f"The answer of {connection} to {request.name} does not fit in one message: {_RAISE_LIMIT}.", fault.code)
    if fault.code in (REQUEST_TOO_LARGE, ENVELOPE_SIZE_REFUSED):
        return RemoteError(f"{connection} takes no message as large as {request.name} needs: {_RAISE_LIMIT}.", fault.code)
    return RemoteError(f"{connection} refused {request.name} ({fault.code}): {in_one_sentence(fault.text)}.", fault.code)


def _access_denied(fault: Fault, request: Request, connection: Connection) -> AuthenticationFailed:
    right = "Remote Enable" if request.action.startswith(_READING) else "Remote Enable and Execute Methods"
    namespace = namespace_of(request.target.resource_uri)
    place = f"the namespace {namespace}" if namespace else request.target.resource_uri
    user = f"The user {connection.username}" if connection.username else "This login"
    return AuthenticationFailed(
        f"{user} may not use {place} at {connection} ({request.name}: {in_one_sentence(fault.text)}): have an administrator add the "
        f"account to Remote Management Users and grant it {right} on that namespace."
    )


def _codes(detail: Element) -> Iterator[str]:
    for item in detail.iter():
        if item.tag == f"{{{WSMAN_FAULT}}}WSManFault":
            yield from _hexadecimal(item.get("Code"))
        elif local_name(item) == "error_Code":
            yield from _hexadecimal(item.text)


def _hexadecimal(number: str | bytes | None) -> Iterator[str]:
    if number is not None and re.fullmatch(r"\s*-?[0-9]{1,10}\s*", str(number)):
        yield f"0x{int(number) & 0xFFFFFFFF:08X}"


def _squeezed(text: str | None) -> str:
    return " ".join((text or "").split())
