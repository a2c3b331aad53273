# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The array's REST interface before the machine ``san``, as a process that outlives the one that starts it.

It makes the target in ``san`` its own: LUNs that somebody else made there are gone once it runs.
"""

from __future__ import annotations

import json
import os
import secrets
import sys
from pathlib import Path

from tests.lab.certificates import issue
from tests.lab.kvm_san import world
from tests.lab.launch import ROOT, Endpoint, read_endpoints, write_endpoints
from tests.lab.processes import start as start_process

NAME = "ontap"
USERNAME = "admin"
LUNS = "/srv/luns"
"""Where ``san`` keeps the LUNs' data."""


def start(directory: Path) -> Endpoint:
    """Have the array of the lab in ``directory``, whose machines run; one that is started has no LUNs. Raises ServerFailed."""
    known = read_endpoints(directory).get(NAME)
    if known and known.healthy():
        return known
    endpoint = _start(directory)
    write_endpoints({NAME: endpoint}, directory)
    return endpoint


def _start(directory: Path) -> Endpoint:
    place = directory / NAME
    certificates = issue(place)
    file = place / "world.json"
    file.write_text(json.dumps(world.build(), indent=2))
    password = secrets.token_urlsafe(18)
    tls = ["--cert", str(certificates.certificate), "--key", str(certificates.key)]
    plane = ["--data-plane", "lio", "--luns", LUNS, "--ssh-config", str(directory / "ssh_config")]
    process, ready = start_process(
        [sys.executable, "-m", "tests.lab.ontap", "--world", str(file), *tls, *plane],
        {**os.environ, "LAB_USERNAME": USERNAME, "LAB_PASSWORD": password},
        ROOT,
        directory / f"{NAME}.log",
    )
    return Endpoint(
        type="ontap",
        hostname="127.0.0.1",
        port=ready["port"],
        username=USERNAME,
        password=password,
        ca_path=str(certificates.authority),
        validate_certs=True,
        control_url=f"http://127.0.0.1:{ready['control_port']}",
        pid=process.pid,
        started=process.started,
    )
