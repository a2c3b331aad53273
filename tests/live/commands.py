# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ansible's commands as a user types them, with the collection installed and nothing else in the environment."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.live.modules import COLLECTIONS, ROOT

TIMEOUT_SECONDS = 120
_RECAP = re.compile(r"^(?P<host>\S+) +: (?P<counts>ok=.*)$", re.MULTILINE)
_SHOWN = re.compile(r'"msg": "(?P<message>.*)"')
_BINARIES = Path(sys.executable).parent


@dataclass(frozen=True)
class Run:
    """How a command ended."""

    code: int
    output: str

    @property
    def counts(self) -> dict[str, int]:
        """The recap of the only host: ok, changed, failed, …"""
        (recap,) = _RECAP.finditer(self.output)
        return {name: int(number) for name, number in (pair.split("=") for pair in recap["counts"].split())}

    def count(self, name: str) -> dict[str, int]:
        """One number of the recap, such as `changed`, by host."""
        return {row["host"]: int(dict(pair.split("=") for pair in row["counts"].split())[name]) for row in _RECAP.finditer(self.output)}

    @property
    def shown(self) -> str:
        """The last message that a task showed."""
        return str(_SHOWN.findall(self.output)[-1])

    @property
    def actions(self) -> list[str]:
        """What the tasks of a run with `-vvv` say that they did, or in check mode would do."""
        decoder = json.JSONDecoder()
        return [action for text in self.output.split('"actions": ')[1:] for action in decoder.raw_decode(text)[0]]

    @property
    def statistics(self) -> dict[str, Any]:
        """What the playbook handed to its workflow."""
        text = self.output.partition("CUSTOM STATS: ")[2].partition("RUN: ")[2]
        stats: dict[str, Any] = json.JSONDecoder().raw_decode(text)[0]
        return stats

    @property
    def disk(self) -> dict[str, Any]:
        """The disk that the playbook handed to its workflow, of the only host."""
        (disk,) = self.statistics["crossvisor_disks"].values()
        return dict(disk)


class Commands:
    """Runs Ansible in a directory of its own."""

    def __init__(self, directory: Path, seconds: float = TIMEOUT_SECONDS) -> None:
        self.directory = directory
        self._seconds = seconds

    def playbook(self, name: str, *arguments: str, environment: Mapping[str, str] | None = None, **variables: Any) -> Run:
        """`ansible-playbook NAME -e VARIABLES ARGUMENTS`; does not care how it ends."""
        return self._run("ansible-playbook", name, *_extra(variables), *arguments, environment=environment)

    def killed(self, moment: str, name: str, *arguments: str, environment: Mapping[str, str] | None = None, **variables: Any) -> Run:
        """The same, but all its processes get SIGKILL as soon as it prints a line that begins so."""
        command = [str(_BINARIES / "ansible-playbook"), name, *_extra(variables), *arguments]
        printed = []
        with subprocess.Popen(command, start_new_session=True, **self._surroundings(environment)) as running:
            assert running.stdout is not None
            for line in running.stdout:
                printed.append(line)
                if line.startswith(moment):
                    kill_family(running.pid)
                    break
        return Run(running.returncode, "".join(printed))

    @contextmanager
    def started(self, name: str, *arguments: str, **variables: Any) -> Iterator[subprocess.Popen[str]]:
        """The same while it runs, to be read line by line; what still runs when the block ends is killed."""
        command = [str(_BINARIES / "ansible-playbook"), name, *_extra(variables), *arguments]
        with subprocess.Popen(command, start_new_session=True, **self._surroundings(None)) as running:
            try:
                yield running
            finally:
                if running.poll() is None:
                    kill_family(running.pid)

    def ad_hoc(self, *arguments: str, environment: Mapping[str, str] | None = None) -> Run:
        """`ansible ARGUMENTS`."""
        return self._run("ansible", *arguments, environment=environment)

    def inventory(self, *arguments: str, environment: Mapping[str, str] | None = None) -> Run:
        """`ansible-inventory ARGUMENTS`."""
        return self._run("ansible-inventory", *arguments, environment=environment)

    def vault(self, *arguments: str) -> Run:
        """`ansible-vault ARGUMENTS`."""
        return self._run("ansible-vault", *arguments, environment=None)

    def documentation(self, *arguments: str) -> Run:
        """`ansible-doc ARGUMENTS`."""
        return self._run("ansible-doc", *arguments, environment=None)

    def _run(self, program: str, *arguments: str, environment: Mapping[str, str] | None) -> Run:
        ended = subprocess.run(
            [str(_BINARIES / program), *arguments], check=False, timeout=self._seconds, **self._surroundings(environment)
        )
        return Run(ended.returncode, ended.stdout)

    def _surroundings(self, environment: Mapping[str, str] | None) -> dict[str, Any]:
        return {
            "cwd": self.directory,
            "env": {**self._environment(), **(environment or {})},
            "stdin": subprocess.DEVNULL,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.STDOUT,
            "text": True,
        }

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": f"{_BINARIES}:{os.environ['PATH']}",
            "HOME": str(self.directory),
            "LC_ALL": "C.UTF-8",
            "PYTHONPYCACHEPREFIX": str(ROOT / "build" / ".pycache"),
            "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS),
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_LOCALHOST_WARNING": "0",
            "ANSIBLE_INVENTORY_UNPARSED_WARNING": "0",
            "ANSIBLE_SHOW_CUSTOM_STATS": "1",
        }


def _extra(variables: Mapping[str, Any]) -> list[str]:
    return ["-e", json.dumps(variables)] if variables else []


def kill_family(pid: int) -> None:
    """Send SIGKILL to a process and all its descendants, also those that began a session of their own; none can fork away meanwhile."""
    for member in _stopped_family(pid):
        with suppress(ProcessLookupError):
            os.kill(member, signal.SIGKILL)


def kill_module(pid: int) -> bool:
    """Send SIGKILL to the module that a playbook runs on this machine; tell whether there was one."""
    for member in _family(pid):
        if (b"AnsiballZ_" in _command(member) or _is_fork_of_a_worker(member, pid)) and not _children(member):
            with suppress(ProcessLookupError):
                os.kill(member, signal.SIGKILL)
                return True
    return False


def _is_fork_of_a_worker(pid: int, playbook: int) -> bool:
    """Whether this is a module that runs in a worker of the playbook: its grandchild, by the same command."""
    return _parent(_stat(_parent(_stat(pid)))) == playbook and _command(pid) == _command(playbook)


def _stopped_family(pid: int) -> list[int]:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGSTOP)
    return [pid, *(member for child in _children(pid) for member in _stopped_family(child))]


def _family(pid: int) -> list[int]:
    return [pid, *(member for child in _children(pid) for member in _family(child))]


def _children(pid: int) -> list[int]:
    return [int(stat.parent.name) for stat in Path("/proc").glob("[0-9]*/stat") if _parent(stat) == pid]


def _stat(pid: int) -> Path:
    return Path(f"/proc/{pid}/stat")


def _parent(stat: Path) -> int:
    with suppress(OSError):
        return int(stat.read_text(errors="replace").rpartition(")")[2].split()[1])
    return 0


def _command(pid: int) -> bytes:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""
