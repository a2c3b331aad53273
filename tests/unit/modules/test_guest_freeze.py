# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""guest_freeze: its options, its results, its errors."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.module_utils._san.guests.linux.guest import NAME, Attached, PlayedKernel
from tests.unit.module_utils._san.guests.linux.test_freeze import PlayedIce
from tests.unit.module_utils._san.linux.machines import plant
from tests.unit.modules.subject import subject, undocumented

FREEZE = subject("guest_freeze")
LUN = Attached("2:0:0:1", "sdb")
MOUNTS = "31 1 8:16 / /srv/data rw - xfs /dev/sdb rw\n"


@pytest.fixture
def ice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PlayedIce:
    """The kernel that the module finds."""
    kernel, ice = PlayedKernel(tmp_path / "guest", LUN), PlayedIce()
    kernel.show(LUN)
    plant(tmp_path / "guest", {"/proc/self/mountinfo": MOUNTS, "/sys/block/sdb/dev": "8:16"})
    real = FREEZE.module.Freezer
    monkeypatch.setattr(FREEZE.module, "Kernel", lambda: kernel)
    monkeypatch.setattr(FREEZE.module, "Ice", lambda: ice)
    monkeypatch.setattr(FREEZE.module, "Freezer", lambda tree, ice, written: real(tree, ice, tmp_path / "note", written))
    return ice


def test_the_documentation_tells_the_options_that_there_are() -> None:
    assert FREEZE.documented_options == FREEZE.declared_options


def test_it_returns_what_is_documented(ice: PlayedIce) -> None:
    for arguments in ({"state": "frozen", "naas": [f"naa.{NAME.naa}"]}, {"state": "thawed"}):
        result = FREEZE.succeed(arguments)
        assert undocumented(result, FREEZE.documented_results) == []
        assert set(result) == set(FREEZE.documented_results)
    assert ice.told == ["begin the process that thaws", "freeze /srv/data", "thaw /srv/data"]


def test_check_mode_freezes_and_thaws_nothing(ice: PlayedIce) -> None:
    result = FREEZE.run({"state": "frozen", "naas": [NAME.naa]}, check=True)
    assert (result["changed"], [one["mount"] for one in result["file_systems"]]) == (True, ["/srv/data"])
    assert not FREEZE.run({"state": "thawed"}, check=True)["changed"]
    assert ice.told == []


def test_a_second_thaw_changes_nothing(ice: PlayedIce) -> None:
    FREEZE.run({"state": "frozen", "naas": [NAME.naa]})
    assert FREEZE.run({"state": "thawed"})["changed"]
    assert not FREEZE.run({"state": "thawed"})["changed"]


def test_what_another_run_has_let_go_was_not_held(ice: PlayedIce) -> None:
    mark = FREEZE.run({"state": "frozen", "naas": [NAME.naa]})["made_by"]
    FREEZE.run({"state": "thawed"})
    assert not FREEZE.run({"state": "thawed", "made_by": mark})["held"]
    assert FREEZE.run({"state": "thawed"})["held"]


def test_who_chose_the_mark_lets_go_by_it_where_the_answer_was_lost(ice: PlayedIce) -> None:
    FREEZE.run({"state": "frozen", "naas": [NAME.naa], "made_by": "0123456789abcdef"})
    assert not FREEZE.run({"state": "thawed", "made_by": "fedcba9876543210"})["changed"]
    assert FREEZE.run({"state": "thawed", "made_by": "0123456789abcdef"})["held"]
    assert ice.frozen == []


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"state": "frozen"}, "naas names no LUN"),
        ({"state": "frozen", "naas": ["nonsense"]}, "nonsense"),
        ({"state": "frozen", "naas": [NAME.naa], "thaw_after": 3600}, "thaw_after=3600 is not one of 5 to 600 seconds"),
    ],
)
def test_what_cannot_be_frozen_is_told(ice: PlayedIce, arguments: dict[str, object], told: str) -> None:
    assert told in FREEZE.fail(arguments)
    assert ice.told == []
