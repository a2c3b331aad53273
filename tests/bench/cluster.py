# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a LUN's way into a highly available VM and back asks a failover cluster, and how often that is what a cluster answers slowly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.bench.measure import run_module
from tests.bench.report import COUNT, Findings
from tests.lab import world
from tests.lab.client import ask
from tests.lab.hyperv_world import CLUSTERS, OS_TYPE, initiators
from tests.lab.inventory import connection
from tests.lab.launch import Endpoint, Endpoints, running_lab

MODULE = "ptd_attach"
VM, LUN = "c1app01", "/vol/vol_dev/spare"
WAYS: Mapping[str, Mapping[str, Any]] = {
    "attach": {"state": "present", "initialize": True},
    "attach again": {"state": "present"},
    "detach": {"state": "absent"},
}
ENUMERATIONS, SINGLE = "enumerations of private properties", "resources asked one by one"
BOUND = 1
_NOTES = [
    "A real cluster is said to need 19 ms for a resource's private properties: 19 s whenever those of 1,000 are enumerated.",
    "'attach again' finds nothing to do.",
]


def measure(directory: Path) -> Findings:
    """Count on each way. Raises BenchFailed."""
    findings = Findings(f"{MODULE} of a failover cluster", _NOTES)
    with running_lab(["ontap", "hyperv-cluster"], directory) as endpoints:
        _map(endpoints)
        for way, options in WAYS.items():
            _count(findings, endpoints["hyperv-cluster"], way, options)
    return findings


def is_enumeration_of_private(request: Mapping[str, Any]) -> bool:
    """Whether a request of the lab's log enumerates private properties of everything, by name or with all the rest."""
    query = str(request["path"]).partition("?")[2]
    return request["method"] == "Enumerate" and ("PrivateProperties" in query or "* FROM MSCluster_Resource " in f"{query} ")


def is_single(request: Mapping[str, Any]) -> bool:
    """Whether a request of the lab's log reads one resource, with its private properties."""
    return request["method"] == "Get" and str(request["path"]).partition("?")[0].endswith("/MSCluster_Resource")


def conclude(findings: Findings, way: str, log: Sequence[Mapping[str, Any]]) -> None:
    """Note what the log of one way tells, and whether the promise was kept."""
    enumerations = sum(is_enumeration_of_private(request) for request in log)
    findings.add(way, "requests", len(log))
    findings.add(way, ENUMERATIONS, enumerations)
    findings.add(way, SINGLE, sum(is_single(request) for request in log))
    findings.promise(f"{MODULE} of a cluster, {way}: {ENUMERATIONS}", COUNT, enumerations, BOUND)


def _count(findings: Findings, node: Endpoint, way: str, options: Mapping[str, Any]) -> None:
    ask(node.control_url, "DELETE", "/requests")
    hypervisor = {**connection(node), "type": "hyperv", "transport": "basic"}
    run_module(f"crossvisor.san.{MODULE}", {"hypervisor": hypervisor, "vm": VM, "naa": world.naa_at(LUN), **options})
    conclude(findings, way, ask(node.control_url, "GET", "/requests")["requests"])


def _map(endpoints: Endpoints) -> None:
    """Let the array present the LUN to the nodes."""
    volume, name = LUN.split("/")[2:]
    wish = {"svm": "svm_san", "volume": volume, "name": name, "igroup_os_type": OS_TYPE, "initiators": initiators(CLUSTERS["hvc1"])}
    run_module("crossvisor.san.lun_provision", {"array": connection(endpoints["ontap"]), **wish})
