# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which hosts there are behind an endpoint, and how each is reached."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.connection import HYPERVISOR, Connection
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import InvalidInput, NotFound, Refused, RemoteError
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.nodes import Nodes
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.cim import CimClient
from tests.lab.hyperv.machines import DISABLED, STOPPED
from tests.lab.hyperv.running import Lab
from tests.unit import windows

GIVEN = Connection(role=HYPERVISOR, type="hyperv", hostname="10.0.0.1", port=15986, username="LAB\\svc", password="p")


@pytest.fixture
def lab() -> Lab:
    return Lab()


def reached(lab: Lab, connection: Connection, node: str) -> Connection:
    """How the backend reaches a node of hvc1 when it was given the first one."""
    logins: list[Connection] = []

    def login(to: Connection) -> CimClient:
        logins.append(to)
        return windows.client(lab, "hvc1n1.lab")

    Nodes(connection, login).client(node)
    return logins[-1]


def test_a_single_host_is_alone() -> None:
    found = windows.nodes(Lab(), "hv01.lab")
    assert (found.cluster, [(node.id, node.name, node.state) for node in found.all()]) == ("", [("HV01", "hv01.lab", "up")])


def test_so_is_one_with_the_clustering_feature_and_no_cluster(lab: Lab) -> None:
    lab.set_cluster_service("hv01.lab", DISABLED)
    found = windows.nodes(lab, "hv01.lab")
    assert (found.cluster, [node.id for node in found.all()]) == ("", ["HV01"])


@pytest.mark.parametrize("code", ["0x800706D9", "0x000006D9", "0x80070046", "0x00000046"])
def test_however_windows_says_that_nobody_answers_for_the_cluster(lab: Lab, code: str) -> None:
    lab.set_cluster_service("hv01.lab", DISABLED)
    silence = windows.refusing(RemoteError("nobody answers", code))
    assert windows.nodes(lab, "hv01.lab", windows.Wire(before_next={"MSCluster_Cluster": silence})).cluster == ""


def test_a_node_whose_cluster_service_is_stopped_is_not_taken_for_a_single_host(lab: Lab) -> None:
    lab.set_cluster_service("hvc1n1.lab", STOPPED)
    with pytest.raises(RemoteError, match=r"cluster service of host hvc1n1\.lab is stopped .*: start it \(Start-Service ClusSvc\)"):
        str(windows.nodes(lab, "hvc1n1.lab").cluster)
    assert [node.id for node in windows.nodes(lab, "hvc1n2.lab").reachable()] == ["HVC1N2"]


def test_nor_is_a_host_that_does_not_show_its_services(lab: Lab) -> None:
    silence = windows.refusing(RemoteError("nobody answers", "0x800706D9"))
    with pytest.raises(RemoteError, match="not shown to this account"):
        str(windows.nodes(lab, "hv01.lab", windows.Wire(before_next={"MSCluster_Cluster": silence})).cluster)


def test_another_refusal_of_the_cluster_is_not_taken_for_its_absence(lab: Lab) -> None:
    refusal = windows.refusing(RemoteError("quota violation", "0x8004106C"))
    with pytest.raises(RemoteError, match="quota"):
        str(windows.nodes(lab, "hv01.lab", windows.Wire(before_next={"MSCluster_Cluster": refusal})).cluster)


@pytest.mark.parametrize("entry", ["hvc1n1.lab", "hvc1n2.lab"])
def test_any_node_tells_all_nodes_of_its_cluster(lab: Lab, entry: str) -> None:
    found = windows.nodes(lab, entry)
    assert found.cluster == "hvc1"
    assert [(node.id, node.name) for node in found.all()] == [("HVC1N1", "hvc1n1.lab"), ("HVC1N2", "hvc1n2.lab")]
    assert found.entry.name == entry


def test_each_node_is_asked_itself(lab: Lab) -> None:
    found = windows.nodes(lab, "hvc1n1.lab")
    assert Nodes(GIVEN, lambda _to: found.client("HVC1N2")).entry.id == "HVC1N2"
    assert found.client("hvc1n1") is found.client("HVC1N1")


def test_a_node_that_is_down_is_told_with_its_cluster(lab: Lab) -> None:
    lab.estate.set_power("hvc1n2.lab", False)
    found = windows.nodes(lab, "hvc1n1.lab")
    assert [node.id for node in found.reachable()] == ["HVC1N1"]
    with pytest.raises(Refused, match=r"node hvc1n2\.lab of cluster hvc1 is down: bring it up"):
        found.client("HVC1N2")


def test_a_host_that_is_no_node_is_told_with_those_that_are(lab: Lab) -> None:
    with pytest.raises(NotFound, match=r"no host HV99 behind hvc1n1\.lab:5986; there are: HVC1N1, HVC1N2"):
        windows.nodes(lab, "hvc1n1.lab").client("HV99")


def test_a_node_is_reached_by_its_dns_name_on_the_same_port_with_the_same_account(lab: Lab) -> None:
    to = reached(lab, GIVEN, "HVC1N2")
    assert (to.hostname, to.port, to.username, to.password) == ("hvc1n2.lab", 15986, "LAB\\svc", "p")


@pytest.mark.parametrize(
    ("given", "hostname", "port"),
    [
        ({"hvc1n2": "10.0.0.2"}, "10.0.0.2", 15986),
        ({"HVC1N2.lab": "10.0.0.2:5985"}, "10.0.0.2", 5985),
        ({"hvc1n2": "fd00::2"}, "fd00::2", 15986),
        ({"hvc1n2": "[fd00::2]:5986"}, "fd00::2", 5986),
    ],
)
def test_or_as_the_user_said(lab: Lab, given: dict[str, str], hostname: str, port: int) -> None:
    to = reached(lab, replace(GIVEN, nodes=given), "HVC1N2")
    assert (to.hostname, to.port) == (hostname, port)


def test_an_address_with_a_port_that_is_none_is_named(lab: Lab) -> None:
    with pytest.raises(InvalidInput, match=r"hypervisor\.nodes has '10\.0\.0\.2:https' for HVC1N2"):
        reached(lab, replace(GIVEN, nodes={"hvc1n2": "10.0.0.2:https"}), "HVC1N2")
