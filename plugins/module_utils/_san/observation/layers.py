# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is told of one write by each of two layers that do not know each other: above, the virtual disk's; below, the LUN's.

Times are seconds since 1970 by the clock of the layer that tells them, or None where it tells none.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Written:
    """A write to a virtual disk, as its guest knows it."""

    number: int
    """Of the marker that was written."""
    virtual_offset: int
    """Bytes from the beginning of the virtual disk."""
    length: int
    submitted: float | None = None
    completed: float | None = None
    within: int = 0
    """Which byte of the marker is there: a layer in the guest may have cut it."""
    disk: str = ""
    """The disk as the guest knows it: what is above may lie on several."""


@dataclass(frozen=True)
class Seen:
    """A write to a LUN, or bytes on it, as somebody saw them who knows nothing of what is above."""

    number: int | None
    """Of the marker in it; None where the bytes are not known, or are no marker's."""
    lun: str
    """The LUN: NAA hex digits without prefix, or whatever the layer calls it."""
    lba: int
    length: int
    """In bytes."""
    submitted: float | None = None
    completed: float | None = None
    within: int = 0
    """Which byte of the marker it begins with."""
    block_size: int = 512
    """Bytes of one logical block of the LUN."""
