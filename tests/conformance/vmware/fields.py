# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What two modules tell of the same objects, compared one field at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Record = Mapping[str, Any]
Pairs = Mapping[str, tuple[Record, Record]]
"""For each object, by a name for people, what the peer tells of it and what we tell."""


@dataclass(frozen=True)
class Field:
    """One thing that both tell, in a spelling that can be compared."""

    name: str
    peer: Callable[[Record], Any]
    ours: Callable[[Record], Any]

    def __str__(self) -> str:
        return self.name


def assert_agreed(field: Field, pairs: Pairs) -> None:
    """Fail, with the field and the objects, where the peer and we tell different things."""
    assert pairs
    told = {where: (field.peer(peer), field.ours(ours)) for where, (peer, ours) in pairs.items()}
    different = [f"{where}: the peer tells {peer!r}, we tell {ours!r}" for where, (peer, ours) in told.items() if peer != ours]
    assert not different, f"{field.name}: {'; '.join(different)}"


def paired(peer: Mapping[str, Record], ours: Mapping[str, Record]) -> Pairs:
    """Bring together what is told of the same object. Both must tell of the same ones."""
    assert set(peer) == set(ours)
    return {where: (record, ours[where]) for where, record in peer.items()}
