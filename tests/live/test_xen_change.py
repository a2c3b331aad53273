# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A LUN becomes a disk of a VM of the lab's Xen pool and is taken back, over iSCSI and Fibre Channel: what is refused, and what is left."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.lab import world, xen_world
from tests.live.lab import XEN, XenLab
from tests.live.modules import ModuleRunner, sentence
from tests.live.xen_way import FC, ISCSI, LEDGER, SPARE, TIMEOUT, XenWay

REFUSED: Mapping[str, Any] = {"error": {"code": "INTERNAL_ERROR", "parameters": ["The lab says no"]}}
UNANSWERED = {"drop": "after"}
READING = ("get_", "SR.probe", "session.")


@pytest.fixture(params=[ISCSI, FC], ids=["iscsi", "fc"])
def way(xen: XenLab, modules: ModuleRunner, request: pytest.FixtureRequest) -> XenWay:
    return XenWay(xen, modules, request.param)


@pytest.fixture
def over_iscsi(xen: XenLab, modules: ModuleRunner) -> XenWay:
    return XenWay(xen, modules, ISCSI)


def test_a_running_guest_gets_the_lun_and_gives_it_back_and_nothing_is_left(way: XenWay) -> None:
    before = _pool(way)
    way.map_spare()
    promised = way.attach("xenapp01", check=True)
    given = way.attach("xenapp01")
    assert promised["actions"] == given["actions"]
    assert (given["disk"]["label"], given["disk"]["mode"]) == ("xvdb", "physical" if way.protocol == ISCSI else "virtual")
    assert any(f"raw {SPARE}" in slot for slot in way.slots("xenapp01"))
    assert not way.attach("xenapp01")["changed"]
    assert way.detach("xenapp01", release=True)["changed"]
    way.unmap_spare()
    way.modules.succeed("ptd_attach", way.disk("xenapp01", state="forgotten"))
    assert not way.detach("xenapp01", release=True)["changed"]
    assert _pool(way) == before


def test_what_was_released_over_fibre_channel_is_taken_up_again(xen: XenLab, modules: ModuleRunner) -> None:
    way = XenWay(xen, modules, FC)
    way.map_spare()
    made = way.attach("xenapp01")
    way.detach("xenapp01", release=True)
    assert way.attach("xenapp01", initialize=False)["disk"]["size_bytes"] == made["disk"]["size_bytes"]


def test_two_vms_may_have_it_when_that_is_asked_for(way: XenWay) -> None:
    way.map_spare()
    way.attach("xenapp01", sharing="multi_writer")
    way.attach("xenha01", sharing="multi_writer")
    assert [any(f"raw {SPARE}" in slot for slot in way.slots(vm)) for vm in ("xenapp01", "xenha01")] == [True, True]


def test_a_vm_that_is_off_gets_it(way: XenWay) -> None:
    way.map_spare()
    assert way.attach("xenchain01", place="SCSI(0:9)")["disk"]["unit"] == 9


@pytest.mark.parametrize(
    ("vm", "options", "said"),
    [
        ("xensleep01", {}, "VM xensleep01 is suspended"),
        ("xennodrv01", {}, "the guest has no paravirtual drivers"),
        ("xencrowd01", {}, "VM xencrowd01 has no place left for a disk"),
        ("xenapp01", {"place": "SCSI(0:0)"}, "SCSI(0:0) of VM xenapp01 is taken"),
        ("xenapp01", {"place": "SCSI(0:255)"}, "SCSI(0:255) does not exist"),
        ("xenapp01", {"place": "SCSI(1:0)"}, "SCSI bus 1 does not exist"),
        ("xenapp01", {"naa": LEDGER}, "is used by VM xendb01"),
        ("xenapp01", {"naa": world.naa_at(xen_world.lun_path("xen_fc_sr"))}, "is used by lvmohba file system san-fc"),
        ("xenapp01", {"naa": world.naa_at(xen_world.lun_path("xen_iscsi_sr"))}, "is used by lvmoiscsi file system san-iscsi"),
        ("xenapp01", {"disk_mode": "persistent"}, "disk_mode persistent does not exist for a LUN on Xen"),
    ],
)
def test_a_wish_that_cannot_be_met_is_one_sentence_and_leaves_nothing(
    over_iscsi: XenWay, vm: str, options: dict[str, Any], said: str
) -> None:
    over_iscsi.map_spare()
    before = over_iscsi.state()
    assert said in over_iscsi.refuse(vm, **options)
    assert _vms(over_iscsi.state()) == _vms(before)


def test_a_guest_that_holds_the_disk_keeps_it(over_iscsi: XenWay) -> None:
    over_iscsi.map_spare()
    over_iscsi.attach("xenapp01")
    over_iscsi.xen.guest("xenapp01", "holds")
    before = over_iscsi.state()
    assert "the guest does not let go of the disk" in over_iscsi.refuse("xenapp01", state="absent")
    assert _vms(over_iscsi.state()) == _vms(before)


def test_a_host_of_the_pool_to_which_the_lun_is_not_mapped_is_named(over_iscsi: XenWay) -> None:
    two = [hba["iqn"] for host in xen_world.HOSTS[:2] for hba in xen_world.hbas(host) if "iqn" in hba]
    over_iscsi.modules.succeed("lun_provision", over_iscsi.provision(initiators=two))
    assert "is not visible on xen03.lab" in over_iscsi.refuse("xenapp01", timeout=0.5)


def _pool(way: XenWay) -> Any:
    """What the pool holds; not what is on the LUNs."""
    return {what: held for what, held in way.state()[XEN].items() if what != "volume_groups"}


def _vms(state: dict[str, Any]) -> Any:
    return state[XEN]["vms"]


@pytest.mark.parametrize("verb", ["attach", "detach"])
def test_no_fault_leaves_anything_half_made(way: XenWay, verb: str) -> None:
    """Each request that changes something suffers each fault once; what is left is the start or the end, and the next run ends well."""
    trial = Trial(way, verb)
    wrong = [problem for case in trial.cases() for problem in trial.problems(*case)]
    assert not wrong, "\n".join(wrong)


class Trial:
    """One change, to be tried again and again from the same start."""

    def __init__(self, way: XenWay, verb: str) -> None:
        self.way, self.verb = way, verb
        self.start()
        self.before = self.seen()
        way.xen.count_again()
        result = self.run()
        assert result["rc"] == 0, result
        self.goal = self.seen()
        self.requests = [request["method"] for request in way.xen.requests(XEN)]

    def start(self) -> None:
        self.way.xen.reset()
        self.way.map_spare()
        if self.verb == "detach":
            self.way.attach("xenapp01")

    def run(self) -> dict[str, Any]:
        options = {"state": "absent", "release": True} if self.verb == "detach" else {}
        return self.way.modules.run("ptd_attach", {**self.way.disk("xenapp01"), **options, "timeout": TIMEOUT})

    def seen(self) -> Any:
        """What there is, but not which LUNs a scan has listed."""
        pool = self.way.state()[XEN]
        for sr in pool["srs"].values():
            if sr["type"] == "iscsi":
                sr["vdis"] = [vdi for vdi in sr["vdis"] if SPARE not in vdi]
        return pool["vms"], pool["srs"]

    def cases(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """The first request of each kind that changes something, and what it suffers."""
        changing = [name for name in self.requests if name != "POST" and not any(word in name for word in READING)]
        for name in dict.fromkeys(changing):
            yield from ((name, fault) for fault in (REFUSED, UNANSWERED))

    def problems(self, name: str, fault: Mapping[str, Any]) -> Iterator[str]:
        case = f"{name}, {fault}"
        self.start()
        self.way.xen.count_again()
        self.way.xen.fail(XEN, fault, match=f"^{name} ")
        result = self.run()
        if result["rc"] == 0:
            if self.seen() != self.goal:
                yield f"{case}: succeeded without reaching its end"
            return
        message = sentence(result)
        if self.seen() not in (self.before, self.goal):
            yield f"{case}: left something half-made: {message}"
        again = self.run()
        if again["rc"] != 0:
            yield f"{case}: the next run fails: {again['msg']}"
        elif self.seen() != self.goal:
            yield f"{case}: the next run ends elsewhere"
