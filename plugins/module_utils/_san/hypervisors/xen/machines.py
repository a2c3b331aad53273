# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""VMs and their disks out of XAPI's records. Pure.

A guest of Xen has one paravirtual bus; a disk's place on it is its device number, which XAPI calls `userdevice`: `SCSI(0:3)` is `xvdd`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.xen.repositories import PASSING
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import (
    IMAGE,
    MULTI_WRITER,
    NOT_SHARED,
    PASSTHROUGH,
    PHYSICAL,
    POWERED_OFF,
    POWERED_ON,
    SUSPENDED,
    VIRTUAL,
    Controller,
    ImageFile,
    VirtualDisk,
    VirtualMachine,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.xapi import Record

BUS = 0
CONTROLLER = "xenbus"
RUNNING, SUSPENDED_STATE = "Running", "Suspended"
_POWER = {RUNNING: POWERED_ON, "Paused": POWERED_ON, SUSPENDED_STATE: SUSPENDED, "Halted": POWERED_OFF}
_THICK = frozenset({"lvm", "lvmoiscsi", "lvmohba", "lvmofcoe"})
_THIN = frozenset({"ext", "nfs", "file", "smb"})


def is_machine(record: Record) -> bool:
    """Whether the record of a VM is a VM or a template, and neither a snapshot nor a host's own control domain."""
    return not record["is_a_snapshot"] and not record["is_control_domain"]


def kind(record: Record) -> str:
    """What the record of a VM is to people: a VM or a template, a snapshot, or a host's own control domain."""
    if is_machine(record):
        return "VM"
    return "control domain" if record["is_control_domain"] else "snapshot"


def machine(record: Record, host: str, cluster: str, disks: Sequence[VirtualDisk], units: Sequence[int | None]) -> VirtualMachine:
    """A VM as the model has it; `units` are those of all its drives."""
    return VirtualMachine(
        id=record["uuid"],
        name=record["name_label"],
        uuid=record["uuid"],
        instance_uuid=record["uuid"],
        host=host,
        cluster=cluster,
        power=_POWER.get(record["power_state"], POWERED_OFF),
        template=record["is_a_template"],
        controllers=[controller(units)],
        disks=disks,
    )


def controller(units: Iterable[int | None]) -> Controller:
    """The bus of every guest."""
    return Controller(CONTROLLER, CONTROLLER, BUS, sorted(unit for unit in units if unit is not None))


def disk(vbd: Record, vdi: Record, sr: Record, name: ScsiName | None, parents: Sequence[Record]) -> VirtualDisk:
    """A disk: an image, a LUN, or the one volume of a repository that stands for a LUN."""
    passed, place = name is not None or sr["type"] in PASSING, unit(vbd)
    return VirtualDisk(
        key=vbd["uuid"],
        label=vdi["name_label"] if place is None else linux_name(place),
        kind=PASSTHROUGH if passed else IMAGE,
        controller=CONTROLLER,
        bus=BUS,
        unit=place,
        size_bytes=number(vdi["virtual_size"]),
        path="" if passed else vdi["location"],
        file_system="" if passed else sr["uuid"],
        device=(device(name) if name else vdi["location"]) if passed else "",
        name=name,
        mode=(PHYSICAL if sr["type"] in PASSING else VIRTUAL) if passed else "",
        sharing=MULTI_WRITER if vdi["sharable"] else NOT_SHARED,
        parents=[ImageFile(parent["location"], parent["SR"]) for parent in parents],
        family="Xen",
        thin=None if passed else _thin(sr, vdi),
    )


def device(name: ScsiName | None) -> str:
    """How a host names a LUN, whichever of its paths it is."""
    return f"/dev/disk/by-id/scsi-{name.xapi}" if name else ""


def unit(vbd: Record) -> int | None:
    """The device number of a VBD; None for one that XAPI has not placed."""
    return int(vbd["userdevice"]) if str(vbd["userdevice"]).isdigit() else None


def linux_name(number_: int) -> str:
    """What Linux calls the disk with a device number: `xvda`, …, `xvdz`, `xvdaa`, …"""
    high, low = divmod(number_, 26)
    return f"xvd{chr(ord('a') + high - 1) if high else ''}{chr(ord('a') + low)}"


def number(text: object) -> int:
    """An integer, which XAPI sends as text; 0 for one that it does not know (-1)."""
    return max(int(str(text)), 0) if str(text).lstrip("-").isdigit() else 0


def _thin(sr: Record, vdi: Record) -> bool | None:
    if sr["type"] in _THICK and sr["sm_config"].get("allocation", "thick") == "thick":
        return False
    return True if sr["type"] in _THIN and vdi["sm_config"].get("type") != "raw" else None
