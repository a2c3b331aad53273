# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Make a volume of a LUN inside a guest, and take it out of use again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.windows.access_path import is_letter
from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.windows.guest import WindowsGuest
from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.windows.layout import Layout, Partition
from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.windows.volume import plan_absent, plan_present
from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.windows.wish import VolumeWish
from ansible_collections.crossvisor.san.plugins.module_utils._san.plan import Outcome, carry_out, read_back
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName


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
            "naa": self.name.naa,
            "serial": self.name.serial,
            "disk_number": disk.number if disk else None,
            "size_bytes": disk.size_bytes if disk else None,
            "volume": _volume(self.layout) if self.layout else None,
        }


def present(guest: WindowsGuest, wish: VolumeWish, check_mode: bool) -> VolumeReport:
    """Let the LUN be the wished volume. Raises a `CrossvisorError`; nothing is left half-made.

    In check mode the guest does not look for new or grown disks, so that of a LUN that it has not seen yet only so much can be told.
    """
    session = guest.session(wish.name, wish.timeout)
    if check_mode and session.found is None:
        return VolumeReport(_only_after_looking(session.guest, wish), session.guest, wish.name, None)
    if not check_mode:
        session.rescan()
    outcome = carry_out(plan_present(session, wish), check_mode)
    layout = read_back(outcome, check_mode, session.look)
    return VolumeReport(outcome, session.guest, wish.name, layout)


def absent(guest: WindowsGuest, name: ScsiName, timeout: float, check_mode: bool) -> VolumeReport:
    """Let the guest no longer use the LUN; its data stays. Raises a `CrossvisorError`."""
    session = guest.session(name, timeout)
    outcome = carry_out(plan_absent(session), check_mode)
    layout = read_back(outcome, check_mode, session.look)
    return VolumeReport(outcome, session.guest, name, layout)


def _only_after_looking(guest: str, wish: VolumeWish) -> Outcome:
    mount = f", mounted as {wish.mount}" if wish.mount else ""
    found = f"look for LUN {wish.name} on {guest}"
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
