# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lab's inventory holds what a user's would: connections, and where a cluster's nodes are."""

from __future__ import annotations

import pytest

from tests.lab.hyperv_world import CLUSTERS, DOMAIN, MACHINES
from tests.lab.inventory import inventory
from tests.lab.launch import Endpoint
from tests.lab.servers import SERVERS

PORTS = {f"{name}.{DOMAIN}": 40000 + number for number, name in enumerate(MACHINES)}
KVM = Endpoint(
    "kvm", "127.0.0.1", 0, "root", "secret", "/ca.pem", True, "http://127.0.0.1", 1, 1, {"lnx01": 2201, "lnx02": 2202},
    uri="qemu+unix:///system?socket=/lab/libvirt-sock", key_path="/lab/key", known_hosts="/lab/known_hosts",
)  # fmt: skip


def endpoint(name: str) -> Endpoint:
    server = SERVERS[name]
    if server.type == KVM.type:
        return KVM
    ports = PORTS if server.machine else {}
    return Endpoint(
        server.type, "127.0.0.1", ports.get(server.machine, 443), "user", "secret", "/ca.pem", True, "http://127.0.0.1", 1, 1, ports
    )


HOSTS = inventory({name: endpoint(name) for name in SERVERS})["all"]


def test_every_hypervisor_is_a_host_and_nothing_else_is() -> None:
    assert set(HOSTS["children"]["hypervisors"]["hosts"]) == {"vcenter", "hyperv", "hyperv-cluster", "hyperv-cluster4", "kvm", "xen"}


def test_a_kvm_host_is_a_uri_and_nothing_else() -> None:
    assert HOSTS["children"]["hypervisors"]["hosts"]["kvm"]["hypervisor"] == {"uri": KVM.uri}


@pytest.mark.parametrize(
    ("host", "nodes"), [("vcenter", ()), ("hyperv", ()), ("hyperv-cluster", CLUSTERS["hvc1"]), ("hyperv-cluster4", CLUSTERS["hvc2"])]
)
def test_only_a_cluster_tells_where_its_nodes_are(host: str, nodes: tuple[str, ...]) -> None:
    given = HOSTS["children"]["hypervisors"]["hosts"][host]["hypervisor"]
    assert given.get("nodes", {}) == {node: f"127.0.0.1:{PORTS[f'{node}.{DOMAIN}']}" for node in nodes}


def test_a_windows_guest_is_known_by_its_vm() -> None:
    assert {vm: connection["port"] for vm, connection in HOSTS["vars"]["guests"].items()} == {"win01": PORTS["win01.lab"]}


def test_a_linux_guest_is_a_host_that_ansible_logs_in_to() -> None:
    guests = HOSTS["children"]["linux_guests"]["hosts"]
    assert {vm: (login["ansible_host"], login["ansible_port"], login["ansible_user"]) for vm, login in guests.items()} == {
        "lnx01": ("127.0.0.1", 2201, "root"),
        "lnx02": ("127.0.0.1", 2202, "root"),
    }


def test_a_linux_guest_is_known_by_the_keys_of_the_lab_alone() -> None:
    guest = HOSTS["children"]["linux_guests"]["hosts"]["lnx01"]
    assert guest["ansible_ssh_private_key_file"] == KVM.key_path
    assert f"UserKnownHostsFile={KVM.known_hosts}" in guest["ansible_ssh_common_args"]


def test_without_a_kvm_host_there_are_no_linux_guests() -> None:
    assert inventory({name: endpoint(name) for name in ("ontap", "vcenter")})["all"]["children"]["linux_guests"] == {"hosts": {}}
