# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Directories for mount points are made and removed, never with anything in them."""

from __future__ import annotations

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import RemoteError
from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.windows import directories
from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.windows.access_path import AccessPath
from tests.unit.windows_guest import Bench

pytestmark = pytest.mark.slow

PATH = AccessPath.parse("C:\\mt1")


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_a_directory_is_made_and_removed(bench: Bench) -> None:
    assert not directories.exists(bench.client, PATH)
    directories.make(bench.client, PATH)
    assert directories.exists(bench.client, PATH)
    assert directories.is_empty(bench.client, PATH)
    directories.remove(bench.client, PATH)
    assert not directories.exists(bench.client, PATH)


@pytest.mark.parametrize("kind", ["files", "directories"])
def test_one_with_something_in_it_is_not_empty_and_stays(bench: Bench, kind: str) -> None:
    directories.make(bench.client, PATH)
    getattr(bench.machine, kind).add("c:\\mt1\\x")
    assert not directories.is_empty(bench.client, PATH)
    directories.remove(bench.client, PATH)
    assert directories.exists(bench.client, PATH)


def test_what_is_deeper_or_beside_it_does_not_count(bench: Bench) -> None:
    directories.make(bench.client, PATH)
    bench.machine.files |= {"c:\\mt10\\x", "d:\\mt1\\x", "c:\\mt1x"}
    assert directories.is_empty(bench.client, PATH)


def test_a_command_that_does_not_start_is_told(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.lab.hyperv.providers.cimv2._Part.run", lambda self, call: {"ReturnValue": 2})
    with pytest.raises(RemoteError, match=r"Windows does not start mkdir for C:\\mt1 \(Win32_Process\.Create returned 2\)"):
        directories.make(Bench().client, PATH)
