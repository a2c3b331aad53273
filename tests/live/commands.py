# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ansible's commands as a user types them, with the collection installed and nothing else in the environment."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.live.modules import COLLECTIONS, ROOT
from tests.processes import ended

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
            with ended(running):
                for line in running.stdout:
                    printed.append(line)
                    if line.startswith(moment):
                        break
                else:
                    running.wait(self._seconds)
        return Run(running.returncode, "".join(printed))

    @contextmanager
    def started(self, name: str, *arguments: str, **variables: Any) -> Iterator[subprocess.Popen[str]]:
        """The same while it runs, to be read line by line; what still runs when the block ends is killed."""
        command = [str(_BINARIES / "ansible-playbook"), name, *_extra(variables), *arguments]
        with subprocess.Popen(command, start_new_session=True, **self._surroundings(None)) as running, ended(running):
            yield running

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
        with subprocess.Popen([str(_BINARIES / program), *arguments], **self._surroundings(environment)) as running, ended(running):
            output, _none = running.communicate(timeout=self._seconds)
        return Run(running.returncode, output)

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
