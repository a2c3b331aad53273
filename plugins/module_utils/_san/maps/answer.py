# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who uses a LUN, a volume or an array: one screen of text, from a storage map. What the map cannot tell is said, too."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import InvalidInput
from ansible_collections.crossvisor.san.plugins.module_utils._san.maps.document import (
    MAPPINGS,
    MISSING,
    STORAGE_RESOURCES,
    UNRESOLVED,
    Document,
    Row,
    endpoint_of,
    endpoints_of,
    number,
    rows_of,
    text,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.maps.merge import incomplete
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from ansible_collections.crossvisor.san.plugins.module_utils._san.storage_word import meanings

MOST_DISKS = 30
MOST_NAMED = 10
_CANNOT_TELL = "Cannot tell"
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")

_Key = tuple[str, ...]


@dataclass(frozen=True)
class Answer:
    """What the map says, or that it knows nothing of that name, which is not to say that nobody uses it."""

    found: bool
    lines: Sequence[str]


def answer(document: Document, what: str) -> Answer:
    """Each LUN or exported volume with the VMs on it, and what nobody can tell. Raises `InvalidInput` when nothing is asked."""
    found, is_lun = _found(document, what)
    if not found:
        return Answer(False, _not_found(document, what.strip()))
    uses: dict[_Key, dict[_Key, Row]] = defaultdict(dict)
    told: dict[_Key, list[Row]] = defaultdict(list)
    for row in found:
        if "vm_id" in row:
            uses[_key(row)].setdefault(_disk(row), row)
        else:
            told[_key(row)].append(row)
    places = sorted({_key(row) for row in found})
    most = max(1, MOST_DISKS // max(1, len(places)))
    machines = {(endpoint_of(row), text(row, "vm_id")) for disks in uses.values() for row in disks.values()}
    lines = [_summary(what, found, len(places), len(machines))]
    for place in places[:MOST_DISKS]:
        lines += _of_place([*told[place], *uses[place].values()], list(uses[place].values()), told[place], most)
    if len(places) > MOST_DISKS:
        lines.append(f"… and {len(places) - MOST_DISKS} more, which the map has.")
    return Answer(True, [*lines, *_doubts(document, is_lun)])


def _found(document: Document, what: str) -> tuple[list[Row], bool]:
    """The rows that are meant, by the first meaning of the words that fits any, and whether that is a LUN.

    Raises `InvalidInput` for no words.
    """
    word = what.strip() if isinstance(what, str) else ""
    if not word:
        raise InvalidInput("Say what to look for: a LUN's path, NAA name or serial number, a volume, an SVM or an array.")
    rows = [*rows_of(document, STORAGE_RESOURCES), *rows_of(document, MAPPINGS)]
    for means_lun, meaning in meanings(word):
        found = [row for row in rows if meaning(row)]
        if found:
            return found, means_lun
    return [], False


def _not_found(document: Document, word: str) -> list[str]:
    name = ScsiName.try_parse(word)
    read_as = f" (read as {name})" if name else ""
    asked = _some(text(endpoint, "name") for endpoint in endpoints_of(document) if text(endpoint, "status") != MISSING) or "nobody"
    doubts = [doubt for doubt in _doubts(document, name is not None) if doubt.startswith(_CANNOT_TELL)]
    return [f"No LUN, volume, SVM or array is called {word:.200}{read_as} among what was told by {asked}.", *doubts]


def _key(row: Row) -> _Key:
    return tuple(text(row, column) for column in ("array", "svm", "volume", "lun_path", "naa")) + (
        ("",) if text(row, "naa") or text(row, "volume") else (text(row, "device"),)
    )


def _disk(row: Row) -> _Key:
    return endpoint_of(row), text(row, "vm_id"), text(row, "disk")


def _summary(what: str, found: Sequence[Row], places: int, machines: int) -> str:
    return f"{what.strip()}: {_count(machines, 'VM')} on {_count(places, 'LUN or volume', 'LUNs or volumes')}."


def _of_place(everything: Sequence[Row], disks: Sequence[Row], told: Sequence[Row], most: int) -> list[str]:
    lines = ["", f"{_called(everything[0])}{_described(everything)}"]
    ordered = sorted(disks, key=lambda row: (text(row, "vm_name"), _disk(row)))
    lines += [f"  VM {_used(row)}" for row in ordered[:most]]
    if len(ordered) > most:
        lines.append(f"  … and {_count(len(ordered) - most, 'more disk')}, which the map has")
    if not ordered:
        lines.append("  no VM of those that were asked")
    stores = {name for row in told for name in row.get("file_systems", ())}
    hosts = {name for row in told for name in row.get("hosts", ())}
    strangers = {name for row in told for name in row.get("strangers", ())}
    lines += [f"  {what} {_some(names)}" for what, names in (("file system", stores), ("seen by", hosts)) if names]
    if strangers:
        lines.append(f"  the array shows it to initiators that no asked host has: {_some(strangers)}")
    return lines


def _called(row: Row) -> str:
    places = [f"SVM {text(row, 'svm')}" if text(row, "svm") else "", text(row, "array")]
    where = "".join(f"{word} {place}" for word, place in zip((" on", " of"), filter(None, places)))
    naa = f" (naa.{text(row, 'naa')})" if text(row, "naa") else ""
    if text(row, "lun_path"):
        return f"LUN {text(row, 'lun_path')}{where}{naa}"
    if text(row, "volume"):
        return f"Volume {text(row, 'volume')}{where}, exported as {text(row, 'device')}"
    return f"Device {text(row, 'device')}{naa}"


def _described(rows: Iterable[Row]) -> str:
    told = list(rows)
    state = next((text(row, "storage_state") for row in told if text(row, "storage_state")), "")
    size = next((number(row, "lun_size_bytes") for row in told if number(row, "lun_size_bytes")), None)
    used = next((number(row, "lun_used_bytes") for row in told if number(row, "lun_used_bytes") is not None), None)
    parts = [state, _bytes(size) if size else "", f"{_bytes(used)} used" if used is not None else ""]
    return "".join(f", {part}" for part in parts if part)


def _used(row: Row) -> str:
    place = text(row, "controller")
    unit = number(row, "unit")
    where = f" ({place}:{unit})" if place and unit is not None else ""
    size = number(row, "size_bytes")
    parts = [
        f"{text(row, 'vm_name')}, {text(row, 'disk') or 'disk not known'}{where}",
        text(row, "kind"),
        _bytes(size) if size else "",
        ", ".join(row.get("mounts", ())),
        text(row, "reason") if text(row, "status") == UNRESOLVED else "",
    ]
    on = f" on {text(row, 'host')}" if text(row, "host") else ""
    return f"{', '.join(part for part in parts if part)}{on} [{endpoint_of(row)}]"


def _doubts(document: Document, is_lun: bool) -> list[str]:
    """What keeps the answer from being the whole truth; of a disk whose LUN is known by name, one can tell whether it is on a LUN."""
    unresolved: dict[str, set[_Key]] = defaultdict(set)
    for row in rows_of(document, MAPPINGS):
        if text(row, "status") == UNRESOLVED and not (is_lun and text(row, "naa")):
            unresolved[endpoint_of(row)].add(_disk(row))
    lines = [
        f"{_CANNOT_TELL}: {_count(len(disks), 'disk')} of {endpoint} may be on it, because nobody knows what lies under them."
        for endpoint, disks in sorted(unresolved.items())
    ]
    lines += [f"{_CANNOT_TELL}: {sentence}" for sentence in incomplete(document)]
    if lines:
        return ["", *lines]
    asked = [f"{text(endpoint, 'name')} ({text(endpoint, 'observed') or 'now'})" for endpoint in endpoints_of(document)]
    return ["", f"Nobody else at {_some(asked)}; nobody else was asked."]


def _some(found: Iterable[str]) -> str:
    ordered = sorted(found)
    more = f" and {len(ordered) - MOST_NAMED} more" if len(ordered) > MOST_NAMED else ""
    return ", ".join(ordered[:MOST_NAMED]) + more


def _count(how_many: int, what: str, several: str = "") -> str:
    return f"{how_many} {what if how_many == 1 else several or f'{what}s'}"


def _bytes(size: int) -> str:
    value, unit = float(size), 0
    while value >= 1024 and unit < len(_UNITS) - 1:
        value, unit = value / 1024, unit + 1
    return f"{value:.0f} {_UNITS[unit]}" if unit == 0 or value == int(value) else f"{value:.1f} {_UNITS[unit]}"
