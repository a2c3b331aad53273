# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Names, folders and clusters out of the inventory's tree."""

from __future__ import annotations

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.vmware.tree import Tree, name_of
from tests.unit import vsphere

KINDS = {
    "group": "Folder",
    "datacenter": "Datacenter",
    "cluster": "ClusterComputeResource",
    "alone": "ComputeResource",
    "host": "HostSystem",
}


def tree(*nodes: tuple[str, str, str]) -> Tree:
    """A tree of (id, name, parent's id); the id's first word tells the type."""
    known = {moid: KINDS[moid.split("-")[0]] for moid, _name, _parent in nodes}
    found = Tree()
    for moid, name, parent in nodes:
        properties = {"name": name, "parent": vsphere.managed(known.get(parent, "Folder"), parent)}
        found.add(vsphere.record(known[moid], moid, properties))
    return found


@pytest.mark.parametrize(
    ("escaped", "name"),
    [("a%2fb", "a/b"), ("a%2Fb%5c", "a/b\\"), ("50%25", "50%"), ("50%252f", "50%2f"), ("a%20b", "a%20b"), ("ä & b", "ä & b")],
)
def test_only_what_the_api_escapes_is_unescaped(escaped: str, name: str) -> None:
    assert name_of(vsphere.record("Folder", "group-v1", {"name": escaped})) == name


def test_a_path_runs_from_the_datacenter_in_whatever_order_the_objects_came() -> None:
    found = tree(("group-apps", "apps", "group-vm"), ("group-vm", "vm", "datacenter-1"), ("datacenter-1", "DC0", "group-d1"))
    assert [found.path(moid) for moid in ("group-apps", "datacenter-1", "unknown", "")] == ["/DC0/vm/apps", "/DC0", "", ""]


def test_a_vapp_lies_in_its_folder() -> None:
    found = tree(("group-vm", "vm", "datacenter-1"), ("datacenter-1", "DC0", "group-d1"))
    properties = {"name": "shop", "parentFolder": vsphere.managed("Folder", "group-vm")}
    found.add(vsphere.record("VirtualApp", "resgroup-v9", properties))
    assert found.path("resgroup-v9") == "/DC0/vm/shop"


def test_hosts_of_a_cluster_have_its_name_and_a_host_on_its_own_has_none() -> None:
    found = tree(
        ("cluster-1", "prod", "group-h"), ("host-1", "esx01", "cluster-1"), ("alone-2", "esx99", "group-h"), ("host-2", "esx99", "alone-2")
    )
    assert found.clusters_of_hosts() == {"host-1": "prod"}
    assert found.clusters() == {"cluster-1": "prod"}


def test_clusters_of_the_same_name_are_told_apart_by_their_paths() -> None:
    found = tree(
        ("datacenter-1", "DC1", "group-d1"),
        ("datacenter-2", "DC2", "group-d1"),
        ("group-h1", "host", "datacenter-1"),
        ("group-h2", "host", "datacenter-2"),
        ("cluster-1", "prod", "group-h1"),
        ("cluster-2", "prod", "group-h2"),
        ("cluster-3", "dev", "group-h2"),
        ("host-1", "esx01", "cluster-1"),
        ("host-2", "esx02", "cluster-2"),
    )
    assert list(found.clusters().values()) == ["/DC1/host/prod", "/DC2/host/prod", "dev"]
    assert found.clusters_of_hosts() == {"host-1": "/DC1/host/prod", "host-2": "/DC2/host/prod"}


def test_an_object_whose_name_was_not_told_is_called_by_its_id() -> None:
    assert name_of(vsphere.record("VirtualMachine", "vm-42", {}, {"name": "it has already been deleted"})) == "vm-42"
