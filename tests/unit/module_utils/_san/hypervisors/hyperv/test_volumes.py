# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""File systems of a host, and which of them holds a file."""

from __future__ import annotations

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv import volumes
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.volumes import Directories, Volume
from ansible_collections.crossvisor.san.plugins.module_utils._san.windows import disks
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.cim import CimClient
from tests.lab import world
from tests.lab.hyperv.running import Lab
from tests.lab.hyperv_world import lun_path
from tests.unit.windows import Wire, client

GUID = "\\\\?\\Volume{7116eabd-6c07-4fa5-ab68-b0f63d1da2f7}\\"


def read(login: CimClient) -> list[Volume]:
    return volumes.volumes_of(login, volumes.partitions_of(login))


def test_volumes_are_read_with_their_ways_and_the_disks_under_them() -> None:
    lab, wire = Lab(), Wire()
    login = client(lab, "hv01.lab", wire)
    system, data = read(login)
    assert wire.count("Enumerate") == 2
    numbers = {disk.number: disk for disk in disks.disks_of(login)}
    assert (system.name, system.kind, data.name, data.label) == ("C:\\", "ntfs", "E:\\", "data")
    assert data.access_paths == ["E:\\", data.path]
    store = volumes.file_system(data, "HV01", numbers)
    assert (store.name, store.kind, store.hosts, store.url) == ("E:\\", "ntfs", ["HV01"], data.path)
    assert store.extents == [world.naa_at(lun_path("hv01_data")).upper()]
    assert volumes.file_system(system, "HV01", numbers).extents == ["\\\\.\\PHYSICALDRIVE0"]


def test_a_volume_without_a_letter_is_called_by_its_label() -> None:
    lab = Lab()
    (partition,) = lab.estate.medium(world.naa_at(lun_path("hv01_data"))).volumes()
    partition.access["hv01.lab"] = []
    assert [volume.name for volume in read(client(lab, "hv01.lab"))] == ["C:\\", "data"]


def test_a_shared_volume_whose_disk_nobody_knows_has_no_extents() -> None:
    store = volumes.shared_volume("hvc1", "C:\\ClusterStorage\\Volume1", ["N1", "N2"], None)
    assert (store.kind, store.name, store.hosts, store.extents) == ("csv", "C:\\ClusterStorage\\Volume1", ["N1", "N2"], [])


@pytest.mark.parametrize(
    ("path", "holder"),
    [
        ("E:\\VMs\\a.vhdx", "e"),
        ("e:\\a.vhdx", "e"),
        ("E:/VMs/a.vhdx", "e"),
        ("\\\\?\\E:\\VMs\\a.vhdx", "e"),
        (GUID + "VMs\\a.vhdx", "e"),
        (GUID.upper() + "a.vhdx", "e"),
        ("C:\\a.vhdx", "c"),
        ("C:\\mnt\\data\\a.vhdx", "mounted"),
        ("C:\\MNT\\Data\\deep\\a.vhdx", "mounted"),
        ("C:\\mnt\\database\\a.vhdx", "c"),
        ("C:\\mnt\\data", "c"),
        ("C:\\ClusterStorage\\Volume1\\a.vhdx", "csv1"),
        ("C:\\ClusterStorage\\Volume10\\a.vhdx", "csv10"),
        ("D:\\a.vhdx", ""),
        ("", ""),
    ],
)
def test_a_file_is_held_by_the_nearest_directory_above_it(path: str, holder: str) -> None:
    known = Directories()
    known.add(["C:\\"], "c")
    known.add(["E:\\", GUID], "e")
    known.add(["C:\\mnt\\data\\"], "mounted")
    known.add(["C:\\ClusterStorage\\Volume1"], "csv1")
    known.add(["C:\\ClusterStorage\\Volume10"], "csv10")
    assert known.holder(path) == holder


@pytest.mark.parametrize(
    ("path", "share"),
    [
        ("\\\\filer\\vms\\a\\a.vhdx", "\\\\filer\\vms"),
        ("//filer/vms/a.vhdx", "\\\\filer\\vms"),
        ("\\\\?\\UNC\\filer\\vms\\a.vhdx", "\\\\filer\\vms"),
        ("E:\\a.vhdx", ""),
        (GUID + "a.vhdx", ""),
        ("\\\\.\\PHYSICALDRIVE1", ""),
    ],
)
def test_a_file_on_a_share_is_told_from_a_local_one(path: str, share: str) -> None:
    assert volumes.share_of(path) == share
