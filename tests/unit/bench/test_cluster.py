# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the benchmark counts of the requests to a failover cluster."""

from __future__ import annotations

import pytest

from tests.bench import cluster
from tests.bench.report import Findings

PLACE = "hvc1n1.lab/root/mscluster/"


def request(method: str, path: str) -> dict[str, object]:
    return {"method": method, "path": PLACE + path, "status": 200}


PRIVATE = request("Enumerate", "*?SELECT Name, PrivateProperties FROM MSCluster_Resource")
SINGLE = request("Get", "MSCluster_Resource?Name=Cluster Disk 1")


@pytest.mark.parametrize(
    ("asked", "enumerates"),
    [
        (PRIVATE, True),
        (request("Enumerate", "*?SELECT * FROM MSCluster_Resource"), True),
        (request("Enumerate", "*?SELECT * FROM MSCluster_Resource WHERE Name = 'a'"), True),
        (request("Enumerate", "*?SELECT * FROM MSCluster_ResourceToDisk"), False),
        (request("Enumerate", "*?SELECT Name, State FROM MSCluster_Resource"), False),
        (SINGLE, False),
    ],
)
def test_an_enumeration_of_private_properties_is_known_by_its_query(asked: dict[str, object], enumerates: bool) -> None:
    assert cluster.is_enumeration_of_private(asked) is enumerates


@pytest.mark.parametrize(("log", "kept"), [([PRIVATE, SINGLE, SINGLE], True), ([PRIVATE, PRIVATE], False)])
def test_one_of_them_is_promised_for_a_run(log: list[dict[str, object]], kept: bool) -> None:
    findings = Findings("a cluster", [])
    cluster.conclude(findings, "attach", log)
    assert [promise.kept for promise in findings.promises] == [kept]
    assert findings.value("attach", cluster.SINGLE) == log.count(SINGLE)
