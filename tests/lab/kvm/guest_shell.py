# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A guest of the lab as a test reaches it: by ssh, and by nothing that the code under test has made."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass

from tests.lab.kvm.daemon import eventually
from tests.lab.launch import Endpoint

CALL_SECONDS = 600.0
REBOOT_SECONDS = 900.0
DEVICE_SECONDS = 500
OPTIONS = (
    "BatchMode=yes", "StrictHostKeyChecking=yes", "IdentitiesOnly=yes", "LogLevel=ERROR", "ConnectTimeout=60", "ServerAliveInterval=5",
    "ServerAliveCountMax=24",
)  # fmt: skip
BOOT_ID = "/proc/sys/kernel/random/boot_id"


class CommandFailed(RuntimeError):
    """A command in a guest ended with an error, or the guest could not be reached; the text is ssh's."""


@dataclass(frozen=True)
class GuestShell:
    """One guest of a running KVM host."""

    host: Endpoint
    name: str

    @property
    def ssh_options(self) -> list[str]:
        """What ssh needs besides the destination ``root@127.0.0.1``."""
        named = [*OPTIONS, f"UserKnownHostsFile={self.host.known_hosts}"]
        return ["-i", self.host.key_path, "-p", str(self.host.ports[self.name]), *(part for option in named for part in ("-o", option))]

    def run(self, command: str) -> str:
        """Return what a shell command prints in the guest, without the last newline; raises CommandFailed."""
        line = ["ssh", *self.ssh_options, f"{self.host.username}@{self.host.hostname}", command]
        try:
            done = subprocess.run(line, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=CALL_SECONDS, check=False)
        except subprocess.TimeoutExpired as expired:
            raise CommandFailed(f"{self.name}: {command}: no answer in {CALL_SECONDS:.0f} s") from expired
        if done.returncode:
            raise CommandFailed(f"{self.name}: {command}: {done.returncode}: {done.stdout}{done.stderr}")
        return done.stdout.rstrip("\n")

    def device(self, link: str) -> str:
        """Return the device to which a link below /dev leads, once the guest has scanned the disk and udev has come to rest with it.

        The hypervisor is done with a disk before the guest is. Raises CommandFailed when the link does not come.
        """
        return self.run(f"udevadm wait --settle --timeout={DEVICE_SECONDS} {link} && readlink -f {link}")

    def boot_id(self) -> str:
        """Return what is another after every boot; raises CommandFailed."""
        return self.run(f"cat {BOOT_ID}")

    def wait_for_reboot(self, before: str) -> None:
        """Return when the guest has booted to the end after another boot than ``before``; raises TimeoutError and CommandFailed.

        ssh answers before all is mounted that may also be missing.
        """
        eventually(lambda: self._answers_after(before), REBOOT_SECONDS, f"{self.name} has not come back")
        self.run("systemctl is-system-running --wait >/dev/null || true")

    def _answers_after(self, before: str) -> bool:
        try:
            return self.boot_id() != before
        except CommandFailed:
            return False
