# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which operations an object allows now, and why not another: XAPI's tables of valid operations for VBDs, VDIs and SRs.

Where several reasons forbid an operation, the first one is told, as in XAPI.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from tests.lab.xen.database import Database, Record
from tests.lab.xen.errors import Failure
from tests.lab.xen.pool import SM_FEATURES, Pool
from tests.lab.xen.shapes import NULL

PLUGGING = ("plug", "unplug", "unplug_force")
VBD_OPERATIONS = ("attach", "eject", "insert", *PLUGGING, "pause", "unpause")
VDI_OPERATIONS = ("snapshot", "clone", "copy", "resize", "destroy", "forget", "update", "generate_config", "set_on_boot")
NEEDED_FEATURE: Mapping[str, str] = {
    "vdi_create": "VDI_CREATE",
    "vdi_destroy": "VDI_DELETE",
    "vdi_resize": "VDI_RESIZE",
    "vdi_introduce": "VDI_INTRODUCE",
    "vdi_snapshot": "VDI_SNAPSHOT",
    "vdi_clone": "VDI_CLONE",
    "update": "SR_UPDATE",
}
SR_OPERATIONS = ("scan", "destroy", "forget", "plug", "unplug", *NEEDED_FEATURE, "pbd_create", "pbd_destroy")
VDI_FEATURE: Mapping[str, str] = {"snapshot": "VDI_SNAPSHOT", "clone": "VDI_CLONE", "resize": "VDI_RESIZE", "destroy": "VDI_DELETE"}
LIVE = ("snapshot", "clone")
"""What can be done to a VDI that a VM uses."""
STOPPING = ("clean_shutdown", "hard_shutdown", "suspend", "pause")


class Table:
    """The reasons against operations, each only once."""

    def __init__(self, operations: Sequence[str]) -> None:
        self._reasons: dict[str, tuple[object, ...] | None] = dict.fromkeys(operations)

    def forbid(self, operations: Iterable[str], code: str, *parameters: object) -> None:
        """Forbid operations for which there is no reason yet."""
        for operation in operations:
            if operation in self._reasons and self._reasons[operation] is None:
                self._reasons[operation] = (code, *parameters)

    def allowed(self) -> list[str]:
        """Return the operations against which there is no reason."""
        return [operation for operation, reason in self._reasons.items() if reason is None]

    def want(self, operation: str) -> None:
        """Raise Failure when there is a reason against an operation."""
        if reason := self._reasons.get(operation):
            raise Failure(*reason)


def _busy(row: Record) -> tuple[str, str] | None:
    """Return the task and the operation that goes on with an object."""
    return next(iter(row["current_operations"].items()), None)


def vbd(pool: Pool, ref: str, *, sharing: bool = True) -> Table:
    """Return the table of a VBD; who shares its VDI is looked at only before an operation, not for ``allowed_operations``."""
    db, table = pool.db, Table(VBD_OPERATIONS)
    row = db.row("VBD", ref)
    if busy := _busy(row):
        table.forbid(VBD_OPERATIONS, "OTHER_OPERATION_IN_PROGRESS", "VBD", ref, busy[1], busy[0])
    if not row["unpluggable"]:
        table.forbid(("unplug", "unplug_force"), "VBD_NOT_UNPLUGGABLE", ref)
    if row["type"] != "CD":
        table.forbid(("insert", "eject"), "VBD_NOT_REMOVABLE_MEDIA", ref)
    table.forbid(("eject",) if row["empty"] else ("insert",), "VBD_IS_EMPTY" if row["empty"] else "VBD_NOT_EMPTY", ref)
    _of_vm(db, table, ref, row)
    if not row["empty"]:
        _of_vdi(db, table, ref, row, sharing=sharing)
    return table


def _of_vm(db: Database, table: Table, ref: str, row: Record) -> None:
    vm = db.row("VM", row["VM"])
    state = vm["power_state"]
    if state != "Running":
        table.forbid((*PLUGGING, "pause", "unpause"), "VM_BAD_POWER_STATE", row["VM"], "running", state.lower())
    elif row["currently_attached"]:
        table.forbid(("plug",), "DEVICE_ALREADY_ATTACHED", ref)
    else:
        table.forbid(("unplug", "unplug_force"), "DEVICE_ALREADY_DETACHED", ref)
    for operation in vm["current_operations"].values():
        if operation in STOPPING:
            table.forbid(("plug", "unplug"), "OPERATION_NOT_ALLOWED", f"Current operation on VM:{row['VM']} is {operation}")
    if state == "Running" and vm["domain_type"] == "hvm":
        _of_guest(db, table, row, vm)
    if row["type"] == "CD" and state == "Suspended":
        table.forbid(("insert", "eject"), "VM_BAD_POWER_STATE", row["VM"], "halted, running", "suspended")


def _of_guest(db: Database, table: Table, row: Record, vm: Record) -> None:
    """A guest takes disks while it runs only with PV drivers, and only what says so."""
    metrics = db.row("VM_guest_metrics", vm["guest_metrics"]) if vm["guest_metrics"] != NULL else None
    says = metrics["can_use_hotplug_vbd"] if metrics else "unspecified"
    drivers = metrics is not None and (metrics["PV_drivers_detected"] or bool(metrics["PV_drivers_version"]))
    if says == "no":
        table.forbid(PLUGGING, "OPERATION_NOT_ALLOWED", "VM states it does not support VBD hotplug.")
    elif says == "unspecified" and not drivers:
        table.forbid(PLUGGING, "VM_MISSING_PV_DRIVERS", row["VM"])
    if row["type"] == "CD":
        table.forbid(PLUGGING, "OPERATION_NOT_ALLOWED", "HVM CDROMs cannot be hotplugged/unplugged, only inserted or ejected")


def _of_vdi(db: Database, table: Table, ref: str, row: Record, *, sharing: bool) -> None:
    wanted = ("attach", "insert", "plug")
    if not db.has("VDI", row["VDI"]):
        table.forbid(wanted, "HANDLE_INVALID", "VDI", row["VDI"])
        return
    vdi = db.row("VDI", row["VDI"])
    if not vdi["managed"]:
        table.forbid(VBD_OPERATIONS, "VDI_NOT_MANAGED", ref)
    if busy := _busy(vdi):
        table.forbid(wanted, "OTHER_OPERATION_IN_PROGRESS", "VDI", row["VDI"], busy[1], busy[0])
    if row["currently_attached"] or not sharing:
        return
    others = [db.row("VBD", other) for other in db.users("VDI", row["VDI"], "VBDs") if other != ref]
    using = [other for other in others if other["currently_attached"] and db.row("VM", other["VM"])["power_state"] != "Suspended"]
    writes = row["mode"] == "RW"
    if not vdi["sharable"] and (any(other["mode"] == "RW" for other in using) or (writes and using)):
        table.forbid(wanted, "VDI_IN_USE", row["VDI"])
    if writes and vdi["read_only"]:
        table.forbid(wanted, "VDI_READONLY", row["VDI"])


def vdi(pool: Pool, ref: str) -> Table:
    """Return the table of a VDI."""
    db, table = pool.db, Table(VDI_OPERATIONS)
    row = db.row("VDI", ref)
    if busy := _busy(row):
        table.forbid(VDI_OPERATIONS, "OTHER_OPERATION_IN_PROGRESS", "VDI", ref, busy[1], busy[0])
    attached = [other for other in pool.attachments(ref) if other["currently_attached"]]
    if attached:
        blocked = [operation for operation in VDI_OPERATIONS if operation not in LIVE]
        for operation in blocked:
            table.forbid((operation,), "VDI_IN_USE", ref, operation)
    kind = db.row("SR", row["SR"])["type"]
    for operation, feature in VDI_FEATURE.items():
        if feature not in SM_FEATURES[kind] and operation != "destroy":
            table.forbid((operation,), "SR_OPERATION_NOT_SUPPORTED", row["SR"])
    if "VDI_DELETE" not in SM_FEATURES[kind]:
        table.forbid(("destroy",), "SR_OPERATION_NOT_SUPPORTED", row["SR"])
    if kind == "udev":
        table.forbid(("destroy",), "VDI_IS_A_PHYSICAL_DEVICE", ref)
    if pool.ha_enabled and row["type"] in ("ha_statefile", "redo_log"):
        table.forbid(("destroy", "forget", "resize"), "HA_IS_ENABLED")
    if row["sharable"]:
        table.forbid(("snapshot",), "VDI_IS_SHARABLE", ref)
    return table


def sr(pool: Pool, ref: str) -> Table:
    """Return the table of an SR."""
    db, table = pool.db, Table(SR_OPERATIONS)
    row = db.row("SR", ref)
    features = SM_FEATURES.get(row["type"], ())
    table.forbid((operation for operation, feature in NEEDED_FEATURE.items() if feature not in features), "SR_OPERATION_NOT_SUPPORTED", ref)
    pbds = [db.row("PBD", pbd) for pbd in db.users("SR", ref, "PBDs")]
    if any(pbd["currently_attached"] for pbd in pbds):
        table.forbid(("destroy", "forget"), "SR_HAS_PBD", ref)
    if not pbds:
        table.forbid(("destroy",), "SR_HAS_NO_PBDS", ref)
    vdis = [db.row("VDI", found) for found in db.users("SR", ref, "VDIs")]
    if any(found["managed"] and found["type"] != "rrd" for found in vdis):
        table.forbid(("destroy",), "SR_NOT_EMPTY")
    if busy := _busy(row):
        table.forbid(SR_OPERATIONS, "OTHER_OPERATION_IN_PROGRESS", "SR", ref, busy[1], busy[0])
    return table
