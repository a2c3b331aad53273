# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every host is asked; those that cannot be reached are told."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import ConnectionFailed, RemoteError
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv import estate, survey
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.nodes import Node
from tests.lab.hyperv.running import Lab
from tests.unit.windows import nodes


def test_answers_and_losses_are_kept_apart() -> None:
    lab = Lab()
    lab.estate.set_power("hvc2n2.lab", False)
    found = survey.ask(nodes(lab, "hvc2n1.lab"), lambda client, node: node.name)
    assert [node.id for node in found.nodes] == ["HVC2N1", "HVC2N2", "HVC2N3", "HVC2N4"]
    assert found.answers == {"HVC2N1": "hvc2n1.lab", "HVC2N3": "hvc2n3.lab", "HVC2N4": "hvc2n4.lab"}
    assert found.lost == {"HVC2N2": "the cluster says that it is down"}


def test_a_node_that_is_only_missed_by_its_clients_is_lost_too() -> None:
    lab = Lab()
    there = nodes(lab, "hvc1n1.lab")
    client = there.client("HVC1N2")
    lab.estate.machines["hvc1n2.lab"].up = False
    there.all = lambda: [*nodes(Lab(), "hvc1n1.lab").all()]  # type: ignore[method-assign]  # the cluster has not noticed
    found = survey.ask(there, lambda login, _node: list(login.session.query("root/cimv2", "SELECT Name FROM Win32_ComputerSystem")))
    assert client is there.client("HVC1N2")
    assert list(found.lost) == ["HVC1N2"]
    assert "cannot be reached" in found.lost["HVC1N2"]


def test_hosts_that_may_be_asked_at_once_are_all_being_asked_before_the_first_has_answered() -> None:
    together = threading.Barrier(4, timeout=60)

    def question(_client: object, node: Node) -> str:
        together.wait()
        return node.name

    found = survey.ask(nodes(Lab(), "hvc2n1.lab"), question, at_once=True)
    assert list(found.answers.items()) == [(f"HVC2N{number}", f"hvc2n{number}.lab") for number in range(1, 5)]


@pytest.mark.parametrize("at_once", [True, False])
def test_a_host_that_does_not_answer_costs_its_own_answer_and_only_the_named_one_all(at_once: bool) -> None:
    def silent(name: str) -> Callable[[object, Node], str]:
        def question(_client: object, node: Node) -> str:
            if node.name == name:
                raise ConnectionFailed(f"{name} cannot be reached.")
            return node.name

        return question

    found = survey.ask(nodes(Lab(), "hvc2n1.lab"), silent("hvc2n2.lab"), at_once)
    assert (list(found.answers), found.lost) == (["HVC2N1", "HVC2N3", "HVC2N4"], {"HVC2N2": "hvc2n2.lab cannot be reached"})
    with pytest.raises(ConnectionFailed):
        survey.ask(nodes(Lab(), "hvc2n1.lab"), silent("hvc2n1.lab"), at_once)


@pytest.mark.parametrize("at_once", [True, False])
def test_what_a_host_refuses_is_raised(at_once: bool) -> None:
    def question(_client: object, node: Node) -> str:
        raise RemoteError(f"{node.name} refuses.")

    with pytest.raises(RemoteError, match=r"hvc2n1[.]lab refuses"):
        survey.ask(nodes(Lab(), "hvc2n1.lab"), question, at_once)


def test_the_map_of_a_cluster_is_the_same_however_its_nodes_are_asked() -> None:
    lab = Lab()
    in_turn, at_once = (estate.inventory(nodes(lab, "hvc2n1.lab"), True, False, how) for how in (False, True))
    assert at_once == in_turn
