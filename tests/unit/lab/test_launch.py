# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A lab of which a part cannot be started: it costs its own rows, and says why."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab import launch
from tests.lab.launch import Endpoint, Lab
from tests.lab.processes import ServerFailed

ALL = ["ontap", "vcenter", "hyperv", "hyperv-cluster", "windows-guest", "kvm"]


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> dict[str, bool]:
    """Servers that start at once, by name with whether LUNs were real; whatever the test puts into `broken` fails."""
    calls: dict[str, bool] = {}

    def start(name: str, lab: Lab) -> Endpoint:
        if name in broken and not (name == "ontap" and not lab.real_luns):
            raise ServerFailed(f"{name} is broken")
        calls[name] = lab.real_luns
        return Endpoint(launch.SERVERS[name].type, "127.0.0.1", 1, "u", "p", "ca", True, "http://127.0.0.1:1", 0, 0)

    monkeypatch.setattr(launch, "_start", start)
    return calls


broken: set[str] = set()


@pytest.fixture(autouse=True)
def nothing_is_broken() -> None:
    broken.clear()


def test_a_lab_of_which_everything_starts_leaves_nothing_out(started: dict[str, bool], tmp_path: Path) -> None:
    running, left_out = launch.up_as_far_as_possible(ALL, tmp_path)
    assert (sorted(running), left_out) == (sorted(ALL), {})
    assert launch.read_endpoints(tmp_path).keys() == running.keys()


@pytest.mark.parametrize("name", ["vcenter", "kvm"])
def test_a_system_that_does_not_start_costs_only_itself(started: dict[str, bool], tmp_path: Path, name: str) -> None:
    broken.add(name)
    running, left_out = launch.up_as_far_as_possible(ALL, tmp_path)
    assert (set(ALL) - set(running), left_out) == ({name}, {name: f"{name} is broken"})


def test_what_needs_a_system_that_does_not_start_is_left_out_with_its_reason(started: dict[str, bool], tmp_path: Path) -> None:
    broken.add("hyperv")
    running, left_out = launch.up_as_far_as_possible(ALL, tmp_path)
    assert set(running) == {"ontap", "vcenter", "kvm"}
    assert left_out["hyperv-cluster"] == "it needs hyperv: hyperv is broken"


def test_an_array_that_cannot_make_real_luns_is_started_without_them(started: dict[str, bool], tmp_path: Path) -> None:
    broken.add("ontap")
    running, left_out = launch.up_as_far_as_possible(ALL, tmp_path)
    assert set(running) == set(ALL) - {"kvm"}
    assert left_out == {"kvm": "ontap is broken"}
    assert not any(started.values())


def test_who_needs_all_of_it_is_told_the_first_reason(started: dict[str, bool], tmp_path: Path) -> None:
    broken.add("vcenter")
    with pytest.raises(ServerFailed, match="vcenter is broken"):
        launch.up(ALL, tmp_path)


def going(monkeypatch: pytest.MonkeyPatch, directory: Path, ci: str) -> None:
    broken.add("vcenter")
    monkeypatch.setenv("CI", ci)
    monkeypatch.setattr("sys.argv", ["launch", "up", "--keep-going", *ALL, "--dir", str(directory)])
    launch.main()


def test_what_is_left_out_is_told_in_a_line(
    started: dict[str, bool], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    going(monkeypatch, tmp_path, ci="")
    assert "vcenter is left out: vcenter is broken\n" in capsys.readouterr().err
    assert set(ALL) - set(launch.read_endpoints(tmp_path)) == {"vcenter"}


def test_what_is_left_out_fails_the_run_under_ci(started: dict[str, bool], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SystemExit) as end:
        going(monkeypatch, tmp_path, ci="true")
    assert (end.value.code, launch.read_endpoints(tmp_path)) == (1, {})
