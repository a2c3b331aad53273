# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who the hosts are, also those that do not answer."""

from __future__ import annotations

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import AuthenticationFailed, ConnectionFailed, TimedOut
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv import hosts
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.nodes import Nodes
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.cim import CimClient
from tests.lab.hyperv.running import Lab
from tests.unit.windows import nodes


@pytest.fixture
def lab() -> Lab:
    return Lab()


def test_a_single_host(lab: Lab) -> None:
    about = hosts.about(nodes(lab, "hv01.lab"))
    assert (about.type, about.product, about.version) == ("hyperv", "Microsoft Windows Server 2022 Datacenter", "10.0.20348")
    assert (about.address, about.clusters, about.hosts) == ("hv01.lab", [], ["hv01.lab"])
    assert about.uuid == lab.estate.machines["hv01.lab"].uuid.upper()


def test_a_cluster_by_any_of_its_nodes(lab: Lab) -> None:
    about = hosts.about(nodes(lab, "hvc2n3.lab"))
    (cluster,) = about.clusters
    names = [f"hvc2n{number}.lab" for number in (1, 2, 3, 4)]
    assert (cluster.name, cluster.hosts, about.hosts) == ("hvc2", names, names)


@pytest.mark.parametrize(("entry", "clustering"), [("hv01.lab", False), ("hvc1n1.lab", True)])
def test_what_hyper_v_can_do(lab: Lab, entry: str, clustering: bool) -> None:
    able = hosts.about(nodes(lab, entry)).capabilities
    assert able is not None
    assert (able.hot_add, able.hot_add_controller, able.shared_disks, able.clustering) == (True, False, False, clustering)
    assert (able.passthrough_modes, able.controller_types) == (["physical"], ["scsi", "ide"])


def test_every_node_with_its_adapters(lab: Lab) -> None:
    found = hosts.hosts_with_hbas(nodes(lab, "hvc1n2.lab"))
    assert [(host.id, host.name, host.cluster, host.state, len(host.hbas)) for host in found] == [
        ("HVC1N1", "hvc1n1.lab", "hvc1", "connected", 3),
        ("HVC1N2", "hvc1n2.lab", "hvc1", "connected", 3),
    ]
    assert found[0].uuid == lab.estate.machines["hvc1n1.lab"].uuid.upper()


def test_a_host_says_what_it_does_not_tell_of_its_adapters(lab: Lab) -> None:
    machine = lab.estate.machines["hvc1n2.lab"]
    machine.hbas = [hba for hba in machine.hbas if hba["kind"] == "fc"]
    told, silent = hosts.hosts_with_hbas(nodes(lab, "hvc1n1.lab"))
    (warning,) = silent.warnings
    assert (list(told.warnings), len(silent.hbas)) == ([], 2)
    assert warning.startswith("Host hvc1n2.lab does not tell portals, sessions and paths of its iSCSI adapters: ")


def test_a_node_that_is_down_is_listed_without_adapters(lab: Lab) -> None:
    lab.estate.set_power("hvc1n2.lab", False)
    up, down = hosts.hosts_with_hbas(nodes(lab, "hvc1n1.lab"))
    assert (up.state, down.name, down.cluster, down.state, down.hbas) == ("connected", "hvc1n2.lab", "hvc1", "unreachable", ())


@pytest.mark.parametrize("error", [ConnectionFailed("no route"), TimedOut("too slow")])
def test_a_node_that_does_not_answer_is_unreachable_whatever_the_cluster_says(lab: Lab, error: Exception) -> None:
    there = nodes(lab, "hvc1n1.lab")
    assert [host.state for host in hosts.hosts_with_hbas(_failing(there, "HVC1N2", error))] == ["connected", "unreachable"]


def test_a_node_that_refuses_the_login_is_an_error(lab: Lab) -> None:
    with pytest.raises(AuthenticationFailed):
        hosts.hosts_with_hbas(_failing(nodes(lab, "hvc1n1.lab"), "HVC1N2", AuthenticationFailed("wrong password")))


def test_the_named_host_must_answer(lab: Lab) -> None:
    with pytest.raises(ConnectionFailed):
        hosts.hosts_with_hbas(_failing(nodes(lab, "hvc1n1.lab"), "HVC1N1", ConnectionFailed("gone")))


def _failing(there: Nodes, node_id: str, error: Exception) -> Nodes:
    """The same hosts, one of which cannot be asked."""
    known = there.client

    def client(wanted: str) -> CimClient:
        if wanted == node_id:
            raise error
        return known(wanted)

    there.client = client  # type: ignore[assignment,method-assign]
    return there
