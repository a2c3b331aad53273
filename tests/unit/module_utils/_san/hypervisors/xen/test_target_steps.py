# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The repository of an array's target: adopted where the pool has one, else made, and taken back when nothing else is on it.

The pool is the lab's; failures at each request are in test_ways and in tests/exhaustive.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from typing import Any

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import StepFailed
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.base import DiskWish, IscsiLogin
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.xen.backend import Xen
from ansible_collections.crossvisor.san.plugins.module_utils._san.services import attach
from tests.lab.xen.errors import Failure
from tests.unit.xen_ways import CONNECTION, TARGET, VM, Bench, InProcess, refuse

pytestmark = pytest.mark.slow

IQN, PORTAL = "iqn.1992-08.com.netapp:sn.0b7e55d28e4c11efb7a900a098c0ffee:vs.4", "192.0.2.31"
FAR = f"LUNs of {IQN}"
USER, SECRET = "hosts", "not-told-to-anybody"


@pytest.fixture
def bench() -> Bench:
    return Bench(TARGET)


def made(bench: Bench) -> list[str]:
    """The repositories of the target, by their names."""
    return [row["name_label"] for _ref, row in bench.lab.pool.db.rows("SR") if row["sm_config"].get("targetIQN") == IQN]


def connections(bench: Bench) -> list[dict[str, Any]]:
    """The device configurations of its connections."""
    db = bench.lab.pool.db
    return [
        row["device_config"] for _ref, row in db.rows("PBD") if row["device_config"].get("targetIQN") == IQN and row["currently_attached"]
    ]


def by(*logins: IscsiLogin) -> dict[str, Any]:
    return {"targets": lambda: logins}


def somebodys(bench: Bench) -> None:
    """What the pool's administrator makes by hand."""
    login = {"target": PORTAL, "targetIQN": IQN, "port": "3260"}
    bench.lab.call("SR.create", bench.lab.host("xen01.lab"), login, 0, "theirs", "", "iscsi", "", True, {})


def test_every_host_of_the_pool_is_connected_and_the_next_run_changes_nothing(bench: Bench) -> None:
    assert bench.go("attach").outcome.changed
    assert made(bench) == [FAR]
    assert connections(bench) == [{"target": PORTAL, "targetIQN": IQN, "port": "3260"}] * 3
    assert not bench.go("attach").outcome.changed


def test_check_mode_tells_of_it_and_makes_nothing(bench: Bench) -> None:
    request = attach.AttachRequest(VM, DiskWish(bench.lun, targets=bench.targets))
    with closing(Xen(CONNECTION, InProcess(bench))) as hypervisor:
        outcome = attach.attach(hypervisor, request, check_mode=True).outcome
    assert outcome.actions[0] == f"make an SR of type iscsi for the target {IQN} to reach LUN {bench.lun}"
    assert outcome.diff()["after"][f"LUN {bench.lun}"] == {"target": "iscsi"}
    assert made(bench) == []


def test_what_the_pool_has_is_adopted_and_never_taken_back(bench: Bench) -> None:
    somebodys(bench)
    bench.go("attach")
    bench.go("detach")
    assert made(bench) == ["theirs"]


def test_what_another_makes_at_the_last_moment_is_adopted(bench: Bench) -> None:
    bench.go("attach")
    number = bench.asked.index("SR.create")
    bench.go("detach")
    bench.forget()
    bench.before[number] = lambda: somebodys(bench)
    assert bench.go("attach").outcome.changed
    assert made(bench) == ["theirs"]


def suspend_to_it(bench: Bench) -> None:
    """A VM keeps its suspended state on the LUN."""
    bench.lab.pool.db.set("VM", bench.lab.vm("xendb01"), suspend_VDI=bench.lab.vdi(bench.lun.naa))


def test_one_on_which_a_vm_keeps_its_state_stays_when_the_attach_fails(bench: Bench) -> None:
    bench.go("attach")
    number = bench.asked.index("VBD.create")
    bench.go("detach")
    bench.forget()

    def suspended() -> None:
        suspend_to_it(bench)
        refuse()

    bench.before[number] = suspended
    with pytest.raises(StepFailed):
        bench.go("attach")
    assert made(bench) == [FAR]


def test_one_on_which_a_vm_keeps_its_state_by_now_is_not_taken_back(bench: Bench) -> None:
    bench.go("attach")
    start = bench.kept()
    bench.forget()
    bench.go("detach")
    number = bench.asked.index("VDI.forget")
    bench.restore(start)
    (sr,) = bench.lab.pool.db.find("SR", name_label=FAR)

    def suspended() -> None:
        bench.lab.call("SR.scan", sr)
        suspend_to_it(bench)

    bench.after[number] = suspended
    bench.go("detach")
    assert made(bench) == [FAR]


@pytest.mark.parametrize("taken", [True, False])
def test_it_is_taken_back_with_the_last_lun_alone(bench: Bench, taken: bool) -> None:
    bench.go("attach")
    if not taken:
        db = bench.lab.pool.db
        (sr,) = db.find("SR", name_label=FAR)
        db.create("VDI", SR=sr, location="another LUN", managed=True, sm_config={"SCSIid": "3600a098000000000000000000000000a"})
    bench.go("detach")
    assert made(bench) == ([] if taken else [FAR])


def test_one_that_a_host_which_is_down_has_plugged_in_stays_until_it_is_up(bench: Bench) -> None:
    bench.go("attach")
    _down(bench)
    bench.go("detach", ignore_hosts=["xen03.lab"])
    assert made(bench) == [FAR]
    _down(bench, up=True)
    bench.go("detach")
    assert made(bench) == []


def test_a_host_that_is_down_and_vouched_for_is_left_out(bench: Bench) -> None:
    _down(bench)
    assert bench.go("attach", ignore_hosts=["xen03.lab"]).outcome.changed
    assert len(connections(bench)) == 2
    assert not bench.go("attach", ignore_hosts=["xen03.lab"]).outcome.changed


def _down(bench: Bench, *, up: bool = False) -> None:
    pool = bench.lab.pool
    pool.hosts["xen03.lab"].up = up
    pool.db.set("host_metrics", pool.db.get("host", bench.lab.host("xen03.lab"), "metrics"), live=up)


def test_one_whose_mark_somebody_has_changed_is_theirs(bench: Bench) -> None:
    bench.go("attach")
    (sr,) = bench.lab.pool.db.find("SR", name_label=FAR)
    bench.lab.call("SR.set_name_description", sr, "we keep this")
    bench.go("detach")
    assert made(bench) == [FAR]


def test_a_disk_that_cannot_be_attached_leaves_none(bench: Bench) -> None:
    bench.go("attach")
    number = bench.asked.index("VBD.create")
    bench.go("detach")
    bench.forget()

    def read_only() -> None:
        raise Failure("VDI_READONLY", "")

    bench.before[number] = read_only
    with pytest.raises(StepFailed, match=r"the disk is read-only .* undone: .*make an SR of type iscsi"):
        bench.go("attach")
    assert made(bench) == []


def test_the_name_of_the_target_is_found_by_its_address(bench: Bench) -> None:
    bench.go("attach", **by(IscsiLogin(PORTAL)))
    assert made(bench) == [FAR]


def test_a_target_that_wants_a_secret_gets_it_and_no_record_tells_it(bench: Bench) -> None:
    bench.lab.pool.chap[IQN] = (USER, SECRET)
    bench.go("attach", **by(IscsiLogin(PORTAL, iqn=IQN, username=USER, password=SECRET)))
    assert [config["chapuser"] for config in connections(bench)] == [USER] * 3
    assert SECRET not in repr(connections(bench))


def _no_name(bench: Bench) -> None:
    bench.lab.pool.db.set("host", bench.lab.host("xen03.lab"), iscsi_iqn="")


def _no_type(bench: Bench) -> None:
    number = next(number for number, method in enumerate(_requests()) if method == "SR.get_supported_types")
    bench.instead[number] = ["ext", "nfs"]


def _requests() -> list[str]:
    undisturbed = Bench(TARGET)
    undisturbed.go("attach")
    return undisturbed.asked


def _secret(bench: Bench) -> None:
    bench.lab.pool.chap[IQN] = (USER, SECRET)


def _nothing(_bench: Bench) -> None:
    """The pool is as it should be."""


@pytest.mark.parametrize(
    ("happens", "logins", "told"),
    [
        (_nothing, [IscsiLogin("192.0.2.99", iqn=IQN)], "Unable to connect to ISCSI service on target"),
        (_nothing, [IscsiLogin(PORTAL, iqn="iqn.2026-11.com.example:none")], "ISCSI discovery failed"),
        (_secret, [IscsiLogin(PORTAL, iqn=IQN)], "ISCSI login failed"),
        (_secret, [IscsiLogin(PORTAL, iqn=IQN, username=USER, password="wrong")], "ISCSI login failed"),
        (_no_name, [IscsiLogin(PORTAL, iqn=IQN)], "was not changed by PBD.plug"),
        (_no_type, [IscsiLogin(PORTAL, iqn=IQN)], r"The pool offers no SR of type iscsi \(it offers ext, nfs\)"),
    ],
)
def test_a_target_that_cannot_be_used_is_one_sentence_and_nothing_is_left(
    bench: Bench, happens: Any, logins: Sequence[IscsiLogin], told: str
) -> None:
    happens(bench)
    with pytest.raises(StepFailed, match=told):
        bench.go("attach", **by(*logins))
    assert made(bench) == []


def test_a_target_that_does_not_show_the_lun_is_told(bench: Bench) -> None:
    bench.lab.world["array"]["svms"][1]["igroups"].clear()
    with pytest.raises(StepFailed, match=rf"No iSCSI target shows LUN {bench.lun} \(the target {IQN} does not show it to the master"):
        bench.go("attach")
    assert made(bench) == []
