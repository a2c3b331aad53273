# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whatever request fails on the way of a LUN into a VM and back: nothing is left half-made, and the next run ends where it should.

Each step of the way is run once for every request that it makes, and that request suffers a fault. Reads are answered by an error; what
changes something is also lost before it is done, and done without an answer. (That a lost read is repeated is specified with the sessions.)
There is no way back from deleting a LUN: a run that fails from then on leaves the rest to the next one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from tests.lab import world
from tests.live.lab import ARRAY, HYPERVISOR, Lab, alike
from tests.live.modules import ModuleRunner, Result, sentence

VM = "app01"
TIMEOUT = 5.0
REFUSED: Mapping[str, Mapping[str, Any]] = {
    ARRAY: {"error": {"code": 262245, "message": "The lab says no"}},
    HYPERVISOR: {"error": {"code": "HostConfigFault", "message": "The lab says no"}},
}
LOST = {"drop": "before"}
UNANSWERED = {"drop": "after"}
CHANGING_METHODS = frozenset(
    {"POST", "PATCH", "DELETE", "RescanAllHba", "ReconfigVM_Task", "DetachScsiLun", "AttachScsiLun", "DeleteScsiLunState"}
)


@dataclass
class Way:
    """A LUN of the lab on its way into a VM and back."""

    lab: Lab
    modules: ModuleRunner
    naa: str = ""

    def take(self, step: str) -> Result:
        """Do a step, whether or not it succeeds."""
        module, arguments = STEPS[step]
        result = self.modules.run(module, arguments(self))
        self.naa = result.get("naa") or self.naa
        return result

    def go_to(self, step: str) -> None:
        """Do every step before this one, in a fresh lab."""
        self.lab.reset()
        for earlier in list(STEPS)[: list(STEPS).index(step)]:
            result = self.take(earlier)
            assert result["rc"] == 0, result
        self.lab.count_again()

    def state(self, step: str, failed: bool = False) -> Any:
        """What the systems hold, as far as a step that failed is to leave it as it was.

        Which LUNs a host has seen in a rescan, or has forgotten, is no remainder: the array decides what there is to be seen.
        """
        state = alike(self.lab.state(), self.naa) if self.naa else self.lab.state()
        if failed and step in ("attach", "forget"):
            del state[HYPERVISOR]["hosts"]
        return state


def provision(way: Way) -> dict[str, Any]:
    hosts = [hba["wwpn"] for host in world.build()["vcenter"]["clusters"][0]["hosts"] for hba in host["hbas"] if hba["kind"] == "fc"]
    place = {"svm": "svm_san", "volume": "vol_prod", "name": "app01_data", "size": "10GiB", "igroup_os_type": "vmware"}
    return {"array": way.lab.array, **place, "initiators": hosts, "timeout": TIMEOUT}


def attach(way: Way) -> dict[str, Any]:
    return {"hypervisor": way.lab.hypervisor, "vm": VM, "naa": way.naa, "timeout": TIMEOUT}


def detach(way: Way) -> dict[str, Any]:
    return {**attach(way), "state": "absent", "release": True}


def withdraw(way: Way) -> dict[str, Any]:
    connections = {"array": way.lab.array, "hypervisor": way.lab.hypervisor}
    return {**connections, "state": "absent", "naa": way.naa, "delete": True, "timeout": TIMEOUT}


def forget(way: Way) -> dict[str, Any]:
    return {**attach(way), "state": "forgotten"}


STEPS: Mapping[str, tuple[str, Callable[[Way], dict[str, Any]]]] = {
    "provision": ("lun_provision", provision),
    "attach": ("ptd_attach", attach),
    "detach": ("ptd_attach", detach),
    "withdraw": ("lun_provision", withdraw),
    "forget": ("ptd_attach", forget),
}


@pytest.fixture
def way(lab: Lab, modules: ModuleRunner) -> Way:
    return Way(lab, modules)


def faults(server: str, method: str) -> Iterator[Mapping[str, Any]]:
    """What a request of this kind may suffer."""
    yield REFUSED[server]
    if method in CHANGING_METHODS:
        yield LOST
        yield UNANSWERED


@pytest.mark.parametrize(
    ("step", "server"),
    [
        ("provision", ARRAY),
        ("attach", HYPERVISOR),
        ("detach", HYPERVISOR),
        ("withdraw", ARRAY),
        ("withdraw", HYPERVISOR),
        ("forget", HYPERVISOR),
    ],
)
def test_no_fault_leaves_anything_half_made(way: Way, step: str, server: str) -> None:
    way.go_to(step)
    assert way.take(step)["changed"]
    goal = way.state(step)
    requests = [request["method"] for request in way.lab.requests(server)]
    assert CHANGING_METHODS & set(requests) or server != STEPS[step][0]
    cases = [(call, method, fault) for call, method in enumerate(requests, 1) for fault in faults(server, method)]
    wrong = [problem for case in cases for problem in problems(way, step, server, goal, *case)]
    assert not wrong, "\n".join(wrong)


def without_memories(state: Any) -> Any:
    """The state but for the memory of a host that a LUN it lists no more was detached: no API tells it, so no second run can know."""
    hosts = {name: host["luns"] for name, host in state[HYPERVISOR]["hosts"].items()}
    return {**state, HYPERVISOR: {**state[HYPERVISOR], "hosts": hosts}}


def problems(way: Way, step: str, server: str, goal: Any, call: int, method: str, fault: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong after one request of a step suffered a fault."""
    case = f"{step}, request {call} ({method}) of {server}, {fault}"
    way.go_to(step)
    start = way.state(step, failed=True)
    way.lab.fail(server, fault, call=call)
    result = way.take(step)
    way.lab.heal()
    if result["rc"] == 0:
        if way.state(step) != goal:
            yield f"{case}: succeeded without reaching its end"
        return
    message = sentence(result)
    if message.startswith("All was done"):
        if way.state(step) != goal:
            yield f"{case}: was not done: {message}"
    elif way.state(step, failed=True) != start and not message.startswith("Could not delete LUN"):
        yield f"{case}: left something half-made: {message}"
    again = way.take(step)
    if again["rc"] != 0:
        yield f"{case}: the next run fails: {again['msg']}"
    elif without_memories(way.state(step)) != without_memories(goal):
        yield f"{case}: the next run ends elsewhere"
    if way.lab.device_losses():
        yield f"{case}: a host lost the device: {way.lab.device_losses()}"
