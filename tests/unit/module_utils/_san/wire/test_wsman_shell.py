# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A shell over WS-Management: what is sent, what is made of parts, late and torn answers, and that nothing is left open."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import (
    ConnectionFailed,
    InvalidInput,
    RemoteError,
    TimedOut,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire import wsman_shell
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.wsman import WsmanSession
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.wsman_shell import LONGEST_SCRIPT, NAMESPACE, Shell
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.wsman_transport import NTLM
from tests.unit.wsman import Answer, Endpoint, fault, message

pytestmark = pytest.mark.slow

RSP = f'xmlns:rsp="{NAMESPACE}"'
MADE = message(f'<rsp:Shell {RSP}><w:Selector Name="ShellId">S-1</w:Selector></rsp:Shell>')
STARTED = message(f"<rsp:CommandResponse {RSP}><rsp:CommandId>C-1</rsp:CommandId></rsp:CommandResponse>")
NOTHING = message("")
LATE = fault(2150858793, "The operation timed out.", "w:TimedOut")
LOST = Answer(drop=True)


def received(*streams: tuple[str, bytes], code: int | None = None) -> bytes:
    parts = "".join(f'<rsp:Stream Name="{name}">{base64.b64encode(data).decode()}</rsp:Stream>' for name, data in streams)
    state = "Running" if code is None else "Done"
    ended = "" if code is None else f"<rsp:ExitCode>{code}</rsp:ExitCode>"
    state_ = f'<rsp:CommandState State="{NAMESPACE}/CommandState/{state}">{ended}</rsp:CommandState>'
    return message(f"<rsp:ReceiveResponse {RSP}>{parts}{state_}</rsp:ReceiveResponse>")


@pytest.fixture
def session(windows: Endpoint) -> Iterator[WsmanSession]:
    opened = WsmanSession(windows.connection, NTLM)
    yield opened
    opened.close()


def actions(windows: Endpoint) -> list[str]:
    return [re.findall(r"<a:Action[^>]*>[^<]*/(\w+)<", text.decode())[0] for text in windows.messages]


def test_a_script_is_run_and_its_parts_are_put_together(windows: Endpoint, session: WsmanSession) -> None:
    parts = received(("stdout", b"one "), ("stderr", b"no")), received(("stdout", b"two"), ("other", b"?"), code=3)
    windows.answer(MADE, STARTED, LATE, *parts, NOTHING, NOTHING)
    with Shell(session) as shell:
        done = shell.run("'é'", 5.0)
    assert (done.out, done.err, done.code) == (b"one two", b"no", 3)
    assert actions(windows) == ["Create", "Command", "Receive", "Receive", "Receive", "Signal", "Delete"]
    command = windows.messages[1].decode()
    assert ">S-1<" in command
    encoded = base64.b64encode("'é'".encode("utf-16-le")).decode()
    assert f"-EncodedCommand {encoded}<" in command
    assert '<w:Option Name="WINRS_CODEPAGE">65001</w:Option>' in windows.messages[0].decode()
    assert 'CommandId="C-1"' in windows.messages[5].decode()


def test_a_shell_is_deleted_also_when_a_command_is_lost(windows: Endpoint, session: WsmanSession) -> None:
    windows.answer(MADE, STARTED, LOST, NOTHING, NOTHING)
    with pytest.raises(ConnectionFailed), Shell(session) as shell:
        shell.run("1", 5.0)
    assert actions(windows) == ["Create", "Command", "Receive", "Signal", "Delete"]


def test_a_command_that_does_not_end_in_time_is_ended(windows: Endpoint, session: WsmanSession) -> None:
    windows.answer(MADE, STARTED, NOTHING, NOTHING)
    with pytest.raises(TimedOut, match="did not end in time, and was ended"), Shell(session) as shell:
        shell.run("1", 0.0)
    assert actions(windows) == ["Create", "Command", "Signal", "Delete"]


def test_a_shell_that_is_refused_is_no_shell(windows: Endpoint, session: WsmanSession) -> None:
    windows.answer(fault(2150859174, "This user has too many shells.", "w:QuotaLimit"))
    with pytest.raises(RemoteError, match="too many shells"), Shell(session):
        pass
    assert actions(windows) == ["Create"]


@pytest.mark.parametrize(
    ("answers", "why"),
    [
        ((message(f"<rsp:Shell {RSP}/>"),), "by which id the shell"),
        ((NOTHING,), "by which id the shell"),
        ((MADE, message(f"<rsp:CommandResponse {RSP}/>"), NOTHING), "by which id the command"),
        ((MADE, STARTED, received(("stdout", b"x" * 50)), NOTHING, NOTHING), "writes more than the 40 bytes"),
    ],
)
def test_answers_that_are_none_are_refused(
    answers: tuple[bytes, ...], why: str, windows: Endpoint, session: WsmanSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wsman_shell, "_MOST_OUTPUT", 40)
    windows.answer(*answers)
    with pytest.raises(RemoteError, match=why), Shell(session) as shell:
        shell.run("1", 5.0)


def test_a_script_that_no_command_line_takes_is_not_sent(windows: Endpoint, session: WsmanSession) -> None:
    windows.answer(MADE, NOTHING)
    with pytest.raises(InvalidInput, match="is longer than"), Shell(session) as shell:
        shell.run("x" * (LONGEST_SCRIPT + 1), 5.0)
    assert actions(windows) == ["Create", "Delete"]


@pytest.mark.parametrize("code", ["", "<rsp:ExitCode/>", "<rsp:ExitCode>one</rsp:ExitCode>"])
def test_an_end_without_a_number_is_no_success(code: str, windows: Endpoint, session: WsmanSession) -> None:
    state = f'<rsp:CommandState State="{NAMESPACE}/CommandState/Done">{code}</rsp:CommandState>'
    windows.answer(MADE, STARTED, message(f"<rsp:ReceiveResponse {RSP}>{state}</rsp:ReceiveResponse>"), NOTHING, NOTHING)
    with pytest.raises(RemoteError, match="did not tell how a command has ended: run this task again"), Shell(session) as shell:
        shell.run("1", 5.0)
    assert actions(windows)[-2:] == ["Signal", "Delete"]
