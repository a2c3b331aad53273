# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One login over ssh for all that is asked of a host: OpenSSH's multiplexing, by a socket in a directory of our own.

The process that holds the connection lives as long as we hold its standard input, so that nothing is left of it even when this process is
killed. Who has set up multiplexing for the host in ssh's own configuration keeps it. Where neither works, as with another program than
OpenSSH, each command logs in for itself.
"""

from __future__ import annotations

import contextlib
import selectors
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence
from typing import IO, Callable

from ansible_collections.crossvisor.san.plugins.module_utils._san import deadline
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import RemoteError, TimedOut

_READY = b"crossvisor-ready"
_HOLD = f"echo {_READY.decode()}; exec cat >/dev/null"
"""What the connection is kept by: it ends with its standard input, whatever shell the account has."""
_ASK_SECONDS = 5.0
_END_SECONDS = 5.0
_NO_SOCKET = "none"


class SshConnection:
    """A host over ssh, logged in to at the first command."""

    def __init__(self, command: Sequence[str], host: str, patience: float) -> None:
        """`command` is the ssh that reaches the host, with all of its options; `patience` are the seconds that logging in may take."""
        self._program, *self._options = command
        self.host = host
        self._patience = patience
        self._directory: tempfile.TemporaryDirectory[str] | None = None
        self._holder: subprocess.Popen[bytes] | None = None
        self._shared: list[str] | None = None
        self._lock = threading.Lock()

    def run(self, command: str, what: str, patience: float, given: bytes = b"") -> bytes:
        """What a command line prints on the host. Raises `RemoteError`, or `TimedOut` when the time of who waits is over.

        `what` is the command in a message, without the host; `given` is what it reads.
        """
        return output([*self.command(), command], patience, f"{what} on {self.host}", given)

    def command(self, *words: str) -> list[str]:
        """The ssh program, options of its own and the host, over the kept connection where there is one."""
        return [self._program, *words, *self._sharing(), *self._options]

    def close(self) -> None:
        """End the connection. Never raises."""
        self._let_go()
        self._shared = None

    def _let_go(self) -> None:
        holder, directory = self._holder, self._directory
        self._holder = self._directory = None
        if holder:
            _end(holder)
        if directory:
            directory.cleanup()

    def _sharing(self) -> list[str]:
        """The options that share one connection; none where the user's own do, or it could not be kept."""
        with self._lock:
            if self._shared is None:
                self._shared = [] if self._is_shared_already() else self._keep()
            return self._shared

    def _is_shared_already(self) -> bool:
        """Whether ssh's own configuration names a socket for this host."""
        try:
            told = subprocess.run(
                [self._program, "-G", *self._options], capture_output=True, stdin=subprocess.DEVNULL, timeout=_ASK_SECONDS, check=False
            ).stdout
        except (OSError, subprocess.TimeoutExpired):
            return False
        named = (line.split(None, 1) for line in told.decode("utf-8", "replace").splitlines())
        return any(len(words) == 2 and words[0].lower() == "controlpath" and words[1] != _NO_SOCKET for words in named)

    def _keep(self) -> list[str]:
        """Log in, and hold the connection."""
        self._directory = tempfile.TemporaryDirectory(prefix="crossvisor-ssh-")
        socket = f"{self._directory.name}/s"
        command = [self._program, "-o", "ControlMaster=yes", "-o", f"ControlPath={socket}", *self._options, _HOLD]
        try:
            self._holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            seconds = deadline.left(self._patience, f"the login at {self.host}")
            held = self._holder.stdout is not None and _says(self._holder.stdout, _READY, seconds)
        except OSError:
            held = False
        if not held:
            self._let_go()
            return []
        return ["-o", "ControlMaster=no", "-o", f"ControlPath={socket}"]


def output(command: Sequence[str], patience: float, what: str, given: bytes = b"") -> bytes:
    """What a command prints. Raises `RemoteError` with `what` for the command, or `TimedOut` when the time of who waits is over."""
    seconds = deadline.left(patience, what)
    try:
        return subprocess.run(command, check=True, capture_output=True, timeout=seconds, input=given).stdout
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode("utf-8", "replace").strip() or f"it ended with {error.returncode}"
        raise RemoteError(f"{what} failed: {said}") from error
    except subprocess.TimeoutExpired as error:
        if deadline.is_over():
            raise TimedOut(f"{what} did not end within the {seconds:.0f} s that were left") from error
        raise RemoteError(f"{what} did not end within {patience:g} s: see whether the host is slow, or raise hypervisor.timeout") from error
    except OSError as error:
        raise RemoteError(f"{what} could not be run: {error}") from error


def _says(stream: IO[bytes], word: bytes, seconds: float, clock: Callable[[], float] = time.monotonic) -> bool:
    """Whether a stream says a line within so many seconds, whatever it says before, such as what an account's shell greets with."""
    until, seen = clock() + seconds, b""
    with selectors.DefaultSelector() as selector:
        selector.register(stream, selectors.EVENT_READ)
        while (rest := until - clock()) > 0 and selector.select(rest):
            piece = stream.read1(4096)  # type: ignore[attr-defined]
            if not piece:
                return False
            seen += piece
            if word in seen.split():
                return True
    return False


def _end(process: subprocess.Popen[bytes]) -> None:
    """Let a process end by the end of its input, else by force."""
    for stream in (process.stdin, process.stdout):
        if stream:
            with contextlib.suppress(OSError):
                stream.close()
    try:
        process.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
