# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""lun_snapshot_info: what is listed."""

from __future__ import annotations

from ansible_collections.crossvisor.san.plugins.module_utils._san.model import Snapshot
from tests.unit.modules.subject import opened, subject, undocumented
from tests.unit.ports import NAME, MemoryArray, lun

INFO = subject("lun_snapshot_info")
WANTED = {"array": {"hostname": "ontap.example.com"}, "luns": [{"serial": "80Lab-aaaaa1"}]}


def test_the_documentation_tells_the_options_that_there_are() -> None:
    assert INFO.documented_options == INFO.declared_options


def test_every_value_that_it_returns_is_documented() -> None:
    array = MemoryArray(lun(NAME), kept=[Snapshot("1", "a", "svm1", "v1"), Snapshot("2", "b", "svm1", "v1", owners=["snapmirror"])])
    with opened(array=array):
        result = INFO.succeed(WANTED)
        named = INFO.succeed({**WANTED, "name": "b"})
    assert undocumented(result, INFO.documented_results) == []
    assert set(result) == set(INFO.documented_results)
    assert [one["name"] for one in result["snapshots"]] == ["a", "b"]
    assert [one["owners"] for one in named["snapshots"]] == [["snapmirror"]]
    assert array.calls[-1] == "close"
