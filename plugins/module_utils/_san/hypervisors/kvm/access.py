# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The KVM host itself beside its libvirt: its files, where they can be read, and its view of the iSCSI network."""

from __future__ import annotations

import contextlib
import shlex
import socket
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import Refused, RemoteError
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm import host_copy
from ansible_collections.crossvisor.san.plugins.module_utils._san.linux import exclusive
from ansible_collections.crossvisor.san.plugins.module_utils._san.linux.tree import Tree
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import Portal
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire import iscsi
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.iscsi import Dial
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.libvirt_uri import LibvirtUri

_TARGET_SECONDS = 10.0
"""An iSCSI target that does not answer for so long is taken for gone."""


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

    def write(self, path: str, text: str) -> None:
        """Write to an attribute of the host's sysfs. Raises `RemoteError` or `Refused`."""

    def run(self, command: Sequence[str], patience: float) -> None:
        """Run a command on the host. Raises `RemoteError` or `Refused`."""

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

    def write(self, path: str, text: str) -> None:
        try:
            (self._root / path.lstrip("/")).write_text(text, encoding="ascii")
        except OSError as error:
            raise RemoteError(f"{path} cannot be written on the KVM host: {error.strerror}; run the task there as root") from error

    def run(self, command: Sequence[str], patience: float) -> None:
        _output(command, b"", patience, f"{' '.join(command)} on the KVM host")

    def close(self) -> None:
        pass


class OverSsh:
    """The KVM host is reached by the ssh that libvirt uses."""

    def __init__(self, uri: LibvirtUri, patience: float) -> None:
        self.dial: Dial = self._dial
        self._uri = uri
        self._patience = patience
        self._copies: list[tempfile.TemporaryDirectory[str]] = []
        self._tunnels: list[subprocess.Popen[bytes]] = []

    def root(self) -> Path | None:
        """A copy of what matters, made anew, which lasts as long as this object; None where the host gives none."""
        try:
            archive = self._ssh([host_copy.SCRIPT], b"", self._patience)
        except RemoteError:
            return None
        copy = tempfile.TemporaryDirectory(prefix="crossvisor-")
        self._copies.append(copy)
        return Path(copy.name) if host_copy.unpack(archive, Path(copy.name)) else None

    def claimed(self, blocks: Sequence[str]) -> Mapping[str, bool]:
        found = host_copy.claimed(Path(self._copies[-1].name)) if self._copies else {}
        return {block: found[block] for block in blocks if block in found}

    def write(self, path: str, text: str) -> None:
        self._ssh([f"cat > {shlex.quote(path)}"], text.encode("ascii"), self._patience)

    def run(self, command: Sequence[str], patience: float) -> None:
        self._ssh([shlex.join(command)], b"", patience)

    def close(self) -> None:
        for copy in self._copies:
            copy.cleanup()
        for tunnel in self._tunnels:
            tunnel.terminate()
            tunnel.wait()

    def _dial(self, portal: Portal) -> socket.socket:
        """Connect from where the ssh server is (`ssh -W`); the tunnel ends with the stream."""
        self._tunnels = [tunnel for tunnel in self._tunnels if tunnel.poll() is None]
        address = f"[{portal.address}]" if ":" in portal.address else portal.address
        program, *options = self._uri.ssh_command
        here, there = socket.socketpair()
        with there:
            command = [program, "-W", f"{address}:{portal.port}", *options]
            self._tunnels.append(
                subprocess.Popen(command, stdin=there.fileno(), stdout=there.fileno(), stderr=subprocess.DEVNULL, close_fds=True)
            )
        here.settimeout(self._patience)
        return here

    def _ssh(self, words: Sequence[str], data: bytes, patience: float) -> bytes:
        return _output([*self._uri.ssh_command, *words], data, patience, f"{words[0].splitlines()[0]} on {self._uri.host}")


class OnlyLibvirt:
    """Nothing but libvirt reaches the KVM host. Portals are dialled from here, in the hope that they answer here too."""

    def __init__(self, uri: LibvirtUri, patience: float) -> None:
        self.dial = iscsi.dial_directly(patience)
        self._uri = uri

    def root(self) -> Path | None:
        return None

    def claimed(self, blocks: Sequence[str]) -> Mapping[str, bool]:
        return {}

    def write(self, path: str, text: str) -> None:
        raise self._refused()

    def run(self, command: Sequence[str], patience: float) -> None:
        raise self._refused()

    def close(self) -> None:
        pass

    def _refused(self) -> Refused:
        return Refused(
            f"The devices of the KVM host behind {self._uri.text} cannot be changed from here: run the task on the host itself "
            "with hypervisor.uri=qemu:///system."
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


def _output(command: Sequence[str], data: bytes, patience: float, what: str) -> bytes:
    """What a command prints. Raises `RemoteError`, with `what` for the command."""
    try:
        return subprocess.run(command, check=True, capture_output=True, timeout=patience, input=data).stdout
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode("utf-8", "replace").strip() or f"it ended with {error.returncode}"
        raise RemoteError(f"{what} failed: {said}") from error
    except subprocess.TimeoutExpired as error:
        raise RemoteError(f"{what} did not end within {patience:g} s") from error
    except OSError as error:
        raise RemoteError(f"{what} could not be run: {error}") from error
