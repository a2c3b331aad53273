# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One vCenter with its array for all clients; every test starts from the world, with a spare LUN mapped to cluster prod."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import requests

from tests.lab.launch import Endpoint, running_lab
from tests.lab.world import naa_at

SPARE_PATH = "/vol/vol_dev/spare"
SPARE = naa_at(SPARE_PATH)
TIMEOUT = 30.0

_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True)
class Lab:
    """A vCenter and the array whose LUNs its hosts see."""

    vcenter: Endpoint
    array: Endpoint

    def control(self, method: str, path: str, server: Endpoint | None = None) -> Any:
        """Return the answer of a control port (tests/lab/README.md), the vCenter's unless told otherwise."""
        address = f"{(server or self.vcenter).control_url}{path}"
        with _direct.open(urllib.request.Request(address, method=method), timeout=TIMEOUT) as answer:
            return json.load(answer)

    def maps(self, method: str, path: str = "", **arguments: Any) -> Any:
        """Ask ONTAP's REST interface for LUN maps, or change them."""
        with requests.Session() as client:
            client.trust_env = False
            client.auth = (self.array.username, self.array.password)
            url = f"https://{self.array.hostname}:{self.array.port}/api/protocols/san/lun-maps{path}"
            answer = client.request(method, url, verify=self.array.ca_path, timeout=TIMEOUT, **arguments)
        answer.raise_for_status()
        return answer.json() if answer.content else {}

    def map_spare(self) -> None:
        """Show the spare LUN to the hosts of cluster prod."""
        self.maps("POST", json={"svm": {"name": "svm_san"}, "lun": {"name": SPARE_PATH}, "igroup": {"name": "esx_prod"}})

    def unmap_spare(self) -> None:
        """Hide it again."""
        (row,) = self.maps("GET", params={"lun.name": SPARE_PATH, "igroup.name": "esx_prod"})["records"]
        self.maps("DELETE", f"/{row['lun']['uuid']}/{row['igroup']['uuid']}")


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with running_lab(["vcenter"], tmp_path_factory.mktemp("vcenter")) as endpoints:
        yield Lab(endpoints["vcenter"], endpoints["ontap"])


@pytest.fixture
def lab(servers: Lab) -> Lab:
    servers.control("POST", "/reset", servers.array)
    servers.control("POST", "/reset")
    servers.map_spare()
    return servers
