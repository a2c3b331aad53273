# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The disks that a guest shall have, as its owner lists them: completed, and judged all at once before anything is made."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from ansible.module_utils.parsing.convert_bool import boolean

from ansible_collections.crossvisor.san.plugins.module_utils._san import wishes
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import InvalidInput
from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.linux import volume as linux
from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.windows import file_systems as windows
from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.windows.access_path import AccessPath

LINUX, WINDOWS = "linux", "windows"
PRESENT, ABSENT = "present", "absent"

Disk = dict[str, Any]

_LVM = "lvm"


@dataclass(frozen=True)
class Guest:
    """Whose disks they are, and what holds for all of them."""

    name: str
    system: str
    """`linux` or `windows`."""
    svm: str = ""
    volume: str = ""
    lun: str = "{guest}_{disk}"
    """Pattern of the LUNs' names."""


@dataclass(frozen=True)
class Verdict:
    """What is to be made of a list of disks: the disks, or what is wrong with them."""

    disks: list[Disk]
    """With all fields, in an order in which none is mounted over another."""
    problems: list[str]
    """Sentences, each of which names its disk."""


@dataclass(frozen=True)
class _System:
    """What a guest's system can do."""

    usual: str
    known: Sequence[str]
    os_types: Sequence[str]
    """Of LUNs that hold its file systems, the usual one first. Source: ONTAP's SAN administration, "Supported LUN types"."""
    strange: Sequence[str]
    """Fields that mean nothing there."""


_SYSTEMS: Mapping[str, _System] = MappingProxyType(
    {
        LINUX: _System(linux.USUAL, tuple(linux.FILE_SYSTEMS), ("linux",), ("allocation_unit",)),
        WINDOWS: _System(
            windows.NTFS,
            tuple(windows.ALLOCATION_UNITS),
            ("windows_2008", "windows", "windows_gpt"),
            ("options", "owner", "group", "mode", _LVM),
        ),
    }
)
_TEXTS = (
    "name",
    "state",
    "size",
    "svm",
    "volume",
    "lun",
    "os_type",
    "mount",
    "file_system",
    "label",
    "options",
    "owner",
    "group",
    "mode",
    "place",
)
_NUMBERS = ("allocation_unit", "lun_id")
_FLAGS = ("delete", "force", "reservations")
_LVM_NAMES = ("vg", "lv")
_FIELDS = (*_TEXTS, *_NUMBERS, *_FLAGS, _LVM)
_TYPES: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(_FLAGS, "yes or no"),
        **dict.fromkeys(_NUMBERS, "number"),
        _LVM: "mapping such as {vg: vg_data, lv: lv_data}",
    }
)
_MAY_BE_NUMBERS = frozenset({"size", "owner", "group"})
_OF_A_MOUNT = ("owner", "group", "mode")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_LUN = re.compile(r"[A-Za-z0-9._{}-]{1,255}")
"""Source: ONTAP's REST interface, `POST /storage/luns`: a LUN's name has at most 255 letters, digits and `-._{}`."""
_MODE = re.compile(r"[0-7]{3,4}")
_SEPARATOR = re.compile(r"[/\\]")
_ACCOUNT = re.compile(r"[^\s:/,-][^\s:/,]*")


def judge(disks: object, guest: Guest) -> Verdict:
    """Every disk with all of its fields, or everything that is wrong with any of them. Raises `InvalidInput` for a system that is none."""
    if guest.system not in _SYSTEMS:
        raise InvalidInput(f"{guest.system!r} is no system of a guest: say {LINUX} or {WINDOWS}.")
    if not isinstance(disks, list) or not all(isinstance(disk, Mapping) for disk in disks):
        return Verdict([], ["They are no list of mappings; write each as {name: data, size: 100GiB, mount: /srv/data}."])
    problems = [problem for number, disk in enumerate(disks, 1) for problem in _form(disk, number)]
    if problems:
        return Verdict([], problems)
    found = [_completed(disk, guest) for disk in disks]
    problems = [*(problem for disk in found for problem in _told(disk, guest)), *_clashes(found)]
    if problems:
        return Verdict([], problems)
    return Verdict(sorted((_normalized(disk, guest) for disk in found), key=_depth), [])


def _form(disk: Mapping[str, Any], number: int) -> Iterator[str]:
    """What makes an entry unreadable: fields that nobody knows, and values of another type."""
    who = f"disk '{disk['name']}'" if isinstance(disk.get("name"), str) else f"the {number}. disk"
    if "name" not in disk:
        yield f"{who} has no name."
    for field, value in disk.items():
        if field not in _FIELDS:
            yield f"{who} has {field!r}, which means nothing; {_meant(str(field))}"
        elif not _is_of_its_type(field, value):
            yield f"{who} has {field}={value!r}, which is no {_TYPES.get(field, 'text')}{'; put it in quotes' if field in _TEXTS else ''}."


def _meant(field: str) -> str:
    near = difflib.get_close_matches(field, _FIELDS, 1)
    return f"did you mean {near[0]}?" if near else f"known are {', '.join(_FIELDS)}."


def _is_of_its_type(field: str, value: Any) -> bool:
    if value is None:
        return field != "name"
    if field in _FLAGS:
        return _flag(value) is not None
    if field == _LVM:
        return isinstance(value, Mapping) and (not value or _names_both(value))
    number = isinstance(value, int) and not isinstance(value, bool)
    if field in _NUMBERS:
        return number or (isinstance(value, str) and value.isdecimal())
    return isinstance(value, str) or (number and field in _MAY_BE_NUMBERS)


def _names_both(volume: Mapping[str, Any]) -> bool:
    return set(volume) == set(_LVM_NAMES) and all(isinstance(name, str) for name in volume.values())


def _flag(value: Any) -> bool | None:
    try:
        return bool(boolean(value))
    except TypeError:
        return None


def _completed(disk: Mapping[str, Any], guest: Guest) -> Disk:
    """The disk with all fields, each of its type; what was not said is empty, 0 or false, or the usual."""
    system = _SYSTEMS[guest.system]
    given = {field: value for field, value in disk.items() if value not in (None, "")}
    lun = guest.lun.replace("{guest}", guest.name).replace("{disk}", str(given.get("name", "")))
    usual = {
        "state": PRESENT,
        "svm": guest.svm,
        "volume": guest.volume,
        "lun": lun,
        "os_type": system.os_types[0],
        "file_system": system.usual,
    }
    texts = {field: str(given.get(field, usual.get(field, ""))) for field in _TEXTS}
    numbers = {field: int(given.get(field, 0)) for field in _NUMBERS}
    flags = {field: bool(_flag(given.get(field, False))) for field in _FLAGS}
    return {**texts, **numbers, **flags, _LVM: dict(given.get(_LVM, {}))}


def _told(disk: Disk, guest: Guest) -> Iterator[str]:
    """What is wrong with one disk, each a sentence that names it."""
    for problem in dict.fromkeys(_problems(disk, guest)):
        yield f"disk '{disk['name']}': {problem}"


def _problems(disk: Disk, guest: Guest) -> Iterator[str]:
    yield from _problems_of_address(disk)
    if disk["state"] not in (PRESENT, ABSENT):
        yield f"state {disk['state']!r} is neither present nor absent."
    if disk["state"] == ABSENT:
        return
    if disk["delete"]:
        yield "delete=true goes with state=absent; a disk that shall be there is not deleted."
    system = _SYSTEMS[guest.system]
    yield from (f"{field} means nothing to a {guest.system} guest; leave it out." for field in system.strange if disk[field])
    if disk["os_type"] not in system.os_types:
        yield f"os_type {disk['os_type']!r} does not fit a {guest.system} guest; choose {' or '.join(system.os_types)}."
    if _known(disk["file_system"], system) is None:
        yield f"file_system {disk['file_system']!r} is not for {guest.system} guests; choose {' or '.join(system.known)}."
        return
    checks = _LINUX_CHECKS if guest.system == LINUX else _WINDOWS_CHECKS
    for field, check in (*_CHECKS, *checks):
        if disk[field]:
            yield from _raised(check, disk)


def _problems_of_address(disk: Disk) -> Iterator[str]:
    if not _NAME.fullmatch(disk["name"]):
        yield "its name may have letters, digits and . _ -, and begins with a letter or a digit."
    elif not _LUN.fullmatch(disk["lun"]):
        yield f"its LUN cannot be called {disk['lun']!r}; a LUN's name has at most 255 letters, digits and . _ - {{ }}."
    missing = [field for field in ("svm", "volume") if not disk[field]]
    if missing:
        yield f"it has no {' and no '.join(missing)}; set {' and '.join(f'san_{field}' for field in missing)}, or give the disk its own."


def _raised(check: Callable[[Disk], object], disk: Disk) -> Iterator[str]:
    try:
        check(disk)
    except InvalidInput as error:
        yield str(error)


def _known(file_system: str, system: _System) -> str | None:
    """The file system as its tools spell it."""
    return next((known for known in system.known if known.lower() == file_system.lower()), None)


def _check_linux_size(disk: Disk) -> None:
    linux.check_size(disk["file_system"].lower(), wishes.size_in_bytes(disk["size"]), on_lvm=bool(disk[_LVM]))


def _check_unit(disk: Disk) -> None:
    file_system = str(_known(disk["file_system"], _SYSTEMS[WINDOWS]))
    windows.check_unit(file_system, disk["allocation_unit"])
    if disk["size"]:
        windows.check_fits(file_system, disk["allocation_unit"], wishes.size_in_bytes(disk["size"]))


def _check_place_of_mount(field: str) -> Callable[[Disk], None]:
    def check(disk: Disk) -> None:
        if not disk["mount"]:
            raise InvalidInput(f"{field} is of the mounted file system; give mount, or leave {field} out.")

    return check


def _check_swap(disk: Disk) -> None:
    if disk["file_system"].lower() == linux.SWAP:
        raise InvalidInput("swap is not mounted anywhere; leave mount out.")


def _check_lvm(disk: Disk) -> None:
    if disk["file_system"].lower() == linux.SWAP:
        raise InvalidInput("swap space is not put on a logical volume; leave lvm out.")
    linux.check_logical_volume(disk[_LVM]["vg"], disk[_LVM]["lv"])


def _check_mode(disk: Disk) -> None:
    if not _MODE.fullmatch(disk["mode"]):
        raise InvalidInput(f"mode {disk['mode']!r} is none; write three or four octal digits in quotes, such as '0750'.")


def _check_options(disk: Disk) -> None:
    if not disk["mount"] and disk["file_system"].lower() != linux.SWAP:
        raise InvalidInput("options are of the mount; give mount, or leave them out.")
    linux.mount_options(disk["options"])


def _check_account(field: str) -> Callable[[Disk], None]:
    def check(disk: Disk) -> None:
        if not _ACCOUNT.fullmatch(disk[field]):
            raise InvalidInput(f"{field} {disk[field]!r} is no name of an account.")

    return check


_Checks = Sequence[tuple[str, Callable[[Disk], object]]]
"""A field that has to be said for the check to matter, and the check. Raises `InvalidInput`."""
_CHECKS: _Checks = (
    ("size", lambda disk: wishes.size_in_bytes(disk["size"])),
    ("place", lambda disk: wishes.place(disk["place"])),
)
_LINUX_CHECKS: _Checks = (
    ("mount", lambda disk: linux.mount_point(disk["mount"])),
    ("mount", _check_swap),
    ("label", lambda disk: linux.check_label(disk["file_system"].lower(), disk["label"])),
    ("size", _check_linux_size),
    (_LVM, _check_lvm),
    ("mode", _check_mode),
    ("options", _check_options),
    ("owner", _check_account("owner")),
    ("group", _check_account("group")),
    *((field, _check_place_of_mount(field)) for field in _OF_A_MOUNT),
)
_WINDOWS_CHECKS: _Checks = (
    ("mount", lambda disk: AccessPath.parse(disk["mount"])),
    ("label", lambda disk: windows.check_label(disk["label"])),
    ("allocation_unit", _check_unit),
)


def _clashes(disks: Sequence[Disk]) -> Iterator[str]:
    """What two disks of one guest cannot both have."""
    wanted = [disk for disk in disks if disk["state"] == PRESENT]
    yield from (f"{count} disks are called '{name}'." for name, count in _repeated(disk["name"] for disk in disks))
    yield from (
        f"{count} disks are the LUN {lun}."
        for lun, count in _repeated(f"{disk['svm']}:/vol/{disk['volume']}/{disk['lun']}" for disk in disks)
    )
    yield from (f"{count} disks are to be mounted at {place}." for place, count in _repeated(_mounts(wanted)))
    yield from (f"{count} disks are to be the volume group {name}." for name, count in _repeated(d[_LVM]["vg"] for d in wanted if d[_LVM]))
    yield from (f"{count} disks are to be at {place}." for place, count in _repeated(_places(wanted)))
    yield from (
        f"{count} disks have the lun_id {number}." for number, count in _repeated(str(disk["lun_id"]) for disk in wanted if disk["lun_id"])
    )


def _repeated(words: Iterator[str]) -> Iterator[tuple[str, int]]:
    return ((word, count) for word, count in Counter(words).items() if count > 1)


def _mounts(disks: Sequence[Disk]) -> Iterator[str]:
    """Where they are mounted, as far as that can be told; Windows does not heed case, and Linux has no path with a drive letter."""
    for disk in disks:
        try:
            yield linux.mount_point(disk["mount"]) if disk["mount"].startswith("/") else AccessPath.parse(disk["mount"]).bare.upper()
        except InvalidInput:
            continue  # told already, where it matters


def _places(disks: Sequence[Disk]) -> Iterator[str]:
    for disk in disks:
        try:
            slot = wishes.place(disk["place"] or None)
        except InvalidInput:
            continue
        if slot.unit is not None:
            yield f"SCSI({slot.bus}:{slot.unit})"


def _normalized(disk: Disk, guest: Guest) -> Disk:
    if disk["state"] == ABSENT:
        return disk
    file_system = str(_known(disk["file_system"], _SYSTEMS[guest.system]))
    mount = _mount(disk["mount"], guest) if disk["mount"] else ""
    return {**disk, "file_system": file_system, "mount": mount, "options": linux.mount_options(disk["options"]) if disk["options"] else ""}


def _mount(text: str, guest: Guest) -> str:
    return linux.mount_point(text) if guest.system == LINUX else AccessPath.parse(text).bare


def _depth(disk: Disk) -> int:
    """How deep below the root it is mounted: an outer mount comes before an inner one, and goes after it."""
    depth = len(_SEPARATOR.findall(disk["mount"]))
    return depth if disk["state"] == PRESENT else -depth
