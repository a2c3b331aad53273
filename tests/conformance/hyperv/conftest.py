# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The Windows machines with their array for all clients; every test starts from the world."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import requests

from tests.lab.client import ask
from tests.lab.launch import Endpoint, running_lab
from tests.lab.world import naa_at

SPARE_PATH = "/vol/vol_dev/spare"
SPARE = naa_at(SPARE_PATH)
TIMEOUT = 30.0


@dataclass(frozen=True)
class Lab:
    """The host, a node of a cluster, a guest, and the array whose LUNs they see."""

    host: Endpoint
    node: Endpoint
    guest: Endpoint
    array: Endpoint

    def control(self, method: str, path: str, body: object = None) -> Any:
        """Return the answer of the machines' control port (tests/lab/README.md)."""
        return ask(self.host.control_url, method, path, body)

    def map_spare(self, group: str = "hv_hv01") -> None:
        """Show the spare LUN to the hosts of an initiator group."""
        with requests.Session() as client:
            client.trust_env = False
            client.auth = (self.array.username, self.array.password)
            url = f"https://{self.array.hostname}:{self.array.port}/api/protocols/san/lun-maps"
            body = {"svm": {"name": "svm_san"}, "lun": {"name": SPARE_PATH}, "igroup": {"name": group}}
            client.post(url, json=body, verify=self.array.ca_path, timeout=TIMEOUT).raise_for_status()


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    names = ["hyperv", "hyperv-cluster", "windows-guest"]
    with running_lab(names, tmp_path_factory.mktemp("hyperv")) as endpoints:
        yield Lab(*(endpoints[name] for name in (*names, "ontap")))


@pytest.fixture
def lab(servers: Lab) -> Lab:
    ask(servers.array.control_url, "POST", "/reset")
    servers.control("POST", "/reset")
    return servers
