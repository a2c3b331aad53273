# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What programs of the ESXi shell print of a VMDK on VMFS: which of its ranges are where in the volume. Pure.

VMware documents neither `vmkfstools -t0` nor its output. That its kinds are `VMFS --`, `VMFS Z-` (allocated, not zeroed) and `NOMP` (not
allocated) is what published scripts search it for; the rest of a line is a belief, so that whatever is not exactly such a line is refused.
The descriptor is that of VMware's Virtual Disk Format 5.0.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence

from ansible_collections.crossvisor.san.plugins.module_utils._san.block_addresses.extents import Span
from ansible_collections.crossvisor.san.plugins.module_utils._san.block_addresses.hard_disk_files.reading import NotTold
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import DATA, HOLE, UNWRITTEN

_EXTENTS = re.compile(r"^(?:RW|RDONLY|NOACCESS)\b.*", re.MULTILINE)
_FLAT = re.compile(r'(?:RW|RDONLY) ([0-9]{1,15}) VMFS "([^"/]+)"(?: 0)?\s*')
_BASED_ON = re.compile(r"^parentCID\s*=\s*(?!f{8}\s*$)\S", re.MULTILINE | re.IGNORECASE)
_NUMBER = "([0-9]{1,18})"
_RANGE = re.compile(
    rf"\[ *{_NUMBER}: *{_NUMBER}\] --> \[(VMFS --|VMFS Z-|NOMP --) (?:LVID:([^\s(]+))?:\( *{_NUMBER} --> *{_NUMBER}\)\]", re.ASCII
)
_STATES = {"VMFS --": DATA, "VMFS Z-": UNWRITTEN, "NOMP --": HOLE}
_QUOTED = 100
_VMFS_PARTITION = "AA31E02A400F11DB9590000C2911D1B8"
_VMFS_IN_MBR = "251"
_SECTOR = 512
_FINEST = 4096
"""What is on VMFS begins at a multiple of this, which is less than the smallest of its blocks."""


def flat_file(path: str, descriptor: str, size: int) -> str:
    """The file that holds the bytes of a virtual disk as they are, by the text of its descriptor. Raises `NotTold`."""
    if _BASED_ON.search(descriptor):
        raise NotTold(f"{path} is based on another disk, which holds what was not written since")
    extents = _EXTENTS.findall(descriptor)
    found = _FLAT.fullmatch(extents[0]) if len(extents) == 1 else None
    if found is None or int(found[1]) * _SECTOR != size:
        raise NotTold(f"{path} is no disk of {size} bytes that are in one file as they are ('{'; '.join(extents)[:_QUOTED]}')")
    return posixpath.join(posixpath.dirname(path), found[2])


def ranges(path: str, printed: str, size: int) -> list[Span]:
    """The whole of a disk of that many bytes, `offset` counted in its VMFS volume. Raises `NotTold` for what is not understood."""
    spans: list[Span] = []
    for line in filter(lambda line: line.startswith("["), map(str.strip, printed.splitlines())):
        span = _span(path, line)
        if span.start != (spans[-1].end if spans else 0) or span.start % _FINEST or span.offset % _SECTOR:
            raise NotTold(f"vmkfstools -t0 prints a line of {path} that does not hold ('{line[:_QUOTED]}')")
        spans.append(span)
    if not spans or spans[-1].end < size:
        told = "" if spans else f" ('{printed.strip()[:_QUOTED]}')"
        raise NotTold(f"vmkfstools -t0 tells of {spans[-1].end if spans else 0} bytes of {path}, which has {size}{told}")
    _refuse_doubtful(path, spans)
    return [span.cut(0, size) for span in spans if span.start < size]


def _span(path: str, line: str) -> Span:
    found = _RANGE.fullmatch(line)
    if not found:
        raise NotTold(f"vmkfstools -t0 prints a line of {path} that is not understood ('{line[:_QUOTED]}')")
    start, length, begin, end = (int(found[number]) for number in (1, 2, 5, 6))
    if end - begin != length or not length:
        raise NotTold(f"vmkfstools -t0 prints a line of {path} that does not hold ('{line[:_QUOTED]}')")
    state = _STATES[found[3]]
    return Span(start, length, state) if state == HOLE else Span(start, length, state, found[4] or "", begin)


def _refuse_doubtful(path: str, spans: Sequence[Span]) -> None:
    placed = sorted((span for span in spans if span.has_address), key=lambda span: span.offset)
    if len({span.below for span in placed}) > 1:
        raise NotTold(f"{path} is in several extents of its datastore")
    if any(one.offset + one.length > two.offset for one, two in zip(placed, placed[1:])):
        raise NotTold(f"vmkfstools -t0 tells the same place of two ranges of {path}")


def vmfs_partition(device: str, table: str) -> int:
    """Where the only VMFS partition of a device begins, in bytes, by what `partedUtil getptbl` prints. Raises `NotTold`.

    After the kind of table and its geometry, a line for each partition: number, first and last sector, type, and for GPT its name.
    """
    rows = [line.split() for line in table.splitlines()[2:]]
    found = [row for row in rows if len(row) >= 4 and row[3].upper() in (_VMFS_PARTITION, _VMFS_IN_MBR)]
    if len(found) != 1 or not re.fullmatch("[0-9]{1,18}", found[0][1]):
        raise NotTold(f"device {device} has {len(found)} VMFS partitions by its table, and not one")
    return int(found[0][1]) * _SECTOR
