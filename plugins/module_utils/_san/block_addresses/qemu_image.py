# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where the bytes of an image are in its files, by what `qemu-img info --backing-chain` and `qemu-img map` tell. Pure.

The map names the depth in the chain, not the file: with a data file, or a VMDK in several files, its offset is one in another file than the
image's own (qemu-img's documentation of `map`; tried with QEMU 7.2). Which file that is follows from the parts of a VMDK, which `info`
tells in the order in which they make up the disk (`ImageInfoSpecificVmdk` of qapi/block-core.json).
"""

from __future__ import annotations

import bisect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from ansible_collections.crossvisor.san.plugins.module_utils._san.block_addresses.extents import Span, no_address
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import DATA, HOLE, UNWRITTEN

_PROVEN = frozenset({"raw", "qcow2", "qed", "vdi", "vpc", "parallels"})
_VMDK = "vmdk"
_ONE_FILE = "monolithicSparse"
_PROVEN_PARTS = {
    "monolithicFlat": frozenset({"FLAT"}),
    "twoGbMaxExtentFlat": frozenset({"FLAT"}),
    "twoGbMaxExtentSparse": frozenset({"SPARSE"}),
    "vmfs": frozenset({"VMFS"}),
}
"""Types of VMDKs in several files, and of what kind all their parts have to be."""


@dataclass(frozen=True)
class _Held:
    """A member's files, in the order in which they make it up."""

    files: Sequence[str]
    ends: Sequence[int]
    """Where each ends in the member, in bytes; none for a member that is all in one file."""
    reason: str = ""
    """Why none of its offsets is told."""

    def file(self, start: int, length: int) -> str:
        """The one file that has a range; empty if there are several, or none."""
        if not self.ends:
            return self.files[0]
        place = bisect.bisect_right(self.ends, start)
        return self.files[place] if place < len(self.ends) and start + length <= self.ends[place] else ""


def spans(chain: Sequence[Mapping[str, Any]], ranges: Sequence[Mapping[str, Any]]) -> Iterator[Span]:
    """The ranges of an image, each in a file of its chain."""
    members = [_held(member) for member in chain]
    for found in ranges:
        start, length, depth = found["start"], found["length"], found.get("depth", 0)
        offset = found.get("offset")
        if offset is None and not (found["data"] or (not found.get("zero", False) and found.get("present", True))):
            yield Span(start, length, HOLE)
        elif depth >= len(members):
            yield no_address(start, length, "its image has files that qemu-img does not name")
        else:
            yield _placed(found, members[depth], chain[depth].get("filename", ""))


def _placed(found: Mapping[str, Any], member: _Held, name: str) -> Span:
    """A range that a member holds, in the file that has it."""
    start, length, offset = found["start"], found["length"], found.get("offset")
    if member.reason:
        return no_address(start, length, member.reason)
    if offset is None or found.get("compressed"):
        return no_address(start, length, f"{name} holds it compressed or encrypted")
    file = member.file(start, length)
    if not file:
        return no_address(start, length, f"{name} has it in several files, or in none that qemu-img names")
    return Span(start, length, DATA if found["data"] else UNWRITTEN, file, offset)


def data_file_of(member: Mapping[str, Any]) -> str:
    """The other file that holds a member's data; empty for one that holds it itself."""
    return str(_own(member).get("data-file", ""))


def files_of(member: Mapping[str, Any]) -> list[str]:
    """Every file that has a part of a member."""
    parts = _own(member).get("extents", [])
    return list(filter(None, (member.get("filename", ""), data_file_of(member), *(part.get("filename", "") for part in parts))))


def _own(member: Mapping[str, Any]) -> Mapping[str, Any]:
    told: Mapping[str, Any] = member.get("format-specific", {}).get("data", {})
    return told


def _held(member: Mapping[str, Any]) -> _Held:
    """The files that a member's offsets are in, or why there are none."""
    name, own = member.get("filename", ""), _own(member)
    files, ends = [data_file_of(member) or name], []
    if member.get("format") == _VMDK and own.get("create-type") != _ONE_FILE:
        files = [part.get("filename", "") for part in own.get("extents", [])]
        ends = [*accumulate(part.get("virtual-size", 0) for part in own.get("extents", []))]
    elsewhere = next((file for file in files if not file.startswith("/")), "")
    return _Held(files, ends, _unproven(member) or (f"it lies on {elsewhere}, which is no file of the host" if elsewhere else ""))


def _unproven(member: Mapping[str, Any]) -> str:
    """Why the offsets that qemu-img tells of a member are not where its bytes are."""
    name, kind, own = member.get("filename", ""), member.get("format", ""), _own(member)
    if member.get("encrypted") or own.get("encrypt"):
        return f"{name} is encrypted"
    if own.get("corrupt"):
        return f"{name} is marked as corrupt: check it (qemu-img check)"
    if kind == _VMDK:
        made, parts = own.get("create-type", ""), {part.get("format", "") for part in own.get("extents", [])}
        known = made == _ONE_FILE or (parts and parts <= _PROVEN_PARTS.get(made, frozenset()))
        return "" if known else f"{name} is a VMDK of type {made or 'unknown'}, of which qemu-img tells no addresses that were ever tried"
    return "" if kind in _PROVEN else f"of {name}, an image of format {kind}, qemu-img tells no addresses that were ever tried"
