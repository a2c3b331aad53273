# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A raw LUN gets a partition table by the user's word only, and never over one that any node reads."""

from __future__ import annotations

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import Refused, RemoteError
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.initialize import InitializeDisk, MakeWritable
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from ansible_collections.crossvisor.san.plugins.module_utils._san.windows import disks
from ansible_collections.crossvisor.san.plugins.module_utils._san.windows.disks import HostDisk
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.cim import CimClient
from tests.lab.hyperv.media import GPT, RAW
from tests.unit.hyperv_cluster import ClusterLab
from tests.unit.lab.hyperv.desk import NODE2
from tests.unit.windows import refusing


@pytest.fixture
def there() -> ClusterLab:
    return ClusterLab()


def style(there: ClusterLab) -> int:
    return there.lab.estate.medium(there.naa.naa).style


def test_a_raw_lun_is_brought_online_and_initialized(there: ClusterLab) -> None:
    seen = there.there()
    for step in (MakeWritable(seen, allowed=True), InitializeDisk(seen, allowed=True)):
        assert not step.done()
        step.do()
        step.verify()
        assert step.done()
    assert style(there) == GPT
    (disk,) = there.node.machine.disks_of(there.naa.naa)
    assert (disk.offline, disk.read_only) == (False, False)


def test_a_node_that_reads_the_old_table_at_first_is_made_to_look_until_it_reads_the_new_one(
    there: ClusterLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = InitializeDisk(there.there(sleep=lambda _seconds: None), allowed=True)
    MakeWritable(there.there(), allowed=True).do()
    step.do()
    told, old = disks.find, HostDisk(1, there.naa, 1, "old")

    def find(client: CimClient, name: ScsiName, host: str) -> HostDisk | None:
        looked = there.wire.count("hvc1n2.lab UpdateHostStorageCache")
        return old if host == NODE2 and looked < 2 else told(client, name, host)

    monkeypatch.setattr(disks, "find", find)
    step.verify()
    assert there.wire.count("hvc1n2.lab UpdateHostStorageCache") == 2


def test_bringing_online_is_undone(there: ClusterLab) -> None:
    step = MakeWritable(there.there(), allowed=True)
    step.do()
    step.undo()
    (disk,) = there.node.machine.disks_of(there.naa.naa)
    assert (disk.offline, disk.read_only) == (True, True)


def test_what_cannot_be_made_writable_is_offline_again(there: ClusterLab) -> None:
    step = MakeWritable(there.there(), allowed=True)
    there.wire.before[len(there.wire.asked) + 2] = refusing(RemoteError("The lab says no."))
    with pytest.raises(RemoteError, match="The lab says no"):
        step.do()
    assert there.wire.asked[-1].endswith("Offline MSFT_Disk")
    assert there.node.machine.disks_of(there.naa.naa)[0].offline


def test_nothing_is_written_without_the_users_word(there: ClusterLab) -> None:
    seen = there.there()
    for step in (MakeWritable(seen, allowed=False), InitializeDisk(seen, allowed=False)):
        assert not step.done()
        with pytest.raises(Refused, match="say that it is empty, if it is, by initialize=true"):
            step.do()
    assert style(there) == RAW


def test_nothing_is_to_be_done_to_a_lun_with_a_partition_table(there: ClusterLab) -> None:
    there.node.initialize(there.naa.naa)
    seen = there.there()
    assert MakeWritable(seen, allowed=True).done()
    assert InitializeDisk(seen, allowed=True).done()


def test_a_table_that_another_node_reads_is_not_overwritten(there: ClusterLab) -> None:
    step = InitializeDisk(there.there(), allowed=True)
    there.wire.after[len(there.wire.asked) + 1] = lambda: there.lab.estate.medium(there.naa.naa).initialize(GPT, 10**9)
    with pytest.raises(Refused, match=r"reads a partition table on LUN .*, which will not be overwritten"):
        step.do()
    assert there.wire.count("Initialize MSFT_Disk") == 0


def test_a_lun_that_is_gone_is_told(there: ClusterLab) -> None:
    step = MakeWritable(there.there(), allowed=True)
    there.node.machine.disks = [disk for disk in there.node.machine.disks if disk.key != there.naa.naa]
    with pytest.raises(Refused, match="Node HVC1N1 does not see LUN"):
        step.do()
