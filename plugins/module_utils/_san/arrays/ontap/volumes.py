# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Volumes and consistency groups as an ONTAP tells of them when snapshots of them are meant. Pure; asks nothing."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_MARK = re.compile(r"crossvisor\.san:[0-9a-f]{16}")
_OURS = re.compile(r"crossvisor_[0-9a-f]{16}")


@dataclass(frozen=True)
class Place:
    """A volume that LUNs are in."""

    svm: str
    volume: str
    id: str

    def __str__(self) -> str:
        return f"{self.svm}:{self.volume}"


@dataclass(frozen=True)
class Taken:
    """What a group has taken of all its volumes at one moment."""

    id: str
    name: str
    mark: str
    whole: bool


@dataclass(frozen=True)
class ConsistencyGroup:
    """A consistency group, with what it has taken as far as that was asked."""

    id: str
    name: str
    volumes: frozenset[str]
    taken: Sequence[Taken] = ()

    @property
    def ours(self) -> bool:
        """Whether it was made for one snapshot, and may go."""
        return _OURS.fullmatch(self.name) is not None

    def named(self, *names: str) -> Taken | None:
        """What was taken under one of these names, if it is whole."""
        return next((one for one in self.taken if one.name in names and one.whole), None)


def text_of(mark: str, comment: str | None) -> str:
    """What is kept with a snapshot: the mark, then the text for people."""
    return f"{mark} {comment or ''}".rstrip()


def apart(text: str) -> tuple[str, str]:
    """The mark at the beginning of what is kept with a snapshot, empty when there is none, and the text for people."""
    mark = _MARK.match(text)
    return (mark.group(), text[mark.end() :].lstrip()) if mark else ("", text)
