# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What vCenter cannot look into, or an account may not, is no proof that a LUN is free; nor is a LUN free that a host has for itself."""

from __future__ import annotations

from typing import Any

import pytest

from tests.lab import world
from tests.live.lab import Lab
from tests.live.modules import ModuleRunner, Result

SHARED_RDM = world.naa_at("/vol/vol_prod/shared_rdm")
DATASTORE_LUN = world.naa_at("/vol/vol_prod/ds_single")
SPARE = world.naa_at("/vol/vol_dev/spare")
NO_RIGHT = {"hide": ["config"], "why": "NoPermission"}


def lost(state: str) -> dict[str, Any]:
    """A VM of which vCenter has no configuration."""
    return {"hide": ["config"], "show": {"runtime.connectionState": state}}


UNREADABLE = pytest.mark.parametrize(
    ("view", "because"),
    [
        (lost("inaccessible"), "it is inaccessible"),
        (lost("invalid"), "it is invalid"),
        (lost("orphaned"), "it is orphaned"),
        (lost("disconnected"), "it is disconnected"),
        (NO_RIGHT, "NoPermission"),
    ],
)


def show(lab: Lab, kind: str, name: str, **view: Any) -> None:
    lab.show({"type": kind, "name": name, **view})


def warnings_of(result: Result) -> list[str]:
    return [warning["event"]["msg"] for warning in result.get("warnings", [])]


def withdrawal(lab: Lab, naa: str, **options: Any) -> dict[str, Any]:
    return {"array": lab.array, "hypervisor": lab.hypervisor, "state": "absent", "naa": naa, "delete": True, **options}


def attach(lab: Lab, **options: Any) -> dict[str, Any]:
    return {"hypervisor": lab.hypervisor, "vm": "app01", "naa": SPARE, "timeout": 5, **options}


def map_spare(lab: Lab, modules: ModuleRunner) -> None:
    """Show the spare LUN to the hosts of cluster prod."""
    hosts = modules.succeed("hba_info", {"hypervisor": lab.hypervisor, "clusters": ["prod"]})
    place = {"svm": "svm_san", "volume": "vol_dev", "name": "spare", "os_type": "vmware"}
    modules.succeed("lun_provision", {"array": lab.array, **place, "initiators": hosts["initiators"], "igroup_os_type": "vmware"})


@UNREADABLE
def test_the_lun_of_a_vm_that_cannot_be_read_is_not_deleted(lab: Lab, modules: ModuleRunner, view: dict[str, Any], because: str) -> None:
    show(lab, "VirtualMachine", "db01", **view)
    before = lab.state()
    sentence = modules.fail("lun_provision", withdrawal(lab, SHARED_RDM))
    assert "nobody can tell whether it is used (VM db01 (vm-" in sentence
    assert f"cannot be read because {because}" in sentence
    assert lab.state() == before


@UNREADABLE
def test_its_row_in_the_map_says_why_and_so_does_a_warning(lab: Lab, modules: ModuleRunner, view: dict[str, Any], because: str) -> None:
    show(lab, "VirtualMachine", "db01", **view)
    found = modules.succeed("vm_storage_map", {"hypervisor": lab.hypervisor})
    (row,) = [row for row in found["mappings"] if row["vm_name"] == "db01"]
    assert (row["disk"], row["status"]) == ("", "unresolved")
    assert row["reason"] == f"the disks of VM db01 are not known: it cannot be read because {because}"
    assert [warning for warning in warnings_of(found) if "VM db01" in warning and because in warning]


def test_a_lun_is_not_given_away_while_a_vm_cannot_be_read_unless_the_user_vouches_for_it(lab: Lab, modules: ModuleRunner) -> None:
    map_spare(lab, modules)
    show(lab, "VirtualMachine", "db01", **lost("inaccessible"))
    assert "VM db01" in modules.fail("ptd_attach", attach(lab))
    told = modules.succeed("ptd_attach", attach(lab, assume_unused=True))
    assert told["changed"]
    assert [warning for warning in warnings_of(told) if "VM db01" in warning]


@pytest.mark.parametrize("options", [{"state": "absent"}, {"state": "absent", "release": True, "assume_unused": True}])
def test_nothing_is_said_of_the_disks_of_a_vm_that_cannot_be_read(lab: Lab, modules: ModuleRunner, options: dict[str, Any]) -> None:
    show(lab, "VirtualMachine", "db01", **NO_RIGHT)
    before = lab.state()
    sentence = modules.fail("ptd_attach", attach(lab, vm="db01", naa=SHARED_RDM, **options))
    assert "VM db01 cannot be read because NoPermission, so nobody can tell which disks it has" in sentence
    assert lab.state() == before


def test_hosts_whose_devices_may_not_be_read_are_not_hosts_that_do_not_see_the_lun(lab: Lab, modules: ModuleRunner) -> None:
    map_spare(lab, modules)
    show(lab, "HostSystem", "esx02.lab", hide=["config.storageDevice"], why="NoPermission")
    assert "devices of host esx02.lab cannot be read because NoPermission" in modules.fail("ptd_attach", attach(lab))
    assert "devices of host esx02.lab cannot be read" in modules.fail("ptd_attach", attach(lab, state="released"))


@pytest.mark.parametrize(("hide", "why"), [(["info"], "NoPermission"), (["info"], "")])
def test_the_lun_of_a_datastore_that_cannot_be_read_is_not_deleted(lab: Lab, modules: ModuleRunner, hide: list[str], why: str) -> None:
    show(lab, "Datastore", "ds_single", hide=hide, why=why)
    assert "datastore ds_single (" in modules.fail("lun_provision", withdrawal(lab, DATASTORE_LUN))


def test_a_lun_in_service_is_unmapped_once_the_hosts_have_let_go_of_it(lab: Lab, modules: ModuleRunner) -> None:
    map_spare(lab, modules)
    modules.succeed("ptd_attach", attach(lab))
    modules.succeed("ptd_attach", attach(lab, state="absent"))
    before = lab.state()
    sentence = modules.fail("lun_provision", withdrawal(lab, SPARE, delete=False, assume_unused=True))
    assert "host esx01.lab" in sentence
    assert "has it in service (ok)" in sentence
    assert "release=true" in sentence
    assert lab.state() == before
    modules.succeed("ptd_attach", attach(lab, state="absent", release=True))
    assert modules.succeed("lun_provision", withdrawal(lab, SPARE, delete=False))["changed"]
    assert lab.device_losses() == []


def test_a_host_that_is_out_of_reach_may_have_the_lun_in_service(lab: Lab, modules: ModuleRunner) -> None:
    map_spare(lab, modules)
    show(lab, "HostSystem", "esx02.lab", show={"runtime.connectionState": "notResponding"})
    sentence = modules.fail("lun_provision", withdrawal(lab, SPARE, delete=False))
    assert "host esx02.lab" in sentence
    assert "cannot be asked whether it has the LUN in service because it is notResponding" in sentence


@pytest.mark.parametrize("purpose", ["boot", "diagnostic"])
def test_the_lun_that_a_host_has_for_itself_is_neither_released_nor_unmapped(lab: Lab, modules: ModuleRunner, purpose: str) -> None:
    map_spare(lab, modules)
    modules.succeed("ptd_attach", attach(lab))
    modules.succeed("ptd_attach", attach(lab, state="absent"))
    lab.hold({"host": "esx01.lab", "naa": SPARE.removeprefix("naa."), "as": purpose})
    before = lab.state()
    assert "esx01.lab" in modules.fail("ptd_attach", attach(lab, state="released"))
    assert "esx01.lab" in modules.fail("lun_provision", withdrawal(lab, SPARE, delete=False, assume_unused=True))
    if purpose == "diagnostic":
        assert "keeps its diagnostic partition on it" in modules.fail("ptd_attach", attach(lab, assume_unused=True))
    assert lab.state() == before


def test_a_host_in_standby_is_named_so(lab: Lab, modules: ModuleRunner) -> None:
    map_spare(lab, modules)
    asleep = {"runtime.powerState": "standBy", "runtime.connectionState": "notResponding"}
    show(lab, "HostSystem", "esx02.lab", show=asleep)
    assert "The hosts esx02.lab are in standby" in modules.fail("ptd_attach", attach(lab))
    assert "because it is in standby" in modules.fail("lun_provision", withdrawal(lab, SPARE, delete=False))
    (host,) = [host for host in modules.succeed("hba_info", {"hypervisor": lab.hypervisor})["hosts"] if host["name"] == "esx02.lab"]
    assert host["state"] == "standby"
    assert modules.succeed("ptd_attach", attach(lab, ignore_hosts=["esx02.lab"]))["changed"]
