# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The drives of VMs."""

from __future__ import annotations

from collections.abc import Mapping

from tests.lab.xen import allowed
from tests.lab.xen.calls.common import PLACES, Arguments, Handler, driver_of, place_number, shared_properly, up, vbds_of
from tests.lab.xen.database import Record
from tests.lab.xen.errors import Failure
from tests.lab.xen.pool import Host, Pool, backend_kind, device_name
from tests.lab.xen.shapes import NULL

VDI_TYPES_OF_DISKS = frozenset({"system", "user", "ephemeral", "suspend", "crashdump", "metadata", "rrd", "pvs_cache"})
HOLDS, IGNORES = "holds", "ignores"
"""How a guest answers when a disk shall go: it refuses, or says nothing."""


def vbd_create(pool: Pool, given: Arguments) -> str:
    """Give a VM a drive."""
    db, args = pool.db, given["args"]
    vm = db.row("VM", args["VM"])
    if not args["empty"]:
        vdi = db.row("VDI", args["VDI"])
        if vdi["type"] not in VDI_TYPES_OF_DISKS:
            raise Failure("VDI_INCOMPATIBLE_TYPE", args["VDI"], vdi["type"])
    if args["type"] == "CD" and args["mode"] != "RO":
        raise Failure("VBD_CDS_MUST_BE_READONLY")
    if args["type"] != "CD" and args["empty"]:
        raise Failure("VBD_NOT_REMOVABLE_MEDIA", "in constructor")
    if args["mode"] == "RW" and vdi["read_only"]:
        raise Failure("VDI_READONLY", args["VDI"])
    for task, operation in vm["current_operations"].items():
        if operation in ("migrate_send", "pool_migrate"):
            raise Failure("OTHER_OPERATION_IN_PROGRESS", "VM", args["VM"], operation, task)
    place = _place(pool, args["VM"], args["userdevice"])
    if not args["empty"]:
        _want_agile(pool, vm, args["VDI"])
    values = {**args, "userdevice": place, "other_config": {**args["other_config"], **(backend_kind(vdi) if not args["empty"] else {})}}
    if vm["power_state"] != "Suspended":
        values |= {"device": "", "currently_attached": False}
    return db.create("VBD", **values)


def _place(pool: Pool, vm: str, wanted: str) -> str:
    """Return the place of a new drive; raises Failure when it is none, or taken."""
    used = {
        number for vbd in vbds_of(pool, vm) for name in (vbd["userdevice"], vbd["device"]) if (number := place_number(name)) is not None
    }
    if wanted == "autodetect":
        free = next((number for number in range(PLACES) if number not in used), None)
        if free is None:
            raise Failure("INVALID_DEVICE", wanted)
        return str(free)
    number = place_number(wanted)
    if number is None:
        raise Failure("INVALID_DEVICE", wanted)
    if number in used:
        raise Failure("DEVICE_ALREADY_EXISTS", wanted)
    return wanted


def _want_agile(pool: Pool, vm: Record, vdi: str) -> None:
    """High availability wants that a VM it protects can run everywhere."""
    sr = pool.db.row("VDI", vdi)["SR"]
    if pool.ha_enabled and vm["ha_restart_priority"] == "restart" and not shared_properly(pool, sr):
        raise Failure("HA_CONSTRAINT_VIOLATION_SR_NOT_SHARED", sr)


def vbd_plug(pool: Pool, given: Arguments) -> None:
    """Let the guest see the drive."""
    ref = given["self"]
    allowed.vbd(pool, ref).want("plug")
    row = pool.db.row("VBD", ref)
    vm = pool.db.row("VM", row["VM"])
    if vm["domain_type"] == "hvm" and row["type"] != "CD" and row["mode"] == "RO":
        raise Failure("DISK_VBD_MUST_BE_READWRITE_FOR_HVM", ref)
    attach_drive(pool, ref, up(pool, vm["resident_on"]))


def vbd_unplug(pool: Pool, given: Arguments) -> None:
    """Take the drive from the guest, which may object."""
    ref = given["self"]
    allowed.vbd(pool, ref).want("unplug")
    answer = pool.guests.get(pool.db.row("VBD", ref)["VM"])
    if answer == HOLDS:
        raise Failure("DEVICE_DETACH_REJECTED", "VBD", ref, "the device is in use")
    if answer == IGNORES:
        raise Failure("DEVICE_DETACH_TIMEOUT", "VBD", ref)
    pool.db.set("VBD", ref, currently_attached=False, device="")


def vbd_unplug_force(pool: Pool, given: Arguments) -> None:
    """Take the drive, whatever the guest says."""
    allowed.vbd(pool, given["self"]).want("unplug_force")
    pool.db.set("VBD", given["self"], currently_attached=False, device="")


def vbd_destroy(pool: Pool, given: Arguments) -> None:
    """Forget a drive that no guest has."""
    row = pool.db.row("VBD", given["self"])
    if row["currently_attached"]:
        vm = pool.db.row("VM", row["VM"])
        raise Failure("OPERATION_NOT_ALLOWED", f"VBD '{row['uuid']}' still attached to '{vm['uuid']}'")
    pool.db.destroy("VBD", given["self"])


def vbd_insert(pool: Pool, given: Arguments) -> None:
    """Put a disc into an empty drive."""
    allowed.vbd(pool, given["vbd"]).want("insert")
    if not pool.db.row("VDI", given["vdi"])["managed"]:
        raise Failure("VDI_NOT_MANAGED", given["vdi"])
    pool.db.set("VBD", given["vbd"], VDI=given["vdi"], empty=False)


def vbd_eject(pool: Pool, given: Arguments) -> None:
    """Empty a drive."""
    allowed.vbd(pool, given["vbd"]).want("eject")
    pool.db.set("VBD", given["vbd"], VDI=NULL, empty=True)


def vbd_set_mode(pool: Pool, given: Arguments) -> None:
    """Change whether the guest may write."""
    vm = pool.db.row("VBD", given["self"])["VM"]
    state = pool.db.row("VM", vm)["power_state"]
    if state != "Halted":
        raise Failure("VM_BAD_POWER_STATE", vm, "halted", state.lower())
    pool.db.set("VBD", given["self"], mode=given["value"])


def vbd_assert_attachable(pool: Pool, given: Arguments) -> None:
    """Say whether a VM could start with the drive."""
    allowed.vbd(pool, given["self"]).want("attach")


def attach_drive(pool: Pool, ref: str, host: Host) -> None:
    row = pool.db.row("VBD", ref)
    if not row["empty"]:
        vdi = pool.db.row("VDI", row["VDI"])
        driver_of(pool, vdi["SR"], host, plugged=True).vdi_attach(vdi)
    number = place_number(row["userdevice"])
    pool.db.set("VBD", ref, currently_attached=True, device=device_name(number) if number is not None else row["userdevice"])


HANDLERS: Mapping[str, Handler] = {
    "VBD.create": vbd_create,
    "VBD.plug": vbd_plug,
    "VBD.unplug": vbd_unplug,
    "VBD.unplug_force": vbd_unplug_force,
    "VBD.destroy": vbd_destroy,
    "VBD.insert": vbd_insert,
    "VBD.eject": vbd_eject,
    "VBD.set_mode": vbd_set_mode,
    "VBD.assert_attachable": vbd_assert_attachable,
}
