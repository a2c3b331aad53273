# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The command shell of a machine's WinRM service: create, command, receive, signal, delete (MS-WSMV 3.1.4.1.31 and what is around it).

A command runs when it is asked for, and has ended before the answer; what it has written is received in parts that fit into a message.
"""

from __future__ import annotations

import base64
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tests.lab.hyperv.faults import refuse
from tests.lab.hyperv.soap import ANONYMOUS, PREFIXES, Node, Request

RSP = "http://schemas.microsoft.com/wbem/wsman/1/windows/shell"
CMD = f"{RSP}/cmd"
MOST_SHELLS = 30
"""MaxShellsPerUser of a WinRM service as it is installed."""
LONGEST_LINE = 8191
"""Characters that cmd.exe takes."""
OPTIONS = {
    "Create": ("WINRS_NOPROFILE", "WINRS_CODEPAGE"),
    "Command": ("WINRS_CONSOLEMODE_STDIN", "WINRS_SKIP_CMD_SHELL"),
    "Receive": ("WSMAN_CMDSHELL_OPTION_KEEPALIVE",),
}
SIGNALS = tuple(f"{RSP}/signal/{name}" for name in ("terminate", "ctrl_c", "ctrl_break"))
_OVERHEAD = 4000
"""Bytes of a message beside what a command has written."""


@dataclass(frozen=True)
class Written:
    """What a program has written, and how it ended."""

    out: bytes = b""
    err: bytes = b""
    code: int = 0


Run = Callable[[str], Written]
"""A command line → what it does, on one machine."""


@dataclass
class _Command:
    id: str
    code: int
    left: list[tuple[str, bytes]]


@dataclass
class _Shell:
    commands: dict[str, _Command] = field(default_factory=dict)


class Shells:
    """The shells of one machine; the programs are what `run` knows."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._shells: dict[str, _Shell] = {}

    @property
    def open(self) -> int:
        """How many shells somebody has left open."""
        return len(self._shells)

    def answer(self, request: Request, verb: str) -> str:
        """Return the body of an answer; raises WsmanFault."""
        handlers: Mapping[str, Callable[[Request], str]] = {
            "Create": self._create,
            "Command": self._command,
            "Receive": self._receive,
            "Signal": self._signal,
            "Delete": self._delete,
        }
        if verb not in handlers:
            raise refuse("ActionNotSupported")
        unknown = [name for name in request.options if name not in OPTIONS.get(verb, ())]
        if unknown:
            raise refuse("InvalidOptions", f"{', '.join(unknown)}. ")
        return handlers[verb](request)

    def _create(self, request: Request) -> str:
        if request.selectors:
            raise refuse("UnexpectedSelectors")
        body = _expected(request, "Shell")
        for name, known in (("InputStreams", {"stdin"}), ("OutputStreams", {"stdout", "stderr"})):
            if not set(body.findtext(f"{{{RSP}}}{name}", "").split()) <= known:
                raise refuse("SchemaValidationError", f"{name} has a stream that a shell does not have. ")
        if len(self._shells) == MOST_SHELLS:
            raise refuse("TooManyShells")
        name = str(uuid.uuid4()).upper()
        self._shells[name] = _Shell()
        return (
            f'<x:ResourceCreated xmlns:x="{PREFIXES["x"]}"><a:Address>{ANONYMOUS}</a:Address><a:ReferenceParameters>'
            f'<w:ResourceURI>{CMD}</w:ResourceURI><w:SelectorSet><w:Selector Name="ShellId">{name}</w:Selector></w:SelectorSet>'
            f'</a:ReferenceParameters></x:ResourceCreated><rsp:Shell xmlns:rsp="{RSP}"><rsp:ShellId>{name}</rsp:ShellId></rsp:Shell>'
        )

    def _command(self, request: Request) -> str:
        shell, body = self._shell(request), _expected(request, "CommandLine")
        words = [body.findtext(f"{{{RSP}}}Command", ""), *(found.text or "" for found in body.findall(f"{{{RSP}}}Arguments"))]
        line = " ".join(word for word in words if word)
        if not words[0]:
            raise refuse("SchemaValidationError", "Command is missing. ")
        if request.options.get("WINRS_SKIP_CMD_SHELL", "FALSE").upper() == "TRUE":
            raise refuse("InvalidOptions", "The lab runs programs by cmd.exe only. ")
        done = self._run(line) if len(line) <= LONGEST_LINE else Written(err=b"The command line is too long.\r\n", code=1)
        written = [(name, data) for name, data in (("stdout", done.out), ("stderr", done.err)) if data]
        made = _Command(str(uuid.uuid4()).upper(), done.code, written)
        shell.commands[made.id] = made
        return f'<rsp:CommandResponse xmlns:rsp="{RSP}"><rsp:CommandId>{made.id}</rsp:CommandId></rsp:CommandResponse>'

    def _receive(self, request: Request) -> str:
        shell, body = self._shell(request), _expected(request, "Receive")
        wanted = body.find(f"{{{RSP}}}DesiredStream")
        if wanted is None or not set((wanted.text or "").split()) <= {"stdout", "stderr"}:
            raise refuse("SchemaValidationError")
        command = _known(shell, wanted.get("CommandId", ""))
        parts, room = "", (request.envelope_bytes - _OVERHEAD) // 4 * 3
        while command.left and room > 0:
            name, data = command.left.pop(0)
            if len(data) > room:
                command.left.insert(0, (name, data[room:]))
            parts += f'<rsp:Stream Name="{name}" CommandId="{command.id}">{base64.b64encode(data[:room]).decode()}</rsp:Stream>'
            room -= len(data)
        if command.left:
            return f'<rsp:ReceiveResponse xmlns:rsp="{RSP}">{parts}{_state(command.id, "Running")}</rsp:ReceiveResponse>'
        ends = "".join(f'<rsp:Stream Name="{name}" CommandId="{command.id}" End="true"></rsp:Stream>' for name in ("stdout", "stderr"))
        state = _state(command.id, "Done", f"<rsp:ExitCode>{command.code}</rsp:ExitCode>")
        return f'<rsp:ReceiveResponse xmlns:rsp="{RSP}">{parts}{ends}{state}</rsp:ReceiveResponse>'

    def _signal(self, request: Request) -> str:
        shell, body = self._shell(request), _expected(request, "Signal")
        if body.findtext(f"{{{RSP}}}Code", "") not in SIGNALS:
            raise refuse("SchemaValidationError", "There is no such signal. ")
        del shell.commands[_known(shell, body.get("CommandId", "")).id]
        return f'<rsp:SignalResponse xmlns:rsp="{RSP}"/>'

    def _delete(self, request: Request) -> str:
        self._shell(request)
        del self._shells[request.selectors["ShellId"]]
        return ""

    def _shell(self, request: Request) -> _Shell:
        name = request.selectors.get("ShellId", "")
        if set(request.selectors) != {"ShellId"} or name not in self._shells:
            raise refuse("ShellNotFound", f"It is {name}. ")
        return self._shells[name]


def _known(shell: _Shell, name: str) -> _Command:
    if name not in shell.commands:
        raise refuse("CommandNotFound")
    return shell.commands[name]


def _expected(request: Request, name: str) -> Node:
    if request.body is None or request.body.tag != f"{{{RSP}}}{name}":
        raise refuse("SchemaValidationError")
    return request.body


def _state(command: str, state: str, inside: str = "") -> str:
    return f'<rsp:CommandState CommandId="{command}" State="{RSP}/CommandState/{state}">{inside}</rsp:CommandState>'
