# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is refused before anything is touched, and how it is told: one sentence with the disk, its state and the way out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import InvalidInput, NotFound, Refused, StepFailed
from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.windows.volume import flush, plan_absent, plan_present
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from tests.lab.hyperv.machines import Disk
from tests.lab.hyperv.media import GPT, MBR, formatted
from tests.unit.windows_guest import GIB, Bench

pytestmark = pytest.mark.slow

MOUNT_POINT = "C:\\mt1"


@pytest.fixture
def bench() -> Bench:
    bench = Bench()
    bench.see()
    return bench


def refusal(bench: Bench, mount: str | None = "E:", **wished: Any) -> str:
    """Why a volume is not even planned; nothing is done."""
    state = bench.state()
    with pytest.raises((Refused, InvalidInput)) as told:
        plan_present(bench.session(), bench.wish(mount, **wished))
    assert bench.state() == state
    return str(told.value)


def use(bench: Bench, file_system: str = "NTFS", label: str = "old", online: bool = True) -> None:
    """Let the LUN hold a volume of somebody else."""
    bench.lab.estate.media[bench.name.naa] = formatted(bench.name.naa, 5 * GIB, file_system, label)
    bench.disk.offline = not online
    bench.disk.read_only = not online


class TestADiskThatIsTakenAsEmpty:
    def test_is_raw(self, bench: Bench) -> None:
        assert [step.title.split()[0] for step in plan_present(bench.session(), bench.wish()).pending()] == [
            "bring",
            "clear",
            "write",
            "make",
            "make",
            "mount",
        ]

    def test_has_a_gpt_and_nothing_but_the_reserved_partition_as_a_cluster_leaves_it(self, bench: Bench) -> None:
        bench.medium.initialize(GPT, 5 * GIB)
        assert [partition.is_reserved for partition in bench.medium.partitions] == [True]
        report = bench.present()
        assert not any("GPT" in action for action in report.outcome.actions)
        assert report.layout is not None
        assert report.layout.volume is not None
        assert report.layout.volume.file_system == "NTFS"


class TestADiskWithData:
    def test_of_another_file_system_is_refused(self, bench: Bench) -> None:
        use(bench, "ReFS")
        assert refusal(bench) == (
            f"Disk 1 ({bench.name}) of win01.lab holds the file system ReFS, not NTFS: "
            "ask for ReFS to use it as it is, or choose another LUN."
        )

    def test_of_other_allocation_units_is_refused(self, bench: Bench) -> None:
        use(bench)
        assert "NTFS with allocation units of 4096 bytes, not 65536" in refusal(bench, allocation_unit_bytes=65536)

    def test_of_another_label_is_refused(self, bench: Bench) -> None:
        use(bench)
        assert "has the label 'old', not 'data': make sure that it is the right one" in refusal(bench, label="data")

    def test_of_several_partitions_is_refused(self, bench: Bench) -> None:
        use(bench)
        bench.medium.partitions[-1].size = GIB
        bench.medium.add_partition(2 * GIB, GIB)
        assert "of win01.lab holds 2 partitions: make sure that this is the LUN that is meant" in refusal(bench)

    def test_without_a_file_system_is_refused_because_it_may_be_encrypted(self, bench: Bench) -> None:
        use(bench, "")
        assert "may be encrypted, another system's, or left by a killed run" in refusal(bench)

    def test_with_an_mbr_and_no_partition_is_refused(self, bench: Bench) -> None:
        bench.medium.initialize(MBR, 5 * GIB)
        bench.disk.offline = bench.disk.read_only = False
        assert "holds an MBR partition table: make sure that this is the LUN that is meant" in refusal(bench)

    def test_that_is_offline_is_looked_at_and_left_as_it_was(self, bench: Bench) -> None:
        use(bench, "ReFS", online=False)
        state = bench.state()
        with pytest.raises(
            StepFailed,
            match=r"^Could not take over what is on disk 1 .*: Disk 1 .* holds the file system ReFS, .*; undone: bring online disk 1",
        ):
            bench.present()
        assert bench.state() == state

    def test_is_erased_by_force_and_only_then(self, bench: Bench) -> None:
        use(bench, "ReFS")
        bench.medium.partitions[-1].access["win01.lab"] = ["G:\\"]
        report = bench.present(force=True, label="new")
        assert [action.partition(" disk")[0] for action in report.outcome.actions] == [
            "unmount everything on",
            "erase everything on",
            "write a GPT onto",
            "make a partition over the whole of",
            "make the file system NTFS on",
            "mount as E:",
        ]
        assert report.layout is not None
        assert report.layout.access_paths == ("E:\\",)
        assert not bench.present(force=True, label="new").outcome.changed

    def test_that_is_the_wished_one_is_not_erased_by_force(self, bench: Bench) -> None:
        use(bench, label="data")
        guid = bench.medium.guid
        bench.present(label="data", force=True)
        assert bench.medium.guid == guid

    def test_gets_another_label_by_force_and_keeps_its_data(self, bench: Bench) -> None:
        use(bench)
        guid = bench.medium.guid
        report = bench.present(None, label="data", force=True)
        assert [action.partition(" on disk")[0] for action in report.outcome.actions] == ["set the label 'data'"]
        assert (bench.medium.guid, bench.medium.partitions[-1].label) == (guid, "data")


class TestADiskThatIsNeverTouched:
    @pytest.mark.parametrize("force", [False, True])
    def test_is_the_one_that_windows_runs_from(self, bench: Bench, force: bool) -> None:
        bench.disk.boot = True
        assert f"Windows runs from disk 1 ({bench.name}) of win01.lab, which is never touched" in refusal(bench, force=force)
        bench.disk.offline = False
        with pytest.raises(Refused, match="Windows runs from disk 1"):
            plan_absent(bench.session())

    @pytest.mark.parametrize("force", [False, True])
    def test_is_one_of_a_cluster_inside_the_guest(self, bench: Bench, force: bool) -> None:
        session = bench.session()
        session.storage = replace(session.storage, disks=[replace(disk, clustered=True) for disk in session.storage.disks])
        with pytest.raises(Refused, match="A failover cluster inside the guest keeps disk 1"):
            plan_present(session, bench.wish(force=force))

    def test_is_one_that_failed(self, bench: Bench) -> None:
        session = bench.session()
        session.storage = replace(session.storage, disks=[replace(disk, state="failed") for disk in session.storage.disks])
        with pytest.raises(Refused, match=r"Windows says that disk 1 .* is failed: see that the VM can reach its LUN"):
            plan_present(session, bench.wish())

    def test_is_a_raw_one_that_nobody_vouches_for(self, bench: Bench) -> None:
        told = "has no partition table that Windows knows, and Windows cannot tell whether it holds another system's data"
        assert told in refusal(bench, blank=False)
        assert bench.present(blank=True).outcome.changed

    def test_is_no_raw_one_whose_data_may_be_lost(self, bench: Bench) -> None:
        assert bench.present(blank=False, force=True).outcome.changed

    @pytest.mark.parametrize("force", [False, True])
    def test_is_one_whose_lun_was_made_smaller(self, bench: Bench, force: bool) -> None:
        bench.present()
        bench.resize_lun(3 * GIB)
        bench.see()
        assert "the LUN was made smaller, so give it back its size before anything is written to it" in refusal(bench, force=force)

    def test_is_one_that_the_guest_shows_twice(self, bench: Bench) -> None:
        twin = replace(bench.disk.unit, path_id="second path", adapter=1)
        bench.machine.disks.append(Disk(2, twin))
        with pytest.raises(Refused, match=rf"win01\.lab shows LUN {bench.name} as disks 1 and 2"):
            bench.session()


class TestAPlaceThatIsNotFree:
    def test_is_a_letter_of_another_volume(self, bench: Bench) -> None:
        assert refusal(bench, "C:") == (
            "C: on win01.lab is taken by the NTFS volume 'Windows' on disk 0: choose another one, or free it first."
        )

    def test_is_a_second_letter(self, bench: Bench) -> None:
        bench.present("E:")
        assert "already is E:, and can have one letter only: ask for E:, or take it away with state absent first" in refusal(bench, "F:")

    def test_is_a_directory_on_a_volume_that_is_not_there(self, bench: Bench) -> None:
        assert refusal(bench, "X:\\mt1") == (
            "X:\\mt1 cannot be a mount point: win01.lab has no volume X:, so choose a directory on one that it has."
        )

    def test_is_a_directory_on_refs(self, bench: Bench) -> None:
        next(bench.lab.estate.medium(bench.machine.disks[0].key).volumes()).file_system = "ReFS"
        assert "because C: is ReFS: choose a directory on an NTFS volume" in refusal(bench, MOUNT_POINT)

    @pytest.mark.parametrize("inside", ["files", "directories"])
    def test_is_a_directory_that_is_not_empty(self, bench: Bench, inside: str) -> None:
        bench.machine.directories.add("c:\\mt1")
        getattr(bench.machine, inside).add("c:\\mt1\\something")
        assert refusal(bench, MOUNT_POINT) == (
            "The directory C:\\mt1 on win01.lab is not empty, and a mount would hide what is in it: choose another one."
        )

    def test_is_the_mount_point_of_another_volume(self, bench: Bench) -> None:
        bench.machine.directories.add("c:\\mt1")
        next(bench.lab.estate.medium(bench.machine.disks[0].key).volumes()).access["win01.lab"].append("C:\\mt1\\")
        assert refusal(bench, "c:\\MT1") == (
            "C:\\MT1 on win01.lab is taken by the NTFS volume 'Windows' on disk 0: choose another one, or free it first."
        )

    def test_is_none_when_the_directory_is_there_and_empty(self, bench: Bench) -> None:
        bench.machine.directories.add("c:\\mt1")
        report = bench.present(MOUNT_POINT)
        assert not any("directory" in action for action in report.outcome.actions)


def test_a_wish_that_windows_cannot_fulfil_is_refused_before_anybody_is_asked(bench: Bench) -> None:
    for wished in ({"allocation_unit_bytes": 1000}, {"file_system": "ReFS", "allocation_unit_bytes": 8192}, {"label": "x" * 33}):
        with pytest.raises(InvalidInput):
            bench.wish(**wished)


def test_a_lun_that_the_guest_does_not_show_is_told_with_those_that_it_shows(bench: Bench) -> None:
    bench.name = ScsiName("600a0980" + "0" * 24)
    with pytest.raises(NotFound) as told:
        bench.present()
    text = str(told.value)
    assert text.startswith(f"The guest win01.lab does not show LUN {bench.name} 1 s after it began to look; it shows: disk 0 is ")
    assert text.endswith("check that the LUN is attached to this VM (ptd_attach) and that guest.hostname is the VM's own.")
    assert "disk 1 is naa." in text


def test_a_letter_that_windows_chose_when_the_disk_came_online_is_taken_away(bench: Bench) -> None:
    use(bench, label="data", online=False)
    bench.medium.partitions[-1].access["win01.lab"] = ["G:\\"]
    report = bench.present("E:", label="data")
    assert any(action.startswith("remove the drive letter that Windows chose") for action in report.outcome.actions)
    assert report.layout is not None
    assert report.layout.access_paths == ("E:\\",)


class TestAFlush:
    def test_tells_each_volume_of_the_lun_to_write_and_no_other(self, bench: Bench) -> None:
        use(bench)
        state = bench.state()
        flush(bench.session(), check_mode=False)
        assert bench.wire.count("Flush") == 1
        assert bench.state() == state

    def test_is_not_asked_for_in_check_mode(self, bench: Bench) -> None:
        use(bench)
        flush(bench.session(), check_mode=True)
        assert bench.wire.count("Flush") == 0

    def test_is_refused_where_windows_writes_nothing_to_the_disk(self, bench: Bench) -> None:
        use(bench, online=False)
        with pytest.raises(Refused, match="offline, so that it writes nothing to it: take the snapshot without it"):
            flush(bench.session(), check_mode=False)

    @pytest.mark.parametrize("file_system", [None, "", "RAW"], ids=["no partition", "no file system", "one that it does not know"])
    def test_is_refused_where_windows_shows_no_file_system_on_it(self, bench: Bench, file_system: str | None) -> None:
        if file_system is None:
            bench.medium.initialize(GPT, 5 * GIB)
            bench.disk.offline = False
        else:
            use(bench, file_system=file_system)
        with pytest.raises(Refused, match=r"no volume with a file system on .* take the snapshot without it"):
            flush(bench.session(), check_mode=False)
        assert bench.wire.count("Flush") == 0

    def test_is_refused_where_the_guest_does_not_show_the_lun(self, bench: Bench) -> None:
        with pytest.raises(NotFound, match="does not show LUN"):
            flush(bench.guest.session(ScsiName.parse("naa.600a098038304c61622d616161616139"), 1), check_mode=False)
