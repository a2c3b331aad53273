# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The names of initiators, Fibre Channel ports and iSCSI nodes, in the one spelling in which arrays keep them.

The iSCSI grammar is RFC 7143 4.2.7 (RFC 3720 3.2.6) within ASCII; RFC 3722 leaves lower-case letters, digits, `-`, `.` and `:`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import InvalidInput

_WWPN_SPELLINGS = [
    re.compile(pattern)
    for pattern in (
        "(?:0x)?(?P<wwpn>[0-9a-f]{16})",
        "(?P<wwpn>[0-9a-f]{2}(?P<separator>[:.-])[0-9a-f]{2}(?:(?P=separator)[0-9a-f]{2}){6})",
        "fc[.][0-9a-f]{16}:(?P<wwpn>[0-9a-f]{16})",  # ESXi: node name, port name
    )
]
_UNSET_WWPNS = (bytes(8), b"\xff" * 8)
_WWPN_FORMS = "16 hex digits, not all 0 or f, like 10:00:00:90:fa:12:34:56"

_LABEL = "[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"
_ISCSI_NAME = re.compile(
    rf"iqn[.][0-9]{{4}}-(?:0[1-9]|1[0-2])(?:[.]{_LABEL})+(?::[a-z0-9.:-]+)?"
    "|eui[.][0-9a-f]{16}"
    "|naa[.][0-9a-f]{16}(?:[0-9a-f]{16})?"
)
_ISCSI_NAME_LIMIT = 223
_ISCSI_FORMS = "iqn.<year>-<month>.<domain>:<letters, digits, '-', '.', ':'> like iqn.1998-01.com.vmware:esx01, or eui.<hex>, naa.<hex>"


def normalize_wwpn(value: str | int | Sequence[int]) -> str:
    """The port name as `10:00:00:90:fa:12:34:56`. Raises `InvalidInput`, also for the all-0 and all-f names of ports without one.

    Takes text, the 64-bit integers of vSphere and Windows, signed or not, and arrays of 8 bytes.
    """
    octets = _octets(value)
    if octets is None:
        raise InvalidInput(f"{value!r:.100} is not a WWPN: expected {_WWPN_FORMS}.")
    return octets.hex(":")


def normalize_iqn(text: str) -> str:
    """The iSCSI name in lower case, in which arrays compare it. Raises `InvalidInput`."""
    name = _iscsi_name(text)
    if name is None:
        raise InvalidInput(f"{text!r:.100} is not an iSCSI name: expected {_ISCSI_FORMS}.")
    return name


def normalize_initiator(text: str) -> str:
    """The WWPN or iSCSI name, whichever `text` is, in the spelling of `normalize_wwpn` or `normalize_iqn`. Raises `InvalidInput`."""
    return normalize_iqn(text) if initiator_kind(text) == "iscsi" else normalize_wwpn(text)


def initiator_kind(text: str) -> Literal["fc", "iscsi"]:
    """The transport that the initiator uses, told by the form of its name. Raises `InvalidInput`."""
    if _iscsi_name(text) is not None:
        return "iscsi"
    if isinstance(text, str) and _octets(text) is not None:
        return "fc"
    raise InvalidInput(f"{text!r:.100} is not a WWPN or IQN: expected {_WWPN_FORMS}, or {_ISCSI_FORMS}.")


def _octets(value: str | int | Sequence[int]) -> bytes | None:
    octets = _octets_of_text(value) if isinstance(value, str) else _octets_of_numbers(value)
    return octets if octets is not None and len(octets) == 8 and octets not in _UNSET_WWPNS else None


def _octets_of_text(text: str) -> bytes | None:
    matches = (spelling.fullmatch(text.strip().lower()) for spelling in _WWPN_SPELLINGS)
    return next((bytes.fromhex(re.sub("[:.-]", "", match["wwpn"])) for match in matches if match), None)


def _octets_of_numbers(value: int | Sequence[int]) -> bytes | None:
    if isinstance(value, bool):
        return None
    try:
        return value.to_bytes(8, "big", signed=value < 0) if isinstance(value, int) else bytes(list(value))
    except (OverflowError, TypeError, ValueError):
        return None


def _iscsi_name(text: str) -> str | None:
    name = text.strip().lower() if isinstance(text, str) else ""
    return name if len(name) <= _ISCSI_NAME_LIMIT and _ISCSI_NAME.fullmatch(name) else None
