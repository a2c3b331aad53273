# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A LUN on its way into a highly available VM and back: killed or refused at any request, nothing is lost and the next run ends it.

Whatever happens, the VM itself is neither stopped nor moved: that is looked at after every request.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import CrossvisorError, Refused, RemoteError, StepFailed
from tests.lab.hyperv.cim import Row
from tests.lab.hyperv.clusters import ONLINE
from tests.lab.hyperv.providers.cluster import _Part
from tests.unit.hyperv_cluster import DISK, VM, ClusterLab, Killed, is_change, kill, requests_of
from tests.unit.windows import refusing

WAYS = ("attach", "detach")
ASKED_AGAIN = "UpdateHostStorageCache"
"""Windows refuses a look for disks now and then, so that one refusal stops nothing."""
NOT_OFFERED = "attach what is not offered"
"""The way into a cluster that does not list the LUN as available."""
Association = Callable[[_Part], Iterator[Row]]
TOLD = _Part.dependencies
MACHINE = f"Virtual Machine {VM}"


def at_start_of(way: str) -> tuple[ClusterLab, Callable[[], list[str]]]:
    """A fresh lab, ready for one of both ways, and that way."""
    lab = ClusterLab()
    lab.wire.after_each.append(lambda: unharmed(lab))
    lab.cluster.offers_disks = way != NOT_OFFERED
    if way == "detach":
        lab.attach()
    return lab, goer(lab, way)


def goer(lab: ClusterLab, way: str) -> Callable[[], list[str]]:
    """What goes a way."""
    return lab.detach if way == "detach" else lab.attach


def unharmed(lab: ClusterLab) -> None:
    """Fail when the VM is not on, or its resources are not online in their group."""
    assert not lab.harm(), f"{lab.wire.asked[-1]} has harmed the VM: {lab.harm()}"


class Trial:
    """One of the ways, to be gone again and again from the same start."""

    def __init__(self, way: str) -> None:
        self.way = way
        self.last, run = at_start_of(way)
        """The lab as the last run has left it."""
        self._start = self.last.everything()
        self.requests = requests_of(self.last, run)
        self.goal = self.last.state()

    def start(self) -> ClusterLab:
        """The lab where the way begins: the one of the last time, when that has left everything as it was."""
        if self.last.everything() != self._start:
            self.last, _run = at_start_of(self.way)
        return self.last

    def run(self) -> list[str]:
        """Go the way from wherever the lab is."""
        return goer(self.last, self.way)()

    def killed_at(self, number: int) -> ClusterLab:
        """The lab after a run that was killed when a request of it, counted from 0, was carried out."""
        there = self.start()
        there.wire.after[len(there.wire.asked) + number] = kill
        with pytest.raises(Killed):
            self.run()
        there.wire.after.clear()
        return there

    def refused_at(self, number: int) -> str:
        """What a run says of which one request was refused; nothing when it could do without."""
        there = self.start()
        there.wire.before[len(there.wire.asked) + number] = refusing(RemoteError("The lab says no."))
        try:
            self.run()
        except CrossvisorError as error:
            return str(error)
        finally:
            there.wire.before.clear()
        return ""

    def needed_from(self, number: int) -> bool:
        """Run while an administrator makes the VM depend on the disk right before one request; whether that was to be done at all."""
        there = self.start()
        there.wire.after_each[:] = [lambda: running(there)]
        added: list[str] = []
        there.wire.before[len(there.wire.asked) + number] = lambda: added.extend(depend_on_disk(there))
        with contextlib.suppress(Refused, StepFailed):
            self.run()
        there.wire.before.clear()
        there.wire.after_each[:] = [lambda: unharmed(there)]
        unharmed(there)
        return bool(added)

    def is_beyond_return(self) -> bool:
        """On the way back, once the disk resource is deleted, nothing is undone: only the temporary group may be left."""
        return self.way == "detach" and DISK not in self.last.cluster.resources and not self.last.attached()


def running(lab: ClusterLab) -> None:
    """Fail when the VM was stopped. For the moment between two requests, its resources may be where its disk is."""
    assert lab.lab.estate.vms[lab.vm.id].power == "on", f"{lab.wire.asked[-1]} has stopped the VM"


def depend_on_disk(lab: ClusterLab) -> list[str]:
    """Make the VM depend on the disk, where a cluster lets one: what was added."""
    disk, machine = lab.cluster.resources.get(DISK), lab.cluster.resources[MACHINE]
    if disk is None or disk.group != machine.group or disk.state != ONLINE or DISK in machine.needs:
        return []
    machine.needs.append(DISK)
    return [DISK]


def backwards(part: _Part) -> Iterator[Row]:
    """The association, told the wrong way round."""
    for row in TOLD(part):
        yield {"Antecedent": row["Dependent"], "Dependent": row["Antecedent"]}


def silent(_part: _Part) -> Iterator[Row]:
    """The association, told by a cluster that tells nothing."""
    return iter(())


@pytest.mark.parametrize("told", [backwards, silent])
def test_whatever_the_association_says_the_vm_is_not_harmed(monkeypatch: pytest.MonkeyPatch, told: Association) -> None:
    goals = {name: Trial(name).goal for name in WAYS}
    monkeypatch.setattr(_Part, "dependencies", told)
    for way in WAYS:
        trial = Trial(way)
        assert trial.goal == goals[way]
        for number, request in enumerate(trial.requests):
            if is_change(request):
                trial.killed_at(number)
                trial.run()
                assert trial.last.state() == goals[way], f"{way}, killed at {request}"


@pytest.mark.parametrize("told", [None, backwards, silent])
@pytest.mark.parametrize("way", WAYS)
def test_a_vm_that_comes_to_need_its_disk_at_any_moment_is_not_harmed(
    monkeypatch: pytest.MonkeyPatch, way: str, told: Association | None
) -> None:
    if told:
        monkeypatch.setattr(_Part, "dependencies", told)
    trial = Trial(way)
    tried = 0
    for number in range(len(trial.requests)):
        if trial.needed_from(number):
            tried += 1
            trial.run()
            assert trial.last.state() == trial.goal, f"{way}, needed from {trial.requests[number]} on"
    assert tried


@pytest.mark.parametrize("way", [*WAYS, NOT_OFFERED])
def test_a_run_that_is_killed_at_any_request_is_ended_by_the_next_on_either_way(way: str) -> None:
    goals = {name: Trial(name).goal for name in WAYS}
    trial = Trial(way)
    left = trial.start().everything()
    for number, request in enumerate(trial.requests):
        if not is_change(request):
            assert trial.killed_at(number).everything() == left, f"{way}, killed at {request}, which changes nothing"
            continue
        for again in WAYS:
            there = trial.killed_at(number)
            left = there.everything()
            goer(there, again)()
            assert there.state() == goals[again], f"{way}, killed at {request}, then {again}"


@pytest.mark.parametrize("way", [*WAYS, NOT_OFFERED])
def test_whatever_request_is_refused_all_before_it_is_undone(way: str) -> None:
    trial = Trial(way)
    before = trial.start().state()
    for number, request in enumerate(trial.requests):
        case = f"{way}, refused at {number}: {request}"
        message = trial.refused_at(number)
        assert "could not be undone" not in message, case
        if is_change(request) and ASKED_AGAIN not in request:
            assert "The lab says no" in message, case
        left = trial.last.state()
        if not message:
            assert left == trial.goal, case
            continue
        if left != before:
            assert trial.is_beyond_return(), case
        if left != before or is_change(request):
            trial.run()
            assert trial.last.state() == trial.goal, f"{case}, and again"
