# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where the bytes of a file are on the device of its file system, by the kernel's FIEMAP. Pure.

Flags are those of Linux' include/uapi/linux/fiemap.h and Documentation/filesystems/fiemap.rst, by which the address of an extent that has
one of `_NOWHERE` is none of its bytes. On btrfs the address is one of its own space, not of a device, whatever flags it has.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.crossvisor.san.plugins.module_utils._san.block_addresses.extents import Span, no_address
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import DATA, SHARED, UNWRITTEN

_NOWHERE: Mapping[int, str] = {
    0x2: "its place is not known yet",
    0x4: "it is not on disk yet (delayed allocation)",
    0x8: "the file system keeps it encoded (compressed, or otherwise)",
    0x80: "the file system keeps it encrypted",
    0x100: "its place is not aligned to a block",
    0x200: "it is kept among the file system's own data (inline)",
    0x400: "it is packed together with the ends of other files (tail)",
}
_UNWRITTEN, _SHARED = 0x800, 0x2000
_PROVEN = frozenset({"ext2", "ext3", "ext4", "xfs"})


def spans(file: Mapping[str, Any]) -> Iterator[Span]:
    """The extents of a file on the device `file["device"]`; one whole range without an address where nobody can tell."""
    reason = _untold(file)
    if reason:
        yield no_address(0, file.get("size") or 1 << 63, reason)
        return
    for logical, physical, length, flags in file["extents"]:
        why = next((why for flag, why in _NOWHERE.items() if flags & flag), "")
        if why:
            yield no_address(logical, length, f"{file['path']}: {why}")
        else:
            state = UNWRITTEN if flags & _UNWRITTEN else SHARED if flags & _SHARED else DATA
            yield Span(logical, length, state, file["device"], physical)


def _untold(file: Mapping[str, Any]) -> str:
    path, kind = file["path"], file["kind"]
    if file["error"] and not kind:
        return f"{path} cannot be read on the host: {file['error']}"
    if kind not in _PROVEN:
        return f"{path} is on {kind or 'a file system that is mounted nowhere'}, which gives no addresses of its device"
    if file["error"]:
        return f"the host does not tell where {path} is on its {kind} file system: {file['error']}"
    if file.get("realtime"):
        return f"{path} is on the real-time device of its XFS file system"
    return ""
