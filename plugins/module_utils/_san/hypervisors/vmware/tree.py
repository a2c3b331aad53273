# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The tree of a vCenter's inventory: which cluster a host belongs to, and the folder of an object."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from ansible_collections.crossvisor.san.plugins.module_utils._san.entity_name import unescaped
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.vmware import properties
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.vim_xml import ObjectRecord


def name_of(record: ObjectRecord) -> str:
    """An object's name as a person reads it; its id where the name was not told, as of an object that is deleted meanwhile."""
    return unescaped(record.text("name")) or record.moid


@dataclass(frozen=True)
class _Node:
    type: str
    name: str
    parent: str


class Tree:
    """What contains what. The root folder is not part of it."""

    def __init__(self) -> None:
        self._nodes: dict[str, _Node] = {}

    def add(self, record: ObjectRecord) -> None:
        """Enter a folder, datacenter, compute resource, vApp or host."""
        parent = record.text("parent") or record.text("parentFolder") or record.text("parentVApp")
        self._nodes[record.moid] = _Node(record.type, name_of(record), parent)

    def clusters(self) -> dict[str, str]:
        """Id and name of every cluster, also of those without hosts.

        A name that several clusters have, in different folders or datacenters, is replaced by the inventory path, such as `/DC0/host/prod`.
        """
        names = {moid: node.name for moid, node in self._nodes.items() if node.type == properties.CLUSTER}
        repeated = Counter(names.values())
        return {moid: self.path(moid) if repeated[name] > 1 else name for moid, name in names.items()}

    def clusters_of_hosts(self) -> dict[str, str]:
        """Host id → its cluster's name as `clusters` gives it; hosts on their own are left out."""
        clusters = self.clusters()
        return {
            moid: clusters[node.parent] for moid, node in self._nodes.items() if node.parent in clusters and node.type == properties.HOST
        }

    def path(self, moid: str) -> str:
        """The inventory path of an object, such as `/DC0/vm/apps`; empty for one that is not in the tree."""
        names = []
        while moid in self._nodes:
            names.append(self._nodes[moid].name)
            moid = self._nodes[moid].parent
        return "/".join(["", *reversed(names)])
