# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What may have a LUN although nobody tells it as a disk or a file system."""

from __future__ import annotations

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv import evidence
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.volumes import Partition, Volume
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import IMAGE, PASSTHROUGH, Host, VirtualDisk, VirtualMachine
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from ansible_collections.crossvisor.san.plugins.module_utils._san.windows.disks import HostDisk
from tests.unit.ports import NAME

GUID = "\\\\?\\Volume{7116eabd-6c07-4fa5-ab68-b0f63d1da2f7}\\"
LDM_DATA, BASIC_DATA = "{AF9B60A0-1431-4F62-BC68-3311714A69AD}", "{ebd0a0a2-b9e5-4433-87c0-68b6b72699c7}"
HOST = Host("HV01", "hv01.lab")


@pytest.mark.parametrize(
    ("kind", "device", "name", "doubts"),
    [
        (PASSTHROUGH, "Microsoft:353B3BE8\\5", None, 1),
        (PASSTHROUGH, "", None, 1),
        (PASSTHROUGH, "\\\\.\\PHYSICALDRIVE5", None, 0),
        (PASSTHROUGH, "\\\\.\\PHYSICALDRIVE5", NAME, 0),
        (IMAGE, "", None, 0),
    ],
)
def test_a_disk_may_be_any_lun_only_when_its_host_does_not_show_it(kind: str, device: str, name: ScsiName | None, doubts: int) -> None:
    disk = VirtualDisk(kind=kind, key="k", label="SCSI(0:1)", device=device, name=name)
    found = evidence.of_unseen_luns([VirtualMachine("ID", "db", disks=[disk])])
    assert len(found) == doubts
    assert all((use.kind, use.name, use.id, use.lun) == ("VM", "db", "ID", None) for use in found)


def test_a_vm_is_in_doubt_unless_another_host_tells_its_settings() -> None:
    assert [use.id for use in evidence.of_untold_machines({"A": "a", "B": "b"}, {"B"})] == ["A"]


@pytest.mark.parametrize(
    ("disk", "told"),
    [
        (HostDisk(3, NAME, 1, "o"), 1),
        (HostDisk(3, NAME, 1, "o", offline=True), 0),
        (HostDisk(3, NAME, 1, "o", clustered=True), 0),
        (HostDisk(3, None, 1, "o"), 0),
        (HostDisk(4, NAME, 1, "o"), 0),
    ],
)
@pytest.mark.parametrize(
    "partition", [Partition(3, (), LDM_DATA), Partition(3, (), mbr_type=0x42), Partition(3, ("F:\\", GUID), BASIC_DATA)]
)
def test_only_a_lun_that_the_host_has_for_itself_is_in_use(disk: HostDisk, told: int, partition: Partition) -> None:
    assert len(evidence.of_volumes(HOST, [disk], [partition], [])) == told


@pytest.mark.parametrize(
    ("partition", "doubts"),
    [
        (Partition(3, ("F:\\", GUID), BASIC_DATA), 0),
        (Partition(3, ("F:\\", GUID.upper()), mbr_type=0x07), 0),
        (Partition(3, ("F:\\",), BASIC_DATA), 1),
        (Partition(3, (), BASIC_DATA), 0),
    ],
)
def test_a_volume_with_a_file_system_is_told_as_that(partition: Partition, doubts: int) -> None:
    found = evidence.of_volumes(HOST, [HostDisk(3, NAME, 1, "o")], [partition], [Volume(GUID, "ntfs", "", 1, [3])])
    assert [use.doubt for use in found] == [True] * doubts


def test_a_dynamic_disk_is_used_and_an_unread_volume_is_in_doubt() -> None:
    disk = HostDisk(3, NAME, 1, "o")
    (dynamic,) = evidence.of_volumes(HOST, [disk], [Partition(3, (), LDM_DATA)], [])
    (unread,) = evidence.of_volumes(HOST, [disk], [Partition(3, (GUID, "F:\\"))], [Volume(GUID, "", "", 1, [3])])
    assert (dynamic.lun, dynamic.doubt, dynamic.how) == (NAME, False, "has it online as dynamic disk 3")
    assert (unread.lun, unread.doubt, unread.how) == (NAME, True, "has a volume on it (F:\\) whose file system it does not tell")
