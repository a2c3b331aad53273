# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Cluster Shared Volumes, whichever node tells them: the same of all, and no word that was not given."""

from __future__ import annotations

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.cluster.resources import Resources
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.cluster.shared_volumes import (
    SharedVolume,
    shared_volumes,
)
from tests.lab.hyperv import clusters
from tests.lab.hyperv.running import Lab
from tests.unit.windows import client

FIRST, SECOND = "C:\\ClusterStorage\\Volume1", "C:\\ClusterStorage\\Volume2"


@pytest.mark.parametrize("node", ["hvc2n1.lab", "hvc2n4.lab"])
def test_every_node_tells_the_volumes_with_their_disks_and_owners(node: str) -> None:
    lab = Lab()
    cluster = lab.estate.clusters["hvc2"]
    cluster.groups[cluster.resources["Cluster Disk 2"].group].owner = "hvc2n3.lab"
    told = shared_volumes(client(lab, node), Resources())
    assert {name: (volume.owner, volume.disk and volume.disk.name, volume.trouble) for name, volume in told.items()} == {
        FIRST: ("HVC2N1", "Cluster Disk 1", ""),
        SECOND: ("HVC2N3", "Cluster Disk 2", ""),
    }
    parts = {part.volume_path: part.offset for medium in lab.estate.media.values() for part in medium.volumes()}
    assert [parts[volume.volume] for volume in told.values()] == [volume.offset for volume in told.values()]


def test_a_volume_of_which_only_the_link_is_told_has_no_state_and_is_in_trouble() -> None:
    lab = Lab()
    resource = lab.estate.clusters["hvc1"].resources["Cluster Disk 1"]
    for node in ("hvc1n1.lab", "hvc1n2.lab"):
        lab.estate.machines[node].disks = []
    told = shared_volumes(client(lab, "hvc1n1.lab"), Resources())[FIRST]
    assert (told.volume, told.offset, told.fault, told.backup) == ("", None, None, None)
    assert told.disk is not None
    assert told.disk.name == resource.name
    assert told.trouble.startswith("does not tell its state")


@pytest.mark.parametrize("state", [clusters.OFFLINE, clusters.FAILED, clusters.ONLINE_PENDING, clusters.OFFLINE_PENDING])
def test_a_volume_without_service_is_in_trouble(state: int) -> None:
    lab = Lab()
    lab.estate.clusters["hvc1"].resources["Cluster Disk 1"].state = state
    assert "bring its resource Cluster Disk 1 online" in shared_volumes(client(lab, "hvc1n1.lab"), Resources())[FIRST].trouble


def test_a_volume_without_a_disk_has_no_owner() -> None:
    assert (SharedVolume(FIRST).owner, SharedVolume(FIRST).trouble) == ("", "has no disk or owner that its cluster tells of")
