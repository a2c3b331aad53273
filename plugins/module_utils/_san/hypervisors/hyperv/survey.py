# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ask every host the same, and do without the answers of those that cannot be reached."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import ConnectionFailed, TimedOut
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.nodes import Node, Nodes
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.cim import CimClient

Answer = TypeVar("Answer")
T = TypeVar("T")

_AT_ONCE = 16


@dataclass(frozen=True)
class Survey(Generic[Answer]):
    """What the hosts answered."""

    nodes: Sequence[Node]
    """All hosts, also those that were not reached."""
    answers: Mapping[str, Answer]
    """By `Node.id`."""
    lost: Mapping[str, str]
    """`Node.id` of a host that was not reached → why, as a part of a sentence."""


def ask(nodes: Nodes, question: Callable[[CimClient, Node], Answer], at_once: bool = False) -> Survey[Answer]:
    """Ask each host, `at_once` or in turn.

    A host that the cluster calls down, or that does not answer, is lost; any other failure is raised.
    """
    there = nodes.all()
    reachable = [node for node in there if node.reachable]

    lost = {node.id: f"the cluster says that it is {node.state}" for node in there if not node.reachable}

    def answers(node: Node) -> list[Answer]:
        """One, or none of a host that is lost."""
        try:
            return [question(nodes.client(node.id), node)]
        except (ConnectionFailed, TimedOut) as error:
            if node.id == nodes.entry.id:
                raise
            lost[node.id] = str(error).rstrip(".")
            return []

    told = _side_by_side(nodes, answers, reachable) if at_once else list(map(answers, reachable))
    return Survey(there, {node.id: found for node, given in zip(reachable, told) for found in given}, lost)


def _side_by_side(nodes: Nodes, answer: Callable[[Node], T], reachable: Sequence[Node]) -> Sequence[T]:
    """The answers in the order of the hosts. All logins are there before the first is used: to make one, the named host is asked."""
    for node in reachable:
        nodes.client(node.id)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(answer, reachable))
