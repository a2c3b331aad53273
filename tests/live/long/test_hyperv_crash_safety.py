# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whatever happens on the way of a LUN into a highly available VM and back, at whichever request: the next run ends where it should.

Every request that changes something is refused, lost before it was done, and done without an answer; and every single request, reads as
well, is the last thing that its process does before SIGKILL. A process that is killed at a read leaves what the change before it has left,
whose rerun was seen already. Refused at every single request, reads as well, is each way in the unit tests of `cluster/attach.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from tests.live.hyperv_cluster_way import SERVER, ClusterWay
from tests.live.lab import WindowsLab
from tests.live.modules import ModuleRunner, Result, sentence

READING = frozenset({"Identify", "Enumerate", "Pull", "Release", "Get"})
FAULTS: Mapping[str, Mapping[str, Any]] = {
    "refused": {"error": {"code": str(0x80041001), "message": "Generic failure. The lab says no. "}},
    "lost": {"drop": "before"},
    "unanswered": {"drop": "after"},
}
CONFIGURATION = "Virtual Machine Configuration"
VM_CONFIG_UPDATE = 23068676


class Trial:
    """One way of the LUN, to be gone again and again from the same start."""

    def __init__(self, windows: WindowsLab, modules: ModuleRunner, back: bool) -> None:
        self.windows = windows
        self.way = ClusterWay(windows, modules)
        self.arguments = self.way.way_back() if back else self.way.wish()
        self.back = back
        self._set_up()
        self.before, self._start = self.way.state(), windows.state()
        windows.count_again()
        assert self.run()["changed"]
        self.requests = self.asked()
        self.goal = self.way.state()
        assert self.back or self.way.follows("hvc1n2", "hvc1n1")

    @property
    def changes(self) -> list[int]:
        """The requests of the way that are no reading, by their numbers from 1."""
        return [number for number, method in enumerate(self.requests, 1) if method not in READING]

    def start(self) -> None:
        """Go to the beginning of the way, unless the last run has left everything as it is there."""
        if self.windows.state() != self._start:
            self._set_up()
        self.windows.heal()
        self.windows.count_again()

    def run(self) -> Result:
        """Go the way, whether or not that succeeds."""
        return self.way.modules.run("ptd_attach", self.arguments)

    def kill_at(self, number: int) -> None:
        """Go the way as far as one request, in a process that is killed there."""
        self.start()
        assert self.way.modules.kill("ptd_attach", self.arguments, number)
        assert self.asked() == self.requests[:number]

    def asked(self) -> list[str]:
        """What the Windows machines were asked since the beginning of the way."""
        return [request["method"] for request in self.windows.requests(SERVER)]

    def beyond_return(self) -> bool:
        """On the way back, once the disk resource is being deleted, nothing is undone."""
        return self.back and not any("raw" in slot for slot in self.way.vm_state()["slots"])

    def only_configurations_were_refreshed(self) -> bool:
        """Whether the code that migrates a VM went to nothing but configurations of VMs, and no VM has moved."""
        controls = {(entry["type"], entry["code"]) for entry in self.windows.controls()}
        return controls <= {(CONFIGURATION, VM_CONFIG_UPDATE)} and not self.way.vm_state()["migrations"]

    def _set_up(self) -> None:
        self.windows.reset()
        self.windows.at_once()
        self.way.map_spare()
        if self.back:
            self.way.attach()


@pytest.fixture(scope="module", params=[False, True], ids=["there", "back"])
def trial(request: pytest.FixtureRequest, running_windows: WindowsLab, modules: ModuleRunner) -> Trial:
    return Trial(running_windows, modules, back=request.param)


@pytest.mark.parametrize("fault", FAULTS)
def test_no_change_that_fails_leaves_anything_half_made(trial: Trial, fault: str) -> None:
    for number in trial.changes:
        case = f"request {number} ({trial.requests[number - 1]}), {fault}"
        trial.start()
        trial.windows.fail(SERVER, FAULTS[fault], call=number)
        result = trial.run()
        assert trial.asked()[:number] == trial.requests[:number], case
        assert trial.only_configurations_were_refreshed(), case
        left = trial.way.state()
        if result["rc"] == 0:
            assert left == trial.goal, f"{case}: succeeded without reaching its end"
            continue
        message = sentence(result)
        assert "could not be undone" not in message, case
        if left == trial.before:
            continue
        assert trial.beyond_return(), f"{case}: left something half-made: {message}"
        assert trial.run()["rc"] == 0, f"{case}: the next run fails"
        assert trial.way.state() == trial.goal, f"{case}: the next run ends elsewhere"


def test_a_process_that_is_killed_at_any_request_is_followed_by_one_that_ends_its_work(trial: Trial) -> None:
    trial.start()
    left = trial.windows.state()
    for number, method in enumerate(trial.requests, 1):
        case = f"killed at request {number} ({method})"
        trial.kill_at(number)
        if method in READING:
            assert trial.windows.state() == left, f"{case}, which changes nothing"
            continue
        left = trial.windows.state()
        result = trial.run()
        assert result["rc"] == 0, f"{case}: {result['msg']}"
        assert trial.way.state() == trial.goal, case
        assert trial.only_configurations_were_refreshed(), case
