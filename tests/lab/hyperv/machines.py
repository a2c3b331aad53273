# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A Windows machine and the disks that it has discovered."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

FC, ISCSI, SAS, SATA = 6, 9, 10, 11
ABSENT, DISABLED, STOPPED, RUNNING = "absent", "disabled", "stopped", "running"
"""The cluster service: not installed; installed, but no node of a cluster; of a node, stopped and running."""
COLLISION = 4
"""OfflineReason: another disk that is online has the same signature, or GUID of disk or partition."""
POLICY = 1
"""OfflineReason: the SAN policy OfflineShared, the default of Windows Server's Datacenter edition."""


@dataclass(frozen=True)
class Unit:
    """One logical unit as a machine's SCSI layer meets it; ``path_id`` tells two paths to one LUN apart where there is no MPIO."""

    key: str
    path_id: str
    unique_id: str
    serial: str
    vendor: str
    model: str
    bus: int
    size: int
    adapter: int = 0
    target: int = 0
    lun: int = 0
    multipath: bool = False

    @property
    def instance(self) -> str:
        """What Plug and Play calls it, with number signs, as it is part of the path of its device interface."""
        names = f"disk&ven_{self.vendor.lower()}&prod_{self.model.lower().replace(' ', '_')}"
        end = f"1&7f6ac24&0&{self.unique_id.lower()}" if self.multipath else f"5&{self.adapter:07x}&0&{self.target:02x}{self.lun:04x}"
        return f"{'mpio' if self.multipath else 'scsi'}#{names}#{end}"


@dataclass(eq=False)
class Disk:
    """A disk of one machine under the number that it has until the next boot."""

    number: int
    unit: Unit
    offline: bool = True
    read_only: bool = True
    boot: bool = False
    noticed: bool = True
    """Hyper-V knows that it is offline, and offers it to VMs."""

    @property
    def key(self) -> str:
        """The medium that it shows."""
        return self.unit.key


@dataclass(eq=False)
class Machine:
    """A host or guest."""

    name: str
    role: str
    cluster: str | None
    uuid: str
    manufacturer: str
    model: str
    mpio: bool
    hbas: Sequence[Mapping[str, Any]]
    vm: str | None = None
    cluster_service: str = ABSENT
    up: bool = True
    boots: int = 0
    blind_rescans: int = 0
    """How many of the next rescans find nothing, and say nothing about it."""
    disks: list[Disk] = field(default_factory=list)
    targets: list[tuple[str, str, int]] = field(default_factory=list)
    """iSCSI targets by name, address and port, that it has sessions with since the last rescan."""
    directories: set[str] = field(default_factory=set)
    """The directories that were made on it."""
    files: set[str] = field(default_factory=set)
    """Its files that anybody asks for; like the directories in lower case."""
    hypervisor_present: bool = True
    registry: dict[str, dict[str, str]] = field(default_factory=dict)
    """What guest tools have written into it: text by value by key."""

    def inside(self, directory: str) -> list[str]:
        """Return the files and directories right in a directory, by their paths."""
        return [path for path in sorted(self.files | self.directories) if path.rpartition("\\")[0] == directory.lower()]

    @property
    def takes_part(self) -> bool:
        """Whether its cluster calls it up."""
        return self.up and self.cluster_service == RUNNING

    @property
    def short(self) -> str:
        """The computer name."""
        return self.name.partition(".")[0].upper()

    @property
    def initiators(self) -> list[str]:
        """Its names on the SAN, of the ports that are online."""
        return [hba.get("wwpn") or hba["iqn"] for hba in self.hbas if hba["status"] == "online"]

    def disk(self, number: int) -> Disk | None:
        """Return the disk of this number."""
        return next((disk for disk in self.disks if disk.number == number), None)

    def disks_of(self, key: str) -> list[Disk]:
        """Return the disks that show this medium: more than one without MPIO."""
        return [disk for disk in self.disks if disk.key == key]

    def discover(self, units: Iterable[Unit]) -> list[Disk]:
        """Take over what a rescan found and return the new disks; they come offline, under the lowest free numbers."""
        found = {unit.path_id: unit for unit in units}
        self.disks = [disk for disk in self.disks if disk.boot or disk.unit.path_id in found]
        for disk in self.disks:
            disk.unit = found.get(disk.unit.path_id, disk.unit)
        known = {disk.unit.path_id for disk in self.disks}
        new = [Disk(0, unit) for path_id, unit in found.items() if path_id not in known]
        for disk in new:
            disk.number = _lowest_free({other.number for other in self.disks})
            self.disks.append(disk)
        return new

    def renumber(self) -> None:
        """Give every disk beside the boot disk another number, as a boot may that meets the paths in another order."""
        others = [disk for disk in self.disks if not disk.boot]
        numbers = sorted(disk.number for disk in others)
        turned = numbers[1:] + numbers[:1]
        for disk, number in zip(sorted(others, key=lambda disk: disk.number), turned):
            disk.number = number
        self.boots += 1


def lun_units(machine: Machine, rows: Iterable[Mapping[str, Any]]) -> list[Unit]:
    """Return the units behind the rows of ``/presented``: one per LUN with MPIO, one per initiator and LUN without."""
    units: dict[str, Unit] = {}
    initiators = {name.lower(): index for index, name in enumerate(machine.initiators)}
    for row in rows:
        adapter = initiators[row["initiator"].lower()]
        path_id = row["naa"] if machine.mpio else f"{row['naa']}@{adapter}"
        bus = ISCSI if row["initiator"].startswith("iqn.") else FC
        unit = Unit(
            row["naa"],
            path_id,
            row["naa"].upper(),
            row["serial"],
            row["vendor"],
            row["model"],
            bus,
            row["size"],
            adapter,
            0,
            row["lun"],
            machine.mpio,
        )
        units.setdefault(path_id, unit)
    return sorted(units.values(), key=lambda unit: (unit.lun, unit.path_id))


def _lowest_free(taken: set[int]) -> int:
    return next(number for number in range(len(taken) + 1) if number not in taken)


def iscsi_targets(rows: Iterable[Mapping[str, Any]]) -> list[tuple[str, str, int]]:
    """Return name, address and port of each iSCSI target behind the rows of ``/presented``."""
    ports = (port for row in rows for port in row["ports"] if port["kind"] == "iscsi")
    return sorted({(port["iqn"], port["address"], port["port"]) for port in ports})
