# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A drive's life: where it may be, when it is plugged and unplugged, who prevents it."""

from __future__ import annotations

import pytest

from tests.lab import world, xen_world
from tests.lab.xen.calls.drives import HOLDS, IGNORES
from tests.lab.xen.pool import device_name
from tests.lab.xen.running import Lab

LEDGER = world.naa_at(xen_world.lun_path("xen_ledger"))
OWNER, VM = "xendb01", "xenapp01"


@pytest.fixture
def vdi(lab: Lab) -> str:
    """A LUN that nobody uses, as a VDI."""
    naa = lab.map_lun("xen_iscsi")
    lab.call("SR.scan", lab.sr("luns"))
    return lab.vdi(naa)


def test_a_drive_comes_and_goes(lab: Lab, vdi: str) -> None:
    vbd = lab.give(VM, vdi)
    assert (lab.row("VBD", vbd)["device"], lab.row("VBD", vbd)["currently_attached"]) == ("", False)
    lab.call("VBD.plug", vbd)
    row = lab.row("VBD", vbd)
    assert (row["userdevice"], row["device"], row["currently_attached"], row["other_config"]) == (
        "1",
        "xvdb",
        True,
        {"backend-kind": "vbd"},
    )
    lab.call("VBD.unplug", vbd)
    assert (lab.row("VBD", vbd)["device"], lab.row("VBD", vbd)["currently_attached"]) == ("", False)
    lab.call("VBD.destroy", vbd)
    assert lab.row("VDI", vdi)["VBDs"] == []


@pytest.mark.parametrize(("place", "name"), [(0, "xvda"), (25, "xvdz"), (26, "xvdaa"), (254, "xvdiu")])
def test_a_place_has_a_device_name(place: int, name: str) -> None:
    assert device_name(place) == name


@pytest.mark.parametrize("place", ["0", "xvda", "hda", "sda"])
def test_a_taken_place_is_refused_by_whatever_name(lab: Lab, vdi: str, place: str) -> None:
    assert lab.refused("VBD.create", lab.drive(VM, vdi, userdevice=place)) == ["DEVICE_ALREADY_EXISTS", place]


@pytest.mark.parametrize("place", ["", "first", "-1", "xvd"])
def test_what_is_no_place_is_refused(lab: Lab, vdi: str, place: str) -> None:
    assert lab.refused("VBD.create", lab.drive(VM, vdi, userdevice=place)) == ["INVALID_DEVICE", place]


def test_the_first_free_place_is_taken(lab: Lab, vdi: str) -> None:
    lab.give(VM, vdi, userdevice="1")
    assert lab.row("VBD", lab.give(VM, vdi))["userdevice"] == "2"
    assert lab.call("VM.get_allowed_VBD_devices", lab.vm(VM))[0] == "3"


def test_a_vm_with_every_place_taken_gets_no_further_drive(lab: Lab, vdi: str) -> None:
    assert lab.call("VM.get_allowed_VBD_devices", lab.vm("xencrowd01")) == []
    assert lab.refused("VBD.create", lab.drive("xencrowd01", vdi)) == ["INVALID_DEVICE", "autodetect"]


def test_a_plugged_drive_is_not_plugged_again_nor_destroyed(lab: Lab, vdi: str) -> None:
    vbd = lab.give(VM, vdi)
    assert lab.refused("VBD.unplug", vbd) == ["DEVICE_ALREADY_DETACHED", vbd]
    lab.call("VBD.plug", vbd)
    assert lab.refused("VBD.plug", vbd) == ["DEVICE_ALREADY_ATTACHED", vbd]
    assert lab.refused("VBD.destroy", vbd)[0] == "OPERATION_NOT_ALLOWED"


@pytest.mark.parametrize(("vm", "state"), [("xenold01", "halted"), ("xensleep01", "suspended")])
def test_a_drive_is_plugged_only_into_a_vm_that_runs(lab: Lab, vdi: str, vm: str, state: str) -> None:
    vbd = lab.give(vm, vdi)
    assert lab.refused("VBD.plug", vbd) == ["VM_BAD_POWER_STATE", lab.vm(vm), "running", state]


def test_a_guest_without_drivers_takes_no_drive_while_it_runs(lab: Lab, vdi: str) -> None:
    vbd = lab.give("xennodrv01", vdi)
    assert lab.refused("VBD.plug", vbd) == ["VM_MISSING_PV_DRIVERS", lab.vm("xennodrv01")]
    lab.call("VM.hard_shutdown", lab.vm("xennodrv01"))
    lab.call("VM.start", lab.vm("xennodrv01"), False, False)
    assert lab.row("VBD", vbd)["currently_attached"]


@pytest.mark.parametrize(("answer", "wanted"), [(HOLDS, "DEVICE_DETACH_REJECTED"), (IGNORES, "DEVICE_DETACH_TIMEOUT")])
def test_a_guest_may_keep_its_drive(lab: Lab, vdi: str, answer: str, wanted: str) -> None:
    vbd = lab.give(VM, vdi)
    lab.call("VBD.plug", vbd)
    lab.pool.guests[lab.vm(VM)] = answer
    assert lab.refused("VBD.unplug", vbd)[:3] == [wanted, "VBD", vbd]
    assert lab.row("VBD", vbd)["currently_attached"]
    lab.call("VBD.unplug_force", vbd)
    assert not lab.row("VBD", vbd)["currently_attached"]


def test_a_drive_may_be_made_not_to_be_unplugged(lab: Lab, vdi: str) -> None:
    vbd = lab.give(VM, vdi, unpluggable=False)
    lab.call("VBD.plug", vbd)
    assert lab.refused("VBD.unplug", vbd) == ["VBD_NOT_UNPLUGGABLE", vbd]


def test_a_vdi_is_one_vms_unless_it_may_be_shared(lab: Lab) -> None:
    vdi = lab.vdi(LEDGER)
    vbd = lab.give(VM, vdi)
    assert lab.refused("VBD.plug", vbd) == ["VDI_IN_USE", vdi]
    row = lab.row("VDI", vdi)
    again = [row["uuid"], "", "", row["SR"], "user", True, False, {}, row["location"], {}, {"LUNid": "1"}]
    lab.call("VDI.introduce", *again, True, 0, 0, "OpaqueRef:NULL", False, "19700101T00:00:00Z", "OpaqueRef:NULL")
    assert (lab.row("VDI", vdi)["sharable"], lab.row("VDI", vdi)["VBDs"][0] != vbd) == (True, True)
    lab.call("VBD.plug", vbd)


def test_who_only_reads_does_not_disturb_who_only_reads(lab: Lab, vdi: str) -> None:
    disc = {"mode": "RO", "type": "Disk"}
    vbd = lab.give(VM, vdi, **disc)
    assert lab.refused("VBD.plug", vbd) == ["DISK_VBD_MUST_BE_READWRITE_FOR_HVM", vbd]


def test_a_lun_that_the_array_has_taken_away_is_not_plugged(lab: Lab, vdi: str) -> None:
    vbd = lab.give(VM, vdi)
    lab.unmap_lun("xen_iscsi")
    assert lab.refused("VBD.plug", vbd)[0] == "SR_BACKEND_FAILURE_46"


def test_a_host_that_is_not_connected_cannot_plug(lab: Lab, vdi: str) -> None:
    luns, host = lab.sr("luns"), lab.host("xen01.lab")
    (pbd,) = [pbd for pbd in lab.row("SR", luns)["PBDs"] if lab.row("PBD", pbd)["host"] == host]
    lab.call("PBD.unplug", pbd)
    assert lab.refused("VBD.plug", lab.give(VM, vdi)) == ["SR_NOT_ATTACHED", luns]


def test_a_host_that_is_down_answers_for_none_of_its_vms(lab: Lab, vdi: str) -> None:
    lab.pool.hosts["xen02.lab"].up = False
    assert lab.refused("VBD.plug", lab.give(OWNER, vdi)) == ["HOST_OFFLINE", lab.host("xen02.lab")]


def test_high_availability_wants_disks_that_every_host_has(lab: Lab) -> None:
    local = lab.sr("images-file")
    record = {"SR": local, "virtual_size": 1 << 30, "type": "user", "sharable": False, "read_only": False, "other_config": {}}
    vdi = lab.call("VDI.create", record)
    assert lab.refused("VBD.create", lab.drive("xenha01", vdi)) == ["HA_CONSTRAINT_VIOLATION_SR_NOT_SHARED", local]
    lab.pool.db.set("pool", lab.pool.ref, ha_enabled=False)
    assert lab.give("xenha01", vdi)


def test_while_something_goes_on_with_the_vdi_no_drive_is_plugged(lab: Lab, vdi: str) -> None:
    vbd = lab.give(VM, vdi)
    lab.pool.db.set("VDI", vdi, current_operations={"OpaqueRef:task": "clone"})
    assert lab.refused("VBD.plug", vbd) == ["OTHER_OPERATION_IN_PROGRESS", "VDI", vdi, "clone", "OpaqueRef:task"]
    assert "plug" not in lab.row("VBD", vbd)["allowed_operations"]


def test_a_vm_that_migrates_gets_no_drive(lab: Lab, vdi: str) -> None:
    lab.pool.db.set("VM", lab.vm(VM), current_operations={"OpaqueRef:task": "pool_migrate"})
    refused = lab.refused("VBD.create", lab.drive(VM, vdi))
    assert refused == ["OTHER_OPERATION_IN_PROGRESS", "VM", lab.vm(VM), "pool_migrate", "OpaqueRef:task"]


def test_a_vm_that_stops_gets_none_plugged(lab: Lab, vdi: str) -> None:
    vbd = lab.give(VM, vdi)
    lab.pool.db.set("VM", lab.vm(VM), current_operations={"OpaqueRef:task": "clean_shutdown"})
    assert lab.refused("VBD.plug", vbd)[0] == "OPERATION_NOT_ALLOWED"


def test_an_empty_drive_is_for_discs(lab: Lab, vdi: str) -> None:
    assert lab.refused("VBD.create", lab.drive(VM, "OpaqueRef:NULL", empty=True)) == ["VBD_NOT_REMOVABLE_MEDIA", "in constructor"]
    assert lab.refused("VBD.create", lab.drive(VM, vdi, type="CD")) == ["VBD_CDS_MUST_BE_READONLY"]
    (vbd,) = [vbd for vbd in lab.row("VM", lab.vm("xenold01"))["VBDs"] if lab.row("VBD", vbd)["empty"]]
    lab.call("VBD.insert", vbd, vdi)
    assert lab.refused("VBD.insert", vbd, vdi) == ["VBD_NOT_EMPTY", vbd]
    lab.call("VBD.eject", vbd)
    assert lab.refused("VBD.eject", vbd) == ["VBD_IS_EMPTY", vbd]


@pytest.mark.parametrize(("plugged", "wanted"), [(False, ["attach", "plug"]), (True, ["attach", "unplug", "unplug_force"])])
def test_what_is_allowed_is_what_works(lab: Lab, vdi: str, plugged: bool, wanted: list[str]) -> None:
    vbd = lab.give(VM, vdi)
    if plugged:
        lab.call("VBD.plug", vbd)
    assert [name for name in lab.row("VBD", vbd)["allowed_operations"] if "pause" not in name] == wanted
