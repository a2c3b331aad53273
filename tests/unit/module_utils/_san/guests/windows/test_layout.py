# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What lies on the disks of a machine, read in three enumerations."""

from __future__ import annotations

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import Refused
from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.windows import layout
from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.windows.access_path import AccessPath
from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.windows.layout import Layout, Partition, Storage, observe
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from ansible_collections.crossvisor.san.plugins.module_utils._san.windows.disks import GPT, MBR, RAW, HostDisk
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.cim_types import CimInstance
from tests.unit.windows_guest import GIB, Bench

NAME = ScsiName("600a0980" + "1" * 24)


@pytest.fixture
def bench() -> Bench:
    bench = Bench()
    bench.present("E:", label="data")
    return bench


def test_a_volume_with_its_partition_and_its_paths(bench: Bench) -> None:
    bench.wire.asked.clear()
    storage = observe(bench.client, "win01")
    assert len(bench.wire.asked) == 3
    found = storage.layout(bench.name)
    assert found is not None
    assert found.partition is not None
    assert found.volume is not None
    assert [partition.reserved for partition in found.partitions] == [True, False]
    assert (found.access_paths, found.is_empty, found.data) == (("E:\\",), False, (found.partition,))
    assert (found.volume.letter, found.volume.file_system, found.volume.label) == ("E:", "NTFS", "data")
    assert found.volume.path == found.partition.volume_path
    assert 0 < found.disk.size_bytes - found.end < 4 * 1024**2


def test_an_offline_disk_shows_its_partitions_alone(bench: Bench) -> None:
    bench.disk.offline = True
    found = observe(bench.client, "win01").layout(bench.name)
    assert found is not None
    assert (len(found.data), found.volume, found.access_paths) == (1, None, ())


def test_who_has_a_place(bench: Bench) -> None:
    storage = observe(bench.client, "win01")
    assert storage.holder(AccessPath.parse("E:")) == "the NTFS volume 'data' on disk 1"
    assert storage.holder(AccessPath.parse("F:")) == ""
    assert storage.holder(AccessPath.parse("C:\\mt1")) == ""
    assert storage.on_drive("C:") is not None
    assert storage.on_drive("X:") is None


def test_a_letter_without_a_partition_is_taken_as_well() -> None:
    drive = layout.Volume("id", "\\\\?\\Volume{1}\\", "D:", "CDFS", "TOOLS")
    assert Storage("win01", (), (), (drive,)).holder(AccessPath.parse("D:")) == "the CDFS volume 'TOOLS'"


def test_what_is_on_a_lun_that_goes_is_no_longer_there(bench: Bench) -> None:
    storage = observe(bench.client, "win01")
    later = storage.without(bench.name)
    assert (later.holder(AccessPath.parse("E:")), later.on_drive("E:")) == ("", None)
    assert later.holder(AccessPath.parse("C:")) == storage.holder(AccessPath.parse("C:"))
    assert storage.without(NAME) == storage


def test_a_volume_that_is_still_to_be_made_has_its_letter_and_nothing_on_it() -> None:
    later = Storage("win01", (), (), ()).with_volume(AccessPath.parse("E:"), "ReFS")
    found = later.on_drive("E:")
    assert found is not None
    assert (found.file_system, found.is_planned) == ("ReFS", True)
    assert later.holder(AccessPath.parse("E:")) == "the ReFS volume"


def test_a_volume_in_a_directory_gives_no_letter_and_a_letter_that_is_there_stays_as_it_is(bench: Bench) -> None:
    storage = observe(bench.client, "win01")
    assert storage.with_volume(AccessPath.parse("X:\\mt1"), "NTFS") == storage
    assert storage.with_volume(AccessPath.parse("E:"), "ReFS") == storage
    assert not any(volume.is_planned for volume in storage.volumes)


def test_a_disk_is_empty_when_it_is_raw_or_has_a_gpt_without_data() -> None:
    reserved = Partition("id", 1, 17408, 1024, reserved=True)
    data = Partition("id", 1, 1024**2, GIB)

    def disk(style: int, *partitions: Partition) -> Layout:
        return Layout(HostDisk(1, NAME, GIB, "id", style=style), partitions)

    assert disk(RAW).is_empty
    assert disk(GPT).is_empty
    assert disk(GPT, reserved).is_empty
    assert not disk(GPT, reserved, data).is_empty
    assert not disk(MBR).is_empty


def test_a_lun_that_shows_twice_is_refused() -> None:
    twice = [HostDisk(1, NAME, GIB, "a"), HostDisk(2, NAME, GIB, "b")]
    with pytest.raises(Refused, match="as disks 1 and 2"):
        Storage("win01", twice, (), ()).layout(NAME)


@pytest.mark.parametrize(("written", "letter"), [("69", "E:"), ("E", "E:"), ("e", "E:"), ("0", ""), ("", ""), ("\0", "")])
def test_a_drive_letter_is_read_as_a_number_or_as_itself(written: str, letter: str) -> None:
    assert layout._volume(CimInstance("MSFT_Volume", {"DriveLetter": written})).letter == letter


@pytest.mark.parametrize("name", ["RAW", "", "Unknown"])
def test_what_windows_does_not_know_is_no_file_system(name: str) -> None:
    assert layout._volume(CimInstance("MSFT_Volume", {"FileSystem": name})).file_system == ""
