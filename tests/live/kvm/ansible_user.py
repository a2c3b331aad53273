# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ansible as the administrator of the KVM host and its guests has it: the lab's inventory, and a guest to look into."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.lab.inventory import inventory
from tests.live.commands import Commands, Run
from tests.live.lab import KvmLab

GIB = 1 << 30
GUEST = "lnx01"
MOUNT = "/srv/data"
EMULATED_SECONDS = 600.0  # for a play in a guest whose processor is emulated, on a machine that has other work
_INVENTORY = ("-i", "inventory.json")


@dataclass(frozen=True)
class User:
    """One who runs Ansible against the lab, and knows the guest lnx01."""

    lab: KvmLab
    ansible: Commands
    environment: Mapping[str, str]

    def play(self, name: str, *arguments: str, **variables: Any) -> Run:
        """Run a playbook."""
        return self.ansible.playbook(name, *_INVENTORY, *arguments, environment=self.environment, **variables)

    def kill(self, task: str, name: str, **variables: Any) -> Run:
        """Run a playbook that gets SIGKILL, with all its processes on this machine, as soon as it says that this task begins."""
        return self.ansible.killed(f"TASK [{task}]", name, *_INVENTORY, environment=self.environment, **variables)

    def module(self, name: str, **arguments: Any) -> dict[str, Any]:
        """What a module returns in the guest."""
        given = ("-a", json.dumps(arguments)) if arguments else ()
        run = self.ansible.ad_hoc(GUEST, *_INVENTORY, "-m", f"crossvisor.san.{name}", *given, environment=self.environment)
        result: dict[str, Any] = json.loads(run.output.partition(" => ")[2])
        return result

    def guest(self, command: str) -> str:
        """What a command prints in the guest."""
        return self.lab.guest(GUEST, command)


@contextmanager
def administrator(lab: KvmLab, directory: Path, seconds: float = EMULATED_SECONDS) -> Iterator[User]:
    """One who works in a directory of his own, and waits so long for a play."""
    with tempfile.TemporaryDirectory() as sockets:
        file = directory / "inventory.json"
        file.touch(mode=0o600)
        file.write_text(json.dumps(inventory(lab.endpoints)))
        environment = {"ANSIBLE_PIPELINING": "1", "ANSIBLE_TIMEOUT": "60", "ANSIBLE_SSH_CONTROL_PATH_DIR": sockets}
        yield User(lab, Commands(directory, seconds), environment)
