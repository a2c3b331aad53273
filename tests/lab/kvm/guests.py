# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Running guests: started, waited for, given a key, suspended into a file and resumed from it elsewhere."""

from __future__ import annotations

import base64
import json
import shutil
import socket
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.lab.kvm.daemon import Libvirt, LibvirtFailed, eventually
from tests.lab.kvm.domains import moved_guest

BOOT_SECONDS = 900.0
RESUME_SECONDS = 600.0
CONNECT_SECONDS = 30.0
USER = "root"


@dataclass(frozen=True)
class Suspended:
    """A guest that was suspended right after its first boot: memory and disk belong together."""

    memory: Path
    disk: Path


def overlay(base: Path, image: Path, form: str, size: int | None = None) -> None:
    """Create a qcow2 image on top of ``base``, whose format is ``form``."""
    create = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", form, "-b", str(base), str(image), *([str(size)] if size else [])]
    subprocess.run(create, check=True, stdin=subprocess.DEVNULL)


def wait_until_up(libvirt: Libvirt, name: str, ssh_port: int, seconds: float) -> None:
    """Return when the guest's agent and ssh answer; raises TimeoutError after ``seconds``."""
    eventually(lambda: agent_answers(libvirt, name), seconds, f"the guest agent of {name} does not answer")
    eventually(lambda: _greets(ssh_port), seconds, f"ssh of {name} does not answer")


def agent_answers(libvirt: Libvirt, name: str) -> bool:
    """Return whether the guest agent answers."""
    return libvirt.succeeds("qemu-agent-command", "--timeout", "5", name, '{"execute": "guest-ping"}')


def suspend(libvirt: Libvirt, name: str, image: Path, suspended: Suspended) -> None:
    """Stop the guest and keep its memory and disk."""
    libvirt.virsh("save", name, str(suspended.memory))
    shutil.move(image, suspended.disk)


def resume(libvirt: Libvirt, name: str, suspended: Suspended, image: Path, ssh_port: int) -> None:
    """Define and resume the guest with a copy of the suspended disk in ``image``; return when it can be reached and knows the time."""
    shutil.copyfile(suspended.disk, image)
    definition = image.with_suffix(".xml")
    definition.write_text(moved_guest(libvirt.virsh("save-image-dumpxml", str(suspended.memory)), image, ssh_port))
    libvirt.virsh("define", str(definition))
    libvirt.virsh("restore", str(suspended.memory), "--xml", str(definition))
    definition.unlink()
    wait_until_up(libvirt, name, ssh_port, RESUME_SECONDS)
    libvirt.virsh("domtime", name, "--now")


def admit(libvirt: Libvirt, name: str, public_key: Path) -> None:
    """Let the owner of the key, and nobody else, in by ssh."""
    libvirt.virsh("set-user-sshkeys", name, USER, "--file", str(public_key), "--reset")


def host_key(libvirt: Libvirt, name: str) -> str:
    """Return the public key by which the guest's ssh proves itself, as its agent reads it."""
    return " ".join(_read(libvirt, name, "/etc/ssh/ssh_host_ed25519_key.pub").split()[:2])


def processes_begun(libvirt: Libvirt, name: str) -> int | None:
    """Return how many processes the guest's kernel has begun since its boot, or None where the agent does not tell.

    Whoever logs in begins one, and so does udev when a device comes or goes, but what the agent alone is asked begins none
    (``/proc/stat``: Linux, Documentation/filesystems/proc.rst). An agent that holds file systems still opens no file.
    """
    try:
        told = _read(libvirt, name, "/proc/stat", "--timeout", "5")
    except LibvirtFailed:
        return None
    return next((int(line.split()[1]) for line in told.splitlines() if line.startswith("processes ")), None)


def _read(libvirt: Libvirt, name: str, path: str, *options: str) -> str:
    handle = _agent(libvirt, name, options, "guest-file-open", path=path)
    content = _agent(libvirt, name, options, "guest-file-read", handle=handle)
    _agent(libvirt, name, options, "guest-file-close", handle=handle)
    return base64.b64decode(content["buf-b64"]).decode()


def _agent(libvirt: Libvirt, name: str, options: Iterable[str], command: str, **arguments: Any) -> Any:
    asked = json.dumps({"execute": command, "arguments": arguments})
    answer = json.loads(libvirt.virsh("qemu-agent-command", *options, name, asked))
    if "return" not in answer:
        raise LibvirtFailed(f"{command} of {name}: {answer}")
    return answer["return"]


def _greets(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=CONNECT_SECONDS) as connection:
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False
