# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From records to the model: what a pool has, who uses a LUN, and how many calls that takes."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import RemoteError
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.xen import estate, repositories
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import (
    IMAGE,
    MAINTENANCE,
    MULTI_WRITER,
    PASSTHROUGH,
    UNREACHABLE,
    Inventory,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.services import usage
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.array_view import ArrayView
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.storage_map.resources import Resources
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.xapi import NULL
from tests.unit.xapi import LOCAL, LUN, OTHER, SIZE, TARGET, Pool


def inventory(pool: Pool, devices: bool = True) -> Inventory:
    return estate.inventory(pool, devices)  # type: ignore[arg-type]


def verdicts(pool: Pool) -> list[tuple[str, str, str]]:
    """Who claims the LUN."""
    return [(claim.verdict, claim.kind, claim.name) for claim in usage.claims(LUN, inventory(pool))]


def image_on(pool: Pool, kind: str, config: dict[str, str], **fields: Any) -> None:
    sr = pool.add_sr(kind, config)
    pool.add_vbd(pool.vm, pool.add_vdi(sr, **fields))


@pytest.mark.parametrize(
    ("kind", "config"),
    [
        ("lvmoiscsi", {**TARGET, "SCSIid": LUN.xapi}),
        ("lvmohba", {"SCSIid": LUN.xapi}),
        ("ext", {"device": f"/dev/disk/by-id/scsi-{LUN.xapi}-part3"}),
        ("gfs2", {"SCSIid": f"{OTHER.xapi},{LUN.xapi}"}),
        ("gfs2", {"provider": "hba", "ScsiId": LUN.xapi}),
        ("largeblock", {"SCSIid": LUN.xapi}),
    ],
)
def test_an_image_lies_on_the_lun_that_the_pbds_of_its_repository_name(kind: str, config: dict[str, str]) -> None:
    pool = Pool()
    image_on(pool, kind, config)
    seen = inventory(pool)
    (disk,) = next(vm for vm in seen.virtual_machines if vm.name == "app01").disks
    assert (disk.kind, disk.name) == (IMAGE, None)
    (store,) = seen.file_systems
    assert store.id == disk.file_system
    assert LUN in Resources(seen).lun_names_under(seen.virtual_machines)


def test_an_image_on_nfs_lies_on_the_export_that_the_pbd_names() -> None:
    pool = Pool()
    image_on(pool, "nfs", {"server": "192.0.2.20", "serverpath": "/vol1"})
    (store,) = inventory(pool).file_systems
    assert store.remote == "192.0.2.20:/vol1"


def test_a_repository_in_a_directory_tells_no_device() -> None:
    pool = Pool()
    image_on(pool, "file", {"location": "/var/images"})
    seen = inventory(pool)
    resources = Resources(seen)
    vm = next(vm for vm in seen.virtual_machines if vm.name == "app01")
    resources.resolve(ArrayView())
    (under,) = resources.disk(vm, vm.disks[0]).under
    assert under.reason == "the file file system file does not tell on which devices it lies"


@pytest.mark.parametrize(("kind", "where"), [("iscsi", "sm_config"), ("hba", "sm_config"), ("udev", "location")])
def test_a_vdi_of_a_repository_that_passes_luns_on_is_the_lun(kind: str, where: str) -> None:
    pool = Pool()
    told = {"location": f"/dev/mapper/{LUN.xapi}"} if where == "location" else {"sm_config": {"SCSIid": LUN.xapi}}
    image_on(pool, kind, TARGET, **told, sharable=True)
    seen = inventory(pool)
    (disk,) = next(vm for vm in seen.virtual_machines if vm.name == "app01").disks
    assert (disk.kind, disk.name, disk.sharing, disk.mode) == (PASSTHROUGH, LUN, MULTI_WRITER, "physical")
    assert seen.file_systems == []
    assert {device.host for device in seen.devices if device.name == LUN} == {host.id for host in seen.hosts}


def test_the_chain_of_an_image_goes_down_to_its_root() -> None:
    pool = Pool()
    sr = pool.add_sr("ext", LOCAL)
    base = pool.db["VDI"][pool.add_vdi(sr, location="base")]
    middle = pool.db["VDI"][pool.add_vdi(sr, location="middle", sm_config={"vhd-parent": base["uuid"]})]
    pool.add_vbd(pool.vm, pool.add_vdi(sr, location="leaf", sm_config={"vhd-parent": middle["uuid"]}))
    (disk,) = next(vm for vm in inventory(pool).virtual_machines if vm.name == "app01").disks
    assert [disk.path, *(parent.path for parent in disk.parents)] == ["leaf", "middle", "base"]
    assert {parent.file_system for parent in disk.parents} == {disk.file_system}


def test_a_chain_that_runs_in_a_circle_ends() -> None:
    pool = Pool()
    sr = pool.add_sr("ext", LOCAL)
    vdi = pool.add_vdi(sr, location="leaf")
    pool.db["VDI"][vdi]["sm_config"] = {"vhd-parent": pool.db["VDI"][vdi]["uuid"]}
    pool.add_vbd(pool.vm, vdi)
    (disk,) = next(vm for vm in inventory(pool).virtual_machines if vm.name == "app01").disks
    assert [parent.path for parent in disk.parents] == ["leaf"]


def test_the_number_of_calls_does_not_grow_with_the_vms() -> None:
    pool = Pool()
    sr = pool.add_sr("ext", LOCAL)
    for number in range(50):
        pool.add_vbd(pool.add_vm(f"vm{number}", "Halted"), pool.add_vdi(sr))
    inventory(pool)
    assert len(pool.calls) == 8


def test_snapshots_and_control_domains_are_no_vms_and_use_what_they_have() -> None:
    pool = Pool()
    sr = pool.add_raw_iscsi()
    pool.map_iscsi()
    pool.change("SR.scan", sr, timeout=1)
    (vdi,) = pool.db["SR"][sr]["VDIs"]
    pool.add_vbd(pool.add_vm("snap", "Halted", is_a_snapshot=True), vdi)
    pool.add_vbd(pool.add_vm("dom0", "Running", is_control_domain=True), vdi, "1")
    seen = inventory(pool)
    assert {vm.name for vm in seen.virtual_machines} == {"app01", "app02"}
    assert {(use.kind, use.name, use.lun) for use in seen.uses} == {("snapshot", "snap", LUN), ("control domain", "dom0", LUN)}


def test_a_lun_with_the_state_of_high_availability_is_used() -> None:
    pool = Pool()
    sr = pool.add_raw_iscsi()
    pool.map_iscsi()
    pool.change("SR.scan", sr, timeout=1)
    next(iter(pool.db["pool"].values()))["ha_statefiles"] = [repositories.vdi_uuid(LUN)]
    assert [(use.kind, use.lun) for use in inventory(pool).uses] == [("pool", LUN)]


@pytest.mark.parametrize("fields", [{}, {"is_a_snapshot": True}])
def test_an_optical_drive_of_a_host_is_no_lun(fields: dict[str, bool]) -> None:
    pool = Pool()
    drive = pool.add_vdi(pool.add_sr("udev", {}), location="/dev/xapi/cd/sr0")
    pool.add_vbd(pool.add_vm("app", "Halted", **fields), drive, "3")
    assert verdicts(pool) == []


SNAPSHOT, DOM0 = {"is_a_snapshot": True}, {"is_control_domain": True}
HOLDERS = pytest.mark.parametrize(("kind", "fields"), [("VM", {}), ("snapshot", SNAPSHOT), ("control domain", DOM0)])
TOLD, UNTOLD = {"SCSIid": LUN.xapi}, {"LUNid": "0"}


@HOLDERS
def test_a_lun_with_the_suspended_state_of_a_vm_or_a_checkpoint_is_used(kind: str, fields: dict[str, bool]) -> None:
    pool = Pool()
    image = pool.add_vdi(pool.add_sr("hba", {}), sm_config=TOLD)
    pool.add_vm("s", "Suspended", suspend_VDI=image, **fields)
    assert verdicts(pool) == [(usage.USED, kind, "s")]
    (use,) = inventory(pool).uses
    assert use.how == "keeps its suspended state on it"
    assert use.way_out == ("delete the snapshot first" if fields else "resume s or shut it down first")
    assert len(pool.calls) == 2 * 8


@HOLDERS
def test_a_suspended_state_on_a_lun_that_the_driver_does_not_tell_may_be_on_any(kind: str, fields: dict[str, bool]) -> None:
    pool = Pool()
    image = pool.add_vdi(pool.add_sr("hba", {}, name="fc"), sm_config=UNTOLD, name_label="state")
    pool.add_vm("s", "Suspended", suspend_VDI=image, **fields)
    assert verdicts(pool) == [(usage.CANNOT_TELL, kind, "s")]
    assert [use.how for use in inventory(pool).uses] == ["keeps its suspended state on state of SR fc, which does not tell its LUN"]


def test_a_suspended_state_that_the_pool_has_forgotten_may_be_on_any_lun() -> None:
    pool = Pool()
    pool.add_vm("s", "Suspended", suspend_VDI="OpaqueRef:gone")
    assert verdicts(pool) == [(usage.CANNOT_TELL, "VM", "s")]
    assert [use.how for use in inventory(pool).uses] == ["keeps its suspended state on a VDI that the pool has forgotten"]


def test_a_vm_without_a_suspended_state_keeps_none() -> None:
    pool = Pool()
    pool.add_vdi(pool.add_sr("hba", {}), sm_config=TOLD)
    pool.add_vm("s", "Halted", suspend_VDI=NULL)
    assert verdicts(pool) == []


@pytest.mark.parametrize(("kind", "config"), [("lvmohba", TOLD), ("ext", {"device": f"/dev/disk/by-id/scsi-{LUN.xapi}"})])
def test_a_suspended_state_on_a_repository_that_lies_on_the_lun_is_that_repositorys_claim(kind: str, config: dict[str, str]) -> None:
    pool = Pool()
    sr = pool.add_sr(kind, config, name="store")
    pool.add_vm("s", "Suspended", suspend_VDI=pool.add_vdi(sr))
    assert verdicts(pool) == [(usage.USED, f"{kind} file system", "store")]


@pytest.mark.parametrize("use", [{"redo_log_enabled": True}, {"redo_log_enabled": False, "ha_enabled": True}, {}])
def test_a_lun_with_the_redo_log_of_the_pool_is_used(use: dict[str, bool]) -> None:
    pool = Pool()
    image = pool.add_vdi(pool.add_sr("hba", {}), sm_config=TOLD)
    next(iter(pool.db["pool"].values())).update({"redo_log_vdi": image, **use})
    assert verdicts(pool) == [(usage.USED, "pool", "lab")]


def test_a_redo_log_that_is_disabled_is_kept_nowhere() -> None:
    pool = Pool()
    image = pool.add_vdi(pool.add_sr("hba", {}), sm_config=TOLD)
    next(iter(pool.db["pool"].values())).update(redo_log_vdi=image, redo_log_enabled=False, ha_enabled=False)
    assert verdicts(pool) == []


@pytest.mark.parametrize("image", ["untold", "gone"])
def test_a_state_of_high_availability_of_which_nobody_tells_where_it_is_may_be_on_any_lun(image: str) -> None:
    pool = Pool()
    vdi = pool.db["VDI"][pool.add_vdi(pool.add_sr("hba", {}), sm_config=UNTOLD)]
    next(iter(pool.db["pool"].values()))["ha_statefiles"] = [vdi["uuid"] if image == "untold" else "gone"]
    assert verdicts(pool) == [(usage.CANNOT_TELL, "pool", "lab")]


@pytest.mark.parametrize(
    ("kind", "role", "what"),
    [
        ("host", "suspend_image_sr", "SR for suspended VMs"),
        ("host", "crash_dump_sr", "SR for crash dumps"),
        ("host", "local_cache_sr", "SR for caches"),
        ("VM", "suspend_SR", "SR for its suspended state"),
    ],
)
def test_a_repository_of_this_collections_that_a_host_or_a_vm_was_told_to_use_is_used(kind: str, role: str, what: str) -> None:
    pool = Pool()
    sr = pool.add_sr("lvmohba", TOLD, name_description=repositories.mark(LUN))
    next(iter(pool.db[kind].values()))[role] = sr
    (use,) = inventory(pool).uses
    assert (use.kind, use.name, use.how, use.lun) == (kind, {"host": "xen1", "VM": "app01"}[kind], f"has its SR as {what}", LUN)


@HOLDERS
def test_a_disk_whose_lun_the_driver_does_not_tell_may_be_any_whoever_has_it(kind: str, fields: dict[str, bool]) -> None:
    pool = Pool()
    pool.add_vbd(pool.add_vm("it", "Halted", **fields), pool.add_vdi(pool.add_sr("hba", {}), sm_config=UNTOLD))
    assert verdicts(pool) == [(usage.CANNOT_TELL, kind, "it")]


def test_a_drive_of_a_vm_that_is_not_told_with_a_lun_that_is_not_told_may_have_any() -> None:
    pool = Pool()
    image_on(pool, "hba", {}, sm_config=UNTOLD)
    del pool.db["VM"][pool.vm]
    assert [(verdict, kind) for verdict, kind, _name in verdicts(pool)] == [(usage.CANNOT_TELL, "VBD")]


@pytest.mark.parametrize(
    ("kind", "config"),
    [
        ("lvmohba", {}),
        ("linstor", {"group-name": "linstor_group/thin", "redundancy": "2"}),
        ("zfs", {"location": "/tank"}),
        ("lvhd", {}),
        ("neverheard", {}),
    ],
)
@pytest.mark.parametrize("plugged", [True, False])
def test_a_repository_whose_lun_nobody_tells_may_lie_on_any(kind: str, config: dict[str, str], plugged: bool) -> None:
    pool = Pool()
    pool.add_sr(kind, config, name="lost", hosts=None if plugged else ())
    (use,) = inventory(pool).uses
    assert (use.name, use.lun) == ("lost", None)
    assert use.way_out.startswith("look on its hosts" if plugged else "plug it in")


@pytest.mark.parametrize("kind", ["nfs", "smb", "cifs", "iso", "cephfs", "glusterfs", "moosefs", "dummy", "shm", "file", "udev"])
def test_a_repository_on_a_network_or_on_nothing_lies_on_no_lun(kind: str) -> None:
    pool = Pool()
    pool.add_sr(kind, {"location": "/where"})
    assert verdicts(pool) == []


@pytest.mark.parametrize(
    ("kind", "config"),
    [
        ("ext", {"device": "/dev/sdc"}),
        ("largeblock", {"device": "/dev/sdc"}),
        ("neverheard", {"device": "/dev/sdc"}),
        ("lvm", {"device": "/dev/mapper/mpatha"}),
        ("ext", {"device": "/dev/disk/by-id/scsi-SNETAPP_LUN_1"}),
        ("lvm", {"device": "/dev/disk/by-id/lvm-pv-uuid-0Lab1"}),
        ("ext", {"device": "/dev/disk/by-id/md-uuid-0a:1b"}),
        ("ext", {"device": "/dev/disk/by-id/dm-name-mpatha"}),
    ],
)
def test_a_repository_on_a_device_by_a_name_of_the_host_may_lie_on_any_lun(kind: str, config: dict[str, str]) -> None:
    pool = Pool()
    pool.add_sr(kind, config, name="odd")
    (use,) = inventory(pool).uses
    assert (use.name, use.lun) == ("odd", None)
    assert config["device"] in use.how


@pytest.mark.parametrize("device", ["/dev/disk/by-id/ata-Disk_1-part3", "/dev/nvme0n1p3", "/dev/disk/by-id/scsi-1ATA_Disk_1-part3"])
def test_a_repository_on_a_disk_of_the_host_lies_on_no_lun(device: str) -> None:
    pool = Pool()
    pool.add_sr("ext", {"device": device})
    assert inventory(pool).uses == []


def test_a_repository_over_iscsi_of_which_only_the_target_is_told_may_lie_on_any_lun() -> None:
    pool = Pool()
    pool.add_sr("lvmoiscsi", TARGET, name="old")
    (use,) = inventory(pool).uses
    assert (use.name, use.lun) == ("old", None)


@pytest.mark.parametrize("noted", [{"SCSIid": LUN.xapi}, {"devserial": f"scsi-{LUN.xapi}"}, {f"scsi-{LUN.xapi}": ""}])
def test_a_repository_without_connections_lies_on_the_lun_that_the_driver_has_noted(noted: dict[str, str]) -> None:
    pool = Pool()
    pool.add_sr("lvmohba", {}, hosts=(), sm_config=noted)
    seen = inventory(pool)
    assert [store.extents for store in seen.file_systems] == [[f"/dev/disk/by-id/scsi-{LUN.xapi}"]]
    assert seen.uses == []


def test_a_lun_in_a_drive_for_media_is_used_too() -> None:
    pool = Pool()
    sr = pool.add_sr("udev", {"location": "/dev/lab"})
    pool.add_vbd(pool.vm, pool.add_vdi(sr, location=f"/dev/mapper/{LUN.xapi}"), "3", type="CD")
    (disk,) = next(vm for vm in inventory(pool).virtual_machines if vm.name == "app01").disks
    assert disk.name == LUN


def test_what_goes_while_the_pool_is_read_is_read_again() -> None:
    pool = Pool()
    sr = pool.add_raw_iscsi()
    pool.map_iscsi()
    pool.change("SR.scan", sr, timeout=1)

    def gone() -> None:
        del pool.db["SR"][sr]
        pool.db["VDI"].clear()
        pool.db["PBD"].clear()

    pool.after["VDI.get_all_records"] = gone
    assert inventory(pool).devices == []


def test_a_reference_to_nothing_is_left_out_and_a_drive_of_a_vm_that_is_not_told_uses_its_lun() -> None:
    pool = Pool()
    sr = pool.add_raw_iscsi()
    pool.map_iscsi()
    pool.change("SR.scan", sr, timeout=1)
    pool.db["SR"][sr]["VDIs"].append("OpaqueRef:gone")
    pool.add_vbd(pool.off, pool.db["SR"][sr]["VDIs"][0])
    del pool.db["VM"][pool.off]
    (use,) = inventory(pool).uses
    assert (use.kind, use.lun) == ("VBD", LUN)


def test_a_disk_whose_lun_the_driver_does_not_tell_may_be_any_and_stays_a_disk() -> None:
    pool = Pool()
    image_on(pool, "hba", {}, location="0000")
    seen = inventory(pool)
    (disk,) = next(vm for vm in seen.virtual_machines if vm.name == "app01").disks
    assert (disk.kind, disk.name) == (PASSTHROUGH, None)
    assert [(use.kind, use.name, use.lun) for use in seen.uses] == [("VM", "app01", None)]


def test_a_disk_that_a_vm_uses_and_whose_vdi_is_forgotten_may_be_any_lun() -> None:
    pool = Pool()
    pool.add_vbd(pool.vm, "OpaqueRef:gone", "4", attached=True)
    pool.add_vbd(pool.off, "OpaqueRef:gone-too", "4")
    assert [(use.kind, use.name, use.lun) for use in inventory(pool).uses] == [("VM", "app01", None)]


def test_what_this_collection_made_for_a_lun_stands_for_the_lun() -> None:
    pool = Pool()
    sr = pool.add_sr("lvmohba", {"SCSIid": LUN.xapi}, name_description=repositories.mark(LUN, 5 * SIZE))
    pool.add_vbd(pool.vm, pool.add_vdi(sr, sm_config={"type": "raw"}))
    seen = inventory(pool)
    (disk,) = next(vm for vm in seen.virtual_machines if vm.name == "app01").disks
    assert (disk.kind, disk.name, disk.mode) == (PASSTHROUGH, LUN, "virtual")
    assert seen.file_systems == []
    assert {device.size_bytes for device in seen.devices} == {5 * SIZE}


@pytest.mark.parametrize("change", ["another LUN", "a second volume", "another type"])
def test_a_repository_that_only_says_so_is_not_ours(change: str) -> None:
    pool = Pool()
    lun = OTHER if change == "another LUN" else LUN
    kind = "lvmoiscsi" if change == "another type" else "lvmohba"
    sr = pool.add_sr(kind, {"SCSIid": lun.xapi}, name_description=repositories.mark(LUN))
    for _volume in range(2 if change == "a second volume" else 1):
        pool.add_vdi(sr)
    assert [store.kind for store in inventory(pool).file_systems] == [kind]


def test_hosts_are_told_apart_by_what_they_can_do() -> None:
    pool = Pool()
    pool.add_host("resting", enabled=False)
    pool.add_host("dead", live=False)
    states = {host.name: host.state for host in inventory(pool).hosts}
    assert states == {"xen1": "connected", "xen2": "connected", "resting": MAINTENANCE, "dead": UNREACHABLE}


def test_a_vm_that_is_off_is_registered_at_the_master_and_may_run_anywhere_in_the_pool() -> None:
    pool = Pool()
    seen = inventory(pool)
    vm = next(vm for vm in seen.virtual_machines if vm.name == "app02")
    assert (vm.host, vm.cluster, vm.power) == (pool.db["host"][pool.master]["uuid"], "lab", "off")
    assert {host.cluster for host in seen.hosts} == {"lab"}


def test_drives_for_media_take_a_place_and_are_no_disks() -> None:
    pool = Pool()
    pool.add_vbd(pool.vm, "OpaqueRef:NULL", "3", type="CD")
    vm = next(vm for vm in inventory(pool).virtual_machines if vm.name == "app01")
    assert (vm.disks, vm.controllers[0].units) == ([], [3])


def test_an_endpoint_without_a_pool_is_told() -> None:
    pool = Pool()
    pool.db["pool"].clear()
    with pytest.raises(RemoteError, match="tells of no pool"):
        inventory(pool)


def test_a_pool_is_known_by_its_uuid() -> None:
    pool = Pool()
    assert inventory(pool).identity == estate.read(pool).pool["uuid"] != ""  # type: ignore[arg-type]
