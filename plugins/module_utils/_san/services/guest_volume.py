# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Make a volume of a LUN inside a guest, and take it out of use again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.windows.access_path import AccessPath, is_letter
from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.windows.guest import WindowsGuest
from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.windows.layout import Layout, Partition, Storage
from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.windows.session import Session
from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.windows.volume import (
    flush,
    plan_absent,
    plan_place,
    plan_present,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.windows.wish import VolumeWish
from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.windows.xenbus import NOWHERE, Place
from ansible_collections.crossvisor.san.plugins.module_utils._san.plan import Outcome, carry_out, read_back
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import PlannedLun, ScsiName


@dataclass(frozen=True)
class Beside:
    """Other LUNs that the guest loses, and volumes that it gets on others, before it gets the wished one."""

    leaving: Sequence[ScsiName] = ()
    ahead: Sequence[tuple[AccessPath, str]] = ()
    """Where each shows, and its file system."""

    def then(self, storage: Storage) -> Storage:
        """What there will be in the guest by then."""
        for name in self.leaving:
            storage = storage.without(name)
        for path, file_system in self.ahead:
            storage = storage.with_volume(path, file_system)
        return storage


ALONE = Beside()


@dataclass(frozen=True)
class VolumeReport:
    """What was, or would be, done; `layout` is None when the guest does not show the LUN."""

    outcome: Outcome
    guest: str
    name: ScsiName
    layout: Layout | None

    def result(self) -> dict[str, Any]:
        """The report as a module returns it."""
        disk = self.layout.disk if self.layout else None
        return {
            "changed": self.outcome.changed,
            "actions": list(self.outcome.actions),
            "diff": self.outcome.diff(),
            "guest_name": self.guest,
            "naa": None if isinstance(self.name, PlannedLun) else self.name.naa,
            "serial": None if isinstance(self.name, PlannedLun) else self.name.serial,
            "disk_number": disk.number if disk else None,
            "size_bytes": disk.size_bytes if disk else None,
            "volume": _volume(self.layout) if self.layout else None,
        }


def present(guest: WindowsGuest, wish: VolumeWish, check_mode: bool, beside: Beside = ALONE) -> VolumeReport:
    """Let the LUN be the wished volume. Raises a `CrossvisorError`; nothing is left half-made.

    In check mode the guest does not look for new or grown disks, so that of a LUN that it has not seen yet only so much can be told:
    whether its place is free. `beside` is for check mode alone.
    """
    session = guest.session(wish.name, wish.timeout, wish.place)
    if check_mode:
        session.storage = beside.then(session.storage)
        if session.found is None:
            return VolumeReport(_only_after_looking(session, wish), session.guest, wish.name, None)
    else:
        session.rescan()
    outcome = carry_out(plan_present(session, wish), check_mode)
    layout = read_back(outcome, check_mode, session.look)
    return VolumeReport(outcome, session.guest, wish.name, layout)


def absent(guest: WindowsGuest, name: ScsiName, timeout: float, check_mode: bool, place: Place = NOWHERE) -> VolumeReport:
    """Let the guest no longer use the LUN; its data stays. Raises a `CrossvisorError`."""
    session = guest.session(name, timeout, place)
    session.refuse_unknown_place()
    outcome = carry_out(plan_absent(session), check_mode)
    layout = read_back(outcome, check_mode, session.look)
    return VolumeReport(outcome, session.guest, name, layout)


def flushed(guest: WindowsGuest, name: ScsiName, timeout: float, check_mode: bool, place: Place = NOWHERE) -> VolumeReport:
    """Let the guest write what it has kept in memory for the volumes of the LUN. Raises a `CrossvisorError`."""
    session = guest.session(name, timeout, place)
    session.refuse_unknown_place()
    flush(session, check_mode)
    return VolumeReport(Outcome(False, [], {}, {}), session.guest, name, session.found)


def _only_after_looking(session: Session, wish: VolumeWish) -> Outcome:
    """What can be told of a LUN that the guest has not seen. Raises `Refused` for a place that is not free."""
    if wish.mount:
        plan_place(session, wish.mount)
    mount = f", mounted as {wish.mount}" if wish.mount else ""
    found = f"look for LUN {wish.name} on {session.guest}"
    made = f"if it is found and empty, make it a volume with {wish.file_system}{mount}"
    return Outcome(True, [found, made], {"visible": False}, {"visible": True})


def _volume(layout: Layout) -> Mapping[str, Any] | None:
    partition, volume = layout.partition, layout.volume
    if partition is None or volume is None:
        return None
    return {
        "path": volume.path,
        "file_system": volume.file_system,
        "label": volume.label,
        "allocation_unit_bytes": volume.allocation_unit_bytes,
        "size_bytes": volume.size_bytes,
        "drive_letter": _letter(partition),
        "mount_points": [path.rstrip("\\") for path in partition.access_paths if not is_letter(path)],
    }


def _letter(partition: Partition) -> str | None:
    return next((path.rstrip("\\") for path in partition.access_paths if is_letter(path)), None)
