# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A virtual machine: its controllers and what sits in their slots."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.lab.world import identity

SCSI, IDE = "scsi", "ide"
SLOTS = {SCSI: 64, IDE: 2}
MAX_SCSI_CONTROLLERS = 4
IDE_GUID = "83F8638B-8DCA-4152-9EDA-2CA8B33039B4"
VHD, RAW_DISK, DVD = "vhd", "raw", "dvd"


@dataclass(eq=False)
class Controller:
    """A disk controller; ``guid`` is what its instance id ends with."""

    kind: str
    number: int
    guid: str

    @property
    def instance_suffix(self) -> str:
        """The part of its InstanceID behind that of the VM."""
        return f"{self.guid}\\{self.number if self.kind == IDE else 0}"


@dataclass(eq=False)
class Attachment:
    """What sits in a slot: a virtual hard disk (``path``, its parents nearest first), a raw disk (``naa``) or a DVD drive."""

    kind: str
    controller: Controller
    slot: int
    path: str = ""
    size: int = 0
    parents: tuple[str, ...] = ()
    naa: str = ""
    born_slot: int = -1
    """The slot that its InstanceID was made from."""

    def __post_init__(self) -> None:
        self.born_slot = self.slot if self.born_slot < 0 else self.born_slot

    @property
    def instance_suffix(self) -> str:
        """The part of the drive's InstanceID behind that of the VM."""
        return f"{self.controller.instance_suffix}\\{self.born_slot}\\D"

    @property
    def medium(self) -> str:
        """The medium that a guest finds in the slot."""
        return self.naa if self.kind == RAW_DISK else f"vhd:{self.path.lower()}"


@dataclass(eq=False)
class Vm:
    """A virtual machine on ``host``."""

    name: str
    id: str
    host: str
    highly_available: bool
    generation: int
    power: str
    integration: bool
    controllers: list[Controller]
    attachments: list[Attachment]
    checkpoints: list[tuple[str, str]] = field(default_factory=list)
    """Names and ids, oldest first; the VM goes on from the newest."""
    cluster_knows: frozenset[str] = frozenset()
    """The raw disks that the cluster's copy of the configuration names since its last refresh."""
    migrations: int = 0
    enabled_state: int | None = None
    """EnabledState of a VM that is in none of the states of `power`, for instance on its way between two of them."""

    @property
    def running(self) -> bool:
        """Whether it is powered on."""
        return self.power == "on"

    @property
    def instance_id(self) -> str:
        """The InstanceID of its realized settings."""
        return f"Microsoft:{self.id}"

    @property
    def raw_disks(self) -> frozenset[str]:
        """The NAA names of its pass-through disks."""
        return frozenset(attachment.naa for attachment in self.attachments if attachment.kind == RAW_DISK)

    def controller(self, suffix: str) -> Controller | None:
        """Return the controller of this instance suffix."""
        return next((controller for controller in self.controllers if controller.instance_suffix == suffix), None)

    def at(self, controller: Controller, slot: int) -> Attachment | None:
        """Return what sits in the slot."""
        return next((found for found in self.attachments if found.controller is controller and found.slot == slot), None)

    def add_scsi_controller(self) -> Controller:
        """Return a new SCSI controller."""
        number = sum(controller.kind == SCSI for controller in self.controllers)
        controller = Controller(SCSI, number, str(uuid.uuid4()).upper())
        self.controllers.append(controller)
        return controller

    def remove_scsi_controller(self, controller: Controller) -> None:
        """Take a SCSI controller away; those after it are counted anew."""
        self.controllers.remove(controller)
        for number, left in enumerate(found for found in self.controllers if found.kind == SCSI):
            left.number = number

    def canonical(self) -> dict[str, object]:
        """Return its state without what chance has chosen."""
        return {
            "host": self.host,
            "power": self.power,
            "controllers": [f"{controller.kind}{controller.number}" for controller in self.controllers],
            "slots": sorted(_slots(self.attachments)),
            "cluster_knows": sorted(self.cluster_knows),
            "migrations": self.migrations,
        }


def _slots(attachments: list[Attachment]) -> Iterator[str]:
    for found in attachments:
        yield f"{found.controller.kind}{found.controller.number}:{found.slot:02d} {found.kind} {found.path or found.naa}".rstrip()


def from_world(row: Mapping[str, Any]) -> Vm:
    """Return the VM that the world describes."""
    scsi_guids = [identity("scsi-controller", f"{row['name']}/{number}").upper() for number in range(row["scsi_controllers"])]
    controllers = [Controller(IDE, number, IDE_GUID) for number in range(2)] if row["generation"] == 1 else []
    controllers += [Controller(SCSI, number, guid) for number, guid in enumerate(scsi_guids)]
    places = {(controller.kind, controller.number): controller for controller in controllers}
    attachments = [
        Attachment(
            VHD, places[disk["controller"], disk["number"]], disk["slot"], disk["path"], disk["size"], tuple(disk.get("parents", ()))
        )
        for disk in row["disks"]
    ]
    attachments += [
        Attachment(RAW_DISK, places[raw["controller"], raw["number"]], raw["slot"], naa=raw["naa"]) for raw in row["passthrough"]
    ]
    if row.get("dvd"):
        controller, slot = (places[IDE, 1], 0) if row["generation"] == 1 else (places[SCSI, 0], 2)
        attachments.append(Attachment(DVD, controller, slot))
    vm = Vm(
        row["name"],
        row["id"],
        row["host"],
        row["highly_available"],
        row["generation"],
        row["power"],
        row["integration"],
        controllers,
        attachments,
        [(name, identity("checkpoint", f"{row['name']}/{name}").upper()) for name in row["checkpoints"]],
    )
    vm.cluster_knows = vm.raw_disks
    return vm
