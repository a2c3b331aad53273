# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files of a host by what its PowerShell and fsutil write: read in as few scripts as may be, and never guessed."""

from __future__ import annotations

import base64
from typing import cast

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.block_addresses.hard_disk_files.reading import NotTold
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.host_files import NO_CLUSTER, FileFacts, HostFiles, Run
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.wsman_shell import LONGEST_SCRIPT, Output, Shell

PATH = "E:\\VMs\\it's \u2018one\u2019.vhdx"


class Played:
    """A shell that answers what it was given."""

    def __init__(self, *answers: str, code: int = 0) -> None:
        self.answers = list(answers)
        self.code = code
        self.scripts: list[str] = []

    def run(self, script: str, timeout: float) -> Output:
        self.scripts.append(script)
        return Output(self.answer(script).encode(), b"", self.code)

    def answer(self, script: str) -> str:
        return self.answers.pop(0)


class Whole(Played):
    """A shell that has a byte at each place that it is asked for."""

    def answer(self, script: str) -> str:
        return "file 1 32 9\r\n" + data(b"x") * script.count(f",{1 << 20}")


def files(*answers: str, code: int = 0) -> tuple[HostFiles, Played]:
    shell = Played(*answers, code=code)
    return HostFiles(cast(Shell, shell), "hv01.lab"), shell


def data(*pieces: bytes) -> str:
    return "".join(f"data {base64.b64encode(piece).decode()}\r\n" for piece in pieces)


def test_bytes_come_in_the_order_of_their_places_with_what_the_file_is() -> None:
    there, shell = files(f"\ufefffile 100 32 9\r\nthrough E:\\mnt\r\n{data(b'ab', b'')}")
    assert there.read(PATH, [(0, 2), (100, 4)]) == [b"ab", b""]
    assert there.facts(PATH) == FileFacts(100, 32, "9", ["E:\\mnt"])
    (script,) = shell.scripts
    assert "'0,2 100,4'" in script
    assert base64.b64encode(PATH.encode("utf-16-le")).decode() in script
    assert PATH not in script


def test_many_places_are_read_by_several_scripts_none_of_which_is_too_long() -> None:
    places = [(number << 40, 1 << 20) for number in range(200)]
    shell = Whole()
    assert HostFiles(cast(Shell, shell), "hv01.lab").read(PATH, places) == [b"x"] * 200
    assert all(len(script) <= LONGEST_SCRIPT for script in shell.scripts)
    assert sum(script.count(f",{1 << 20}") for script in shell.scripts) == 200
    assert 1 < len(shell.scripts) < 8


def test_a_file_that_is_another_one_at_the_next_look_is_noted() -> None:
    there, _shell = files(f"file 1 32 9\r\n{data(b'x')}", f"file 2 32 10\r\n{data(b'x')}")
    there.read(PATH, [(0, 1)])
    assert there.changed == set()
    there.read(PATH, [(0, 1)])
    assert there.changed == {PATH}


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ("error Access to the path is denied.\r\n", "cannot be read on host hv01.lab: Access to the path is denied"),
        ("", "PowerShell answered something else"),
        ("#< CLIXML\r\n", "PowerShell answered something else"),
        ("file 1 x 9\r\n", "PowerShell answered something else"),
        ("file 1 32\r\n", "PowerShell answered something else"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused(answer: str, why: str) -> None:
    there, _shell = files(answer)
    with pytest.raises(NotTold, match=why):
        there.facts(PATH)


@pytest.mark.parametrize("said", [data(b"ab"), data(b"ab", b"cd", b"ef"), data(b"ab") + "data YWI\r\n", data(b"ab") + "data Y\r\n"])
def test_an_answer_that_was_torn_is_refused(said: str) -> None:
    with pytest.raises(NotTold, match="a part of PowerShell's answer was lost on its way"):
        files(f"file 100 32 9\r\n{said}")[0].read(PATH, [(0, 2), (4, 2)])


def test_runs_are_what_fsutil_writes_in_a_line() -> None:
    said = "VCN: 0x0   Clusters: 0x5   LCN: 0xce2e\r\nVCN: 0x5        Clusters: 0x10      LCN: 0xffffffffffffffff\r\n\r\n"
    assert files(said)[0].runs(PATH) == [Run(0, 5, 0xCE2E), Run(5, 16, NO_CLUSTER)]


@pytest.mark.parametrize("line", ["No extents found", "VCN: 0x0 Clusters: 0x5", "VCN: 0x0 Clusters: 0x5 LCN: 0xce2e Properties: 0x10"])
def test_a_line_that_is_not_understood_is_refused(line: str) -> None:
    with pytest.raises(NotTold, match=f"was not understood: {line}"):
        files(f"VCN: 0x0 Clusters: 0x5 LCN: 0x1\r\n{line}\r\n")[0].runs(PATH)


@pytest.mark.parametrize(
    ("answer", "why"), [("Error:  The FSUTIL utility requires that\r\nyou have rights.\r\n", "requires that you have"), ("", "no reason")]
)
def test_what_fsutil_refuses_is_refused_with_its_reason(answer: str, why: str) -> None:
    with pytest.raises(NotTold, match=f"host hv01.lab does not tell where .* is on its volume: .*{why}"):
        files(answer, code=1)[0].runs(PATH)
