# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the array wants of a data plane: started, told of every change, cut off and put to work again."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

STATES = ("running", "killed")
VENDOR, PRODUCT = "NETAPP", "LUN C-Mode"
"""What INQUIRY says of a LUN."""


@dataclass(frozen=True)
class Account:
    """What an initiator must prove by CHAP to know."""

    user: str
    password: str = field(repr=False)


class DataPlaneFailed(RuntimeError):
    """A data plane did not start or refused what it was told; the text is its own."""


class DataPlane(Protocol):
    """LUNs as SCSI disks that follow the array's state."""

    def start(self) -> None:
        """Offer the array's LUNs, empty; raises DataPlaneFailed and OSError."""

    def stop(self) -> None:
        """End what was started."""

    def follow(self) -> None:
        """Offer what the array says after a change; while nothing runs there is nothing to do."""

    def reset(self) -> None:
        """Offer what the array says, without any data."""

    def admit(self, initiator: str, account: Account | None) -> None:
        """Want CHAP of an initiator at its next login, or want none; raises ValueError where that cannot be."""

    def read(self, uuid: str, offset: int, size: int) -> bytes:
        """Return a part of a LUN's data, as its initiators would read it; raises DataPlaneFailed and OSError."""

    def switch(self, state: str) -> None:
        """Let it be ``killed``, or ``running`` again on the data that it left; raises ValueError for another state."""


def checked(state: str) -> str:
    """Return the state; raises ValueError for what is none."""
    if state not in STATES:
        raise ValueError(f"state is one of {', '.join(STATES)}, not {state!r}")
    return state
