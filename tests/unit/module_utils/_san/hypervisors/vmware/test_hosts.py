# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who an endpoint of vSphere is, and its hosts with their adapters: how many requests, however many hosts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pyVmomi import vim

from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.vmware import hosts
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import Cluster
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.vim import VimSession
from tests.unit import vsphere
from tests.unit.vsphere import Endpoint

pytestmark = pytest.mark.slow

VIEW = ["CreateContainerView", "RetrievePropertiesEx", "DestroyView"]


@pytest.fixture
def session(endpoint: Endpoint) -> Iterator[VimSession]:
    opened = VimSession(endpoint.connection)
    endpoint.calls.clear()
    yield opened
    opened.close()


def host(number: int = 1, **more: Any) -> Any:
    parent = {"parent": vsphere.managed("ClusterComputeResource", "domain-c7")}
    return vsphere.contents("HostSystem", f"host-{number}", {"name": f"esx0{number}", **parent, **more})


CLUSTER = vsphere.contents("ClusterComputeResource", "domain-c7", {"name": "prod"})


def test_the_endpoint_tells_who_it_is_with_its_clusters_and_hosts(session: VimSession, endpoint: Endpoint) -> None:
    endpoint.answer("RetrievePropertiesEx", vsphere.page([host(1), host(2), CLUSTER]))
    about = hosts.about(session, "vc.example.com")
    assert (about.type, about.product, about.version, about.address) == ("vmware", "VMware vCenter Server", "8.0.2", "vc.example.com")
    assert about.uuid == "dbed6e0c-bd88-4ef6-b594-21283e1c677f"
    assert (about.clusters, about.hosts) == ([Cluster("prod", ["esx01", "esx02"])], ["esx01", "esx02"])
    assert about.capabilities is not None
    assert about.capabilities.clustering
    assert endpoint.calls == VIEW


def test_an_esxi_host_on_its_own_has_no_clusters(session: VimSession, endpoint: Endpoint) -> None:
    alone = vsphere.contents("HostSystem", "ha-host", {"name": "esx99", "parent": vsphere.managed("ComputeResource", "ha-compute-res")})
    endpoint.answer("RetrievePropertiesEx", vsphere.page([alone]))
    about = hosts.about(session, "vc.example.com")
    assert (about.clusters, about.hosts) == ([], ["esx99"])
    assert about.capabilities is not None
    assert not about.capabilities.clustering


def test_adapters_of_all_hosts_take_one_read_more(session: VimSession, endpoint: Endpoint) -> None:
    hba = vim.host.BlockHba(key="k", device="vmhba0", bus=0, status="online", model="AHCI")
    adapters = {"config.storageDevice.hostBusAdapter": vsphere.array("HostHostBusAdapter", [hba])}
    endpoint.answer("RetrievePropertiesEx", vsphere.page([host(1), host(2), CLUSTER]), vsphere.page([host(2, **adapters), host(1)]))
    assert [(it.name, it.cluster, [hba.name for hba in it.hbas]) for it in hosts.hosts_with_hbas(session)] == [
        ("esx01", "prod", []),
        ("esx02", "prod", ["vmhba0"]),
    ]
    assert endpoint.calls == [*VIEW, "RetrievePropertiesEx"]
