# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""QEMU's machine protocol (QMP): one command, one answer."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from types import TracebackType
from typing import Any

CALL_SECONDS = 600.0


class MonitorFailed(RuntimeError):
    """QEMU refused a command or does not answer; the text names the machine."""


class Monitor:
    """A connection to one running QEMU, as a context."""

    def __init__(self, directory: Path, name: str) -> None:
        self._directory, self._name = directory, name
        self._socket = socket.socket(socket.AF_UNIX)

    def __enter__(self) -> Monitor:
        """Connect; raises MonitorFailed."""
        self._socket.settimeout(CALL_SECONDS)
        try:
            self._connect()
            self._lines = self._socket.makefile("rb")
            self._lines.readline()
            self.call("qmp_capabilities")
        except OSError as error:
            self._socket.close()
            raise MonitorFailed(f"QEMU of {self._name} cannot be reached: {error}") from error
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Disconnect."""
        self._lines.close()
        self._socket.close()

    def call(self, command: str, /, **arguments: Any) -> Any:
        """Return what QEMU answers; raises MonitorFailed."""
        try:
            self._socket.sendall(json.dumps({"execute": command, "arguments": arguments}).encode())
            answer = self._answer()
        except (OSError, ValueError) as error:
            raise MonitorFailed(f"QEMU of {self._name} did not answer {command}: {error}") from error
        if "error" in answer:
            raise MonitorFailed(f"QEMU of {self._name} refused {command}: {answer['error']['desc']}")
        return answer["return"]

    def _answer(self) -> Any:
        """Return the next line that is no event."""
        while True:
            answer = json.loads(self._lines.readline())
            if "event" not in answer:
                return answer

    def _connect(self) -> None:
        """Connect by way of the directory: the name of a socket may have 107 octets, a directory more."""
        directory = os.open(self._directory, os.O_PATH)
        try:
            self._socket.connect(f"/proc/self/fd/{directory}/{self._name}.qmp")
        finally:
            os.close(directory)
