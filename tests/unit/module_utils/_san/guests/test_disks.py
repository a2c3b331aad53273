# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A guest's list of disks is completed, or everything that is wrong with it is told at once."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import InvalidInput
from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.disks import Disk, Guest, judge

LINUX = Guest("app01", "linux", "svm_san", "vol_prod")
WINDOWS = Guest("win01", "windows", "svm_san", "vol_prod")
DATA = {"name": "data", "size": "100GiB", "mount": "/srv/data"}
DRIVE = {"name": "data", "size": "100GiB", "mount": "E:"}


def completed(*disks: dict[str, Any], guest: Guest = LINUX) -> list[Disk]:
    verdict = judge(list(disks), guest)
    assert verdict.problems == []
    return verdict.disks


def wrong(*disks: object, guest: Guest = LINUX) -> list[str]:
    verdict = judge(list(disks), guest)
    assert verdict.disks == []
    return verdict.problems


def test_a_disk_gets_what_is_usual_on_linux() -> None:
    (disk,) = completed(DATA)
    assert disk == {
        "name": "data",
        "state": "present",
        "size": "100GiB",
        "svm": "svm_san",
        "volume": "vol_prod",
        "lun": "app01_data",
        "os_type": "linux",
        "mount": "/srv/data",
        "file_system": "xfs",
        "label": "",
        "options": "",
        "owner": "",
        "group": "",
        "mode": "",
        "place": "",
        "allocation_unit": 0,
        "lun_id": 0,
        "delete": False,
        "force": False,
        "reservations": False,
        "lvm": {},
    }


def test_a_windows_guest_never_gets_a_lun_laid_out_for_linux() -> None:
    (disk,) = completed(DRIVE, guest=WINDOWS)
    assert (disk["os_type"], disk["file_system"]) == ("windows_2008", "NTFS")
    assert wrong({**DRIVE, "os_type": "linux"}, guest=WINDOWS) == [
        "disk 'data': os_type 'linux' does not fit a windows guest; choose windows_2008 or windows or windows_gpt."
    ]
    assert wrong({**DATA, "os_type": "windows_2008"}) == ["disk 'data': os_type 'windows_2008' does not fit a linux guest; choose linux."]


def test_a_disk_may_live_elsewhere_and_its_lun_be_called_otherwise() -> None:
    guest = Guest("app01.example.com", "linux", "svm_san", "vol_prod", "lun_{disk}_of_{guest}")
    disks = completed(DATA, {"name": "log", "svm": "svm_log", "volume": "vol_log", "lun": "logs"}, guest=guest)
    assert {disk["name"]: (disk["svm"], disk["volume"], disk["lun"]) for disk in disks} == {
        "data": ("svm_san", "vol_prod", "lun_data_of_app01.example.com"),
        "log": ("svm_log", "vol_log", "logs"),
    }


def test_what_lies_below_another_mount_point_is_mounted_after_it() -> None:
    disks = completed({**DATA, "name": "inner", "mount": "/srv/data/inner"}, {**DATA, "name": "outer", "mount": "//srv/data/"})
    assert [disk["mount"] for disk in disks] == ["/srv/data", "/srv/data/inner"]
    leaving = completed(*({**disk, "state": "absent"} for disk in disks))
    assert [disk["mount"] for disk in leaving] == ["/srv/data/inner", "/srv/data"]


def test_what_lies_below_another_drive_is_mounted_after_it() -> None:
    disks = completed({**DRIVE, "name": "inner", "mount": "E:\\log"}, {**DRIVE, "name": "outer", "mount": "E:"}, guest=WINDOWS)
    assert [disk["mount"] for disk in disks] == ["E:", "E:\\log"]


def test_spellings_are_made_one() -> None:
    disk = {**DATA, "file_system": "EXT4", "options": "noatime, nodev", "delete": "no", "lun_id": "7", "size": 1 << 30, "owner": 1000}
    (found,) = completed(disk)
    assert (found["file_system"], found["options"], found["delete"], found["lun_id"]) == ("ext4", "noatime,nodev", False, 7)
    assert (found["size"], found["owner"]) == ("1073741824", "1000")
    (found,) = completed({**DRIVE, "mount": "e:\\", "file_system": "refs"}, guest=WINDOWS)
    assert (found["mount"], found["file_system"]) == ("E:", "ReFS")


def test_of_a_disk_that_shall_go_only_the_name_matters() -> None:
    (disk,) = completed({"name": "old", "state": "absent", "delete": True})
    assert (disk["lun"], disk["delete"]) == ("app01_old", True)
    (disk,) = completed({**DATA, "mount": "/usr", "state": "absent"})
    assert disk["state"] == "absent"


def test_everything_that_is_wrong_is_told_at_once() -> None:
    problems = wrong(
        {"name": "data", "size": "much", "mount": "/etc"},
        {"name": "log", "file_system": "zfs"},
        {"name": "tmp", "delete": True, "label": "far too long a label"},
    )
    assert [problem.partition(":")[0] for problem in problems] == ["disk 'data'", "disk 'data'", "disk 'log'", "disk 'tmp'", "disk 'tmp'"]


@pytest.mark.parametrize(
    ("disk", "reason"),
    [
        ({"size": "1GiB"}, "the 1. disk has no name."),
        ({**DATA, "sise": 1}, "disk 'data' has 'sise', which means nothing; did you mean size?"),
        ({**DATA, "mode": 488}, "disk 'data' has mode=488, which is no text; put it in quotes."),
        ({**DATA, "delete": "perhaps"}, "disk 'data' has delete='perhaps', which is no yes or no."),
        ({**DATA, "lun_id": "seven"}, "disk 'data' has lun_id='seven', which is no number."),
        ({**DATA, "size": True}, "disk 'data' has size=True, which is no text; put it in quotes."),
        ({**DATA, "lvm": "vg/lv"}, "disk 'data' has lvm='vg/lv', which is no mapping such as {vg: vg_data, lv: lv_data}."),
        ({**DATA, "lvm": {"vg": "vg"}}, "disk 'data' has lvm={'vg': 'vg'}, which is no mapping such as {vg: vg_data, lv: lv_data}."),
        (
            {**DATA, "lvm": {"vg": "vg", "lv": 1}},
            "disk 'data' has lvm={'vg': 'vg', 'lv': 1}, which is no mapping such as {vg: vg_data, lv: lv_data}.",
        ),
    ],
)
def test_an_entry_that_cannot_be_read_is_told(disk: dict[str, Any], reason: str) -> None:
    assert wrong(disk) == [reason]


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"name": "a b"}, "its name may have letters, digits and . _ -"),
        ({"lun": "a/b"}, "its LUN cannot be called 'a/b'"),
        ({"state": "gone"}, "state 'gone' is neither present nor absent."),
        ({"delete": True}, "delete=true goes with state=absent"),
        ({"size": "0"}, "'0' is not a size for a LUN"),
        ({"size": "16MiB"}, "16777216 bytes are too few for xfs"),
        ({"mount": "srv"}, "'srv' is no mount point"),
        ({"file_system": "NTFS"}, "file_system 'NTFS' is not for linux guests; choose xfs or ext4 or btrfs or swap."),
        ({"label": "thirteenchars"}, "'thirteenchars' cannot be the label of xfs"),
        ({"options": "ro,rw"}, "The mount options ro and rw exclude each other"),
        ({"mode": "rwx"}, "mode 'rwx' is none; write three or four octal digits"),
        ({"owner": "a b"}, "owner 'a b' is no name of an account."),
        ({"place": "IDE"}, "'IDE' is not a place on a virtual controller"),
        ({"allocation_unit": 4096}, "allocation_unit means nothing to a linux guest"),
        ({"mount": "", "owner": "app"}, "owner is of the mounted file system; give mount, or leave owner out."),
        ({"mount": "", "options": "noatime"}, "options are of the mount; give mount, or leave them out."),
        ({"file_system": "swap"}, "swap is not mounted anywhere; leave mount out."),
        ({"lvm": {"vg": "-f", "lv": "lv"}}, "'-f' cannot be the name of a volume group"),
        ({"lvm": {"vg": "vg", "lv": "lv"}, "file_system": "xfs", "size": "306MiB"}, "are too few for xfs: give the LUN 307 MiB or more."),
        (
            {"mount": "", "file_system": "swap", "lvm": {"vg": "vg", "lv": "lv"}},
            "swap space is not put on a logical volume; leave lvm out.",
        ),
    ],
)
def test_what_a_linux_guest_cannot_have_is_refused(more: dict[str, Any], reason: str) -> None:
    (problem,) = wrong({**DATA, **more})
    assert reason in problem


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"mount": "/srv"}, "'/srv' is no place for a volume"),
        ({"label": "x" * 33}, "at most 32 printable characters"),
        ({"allocation_unit": 5000}, "NTFS has no allocation unit of 5000 bytes"),
        ({"allocation_unit": 512, "size": "16T"}, "NTFS cannot divide 17592186044416 bytes into allocation units of 512 bytes"),
        ({"file_system": "xfs"}, "file_system 'xfs' is not for windows guests; choose NTFS or ReFS."),
        ({"owner": "app"}, "owner means nothing to a windows guest"),
        ({"options": "noatime"}, "options means nothing to a windows guest"),
        ({"lvm": {"vg": "vg", "lv": "lv"}}, "lvm means nothing to a windows guest; leave it out."),
    ],
)
def test_what_a_windows_guest_cannot_have_is_refused(more: dict[str, Any], reason: str) -> None:
    (problem,) = wrong({**DRIVE, **more}, guest=WINDOWS)
    assert reason in problem


def test_swap_space_has_options_but_no_mount_point() -> None:
    (disk,) = completed({"name": "swap", "size": "4GiB", "file_system": "swap", "options": "pri=5"})
    assert (disk["mount"], disk["options"]) == ("", "pri=5")


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ({"name": "data", "lun": "other"}, "2 disks are called 'data'."),
        ({"name": "log", "lun": "app01_data"}, "2 disks are the LUN svm_san:/vol/vol_prod/app01_data."),
        ({"name": "log", "mount": "/srv//data/"}, "2 disks are to be mounted at /srv/data."),
        ({"name": "log", "place": "1:3"}, "2 disks are to be at SCSI(1:3)."),
        ({"name": "log", "lun_id": 7}, "2 disks have the lun_id 7."),
        ({"name": "log", "lvm": {"vg": "vg_data", "lv": "lv_log"}}, "2 disks are to be the volume group vg_data."),
    ],
)
def test_two_disks_cannot_have_one_thing(other: dict[str, Any], reason: str) -> None:
    assert wrong({**DATA, "place": "SCSI(1:3)", "lun_id": 7, "lvm": {"vg": "vg_data", "lv": "lv_data"}}, other) == [reason]


def test_windows_has_one_drive_whatever_its_case() -> None:
    assert wrong(DRIVE, {**DRIVE, "name": "log", "mount": "e"}, guest=WINDOWS) == ["2 disks are to be mounted at E:."]


def test_a_disk_that_goes_leaves_its_mount_point_to_another() -> None:
    assert len(completed({**DATA, "name": "old", "state": "absent"}, DATA)) == 2


def test_nobody_guesses_where_a_lun_shall_live() -> None:
    assert wrong(DATA, guest=Guest("app01", "linux")) == [
        "disk 'data': it has no svm and no volume; set san_svm and san_volume, or give the disk its own."
    ]


@pytest.mark.parametrize("disks", ["data", {"name": "data"}, ["data"], [["name", "data"]]])
def test_what_is_no_list_of_mappings_is_told_with_an_example(disks: object) -> None:
    (problem,) = judge(disks, LINUX).problems
    assert problem.startswith("They are no list of mappings; write each as {name: data,")


def test_a_system_that_is_none_is_refused() -> None:
    with pytest.raises(InvalidInput, match="'aix' is no system of a guest: say linux or windows"):
        judge([], Guest("app01", "aix"))


@given(st.text(max_size=20), st.text(max_size=20))
def test_a_lun_is_never_called_by_what_an_array_could_misread(name: str, guest: str) -> None:
    verdict = judge([{"name": name}], Guest(guest, "linux", "svm_san", "vol_prod"))
    for disk in verdict.disks:
        assert set(disk["lun"]) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-{}")


@given(
    st.dictionaries(
        st.sampled_from(["name", "size", "mount", "mode", "delete", "lun_id", "place", "file_system", "lvm"]),
        st.none() | st.booleans() | st.integers() | st.text() | st.dictionaries(st.sampled_from(["vg", "lv"]), st.text()),
    )
)
def test_whatever_stands_in_a_list_is_a_disk_or_a_sentence(disk: dict[str, Any]) -> None:
    for guest in (LINUX, WINDOWS):
        verdict = judge([disk], guest)
        assert bool(verdict.disks) != bool(verdict.problems)
        assert all(problem.endswith((".", "?")) for problem in verdict.problems)
