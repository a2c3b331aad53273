# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lab's command shell: it runs two scripts by their text and nothing else, and sends what they write in parts that fit."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from tests.lab.hyperv.faults import WsmanFault
from tests.lab.hyperv.programs import Files, StoredFile
from tests.lab.hyperv.running import Client, Lab
from tests.lab.hyperv.shells import CMD, RSP, Shells, Written
from tests.lab.hyperv.soap import tag
from tests.lab.hyperv.wsman import TRANSFER
from tests.unit.lab.hyperv.desk import HOST

STREAMS = "<rsp:InputStreams>stdin</rsp:InputStreams><rsp:OutputStreams>stdout stderr</rsp:OutputStreams>"
SHELL = f'<rsp:Shell xmlns:rsp="{RSP}">{STREAMS}</rsp:Shell>'


@pytest.fixture
def client(lab: Lab) -> Client:
    return lab.clients[HOST]


def opened(client: Client) -> dict[str, str]:
    answer = client.ask(f"{TRANSFER}Create", CMD, SHELL)
    return {"ShellId": answer.findtext(f".//{tag('w', 'Selector')}", "")}


def started(client: Client, shell: dict[str, str], line: str) -> str:
    body = f'<rsp:CommandLine xmlns:rsp="{RSP}"><rsp:Command>{line}</rsp:Command></rsp:CommandLine>'
    return client.ask(f"{RSP}/Command", CMD, body, selectors=shell).findtext(f".//{{{RSP}}}CommandId", "")


def received(client: Client, shell: dict[str, str], command: str, size: int = 512000) -> tuple[bytes, str]:
    """What came on stdout and stderr, and the state that was told."""
    wanted = f'<rsp:DesiredStream CommandId="{command}">stdout stderr</rsp:DesiredStream>'
    answer = client.ask(f"{RSP}/Receive", CMD, f'<rsp:Receive xmlns:rsp="{RSP}">{wanted}</rsp:Receive>', selectors=shell, size=size)
    streams = b"".join(base64.b64decode(stream.text or "") for stream in answer.iter(f"{{{RSP}}}Stream"))
    state = next(answer.iter(f"{{{RSP}}}CommandState")).get("State", "")
    return streams, state.rpartition("/")[2]


def test_what_a_command_writes_comes_in_parts_that_fit_into_a_message(lab: Lab) -> None:
    client = lab.clients[HOST]
    client.service.shells = Shells(lambda _line: Written(out=b"x" * 20000, err=b"y" * 10))
    shell = opened(client)
    command = started(client, shell, "any.exe")
    found = b""
    states: list[str] = []
    while states[-1:] != ["Done"]:
        part, state = received(client, shell, command, size=12000)
        found += part
        states.append(state)
    assert found == b"x" * 20000 + b"y" * 10
    assert states == ["Running"] * (len(states) - 1) + ["Done"]
    assert len(states) > 2


@pytest.mark.parametrize(
    ("action", "body"),
    [
        (f"{RSP}/Send", ""),
        (f"{TRANSFER}Put", SHELL),
        (f"{TRANSFER}Create", ""),
        (f"{TRANSFER}Create", SHELL.replace("stderr", "video")),
        (f"{RSP}/Create", SHELL),
    ],
)
def test_what_no_shell_knows_is_refused(client: Client, action: str, body: str) -> None:
    with pytest.raises(WsmanFault):
        client.ask(action, CMD, body)


def test_another_kind_of_shell_is_refused(client: Client) -> None:
    with pytest.raises(WsmanFault, match="There is no shell"):
        client.ask(f"{TRANSFER}Create", f"{RSP}/other", SHELL)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("del C:\\x", b"'del' is not recognized"),
        ("powershell.exe -Command 1", b"'powershell.exe' is not recognized"),
        (
            "powershell.exe -NoLogo -NoProfile -NonInteractive -ExecutionPolicy Bypass -EncodedCommand "
            + base64.b64encode("Remove-Item C:\\x".encode("utf-16-le")).decode(),
            b"does not know this script",
        ),
    ],
)
def test_any_other_command_does_nothing(line: str, why: bytes, tmp_path: Path) -> None:
    there = Files()
    there.put("C:\\x", StoredFile(tmp_path))
    done = there.run(line)
    assert (done.out, done.code) == (b"", 1)
    assert why in done.err
    assert list(there.there) == ["c:\\x"]


def test_shells_are_forgotten_by_a_machine_that_boots(lab: Lab) -> None:
    shell = opened(lab.clients[HOST])
    lab.set_cluster_service(HOST, "disabled")
    with pytest.raises(WsmanFault, match="the shell was not found"):
        started(lab.clients[HOST], shell, "any.exe")
