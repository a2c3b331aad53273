# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a Linux machine has mounted and swaps to, by proc(5): `/proc/<pid>/mountinfo` and `/proc/swaps`.

The kernel ends a field with one space and a line with one line end, and writes space, tab, line end and backslash inside a field as three
octal digits, a newer one (fs/proc_namespace.c) a number sign too. Everything else may stand in a name as it is, also what Unicode takes for
a space or a line end; a source may be empty.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from ansible_collections.crossvisor.san.plugins.module_utils._san.linux.tree import Tree

_TABLES = ("/proc/self/mountinfo", "/proc/1/mountinfo")
_SWAPS = "/proc/swaps"
_OPTIONAL = 6  # fields before those of which a line has none or several, up to a "-"
_GAP = re.compile("[ \t]+")  # /proc/swaps is laid out in columns
_OCTAL = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True)
class Mount:
    """A line of a mount table. A bind mount is one as any other: it keeps its device busy."""

    place: str
    device: str
    """The number of the file system's device, `8:1`; btrfs, like what is on no block device, has one of its own."""
    kind: str
    source: str
    """What was mounted as the kernel shows it; for btrfs the only word on the device."""


@dataclass(frozen=True)
class Swap:
    """Active swap space."""

    path: str
    kind: str
    """`partition`, which is any block device, or `file`."""


def mounts(tree: Tree) -> list[Mount]:
    """The mounts in this process' namespace, then those in that of the first process. At each place the last one covers those before."""
    return [mount for table in _TABLES for mount in parse_mounts(tree.text(table) or "")]


def named_device(tree: Tree, mount: Mount) -> str:
    """The device node `/dev/…` that a mount names as its source, links followed; empty if it names none, or one that is not there."""
    return tree.real(mount.source) if mount.source.startswith("/dev/") else ""


def swaps(tree: Tree) -> list[Swap]:
    """Active swap space, in the order of its activation."""
    rows = (_GAP.split(line) for line in (tree.text(_SWAPS) or "").split("\n")[1:])
    return [Swap(_plain(row[0]), row[1]) for row in rows if len(row) > 1]


def parse_mounts(text: str) -> list[Mount]:
    """The mounts in the text of a table, in their order. What is no line of one is left out."""
    return [mount for line in text.split("\n") for mount in _mount(line.split(" "))]


def _mount(fields: list[str]) -> Iterator[Mount]:
    if "-" in fields[_OPTIONAL:-2]:
        after = fields.index("-", _OPTIONAL)
        yield Mount(place=_plain(fields[4]), device=fields[2], kind=_plain(fields[after + 1]), source=_plain(fields[after + 2]))


def _plain(text: str) -> str:
    return _OCTAL.sub(lambda found: chr(int(found[1], 8)), text)
