# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Xen Orchestra's client: JSON-RPC, all objects at once, events, tasks."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

from tests.conformance.xen.conftest import MINUTES, SPARE, Lab
from tests.lab.xen_world import vdi_uuid

CLIENT = Path(__file__).with_name("client.mjs")


def test_it_follows_a_lun_into_a_vm_and_out_again(lab: Lab, xen_api: Path) -> None:
    lab.map_spare()
    environment = {
        **os.environ,
        "PATH": f"{xen_api.parents[2] / 'bin'}:{os.environ['PATH']}",
        "NODE_EXTRA_CA_CERTS": lab.pool.ca_path,
        "LAB_USERNAME": lab.pool.username,
        "LAB_PASSWORD": lab.pool.password,
    }
    command = ["node", str(CLIENT), str(xen_api), lab.url, "xenapp01", vdi_uuid(SPARE)]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=2 * MINUTES, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    assert json.loads(run.stdout) == {
        "host": "xen01.lab",
        "newVdis": 1,
        "size": 5 * 1024**3,
        "device": "xvdb",
        "again": ["DEVICE_ALREADY_ATTACHED", True],
        "probe": "SR_BACKEND_FAILURE_107",
    }
    calls = [request["method"] for request in lab.control("GET", "/requests")["requests"]]
    assert {"event.inject", "event.from", "Async.VBD.plug", "session.logout"} <= set(calls)
