# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lab's Windows guest with a LUN of its own, for the specifications of what happens inside a guest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.crossvisor.san.plugins.module_utils._san.connection import GUEST as ROLE
from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.windows.access_path import AccessPath
from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.windows.guest import WindowsGuest
from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.windows.session import Session
from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.windows.wish import VolumeWish
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from ansible_collections.crossvisor.san.plugins.module_utils._san.services import guest_volume
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.guest_volume import VolumeReport
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.cim import CimClient
from tests.lab.hyperv.machines import Disk, Machine
from tests.lab.hyperv.media import Medium
from tests.lab.hyperv.running import Lab
from tests.unit.lab.hyperv.desk import GUEST, HOST, Desk
from tests.unit.windows import Wire, client

GIB = 1024**3


@dataclass
class Bench:
    """The guest win01, to which a LUN of 5 GiB was attached, and what a test does with it."""

    lab: Lab = field(default_factory=Lab)
    wire: Wire = field(default_factory=Wire)

    def __post_init__(self) -> None:
        self.name = ScsiName(self.lab.map_lun("hv_hv01"))
        host = Desk(self.lab, HOST)
        host.rescan()
        host.attach("win01", host.drive_path(self.name.naa))
        self.lab.estate.timeline.settle(everything=True)

    @property
    def machine(self) -> Machine:
        """The guest as the lab has it."""
        return self.lab.estate.machines[GUEST]

    @property
    def disk(self) -> Disk:
        """The LUN in the guest as the lab has it."""
        (found,) = self.machine.disks_of(self.name.naa)
        return found

    @property
    def medium(self) -> Medium:
        """What lies on the LUN."""
        return self.lab.estate.medium(self.name.naa)

    @property
    def client(self) -> CimClient:
        """A login at the guest."""
        return client(self.lab, GUEST, self.wire, ROLE)

    @property
    def guest(self) -> WindowsGuest:
        """The guest, with a clock that goes only while it is slept."""
        now = 0.0

        def sleep(seconds: float) -> None:
            nonlocal now
            now += seconds

        return WindowsGuest(self.client, lambda: now, sleep)

    def see(self) -> None:
        """Let the guest look for disks."""
        Desk(self.lab, GUEST).rescan()

    def resize_lun(self, size: int) -> None:
        """Give the LUN another size, which the host notices."""
        volumes = self.lab.world["array"]["svms"][0]["volumes"]
        next(lun for volume in volumes for lun in volume["luns"] if lun["name"] == "spare")["size"] = size
        Desk(self.lab, HOST).rescan()

    def wish(self, mount: str | None = "E:", **wished: Any) -> VolumeWish:
        """A wish for a volume on the LUN."""
        settings: Mapping[str, Any] = {"timeout": 1.0, "blank": True, **wished}
        return VolumeWish(self.name, mount=AccessPath.parse(mount) if mount else None, **settings)

    def session(self) -> Session:
        """What the guest shows of the LUN now."""
        return self.guest.session(self.name, 1.0)

    def present(self, mount: str | None = "E:", check: bool = False, **wished: Any) -> VolumeReport:
        """Let the LUN be a volume."""
        return guest_volume.present(self.guest, self.wish(mount, **wished), check)

    def absent(self, check: bool = False) -> VolumeReport:
        """Let the guest no longer use the LUN."""
        return guest_volume.absent(self.guest, self.name, 1.0, check)

    def state(self) -> Any:
        """What the lab holds of the LUN in the guest, without what chance has chosen."""
        disks = [(disk.offline, disk.read_only) for disk in self.machine.disks_of(self.name.naa)]
        return disks, self.medium.canonical(), sorted(self.machine.directories)
