# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""vm_storage_map and hba_info over a growing number of VMs, beside the peers and beside the least that the same properties can cost."""

from __future__ import annotations

import itertools
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.vmware import properties
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.vim import PAGE_SIZE
from tests.bench.measure import BenchFailed, Sample, Series, interleaved, run_module, spawn, watched
from tests.bench.reader import Paths, Task
from tests.bench.report import COUNT, RATIO, Findings
from tests.lab.inventory import connection
from tests.lab.launch import Endpoint, Endpoints, running_lab
from tests.lab.world import Size, World

DISKS = 2
LXML, PYVMOMI = "bare lxml", "pyvmomi"
_NEXT_PAGE = "ContinueRetrievePropertiesEx"
FURTHER = "CPU of a further VM"
STEADY = 1.25
"""What does not grow with the VMs may differ by this factor, which is noise."""
MS_PER_S = 1000
VMS_OF_A_STORE = 75
"""As many as lie on a datastore of an ordinary size."""
MAP = "vm_storage_map"


@dataclass(frozen=True)
class Peer:
    """A module of community.vmware that has to be run once for each of many objects."""

    module: str
    option: str
    objects: Callable[[World], list[str]]
    """What it has to be run for, to tell as much as one run of ours."""
    sample: int
    """For how many of them it is run in each round."""
    arguments: Mapping[str, Any]
    bound: float
    """What our module may cost at most, of the CPU of the peer's for all objects."""


@dataclass(frozen=True)
class Subject:
    """One of our modules, what it reads, and the peer."""

    module: str
    reads: Sequence[Paths]
    grows: bool
    """Whether what it tells grows with the VMs."""
    peer: Peer


SUBJECTS = (
    Subject(
        MAP,
        reads=[properties.HOSTS, properties.INVENTORY_WITH_LUNS],
        grows=True,
        peer=Peer(
            module="vmware_guest_disk_info",
            option="uuid",
            objects=lambda world: [vm["uuid"] for vm in world["vcenter"]["vms"]],
            sample=4,
            arguments={"datacenter": "DC0"},
            bound=0.1,
        ),
    ),
    Subject(
        "hba_info",
        reads=[properties.HOSTS, {properties.HOST: properties.HOST_ADAPTERS}],
        grows=False,
        peer=Peer(
            module="vmware_host_vmhba_info",
            option="cluster_name",
            objects=lambda world: [cluster["name"] for cluster in world["vcenter"]["clusters"]],
            sample=2,
            arguments={},
            bound=1,
        ),
    ),
)


def measure(directory: Path, sizes: Sequence[int], rounds: int) -> list[Findings]:
    """Measure all subjects at each number of VMs. Raises BenchFailed."""
    measured = [(subject, Findings(f"{subject.module}, {DISKS} disks a VM", _notes(subject))) for subject in SUBJECTS]
    for size in sizes:
        lab = directory / f"vms-{size}"
        with running_lab(["vcenter"], lab, Size(size, DISKS, stores=size // VMS_OF_A_STORE)) as endpoints:
            world = json.loads((lab / "world.json").read_text())
            for subject, findings in measured:
                _measure_size(subject, findings, endpoints, world, rounds)
    for subject, findings in measured:
        _conclude(subject, findings, sizes)
    return [findings for _subject, findings in measured]


def _notes(subject: Subject) -> list[str]:
    return [
        "A row is one process that logs in, reads and ends. What Ansible needs to start it comes on top, for the peer once per object.",
        f"'{LXML}' and '{PYVMOMI}' fetch the same properties with the same pages and do nothing with them.",
        f"'{subject.peer.module}' is a run for one {subject.peer.option}, the mean of {subject.peer.sample} a round.",
        "'for all' is that, times their number: an extrapolation, not a measurement.",
        "Requests of our module are those to vCenter and to the array.",
        f"'@n': with n VMs. A reply holds at most {PAGE_SIZE} objects; each further page is one more request.",
    ]


def _measure_size(subject: Subject, findings: Findings, endpoints: Endpoints, world: World, rounds: int) -> None:
    size = len(world["vcenter"]["vms"])
    vcenter, servers = endpoints["vcenter"], list(endpoints.values())
    objects = subject.peer.objects(world)
    sampled = itertools.cycle(objects)
    series = interleaved(
        {
            subject.module: partial(watched, servers, partial(run_ours, subject.module, endpoints)),
            subject.peer.module: partial(_run_peer, subject.peer, vcenter, sampled),
            LXML: partial(watched, servers, partial(read, "lxml", vcenter, subject.reads)),
            PYVMOMI: partial(watched, servers, partial(read, "pyvmomi", vcenter, subject.reads)),
        },
        rounds,
    )
    _require_same_objects(series[LXML], series[PYVMOMI])
    for case, found in series.items():
        findings.add_series(f"{case} @{size}", found)
    findings.add(f"{subject.module} @{size}", "pages", series[subject.module].requests[_NEXT_PAGE])
    findings.add(f"{subject.module} @{size}", "memory", series[subject.module].memory, "MiB")
    peer = series[subject.peer.module]
    totals = {"CPU": (peer.cpu, "s"), "wall": (peer.wall, "s"), "requests": (peer.requests.total(), "")}
    for quantity, (value, unit) in totals.items():
        findings.add(f"{subject.peer.module} for all @{size}", quantity, value * len(objects), unit)


def run_ours(module: str, endpoints: Endpoints, **options: Any) -> Sample:
    """One run of a module of ours. Raises BenchFailed."""
    arrays = {"arrays": [connection(endpoints["ontap"])]} if module == MAP else {}
    return run_module(f"crossvisor.san.{module}", {"hypervisor": connection(endpoints["vcenter"]), **arrays, **options})


def _run_peer(peer: Peer, vcenter: Endpoint, objects: Iterator[str]) -> Sample:
    """The mean of some runs, each for the next object."""
    login = {name: value for name, value in connection(vcenter).items() if name != "ca_path"}
    trust = {"SSL_CERT_FILE": vcenter.ca_path}
    samples = [
        watched([vcenter], partial(run_module, f"community.vmware.{peer.module}", {**login, **peer.arguments, peer.option: name}, trust))
        for name in itertools.islice(objects, peer.sample)
    ]
    return Sample(
        wall=fmean(sample.wall for sample in samples),
        cpu=fmean(sample.cpu for sample in samples),
        output=b"",
        requests=max((sample.requests for sample in samples), key=Counter.total),
    )


def read(parser: str, vcenter: Endpoint, reads: Sequence[Paths]) -> Sample:
    """One run of a bare reader of the same properties, which prints how many objects there are. Raises BenchFailed."""
    task = Task(**connection(vcenter), page_size=PAGE_SIZE, reads=reads)
    return spawn([sys.executable, "-m", "tests.bench.reader", parser], {}, json.dumps(asdict(task)).encode())


def _require_same_objects(*readers: Series) -> None:
    counts = {int(series.output) for series in readers}
    if len(counts) != 1 or not counts.pop():
        raise BenchFailed(f"The readers did not read the same objects: {[series.output.decode() for series in readers]}.")


def _conclude(subject: Subject, findings: Findings, sizes: Sequence[int]) -> None:
    ours, least, most = subject.module, min(sizes), max(sizes)
    everything = f"{subject.peer.module} for all"
    for size in sizes:
        for other, quantity in itertools.product((LXML, PYVMOMI, everything), ("CPU", "wall")):
            findings.compare(f"{ours} @{size}", f"{other} @{size}", quantity)
    beyond = _requests(findings, ours, most) - _requests(findings, ours, least)
    findings.promise(f"{ours}: requests at {most} VMs beyond those at {least}, pages aside", COUNT, beyond, 0)
    peers = findings.compare(f"{ours} @{most}", f"{everything} @{most}", "CPU")
    findings.promise(f"{ours} : {everything}, CPU at {most} VMs", RATIO, peers, subject.peer.bound)
    if least == most:
        return
    if not subject.grows:
        grown = findings.compare(f"{ours} @{most}", f"{ours} @{least}", "CPU")
        findings.promise(f"{ours}: CPU at {most} VMs : at {least}", RATIO, grown, STEADY)
        return
    for case in (ours, LXML, PYVMOMI):
        more = findings.value(f"{case} @{most}", "CPU") - findings.value(f"{case} @{least}", "CPU")
        findings.add(f"{case} @{most}", FURTHER, more / (most - least) * MS_PER_S, "ms")
    findings.compare(f"{ours} @{most}", f"{LXML} @{most}", FURTHER)
    findings.promise(f"{ours} : {PYVMOMI} alone, {FURTHER}", RATIO, findings.compare(f"{ours} @{most}", f"{PYVMOMI} @{most}", FURTHER), 1)


def _requests(findings: Findings, module: str, size: int) -> float:
    return findings.value(f"{module} @{size}", "requests") - findings.value(f"{module} @{size}", "pages")
