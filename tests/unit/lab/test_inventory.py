# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lab's inventory holds what a user's would: connections, and where a cluster's nodes are."""

from __future__ import annotations

import pytest

from tests.lab.hyperv_world import CLUSTERS, DOMAIN, MACHINES
from tests.lab.inventory import inventory
from tests.lab.launch import SERVERS, Endpoint

PORTS = {f"{name}.{DOMAIN}": 40000 + number for number, name in enumerate(MACHINES)}


def endpoint(name: str) -> Endpoint:
    server = SERVERS[name]
    ports = PORTS if server.machine else {}
    return Endpoint(
        server.type, "127.0.0.1", ports.get(server.machine, 443), "user", "secret", "/ca.pem", True, "http://127.0.0.1", 1, 1, ports
    )


HOSTS = inventory({name: endpoint(name) for name in SERVERS})["all"]


def test_every_hypervisor_is_a_host_and_nothing_else_is() -> None:
    assert set(HOSTS["children"]["hypervisors"]["hosts"]) == {"vcenter", "hyperv", "hyperv-cluster", "hyperv-cluster4"}


@pytest.mark.parametrize(
    ("host", "nodes"), [("vcenter", ()), ("hyperv", ()), ("hyperv-cluster", CLUSTERS["hvc1"]), ("hyperv-cluster4", CLUSTERS["hvc2"])]
)
def test_only_a_cluster_tells_where_its_nodes_are(host: str, nodes: tuple[str, ...]) -> None:
    given = HOSTS["children"]["hypervisors"]["hosts"][host]["hypervisor"]
    assert given.get("nodes", {}) == {node: f"127.0.0.1:{PORTS[f'{node}.{DOMAIN}']}" for node in nodes}


def test_a_windows_guest_is_known_by_its_vm() -> None:
    assert {vm: connection["port"] for vm, connection in HOSTS["vars"]["guests"].items()} == {"win01": PORTS["win01.lab"]}
