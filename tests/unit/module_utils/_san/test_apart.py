# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A process of its own goes on whatever becomes of whoever began it, and inherits nothing that is open."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san import apart

pytestmark = pytest.mark.slow


def test_it_does_not_end_with_the_session_of_whoever_began_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "cgroup.procs"
    monkeypatch.setattr(apart, "_ROOT_GROUPS", (tmp_path / "none" / "cgroup.procs", root))
    os.waitpid(apart.begin(lambda: (tmp_path / "session").write_text(str(os.getsid(0)))), 0)
    assert root.read_text() == "0"
    assert (tmp_path / "session").read_text() != str(os.getsid(0))


def test_it_goes_on_when_nobody_waits(tmp_path: Path) -> None:
    os.waitpid(apart.begin((tmp_path / "done").touch), 0)
    assert (tmp_path / "done").exists()


def test_no_signal_ends_it_before_it_has_let_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fork = os.fork

    def fork_and_end() -> int:
        child = fork()
        if not child:
            os.kill(os.getpid(), signal.SIGTERM)
        return child

    monkeypatch.setattr(os, "fork", fork_and_end)
    os.waitpid(apart.begin((tmp_path / "done").touch), 0)
    assert (tmp_path / "done").exists()


def test_who_began_it_has_the_signals_of_before(tmp_path: Path) -> None:
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    os.waitpid(apart.begin(lambda: (tmp_path / "mask").write_text(str(signal.pthread_sigmask(signal.SIG_BLOCK, []) == mask))), 0)
    assert (tmp_path / "mask").read_text() == "True"
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == mask


def test_it_never_goes_on_as_whoever_began_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apart, "detach", lambda _kept: 1 / 0)
    _pid, status = os.waitpid(apart.begin((tmp_path / "done").touch), 0)
    assert (status, (tmp_path / "done").exists()) == (0, False)


def test_it_inherits_no_connection(tmp_path: Path) -> None:
    reading, writing = os.pipe()

    def look() -> None:
        try:
            os.write(writing, b"x")
        except OSError:
            (tmp_path / "closed").touch()

    os.waitpid(apart.begin(look), 0)
    os.close(reading)
    os.close(writing)
    assert (tmp_path / "closed").exists()


def test_it_inherits_no_file_whatever_its_number(tmp_path: Path) -> None:
    held = [os.open(os.devnull, os.O_RDONLY)]
    while held[-1] <= 3:
        held.append(os.open(os.devnull, os.O_RDONLY))
    os.waitpid(apart.begin(lambda: (tmp_path / "open").write_text(str([number for number in range(3, 4096) if _is_open(number)]))), 0)
    for number in held:
        os.close(number)
    assert (tmp_path / "open").read_text() == "[]"


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True
