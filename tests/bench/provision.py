# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A lun_provision that finds nothing to change, beside the three modules of netapp.ontap that do the same job."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from tests.bench.measure import BenchFailed, interleaved, run_module, watched
from tests.bench.playbook import ARRAY, path, play_unchanged
from tests.bench.report import COUNT, RATIO, Findings
from tests.lab.inventory import connection
from tests.lab.launch import Endpoint, running_lab
from tests.lab.world import HOSTS, PROD, World

MOST_REQUESTS = 3
OURS, PEERS = "lun_provision", "na_ontap_igroup + na_ontap_lun + na_ontap_lun_map"
PLAYBOOKS = {OURS: path("lun_provision.yml"), PEERS: path("netapp_ontap.yml")}
_ADDRESS = {"svm": "svm_san", "volume": "vol_prod"}
_NOTES = [
    f"The first rows are a process of its own for each kind of initiator of the {len(HOSTS[PROD])} hosts of cluster {PROD}.",
    "The others are ansible-playbook as a user starts it, one task against three, for the same LUN and group, both kinds of initiators.",
]


def measure(directory: Path, rounds: int) -> Findings:
    """Measure requests for each kind of initiator, and the time of both ways. Raises BenchFailed."""
    findings = Findings("lun_provision that changes nothing", _NOTES)
    with running_lab(["ontap"], directory) as endpoints:
        array = endpoints["ontap"]
        for kind, initiators in _initiators(json.loads((directory / "world.json").read_text())).items():
            made = _count_requests(findings, array, kind, initiators)
        _measure_playbooks(findings, array, made, initiators, rounds)
    return findings


def _initiators(world: World) -> dict[str, list[str]]:
    hbas = [hba for cluster in world["vcenter"]["clusters"] if cluster["name"] == PROD for host in cluster["hosts"] for hba in host["hbas"]]
    fc, iscsi = [hba["wwpn"] for hba in hbas if "wwpn" in hba], [hba["iqn"].lower() for hba in hbas if "iqn" in hba]
    return {"FC": fc, "iSCSI": iscsi, "FC and iSCSI": fc + iscsi}


def _count_requests(findings: Findings, array: Endpoint, kind: str, initiators: Sequence[str]) -> dict[str, Any]:
    """Provision twice and count the requests of the second time; return what it told."""
    wish = {**_ADDRESS, "name": _lun(kind), "size": "1GiB", "igroup_os_type": "vmware", "initiators": list(initiators)}
    run = partial(run_module, "crossvisor.san.lun_provision", {"array": connection(array), **wish})
    run()
    sample = watched([array], run)
    told: dict[str, Any] = json.loads(sample.output)
    if told["changed"]:
        raise BenchFailed(f"The second lun_provision for {kind} changed something: {told['actions']}.")
    case = f"{OURS}, {kind}"
    findings.add(case, "requests", sample.requests.total())
    findings.promise(f"{case}: requests", COUNT, sample.requests.total(), MOST_REQUESTS)
    return told


def _lun(kind: str) -> str:
    return f"bench_{kind.lower().replace(' ', '_')}"


def _measure_playbooks(findings: Findings, array: Endpoint, made: Mapping[str, Any], initiators: Sequence[str], rounds: int) -> None:
    (group,) = made["igroups"]
    variables = {
        **_ADDRESS,
        "path": made["path"],
        "lun": made["path"].rpartition("/")[2],
        "igroup": group["name"],
        "igroup_type": "mixed",
        "lun_id": group["lun_id"],
        "initiators": list(initiators),
    }
    series = interleaved(
        {case: partial(watched, [array], partial(play_unchanged, PLAYBOOKS[case], {ARRAY: array}, variables)) for case in PLAYBOOKS}, rounds
    )
    for case, found in series.items():
        findings.add_series(f"playbook: {case}", found)
    ratios = {quantity: findings.compare(f"playbook: {OURS}", f"playbook: {PEERS}", quantity) for quantity in ("wall", "CPU", "requests")}
    findings.promise(f"{OURS} : its three peers, wall", RATIO, ratios["wall"], 1)
