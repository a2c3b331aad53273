# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""PowerShell scripts on a Windows host, by the command shell of its WinRM service: create, command, receive, signal, delete.

Source: MS-WSMV 3.1.4.1 (text-based command shell). A script is for reading only: when an answer is lost, it is not sent again, and nobody
tells whether it ran.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import CrossvisorError, InvalidInput, RemoteError, TimedOut
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.limits import MIB
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.wsman import WsmanSession
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.wsman_envelope import (
    CREATE,
    DELETE,
    WSMAN,
    Element,
    Reference,
    element,
    local_name,
)

NAMESPACE = "http://schemas.microsoft.com/wbem/wsman/1/windows/shell"
CMD = f"{NAMESPACE}/cmd"
TERMINATE = f"{NAMESPACE}/signal/terminate"
LONGEST_SCRIPT = 2900
"""Characters: a command line of cmd.exe takes 8191, and each of these is 16 bits in base64."""
_POWERSHELL = "powershell.exe"
_ARGUMENTS = "-NoLogo -NoProfile -NonInteractive -ExecutionPolicy Bypass -EncodedCommand "
_UTF8 = "65001"
_DONE = "/CommandState/Done"
_MOST_OUTPUT = 16 * MIB


@dataclass(frozen=True)
class Output:
    """What a script has written, and how it ended."""

    out: bytes
    err: bytes
    code: int


class Shell:
    """A shell that lives as long as a `with` block. Methods raise the errors of `WsmanSession`."""

    def __init__(self, session: WsmanSession) -> None:
        self._session = session
        self._place = Reference(CMD)

    def __enter__(self) -> Shell:
        streams = [element("InputStreams", NAMESPACE, "stdin"), element("OutputStreams", NAMESPACE, "stdout stderr")]
        body = element("Shell", NAMESPACE, children=streams)
        made = self._session.act(CREATE, Reference(CMD), body, {"WINRS_NOPROFILE": "TRUE", "WINRS_CODEPAGE": _UTF8})
        self._place = Reference(CMD, {"ShellId": self._shell_id(made)})
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with contextlib.suppress(CrossvisorError):
            self._session.act(DELETE, self._place)

    def run(self, script: str, timeout: float) -> Output:
        """Run a script in PowerShell and wait for its end, `timeout` seconds at most; then it is ended and `TimedOut` is raised."""
        if len(script) > LONGEST_SCRIPT:
            raise InvalidInput(f"A script of {len(script)} characters is longer than the {LONGEST_SCRIPT} that a command line takes.")
        until = time.monotonic() + timeout
        command = self._start(base64.b64encode(script.encode("utf-16-le")).decode("ascii"))
        try:
            return self._output(command, until)
        finally:
            self._end(command)

    def _start(self, encoded: str) -> str:
        line = [element("Command", NAMESPACE, _POWERSHELL), element("Arguments", NAMESPACE, f"{_ARGUMENTS}{encoded}")]
        options = {"WINRS_CONSOLEMODE_STDIN": "TRUE", "WINRS_SKIP_CMD_SHELL": "FALSE"}
        answer = self._session.act(f"{NAMESPACE}/Command", self._place, element("CommandLine", NAMESPACE, children=line), options)
        found = answer.findtext(f"{{{NAMESPACE}}}CommandId") if answer is not None else None
        if not found:
            raise RemoteError(f"{self._session.connection} did not tell by which id the command runs that it was given.")
        return found.strip()

    def _output(self, command: str, until: float) -> Output:
        written: dict[str, bytearray] = {"stdout": bytearray(), "stderr": bytearray()}
        code: int | None = None
        while code is None:
            for item in self._received(command, until):
                if local_name(item) == "Stream" and item.get("Name") in written:
                    written[str(item.get("Name"))] += self._decoded(item.text or "")
                elif local_name(item) == "CommandState" and str(item.get("State")).endswith(_DONE):
                    code = self._code(item)
            if sum(map(len, written.values())) > _MOST_OUTPUT:
                raise RemoteError(f"A command on {self._session.connection} writes more than the {_MOST_OUTPUT} bytes that are read.")
        return Output(bytes(written["stdout"]), bytes(written["stderr"]), code)

    def _received(self, command: str, until: float) -> Iterator[Element]:
        """The next part of what a command writes; none while it writes nothing."""
        left = until - time.monotonic()
        if left <= 0:
            raise TimedOut(f"A command on {self._session.connection} did not end in time, and was ended.")
        wanted = element("DesiredStream", NAMESPACE, "stdout stderr", CommandId=command)
        body = element("Receive", NAMESPACE, children=[wanted])
        try:
            answer = self._session.act(f"{NAMESPACE}/Receive", self._place, body, timeout=min(left, self._session.connection.timeout))
        except TimedOut:
            return
        yield from answer if answer is not None else ()

    def _end(self, command: str) -> None:
        body = element("Signal", NAMESPACE, children=[element("Code", NAMESPACE, TERMINATE)], CommandId=command)
        with contextlib.suppress(CrossvisorError):
            self._session.act(f"{NAMESPACE}/Signal", self._place, body)

    def _shell_id(self, made: Element | None) -> str:
        for selector in made.iter(f"{{{WSMAN}}}Selector") if made is not None else ():
            if selector.get("Name") == "ShellId" and selector.text:
                return str(selector.text)
        raise RemoteError(f"{self._session.connection} did not tell by which id the shell is known that it was asked for.")

    def _code(self, ended: Element) -> int:
        told = (ended.findtext(f"{{{NAMESPACE}}}ExitCode") or "").strip()
        try:
            return int(told)
        except ValueError as error:
            raise RemoteError(f"{self._session.connection} did not tell how a command has ended: run this task again.") from error

    def _decoded(self, text: str) -> bytes:
        try:
            return base64.b64decode(text, validate=False)
        except binascii.Error as error:
            raise RemoteError(f"What a command on {self._session.connection} wrote came torn: run this task again.") from error
