# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files on a Cluster Shared Volume down to the LUN, by the word of the node that owns it: right, or refused with its state."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import ConnectionFailed, RemoteError
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv import blocks, estate
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import (
    DATA,
    NO_ADDRESS,
    POWERED_OFF,
    DiskBlocks,
    VirtualDisk,
    VirtualMachine,
)
from tests.lab.hyperv import clusters
from tests.lab.hyperv.clusters import Resource
from tests.lab.hyperv.machines import Disk
from tests.lab.hyperv.media import Partition
from tests.lab.hyperv.programs import StoredFile
from tests.lab.hyperv.running import Lab
from tests.unit import windows
from tests.unit.hard_disk_files import MIB, REGIONS, Block, Vhdx
from tests.unit.windows import Wire

pytestmark = pytest.mark.slow

OWNER, OTHER = "hvc1n1.lab", "hvc1n2.lab"
"""The node that owns the volume, and the one that runs the VM and is the entry."""
VM = "c1app02"
VOLUME = "C:\\ClusterStorage\\Volume1"
FILE = f"{VOLUME}\\{VM}\\{VM}.vhdx"
CLUSTER = 4096
FULL = Block(6, b"x")
PARENT = {"parent_linkage": f"{{{uuid.UUID(int=1)}}}"}


@dataclass
class There:
    """Two nodes with one Cluster Shared Volume."""

    place: Path
    lab: Lab = field(default_factory=Lab)
    wire: Wire = field(default_factory=Wire)

    @property
    def resource(self) -> Resource:
        return self.lab.estate.clusters["hvc1"].resources["Cluster Disk 1"]

    @property
    def disk(self) -> Disk:
        cluster = self.lab.estate.clusters["hvc1"]
        return next(
            disk for disk in self.lab.estate.machines[OWNER].disks if self.lab.estate.disk_resource(cluster, disk.key) is self.resource
        )

    @property
    def partition(self) -> Partition:
        return next(self.lab.estate.medium(self.disk.key).volumes())

    def put(self, path: str = FILE, data: bytes | bytearray = b"", nodes: tuple[str, ...] = (OWNER, OTHER), lcn: int = 5000) -> None:
        """A file in two runs, the second part before the first, which both nodes show as they do on a shared volume."""
        data = data or Vhdx(2 * MIB, blocks={0: FULL, 1: FULL}).made()
        local = self.place / f"{sum(len(files.there) for files in self.lab.estate.files.values())}"
        local.write_bytes(data)
        count = -(-len(data) // CLUSTER)
        half = count // 2
        shared = path.startswith(VOLUME)
        stored = StoredFile(local, [(0, half, lcn + count), (half, count - half, lcn)], through=[VOLUME] if shared else [])
        for node in nodes:
            self.lab.estate.files[node].put(path, stored)

    def wanted(self, path: str = FILE, vm_name: str = VM) -> tuple[VirtualMachine, VirtualDisk]:
        inventory = estate.inventory(windows.nodes(self.lab, OTHER), devices=False, images=False)
        vm = next(vm for vm in inventory.virtual_machines if vm.name == vm_name)
        return replace(vm, power=POWERED_OFF), replace(vm.disks[0], path=path)

    def told(self, path: str = FILE) -> DiskBlocks:
        (found,) = blocks.disk_blocks(windows.nodes(self.lab, OTHER, self.wire), [self.wanted(path)])
        return found

    def moved(self) -> None:
        self.lab.estate.clusters["hvc1"].groups[self.resource.group].owner = OTHER


@pytest.fixture
def there(tmp_path: Path) -> There:
    found = There(tmp_path)
    found.put()
    return found


def reason(told: DiskBlocks) -> str:
    (extent,) = told.extents
    assert (extent.state, extent.offset, told.unfollowed, list(told.files)) == (NO_ADDRESS, None, True, [])
    return extent.reason


@pytest.mark.parametrize("name", ["directory", "verbatim", "volume"])
def test_a_file_is_followed_to_the_lun_by_the_word_of_the_owner_alone(name: str, there: There) -> None:
    path = {"directory": FILE, "verbatim": f"\\\\?\\{FILE}", "volume": f"{there.partition.volume_path}{VM}\\{VM}.vhdx"}[name]
    there.put(path, nodes=(OWNER,))
    told = there.told(path)
    runs = there.lab.estate.files[OWNER].there[path.casefold()].runs
    found = next(extent for extent in told.extents if extent.start <= MIB < extent.end)
    number, ahead = divmod(REGIONS + MIB, CLUSTER)
    first, _count, lcn = next(run for run in runs if run[0] <= number < run[0] + run[1])
    assert (found.offset or 0) + MIB - found.start == there.partition.offset + (lcn + number - first) * CLUSTER + ahead
    assert (found.state, found.device, str(found.name)) == (DATA, f"\\\\.\\PHYSICALDRIVE{there.disk.number}", f"naa.{there.disk.key}")
    assert (told.unfollowed, told.warnings, told.files[0].start, told.files[-1].end) == (False, [], 0, REGIONS + 2 * MIB)
    assert (there.wire.count(f"{OWNER} Create"), there.wire.count(f"{OTHER} Create")) == (1, 0)


@pytest.mark.parametrize(
    ("fault", "backup", "why"),
    [
        (0x1, 0, "which is redirected (Get-ClusterSharedVolumeState says why)"),
        (0x2, 0, "which cannot be accessed"),
        (0x4, 0, "which is in maintenance: end that"),
        (0x5, 0, "which is redirected"),
        (0x8, 0, "which is dismounted"),
        (0x10, 0, "which is in a state that is not known (FaultState 16)"),
        (None, 0, "which does not tell its state"),
        (0, 1, "which is being backed up"),
        (0, None, "which does not tell its state"),
    ],
)
def test_a_volume_that_is_not_in_its_usual_state_is_refused_without_asking_the_owner(
    fault: int | None, backup: int | None, why: str, there: There
) -> None:
    there.resource.fault_state, there.resource.backup_state = fault, backup
    assert f"{FILE} is on the cluster shared volume {VOLUME}, {why}" in reason(there.told())
    assert there.wire.count("Create") == 0


def test_a_volume_whose_resource_is_not_online_is_refused(there: There) -> None:
    there.resource.state = clusters.ONLINE_PENDING
    assert f"{VOLUME}, which is going online: bring its resource Cluster Disk 1 online" in reason(there.told())


def test_a_volume_of_which_the_cluster_tells_no_disk_is_refused(there: There) -> None:
    there.wire.before_next["ClusterSharedVolumeToResource"] = lambda: setattr(there.resource, "shared_volume", "C:\\ClusterStorage\\New")
    there.wire.after_next["ClusterSharedVolumeToResource"] = lambda: setattr(there.resource, "shared_volume", VOLUME)
    assert f"{VOLUME}, which has no disk or owner that its cluster tells of" in reason(there.told())


@pytest.mark.parametrize(
    ("below", "why"),
    [
        ("ReFS", "whose file system below, ReFS, does not tell where its blocks are"),
        ("exFAT", "of which its owner HVC1N1 does not tell that NTFS is below but 0x0 in FileSystemType"),
    ],
)
def test_another_file_system_below_is_refused(below: str, why: str, there: There) -> None:
    there.partition.below = below
    assert why in reason(there.told())


def test_a_windows_that_does_not_know_what_is_below_is_refused(there: There) -> None:
    there.wire.before_next["FileSystemType"] = windows.refusing(RemoteError("Invalid query.", "0x80041017"))
    assert "does not tell that NTFS is below: Windows Server 2016 and later tell it" in reason(there.told())


def test_an_owner_that_cannot_be_asked_costs_its_files_their_addresses_and_no_others(there: There) -> None:
    local = f"C:\\VMs\\{VM}.vhdx"
    there.put(local, nodes=(OTHER,))
    there.wire.before_next[f"{OWNER} Create"] = windows.refusing(ConnectionFailed("The host hvc1n1.lab cannot be reached."))
    nodes = windows.nodes(there.lab, OTHER, there.wire)
    shared, again, own = blocks.disk_blocks(nodes, [there.wanted(), there.wanted(), there.wanted(local)])
    assert reason(shared) == reason(again)
    assert f"{VOLUME}, whose owner HVC1N1 cannot be asked: The host hvc1n1.lab cannot be reached" in reason(shared)
    assert (own.extents[0].state, there.wire.count(f"{OWNER} Create")) == (DATA, 1)


def test_an_entry_without_a_shell_costs_the_files_of_shared_volumes_nothing(there: There) -> None:
    local = f"C:\\VMs\\{VM}.vhdx"
    there.put(local, nodes=(OTHER,))
    there.wire.before_next[f"{OTHER} Create"] = windows.refusing(RemoteError("There are too many shells."))
    own, shared = blocks.disk_blocks(windows.nodes(there.lab, OTHER, there.wire), [there.wanted(local), there.wanted()])
    assert reason(own).startswith("There are too many shells")
    assert shared.extents[0].state == DATA


def other_state(there: There) -> None:
    there.resource.fault_state = 1


def other_offset(there: There) -> None:
    there.partition.offset += MIB


def gone(there: There) -> None:
    there.resource.shared_volume = ""


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (There.moved, "belongs to HVC1N2 now: look again"),
        (other_state, "is redirected (Get-ClusterSharedVolumeState says why)"),
        (other_offset, "belongs to HVC1N1 now: look again"),
        (gone, "is gone now: look again"),
    ],
    ids=["owner", "state", "offset", "gone"],
)
def test_a_volume_that_changes_while_it_is_read_is_refused(change: Callable[[There], None], what: str, there: There) -> None:
    there.wire.after_next["LogicalSectorSize"] = lambda: change(there)
    assert f"{VOLUME}, which was changed while it was read: it belonged to HVC1N1, and {what}" in reason(there.told())


def elsewhere_on_the_disk(there: There) -> None:
    there.partition.offset += MIB


def another_volume(there: There) -> None:
    there.partition.access[OWNER] = []
    there.partition.volume_guid = "{0-1}"


@pytest.mark.parametrize("change", [elsewhere_on_the_disk, another_volume])
def test_an_owner_that_tells_another_partition_than_the_cluster_is_refused(change: Callable[[There], None], there: There) -> None:
    begin = there.partition.offset
    there.wire.before_next[f"{OWNER} Enumerate SELECT DiskNumber"] = lambda: change(there)
    assert f"to begin at byte {begin} of its disk, where its owner HVC1N1 tells of no partition of it" in reason(there.told())


def test_the_partition_is_looked_for_on_the_disk_that_the_resource_keeps(there: There) -> None:
    first = there.told().extents
    witness = next(disk for disk in there.lab.estate.machines[OWNER].disks if disk is not there.disk and not disk.boot)
    other = next(there.lab.estate.medium(witness.key).volumes())
    other.access[OWNER], other.offset = [f"{VOLUME}\\"], there.partition.offset
    assert there.told().extents == first
    assert first[0].state == DATA


def test_storage_spaces_and_unknown_clusters_below_a_shared_volume_are_refused(there: There) -> None:
    there.partition.unit = 0
    assert f"how large the clusters of the cluster shared volume {VOLUME} are" in reason(there.told())
    there.partition.unit = CLUSTER
    there.disk.unit = replace(there.disk.unit, bus=16)
    assert "Windows makes of others (Storage Spaces)" in reason(there.told())


def test_clusters_beyond_the_end_of_the_partition_are_refused(there: There) -> None:
    there.put(lcn=there.partition.size // CLUSTER)
    assert "is beyond the end of its partition" in reason(there.told())


def test_a_file_behind_a_link_on_a_shared_volume_is_refused(there: There) -> None:
    stored = there.lab.estate.files[OWNER].there[FILE.casefold()]
    stored.through = [f"{VOLUME}\\{VM}", VOLUME]
    assert f"is behind {VOLUME}\\{VM}, which leads to another place" in reason(there.told())


def test_a_checkpoint_on_a_shared_volume_may_have_its_parent_on_the_host_of_the_vm(there: There) -> None:
    base = "C:\\Bases\\base.vhdx"
    there.put(base, Vhdx(2 * MIB, blocks={1: FULL}).made(), (OTHER,), lcn=90000)
    named = {**PARENT, "absolute_win32_path": base}
    there.put(FILE, Vhdx(2 * MIB, blocks={0: FULL}, parent=named, identity=uuid.UUID(int=2)).made())
    told = there.told()
    assert [(extent.file, extent.name is None) for extent in told.extents] == [(FILE, False), (base, True)]
    assert (there.wire.count(f"{OWNER} Create"), there.wire.count(f"{OTHER} Create")) == (1, 1)
