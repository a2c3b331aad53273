# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every host is asked; those that cannot be reached are told."""

from __future__ import annotations

from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv import survey
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
