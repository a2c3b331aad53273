# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""VMs and hosts."""

from __future__ import annotations

from collections.abc import Mapping

from tests.lab.xen import allowed
from tests.lab.xen.calls.common import PLACES, Arguments, Handler, connected, place_number, shared_properly, vbds_of
from tests.lab.xen.calls.disks import split
from tests.lab.xen.calls.drives import attach_drive
from tests.lab.xen.errors import Failure
from tests.lab.xen.pool import Pool, now
from tests.lab.xen.shapes import NULL

INTERFACES = 16


def vm_possible_hosts(pool: Pool, given: Arguments) -> list[str]:
    """Return the hosts that are up and connected with every repository of the VM."""
    srs = {pool.db.row("VDI", vbd["VDI"])["SR"] for vbd in vbds_of(pool, given["vm"]) if not vbd["empty"]}
    return [host.ref for host in pool.hosts.values() if host.up and all(connected(pool, sr, host.ref) for sr in srs)]


def vm_allowed_places(pool: Pool, given: Arguments) -> list[str]:
    """Return the places in which a VM has no drive."""
    used = {place_number(vbd["userdevice"]) for vbd in vbds_of(pool, given["vm"])}
    return [str(number) for number in range(PLACES) if number not in used]


def vm_allowed_interfaces(pool: Pool, given: Arguments) -> list[str]:
    """Return the places in which a VM has no network interface; nobody of the lab has one."""
    pool.db.row("VM", given["vm"])
    return [str(number) for number in range(INTERFACES)]


def vm_assert_agile(pool: Pool, given: Arguments) -> None:
    """Say whether a VM could run on every host."""
    for vbd in vbds_of(pool, given["self"]):
        if not vbd["empty"] and not shared_properly(pool, sr := pool.db.row("VDI", vbd["VDI"])["SR"]):
            raise Failure("HA_CONSTRAINT_VIOLATION_SR_NOT_SHARED", sr)


def vm_start(pool: Pool, given: Arguments) -> None:
    """Start a VM where it can run."""
    ref = given["vm"]
    vm = pool.db.row("VM", ref)
    if vm["is_a_template"]:
        raise Failure("VM_IS_TEMPLATE", ref)
    if vm["power_state"] != "Halted":
        raise Failure("VM_BAD_POWER_STATE", ref, "halted", vm["power_state"].lower())
    hosts = vm_possible_hosts(pool, given)
    if not hosts:
        raise Failure("NO_HOSTS_AVAILABLE")
    vbds = pool.db.users("VM", ref, "VBDs")
    for vbd in vbds:
        allowed.vbd(pool, vbd).want("attach")
    host = pool.host(vm["affinity"] if vm["affinity"] in hosts else hosts[0])
    for vbd in vbds:
        attach_drive(pool, vbd, host)
    pool.db.set("VM", ref, power_state="Running", resident_on=host.ref, domid=len(pool.db.refs("VM")) + 1)


def vm_shutdown(pool: Pool, given: Arguments) -> None:
    """Stop a VM."""
    ref = given["vm"]
    vm = pool.db.row("VM", ref)
    if vm["power_state"] != "Running":
        raise Failure("VM_BAD_POWER_STATE", ref, "running", vm["power_state"].lower())
    for vbd in pool.db.users("VM", ref, "VBDs"):
        pool.db.set("VBD", vbd, currently_attached=False, device="")
    pool.db.set("VM", ref, power_state="Halted", resident_on=NULL, domid=-1)


def vm_snapshot(pool: Pool, given: Arguments) -> str:
    """Keep a VM as it is now; a disk that cannot be kept so prevents it."""
    db, ref = pool.db, given["vm"]
    vm = db.row("VM", ref)
    drives = [vbd for vbd in vbds_of(pool, ref) if not vbd["empty"] and vbd["VDI"] not in given["ignore_vdis"]]
    for vbd in drives:
        sr = db.row("VDI", vbd["VDI"])["SR"]
        allowed.sr(pool, sr).want("vdi_snapshot")
        allowed.vdi(pool, vbd["VDI"]).want("snapshot")
        if db.row("VDI", vbd["VDI"])["sm_config"].get("type") == "raw":
            raise Failure("UNIMPLEMENTED_IN_SM_BACKEND", sr)
    copied = {name: value for name, value in vm.items() if name not in ("uuid", "VBDs", "snapshots", "consoles", "current_operations")}
    state = {"power_state": "Halted", "resident_on": NULL, "domid": -1, "is_a_template": True, "ha_restart_priority": ""}
    own = {"name_label": given["new_name"], "is_a_snapshot": True, "snapshot_of": ref, "snapshot_time": now()}
    made = db.create("VM", **{**copied, **state, **own})
    for vbd in drives:
        kept = {name: vbd[name] for name in ("userdevice", "bootable", "mode", "type", "unpluggable", "other_config")}
        db.create("VBD", VM=made, VDI=split(pool, vbd["VDI"]), **kept)
    return made


def host_set_iqn(pool: Pool, given: Arguments) -> None:
    """Rename the host's iSCSI initiator."""
    config = {**pool.db.row("host", given["host"])["other_config"], "iscsi_iqn": given["value"]}
    pool.db.set("host", given["host"], iscsi_iqn=given["value"], other_config=config)


HANDLERS: Mapping[str, Handler] = {
    "VM.get_possible_hosts": vm_possible_hosts,
    "VM.get_allowed_VBD_devices": vm_allowed_places,
    "VM.get_allowed_VIF_devices": vm_allowed_interfaces,
    "VM.assert_agile": vm_assert_agile,
    "VM.start": vm_start,
    **dict.fromkeys(("VM.shutdown", "VM.clean_shutdown", "VM.hard_shutdown"), vm_shutdown),
    "VM.snapshot": vm_snapshot,
    "host.set_iscsi_iqn": host_set_iqn,
}
