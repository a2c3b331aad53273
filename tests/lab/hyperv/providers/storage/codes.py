# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the methods return: values of the Windows Storage Management API documentation, with the texts of their extended status."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum

from tests.lab.hyperv.cim import Instance, Value
from tests.lab.hyperv.mof import Schema
from tests.lab.hyperv.namespaces import Call, Handler


class Code(IntEnum):
    """What the methods return."""

    SUCCESS = 0
    NOT_SUPPORTED = 1
    INVALID_PARAMETER = 5
    SIZE_NOT_SUPPORTED = 4097
    NO_SPACE = 40000
    ACCESS_DENIED = 40001
    NOT_INITIALIZED = 41000
    INITIALIZED = 41001
    READ_ONLY = 41002
    OFFLINE = 41003
    HAS_DATA = 41008
    CRITICAL = 41009
    CLUSTERED = 41018
    CLUSTER_KEEPS = 41019
    PATH_IN_USE = 42002
    PATH_INVALID = 42007
    UNIT_INVALID = 43000
    FILE_SYSTEM_UNSUPPORTED = 43001


MESSAGES: Mapping[Code, str] = {
    Code.NOT_SUPPORTED: "Not Supported",
    Code.INVALID_PARAMETER: "Invalid Parameter",
    Code.SIZE_NOT_SUPPORTED: "Size Not Supported",
    Code.NO_SPACE: "Not enough available capacity",
    Code.ACCESS_DENIED: "Access denied",
    Code.NOT_INITIALIZED: "The disk has not been initialized.",
    Code.INITIALIZED: "The disk has already been initialized.",
    Code.READ_ONLY: "The disk is read only.",
    Code.OFFLINE: "The disk is offline.",
    Code.HAS_DATA: "Cannot clear with data partitions present.",
    Code.CRITICAL: "Operation not supported on a critical disk.",
    Code.CLUSTERED: "The specified object is managed by the Microsoft Failover Clustering component.",
    Code.CLUSTER_KEEPS: "The specified object is managed by the Microsoft Failover Clustering component.",
    Code.PATH_IN_USE: "The requested access path is already in use.",
    Code.PATH_INVALID: "The access path is not valid.",
    Code.UNIT_INVALID: "The specified allocation unit size is not valid.",
    Code.FILE_SYSTEM_UNSUPPORTED: "The specified file system is not supported.",
}


class Failed(Exception):
    """A method returns something else than success."""

    def __init__(self, code: Code) -> None:
        super().__init__(MESSAGES[code])
        self.code = code


def guarded(schema: Schema, work: Handler) -> Handler:
    """Turn Failed into a return value with its extended status."""

    def run(call: Call) -> Mapping[str, Value]:
        try:
            return {"ReturnValue": int(Code.SUCCESS), **work(call)}
        except Failed as failure:
            status = Instance(
                schema["msft_storageextendedstatus"],
                {"CIMStatusCode": 1, "Message": str(failure), "MessageID": f"StorageWMI {int(failure.code)}", "PerceivedSeverity": 5},
            )
            return {"ReturnValue": int(failure.code), "ExtendedStatus": status}

    return run
