# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A LUN becomes a volume in a guest and leaves it again; whatever request fails, nothing is left half-made and the next run gets there."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import Refused
from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.windows.access_path import AccessPath
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import PlannedLun
from ansible_collections.crossvisor.san.plugins.module_utils._san.services import guest_volume
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.guest_volume import Beside
from tests.unit.volume_ways import MOUNT_POINT, WAYS, Way, problems
from tests.unit.windows_guest import GIB, Bench

pytestmark = pytest.mark.slow


@pytest.fixture
def bench() -> Bench:
    return Bench()


class TestAVolume:
    def test_is_made_of_a_raw_lun(self, bench: Bench) -> None:
        result = bench.present(label="data", allocation_unit_bytes=65536).result()
        disk = f"disk 1 (naa.{bench.name.naa}) of win01.lab"
        assert result["actions"] == [
            f"bring online {disk}",
            f"clear read-only on {disk}",
            f"write a GPT onto {disk}",
            f"make a partition over the whole of {disk}",
            f"make the file system NTFS on {disk}",
            f"mount as E: {disk}",
        ]
        assert result["changed"]
        assert (result["naa"], result["serial"], result["guest_name"]) == (bench.name.naa, bench.name.serial, "win01.lab")
        assert (result["disk_number"], result["size_bytes"]) == (1, 5 * GIB)
        volume = result["volume"]
        assert volume["path"].startswith("\\\\?\\Volume{")
        assert (volume["file_system"], volume["label"], volume["allocation_unit_bytes"]) == ("NTFS", "data", 65536)
        assert (volume["drive_letter"], volume["mount_points"]) == ("E:", [])
        assert 4.9 * GIB < volume["size_bytes"] < 5 * GIB

    def test_is_left_as_it_is_by_a_second_run(self, bench: Bench) -> None:
        first = bench.present(label="data").result()
        state = bench.state()
        bench.wire.asked.clear()
        second = bench.present(label="data").result()
        assert (second["changed"], second["actions"]) == (False, [])
        assert second["volume"] == first["volume"]
        assert bench.state() == state
        assert len(bench.wire.asked) <= 10

    def test_appears_in_a_directory_that_is_made(self, bench: Bench) -> None:
        result = bench.present(MOUNT_POINT, file_system="ReFS").result()
        assert f"make the directory {MOUNT_POINT} on win01.lab" in result["actions"]
        assert (result["volume"]["drive_letter"], result["volume"]["mount_points"]) == (None, [MOUNT_POINT])
        assert result["volume"]["file_system"] == "ReFS"
        assert not bench.present(MOUNT_POINT, file_system="ReFS").result()["changed"]

    def test_may_appear_in_several_places(self, bench: Bench) -> None:
        bench.present("E:")
        result = bench.present(MOUNT_POINT).result()
        assert (result["volume"]["drive_letter"], result["volume"]["mount_points"]) == ("E:", [MOUNT_POINT])

    def test_keeps_every_letter_of_its_directory(self, bench: Bench) -> None:
        assert bench.present("C:\\root").result()["volume"]["mount_points"] == ["C:\\root"]

    def test_needs_no_place(self, bench: Bench) -> None:
        volume = bench.present(None).result()["volume"]
        assert (volume["drive_letter"], volume["mount_points"]) == (None, [])

    def test_grows_with_its_lun(self, bench: Bench) -> None:
        bench.present()
        bench.resize_lun(9 * GIB)
        result = bench.present().result()
        assert [action.partition(" disk")[0] for action in result["actions"]] == ["grow the volume to the whole of"]
        assert result["size_bytes"] == 9 * GIB
        assert result["volume"]["size_bytes"] > 8.9 * GIB
        assert not bench.present().result()["changed"]

    def test_does_not_grow_by_what_an_array_rounds(self, bench: Bench) -> None:
        bench.present()
        bench.resize_lun(5 * GIB + 4 * 1024**2)
        assert not bench.present().result()["changed"]

    def test_is_found_again_after_it_was_absent(self, bench: Bench) -> None:
        before = bench.present(label="data").result()["volume"]
        bench.absent()
        result = bench.present(label="data").result()
        assert [action.partition(" disk")[0] for action in result["actions"]] == ["bring online", "take over what is on", "mount as E:"]
        assert result["volume"] == before


class TestAbsence:
    def test_takes_the_letter_away_and_the_disk_offline_and_leaves_the_data(self, bench: Bench) -> None:
        bench.present(label="data")
        content = bench.medium.canonical()["partitions"]
        result = bench.absent().result()
        assert [action.partition(" disk")[0] for action in result["actions"]] == ["unmount E: from", "take offline"]
        assert result["volume"] is None
        assert bench.disk.offline
        assert [
            {**part, "access": {}}
            for part in bench.medium.canonical()["partitions"]  # type: ignore[attr-defined]
        ] == [{**part, "access": {}} for part in content]  # type: ignore[attr-defined]

    def test_comes_once(self, bench: Bench) -> None:
        bench.present()
        bench.absent()
        assert not bench.absent().result()["changed"]

    def test_of_a_lun_that_the_guest_never_saw_changes_nothing(self, bench: Bench) -> None:
        result = bench.absent().result()
        assert (result["changed"], result["disk_number"], result["volume"]) == (False, None, None)


class TestCheckMode:
    def test_tells_what_would_be_done_and_does_nothing(self, bench: Bench) -> None:
        bench.see()
        state = bench.state()
        told = bench.present(MOUNT_POINT, check=True).result()
        assert bench.state() == state
        assert told["volume"] is None
        assert told["diff"]["after"]["file_system"] == "NTFS"
        assert bench.present(MOUNT_POINT).result()["actions"] == told["actions"]

    def test_says_that_it_did_not_look_for_new_disks(self, bench: Bench) -> None:
        result = bench.present(check=True).result()
        assert result["changed"]
        assert result["actions"] == [
            f"look for LUN {bench.name} on win01.lab",
            "if it is found and empty, make it a volume with NTFS, mounted as E:",
        ]
        assert result["diff"] == {"before": {"visible": False}, "after": {"visible": True}}
        assert bench.wire.count("UpdateHostStorageCache") == 0

    def test_names_no_place_where_none_was_asked_for(self, bench: Bench) -> None:
        assert bench.present(None, check=True).result()["actions"][-1] == "if it is found and empty, make it a volume with NTFS"

    @pytest.mark.parametrize("mount", ["C:", "X:\\mt1", MOUNT_POINT])
    def test_refuses_a_place_that_is_not_free_also_for_a_lun_that_it_did_not_look_for(self, bench: Bench, mount: str) -> None:
        bench.machine.directories.update({MOUNT_POINT.lower(), f"{MOUNT_POINT}\\something".lower()})
        told = _refusals(bench, mount)
        assert told[0] == told[1]

    def test_tells_of_a_lun_that_does_not_exist_yet_what_it_tells_of_one_that_it_did_not_look_for(self, bench: Bench) -> None:
        planned = replace(bench.wish(), name=PlannedLun("svm:/vol/v/new"))
        result = guest_volume.present(bench.guest, planned, True).result()
        assert result["actions"][0] == "look for LUN svm:/vol/v/new on win01.lab"
        assert (result["naa"], result["serial"], result["disk_number"], result["volume"]) == (None, None, None, None)

    def test_takes_the_place_of_a_lun_that_goes_before(self, bench: Bench) -> None:
        bench.present("E:")
        wish = replace(bench.wish("E:"), name=PlannedLun("svm:/vol/v/new"))
        with pytest.raises(Refused, match=r"E: on win01\.lab is taken by the NTFS volume on disk 1"):
            guest_volume.present(bench.guest, wish, True)
        assert guest_volume.present(bench.guest, wish, True, Beside(leaving=[bench.name])).outcome.changed

    def test_finds_room_in_the_volume_of_a_lun_that_comes_before(self, bench: Bench) -> None:
        wish = replace(bench.wish("E:\\log"), name=PlannedLun("svm:/vol/v/new"))
        letter = AccessPath.parse("E:")
        with pytest.raises(Refused, match=r"win01\.lab has no volume E:"):
            guest_volume.present(bench.guest, wish, True)
        assert guest_volume.present(bench.guest, wish, True, Beside(ahead=[(letter, "NTFS")])).outcome.changed
        with pytest.raises(Refused, match="because E: is ReFS"):
            guest_volume.present(bench.guest, wish, True, Beside(ahead=[(letter, "ReFS")]))

    def test_does_not_look_for_directories_where_another_volume_has_the_letter_still(self, bench: Bench) -> None:
        bench.present("E:")
        bench.machine.directories.update({"e:\\log", "e:\\log\\old"})
        wish = replace(bench.wish("E:\\log"), name=PlannedLun("svm:/vol/v/new"))
        beside = Beside(leaving=[bench.name], ahead=[(AccessPath.parse("E:"), "NTFS")])
        assert guest_volume.present(bench.guest, wish, True, beside).outcome.changed
        with pytest.raises(Refused, match="is not empty"):
            guest_volume.present(bench.guest, wish, True)

    def test_of_absence(self, bench: Bench) -> None:
        bench.present()
        state = bench.state()
        told = bench.absent(check=True).result()
        assert bench.state() == state
        assert bench.absent().result()["actions"] == told["actions"]


def _refusals(bench: Bench, mount: str) -> list[str]:
    """Why a place is refused in check mode: to a LUN that the guest has not seen, and to the same one when it has."""
    told = []
    for _look in range(2):
        with pytest.raises(Refused) as refused:
            bench.present(mount, check=True)
        told.append(str(refused.value))
        bench.see()
    return told


@pytest.mark.exhaustive
@pytest.mark.parametrize("way", WAYS)
def test_whatever_request_fails_nothing_is_left_half_made_and_the_next_run_gets_there(way: Way) -> None:
    """Of the requests that change nothing every ninth is refused; all of them are in tests/exhaustive."""
    assert (wrong := problems(way, every_read=9)) == [], "\n".join(wrong)
