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
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.live.modules import COLLECTIONS

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

    @property
    def shown(self) -> str:
        """The last message that a task showed."""
        return str(_SHOWN.findall(self.output)[-1])

    @property
    def statistics(self) -> dict[str, Any]:
        """What the playbook handed to its workflow, of the only host."""
        text = self.output.partition("CUSTOM STATS: ")[2].partition(": ")[2]
        stats: dict[str, Any] = json.JSONDecoder().raw_decode(text.strip())[0]
        return stats


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
                    os.killpg(running.pid, signal.SIGKILL)
                    break
        return Run(running.returncode, "".join(printed))

    def ad_hoc(self, *arguments: str, environment: Mapping[str, str] | None = None) -> Run:
        """`ansible ARGUMENTS`."""
        return self._run("ansible", *arguments, environment=environment)

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
            "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS),
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_LOCALHOST_WARNING": "0",
            "ANSIBLE_INVENTORY_UNPARSED_WARNING": "0",
            "ANSIBLE_SHOW_CUSTOM_STATS": "1",
        }


def _extra(variables: Mapping[str, Any]) -> list[str]:
    return ["-e", json.dumps(variables)] if variables else []
