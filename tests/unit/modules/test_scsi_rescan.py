# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""scsi_rescan: its options, its results, its errors."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.module_utils._san.guests.linux.guest import NAME, Attached, PlayedKernel, wipefs
from tests.unit.modules.subject import subject, undocumented

RESCAN = subject("scsi_rescan")
LUN = Attached("2:0:0:1", "sdb")


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PlayedKernel:
    """The kernel that the module finds."""
    kernel = PlayedKernel(tmp_path, LUN)
    monkeypatch.setattr(RESCAN.module, "Kernel", lambda: kernel)
    return kernel


def test_the_documentation_tells_the_options_that_there_are() -> None:
    assert RESCAN.documented_options == RESCAN.declared_options


def test_it_returns_what_is_documented(kernel: PlayedKernel) -> None:
    kernel.show(LUN)
    kernel.partition(LUN)
    kernel.says["wipefs"] = wipefs({"sdb": ["gpt", "PMBR"], "sdb1": ["xfs"]})
    result = RESCAN.succeed({"naa": NAME.wwn})
    assert undocumented(result, RESCAN.documented_results) == []
    assert result["disk"]["partitions"][0]["signatures"] == ["xfs"]


@pytest.mark.parametrize("names", [{"naa": f"naa.{NAME.naa}"}, {"lun": NAME.wwid}, {"serial": "RLIta+DhqCVk"}])
def test_a_lun_has_many_names(kernel: PlayedKernel, names: dict[str, str]) -> None:
    assert RESCAN.succeed({**names, "address": "SCSI(0:1)", "controller": "host2"})["disk"]["device"] == "/dev/sdb"
    assert kernel.orders == [("/sys/class/scsi_host/host2/scan", "- - 1")]


def test_each_state_is_another_verb(kernel: PlayedKernel) -> None:
    asked = {"naa": NAME.naa}
    assert RESCAN.run({**asked, "state": "gathered"})["disk"] is None
    assert RESCAN.run(asked, check=True)["changed"] is True
    assert RESCAN.run(asked)["changed"] is True
    assert RESCAN.run({**asked, "state": "gathered"})["disk"]["device"] == "/dev/sdb"
    assert RESCAN.run({**asked, "state": "absent"}, check=True)["changed"] is True
    assert RESCAN.run({**asked, "state": "absent"})["changed"] is True
    assert RESCAN.run({**asked, "state": "absent"})["changed"] is False


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({}, "one of the following is required: naa, serial"),
        ({"naa": NAME.naa, "serial": "RLIta+DhqCVk"}, "parameters are mutually exclusive: naa|serial"),
        ({"naa": "sdb"}, "'sdb' is not the NAA name of a LUN"),
        ({"naa": NAME.naa, "address": "sdb"}, "'sdb' is no address of a disk"),
        ({"naa": NAME.naa, "controller": "host9", "timeout": 0}, "This machine has no SCSI host 'host9'"),
        ({"naa": NAME.naa, "controller": "host3", "timeout": 0}, "is not visible within 0 s after a rescan of host3 (vmw_pvscsi)"),
    ],
)
def test_bad_input_is_told(kernel: PlayedKernel, arguments: dict[str, str], told: str) -> None:
    assert told in RESCAN.fail(arguments)
