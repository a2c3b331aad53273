# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pass-through disks on the lab's single Hyper-V host: attached, detached, released, forgotten; and everything that can be wrong with that.

What is wrong is told in one sentence with the object and the way out, and neither the array nor a Windows machine has changed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from tests.lab import hyperv_world
from tests.live.hyperv_way import DATA, HOST, RAW, SAVED, SERVER, SPARE, HyperVWay
from tests.live.lab import WindowsLab
from tests.live.modules import ModuleRunner

ADD, REMOVE, RESCAN = "^AddResourceSettings ", "^RemoveResourceSettings ", "^UpdateHostStorageCache "
JOB_ERROR: Mapping[str, Any] = {"job_error": {"code": 32768, "message": "Account does not have permission. Ask the owner. (0x80070005)"}}


@pytest.fixture
def way(windows: WindowsLab, modules: ModuleRunner) -> HyperVWay:
    """A fresh lab whose array presents the spare LUN to hv01, which has not looked yet."""
    found = HyperVWay(windows, modules)
    found.map_spare()
    return found


class TestTheWayThereAndBack:
    def test_the_lun_becomes_a_disk_in_the_first_free_place_and_a_second_run_changes_nothing(self, way: HyperVWay) -> None:
        first = way.attach("hvapp01")
        assert first["actions"] == [f"rescan {HOST} for LUN naa.{SPARE}", f"attach LUN naa.{SPARE} to VM hvapp01 as SCSI(0:2)"]
        assert {name: first["disk"][name] for name in ("label", "controller_type", "bus", "unit", "mode", "guest_address")} == {
            "label": "SCSI(0:2)",
            "controller_type": "scsi",
            "bus": 0,
            "unit": 2,
            "mode": "physical",
            "guest_address": "SCSI(0:2)",
        }
        assert f"scsi0:02 raw {SPARE}" in way.slots("hvapp01")
        second = way.attach("hvapp01")
        assert (second["changed"], second["disk"]) == (False, first["disk"])

    def test_check_mode_changes_nothing_and_diff_tells_what_would_change(self, way: HyperVWay) -> None:
        before = way.state()
        result = way.attach("hvapp01", check=True, place="SCSI(0:5)")
        assert way.state() == before
        assert result["changed"]
        assert result["diff"] == {
            "before": {"visible": {HOST: False}, "VM hvapp01": {"SCSI(0:5)": None}},
            "after": {"visible": {HOST: True}, "VM hvapp01": {"SCSI(0:5)": {"lun": f"naa.{SPARE}"}}},
        }

    def test_on_a_vm_that_is_off_a_disk_goes_to_a_new_controller(self, way: HyperVWay) -> None:
        assert f"attach LUN naa.{SPARE} to VM hvold01 as SCSI(1:3)" in way.attach("hvold01", place="SCSI(1:3)")["actions"]
        assert f"scsi1:03 raw {SPARE}" in way.slots("hvold01")

    def test_a_disk_without_volumes_that_is_online_is_taken_offline(self, way: HyperVWay) -> None:
        way.rescan()
        way.bring_online(SPARE)
        assert way.attach("hvapp01")["actions"] == [
            f"take LUN naa.{SPARE} offline on host {HOST}",
            f"attach LUN naa.{SPARE} to VM hvapp01 as SCSI(0:2)",
        ]

    def test_everything_goes_back_the_way_it_came(self, way: HyperVWay) -> None:
        way.rescan()
        before = way.state()
        way.attach("hvapp01")
        check = way.detach("hvapp01", check=True, release=True)
        assert way.detach("hvapp01", release=True)["actions"] == check["actions"] == [f"detach LUN naa.{SPARE} (SCSI(0:2)) from VM hvapp01"]
        assert way.state() == before
        assert not way.detach("hvapp01", release=True)["changed"]
        way.unmap_spare()
        assert way.modules.succeed("ptd_attach", way.disk("hvapp01", state="forgotten"))["actions"] == [
            f"forget LUN naa.{SPARE} on host {HOST}"
        ]
        assert not way.modules.succeed("ptd_attach", way.disk("hvapp01", state="forgotten"))["changed"]

    def test_release_takes_offline_what_the_host_has_taken_online(self, way: HyperVWay) -> None:
        way.rescan()
        way.bring_online(SPARE)
        assert way.detach("hvapp01", release=True)["actions"] == [f"release LUN naa.{SPARE} on host {HOST}"]
        assert way.host_disk(SPARE).offline

    def test_after_a_boot_gave_other_numbers_the_right_disk_goes(self, way: HyperVWay) -> None:
        way.attach("hvapp01")
        number = way.host_disk(SPARE).number
        way.windows.reboot("hv01")
        assert way.host_disk(SPARE).number != number
        way.detach("hvapp01")
        assert way.slots("hvdb01")[-1] == f"scsi0:01 raw {RAW}"
        assert not any(SPARE in slot for slot in way.slots("hvapp01"))

    def test_a_guest_without_integration_services_gets_its_disk_with_a_warning(self, way: HyperVWay) -> None:
        result = way.attach("hvnoic01")
        assert f"scsi0:01 raw {SPARE}" in way.slots("hvnoic01")
        assert "integration services of VM hvnoic01 do not answer" in str(result["warnings"])

    def test_a_vm_that_its_cluster_does_not_keep_gets_its_disk_on_its_node_alone(self, way: HyperVWay) -> None:
        cluster: dict[str, Any] = {"hypervisor": way.windows.host("hvc1n1")}
        both = hyperv_world.initiators(hyperv_world.CLUSTERS["hvc1"])
        way.modules.succeed("lun_provision", way.provision(initiators=both))
        before = way.state()[SERVER]["clusters"]
        assert way.attach("c1local01", **cluster)["actions"] == [
            f"rescan hvc1n2.lab for LUN naa.{SPARE}",
            f"attach LUN naa.{SPARE} to VM c1local01 as SCSI(0:1)",
        ]
        assert way.slots("c1local01")[-1] == f"scsi0:01 raw {SPARE}"
        way.detach("c1local01", release=True, **cluster)
        assert not any(SPARE in slot for slot in way.slots("c1local01"))
        assert way.state()[SERVER]["clusters"] == before

    @pytest.mark.parametrize("request_lost", [ADD, REMOVE], ids=["attach", "detach"])
    def test_an_answer_that_was_lost_after_the_change_was_begun_is_read_back(self, way: HyperVWay, request_lost: str) -> None:
        if request_lost == REMOVE:
            way.attach("hvapp01")
        way.windows.fail(SERVER, {"drop": "after"}, match=request_lost)
        assert (way.attach if request_lost == ADD else way.detach)("hvapp01")["changed"]
        assert any(SPARE in slot for slot in way.slots("hvapp01")) == (request_lost == ADD)


@dataclass(frozen=True)
class Case:
    """Options of `ptd_attach` that cannot be met, what is so before, and fragments of what the module has to say."""

    says: tuple[str, ...]
    vm: str = "hvapp01"
    options: Mapping[str, Any] | None = None
    before: Callable[[HyperVWay], None] | None = None


def failing(match: str, action: Mapping[str, Any], times: int = 1) -> Callable[[HyperVWay], None]:
    return lambda way: way.windows.fail(SERVER, action, match=match, times=times)


def denied(namespace: str) -> Callable[[HyperVWay], None]:
    return failing(namespace, {"error": {"code": "AccessDenied"}}, times=100)


def without_mpio(way: HyperVWay) -> None:
    way.windows.multipath("hv01", on=False)
    way.rescan()


def unmapped(way: HyperVWay) -> None:
    way.unmap_spare()


CASES = {
    "disk in use on the host": Case((f"LUN naa.{DATA}", "ntfs file system", "E:\\", "HV01"), options={"naa": DATA}),
    "disk of another VM": Case((f"LUN naa.{RAW}", "VM hvdb01", "detach it there first"), options={"naa": RAW}),
    "two disks with one name": Case((f"Host {HOST} shows LUN naa.{SPARE} as disks", "MPIO"), before=without_mpio),
    "LUN that the host does not get": Case((f"not visible on {HOST}", "hba_info"), options={"timeout": 0.5}, before=unmapped),
    "slot taken": Case(("SCSI(0:1) of VM hvapp01 is taken by SCSI(0:1)", "data.vhdx", "choose another"), options={"place": "SCSI(0:1)"}),
    "slot taken by a DVD drive": Case(
        ("SCSI(0:2) of VM win01 is taken by a device that is not a disk",), vm="win01", options={"place": "SCSI(0:2)"}
    ),
    "slot that does not exist": Case(("SCSI(0:64) does not exist", "0 to 63"), options={"place": "SCSI(0:64)"}),
    "IDE asked for": Case(("'IDE(0:1)' is not a place", "SCSI(1:3)"), vm="hvide01", options={"place": "IDE(0:1)"}),
    "only IDE on a running VM": Case(("VM hvide01 is running and it has no SCSI controller", "turn it off"), vm="hvide01"),
    "controller needed on a running VM": Case(
        ("VM hvapp01 is running and it has no SCSI controller 1", "turn it off"), options={"place": "SCSI(1:0)"}
    ),
    "controller that would be another": Case(
        ("VM hvold01 has 1 SCSI controllers", "becomes number 1, not 3"), vm="hvold01", options={"place": "SCSI(3:0)"}
    ),
    "saved VM": Case(("VM hvapp01 is saved or paused", "start it or turn it off"), before=lambda way: way.request_state("hvapp01", SAVED)),
    "virtual mode": Case(("mode virtual does not exist", "Hyper-V"), options={"mode": "virtual"}),
    "disk mode": Case(("disk_mode persistent does not exist", "leave it out"), options={"disk_mode": "persistent"}),
    "sharing": Case(("sharing multi_writer does not exist",), options={"sharing": "multi_writer"}),
    "datastore": Case(("datastore ds1 does not exist",), options={"datastore": "ds1"}),
    "controller of VMware": Case(("controller_type pvscsi does not exist", "ask for scsi"), options={"controller_type": "pvscsi"}),
    "forgotten while it is presented": Case(
        ("still presented by the array", "unmap it there first"), options={"state": "forgotten"}, before=HyperVWay.rescan
    ),
    "job that fails": Case(
        (
            f"Could not attach LUN naa.{SPARE} to VM hvapp01 as SCSI(0:2)",
            f"Hyper-V on host {HOST} says no",
            "Account does not have permission",
        ),
        before=failing(ADD, JOB_ERROR),
    ),
    "connection lost before the change": Case(
        (f"Could not attach LUN naa.{SPARE}", "AddResourceSettings"), before=failing(ADD, {"drop": "before"})
    ),
    "no rights in Hyper-V's namespace": Case(
        ("may not use the namespace root/virtualization/v2", "Remote Management Users"), before=denied("root/virtualization/v2")
    ),
    "no rights in the storage namespace": Case(
        ("may not use the namespace root/Microsoft/Windows/Storage", "Remote Management Users"),
        before=denied("root/Microsoft/Windows/Storage"),
    ),
    "no right to change": Case(
        (f"Could not attach LUN naa.{SPARE}", "root/virtualization/v2", "Execute Methods"),
        before=failing(ADD, {"error": {"code": "AccessDenied"}}),
    ),
    "no right to rescan": Case(("Could not rescan", "Execute Methods"), before=failing(RESCAN, {"error": {"code": "AccessDenied"}})),
    "envelope too small": Case(
        ("does not fit in one message", "MaxEnvelopeSizekb"),
        before=failing("Msvm_ResourceAllocation", {"error": {"code": "EncodingLimit"}}),
    ),
    "wrong password": Case(("refuses", "hypervisor.password"), options={"password": "wrong"}),
}


def seen(state: Any) -> Any:
    """The state without the spare LUN among the host's disks: that a host has looked is no change, and there it is offline."""
    machine = state[SERVER]["machines"][HOST]
    machine["disks"] = [row for row in machine["disks"] if not (row["disk"].startswith(SPARE) and row["offline"])]
    return state


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_what_is_wrong_is_told_in_one_sentence_and_changes_nothing(way: HyperVWay, case: Case) -> None:
    options = dict(case.options or {})
    password = {"password": options.pop("password")} if "password" in options else {}
    if case.before:
        case.before(way)
    before = seen(way.state())
    arguments = way.disk(case.vm, **options)
    arguments["hypervisor"] = {**arguments["hypervisor"], **password}
    message = way.modules.fail("ptd_attach", arguments)
    assert not [fragment for fragment in case.says if fragment not in message], message
    way.windows.heal()
    assert seen(way.state()) == before


def test_a_boot_between_the_last_look_and_the_change_gives_the_vm_no_wrong_disk(way: HyperVWay) -> None:
    way.rescan()
    before = way.state()
    number = way.host_disk(SPARE).number
    way.windows.fail(SERVER, {"boot": True}, match=ADD)
    assert "Could not attach" in way.modules.fail("ptd_attach", way.disk("hvapp01"))
    assert way.host_disk(SPARE).number != number
    assert way.state() == before


def test_a_host_does_not_wait_for_a_lun_that_the_array_does_not_map_to_it(way: HyperVWay) -> None:
    way.unmap_spare()
    message = way.modules.fail("ptd_attach", way.disk("hvapp01", array=way.windows.array, timeout=600))
    assert f"LUN naa.{SPARE} (svm_san:/vol/vol_dev/spare) is mapped to no initiator of {HOST} on array" in message
