# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Repositories: what each type makes of the LUNs that a host sees, and what it refuses."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import pytest

from tests.lab import world, xen_world
from tests.lab.xen.running import Lab
from tests.lab.xen.storage import LARGEST, MANAGEMENT

SPARE_SIZE = 5 * xen_world.GIB
MIB = 1024**2
TARGET = world.build()["array"]["svms"][0]["iqn"]
PORTAL = world.ISCSI_PORTALS[0]
LOGIN = {"target": PORTAL, "targetIQN": TARGET}
MASTER = "xen01.lab"
ARCHIVE = world.naa_at(xen_world.lun_path("xen_archive"))


def make(lab: Lab, kind: str, config: dict[str, str], *, shared: bool = True, host: str = MASTER) -> str:
    return str(lab.call("SR.create", lab.host(host), config, 0, f"new {kind}", "", kind, "", shared, {}))


def refused(lab: Lab, kind: str, config: dict[str, str]) -> list[str]:
    return lab.refused("SR.create", lab.host(MASTER), config, 0, "new", "", kind, "", True, {})


def remove(lab: Lab, name: str) -> None:
    """Let the pool forget a repository."""
    ref = lab.sr(name)
    for pbd in lab.row("SR", ref)["PBDs"]:
        lab.call("PBD.unplug", pbd)
    lab.call("SR.forget", ref)


def without_luns(lab: Lab) -> None:
    """Let the pool have no repository of type iscsi."""
    lab.call("VM.hard_shutdown", lab.vm("xendb01"))
    remove(lab, "luns")


def vdis(lab: Lab, sr: str) -> dict[str, Any]:
    rows = [lab.row("VDI", vdi) for vdi in lab.row("SR", sr)["VDIs"]]
    return {row["sm_config"].get("SCSIid", row["location"]): row for row in rows}


def wish(sr: str, size: int, **other: Any) -> dict[str, Any]:
    return {"SR": sr, "virtual_size": size, "type": "user", "sharable": False, "read_only": False, "other_config": {}, **other}


def probed(details: list[str], path: str) -> list[str | None]:
    return [element.text for element in ElementTree.fromstring(details[3]).findall(path)]


class TestIscsi:
    def test_a_lun_is_a_vdi_after_a_scan_and_only_while_it_is_mapped(self, lab: Lab) -> None:
        luns = lab.sr("luns")
        naa = lab.map_lun("xen_iscsi")
        assert f"3{naa}" not in vdis(lab, luns)
        lab.call("SR.scan", luns)
        row = vdis(lab, luns)[f"3{naa}"]
        assert (row["uuid"], row["location"], row["managed"], row["virtual_size"]) == (xen_world.vdi_uuid(naa),) * 2 + (True, SPARE_SIZE)
        assert row["sm_config"] == {"LUNid": "77", "SCSIid": f"3{naa}", "backend-kind": "vbd"}
        lab.unmap_lun("xen_iscsi")
        lab.call("SR.scan", luns)
        assert f"3{naa}" not in vdis(lab, luns)

    def test_a_lun_that_is_mapped_to_fibre_channel_alone_is_not_seen(self, lab: Lab) -> None:
        naa = lab.map_lun("xen_fc")
        lab.call("SR.scan", lab.sr("luns"))
        assert f"3{naa}" not in vdis(lab, lab.sr("luns"))

    def test_every_lun_of_the_target_is_a_vdi_also_one_that_carries_a_repository(self, lab: Lab) -> None:
        assert xen_world.scsi_id(world.naa_at(xen_world.lun_path("xen_iscsi_sr"))) in vdis(lab, lab.sr("luns"))

    def test_a_grown_lun_is_a_grown_vdi_after_a_scan(self, lab: Lab) -> None:
        naa = lab.map_lun("xen_iscsi")
        lab.call("SR.scan", lab.sr("luns"))
        lun = next(lun for volume in lab.fabric.svms[0]["volumes"] for lun in volume["luns"] if lun["name"] == "spare")
        lun["size"] = 2 * SPARE_SIZE
        lab.call("SR.scan", lab.sr("luns"))
        assert vdis(lab, lab.sr("luns"))[f"3{naa}"]["virtual_size"] == 2 * SPARE_SIZE

    def test_a_lun_that_a_vm_uses_stays_when_the_array_takes_it_away(self, lab: Lab) -> None:
        naa = lab.map_lun("xen_iscsi")
        lab.call("SR.scan", lab.sr("luns"))
        vbd = lab.give("xenapp01", lab.vdi(naa))
        lab.call("VBD.plug", vbd)
        lab.unmap_lun("xen_iscsi")
        lab.call("SR.scan", lab.sr("luns"))
        assert f"3{naa}" in vdis(lab, lab.sr("luns"))
        lab.call("VBD.unplug", vbd)
        lab.call("SR.scan", lab.sr("luns"))
        assert f"3{naa}" not in vdis(lab, lab.sr("luns"))

    def test_there_is_one_repository_for_each_target(self, lab: Lab) -> None:
        assert refused(lab, "iscsi", LOGIN) == ["SR_DEVICE_IN_USE"]
        without_luns(lab)
        made = make(lab, "iscsi", LOGIN)
        assert lab.row("SR", made)["sm_config"]["targetIQN"] == TARGET
        assert len(vdis(lab, made)) == len(xen_world.ISCSI_LUNS)
        assert all(lab.row("PBD", pbd)["currently_attached"] for pbd in lab.row("SR", made)["PBDs"])

    def test_a_host_that_cannot_connect_is_left_unconnected(self, lab: Lab) -> None:
        without_luns(lab)
        lab.pool.hosts["xen03.lab"].up = False
        made = make(lab, "iscsi", LOGIN)
        assert [lab.row("PBD", pbd)["currently_attached"] for pbd in lab.row("SR", made)["PBDs"]] == [True, True, False]

    @pytest.mark.parametrize(
        ("config", "code"),
        [
            ({}, "95"),
            ({"target": PORTAL}, "96"),
            ({"target": "203.0.113.1"}, "141"),
            ({**LOGIN, "port": "3261"}, "141"),
            ({**LOGIN, "port": "0"}, "142"),
            ({**LOGIN, "port": "x"}, "142"),
            ({**LOGIN, "targetIQN": "iqn.2026-11.lab:other"}, "83"),
        ],
    )
    def test_a_target_that_is_not_there_is_told(self, lab: Lab, config: dict[str, str], code: str) -> None:
        without_luns(lab)
        before = lab.call("SR.get_all"), lab.call("PBD.get_all")
        assert refused(lab, "iscsi", config)[0] == f"SR_BACKEND_FAILURE_{code}"
        assert (lab.call("SR.get_all"), lab.call("PBD.get_all")) == before

    def test_without_a_target_the_probe_names_those_behind_the_address(self, lab: Lab) -> None:
        details = lab.refused("SR.probe", lab.host(MASTER), {"target": PORTAL}, "iscsi", {})
        assert (details[0], probed(details, "TGT/TargetIQN")) == ("SR_BACKEND_FAILURE_96", [TARGET, TARGET, "*"])

    def test_a_lun_is_taken_up_by_its_number_without_a_scan(self, lab: Lab) -> None:
        naa = lab.map_lun("xen_iscsi")
        given = ["", "data", "", lab.sr("luns"), "user", True, False, {}]
        more = [True, 0, 0, "OpaqueRef:NULL", False, "19700101T00:00:00Z", "OpaqueRef:NULL"]
        assert lab.refused("VDI.introduce", *given, "x", {}, {}, *more)[0] == "SR_BACKEND_FAILURE_46"
        assert lab.refused("VDI.introduce", *given, "x", {}, {"LUNid": "78"}, *more)[0] == "SR_BACKEND_FAILURE_46"
        made = lab.call("VDI.introduce", *given, "x", {}, {"LUNid": "77"}, *more)
        row = lab.row("VDI", made)
        assert (row["uuid"], row["name_label"], row["sharable"]) == (xen_world.vdi_uuid(naa), "data", True)
        assert lab.refused("VDI.introduce", *given, row["location"], {}, {"LUNid": "77"}, *more)[0] == "LOCATION_NOT_UNIQUE"

    def test_no_vdi_is_made_where_every_lun_is_one_already(self, lab: Lab) -> None:
        assert lab.refused("VDI.create", wish(lab.sr("luns"), MIB))[0] == "SR_BACKEND_FAILURE_44"

    def test_a_host_logs_out_of_a_target_with_the_last_repository_that_needs_it(self, lab: Lab) -> None:
        lab.pool.db.set("pool", lab.pool.ref, ha_enabled=False)
        host = lab.pool.hosts["xen03.lab"]
        for name, sessions in (("luns", [TARGET]), ("san-iscsi", [])):
            (pbd,) = [pbd for pbd in lab.row("SR", lab.sr(name))["PBDs"] if lab.row("PBD", pbd)["host"] == host.ref]
            lab.call("PBD.unplug", pbd)
            assert list(host.iscsi) == sessions

    def test_a_raw_vdi_has_no_snapshot(self, lab: Lab) -> None:
        assert lab.refused("VM.snapshot", lab.vm("xendb01"), "before")[0] == "SR_OPERATION_NOT_SUPPORTED"
        assert lab.refused("VM.snapshot", lab.vm("xenraw01"), "before")[0] == "UNIMPLEMENTED_IN_SM_BACKEND"

    def test_a_destroyed_vdi_is_found_again(self, lab: Lab) -> None:
        naa = lab.map_lun("xen_iscsi")
        lab.call("SR.scan", lab.sr("luns"))
        lab.call("VDI.destroy", lab.vdi(naa))
        assert f"3{naa}" not in vdis(lab, lab.sr("luns"))
        lab.call("SR.scan", lab.sr("luns"))
        assert lab.vdi(naa)


class TestHba:
    def test_luns_are_not_for_vms_before_one_has_been_chosen(self, lab: Lab) -> None:
        made = make(lab, "hba", {})
        assert {row["managed"] for row in vdis(lab, made).values()} == {False}
        vdi = lab.vdi(ARCHIVE)
        assert lab.refused("VBD.plug", lab.give("xenapp01", vdi))[0] == "VDI_NOT_MANAGED"

    def test_the_smallest_that_is_big_enough_is_chosen_whichever_was_meant(self, lab: Lab) -> None:
        naa = lab.map_lun("xen_fc")
        made = make(lab, "hba", {})
        chosen = lab.row("VDI", lab.call("VDI.create", wish(made, MIB)))
        assert (chosen["sm_config"]["SCSIid"], chosen["managed"]) == (f"3{naa}", True)
        assert lab.row("VDI", lab.call("VDI.create", wish(made, MIB)))["sm_config"]["SCSIid"] == f"3{ARCHIVE}"

    def test_a_lun_is_not_taken_up_by_name(self, lab: Lab) -> None:
        given = ["", "", "", make(lab, "hba", {}), "user", False, False, {}, "x", {}, {"LUNid": "1"}]
        more = [True, 0, 0, "OpaqueRef:NULL", False, "19700101T00:00:00Z", "OpaqueRef:NULL"]
        assert lab.refused("VDI.introduce", *given, *more)[0] == "SR_BACKEND_FAILURE_46"

    def test_adapters_of_another_driver_are_none(self, lab: Lab) -> None:
        assert refused(lab, "hba", {"type": "lpfc"})[0] == "SR_BACKEND_FAILURE_19"
        make(lab, "hba", {"type": "qla"})
        assert refused(lab, "hba", {"type": "qla"}) == ["SR_DEVICE_IN_USE"]

    def test_a_lun_that_is_a_vdi_elsewhere_breaks_the_scan(self, lab: Lab) -> None:
        made = make(lab, "hba", {})
        lab.map_lun("xen_fc")
        lab.map_lun("xen_iscsi")
        lab.call("SR.scan", lab.sr("luns"))
        assert lab.refused("SR.scan", made)[0] == "SR_BACKEND_FAILURE_40"


class TestLvm:
    def test_a_lun_is_known_to_the_master_only_after_a_probe_there(self, lab: Lab) -> None:
        naa = lab.map_lun("xen_fc")
        config = {"SCSIid": f"3{naa}"}
        assert refused(lab, "lvmohba", config)[0] == "SR_BACKEND_FAILURE_19"
        lab.refused("SR.probe", lab.host("xen02.lab"), {}, "lvmohba", {})
        assert refused(lab, "lvmohba", config)[0] == "SR_BACKEND_FAILURE_19"
        lab.refused("SR.probe", lab.host(MASTER), {}, "lvmohba", {})
        made = make(lab, "lvmohba", config)
        assert all(lab.row("PBD", pbd)["currently_attached"] for pbd in lab.row("SR", made)["PBDs"])
        assert lab.row("SR", made)["sm_config"]["devserial"] == f"scsi-3{naa}"

    def test_the_array_hears_that_the_lun_was_written_to(self, lab: Lab) -> None:
        self.test_a_lun_is_known_to_the_master_only_after_a_probe_there(lab)
        assert lab.fabric.written[world.naa_at("/vol/vol_dev/spare")] > 0

    def test_the_probe_tells_luns_that_no_repository_uses(self, lab: Lab) -> None:
        details = lab.refused("SR.probe", lab.host(MASTER), {}, "lvmohba", {})
        assert (details[0], probed(details, "BlockDevice/SCSIid")) == ("SR_BACKEND_FAILURE_107", [f"3{ARCHIVE}"])
        assert probed(details, "Adapter/fc_host/port_state") == ["Online", "Online"]

    def test_the_probe_of_iscsi_tells_every_lun_of_the_target(self, lab: Lab) -> None:
        details = lab.refused("SR.probe", lab.host(MASTER), LOGIN, "lvmoiscsi", {})
        assert (details[0], probed(details, "LUN/LUNid")) == ("SR_BACKEND_FAILURE_107", ["0", "1"])

    def test_a_lun_that_carries_a_repository_carries_no_second(self, lab: Lab) -> None:
        for kind, lun, login in (("lvmohba", "xen_fc_sr", {}), ("lvmoiscsi", "xen_iscsi_sr", LOGIN)):
            config = {**login, "SCSIid": xen_world.scsi_id(world.naa_at(xen_world.lun_path(lun)))}
            assert refused(lab, kind, config) == ["SR_DEVICE_IN_USE"]

    def test_an_iscsi_lun_that_does_not_appear_is_one_error(self, lab: Lab) -> None:
        assert refused(lab, "lvmoiscsi", {**LOGIN, "SCSIid": "3600a0980000000000000000000000000"})[0] == "SR_BACKEND_FAILURE_47"

    def test_a_volume_of_more_than_2040_gib_is_refused_a_raw_one_too(self, lab: Lab) -> None:
        wanted = wish(lab.sr("san-fc"), LARGEST + MIB, sm_config={"type": "raw"})
        assert lab.refused("VDI.create", wanted)[0] == "SR_BACKEND_FAILURE_79"
        made = lab.call("VDI.create", wish(lab.sr("san-fc"), 8 * MIB, sm_config={"type": "raw"}))
        assert lab.refused("VDI.resize", made, LARGEST + MIB)[0] == "SR_BACKEND_FAILURE_79"

    def test_a_new_repository_keeps_an_extent_for_itself(self, lab: Lab) -> None:
        naa = lab.map_lun("xen_fc")
        lab.refused("SR.probe", lab.host(MASTER), {}, "lvmohba", {})
        row = lab.row("SR", made := make(lab, "lvmohba", {"SCSIid": f"3{naa}"}))
        assert row["physical_utilisation"] == MANAGEMENT
        whole = wish(made, row["physical_size"], sm_config={"type": "raw"})
        assert lab.refused("VDI.create", whole)[0] == "SR_BACKEND_FAILURE_44"
        lab.call("VDI.create", {**whole, "virtual_size": row["physical_size"] - MANAGEMENT})

    def test_a_probe_of_a_type_that_the_pool_does_not_have_names_it(self, lab: Lab) -> None:
        assert lab.refused("SR.probe", lab.host(MASTER), {}, "cephfs", {}) == ["SR_UNKNOWN_DRIVER", "cephfs"]

    def test_a_raw_volume_is_thick_and_whole_extents(self, lab: Lab) -> None:
        made = lab.call("VDI.create", wish(lab.sr("san-fc"), 5 * MIB, sm_config={"type": "raw"}))
        assert (lab.row("VDI", made)["virtual_size"], lab.row("VDI", made)["sm_config"]) == (8 * MIB, {"type": "raw", "vdi_type": "aio"})
        assert lab.refused("VDI.create", wish(lab.sr("san-fc"), MIB, sm_config={"type": "x"}))[0] == "SR_BACKEND_FAILURE_78"
        assert lab.refused("VDI.create", wish(lab.sr("san-fc"), LARGEST))[0] == "SR_BACKEND_FAILURE_44"

    def test_a_vhd_has_a_base_below_it_after_a_snapshot(self, lab: Lab) -> None:
        made = lab.call("VDI.create", wish(lab.sr("san-fc"), MIB))
        kept = lab.row("VDI", lab.call("VDI.snapshot", made))
        base = lab.row("VDI", made)["sm_config"]["vhd-parent"]
        assert (kept["snapshot_of"], kept["is_a_snapshot"], kept["sm_config"]["vhd-parent"]) == (made, True, base)
        assert lab.row("VDI", lab.call("VDI.get_by_uuid", base))["managed"] is False

    def test_a_vdi_grows_and_does_not_shrink(self, lab: Lab) -> None:
        made = lab.call("VDI.create", wish(lab.sr("san-fc"), 8 * MIB))
        lab.call("VDI.resize", made, 16 * MIB)
        assert lab.refused("VDI.resize", made, 8 * MIB)[0] == "SR_BACKEND_FAILURE_79"
        assert lab.refused("VDI.resize", made, LARGEST)[0] == "SR_BACKEND_FAILURE_44"


class TestUdev:
    def test_a_device_is_taken_up_by_its_path(self, lab: Lab) -> None:
        made = make(lab, "udev", {"location": "/dev/luns"}, shared=False)
        given = ["", "", "", made, "user", False, False, {}]
        more = [True, 0, 0, "OpaqueRef:NULL", False, "19700101T00:00:00Z", "OpaqueRef:NULL"]
        there = lab.call("VDI.introduce", *given, f"/dev/disk/by-id/scsi-3{ARCHIVE}", {}, {}, *more)
        absent = lab.call("VDI.introduce", *given, "/dev/mapper/3600a0980", {}, {}, *more)
        assert [lab.row("VDI", vdi)["virtual_size"] for vdi in (there, absent)] == [xen_world.LUNS["xen_archive"], 0]
        lab.call("VBD.plug", lab.give("xenapp01", there))
        assert lab.refused("VBD.plug", lab.give("xenapp01", absent))[0] == "SR_BACKEND_FAILURE_46"
        assert lab.refused("VDI.destroy", there)[0] == "SR_OPERATION_NOT_SUPPORTED"

    def test_the_place_must_be_named(self, lab: Lab) -> None:
        assert refused(lab, "udev", {})[0] == "SR_BACKEND_FAILURE_94"


class TestRepositories:
    def test_the_pool_tells_which_types_it_has(self, lab: Lab) -> None:
        types = lab.call("SR.get_supported_types")
        assert {"iscsi", "hba", "lvmohba", "lvmoiscsi", "udev", "nfs"} <= set(types)
        assert "rawhba" not in types
        assert refused(lab, "rawhba", {}) == ["SR_UNKNOWN_DRIVER", "rawhba"]

    def test_a_repository_that_is_connected_is_neither_forgotten_nor_destroyed(self, lab: Lab) -> None:
        ref = lab.sr("luns")
        assert lab.refused("SR.forget", ref) == ["SR_HAS_PBD", ref]
        assert lab.refused("SR.destroy", ref) == ["SR_HAS_PBD", ref]

    def test_a_host_is_not_disconnected_from_what_its_vms_use(self, lab: Lab) -> None:
        ref = lab.sr("luns")
        pbds = {lab.row("PBD", pbd)["host"]: pbd for pbd in lab.row("SR", ref)["PBDs"]}
        vdi = lab.vdi(world.naa_at(xen_world.lun_path("xen_ledger")))
        assert lab.refused("PBD.unplug", pbds[lab.host("xen02.lab")]) == ["VDI_IN_USE", vdi]
        lab.call("PBD.unplug", pbds[lab.host("xen03.lab")])
        assert lab.refused("PBD.destroy", pbds[lab.host(MASTER)]) == ["OPERATION_NOT_ALLOWED", "PBD is currently attached"]

    def test_high_availability_keeps_its_repositories_connected(self, lab: Lab) -> None:
        statefile, protected = lab.sr("san-iscsi"), lab.sr("san-fc")
        lab.call("VM.hard_shutdown", lab.vm("xendb01"))
        assert lab.refused("PBD.unplug", lab.row("SR", statefile)["PBDs"][0]) == ["HA_IS_ENABLED"]
        refusal = lab.refused("PBD.unplug", lab.row("SR", protected)["PBDs"][0])
        assert refusal == ["HA_CONSTRAINT_VIOLATION_SR_NOT_SHARED", protected]

    def test_one_that_nobody_is_connected_with_does_nothing(self, lab: Lab) -> None:
        lab.call("VM.hard_shutdown", lab.vm("xendb01"))
        ref = lab.sr("luns")
        for pbd in lab.row("SR", ref)["PBDs"]:
            lab.call("PBD.unplug", pbd)
        assert lab.refused("SR.scan", ref) == ["SR_HAS_NO_PBDS", ref]
        assert lab.refused("SR.destroy", ref) == ["SR_NOT_EMPTY"]

    def test_a_lun_repository_is_made_filled_emptied_and_destroyed(self, lab: Lab) -> None:
        naa = lab.map_lun("xen_fc")
        lab.refused("SR.probe", lab.host(MASTER), {}, "lvmohba", {})
        made = make(lab, "lvmohba", {"SCSIid": f"3{naa}"})
        vdi = lab.call("VDI.create", wish(made, MIB))
        for pbd in lab.row("SR", made)["PBDs"]:
            lab.call("PBD.unplug", pbd)
        assert lab.refused("SR.destroy", made) == ["SR_NOT_EMPTY"]
        for pbd in lab.row("SR", made)["PBDs"]:
            lab.call("PBD.plug", pbd)
        lab.call("VDI.destroy", vdi)
        for pbd in lab.row("SR", made)["PBDs"]:
            lab.call("PBD.unplug", pbd)
        lab.call("SR.destroy", made)
        assert lab.refused("SR.get_record", made)[0] == "HANDLE_INVALID"

    def test_a_forgotten_repository_is_found_and_taken_up_again(self, lab: Lab) -> None:
        naa = lab.map_lun("xen_fc")
        config = {"SCSIid": f"3{naa}"}
        lab.refused("SR.probe", lab.host(MASTER), {}, "lvmohba", {})
        made = make(lab, "lvmohba", config)
        uuid = lab.row("SR", made)["uuid"]
        remove(lab, "new lvmohba")
        found = ElementTree.fromstring(lab.call("SR.probe", lab.host(MASTER), config, "lvmohba", {}))
        assert [element.text for element in found.findall("SR/UUID")] == [uuid]
        again = lab.call("SR.introduce", uuid, "again", "", "lvmohba", "", True, {})
        pbd = lab.call("PBD.create", {"host": lab.host(MASTER), "SR": again, "device_config": config})
        assert lab.refused("PBD.create", {"host": lab.host(MASTER), "SR": again, "device_config": config})[0] == "PBD_EXISTS"
        lab.call("PBD.plug", pbd)
        assert lab.refused("SR.introduce", uuid, "again", "", "lvmohba", "", True, {}) == ["SR_UUID_EXISTS", uuid]

    def test_a_statefile_of_high_availability_is_not_lost(self, lab: Lab) -> None:
        (statefile,) = lab.row("pool", lab.pool.ref)["ha_statefiles"]
        assert lab.refused("VDI.destroy", statefile) == ["HA_IS_ENABLED"]
        assert lab.refused("VDI.forget", statefile) == ["HA_IS_ENABLED"]

    def test_a_vdi_in_use_is_not_lost(self, lab: Lab) -> None:
        vdi = lab.vdi(world.naa_at(xen_world.lun_path("xen_ledger")))
        assert lab.refused("VDI.destroy", vdi) == ["VDI_IN_USE", vdi, "destroy"]
        assert lab.refused("VDI.forget", vdi) == ["VDI_IN_USE", vdi, "forget"]

    def test_a_vdi_takes_its_drives_with_it(self, lab: Lab) -> None:
        naa = lab.map_lun("xen_iscsi")
        lab.call("SR.scan", lab.sr("luns"))
        vbd = lab.give("xenapp01", lab.vdi(naa))
        lab.call("VDI.destroy", lab.vdi(naa))
        assert lab.refused("VBD.get_record", vbd)[0] == "HANDLE_INVALID"

    def test_while_it_is_scanned_nothing_else_is_done_with_it(self, lab: Lab) -> None:
        ref = lab.sr("luns")
        lab.pool.db.set("SR", ref, current_operations={"OpaqueRef:task": "scan"})
        assert lab.refused("SR.scan", ref) == ["OTHER_OPERATION_IN_PROGRESS", "SR", ref, "scan", "OpaqueRef:task"]
        assert lab.row("SR", ref)["allowed_operations"] == []

    def test_a_vm_can_run_where_its_repositories_are_connected(self, lab: Lab) -> None:
        assert lab.call("VM.get_possible_hosts", lab.vm("xenudev01")) == [lab.host(MASTER)]
        assert len(lab.call("VM.get_possible_hosts", lab.vm("xenapp01"))) == len(xen_world.HOSTS)
