# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The iSCSI target daemon of Linux user space, in the foreground, with a management socket and a port of its own."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from tests.lab.ontap.data_plane.plane import DataPlaneFailed
from tests.lab.ports import LISTEN, free_port

CONTROL_PORT = "1"
"""Only a part of the socket's name."""
START_SECONDS = 300.0
STOP_SECONDS = 3.0
BUSY_SECONDS = 300.0
POLL_SECONDS = 0.02
BUSY = "still active"
LUN_IDS = range(1, 256)
"""What a target offers here: LUN 0 is its controller, and above 255 a LUN has another number in QEMU's words than in the array's."""


REQUEST = struct.Struct("=ii64sIiQQIIIIII")
RESPONSE = struct.Struct("=II")
"""What tgtadm and tgtd say to each other (struct tgtadm_req and tgtadm_rsp of tgt's usr/tgtadm.h)."""
MODE_ACCOUNT, OPERATION_NEW = 7, 0
NO_TARGET, NO_LUN = -1, 2**64 - 1

Parameters = Sequence[tuple[str, str]]


class TgtFailed(DataPlaneFailed):
    """tgtd did not start or refused a command; the text is its own."""


class Tgt:
    """One tgtd. Everything that it was told is forgotten when it ends."""

    def __init__(self, directory: Path) -> None:
        self._log = directory / "tgtd.log"
        self._environment = {**os.environ, "TGT_IPC_SOCKET": str(directory / "tgtd.socket")}
        self._process: subprocess.Popen[bytes] | None = None
        self._targets: set[int] = set()
        self._parent = ThreadPoolExecutor(1, "tgtd")
        """The thread that starts tgtd: the kernel ends tgtd when the thread that started it has gone."""
        self.port = 0
        """Where it listens on 127.0.0.1, 0 while it does not run."""

    @property
    def runs(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start it without targets; raises TgtFailed with the end of its log."""
        port = free_port()
        command = ["setpriv", "--pdeathsig", "KILL", "tgtd", "-f", "-t", "1", "-C", CONTROL_PORT, "--iscsi", f"portal={LISTEN}:{port}"]
        with self._log.open("wb") as output:
            self._process = self._parent.submit(self._popen, command, output).result()
        deadline = time.monotonic() + START_SECONDS
        while not _listens(port):
            if not self.runs or time.monotonic() > deadline:
                self.kill()
                raise TgtFailed(f"tgtd does not listen on {LISTEN}:{port}; the end of {self._log}:\n{self._log.read_text()[-2000:]}")
            time.sleep(POLL_SECONDS)
        self.port = port

    def _popen(self, command: Sequence[str], output: BinaryIO) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            command, env=self._environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )

    def stop(self) -> None:
        """End it in good order: it does not listen to SIGTERM while it has targets."""
        if self._process is None:
            return
        if self.runs:
            for tid in sorted(self._targets):
                self.remove_target(tid)
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_SECONDS)
        self.kill()

    def kill(self) -> None:
        """End it as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._process, self.port = None, 0
        self._targets.clear()

    def add_target(self, tid: int, name: str, initiator: str) -> None:
        """Create a target that admits one initiator."""
        self._call("new", "target", tid, "--targetname", name)
        self._targets.add(tid)
        self._call("bind", "target", tid, "--initiator-name", initiator)

    def remove_target(self, tid: int) -> None:
        """Remove a target with its logical units, when the commands that it works on have ended, and end the sessions with it."""
        self._call_when_idle("delete", "target", tid, "--force")
        self._targets.discard(tid)

    def add_account(self, user: str, password: str) -> None:
        """Create a CHAP account; the password goes to tgtd by its socket, because arguments of a program are everybody's to read."""
        text = f"user={user},password={password}".encode() + b"\0"
        head = REQUEST.pack(MODE_ACCOUNT, OPERATION_NEW, b"iscsi", REQUEST.size + len(text), NO_TARGET, 0, NO_LUN, *[0] * 6)
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(f"{self._environment['TGT_IPC_SOCKET']}.{CONTROL_PORT}")
            client.sendall(head + text)
            answer = client.recv(RESPONSE.size, socket.MSG_WAITALL)
        if len(answer) < RESPONSE.size or RESPONSE.unpack(answer)[0]:
            raise TgtFailed(f"tgtd did not take the CHAP account {user}")

    def remove_account(self, user: str) -> None:
        """Forget a CHAP account, wherever it is bound."""
        self._tgtadm("delete", "account", "--user", user)

    def bind_account(self, tid: int, user: str) -> None:
        """Let an account, and no session without it, into a target."""
        self._call("bind", "account", tid, "--user", user)

    def add_unit(self, tid: int, lun: int, file: Path, identity: Parameters) -> None:
        """Offer a file as a disk, known by these parameters of tgtadm (vendor_id, scsi_sn, …)."""
        self._call("new", "logicalunit", tid, "--lun", str(lun), "--backing-store", str(file))
        self.set_unit(tid, lun, identity)

    def remove_unit(self, tid: int, lun: int) -> None:
        """Take a disk away, when the commands that it works on have ended."""
        self._call_when_idle("delete", "logicalunit", tid, "--lun", str(lun))

    def set_unit(self, tid: int, lun: int, parameters: Parameters) -> None:
        """Change a disk, one parameter after the other; no command of an initiator comes between two of one call."""
        self._call("update", "logicalunit", tid, "--lun", str(lun), "--params", ",".join(f"{key}={value}" for key, value in parameters))

    def _call_when_idle(self, operation: str, mode: str, tid: int, *options: str) -> None:
        deadline = time.monotonic() + BUSY_SECONDS
        while True:
            try:
                return self._call(operation, mode, tid, *options)
            except TgtFailed as failure:
                if BUSY not in str(failure) or time.monotonic() > deadline:
                    raise
            time.sleep(POLL_SECONDS)

    def _call(self, operation: str, mode: str, tid: int, *options: str) -> None:
        self._tgtadm(operation, mode, "--tid", str(tid), *options)

    def _tgtadm(self, operation: str, mode: str, *options: str) -> None:
        command = ["tgtadm", "-C", CONTROL_PORT, "--lld", "iscsi", "--op", operation, "--mode", mode, *options]
        done = subprocess.run(command, env=self._environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if done.returncode:
            raise TgtFailed(f"{' '.join(command)}: {done.stderr.strip()}")


def _listens(port: int) -> bool:
    try:
        socket.create_connection((LISTEN, port), timeout=1).close()
    except OSError:
        return False
    return True
