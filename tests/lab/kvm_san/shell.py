# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A machine of the lab as a test reaches it: by ssh, over one connection that is kept."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CALL_SECONDS = 600.0
CONFIGURATION = "ssh_config"
KNOWN_HOSTS = "known_hosts_local"
"""By what the machines are known on 127.0.0.1."""
COMMAND = "ssh"
"""An ssh that knows the machines by their names."""


class CommandFailed(RuntimeError):
    """A command in a machine ended with an error, or the machine could not be reached; the text is its own."""


def write_configuration(directory: Path, ports: dict[str, int]) -> None:
    """Write by what ``ssh -F`` reaches every machine by its name, and how each proves itself on 127.0.0.1."""
    public = " ".join((directory / "host_key.pub").read_text().split()[:2])
    known_hosts = "".join(f"[127.0.0.1]:{port} {public}\n" for port in ports.values())
    common = {
        "HostName": "127.0.0.1", "User": "root", "IdentityFile": directory / "key", "IdentitiesOnly": "yes", "BatchMode": "yes",
        "UserKnownHostsFile": directory / KNOWN_HOSTS, "StrictHostKeyChecking": "yes", "LogLevel": "ERROR", "ConnectTimeout": 20,
        "ServerAliveInterval": 15, "ServerAliveCountMax": 4,
    }  # fmt: skip
    hosts = [f"Host {name}\n    Port {port}" for name, port in ports.items()]
    lines = [*hosts, "Host *", *(f'    {key} "{value}"' for key, value in common.items())]
    command = f'#!/bin/sh\nexec ssh -F {shlex.quote(str(directory / CONFIGURATION))} "$@"\n'
    for name, text, mode in ((KNOWN_HOSTS, known_hosts, 0o600), (CONFIGURATION, "\n".join([*lines, ""]), 0o600), (COMMAND, command, 0o700)):
        _put(directory / name, text, mode)


def _put(file: Path, text: str, mode: int) -> None:
    """Have a file with this text, of which nobody who reads it meanwhile finds a part."""
    beside = file.with_name(f"{file.name}.new")
    beside.write_text(text)
    beside.chmod(mode)
    beside.replace(file)


@dataclass(frozen=True)
class Shell:
    """One machine of the lab in ``directory``."""

    directory: Path
    name: str

    def run(self, command: Sequence[str] | str, stdin: str = "", seconds: float = CALL_SECONDS) -> str:
        """Return what a command, or a line of shell, prints in the machine, without the last newline; raises CommandFailed."""
        self._connect()
        line = command if isinstance(command, str) else shlex.join(command)
        try:
            done = self._run([self.name, line], input=stdin, capture_output=True, text=True, timeout=seconds)
        except subprocess.TimeoutExpired as expired:
            raise CommandFailed(f"{self.name}: {line}: no answer in {seconds:.0f} s") from expired
        if done.returncode:
            raise CommandFailed(f"{self.name}: {line}: {done.returncode}: {done.stdout}{done.stderr}")
        return str(done.stdout).rstrip("\n")

    def answers(self) -> bool:
        """Return whether ssh answers."""
        try:
            self._connect()
        except CommandFailed:
            return False
        return True

    def disconnect(self) -> None:
        """End the connection that is kept, if there is one."""
        self._control("exit")

    def _connect(self) -> None:
        """Have the connection that is kept; raises CommandFailed."""
        if self._control("check"):
            return
        log = self.directory / f"{self.name}.ssh.log"
        with log.open("wb") as output:  # not a pipe: what stays in the background would hold it open
            done = self._run(["-M", "-f", "-N", self.name], stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        if done.returncode:
            raise CommandFailed(f"{self.name} cannot be reached: {log.read_text().strip()}")

    def _control(self, request: str) -> bool:
        return self._run(["-O", request, self.name], stdin=subprocess.DEVNULL, capture_output=True).returncode == 0

    def _run(self, arguments: Sequence[str], **options: Any) -> subprocess.CompletedProcess[Any]:
        """Run ssh in the lab's directory, because the name of a socket may have 107 octets and that of a directory more."""
        line = ["ssh", "-F", CONFIGURATION, "-o", f"ControlPath={self.name}.ssh", *arguments]
        return subprocess.run(line, cwd=self.directory, check=False, **options)
