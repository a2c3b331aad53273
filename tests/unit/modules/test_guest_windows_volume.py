# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""guest_windows_volume: two states of a LUN in a Windows guest."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.endpoints import guests
from tests.unit.modules.subject import subject, undocumented
from tests.unit.windows_guest import Bench

VOLUME = subject("guest_windows_volume")


@pytest.fixture
def bench() -> Bench:
    return Bench()


@contextmanager
def opened(bench: Bench) -> Iterator[None]:
    """Let the module that opens a guest get this one."""
    with mock.patch.object(guests, "open_guest", return_value=bench.guest):
        yield


def disk(bench: Bench, **more: Any) -> dict[str, Any]:
    return {"guest": {"hostname": "win01.lab"}, "naa": str(bench.name), "timeout": 1, "blank": True, **more}


def test_the_documentation_tells_the_options_that_there_are() -> None:
    assert VOLUME.documented_options == VOLUME.declared_options


@pytest.mark.parametrize("attribute", ["check_mode", "diff_mode", "idempotent"])
def test_it_promises_check_mode_difference_and_idempotence(attribute: str) -> None:
    assert VOLUME.declared["supports_check_mode"]
    assert VOLUME.documentation["attributes"][attribute]["support"] == "full"


def test_every_value_that_it_returns_is_documented(bench: Bench) -> None:
    with opened(bench):
        result = VOLUME.succeed(disk(bench, mount="E:", label="data"))
    assert undocumented(result, VOLUME.documented_results) == []
    assert set(VOLUME.documented_results) <= set(result)
    assert set(result["volume"]) == set(VOLUME.documented_results["volume"]["contains"])
    assert result["volume"]["drive_letter"] == "E:"


def test_check_mode_writes_nothing(bench: Bench) -> None:
    bench.see()
    state = bench.state()
    with opened(bench):
        result = VOLUME.run(disk(bench, mount="E:"), check=True)
    assert (result["changed"], result["volume"], bench.state()) == (True, None, state)
    assert result["diff"]["before"]["partition_style"] == "RAW"


def test_absence(bench: Bench) -> None:
    bench.present()
    with opened(bench):
        result = VOLUME.succeed(disk(bench, state="absent"))
        assert result["volume"] is None
        assert VOLUME.run(disk(bench, state="absent"))["changed"] is False


def test_a_serial_number_names_the_lun_as_well(bench: Bench) -> None:
    named = {name: value for name, value in disk(bench).items() if name != "naa"}
    with opened(bench):
        assert VOLUME.succeed({**named, "serial": bench.name.serial})["naa"] == bench.name.naa


@pytest.mark.parametrize(
    ("wish", "why"),
    [
        ({"mount": "EE:"}, "'EE:' is no place for a volume"),
        ({"allocation_unit": 1000}, "NTFS has no allocation unit of 1000 bytes"),
        ({"allocation_unit": 8192, "file_system": "ReFS"}, "ReFS has no allocation unit of 8192 bytes: choose one of 4096, 65536."),
        ({"label": "x" * 33}, "at most 32 printable characters"),
        ({"naa": "disk 1"}, "is not the NAA name of a LUN"),
        ({"file_system": "ext4"}, "value of file_system must be one of: NTFS, ReFS"),
    ],
)
def test_what_cannot_mean_anything_is_told_before_the_guest_is_asked(bench: Bench, wish: dict[str, Any], why: str) -> None:
    bench.wire.asked.clear()
    with opened(bench):
        assert why in VOLUME.fail(disk(bench, **wish))
    assert bench.wire.asked == []


def test_the_lun_is_named_exactly_once(bench: Bench) -> None:
    assert "one of the following is required: naa, serial, planned_lun" in VOLUME.fail({"guest": {"hostname": "win01.lab"}})
    assert "mutually exclusive" in VOLUME.fail(disk(bench, serial=bench.name.serial))


LUN = {"guest": {"hostname": "win01.lab"}, "naa": "naa.600a0980" + "1" * 24}


def planned(**more: Any) -> dict[str, Any]:
    return {"guest": {"hostname": "win01.lab"}, "planned_lun": "svm:/vol/v/new", **more}


def test_a_lun_that_does_not_exist_yet_can_be_asked_about(bench: Bench) -> None:
    bench.present("E:")
    others = [{"naa": bench.name.naa, "state": "absent"}, {"mount": "E:"}, {"mount": "", "file_system": "ReFS"}]
    with opened(bench):
        assert "is taken by" in VOLUME.run(planned(mount="E:"), check=True)["msg"]
        result = VOLUME.run(planned(mount="E:\\log", planned_disks=others), check=True)
    assert (result["changed"], result["naa"]) == (True, None)
    assert result["actions"][0] == "look for LUN svm:/vol/v/new on win01.lab"


def test_a_disk_that_the_guest_shall_lose_has_to_be_named(bench: Bench) -> None:
    with opened(bench):
        assert "naa" in VOLUME.run(planned(planned_disks=[{"state": "absent"}]), check=True)["msg"]


@pytest.mark.parametrize(
    ("options", "check", "option"),
    [
        (planned(), False, "planned_lun"),
        (planned(state="absent"), True, "planned_lun"),
        ({**LUN, "planned_disks": [{"mount": "E:"}]}, False, "planned_disks"),
    ],
)
def test_what_is_only_planned_is_asked_about_and_never_done(bench: Bench, options: dict[str, Any], check: bool, option: str) -> None:
    bench.wire.asked.clear()
    with opened(bench):
        assert f"{option} only tells in check mode" in VOLUME.run(options, check=check)["msg"]
    assert bench.wire.asked == []


def test_a_flush_changes_nothing_and_returns_what_is_there(bench: Bench) -> None:
    with opened(bench):
        there = VOLUME.succeed(disk(bench, mount="E:"))
        flushed = VOLUME.run(disk(bench, state="flushed"))
    assert (flushed["changed"], flushed["actions"], flushed["volume"]) == (False, [], there["volume"])
    assert bench.wire.count("Flush") == 1
