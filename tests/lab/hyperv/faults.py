# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What Windows refuses, and how it says so.

Codes and texts of the service are those of the Windows SDK's wsmerror.h; HRESULTs of WMI those of wbemcli.h; Win32 codes of the cluster
those of winerror.h.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

SENDER, RECEIVER = "s:Sender", "s:Receiver"
FAULT_DETAIL = "http://schemas.dmtf.org/wbem/wsman/1/wsman/faultDetail/"

WBEM_E_FAILED = 0x80041001
WBEM_E_NOT_FOUND = 0x80041002
WBEM_E_INVALID_PARAMETER = 0x80041008
WBEM_E_PROVIDER_NOT_CAPABLE = 0x80041024
WBEM_E_INVALID_OPERATION = 0x80041016


@dataclass(frozen=True)
class Kind:
    """One fault of the service."""

    code: int
    subcode: str
    text: str
    side: str = SENDER
    detail: str = ""


KINDS: Mapping[str, Kind] = {
    "AccessDenied": Kind(5, "w:AccessDenied", "Access is denied. "),
    "ActionNotSupported": Kind(
        2150858771, "wsa:ActionNotSupported", "The WS-Management service does not support the action specified in the request. "
    ),
    "CommandNotFound": Kind(87, "w:InternalError", "The parameter is incorrect. ", side=RECEIVER),
    "InvalidOptions": Kind(
        2150858842,
        "w:InvalidOptions",
        "The WS-Management service cannot process the request because the request contained invalid options for the resource. ",
    ),
    "ShellNotFound": Kind(
        2150858843,
        "w:InvalidSelectors",
        "The request for the Windows Remote Shell failed because the shell was not found on the server. Possible causes are: the specified "
        "ShellId is incorrect or the shell no longer exists on the server. Provide the correct ShellId or create a new shell and retry the "
        "operation. ",
        detail="UnexpectedSelectors",
    ),
    "TooManyShells": Kind(
        2150859174,
        "w:QuotaLimit",
        "The WS-Management service cannot process the request. This user has exceeded the maximum number of concurrent shells. "
        "Close existing shells or raise the quota for this user. ",
    ),
    "CannotProcessFilter": Kind(
        2150858778,
        "wsen:CannotProcessFilter",
        "The data source could not process the filter. The filter might be missing or it might be invalid. "
        "Change the filter and try the request again. ",
    ),
    "DestinationUnreachable": Kind(
        2150858752,
        "wsa:DestinationUnreachable",
        "The WS-Management service cannot process the request. The service cannot find the resource identified by the resource URI "
        "and selectors. ",
        detail="InvalidResourceURI",
    ),
    "DialectUnavailable": Kind(
        2150858777,
        "wsen:FilterDialectRequestedUnavailable",
        "The filter dialect (the type associated with the filter) was not supported for this resource. "
        "Change the filter dialect or remove it from the request and try the request again. ",
    ),
    "EncodingLimit": Kind(
        2150858824,
        "w:EncodingLimit",
        "The response that the WS-Management service computed exceeds the maximum envelope size in the request. ",
        detail="MaxEnvelopeSize",
    ),
    "EnvelopeTooLarge": Kind(
        2150858823,
        "w:EncodingLimit",
        "The maximum envelope size in the request is too large. Change the maximum envelope size and try the request again. ",
        detail="MaxEnvelopeSize",
    ),
    "EnvelopeTooSmall": Kind(
        2150858805,
        "w:EncodingLimit",
        "The WS-Management service cannot process the request because the encoding of the request exceeds an internal encoding limit. "
        "Reconfigure the client to send messages which fit the encoding limits of the service. ",
        detail="MinimumEnvelopeLimit",
    ),
    "RequestTooLarge": Kind(
        2150858805,
        "w:EncodingLimit",
        "The WS-Management service cannot process the request because the encoding of the request exceeds an internal encoding limit. "
        "Reconfigure the client to send messages which fit the encoding limits of the service. ",
        detail="ServiceEnvelopeLimit",
    ),
    "InsufficientSelectors": Kind(
        2150858842,
        "w:InvalidSelectors",
        "The WS-Management service cannot process the request because the request did not contain all required selectors. ",
        detail="InsufficientSelectors",
    ),
    "InvalidEnumerationContext": Kind(
        2150858779,
        "wsen:InvalidEnumerationContext",
        "The WS-Enumeration context in the enumeration is not valid. Enumeration may have been completed or canceled. "
        "You cannot use this enumeration context anymore. Start a new enumeration. ",
        side=RECEIVER,
    ),
    "InvalidHeader": Kind(
        2150858767,
        "wsa:InvalidMessageInformationHeader",
        "The WS-Management service cannot process the request. The request contains one or more invalid SOAP headers. ",
    ),
    "InvalidNamespace": Kind(
        2150858840,
        "wxf:InvalidRepresentation",
        "The WS-Management service cannot identify the format of the object passed to a Put or Create method. "
        "The XML namespace for the input XML is invalid. Change the XML namespace for the input XML in the request. ",
    ),
    "InvalidParameterName": Kind(
        2150858837, "w:InvalidParameter", "The WS-Management service cannot process the request. A parameter name is invalid. "
    ),
    "InvalidParameterType": Kind(
        2150858836,
        "w:InvalidParameter",
        "The WS-Management service cannot process the request. A parameter that is required for the operation is not the correct type. ",
    ),
    "InvalidParameter": Kind(
        2150858810,
        "w:InvalidParameter",
        "The WS-Management service cannot process the request because a parameter for the operation is not valid. ",
    ),
    "InvalidResourceUri": Kind(
        2150858811,
        "w:InvalidResourceURI",
        "The WS-Management service cannot process the request. The resource URI is missing or it has an incorrect format. "
        'Check the documentation or use the following command for information on how to construct a resource URI: "winrm help uris". ',
    ),
    "InvalidXml": Kind(
        2150858819, "w:SchemaValidationError", "The WS-Management service cannot process the request because the XML is invalid. "
    ),
    "MessageInformationHeaderRequired": Kind(
        2150858769,
        "wsa:MessageInformationHeaderRequired",
        "The WS-Management service cannot process the request. The request does not have all the expected SOAP headers. ",
    ),
    "MustUnderstand": Kind(
        2150858768,
        "",
        "The WS-Management service cannot process a SOAP header in the request that is marked as mustUnderstand by the client. "
        "This could be caused by the use of a version of the protocol which is not supported, or may be an incompatibility between the "
        "client and server implementations. ",
        side="s:MustUnderstand",
    ),
    "QuotaLimit": Kind(2150858815, "w:QuotaLimit", "The WS-Management service is busy servicing other requests. Retry later. "),
    "SchemaValidationError": Kind(
        2150858817,
        "w:SchemaValidationError",
        "The SOAP XML in the message does not match the corresponding XML schema definition. Change the XML and retry. ",
    ),
    "TimedOut": Kind(
        2150858793,
        "w:TimedOut",
        "The WS-Management service cannot complete the operation within the time specified in OperationTimeout. ",
        side=RECEIVER,
    ),
    "UnexpectedSelectors": Kind(
        2150858843,
        "w:InvalidSelectors",
        "The WS-Management service cannot process the request because the request contained invalid selectors for the resource. ",
        detail="UnexpectedSelectors",
    ),
    "VersionMismatch": Kind(
        2150858765,
        "",
        "The WS-Management service does not support the SOAP version specified in the request. ",
        side="s:VersionMismatch",
    ),
}


@dataclass(frozen=True)
class WsmanFault(Exception):
    """The service refuses."""

    kind: Kind
    explanation: str = ""
    """What it adds to the text of the fault."""

    @property
    def text(self) -> str:
        """The whole text."""
        return self.kind.text + self.explanation


@dataclass(frozen=True)
class ProviderFault(Exception):
    """The provider of a class refuses; ``code`` is an HRESULT."""

    code: int
    message: str


def refuse(name: str, explanation: str = "") -> WsmanFault:
    """Return the fault of this name in KINDS."""
    return WsmanFault(KINDS[name], explanation)


def not_found(what: object) -> ProviderFault:
    """Return WMI's answer to a path that leads nowhere."""
    return ProviderFault(WBEM_E_NOT_FOUND, f"Not found: {what}. ")


def invalid_parameter(what: str) -> ProviderFault:
    """Return WMI's answer to an argument that a provider does not take."""
    return ProviderFault(WBEM_E_INVALID_PARAMETER, f"Invalid parameter: {what}. ")


def win32(code: int, message: str) -> ProviderFault:
    """Return the fault in which a provider passes on a Win32 error (an HRESULT of FACILITY_WIN32)."""
    return ProviderFault(0x80070000 | code, message)
