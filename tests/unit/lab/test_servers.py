# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What prepares a system of the lab says in its last line why it could not."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab.processes import ServerFailed
from tests.lab.servers import SERVERS, prepare_by


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (
            "echo Installing; echo 'cannot run: gcc is missing; as root: apt-get install gcc'; exit 77",
            "gcc is missing; as root: apt-get install gcc",
        ),
        ("echo compiling; echo 'no rule for x' >&2; exit 2", "program ended with 2: no rule for x\ncompiling\nno rule for x\n"),
    ],
)
def test_a_program_that_prepares_a_server_has_the_last_word(tmp_path: Path, script: str, reason: str) -> None:
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o700)
    with pytest.raises(ServerFailed) as failure:
        prepare_by([program])
    assert str(failure.value) == reason


def test_a_program_that_succeeds_prepares(tmp_path: Path) -> None:
    prepare_by(["touch", tmp_path / "made"])
    assert (tmp_path / "made").exists()


def test_every_server_stands_after_those_it_needs() -> None:
    names = list(SERVERS)
    assert all(names.index(need) < names.index(name) for name, server in SERVERS.items() for need in server.needs)


def test_what_a_program_says_on_its_way_is_shown_at_once_and_why_it_cannot_run_is_the_callers_to_tell(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(ServerFailed):
        prepare_by(["sh", "-c", "echo Installing gcc >&2; echo 'cannot run: no disk'; exit 77"])
    assert capsys.readouterr().err == "Installing gcc\n"
