# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The KVM host itself beside its libvirt: its files, where they can be read, and its view of the iSCSI network."""

from __future__ import annotations

import contextlib
import shlex
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from ansible_collections.crossvisor.san.plugins.module_utils._san import moment
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import Refused, RemoteError
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm import host_copy
from ansible_collections.crossvisor.san.plugins.module_utils._san.linux import exclusive
from ansible_collections.crossvisor.san.plugins.module_utils._san.linux.tree import Tree
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import Portal
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire import iscsi
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.iscsi import Dial
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.libvirt_uri import LibvirtUri
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.ssh import SshConnection, output

Order = tuple[str, str]
"""A file of sysfs, and what is written to it."""
_TARGET_SECONDS = 10.0
"""An iSCSI target that does not answer for so long is taken for gone."""
_MOMENT = 1.0
"""Seconds for which what a host told of itself is taken for so, unless something was changed since."""


_QUESTION = "a look at where files lie"
_BY_PYTHON = (
    "for python in python3 python3.12 python3.11 python3.9 python3.8 /usr/libexec/platform-python; do "
    '"$python" -IS -c "import sys; sys.exit(sys.version_info < (3, 7))" >/dev/null 2>&1 </dev/null && exec "$python" -IS -c {}; '
    "done; echo there is no Python 3.7 or later >&2; exit 1"
)


class HostAccess(Protocol):
    """What can be done on a KVM host without libvirt."""

    dial: Dial
    """How to reach an iSCSI portal from where the host is."""

    def root(self) -> Path | None:
        """A directory with the host's `/sys`, `/proc` and `/etc` in it as they are now; None where they cannot be read."""

    def claimed(self, blocks: Sequence[str]) -> Mapping[str, bool]:
        """Whether anything there holds each of these block devices (names in `/sys/class/block`), when `root` was last asked.

        Those of which the kernel does not tell, such as to somebody who is not root or where there is no device node, are left out.
        """

    def changed(self) -> None:
        """Note that something was changed there, so that what `root` told may no longer be so."""

    def write(self, orders: Sequence[Order]) -> None:
        """Write to attributes of the host's sysfs, in turn, all of them though one fails. Raises `RemoteError` or `Refused`."""

    def run(self, command: Sequence[str], patience: float) -> None:
        """Run a command on the host. Raises `RemoteError` or `Refused`."""

    def told(self, command: Sequence[str], patience: float) -> str:
        """What a command prints on the host that changes nothing there. Raises `RemoteError` or `Refused`."""

    def ask(self, program: str, question: bytes, patience: float) -> bytes:
        """What a program of Python's standard library prints there, run by the host's own Python. Raises `RemoteError` or `Refused`."""

    def close(self) -> None:
        """Leave nothing behind. Never raises."""


class ThisMachine:
    """The KVM host is the machine on which this runs."""

    def __init__(self, patience: float, root: Path = Path("/")) -> None:
        self.dial = iscsi.dial_directly(patience)
        self._root = root

    def root(self) -> Path | None:
        return self._root

    def claimed(self, blocks: Sequence[str]) -> Mapping[str, bool]:
        found: dict[str, bool] = {}
        for block in blocks:
            node = self._root / "dev" / block.replace("!", "/")
            with contextlib.suppress(OSError):
                if node.is_block_device():
                    found[block] = exclusive.is_claimed(str(node))
        return found

    def changed(self) -> None:
        pass

    def write(self, orders: Sequence[Order]) -> None:
        failures: list[RemoteError] = []
        for path, text in orders:
            try:
                (self._root / path.lstrip("/")).write_text(text, encoding="ascii")
            except OSError as error:
                told = RemoteError(f"{path} cannot be written on the KVM host: {error.strerror}; run the task there as root")
                told.__cause__ = error
                failures.append(told)
        if failures:
            raise failures[0]

    def run(self, command: Sequence[str], patience: float) -> None:
        self.told(command, patience)

    def told(self, command: Sequence[str], patience: float) -> str:
        return output(command, patience, f"{' '.join(command)} on the KVM host").decode("utf-8", "replace")

    def ask(self, program: str, question: bytes, patience: float) -> bytes:
        return output([sys.executable, "-IS", "-c", program], patience, f"{_QUESTION} on the KVM host", question)

    def close(self) -> None:
        pass


class OverSsh:
    """The KVM host is reached by the ssh that libvirt uses."""

    def __init__(self, uri: LibvirtUri, patience: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.dial: Dial = self._dial
        self._ssh = SshConnection(uri.ssh_command, uri.host, patience)
        self._patience = patience
        self._clock = clock
        self._copies: list[tempfile.TemporaryDirectory[str]] = []
        self._stands_until = 0.0
        self._moment: object | None = None
        self._tunnels: list[subprocess.Popen[bytes]] = []

    def root(self) -> Path | None:
        """A copy of what matters, which lasts as long as this object; None where the host gives none.

        It is made anew when anything there has changed, which is asked at the first question of each decision (`moment`), and of a question
        that is for itself unless it was asked in the last second; and whenever something was ordered since. Raises `RemoteError` or
        `TimedOut` when a host that has given one gives no other.
        """
        now = moment.now()
        stands = self._clock() < self._stands_until if now is None else now is self._moment
        if not stands:
            self._look_again()
            self._stands_until = self._clock() + _MOMENT
        self._moment = now
        return Path(self._copies[-1].name) if self._copies else None

    def claimed(self, blocks: Sequence[str]) -> Mapping[str, bool]:
        found = host_copy.claimed(Path(self._copies[-1].name)) if self._copies else {}
        return {block: found[block] for block in blocks if block in found}

    def changed(self) -> None:
        self._stands_until = 0.0
        self._moment = None

    def write(self, orders: Sequence[Order]) -> None:
        each = "; ".join(f"printf %s {shlex.quote(text)} > {shlex.quote(path)} || failed=1" for path, text in orders)
        self._order(f"failed=; {each}; test -z $failed", f"writing to {', '.join(path for path, _text in orders)}", self._patience)

    def run(self, command: Sequence[str], patience: float) -> None:
        self._order(shlex.join(command), " ".join(command), patience)

    def told(self, command: Sequence[str], patience: float) -> str:
        return self._ssh.run(shlex.join(command), " ".join(command), patience).decode("utf-8", "replace")

    def ask(self, program: str, question: bytes, patience: float) -> bytes:
        return self._ssh.run(_BY_PYTHON.format(shlex.quote(program)), _QUESTION, patience, question)

    def close(self) -> None:
        for copy in self._copies:
            copy.cleanup()
        for tunnel in self._tunnels:
            tunnel.terminate()
            tunnel.wait()
        self._ssh.close()

    def _order(self, command: str, what: str, patience: float) -> None:
        try:
            self._ssh.run(command, what, patience)
        finally:
            self.changed()

    def _look_again(self) -> None:
        """Get a copy, if what is known is no longer so."""
        known = host_copy.mark(Path(self._copies[-1].name)) if self._copies else ""
        try:
            answer = self._ssh.run(host_copy.script(known), "a look at the devices", self._patience)
        except RemoteError:
            if self._copies:
                raise
            return
        if known and host_copy.is_same(answer):
            return
        copy = tempfile.TemporaryDirectory(prefix="crossvisor-")
        if host_copy.unpack(answer, Path(copy.name)):
            self._copies.append(copy)
            return
        copy.cleanup()
        if self._copies:
            raise RemoteError(f"Host {self._ssh.host} gave no copy of its files any more: run this task again")

    def _dial(self, portal: Portal) -> socket.socket:
        """Connect from where the ssh server is (`ssh -W`); the tunnel ends with the stream."""
        self._tunnels = [tunnel for tunnel in self._tunnels if tunnel.poll() is None]
        address = f"[{portal.address}]" if ":" in portal.address else portal.address
        here, there = socket.socketpair()
        with there:
            command = self._ssh.command("-W", f"{address}:{portal.port}")
            self._tunnels.append(
                subprocess.Popen(command, stdin=there.fileno(), stdout=there.fileno(), stderr=subprocess.DEVNULL, close_fds=True)
            )
        here.settimeout(self._patience)
        return here


class OnlyLibvirt:
    """Nothing but libvirt reaches the KVM host. Portals are dialled from here, in the hope that they answer here too."""

    def __init__(self, uri: LibvirtUri, patience: float) -> None:
        self.dial = iscsi.dial_directly(patience)
        self._uri = uri

    def root(self) -> Path | None:
        return None

    def claimed(self, blocks: Sequence[str]) -> Mapping[str, bool]:
        return {}

    def changed(self) -> None:
        pass

    def write(self, orders: Sequence[Order]) -> None:
        raise self._refused()

    def run(self, command: Sequence[str], patience: float) -> None:
        raise self._refused()

    def told(self, command: Sequence[str], patience: float) -> str:
        raise self._refused()

    def ask(self, program: str, question: bytes, patience: float) -> bytes:
        raise Refused(
            f"Where files lie, the KVM host behind {self._uri.text} does not tell libvirt: reach it by qemu+ssh://, or run the task on the "
            "host itself with hypervisor.uri=qemu:///system."
        )

    def close(self) -> None:
        pass

    def _refused(self) -> Refused:
        return Refused(
            f"The devices of the KVM host behind {self._uri.text} cannot be changed from here: reach it by qemu+ssh://, or run the task on "
            "the host itself with hypervisor.uri=qemu:///system."
        )


def access_to(uri: LibvirtUri, patience: float) -> HostAccess:
    """The best access that a URI allows; nothing may take longer than `patience` seconds, and from here no target longer than ten."""
    if uri.is_local:
        return ThisMachine(min(patience, _TARGET_SECONDS))
    return OverSsh(uri, patience) if uri.ssh_command else OnlyLibvirt(uri, min(patience, _TARGET_SECONDS))


def tree_of(access: HostAccess) -> Tree | None:
    """The host's files, or None where they cannot be read."""
    root = access.root()
    return Tree(root) if root else None
