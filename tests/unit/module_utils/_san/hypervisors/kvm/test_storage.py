# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What lies under a path, by the host's files or, without them, by what libvirt tells."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm import pools
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.storage import HostStorage, Under
from ansible_collections.crossvisor.san.plugins.module_utils._san.linux.tree import Tree
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import ScsiDevice
from tests.unit.kvm_host import GROUPED, SAN_HOST
from tests.unit.module_utils._san.linux.machines import plant
from tests.unit.ports import NAME, OTHER

NODE_DEVICE = f"""
<device><name>block_sdc_{OTHER.wwid}</name><capability type='storage'><block>/dev/sdc</block><bus>scsi</bus><drive_type>disk</drive_type>
<model>LUN C-Mode</model><vendor>NETAPP</vendor><serial>{OTHER.wwid}</serial><size>1073741824</size></capability></device>"""
OPTICAL = "<device><capability type='storage'><block>/dev/sr0</block><drive_type>cdrom</drive_type></capability></device>"
DIRECTORY = pools.parse("<pool type='dir'><name>images</name><target><path>/srv/images</path></target></pool>")
GROUP = pools.parse(
    f"<pool type='logical'><name>fast</name><source><device path='/dev/disk/by-id/{NAME.wwn}'/><name>vg1</name></source>"
    "<target><path>/dev/vg1</path></target></pool>"
)


@pytest.fixture
def own(tmp_path: Path) -> HostStorage:
    """A host whose files can be read."""
    return HostStorage("h1", Tree(plant(tmp_path, SAN_HOST)), [DIRECTORY, GROUP])


@pytest.fixture
def remote() -> HostStorage:
    """A host of which libvirt alone tells."""
    return HostStorage("h1", None, [DIRECTORY, GROUP], [NODE_DEVICE, OPTICAL])


def test_a_lun_is_told_by_the_hosts_best_name(own: HostStorage) -> None:
    assert own.under("/dev/mapper/mpatha") == Under(NAME, f"/dev/disk/by-id/{NAME.wwn}")


def test_a_logical_volume_leads_to_its_group(own: HostStorage) -> None:
    assert own.under("/dev/vg-a/data") == Under(device="/dev/vg-a/data", file_system="vg:vg-a")
    (group,) = (store for store in own.file_systems(()) if store.id == "vg:vg-a")
    assert list(group.extents) == [f"/dev/disk/by-id/wwn-0x{GROUPED}"]


def test_a_file_leads_to_the_mount_that_holds_it(own: HostStorage) -> None:
    assert own.under("/srv/images/a.qcow2") == Under(file_system="/srv/images")


def test_a_group_without_an_active_volume_is_known_by_its_pool(own: HostStorage) -> None:
    (group,) = (store for store in own.file_systems(()) if store.id == "pool:fast")
    assert (group.kind, list(group.extents)) == ("logical pool", [f"/dev/disk/by-id/{NAME.wwn}"])
    assert own.under("/dev/vg1/data").file_system == "pool:fast"


@pytest.mark.parametrize(("place", "described"), [("/srv/stopped", True), ("/srv/images/", False)], ids=["stopped", "mounted"])
def test_a_pool_of_a_file_system_that_is_not_mounted_is_known_by_its_definition(tmp_path: Path, place: str, described: bool) -> None:
    source = f"<source><device path='/dev/disk/by-id/{NAME.wwn}'/></source><target><path>{place}</path></target>"
    pool = pools.parse(f"<pool type='fs'><name>img</name>{source}</pool>")
    found = {store.id: list(store.extents) for store in HostStorage("h1", Tree(plant(tmp_path, SAN_HOST)), [pool]).file_systems(())}
    assert found.get("pool:img") == ([f"/dev/disk/by-id/{NAME.wwn}"] if described else None)


def test_what_lies_on_nothing_is_told_only_when_something_lies_on_it(own: HostStorage) -> None:
    assert "/srv/with space" not in {store.id for store in own.file_systems(())}
    assert "/srv/with space" in {store.id for store in own.file_systems({"/srv/with space"})}


def test_without_files_a_lun_is_known_by_its_node_device(remote: HostStorage) -> None:
    assert remote.devices == [
        ScsiDevice("h1", f"/dev/disk/by-id/{OTHER.wwn}", OTHER, 1 << 30, "NETAPP", "LUN C-Mode", aliases=["/dev/sdc"])
    ]
    assert remote.under("/dev/sdc") == Under(OTHER, f"/dev/disk/by-id/{OTHER.wwn}")


def test_without_files_a_link_names_its_lun_and_a_pool_what_is_in_it(remote: HostStorage) -> None:
    assert remote.under(f"/dev/disk/by-id/{NAME.wwn}").name == NAME
    assert remote.under("/srv/images/a.qcow2") == Under(file_system="pool:images")
    assert remote.under("/elsewhere/a.qcow2") == Under()
