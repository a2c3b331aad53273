# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whatever happens on the way of a LUN into a highly available VM and back, at whichever request: the next run ends where it should.

At the wire, every request that changes something is refused, lost before it was done, done without an answer, and the last thing that its
process does before it is killed. A read changes nothing, so that being killed there is the same as being killed after the change before
it; every single one is refused inside this process, over the same messages without a network, because there are hundreds of them. What
has been undone to the last bit is at the beginning, from where the way was gone before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils.errors import CrossvisorError, RemoteError
from tests.live.hyperv_cluster_way import SERVER, ClusterWay
from tests.live.lab import WindowsLab
from tests.live.modules import ModuleRunner, sentence
from tests.unit.hyperv_cluster import ClusterLab, is_change
from tests.unit.windows import refusing

READING = frozenset({"Identify", "Enumerate", "Pull", "Release", "Get"})
FAULTS: Mapping[str, Mapping[str, Any]] = {
    "refused": {"error": {"code": str(0x80041001), "message": "Generic failure. The lab says no. "}},
    "lost": {"drop": "before"},
    "unanswered": {"drop": "after"},
}
CONFIGURATION = "Virtual Machine Configuration"


class Trial:
    """One way of the LUN, to be gone again and again from the same start."""

    def __init__(self, windows: WindowsLab, modules: ModuleRunner, back: bool) -> None:
        self.way = ClusterWay(windows, modules)
        self.back = back
        self.start()
        assert self.run()["changed"]
        self.requests = [request["method"] for request in windows.requests(SERVER)]
        self.goal = self.way.state()
        assert self.back or self.way.follows("hvc1n2", "hvc1n1")

    @property
    def changes(self) -> list[tuple[int, str]]:
        """The requests of the way that are no reading, with their numbers from 1."""
        return [(number, method) for number, method in enumerate(self.requests, 1) if method not in READING]

    @property
    def arguments(self) -> dict[str, Any]:
        return self.way.way_back() if self.back else self.way.wish()

    def start(self) -> Any:
        """Go to the beginning of the way; return what there is."""
        self.way.windows.reset()
        self.way.map_spare()
        if self.back:
            self.way.attach()
        self.way.windows.count_again()
        return self.way.state()

    def run(self) -> dict[str, Any]:
        """Go the way, whether or not that succeeds."""
        return self.way.modules.run("ptd_attach", self.arguments)

    def beyond_return(self) -> bool:
        """On the way back, once the disk resource is being deleted, nothing is undone."""
        return self.back and not any("raw" in slot for slot in self.way.vm_state()["slots"])

    def only_configurations_were_refreshed(self) -> bool:
        """Whether the code that migrates a VM went to nothing but configurations of VMs, and no VM has moved."""
        return {entry["type"] for entry in self.way.windows.controls()} <= {CONFIGURATION} and not self.way.vm_state()["migrations"]


@pytest.fixture(params=[False, True], ids=["there", "back"])
def trial(request: pytest.FixtureRequest, windows: WindowsLab, modules: ModuleRunner) -> Trial:
    return Trial(windows, modules, back=request.param)


@pytest.mark.parametrize("fault", FAULTS)
def test_no_change_that_fails_leaves_anything_half_made(trial: Trial, fault: str) -> None:
    for number, method in trial.changes:
        case = f"request {number} ({method}), {fault}"
        before = trial.start()
        trial.way.windows.fail(SERVER, FAULTS[fault], call=number)
        result = trial.run()
        trial.way.windows.heal()
        assert trial.only_configurations_were_refreshed(), case
        left = trial.way.state()
        if result["rc"] == 0:
            assert left == trial.goal, f"{case}: succeeded without reaching its end"
            continue
        message = sentence(result)
        assert "could not be undone" not in message, case
        if left == before:
            continue
        assert trial.beyond_return(), f"{case}: left something half-made: {message}"
        assert trial.run()["rc"] == 0, f"{case}: the next run fails"
        assert trial.way.state() == trial.goal, f"{case}: the next run ends elsewhere"


def test_a_process_that_is_killed_at_any_change_is_followed_by_one_that_ends_its_work(trial: Trial) -> None:
    for number, (_call, method) in enumerate(trial.changes, 1):
        case = f"killed at change {number} ({method})"
        trial.start()
        assert trial.way.modules.kill("ptd_attach", trial.arguments, number), case
        result = trial.run()
        assert result["rc"] == 0, f"{case}: {result['msg']}"
        assert trial.way.state() == trial.goal, case
        assert trial.only_configurations_were_refreshed(), case


@pytest.mark.parametrize("way", ["attach", "detach"])
def test_no_read_that_is_refused_leaves_anything_half_made(way: str) -> None:
    rehearsal, rehearse = ready_for(way)
    start = len(rehearsal.wire.asked)
    rehearse()
    goal, requests = rehearsal.state(), rehearsal.wire.asked[start:]
    for number, request in enumerate(requests):
        if is_change(request):
            continue
        there, run = ready_for(way)
        before = there.state()
        there.wire.before[len(there.wire.asked) + number] = refusing(RemoteError("The lab says no."))
        message = told_by(run)
        there.wire.before.clear()
        left = there.state()
        assert "could not be undone" not in message, f"{way}, {number}: {request}"
        if message and left == before:
            continue
        assert left == goal or (way == "detach" and not there.attached()), f"{way}, {number}: {request}"
        run()
        assert there.state() == goal, f"{way}, {number}: {request}, and again"


def told_by(run: Callable[[], object]) -> str:
    """What a run says when it fails; nothing when it can do without the read that was refused."""
    try:
        run()
    except CrossvisorError as error:
        return str(error)
    return ""


def ready_for(way: str) -> tuple[ClusterLab, Callable[[], object]]:
    """A fresh lab, ready for one of both ways, and that way."""
    there = ClusterLab()
    if way == "detach":
        there.attach()
    return there, getattr(there, way)
