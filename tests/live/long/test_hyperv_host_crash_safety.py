# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whatever request fails while a Hyper-V host gives a LUN to a VM or takes it back: nothing is left half-made, and the next run ends well.

Each way is gone once for every request that it makes, and that request suffers a fault: reads are answered by an error, what changes
something is also lost before it is done, done without an answer, or ends in a job that fails. (That a lost read is repeated is specified
with the sessions.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from tests.live.hyperv_way import HOST, RAW, SERVER, SPARE, HyperVWay
from tests.live.lab import WindowsLab
from tests.live.modules import ModuleRunner, Result, sentence

GENERIC_FAILURE = 0x80041001
REFUSED: Mapping[str, Any] = {"error": {"code": str(GENERIC_FAILURE), "message": "Generic failure. The lab says no. "}}
LOST = {"drop": "before"}
UNANSWERED = {"drop": "after"}
FAILED_JOB: Mapping[str, Any] = {"job_error": {"code": 32768, "message": "The lab says no."}}
IN_A_JOB = frozenset({"AddResourceSettings", "RemoveResourceSettings"})
CHANGING = IN_A_JOB | {"Offline", "Online", "UpdateHostStorageCache"}


def nothing(_way: HyperVWay) -> None:
    """The lab is ready as it is."""


def presented(way: HyperVWay) -> None:
    """The array presents the spare LUN, and hv01 has not looked yet."""
    way.map_spare()


def in_service(way: HyperVWay) -> None:
    """hv01 has the spare LUN online."""
    way.map_spare()
    way.rescan()
    way.bring_online(SPARE)


def unmapped(way: HyperVWay) -> None:
    """hv01 still lists the spare LUN, which the array no longer presents."""
    way.map_spare()
    way.rescan()
    way.unmap_spare()


@dataclass(frozen=True)
class Change:
    """A run of `ptd_attach`, and the lab before it."""

    vm: str
    before: Callable[[HyperVWay], None]
    options: Mapping[str, Any]
    requests: frozenset[str]
    """Changes that it must make."""


CHANGES = {
    "attach to a running VM": Change("hvapp01", presented, {"naa": SPARE}, frozenset({"UpdateHostStorageCache", "AddResourceSettings"})),
    "attach to a VM that is off": Change(
        "hvold01", in_service, {"naa": SPARE, "place": "SCSI(1:3)"}, frozenset({"Offline", "AddResourceSettings"})
    ),
    "detach and release": Change(
        "hvdb01", nothing, {"naa": RAW, "state": "absent", "release": True}, frozenset({"RemoveResourceSettings"})
    ),
    "release": Change("hvapp01", in_service, {"naa": SPARE, "state": "absent", "release": True}, frozenset({"Offline"})),
    "forget": Change("hvapp01", unmapped, {"naa": SPARE, "state": "forgotten"}, frozenset({"UpdateHostStorageCache"})),
}


class Trial:
    """One change, to be tried again and again from the same start."""

    def __init__(self, way: HyperVWay, change: Change) -> None:
        self.way = way
        self.change = change
        self._set_up()
        self.before, self._start = self.state(), way.state()
        self.ended: list[Any] = []
        """What failed runs have left of which it is known that the next run ends well: equal states are equal worlds."""
        way.windows.count_again()
        result = self.run()
        assert result["changed"], result
        self.goal = self.state()
        self.requests = [request["method"] for request in way.windows.requests(SERVER)]

    def start(self) -> None:
        """Go to where the change begins, unless the last run has left everything as it is there."""
        if self.way.state() != self._start:
            self._set_up()
        self.way.windows.heal()
        self.way.windows.count_again()

    def run(self) -> Result:
        """Make the change, whether or not it succeeds."""
        return self.way.modules.run("ptd_attach", self.way.disk(self.change.vm, **self.change.options))

    def state(self) -> Any:
        """What there is. Which LUNs a host has seen in a rescan is no remainder, as long as they are offline."""
        state = self.way.state()
        machine = state[SERVER]["machines"][HOST]
        machine["disks"] = [row for row in machine["disks"] if row["disk"] != SPARE or not row["offline"]]
        return state

    def _set_up(self) -> None:
        self.way.windows.reset()
        self.way.windows.at_once()
        self.change.before(self.way)


def faults(method: str) -> Iterator[Mapping[str, Any]]:
    """What a request of this kind may suffer."""
    yield REFUSED
    if method in CHANGING:
        yield LOST
        yield UNANSWERED
    if method in IN_A_JOB:
        yield FAILED_JOB


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_no_fault_leaves_anything_half_made(windows: WindowsLab, modules: ModuleRunner, change: Change) -> None:
    trial = Trial(HyperVWay(windows, modules), change)
    assert change.requests <= set(trial.requests)
    cases = [(call, fault) for call, method in enumerate(trial.requests, 1) for fault in faults(method)]
    wrong = [problem for case in cases for problem in problems(trial, *case)]
    assert not wrong, "\n".join(wrong)


def problems(trial: Trial, call: int, fault: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong after one request of a change suffered a fault."""
    case = f"request {call} ({trial.requests[call - 1]}), {fault}"
    trial.start()
    trial.way.windows.fail(SERVER, fault, call=call)
    result = trial.run()
    if [request["method"] for request in trial.way.windows.requests(SERVER)][:call] != trial.requests[:call]:
        yield f"{case}: another request suffered it"
    if result["rc"] == 0:
        if trial.state() != trial.goal:
            yield f"{case}: succeeded without reaching its end"
        return
    message = sentence(result)
    if trial.state() != (trial.goal if message.startswith("All was done") else trial.before):
        yield f"{case}: left something half-made: {message}"
    left = trial.way.state()
    if left in trial.ended:
        return
    again = trial.run()
    if again["rc"] != 0:
        yield f"{case}: the next run fails: {again['msg']}"
    elif trial.state() != trial.goal:
        yield f"{case}: the next run ends elsewhere"
    else:
        trial.ended.append(left)
