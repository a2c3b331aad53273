# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Calling the methods of Windows' Storage Management API: return values become sentences.

The values and their meanings are those of Microsoft's references to `MSFT_Disk`, `MSFT_Partition` and `MSFT_Volume`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import RemoteError, in_one_sentence
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.cim import RETURN_VALUE, CimClient, Keys
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.cim_types import CimClass, CimInstance, CimValue, Types

_COMPLETED = 0
_STATUS = "ExtendedStatus"
_STATUS_TYPES: Types = MappingProxyType({_STATUS: "object", f"{_STATUS}.Message": "string"})
MEANINGS: Mapping[int, str] = MappingProxyType(
    {
        1: "not supported",
        2: "unspecified error",
        3: "timeout",
        4: "failed",
        5: "invalid parameter",
        4096: "a job was started",
        4097: "size not supported",
        40000: "not enough free space",
        40001: "access denied",
        40002: "not enough resources",
        40004: "an unexpected I/O error",
        40018: "a failover cluster manages it",
        41000: "the disk is not initialised",
        41001: "the disk is already initialised",
        41002: "the disk is read-only",
        41003: "the disk is offline",
        41008: "there are data partitions on the disk",
        41009: "not allowed on a critical disk",
        41018: "a failover cluster manages it",
        41019: "a failover cluster keeps it",
        42002: "the access path is in use",
        42004: "the partition is hidden",
        42007: "the access path is not valid",
        42010: "not allowed on a system or critical partition",
        43000: "the allocation unit is not valid",
        43001: "the file system is not supported",
        43002: "the volume cannot be quick formatted",
        43003: "more allocation units than 32 bits can count",
    }
)


def call(
    client: CimClient,
    cim_class: CimClass,
    method: str,
    keys: Keys | None = None,
    parameters: Mapping[str, CimValue] | None = None,
    *,
    outputs: Types | None = None,
    repeatable: bool = False,
    timeout: float | None = None,
) -> CimInstance:
    """Call a method of the object, or without keys a static one, and return its outputs; `timeout` is in seconds.

    Raises `RemoteError` with the machine's own words and the return value as `code`; `OutcomeUnknown` when the answer was lost.
    """
    types = {**_STATUS_TYPES, **(outputs or {})}
    answer = client.call(cim_class, method, keys, parameters, outputs=types, repeatable=repeatable, timeout=timeout)
    value = answer.integer(RETURN_VALUE)
    if value not in (None, _COMPLETED):
        told = _words(answer) or MEANINGS.get(value, "no reason was given")
        raise RemoteError(f"{client.session.connection} refused {method} of {cim_class.name} ({value}): {told}.", str(value))
    return answer


def _words(answer: CimInstance) -> str:
    """What the extended status says; some versions of Windows send it as an instance, others as text."""
    status = answer.properties.get(_STATUS)
    return in_one_sentence(status.text("Message")) if isinstance(status, CimInstance) else ""
