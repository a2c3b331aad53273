# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ask every host the same, and do without the answers of those that cannot be reached."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import ConnectionFailed, TimedOut
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.nodes import Node, Nodes
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.cim import CimClient

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Survey(Generic[Answer]):
    """What the hosts answered."""

    nodes: Sequence[Node]
    """All hosts, also those that were not reached."""
    answers: Mapping[str, Answer]
    """By `Node.id`."""
    lost: Mapping[str, str]
    """`Node.id` of a host that was not reached → why, as a part of a sentence."""


def ask(nodes: Nodes, question: Callable[[CimClient, Node], Answer]) -> Survey[Answer]:
    """Ask each host. A host that the cluster calls down, or that does not answer, is lost; any other failure is raised."""
    there = nodes.all()
    answers: dict[str, Answer] = {}
    lost: dict[str, str] = {}
    for node in there:
        if not node.reachable:
            lost[node.id] = f"the cluster says that it is {node.state}"
            continue
        try:
            answers[node.id] = question(nodes.client(node.id), node)
        except (ConnectionFailed, TimedOut) as error:
            if node.id == nodes.entry.id:
                raise
            lost[node.id] = str(error).rstrip(".")
    return Survey(there, answers, lost)
