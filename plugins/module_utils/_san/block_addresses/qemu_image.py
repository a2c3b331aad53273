# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where the bytes of an image are in its files, by what `qemu-img info --backing-chain` and `qemu-img map` tell. Pure.

The map names the depth in the chain, not the file: with a data file, or a VMDK in several files, its offset is one in another file than the
image's own (qemu-img's documentation of `map`; tried with QEMU 7.2).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.crossvisor.san.plugins.module_utils._san.block_addresses.extents import Span, no_address
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import DATA, HOLE, UNWRITTEN

_PROVEN = frozenset({"raw", "qcow2", "qed", "vdi", "vpc", "parallels"})
_ONE_FILE = frozenset({"monolithicSparse"})


def spans(chain: Sequence[Mapping[str, Any]], ranges: Sequence[Mapping[str, Any]]) -> Iterator[Span]:
    """The ranges of an image, each in a file of its chain."""
    files = [_file_of(member) for member in chain]
    for found in ranges:
        start, length, depth = found["start"], found["length"], found.get("depth", 0)
        offset = found.get("offset")
        if offset is None and not (found["data"] or (not found.get("zero", False) and found.get("present", True))):
            yield Span(start, length, HOLE)
        elif depth >= len(files):
            yield no_address(start, length, "its image has files that qemu-img does not name")
        elif files[depth][1]:
            yield no_address(start, length, files[depth][1])
        elif offset is None or found.get("compressed"):
            yield no_address(start, length, f"{files[depth][0]} holds it compressed or encrypted")
        else:
            yield Span(start, length, DATA if found["data"] else UNWRITTEN, files[depth][0], offset)


def data_file_of(member: Mapping[str, Any]) -> str:
    """The other file that holds a member's data; empty for one that holds it itself."""
    return str(member.get("format-specific", {}).get("data", {}).get("data-file", ""))


def files_of(member: Mapping[str, Any]) -> list[str]:
    """Every file that has a part of a member."""
    parts = member.get("format-specific", {}).get("data", {}).get("extents", [])
    return list(filter(None, (member.get("filename", ""), data_file_of(member), *(part.get("filename", "") for part in parts))))


def _file_of(member: Mapping[str, Any]) -> tuple[str, str]:
    """The file that a member's offsets are in, or why there is none."""
    name, kind = member.get("filename", ""), member.get("format", "")
    own = member.get("format-specific", {}).get("data", {})
    if member.get("encrypted") or own.get("encrypt"):
        return name, f"{name} is encrypted"
    if own.get("corrupt"):
        return name, f"{name} is marked as corrupt: check it (qemu-img check)"
    if kind == "vmdk" and own.get("create-type") not in _ONE_FILE:
        return name, f"{name} is a VMDK of type {own.get('create-type')}, whose parts qemu-img does not tell apart"
    if kind not in _PROVEN and kind != "vmdk":
        return name, f"of {name}, an image of format {kind}, qemu-img tells no addresses that were ever tried"
    held = data_file_of(member) or name
    if not held.startswith("/"):
        return held, f"it lies on {held}, which is no file of the host"
    return held, ""
