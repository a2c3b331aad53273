# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Several operators at once, some of whose runs are killed: nobody loses what he was told he has, and the next run ends where it should.

The clock of a kill is what all playbooks together have printed, so that it hits a run anywhere. Set CROSSVISOR_SEED to repeat the kills of
a failure, as far as the machine schedules alike, and CROSSVISOR_ROUNDS to make more than one round.
"""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from queue import Queue
from subprocess import Popen
from typing import Any

import pytest

from tests.lab.client import ask
from tests.live.commands import Commands, Run
from tests.live.lab import ARRAY, Lab
from tests.live.platforms import HYPERV_HOST, VCENTER, Platform
from tests.live.test_playbooks import PROVISION, REMOVE, commands
from tests.processes import kill_family, kill_module

SECONDS = 300.0
ROUNDS = int(os.environ.get("CROSSVISOR_ROUNDS", "1"))
FIRST_SEED = int(os.environ.get("CROSSVISOR_SEED", "0")) or random.SystemRandom().randrange(1, 10**6)
SVM = "svm_san"
LAST_KILL = 90
"""Lines that six playbooks have printed for certain before the last of them ends."""


@dataclass(frozen=True)
class Job:
    """What an operator types."""

    playbook: str
    platform: Platform
    vm: str
    lun: str
    options: tuple[tuple[str, Any], ...] = ()

    @property
    def variables(self) -> dict[str, Any]:
        place = {"svm": SVM, "volume": self.platform.volume, "lun": self.lun}
        size = {"size": "1GiB"} if self.playbook == PROVISION else {}
        return {"target": self.platform.server, "vm": self.vm, **place, **size, **dict(self.options)}

    def __str__(self) -> str:
        return f"{self.playbook.rpartition('.')[2]} vm={self.vm} lun={self.lun} {dict(self.options) or ''}".rstrip()


def provision(lun: str, vm: str = "", platform: Platform = VCENTER) -> Job:
    return Job(PROVISION, platform, vm or platform.vm, lun)


def remove(lun: str, vm: str = "", platform: Platform = VCENTER, delete: bool = True) -> Job:
    return Job(REMOVE, platform, vm or platform.vm, lun, (("delete", delete),))


@dataclass(frozen=True)
class Ended:
    """A job, how it ended, and whether it was killed."""

    job: Job
    run: Run
    killed: str = ""

    @property
    def green(self) -> bool:
        return self.run.code == 0

    def __str__(self) -> str:
        return f"=== {self.job}: {self.run.code} {self.killed}\n{self.run.output}"


@dataclass(frozen=True)
class Kill:
    """What shall be killed, and when."""

    lines: int
    """How many lines the playbooks have printed in all when it is due."""
    manner: str
    """`playbook`: with all its processes; `module`: the module that it runs, so that the playbook hears of it and takes back."""
    order: tuple[int, ...]
    """Which is hit: the first of these that can be."""


@dataclass
class Crowd:
    """Playbooks that run at once."""

    running: list[Popen[str]]
    lines: list[list[str]]
    killed: dict[int, str]

    def kill(self, kill: Kill) -> bool:
        """Kill the first that can be killed in this manner; tell whether there was one."""
        for number in kill.order:
            process = self.running[number]
            if number in self.killed or process.poll() is not None:
                continue
            if kill.manner == "playbook":
                kill_family(process.pid)
            elif not kill_module(process.pid):
                continue
            self.killed[number] = f"({kill.manner} killed after {''.join(self.lines[number][-1:]).strip()!r})"
            return True
        return False


def at_once(ansible: Commands, jobs: Sequence[Job], kills: Sequence[Kill] = ()) -> list[Ended]:
    """Run all jobs at once; tell how they ended."""
    waiting = list(kills)
    with ExitStack() as stack:
        running = [stack.enter_context(ansible.started(job.playbook, "-i", "inventory.json", **job.variables)) for job in jobs]
        crowd = Crowd(running, [[] for _job in jobs], {})
        for printed, (number, line) in enumerate(_lines(running), 1):
            crowd.lines[number].append(line)
            if waiting and printed >= waiting[0].lines and crowd.kill(waiting[0]):
                waiting.pop(0)
        codes = [process.wait(SECONDS) for process in running]
    assert not waiting, f"all had ended before {waiting}"
    return [
        Ended(job, Run(code, "".join(crowd.lines[number])), crowd.killed.get(number, ""))
        for number, (job, code) in enumerate(zip(jobs, codes))
    ]


def _lines(running: Sequence[Popen[str]]) -> Iterator[tuple[int, str]]:
    """What all of them print, as it comes."""
    printed: Queue[tuple[int, str]] = Queue()

    def read(number: int, process: Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            printed.put((number, line))
        printed.put((number, ""))

    for number, process in enumerate(running):
        threading.Thread(target=read, args=(number, process), daemon=True).start()
    left = len(running)
    while left:
        number, line = printed.get(timeout=SECONDS)
        if line:
            yield number, line
        else:
            left -= 1


def alone(ansible: Commands, job: Job) -> Ended:
    return Ended(job, ansible.playbook(job.playbook, "-i", "inventory.json", **job.variables))


def luns(platform: Platform, state: Mapping[str, Any]) -> dict[str, str]:
    """The identity (NAA) of every LUN in the platform's volume, by name."""
    volumes = [volume for svm in state[ARRAY]["svms"] for volume in svm["volumes"] if volume["name"] == platform.volume]
    return {lun["name"].rpartition("/")[2]: "600a0980" + lun["serial"].encode().hex() for volume in volumes for lun in volume["luns"]}


def maps(platform: Platform, state: Mapping[str, Any], lun: str) -> int:
    """How many groups map a LUN."""
    groups = [group for svm in state[ARRAY]["svms"] for group in svm["igroups"]]
    return sum(entry["lun"] == f"/vol/{platform.volume}/{lun}" for group in groups for entry in group["maps"])


def holders(platform: Platform, state: Mapping[str, Any], vms: Sequence[str], naa: str | None) -> list[str]:
    """The VMs that have a LUN, once for every disk."""
    return [vm for vm in vms for disk in replace(platform, vm=vm).raw_disks(state) if disk == naa]


def untrue(ended: Ended, state: Mapping[str, Any], vms: Sequence[str]) -> Iterator[str]:
    """What a green provisioning promised that the systems do not have; nobody has asked for its removal since."""
    platform, job = ended.job.platform, ended.job
    naa = luns(platform, state).get(job.lun)
    told = ended.run.disk["lun"]["naa"]
    if naa != told:
        yield f"{job}: told naa.{told}, the array has {naa}"
    if holders(platform, state, vms, naa) != [job.vm]:
        yield f"{job}: the disk is of {holders(platform, state, vms, naa)}"
    if maps(platform, state, job.lun) != 1:
        yield f"{job}: {maps(platform, state, job.lun)} groups map the LUN"


def report(seed: int, runs: Sequence[Ended]) -> str:
    return "\n".join([f"CROSSVISOR_SEED={seed}", *map(str, runs)])


@pytest.fixture
def ansible(tmp_path: Path, running: Lab) -> Commands:
    """Ansible with an inventory of the vCenter, and time enough for many."""
    return Commands(commands(tmp_path, running).directory, SECONDS)


VMS = ("app01", "app02")
KEPT = "kept"
"""A LUN of the second VM that holds data, and whose removals do not ask to delete it."""
MEETING = (
    provision("one"),
    provision("one"),
    provision("one", vm="app02"),
    provision("two"),
    provision("three", vm="app02"),
    remove(KEPT, vm="app02", delete=False),
)
"""The same VM and LUN, the same LUN and another VM, other LUNs and the same VM, and a removal among them."""


def kills(seed: int) -> list[Kill]:
    """Two kills, of a playbook and of a module."""
    chance = random.Random(seed)
    moments = sorted(chance.randint(1, LAST_KILL) for _kill in range(2))
    manners = chance.sample(["playbook", "module"], 2)
    return [Kill(moment, manner, tuple(chance.sample(range(len(MEETING)), len(MEETING)))) for moment, manner in zip(moments, manners)]


@pytest.mark.parametrize("seed", range(FIRST_SEED, FIRST_SEED + ROUNDS))
def test_six_playbooks_at_once_two_of_them_killed_end_in_what_they_told(lab: Lab, ansible: Commands, seed: int) -> None:
    before = lab.state()
    given = alone(ansible, provision(KEPT, vm="app02"))
    assert given.green, given
    kept = luns(VCENTER, lab.state())[KEPT]
    ask(lab.endpoints[ARRAY].control_url, "POST", f"/written?naa={kept}&bytes={2**20}")

    ended = at_once(ansible, MEETING, kills(seed))
    story, state = report(seed, ended), lab.state()
    provisioned = [run for run in ended if run.green and run.job.playbook == PROVISION]
    assert [problem for run in provisioned for problem in untrue(run, state, VMS)] == [], story
    assert luns(VCENTER, state)[KEPT] == kept, story
    assert [name for name, naa in luns(VCENTER, state).items() if len(holders(VCENTER, state, VMS, naa)) > 1] == [], story
    assert [run.job for run in ended if "Traceback" in run.run.output] == [], story
    assert lab.device_losses() == [], story

    again = [alone(ansible, job) for job in MEETING]
    story, state = report(seed, [*ended, *again]), lab.state()
    owner = {lun: holders(VCENTER, state, VMS, naa) for lun, naa in luns(VCENTER, state).items()}
    assert [(run.job, owner) for run in again if run.green != meant_to_succeed(run.job, owner)] == [], story
    assert [problem for run in again if run.green and run.job.playbook == PROVISION for problem in untrue(run, state, VMS)] == [], story
    assert (luns(VCENTER, state)[KEPT], owner[KEPT]) == (kept, []), story

    removals = [remove(lun, vm=(owner[lun] or ["app02"])[0]) for lun in ("one", "two", "three", KEPT)]
    removed = [alone(ansible, job) for job in removals]
    story = report(seed, [*ended, *again, *removed])
    assert [run.job for run in removed if not run.green] == [], story
    assert lab.state() == before, story
    assert lab.device_losses() == [], story


def meant_to_succeed(job: Job, owner: Mapping[str, Sequence[str]]) -> bool:
    """Whether a run alone is to end well: a LUN of another VM is refused."""
    return job.playbook == REMOVE or owner[job.lun] == [job.vm]


def test_two_runs_for_the_same_vm_and_lun_take_nothing_from_each_other(lab: Lab, ansible: Commands) -> None:
    before, job = lab.state(), provision("same")
    ended = at_once(ansible, [job, job])
    story, state = report(0, ended), lab.state()
    assert [run for run in ended if run.green], story
    assert [problem for run in ended if run.green for problem in untrue(run, state, VMS)] == [], story
    again = alone(ansible, job)
    assert (again.green, again.run.counts["changed"]) == (True, 0), again
    assert lab.state() == state
    removed = alone(ansible, remove("same"))
    assert removed.green, removed
    assert lab.state() == before
    assert lab.device_losses() == []


@pytest.mark.parametrize("platform", [VCENTER, HYPERV_HOST], ids=lambda platform: platform.server)
def test_four_luns_come_to_one_vm_at_once_and_go_at_once(request: pytest.FixtureRequest, tmp_path: Path, platform: Platform) -> None:
    running: Lab = request.getfixturevalue(platform.fixture)
    running.reset()
    ansible, before = commands(tmp_path, running), running.state()
    names = [f"at_once_{number}" for number in range(4)]
    given = at_once(ansible, [provision(name, platform=platform) for name in names])
    assert [run.job for run in given if not run.green] == [], report(0, given)
    state = running.state()
    assert [problem for run in given for problem in untrue(run, state, [platform.vm])] == [], report(0, given)
    taken = at_once(ansible, [remove(name, platform=platform) for name in names])
    assert [run.job for run in taken if not run.green] == [], report(0, taken)
    assert running.state() == before, report(0, taken)
    assert platform is not VCENTER or running.device_losses() == []
