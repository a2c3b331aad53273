# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a user asks of a volume, and what on a disk contradicts it."""

from __future__ import annotations

from dataclasses import dataclass

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import option
from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.windows import file_systems
from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.windows.access_path import AccessPath
from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.windows.layout import Layout
from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.windows.xenbus import NOWHERE, Place
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName

_USABLE = frozenset(name.lower() for name in file_systems.ALLOCATION_UNITS)


@dataclass(frozen=True)
class VolumeWish:
    """A volume over the whole of a LUN. Raises `InvalidInput` for what Windows cannot make."""

    name: ScsiName
    file_system: str = file_systems.NTFS
    label: str | None = None
    """None leaves the label of an existing volume as it is."""
    allocation_unit_bytes: int | None = None
    """None takes the one of an existing volume, and for a new one lets Windows choose."""
    mount: AccessPath | None = None
    blank: bool = False
    """Somebody who can tell, such as the array, vouches that nothing was ever written to the LUN."""
    force: bool = False
    """The user's word that whatever is on the LUN may be lost."""
    place: Place = NOWHERE
    """Where the hypervisor has put the LUN."""
    timeout: float = 300.0
    """Seconds for the guest to see the LUN, and for each change."""

    def __post_init__(self) -> None:
        if self.label is not None:
            file_systems.check_label(self.label)
        if self.allocation_unit_bytes is not None:
            file_systems.check_unit(self.file_system, self.allocation_unit_bytes)


def objection(layout: Layout, wish: VolumeWish) -> str:
    """What a disk holds instead of the volume that is wished; empty when it holds nothing, or just that, or is offline and cannot tell."""
    if layout.is_empty:
        return ""
    if len(layout.data) != 1:
        return f"{len(layout.data)} partitions" if layout.data else "an MBR partition table"
    volume = layout.volume
    if layout.disk.offline:
        return ""
    if volume is None or not volume.file_system:
        return "a partition without a file system that Windows knows, which may be encrypted, another system's, or left by a killed run"
    if volume.file_system.lower() != wish.file_system.lower():
        return f"the file system {volume.file_system}, not {wish.file_system}"
    if wish.allocation_unit_bytes not in (None, volume.allocation_unit_bytes):
        return f"{volume.file_system} with allocation units of {volume.allocation_unit_bytes} bytes, not {wish.allocation_unit_bytes}"
    return ""


def way_out(layout: Layout, wish: VolumeWish) -> str:
    """What to do about an objection; erasing is for who knows that nobody needs what is there, and never the advice."""
    volume = layout.volume
    if len(layout.data) != 1 or volume is None or volume.file_system.lower() not in _USABLE:
        return "make sure that this is the LUN that is meant and that nobody needs what is on it, because all of it would be lost by force"
    same = volume.file_system.lower() == wish.file_system.lower()
    wanted = f"leave out {option('allocation_unit')}" if same else f"ask for {volume.file_system}"
    return f"{wanted} to use it as it is, or choose another LUN"


def other_label(layout: Layout, wish: VolumeWish) -> str | None:
    """The label of the disk's volume when it is another one than is wished, else None."""
    volume = layout.volume
    if volume is None or not volume.file_system or wish.label in (None, volume.label):
        return None
    return volume.label
