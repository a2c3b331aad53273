# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A whole provision_disk that finds nothing to change, beside the modules of others that users chain for the same disk."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from tests.bench.measure import BenchFailed, Sample, interleaved, watched
from tests.bench.playbook import ARRAY, HYPERVISOR, path, play, play_unchanged
from tests.bench.report import RATIO, Findings
from tests.lab.launch import running_lab

OURS, PEERS = "provision_disk", "na_ontap_igroup + na_ontap_lun + na_ontap_lun_map + vmware_guest_disk"
PLAYBOOKS = {OURS: "crossvisor.san.provision_disk", PEERS: path("peers_of_provision_disk.yml")}
DISK = {"vm": "app01", "svm": "svm_san", "volume": "vol_prod", "lun": "bench", "size": "1GiB"}
_STATS = "RUN: "
_NOTES = [
    "ansible-playbook as a user starts it, for one LUN of one VM, of which nothing has to be changed. Both ways look at array and vCenter.",
    "The peers are told what provision_disk finds out: the initiators, the group, the number, the NAA, and the slot of the disk.",
]


def measure(directory: Path, rounds: int) -> Findings:
    """Make the disk, then measure both ways to find it as it shall be. Raises BenchFailed."""
    findings = Findings("provision_disk that changes nothing", _NOTES)
    with running_lab(["ontap", "vcenter"], directory) as running:
        endpoints = {ARRAY: running["ontap"], HYPERVISOR: running["vcenter"]}
        variables = {**DISK, **_told(play(PLAYBOOKS[OURS], endpoints, DISK))}
        contenders = {case: partial(play_unchanged, playbook, endpoints, variables) for case, playbook in PLAYBOOKS.items()}
        series = interleaved({case: partial(watched, list(running.values()), run) for case, run in contenders.items()}, rounds)
    for case, found in series.items():
        findings.add_series(f"playbook: {case}", found)
    ratios = {quantity: findings.compare(f"playbook: {OURS}", f"playbook: {PEERS}", quantity) for quantity in ("wall", "CPU", "requests")}
    findings.promise(f"{OURS} : its four peers, wall", RATIO, ratios["wall"], 1)
    return findings


def _told(sample: Sample) -> dict[str, Any]:
    """What the peers have to be told, from the artifact of the run that made the disk."""
    output = sample.output.decode()
    if _STATS not in output:
        raise BenchFailed(f"{OURS} handed nothing on:\n{output}")
    disks: Mapping[str, Any] = json.loads(output.partition(_STATS)[2])["crossvisor_disks"]
    (made,) = disks.values()
    lun, disk = made["lun"], made["disk"]
    (group,) = lun["igroups"]
    return {
        "path": lun["path"],
        "naa": lun["naa"],
        "igroup": group["name"],
        "igroup_type": "fcp",
        "initiators": group["initiators"],
        "lun_id": group["lun_id"],
        "scsi_controller": disk["bus"],
        "unit_number": disk["unit"],
    }
