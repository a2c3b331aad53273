# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A libvirtd of the lab's own, which neither knows nor touches the one of the system; asked by virsh."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

ISOLATED = Path(__file__).with_name("isolated.sh")
START_SECONDS = 300.0
CALL_SECONDS = 600.0
POLL_SECONDS = 0.1
SOCKET = "libvirt-sock"

CONFIGURATION = {
    "libvirtd.conf": ['unix_sock_dir = "/run/libvirt"', 'auth_unix_rw = "none"', 'auth_unix_ro = "none"', 'log_outputs = "3:stderr"'],
    "qemu.conf": [
        'user = "root"', 'group = "root"', 'security_driver = "none"', "dynamic_ownership = 0", "remember_owner = 0",
        "cgroup_controllers = []", "namespaces = []", 'stdio_handler = "file"',
    ],
}  # fmt: skip


class LibvirtFailed(RuntimeError):
    """libvirt refused a call, or did not start; the text is its own."""


class Libvirt:
    """One libvirtd, with everything it keeps in ``directory``."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def socket(self) -> Path:
        """Where it listens."""
        return self._directory / "run" / SOCKET

    @property
    def uri(self) -> str:
        """How a client names it."""
        return f"qemu+unix:///system?socket={self.socket}"

    def start(self) -> None:
        """Start it without any domain; raises LibvirtFailed with the end of its log when it does not answer in ``START_SECONDS``."""
        shutil.rmtree(self._directory, ignore_errors=True)
        configuration = self._directory / "etc"
        configuration.mkdir(mode=0o700, parents=True)
        for name, lines in CONFIGURATION.items():
            (configuration / name).write_text("\n".join([*lines, ""]))
        log = self._directory / "libvirtd.log"
        isolation = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private"]
        command = ["setpriv", "--pdeathsig", "KILL", *isolation, str(ISOLATED), str(self._directory)]
        with log.open("wb") as output:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True)
        try:
            eventually(self._answers, START_SECONDS, "libvirtd does not answer")
        except TimeoutError as error:
            self.stop()
            raise LibvirtFailed(f"{error}; the end of {log}:\n{log.read_text()[-2000:]}") from error

    def stop(self) -> None:
        """End it and, with their namespace, all its domains."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def virsh(self, *arguments: str, seconds: float = CALL_SECONDS) -> str:
        """Return what virsh prints; raises LibvirtFailed with its error, and TimeoutError after ``seconds``."""
        try:
            done = subprocess.run(
                ["virsh", "--quiet", "--connect", self.uri, *arguments],
                stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired as expired:
            raise TimeoutError(f"virsh {' '.join(arguments)} did not end in {seconds:.0f} s") from expired
        if done.returncode:
            raise LibvirtFailed(f"virsh {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    def succeeds(self, *arguments: str) -> bool:
        """Return whether virsh does this without an error."""
        try:
            self.virsh(*arguments)
        except LibvirtFailed:
            return False
        return True

    def _answers(self) -> bool:
        if self._process is None or self._process.poll() is not None:
            raise TimeoutError("libvirtd ended")
        return self.socket.exists() and self.succeeds("uri")


def eventually(condition: Callable[[], bool], seconds: float, complaint: str, pause: float = POLL_SECONDS) -> None:
    """Wait until the condition holds; raises TimeoutError with the complaint after ``seconds``."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{complaint} after {seconds:.0f} s")
        time.sleep(pause)
