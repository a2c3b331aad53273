# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The Xen pool with its array for all clients; every test starts from the world, with a spare LUN mapped to the initiators of its hosts."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.lab.client import ask
from tests.lab.launch import Endpoint, running_lab
from tests.lab.world import naa_at

SPARE_PATH = "/vol/vol_dev/spare"
SPARE = naa_at(SPARE_PATH)
TIMEOUT = 30.0
MINUTES = 60.0
ROOT = Path(__file__).resolve().parents[3]


@dataclass(frozen=True)
class Lab:
    """A pool and the array whose LUNs its hosts see."""

    pool: Endpoint
    array: Endpoint

    @property
    def url(self) -> str:
        """Where the master answers."""
        return self.of("xen01.lab")

    def of(self, host: str) -> str:
        """Where a host answers."""
        return f"https://{self.pool.addresses[host]}:{self.pool.port}"

    def control(self, method: str, path: str, body: object = None) -> Any:
        """Return the answer of the pool's control port (tests/lab/README.md)."""
        return ask(self.pool.control_url, method, path, body)

    def map_spare(self, group: str = "xen_iscsi") -> None:
        """Show the spare LUN to the initiators of a group."""
        with requests.Session() as client:
            client.trust_env = False
            client.auth = (self.array.username, self.array.password)
            url = f"https://{self.array.hostname}:{self.array.port}/api/protocols/san/lun-maps"
            body = {"svm": {"name": "svm_san"}, "lun": {"name": SPARE_PATH}, "igroup": {"name": group}}
            client.post(url, json=body, verify=self.array.ca_path, timeout=TIMEOUT).raise_for_status()


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with running_lab(["xen"], tmp_path_factory.mktemp("xen")) as endpoints:
        yield Lab(endpoints["xen"], endpoints["ontap"])


@pytest.fixture
def lab(servers: Lab) -> Lab:
    ask(servers.array.control_url, "POST", "/reset")
    servers.control("POST", "/reset")
    return servers


@pytest.fixture(scope="session")
def xen_api() -> Path:
    """The entry of npm's xen-api, Xen Orchestra's client."""
    run = subprocess.run([ROOT / "scripts" / "xen-api"], capture_output=True, text=True, timeout=10 * MINUTES, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    return ROOT / "build" / "xen-api" / "node_modules" / "xen-api" / "index.mjs"
