# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A disk of a Windows guest on Xen, which tells no name: it is known by its place, and is taken only if its size is the LUN's.

Facts of the drivers' source (win-xenvbd, fdo.c and pdoinquiry.c): the vendor is XENSRC, the disk with device number n is target n, LUN 0,
on bus 0 of the one adapter, and its serial number, where the storage driver of the host gives it none, is n in four digits. OpenStack Nova
(virt/xenapi/vmops.py) and Amazon's guide to Windows instances ("Map non-NVMe disks to volumes") go by the same target. That Windows shows
target and LUN in Win32_DiskDrive is of Microsoft's reference and Amazon's script. None of this was ever seen here on a machine.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import Ambiguous, InvalidInput, Refused
from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.windows import classes
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import Slot
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from ansible_collections.crossvisor.san.plugins.module_utils._san.windows.disks import HostDisk
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.cim import CimClient
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.cim_types import CimInstance

VENDOR = "XENSRC"
BUS = 0
_NUMBER_AS_SERIAL = re.compile("[0-9]{4}")


@dataclass(frozen=True)
class Place:
    """Where the hypervisor has put the LUN, and how large it is for the guest in bytes; only a guest on Xen needs it."""

    slot: Slot
    size_bytes: int

    @property
    def known(self) -> bool:
        """Whether it names one place of a guest on Xen."""
        return self.slot.bus == BUS and self.slot.unit is not None


NOWHERE = Place(Slot(), 0)


def on_xen(disks: Sequence[HostDisk]) -> bool:
    """Tell whether a machine has disks of Xen's drivers."""
    return any(disk.vendor == VENDOR for disk in disks)


def named(client: CimClient, disks: Sequence[HostDisk], name: ScsiName, place: Place) -> list[HostDisk]:
    """The disks, of which the one of Xen's in this place bears the LUN's name, if there is one.

    Raises `InvalidInput` without the LUN's size, `Refused` when the disk has another one, `Ambiguous` when two claim the place.
    """
    if not place.known or not on_xen(disks):
        return list(disks)
    unit = place.slot.unit
    if place.size_bytes <= 0:
        raise InvalidInput(
            f"A Windows guest on Xen is not told LUN {name}, which is known there by its place and size alone: give size_bytes beside "
            "address, both as ptd_attach returns them."
        )
    drives = [drive for drive in client.query(classes.DISK_DRIVE, columns=classes.DISK_DRIVE.columns) if _is_at(drive, unit)]
    found = [(disk, drive) for drive in drives for disk in disks if disk.vendor == VENDOR and _same(disk, drive)]
    if len(found) > 1:
        numbers = " and ".join(str(disk.number) for disk, _drive in found)
        raise Ambiguous(f"Disks {numbers} are both SCSI({BUS}:{unit}) of this guest: attach LUN {name} elsewhere.")
    for disk, drive in found:
        _refuse_other(disk, drive, name, place)
        return [replace(other, name=name) if other is disk else other for other in disks]
    return list(disks)


def _is_at(drive: CimInstance, unit: int | None) -> bool:
    return (drive.integer("SCSIBus"), drive.integer("SCSITargetId"), drive.integer("SCSILogicalUnit")) == (BUS, unit, 0)


def _same(disk: HostDisk, drive: CimInstance) -> bool:
    """Whether both are one device, by the instance of Plug and Play that the path of a disk contains."""
    instance = drive.text("PNPDeviceID").replace("\\", "#").lower()
    return bool(instance) and f"#{instance}#" in disk.path.lower().replace("\\\\?\\", "#")


def _refuse_other(disk: HostDisk, drive: CimInstance, name: ScsiName, place: Place) -> None:
    where = f"Disk {disk.number}, which is SCSI({BUS}:{place.slot.unit}) of this guest,"
    if disk.size_bytes != place.size_bytes:
        raise Refused(
            f"{where} has {disk.size_bytes} bytes, not the {place.size_bytes} of LUN {name}, and was left alone: check the place, or if "
            "the LUN has grown, detach it and attach it again."
        )
    serial = drive.text("SerialNumber").strip()
    if _NUMBER_AS_SERIAL.fullmatch(serial) and int(serial) != place.slot.unit:
        raise Refused(f"{where} has the serial number {serial}, that of another place, and was left alone: see in the guest which it is.")
