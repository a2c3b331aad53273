# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Names and sizes as ONTAP accepts and normalises them."""

from __future__ import annotations

import random
import re

from tests.lab.ontap.errors import Code, OntapError
from tests.lab.world import SERIAL_ALPHABET, SERIAL_LENGTH

LUN_OS_TYPES = (
    "aix", "hpux", "hyper_v", "linux", "netware", "openvms", "solaris", "solaris_efi",
    "vmware", "windows", "windows_2008", "windows_gpt", "xen",
)  # fmt: skip
IGROUP_OS_TYPES = ("aix", "hpux", "hyper_v", "linux", "netware", "openvms", "solaris", "vmware", "windows", "xen")
PROTOCOLS = ("fcp", "iscsi", "mixed")
VOLUME_STATES = ("offline", "online", "restricted")
SVM_STATES = ("running", "stopped")

MIN_LUN_SIZE = 4096
MAX_LUN_SIZE = 128 * 1024**4
CYLINDER = 255 * 63 * 512
BLOCK = 4096
CYLINDER_OS_TYPES = frozenset({"hyper_v", "windows", "windows_2008", "windows_gpt"})

UNITS = {unit: 1024**power for power, names in enumerate((("", "b"), ("k", "kb"), ("m", "mb"), ("g", "gb"), ("t", "tb"))) for unit in names}
MAX_INITIATOR_LENGTH = 96
MAX_IGROUP_NAME_LENGTH = 96

_SIZE = re.compile(r"(-?\d+)\s*([A-Za-z]*)")
_WWPN = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){7}")
_LOOKS_LIKE_WWPN = re.compile(r"[0-9a-f:]+")
_IQN_DATE = re.compile(r"\d{4}-(0[1-9]|1[0-2])")
_IQN_AUTHORITY = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")
_ISCSI_CHARACTERS = re.compile(r"[a-z0-9.:_-]+")
_EUI = re.compile(r"[0-9a-f]{16}")
_LUN_BASE_NAME = re.compile(r"[A-Za-z0-9._{}-]+")
_IGROUP_NAME = re.compile(r"[A-Za-z0-9._:-]+")


def new_serial() -> str:
    """Return a serial number for a new LUN."""
    return "".join(random.SystemRandom().choices(SERIAL_ALPHABET, k=SERIAL_LENGTH))


def is_wwpn(initiator: str) -> bool:
    """Return whether the initiator is a Fibre Channel port."""
    return bool(_WWPN.fullmatch(initiator.lower()))


def initiator_name(name: object, protocol: str) -> str:
    """Return the initiator's name as ONTAP stores it (lower case); raises OntapError for a malformed name or one of the wrong protocol."""
    if not isinstance(name, str):
        raise OntapError(Code.INITIATOR_UNRECOGNISED, f'The initiator name "{name}" is not valid.', "initiators.name")
    lowered = name.lower()
    if len(lowered) > MAX_INITIATOR_LENGTH:
        raise _bad_initiator(Code.INITIATOR_TOO_LONG, name, f"longer than {MAX_INITIATOR_LENGTH} characters")
    kind = _initiator_kind(name, lowered)
    if protocol == "fcp" and kind == "iscsi":
        raise _bad_initiator(Code.WWPN_INVALID, name, "not a WWPN")
    if protocol == "iscsi" and kind == "fcp":
        raise _bad_initiator(Code.ISCSI_NAME_INVALID, name, "not an iSCSI initiator name")
    return lowered


def _initiator_kind(name: str, lowered: str) -> str:
    if _WWPN.fullmatch(lowered):
        return "fcp"
    if lowered.startswith("iqn."):
        _check_iqn(name, lowered)
        return "iscsi"
    if lowered.startswith("eui."):
        _check_eui(name, lowered.removeprefix("eui."))
        return "iscsi"
    if ":" in lowered and _LOOKS_LIKE_WWPN.fullmatch(lowered):
        raise _bad_initiator(Code.WWPN_INVALID, name, "not a WWPN of eight colon-separated bytes")
    raise _bad_initiator(Code.INITIATOR_UNRECOGNISED, name, "neither a WWPN nor an IQN nor an EUI")


def _check_iqn(name: str, lowered: str) -> None:
    date, dot, rest = lowered.removeprefix("iqn.").partition(".")
    if not date:
        raise _bad_initiator(Code.IQN_INCOMPLETE, name, "missing the portions after the prefix")
    if not _IQN_DATE.fullmatch(date):
        raise _bad_initiator(Code.IQN_DATE_INVALID, name, "not dated yyyy-mm")
    if not dot or not _IQN_AUTHORITY.fullmatch(rest.partition(":")[0]):
        raise _bad_initiator(Code.IQN_AUTHORITY_INVALID, name, "without a valid naming authority")
    if not _ISCSI_CHARACTERS.fullmatch(lowered):
        raise _bad_initiator(Code.ISCSI_NAME_INVALID, name, "made of characters that iSCSI does not allow")


def _check_eui(name: str, digits: str) -> None:
    if len(digits) != 16:
        raise _bad_initiator(Code.EUI_LENGTH_INVALID, name, "not followed by 16 digits")
    if not _EUI.fullmatch(digits):
        raise _bad_initiator(Code.EUI_FORMAT_INVALID, name, "not hexadecimal")


def _bad_initiator(code: Code, name: str, why: str) -> OntapError:
    return OntapError(code, f'The initiator name "{name}" is {why}.', "initiators.name")


def igroup_name(name: object) -> str:
    """Return the name; raises OntapError when no igroup can have it."""
    if not isinstance(name, str) or len(name) > MAX_IGROUP_NAME_LENGTH or not _IGROUP_NAME.fullmatch(name):
        raise OntapError(Code.IGROUP_NAME_INVALID, f'"{name}" is not a valid name for an initiator group.', "name")
    return name


def lun_base_name(name: str) -> str:
    """Return the last component of a LUN's path; raises OntapError when no LUN can have it."""
    if not _LUN_BASE_NAME.fullmatch(name):
        message = 'A LUN name can only contain characters A-Z, a-z, 0-9, "-", ".", "_", "{" and "}".'
        raise OntapError(Code.LUN_NAME_CHARACTERS, message, "name")
    return name


def size_in_bytes(value: object) -> int:
    """Return the bytes meant by a number or by a text such as ``10GB``; raises OntapError otherwise."""
    match = _SIZE.fullmatch(str(value)) if not isinstance(value, bool) else None
    if match is None:
        raise OntapError(Code.SIZE_INVALID, f'"{value}" is not a valid size.', "space.size")
    number, unit = int(match[1]), match[2].lower()
    if unit not in UNITS:
        raise OntapError(Code.SIZE_UNITS_INVALID, f'The size "{value}" has invalid units.', "space.size")
    if number < 0:
        raise OntapError(Code.SIZE_NEGATIVE, "The size of a LUN cannot be negative.", "space.size")
    return number * int(UNITS[unit])


def lun_size(requested: int, os_type: str) -> int:
    """Return the size that a LUN asked for with ``requested`` bytes gets: rounded up to whole cylinders (Windows) or blocks."""
    if requested < MIN_LUN_SIZE:
        raise OntapError(Code.SIZE_TOO_SMALL, f"The specified LUN size is too small; the minimum is {MIN_LUN_SIZE} bytes.", "space.size")
    if requested > MAX_LUN_SIZE:
        raise OntapError(Code.SIZE_TOO_LARGE, f"The specified LUN size is too large; the maximum is {MAX_LUN_SIZE} bytes.", "space.size")
    unit = CYLINDER if os_type in CYLINDER_OS_TYPES else BLOCK
    return -(-requested // unit) * unit
