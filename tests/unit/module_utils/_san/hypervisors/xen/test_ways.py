# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A LUN on its way into a VM of the lab's pool and back, also when the first change of each kind fails; in tests/exhaustive each does."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import StepFailed
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.xen.disk_steps import ConnectDisk
from tests.unit.xen_ways import GROUPS, VM, WAYS, Bench, Trial

pytestmark = pytest.mark.slow


def test_what_was_released_over_fibre_channel_is_taken_up_again() -> None:
    bench = Bench("fc")
    made = bench.go("attach").attachment
    bench.go("detach")
    again = bench.go("attach", initialize=False).attachment
    assert made
    assert again
    assert again.disk.size_bytes == made.disk.size_bytes


def given_a_disk(bench: Bench, disk: str) -> None:
    bench.lab.call("VBD.create", bench.lab.drive("xendb01", disk))


def suspended_to_it(bench: Bench, disk: str) -> None:
    bench.lab.pool.db.set("VM", bench.lab.vm("xendb01"), suspend_VDI=disk)


@pytest.mark.parametrize(
    ("taken", "told"),
    [
        (given_a_disk, r"VM xendb01 has got LUN .* as a disk in the meantime: detach it there first"),
        (suspended_to_it, r"is in use by VM xendb01 by now, which keeps its suspended state on it: resume xendb01 or shut"),
    ],
)
def test_the_repository_of_a_lun_stays_with_the_vm_that_takes_it_while_it_is_let_go_of(
    taken: Callable[[Bench, str], None], told: str
) -> None:
    bench = Bench("fc")
    before = set(bench.lab.pool.db.refs("VDI"))
    bench.go("attach")
    (disk,) = set(bench.lab.pool.db.refs("VDI")) - before
    start = bench.kept()
    bench.forget()
    bench.go("detach")
    last = max(number for number, method in enumerate(bench.asked) if method == "PBD.unplug")
    bench.restore(start)
    bench.after[last] = lambda: taken(bench, disk)
    with pytest.raises(StepFailed, match=told):
        bench.go("detach")
    pbds = bench.lab.row("SR", bench.lab.row("VDI", disk)["SR"])["PBDs"]
    assert [bench.lab.row("PBD", pbd)["currently_attached"] for pbd in pbds] == [True] * 3


@pytest.mark.parametrize("sharing", ["none", "multi_writer"])
def test_a_lun_on_which_a_vm_keeps_its_state_by_now_is_given_to_nobody(sharing: str) -> None:
    bench = Bench("iscsi")
    bench.go("attach")
    image = bench.lab.vdi(bench.lun.naa)
    bench.go("detach_only")
    bench.forget()
    start = bench.kept()
    bench.go("attach", sharing=sharing)
    made = bench.asked.index("VBD.create")
    reads = [number for number, method in enumerate(bench.asked[:made]) if method == "pool.get_all_records"]
    bench.restore(start)
    bench.after[reads[-1]] = lambda: bench.lab.pool.db.set("VM", bench.lab.vm("xendb01"), suspend_VDI=image)
    with pytest.raises(StepFailed, match=r"is in use by VM xendb01 by now, which keeps its suspended state on it"):
        bench.go("attach", sharing=sharing)


@pytest.mark.parametrize("protocol", GROUPS)
def test_two_vms_may_have_it_when_that_is_asked_for(protocol: str) -> None:
    bench = Bench(protocol)
    vms = (VM, "xenha01")
    for vm in vms:
        bench.go("attach", vm, sharing="multi_writer")
    slots = bench.state()[0]
    assert [any(f"raw {bench.lun.xapi[1:]}" in slot for slot in slots[vm]["slots"]) for vm in vms] == [True, True]


@pytest.mark.exhaustive
@pytest.mark.parametrize(("protocol", "verb"), WAYS)
def test_a_change_that_fails_leaves_nothing_half_made_and_the_next_run_gets_there(protocol: str, verb: str) -> None:
    trial = Trial(protocol, verb)
    assert trial.problems_of_faults(trial.first_of_each_kind) == []


@pytest.mark.exhaustive
@pytest.mark.parametrize(("protocol", "verb"), WAYS)
def test_a_run_that_is_killed_at_a_change_is_ended_by_the_next(protocol: str, verb: str) -> None:
    trial = Trial(protocol, verb)
    assert trial.problems_of_kills(trial.first_of_each_kind) == []


@pytest.mark.exhaustive
def test_what_is_left_half_made_would_be_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ConnectDisk, "undo", lambda _step: None)
    trial = Trial("iscsi", "attach")
    assert any("left something half-made" in problem for problem in trial.problems_of_faults(trial.first_of_each_kind))
