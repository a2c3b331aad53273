# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Each method does one thing to the cluster; the code that could migrate a VM is sent to a configuration only."""

from __future__ import annotations

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import Refused, RemoteError
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.cluster import calls
from ansible_collections.crossvisor.san.plugins.module_utils._san.windows import disks
from tests.lab.hyperv.clusters import OFFLINE, ONLINE
from tests.lab.hyperv_world import lun_path
from tests.unit.hyperv_cluster import DISK, GROUP, VM, ClusterLab
from tests.unit.lab.hyperv.desk import NODE1
from tests.unit.windows import client, refusing

CODE = 23068676


@pytest.fixture
def there() -> ClusterLab:
    found = ClusterLab()
    found.node.initialize(found.naa.naa)
    return found


def test_a_disk_of_the_cluster_is_made_served_and_taken_away(there: ClusterLab) -> None:
    login = client(there.lab, NODE1, there.wire)
    disk = disks.find(login, there.naa, NODE1)
    assert disk is not None
    calls.create_group(login, GROUP)
    calls.create_disk_resource(login, GROUP, DISK)
    calls.set_disk(login, DISK, disk)
    assert (there.cluster.groups[GROUP].owner, there.cluster.groups[GROUP].kind) == (NODE1, 9999)
    assert there.cluster.resources[DISK].private == {"DiskIdType": 1, "DiskIdGuid": disk.guid}
    calls.bring_online(login, DISK, 5)
    assert there.cluster.resources[DISK].state == ONLINE
    calls.move_resource(login, DISK, VM)
    calls.add_dependency(login, f"Virtual Machine {VM}", DISK)
    assert there.cluster.resources[f"Virtual Machine {VM}"].needs[-1] == DISK
    calls.remove_dependency(login, f"Virtual Machine {VM}", DISK)
    calls.move_resource(login, DISK, GROUP)
    calls.take_offline(login, DISK, 5)
    assert there.cluster.resources[DISK].state == OFFLINE
    calls.move_group(login, GROUP, "HVC1N2", 5)
    assert there.cluster.groups[GROUP].owner == "hvc1n2.lab"
    calls.delete_resource(login, DISK)
    calls.delete_group(login, GROUP)
    assert not {GROUP, DISK} & {*there.cluster.groups, *there.cluster.resources}


def test_other_private_properties_stay(there: ClusterLab) -> None:
    login = client(there.lab, NODE1)
    disk = disks.find(login, there.naa, NODE1)
    assert disk is not None
    calls.create_disk_resource(login, VM, DISK)
    there.cluster.resources[DISK].private["DiskUniqueIds"] = "kept"
    calls.set_disk(login, DISK, disk)
    assert there.cluster.resources[DISK].private["DiskUniqueIds"] == "kept"


@pytest.mark.parametrize("named", ["", "Cluster Disk 7"])
def test_a_disk_that_the_cluster_offers_is_added_under_its_name(there: ClusterLab, named: str) -> None:
    login = client(there.lab, NODE1)
    disk = disks.find(login, there.naa, NODE1)
    assert disk is not None
    assert calls.add_available_disk(login, named or DISK, disk)
    resource = there.cluster.resources[named or DISK]
    assert (resource.group, resource.private) == ("Available Storage", {"DiskIdType": 1, "DiskIdGuid": disk.guid})


def test_a_disk_that_the_cluster_does_not_offer_is_not_added(there: ClusterLab) -> None:
    login = client(there.lab, NODE1)
    disk = disks.find(login, there.naa, NODE1)
    assert disk is not None
    there.other.machine.disks = [seen for seen in there.other.machine.disks if seen.key != there.naa.naa]
    assert not calls.add_available_disk(login, DISK, disk)
    assert DISK not in there.cluster.resources


@pytest.mark.parametrize(("request_", "code"), [("FROM MSCluster_AvailableDisk", "0x80041010"), ("AddToCluster", "0x80041055")])
def test_a_cluster_without_the_class_or_the_method_does_not_offer_it(there: ClusterLab, request_: str, code: str) -> None:
    login = client(there.lab, NODE1, there.wire)
    disk = disks.find(login, there.naa, NODE1)
    assert disk is not None
    there.wire.before_next[request_] = refusing(RemoteError("No such thing.", code))
    assert not calls.add_available_disk(login, DISK, disk)


@pytest.mark.parametrize("request_", ["FROM MSCluster_AvailableDisk", "AddToCluster"])
def test_what_else_is_refused_is_told(there: ClusterLab, request_: str) -> None:
    login = client(there.lab, NODE1, there.wire)
    disk = disks.find(login, there.naa, NODE1)
    assert disk is not None
    there.wire.before_next[request_] = refusing(RemoteError("The disk is reserved.", "0x800700AA"))
    with pytest.raises(RemoteError, match="reserved"):
        calls.add_available_disk(login, DISK, disk)


def test_of_two_disks_with_one_identifier_neither_is_added(there: ClusterLab) -> None:
    login = client(there.lab, NODE1)
    disk = disks.find(login, there.naa, NODE1)
    assert disk is not None
    second = there.lab.map_lun("hv_hvc1", lun_path("hv01_raw"), 78)
    there.node.rescan()
    there.other.rescan()
    copy = there.lab.estate.medium(second)
    copy.style, copy.guid = 2, disk.guid
    with pytest.raises(Refused, match=r"offers several disks with the disk identifier .*, so one is a copy"):
        calls.add_available_disk(login, DISK, disk)


def test_a_configuration_is_refreshed(there: ClusterLab) -> None:
    name = f"Virtual Machine Configuration {VM}"
    calls.refresh_configuration(client(there.lab, NODE1), name)
    expected = {"cluster": "hvc1", "resource": name, "type": "Virtual Machine Configuration", "code": CODE}
    assert there.lab.estate.controls() == [expected]


@pytest.mark.parametrize("name", [f"Virtual Machine {VM}", "Cluster Disk 1", "Cluster Name"])
def test_no_other_type_ever_gets_the_code(there: ClusterLab, name: str) -> None:
    with pytest.raises(Refused, match="not a Virtual Machine Configuration, and will not be refreshed"):
        calls.refresh_configuration(client(there.lab, NODE1, there.wire), name)
    assert there.lab.estate.controls() == []
    assert there.wire.count("ExecuteResourceControl") == 0
    assert there.wire.asked == [f"{NODE1} Get MSCluster_Resource"]


@pytest.mark.parametrize("code", ["0x800703E5", "0x80070102"])
def test_a_change_that_is_still_pending_is_no_failure(there: ClusterLab, code: str) -> None:
    there.wire.before[0] = refusing(RemoteError("Overlapped I/O operation is in progress.", code))
    calls.bring_online(client(there.lab, NODE1, there.wire), "Cluster Disk Witness", 5)


def test_what_the_cluster_refuses_is_told_in_its_words(there: ClusterLab) -> None:
    with pytest.raises(RemoteError, match=r"0x800713A2.*core resource|0x80070091.*not empty"):
        calls.delete_group(client(there.lab, NODE1), VM)
