# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One KVM host and its array for all tests; every test starts from the world."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import requests

from tests.lab.client import ask
from tests.lab.kvm.guest_shell import GuestShell
from tests.lab.launch import Endpoint, Endpoints, running_lab
from tests.lab.packages import install

TOOLS = ("libiscsi-bin", "qemu-utils", "qemu-block-extra")


@dataclass(frozen=True)
class Array:
    """The array by its own REST interface."""

    endpoint: Endpoint

    def call(self, method: str, path: str, body: Any = None) -> requests.Response:
        """Send a request and return the answer, whatever it says."""
        url = f"https://{self.endpoint.hostname}:{self.endpoint.port}/api/{path}"
        credentials = (self.endpoint.username, self.endpoint.password)
        return requests.request(method, url, json=body, auth=credentials, verify=self.endpoint.ca_path, timeout=300)

    def done(self, method: str, path: str, body: Any = None) -> Any:
        """Send a request that must succeed and return its first record."""
        answer = self.call(method, path, body)
        answer.raise_for_status()
        return (answer.json().get("records") or [{}])[0]

    def control(self, method: str, path: str, body: Any = None) -> Any:
        """Call the control port."""
        return ask(self.endpoint.control_url, method, path, body)

    def lun(self, path: str) -> Any:
        """Return a LUN with its uuid, serial number and size."""
        return self.done("GET", f"storage/luns?name={path}&fields=serial_number,space.size")

    @property
    def svm(self) -> Any:
        """The SVM of the tests, as the REST interface tells it: name, IQN and portals."""
        service = self.done("GET", "protocols/san/iscsi/services?svm.name=svm_san&fields=target.name")
        lifs = self.call("GET", "network/ip/interfaces?svm.name=svm_san&services=data_iscsi&fields=ip.address").json()["records"]
        return {"name": "svm_san", "iqn": service["target"]["name"], "portals": [lif["ip"]["address"] for lif in lifs]}


@dataclass(frozen=True)
class Host:
    """The KVM host by virsh and by ssh into its guests."""

    endpoint: Endpoint

    def virsh(self, *arguments: str) -> str:
        """Return what virsh prints; raises ``subprocess.CalledProcessError``."""
        command = ["virsh", "--quiet", "--connect", self.endpoint.uri, *arguments]
        return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True, timeout=600).stdout

    def control(self, method: str, path: str) -> Any:
        """Call the control port."""
        return ask(self.endpoint.control_url, method, path)

    def guest(self, name: str) -> GuestShell:
        """Return a guest."""
        return GuestShell(self.endpoint, name)


@pytest.fixture(scope="session")
def endpoints(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoints]:
    install(TOOLS)
    with running_lab(["kvm"], tmp_path_factory.mktemp("lab")) as running:
        yield running


@pytest.fixture
def array(endpoints: Endpoints) -> Array:
    ask(endpoints["ontap"].control_url, "POST", "/reset")
    return Array(endpoints["ontap"])


@pytest.fixture
def host(endpoints: Endpoints) -> Iterator[Host]:
    """The KVM host; what a test did to it is undone afterwards, before the array takes its LUNs away."""
    kvm = Host(endpoints["kvm"])
    yield kvm
    kvm.control("POST", "/reset")
