# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the calls do that are more than a look into the database."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from tests.lab.xen import allowed
from tests.lab.xen.database import Record
from tests.lab.xen.errors import Failure, sm_failure
from tests.lab.xen.pool import OFFERED, Host, Pool, backend_kind, device_name, now
from tests.lab.xen.shapes import NULL
from tests.lab.xen.storage import Driver, Wish, driver

Arguments = Mapping[str, Any]
Handler = Callable[[Pool, Arguments], Any]
PLACES = 255
"""A VM has the places 0 to 254."""
INTERFACES = 16
VDI_TYPES_OF_DISKS = frozenset({"system", "user", "ephemeral", "suspend", "crashdump", "metadata", "rrd", "pvs_cache"})
HOLDS, IGNORES = "holds", "ignores"
"""How a guest answers when a disk shall go: it refuses, or says nothing."""
_LETTERS = re.compile(r"(?:xvd|hd|sd)([a-z]{1,2})")


# -- VBD


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
    used = {number for vbd in _vbds(pool, vm) for name in (vbd["userdevice"], vbd["device"]) if (number := _number(name)) is not None}
    if wanted == "autodetect":
        free = next((number for number in range(PLACES) if number not in used), None)
        if free is None:
            raise Failure("INVALID_DEVICE", wanted)
        return str(free)
    number = _number(wanted)
    if number is None:
        raise Failure("INVALID_DEVICE", wanted)
    if number in used:
        raise Failure("DEVICE_ALREADY_EXISTS", wanted)
    return wanted


def _number(name: str) -> int | None:
    """Return the place that a device name or number means."""
    if name.isdecimal():
        return int(name)
    found = _LETTERS.fullmatch(name)
    if not found:
        return None
    number = 0
    for letter in found[1]:
        number = number * 26 + ord(letter) - ord("a") + 1
    return number - 1


def _want_agile(pool: Pool, vm: Record, vdi: str) -> None:
    """High availability wants that a VM it protects can run everywhere."""
    sr = pool.db.row("VDI", vdi)["SR"]
    if pool.ha_enabled and vm["ha_restart_priority"] == "restart" and not _shared_properly(pool, sr):
        raise Failure("HA_CONSTRAINT_VIOLATION_SR_NOT_SHARED", sr)


def _shared_properly(pool: Pool, sr: str) -> bool:
    plugged = {row["host"] for row in _pbds(pool, sr) if row["currently_attached"]}
    return bool(pool.db.row("SR", sr)["shared"]) and plugged == {host.ref for host in pool.hosts.values()}


def vbd_plug(pool: Pool, given: Arguments) -> None:
    """Let the guest see the drive."""
    ref = given["self"]
    allowed.vbd(pool, ref).want("plug")
    row = pool.db.row("VBD", ref)
    vm = pool.db.row("VM", row["VM"])
    if vm["domain_type"] == "hvm" and row["type"] != "CD" and row["mode"] == "RO":
        raise Failure("DISK_VBD_MUST_BE_READWRITE_FOR_HVM", ref)
    _attach(pool, ref, _up(pool, vm["resident_on"]))


def _attach(pool: Pool, ref: str, host: Host) -> None:
    row = pool.db.row("VBD", ref)
    if not row["empty"]:
        vdi = pool.db.row("VDI", row["VDI"])
        _driver(pool, vdi["SR"], host, plugged=True).vdi_attach(vdi)
    number = _number(row["userdevice"])
    pool.db.set("VBD", ref, currently_attached=True, device=device_name(number) if number is not None else row["userdevice"])


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


# -- VDI


def vdi_create(pool: Pool, given: Arguments) -> str:
    """Make a virtual disk."""
    args = given["args"]
    sr = args["SR"]
    allowed.sr(pool, sr).want("vdi_create")
    wish = Wish(args["virtual_size"], args["sm_config"])
    made = _worker(pool, sr).vdi_create(wish)
    given_by_caller = ("name_label", "name_description", "other_config", "sharable", "tags", "xenstore_data", "type", "read_only")
    pool.db.set("VDI", made, **{name: args[name] for name in given_by_caller})
    return made


def vdi_introduce(pool: Pool, given: Arguments) -> str:
    """Take up a virtual disk that is there; size, ``managed`` and ``read_only`` are the storage manager's word."""
    sr, wanted = given["SR"], given["uuid"]
    allowed.sr(pool, sr).want("vdi_introduce")
    worker = _worker(pool, sr)
    for vdi in pool.db.users("SR", sr, "VDIs"):
        row = pool.db.row("VDI", vdi)
        if row["location"] == given["location"] and row["uuid"] != wanted:
            raise Failure("LOCATION_NOT_UNIQUE", sr, given["location"])
    found = worker.vdi_introduce(wanted or str(uuid.uuid4()), given["location"], given["sm_config"])
    named = {name: given[name] for name in ("name_label", "name_description") if given[name]}
    taken = {name: given[name] for name in ("other_config", "xenstore_data", "sharable", "type")}
    pool.db.set("VDI", found, **named, **taken)
    return found


def vdi_forget(pool: Pool, given: Arguments) -> None:
    """Forget a virtual disk, and leave its data."""
    allowed.vdi(pool, given["vdi"]).want("forget")
    pool.db.destroy("VDI", given["vdi"])


def vdi_destroy(pool: Pool, given: Arguments) -> None:
    """Delete a virtual disk, with the drives that hold it."""
    ref = given["self"]
    sr = pool.db.row("VDI", ref)["SR"]
    allowed.sr(pool, sr).want("vdi_destroy")
    allowed.vdi(pool, ref).want("destroy")
    if not pool.db.row("VDI", ref)["managed"]:
        raise Failure("VDI_NOT_MANAGED", ref)
    worker, vbds = _worker(pool, sr), pool.db.users("VDI", ref, "VBDs")
    worker.vdi_destroy(ref)
    for vbd in vbds:
        pool.db.destroy("VBD", vbd)


def vdi_resize(pool: Pool, given: Arguments) -> None:
    """Let a virtual disk grow."""
    ref, size = given["vdi"], given["size"]
    row = pool.db.row("VDI", ref)
    allowed.sr(pool, row["SR"]).want("vdi_resize")
    allowed.vdi(pool, ref).want("resize")
    if size < row["virtual_size"]:
        raise sm_failure("VDISize", "shrinking not allowed")
    worker = _worker(pool, row["SR"])
    worker.refuse_size(size)
    if size - row["virtual_size"] > worker.free():
        raise sm_failure("SRNoSpace")
    pool.db.set("VDI", ref, virtual_size=size, physical_utilisation=size)


def vdi_snapshot(pool: Pool, given: Arguments) -> str:
    """Keep a virtual disk as it is now."""
    ref = given["vdi"]
    row = pool.db.row("VDI", ref)
    allowed.sr(pool, row["SR"]).want("vdi_snapshot")
    allowed.vdi(pool, ref).want("snapshot")
    if not row["managed"]:
        raise Failure("VDI_NOT_MANAGED", ref)
    if row["sm_config"].get("type") == "raw":
        raise Failure("UNIMPLEMENTED_IN_SM_BACKEND", row["SR"])
    return _snapshot(pool, ref)


def _snapshot(pool: Pool, ref: str) -> str:
    """Split a VHD: a hidden base with all the data, below it the disk and its snapshot."""
    db, row = pool.db, dict(pool.db.row("VDI", ref))
    common = {name: value for name, value in row.items() if name not in ("uuid", "VBDs", "snapshots", "location", "current_operations")}
    base_uuid, leaf_uuid = str(uuid.uuid4()), str(uuid.uuid4())
    db.create("VDI", **{**common, "uuid": base_uuid, "location": base_uuid, "managed": False, "name_label": "base copy", "read_only": True})
    child = {**row["sm_config"], "vhd-parent": base_uuid}
    db.set("VDI", ref, sm_config=child)
    leaf = {**common, "uuid": leaf_uuid, "location": leaf_uuid, "sm_config": child}
    return db.create("VDI", **{**leaf, "is_a_snapshot": True, "snapshot_of": ref, "snapshot_time": now()})


def vdi_internal(pool: Pool, given: Arguments) -> None:
    """Refuse what only the storage manager's own sessions may do."""
    pool.db.row("VDI", given["self"])
    raise Failure("PERMISSION_DENIED", "")


def vdi_set_name_label(pool: Pool, given: Arguments) -> None:
    """Rename a virtual disk."""
    _worker(pool, pool.db.row("VDI", given["self"])["SR"])
    pool.db.set("VDI", given["self"], name_label=given["value"])


def vdi_set_name_description(pool: Pool, given: Arguments) -> None:
    """Describe a virtual disk."""
    _worker(pool, pool.db.row("VDI", given["self"])["SR"])
    pool.db.set("VDI", given["self"], name_description=given["value"])


# -- SR and PBD


def sr_create(pool: Pool, given: Arguments) -> str:
    """Make a repository and connect the hosts that shall use it; a host that cannot stays unconnected."""
    kind, shared, db = given["type"].lower(), given["shared"], pool.db
    host = _up(pool, given["host"])
    if kind not in OFFERED:
        raise Failure("SR_UNKNOWN_DRIVER", kind)
    _want_no_internal_key(given["device_config"])
    first = pool.master if shared else host
    values = ("name_label", "name_description", "content_type", "shared", "sm_config")
    sr = db.create("SR", **{name: given[name] for name in values}, type=kind, physical_size=-1, physical_utilisation=-1)
    hosts = [first, *(other for other in pool.hosts.values() if other is not first)] if shared else [first]
    pbds = [db.create("PBD", host=other.ref, SR=sr, device_config=given["device_config"]) for other in hosts]
    try:
        driver(pool, kind, first, given["device_config"], sr).create()
    except Failure:
        for pbd in pbds:
            db.destroy("PBD", pbd)
        for vdi in db.users("SR", sr, "VDIs"):
            db.destroy("VDI", vdi)
        db.destroy("SR", sr)
        raise
    for pbd in pbds:
        try:
            pbd_plug(pool, {"self": pbd})
        except Failure:
            continue
    return sr


def sr_introduce(pool: Pool, given: Arguments) -> str:
    """Add the record of a repository that is there; nothing else happens."""
    wanted = given["uuid"]
    if wanted and pool.db.find("SR", uuid=wanted):
        raise Failure("SR_UUID_EXISTS", wanted)
    values = ("uuid", "name_label", "name_description", "content_type", "shared", "sm_config")
    return pool.db.create(
        "SR", **{name: given[name] for name in values}, type=given["type"].lower(), physical_size=-1, physical_utilisation=-1
    )


def sr_forget(pool: Pool, given: Arguments) -> None:
    """Forget a repository and leave its data."""
    ref = given["sr"]
    allowed.sr(pool, ref).want("forget")
    _drop(pool, ref)


def sr_destroy(pool: Pool, given: Arguments) -> None:
    """Remove a repository from its device."""
    ref = given["sr"]
    allowed.sr(pool, ref).want("destroy")
    if pool.db.row("SR", ref)["other_config"].get("indestructible") == "true":
        raise Failure("SR_INDESTRUCTIBLE", ref)
    _worker(pool, ref, plugged=False).destroy()
    _drop(pool, ref)


def _drop(pool: Pool, ref: str) -> None:
    for kind, field in (("PBD", "PBDs"), ("VDI", "VDIs")):
        for found in pool.db.users("SR", ref, field):
            pool.db.destroy(kind, found)
    pool.db.destroy("SR", ref)


def sr_scan(pool: Pool, given: Arguments) -> None:
    """Bring the virtual disks of a repository in line with what is there."""
    allowed.sr(pool, given["sr"]).want("scan")
    _worker(pool, given["sr"]).scan()


def sr_probe(pool: Pool, given: Arguments) -> str:
    """Tell what a host could make a repository of; for LUNs, the answer is part of a refusal."""
    host, kind = _up(pool, given["host"]), given["type"].lower()
    if kind not in OFFERED:
        raise Failure("SR_UNKNOWN_DRIVER", kind)
    return driver(pool, kind, host, given["device_config"]).probe()


def sr_set_name_label(pool: Pool, given: Arguments) -> None:
    """Rename a repository."""
    pool.db.set("SR", given["sr"], name_label=given["value"])


def sr_set_name_description(pool: Pool, given: Arguments) -> None:
    """Describe a repository."""
    pool.db.set("SR", given["sr"], name_description=given["value"])


def sr_set_shared(pool: Pool, given: Arguments) -> None:
    """Say whether all hosts share it."""
    pbds = pool.db.users("SR", given["sr"], "PBDs")
    if not given["value"] and len(pbds) > 1:
        raise Failure("SR_HAS_MULTIPLE_PBDS", *pbds)
    pool.db.set("SR", given["sr"], shared=given["value"])


def sr_update(pool: Pool, given: Arguments) -> None:
    """Measure a repository again."""
    _worker(pool, given["sr"])


def pbd_create(pool: Pool, given: Arguments) -> str:
    """Tell a host of a repository."""
    args = given["args"]
    pool.host(args["host"])
    allowed.sr(pool, args["SR"]).want("pbd_create")
    for other in pool.db.users("SR", args["SR"], "PBDs"):
        if pool.db.row("PBD", other)["host"] == args["host"]:
            raise Failure("PBD_EXISTS", args["SR"], args["host"], other)
    _want_no_internal_key(args["device_config"])
    return pool.db.create("PBD", host=args["host"], SR=args["SR"], device_config=args["device_config"])


def _want_no_internal_key(config: Mapping[str, str]) -> None:
    if "SRmaster" in config:
        raise Failure("VALUE_NOT_SUPPORTED", "SRmaster", config["SRmaster"], "This key is for internal use only")


def pbd_plug(pool: Pool, given: Arguments) -> None:
    """Connect a host with a repository."""
    ref = given["self"]
    row = pool.db.row("PBD", ref)
    sr = pool.db.row("SR", row["SR"])
    allowed.sr(pool, row["SR"]).want("plug")
    if row["currently_attached"]:
        return
    host = _up(pool, row["host"])
    others = [other for other in _pbds(pool, row["SR"]) if other["currently_attached"] and other["host"] != row["host"]]
    if others and not sr["shared"]:
        raise Failure("SR_NOT_SHARABLE", row["SR"], others[0]["host"])
    driver(pool, sr["type"], host, row["device_config"], row["SR"]).attach()
    pool.db.set("PBD", ref, currently_attached=True)


def pbd_unplug(pool: Pool, given: Arguments) -> None:
    """Disconnect a host from a repository that no VM there uses."""
    ref = given["self"]
    row = pool.db.row("PBD", ref)
    allowed.sr(pool, row["SR"]).want("unplug")
    if not row["currently_attached"]:
        return
    host = _up(pool, row["host"])
    vdis = pool.db.users("SR", row["SR"], "VDIs")
    if pool.ha_enabled:
        _want_no_protected_vm(pool, row["SR"], vdis)
    used = [vdi for vdi in vdis if pool.attached(host, pool.db.row("VDI", vdi)["uuid"])]
    if used:
        raise Failure("VDI_IN_USE", *used)
    driver(pool, pool.db.row("SR", row["SR"])["type"], host, row["device_config"], row["SR"]).detach()
    pool.db.set("PBD", ref, currently_attached=False)


def _want_no_protected_vm(pool: Pool, sr: str, vdis: list[str]) -> None:
    users = {vbd["VM"] for vdi in vdis for vbd in pool.attachments(vdi)}
    if any(pool.db.row("VM", vm)["ha_restart_priority"] == "restart" for vm in users):
        raise Failure("HA_CONSTRAINT_VIOLATION_SR_NOT_SHARED", sr)
    if any(statefile in vdis for statefile in pool.db.get("pool", pool.ref, "ha_statefiles")):
        raise Failure("HA_IS_ENABLED")


def pbd_destroy(pool: Pool, given: Arguments) -> None:
    """Let a host forget a repository."""
    if pool.db.row("PBD", given["self"])["currently_attached"]:
        raise Failure("OPERATION_NOT_ALLOWED", "PBD is currently attached")
    pool.db.destroy("PBD", given["self"])


def pbd_set_device_config(pool: Pool, given: Arguments) -> None:
    """Refuse what only the storage manager's own sessions may do."""
    pool.db.row("PBD", given["self"])
    raise Failure("PERMISSION_DENIED", "")


# -- VM, host, others


def vm_possible_hosts(pool: Pool, given: Arguments) -> list[str]:
    """Return the hosts that are up and connected with every repository of the VM."""
    srs = {pool.db.row("VDI", vbd["VDI"])["SR"] for vbd in _vbds(pool, given["vm"]) if not vbd["empty"]}
    return [host.ref for host in pool.hosts.values() if host.up and all(_connected(pool, sr, host.ref) for sr in srs)]


def vm_allowed_places(pool: Pool, given: Arguments) -> list[str]:
    """Return the places in which a VM has no drive."""
    used = {_number(vbd["userdevice"]) for vbd in _vbds(pool, given["vm"])}
    return [str(number) for number in range(PLACES) if number not in used]


def vm_allowed_interfaces(pool: Pool, given: Arguments) -> list[str]:
    """Return the places in which a VM has no network interface; nobody of the lab has one."""
    pool.db.row("VM", given["vm"])
    return [str(number) for number in range(INTERFACES)]


def vm_assert_agile(pool: Pool, given: Arguments) -> None:
    """Say whether a VM could run on every host."""
    for vbd in _vbds(pool, given["self"]):
        if not vbd["empty"] and not _shared_properly(pool, sr := pool.db.row("VDI", vbd["VDI"])["SR"]):
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
        _attach(pool, vbd, host)
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
    drives = [vbd for vbd in _vbds(pool, ref) if not vbd["empty"] and vbd["VDI"] not in given["ignore_vdis"]]
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
        db.create("VBD", VM=made, VDI=_snapshot(pool, vbd["VDI"]), **kept)
    return made


def host_set_iqn(pool: Pool, given: Arguments) -> None:
    """Rename the host's iSCSI initiator."""
    config = {**pool.db.row("host", given["host"])["other_config"], "iscsi_iqn": given["value"]}
    pool.db.set("host", given["host"], iscsi_iqn=given["value"], other_config=config)


def supported_types(_pool: Pool, _given: Arguments) -> list[str]:
    """Return the drivers that the pool has."""
    return sorted(OFFERED)


# -- helpers


def _vbds(pool: Pool, vm: str) -> list[Record]:
    pool.db.row("VM", vm)
    return [pool.db.row("VBD", vbd) for vbd in pool.db.users("VM", vm, "VBDs")]


def _pbds(pool: Pool, sr: str) -> list[Record]:
    return [pool.db.row("PBD", pbd) for pbd in pool.db.users("SR", sr, "PBDs")]


def _connected(pool: Pool, sr: str, host: str) -> bool:
    return any(row["host"] == host and row["currently_attached"] for row in _pbds(pool, sr))


def _up(pool: Pool, ref: str) -> Host:
    host = pool.host(ref)
    if not host.up:
        raise Failure("HOST_OFFLINE", ref)
    return host


def _worker(pool: Pool, sr: str, *, plugged: bool = True) -> Driver:
    """Return the driver on the host that works for a repository: the master where it is shared."""
    row = pool.db.row("SR", sr)
    pbds = [pbd for pbd in _pbds(pool, sr) if pbd["currently_attached"] or not plugged]
    if row["shared"]:
        pbds = [pbd for pbd in pbds if pbd["host"] == pool.master.ref]
    if not pbds:
        raise Failure("SR_HAS_NO_PBDS", sr)
    return driver(pool, row["type"], _up(pool, pbds[0]["host"]), pbds[0]["device_config"], sr)


def _driver(pool: Pool, sr: str, host: Host, *, plugged: bool) -> Driver:
    """Return the driver of a repository on one host."""
    found = next((pbd for pbd in _pbds(pool, sr) if pbd["host"] == host.ref and (pbd["currently_attached"] or not plugged)), None)
    if found is None:
        raise Failure("SR_NOT_ATTACHED", sr)
    return driver(pool, pool.db.row("SR", sr)["type"], host, found["device_config"], sr)


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
    "VDI.create": vdi_create,
    "VDI.introduce": vdi_introduce,
    "VDI.forget": vdi_forget,
    "VDI.destroy": vdi_destroy,
    "VDI.resize": vdi_resize,
    "VDI.snapshot": vdi_snapshot,
    **dict.fromkeys(("VDI.set_sharable", "VDI.set_read_only"), vdi_internal),
    "VDI.set_name_label": vdi_set_name_label,
    "VDI.set_name_description": vdi_set_name_description,
    "SR.create": sr_create,
    "SR.introduce": sr_introduce,
    "SR.forget": sr_forget,
    "SR.destroy": sr_destroy,
    "SR.scan": sr_scan,
    "SR.probe": sr_probe,
    "SR.update": sr_update,
    "SR.set_name_label": sr_set_name_label,
    "SR.set_name_description": sr_set_name_description,
    "SR.set_shared": sr_set_shared,
    "SR.get_supported_types": supported_types,
    "PBD.create": pbd_create,
    "PBD.plug": pbd_plug,
    "PBD.unplug": pbd_unplug,
    "PBD.destroy": pbd_destroy,
    "PBD.set_device_config": pbd_set_device_config,
    "VM.get_possible_hosts": vm_possible_hosts,
    "VM.get_allowed_VBD_devices": vm_allowed_places,
    "VM.get_allowed_VIF_devices": vm_allowed_interfaces,
    "VM.assert_agile": vm_assert_agile,
    "VM.start": vm_start,
    **dict.fromkeys(("VM.shutdown", "VM.clean_shutdown", "VM.hard_shutdown"), vm_shutdown),
    "VM.snapshot": vm_snapshot,
    "host.set_iscsi_iqn": host_set_iqn,
}
