# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A LUN becomes a disk of a VM of the lab's Xen pool and is taken back, over iSCSI and Fibre Channel: what is refused, and what is left."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from tests.lab import world, xen_world
from tests.live.lab import XEN, XenLab
from tests.live.modules import ModuleRunner
from tests.live.xen_way import FC, ISCSI, LEDGER, SPARE, XenWay

STATES: Mapping[str, Mapping[str, Any]] = {"attach": {}, "detach": {"state": "absent", "release": True}}


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


@pytest.mark.parametrize("kind", ["ontap", "ontap_zapi"])
def test_a_target_that_the_pool_does_not_know_is_taken_by_the_arrays_word_and_goes_with_its_last_lun(over_iscsi: XenWay, kind: str) -> None:
    before = _pool(over_iscsi)
    far = {"svm": "svm_dr", "volume": "vol_dr", "name": "far", "size": "1GiB"}
    naa = over_iscsi.modules.succeed("lun_provision", over_iscsi.provision(**far))["naa"]
    assert over_iscsi.attach("xenapp01", naa, array={**over_iscsi.xen.array, "type": kind})["disk"]["mode"] == "physical"
    assert any(name.startswith("LUNs of iqn.") for name in _pool(over_iscsi)["srs"])
    over_iscsi.detach("xenapp01", naa, release=True)
    over_iscsi.modules.succeed("lun_provision", {**over_iscsi.withdraw(), "naa": naa, "delete": True})
    assert _pool(over_iscsi) == before


def test_a_vm_that_is_off_gets_it(over_iscsi: XenWay) -> None:
    over_iscsi.map_spare()
    assert over_iscsi.attach("xenchain01", place="SCSI(0:9)")["disk"]["unit"] == 9


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


def test_a_scan_that_does_not_end_is_one_sentence_and_leaves_nothing(over_iscsi: XenWay) -> None:
    over_iscsi.map_spare()
    before = over_iscsi.state()
    over_iscsi.xen.fail(XEN, {"delay": 2}, match="^SR.scan ")
    said = over_iscsi.refuse("xenapp01", hypervisor={**over_iscsi.xen.hypervisor, "timeout": 1}, timeout=0.5)
    assert "The scan of SR luns did not end within 1 s: look for a dead path or target" in said
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


@pytest.mark.parametrize(("verb", "last"), [("attach", "VBD.plug"), ("detach", "VBD.destroy")])
def test_a_change_whose_answer_is_lost_on_the_wire_is_looked_up(over_iscsi: XenWay, verb: str, last: str) -> None:
    """What else may happen to each request of a way, and to the process, is tried without the wire."""
    over_iscsi.map_spare()
    if verb == "detach":
        over_iscsi.attach("xenapp01")
    over_iscsi.xen.fail(XEN, {"drop": "after"}, match=f"^{last} ")
    assert over_iscsi.modules.succeed("ptd_attach", over_iscsi.disk("xenapp01", **STATES[verb]))["changed"]
    assert any(f"raw {SPARE}" in slot for slot in over_iscsi.slots("xenapp01")) == (verb == "attach")
