# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whose libraries a named interpreter has is told by where it lies, not by what it is a link to."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from ansible_collections.crossvisor.san.plugins.plugin_utils._interpreter import is_own_interpreter


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A virtual environment whose `python` is a link to the system's, and runs this."""
    system = tmp_path / "usr/bin/python3"
    python = tmp_path / "venv/bin/python"
    for directory in (system.parent, python.parent):
        directory.mkdir(parents=True)
    system.touch()
    python.symlink_to(system)
    (python.parent / "python3").symlink_to("python")
    (tmp_path / "link").symlink_to("venv")
    monkeypatch.setattr(sys, "executable", str(python))
    return tmp_path


@pytest.mark.parametrize("named", ["venv/bin/python", "venv/bin/python3", "link/bin/python", "venv/../venv/bin/python"])
def test_the_own_one_has_several_names(own: Path, named: str) -> None:
    assert is_own_interpreter(str(own / named))


@pytest.mark.parametrize("named", ["usr/bin/python3", "venv/bin/python2", "other/bin/python"])
def test_another_one_is_another(own: Path, named: str) -> None:
    assert not is_own_interpreter(str(own / named))


@pytest.mark.parametrize("named", [None, "", "python3", "auto", "auto_silent", "./python"])
def test_what_ansible_has_to_look_for_is_not_known_to_be_the_own(own: Path, named: str | None) -> None:
    assert not is_own_interpreter(named)


def test_a_python_that_does_not_know_itself_is_nobodys(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "")
    assert not is_own_interpreter(str(own / "venv/bin/python"))
