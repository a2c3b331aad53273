# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The steps that show and hide a volume: each knows when it is done, reads back, and takes back only what it did."""

from __future__ import annotations

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import RemoteError
from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.windows.access_path import AccessPath
from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.windows.path_steps import (
    MakeDirectory,
    Mount,
    TakeOffline,
    Unmount,
)
from tests.unit.windows_guest import Bench

pytestmark = pytest.mark.slow

LETTER, DIRECTORY = AccessPath.parse("E:"), AccessPath.parse("C:\\mt1")


@pytest.fixture
def bench() -> Bench:
    bench = Bench()
    bench.present(None)
    return bench


def test_a_letter_comes_and_goes(bench: Bench) -> None:
    step = Mount(bench.session(), bench.wish(), LETTER)
    assert not step.done()
    step.do()
    step.verify()
    assert step.done()
    assert bench.session().layout.access_paths == ("E:\\",)
    step.undo()
    step.undo()
    assert bench.session().layout.access_paths == ()
    assert (step.before(), step.after()) == ({"mount": ""}, {"mount": "E:"})


def test_a_volume_that_will_be_erased_has_to_be_mounted_again(bench: Bench) -> None:
    bench.present("E:")
    assert Mount(bench.session(), bench.wish(), LETTER).done()
    assert not Mount(bench.session(), bench.wish(file_system="ReFS", force=True), LETTER).done()


def test_a_directory_is_made_and_taken_back(bench: Bench) -> None:
    step = MakeDirectory(bench.session(), DIRECTORY, False)
    assert step.title == "make the directory C:\\mt1 on win01.lab"
    step.do()
    step.verify()
    assert bench.machine.directories == {"c:\\mt1"}
    step.undo()
    step.undo()
    assert bench.machine.directories == set()
    assert MakeDirectory(bench.session(), DIRECTORY, True).done()
    assert (step.before(), step.after()) == ({"directory": None}, {"directory": "C:\\mt1"})


@pytest.mark.parametrize(
    ("there", "left"),
    [
        (set(), set()),
        ({"c:\\srv"}, {"c:\\srv"}),
        ({"c:\\srv", "c:\\srv\\data"}, {"c:\\srv", "c:\\srv\\data"}),
    ],
)
def test_those_above_that_were_made_with_it_are_taken_back_and_no_others(bench: Bench, there: set[str], left: set[str]) -> None:
    bench.machine.directories.update(there)
    step = MakeDirectory(bench.session(), AccessPath.parse("C:\\srv\\data\\app"), False)
    step.do()
    step.verify()
    assert "c:\\srv\\data\\app" in bench.machine.directories
    step.undo()
    assert bench.machine.directories == left


def test_what_somebody_put_into_one_of_them_stays(bench: Bench) -> None:
    step = MakeDirectory(bench.session(), AccessPath.parse("C:\\srv\\data"), False)
    step.do()
    bench.machine.directories.add("c:\\srv\\theirs")
    step.undo()
    assert bench.machine.directories == {"c:\\srv", "c:\\srv\\theirs"}


def test_a_directory_that_does_not_come_is_told(bench: Bench) -> None:
    with pytest.raises(RemoteError, match=r"The directory C:\\mt1 was not made on win01\.lab: see whether the account may write there"):
        MakeDirectory(bench.session(), DIRECTORY, False).verify()


def test_a_path_is_taken_away_and_given_back(bench: Bench) -> None:
    bench.present("E:")
    step = Unmount(bench.session(), "E:\\")
    assert step.title.startswith("unmount E: from disk 1")
    step.do()
    step.verify()
    assert step.done()
    step.undo()
    assert bench.session().layout.access_paths == ("E:\\",)
    assert (step.before(), step.after()) == ({"mounts": {"E:\\": True}}, {"mounts": {"E:\\": False}})


def test_a_disk_goes_offline_and_comes_back(bench: Bench) -> None:
    step = TakeOffline(bench.session())
    step.do()
    step.verify()
    assert bench.disk.offline
    step.undo()
    assert not bench.disk.offline
    with pytest.raises(RemoteError, match="is still online"):
        step.verify()
    assert (step.before(), step.after()) == ({"online": True}, {"online": False})
