# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The KVM host itself beside its libvirt: its files, where they can be read, and its view of the iSCSI network."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from ansible_collections.crossvisor.san.plugins.module_utils.errors import Refused, RemoteError
from ansible_collections.crossvisor.san.plugins.module_utils.hypervisors.local.tree import Tree
from ansible_collections.crossvisor.san.plugins.module_utils.wire import iscsi
from ansible_collections.crossvisor.san.plugins.module_utils.wire.iscsi import Dial
from ansible_collections.crossvisor.san.plugins.module_utils.wire.libvirt_uri import LibvirtUri


class HostAccess(Protocol):
    """What can be done on a KVM host without libvirt."""

    dial: Dial
    """How to reach an iSCSI portal from where the host is."""

    def root(self) -> Path | None:
        """A directory with the host's `/sys`, `/proc` and `/etc` in it as they are now; None where they cannot be read."""

    def write(self, path: str, text: str) -> None:
        """Write to an attribute of the host's sysfs. Raises `RemoteError` or `Refused`."""

    def run(self, command: Sequence[str], patience: float) -> None:
        """Run a command on the host. Raises `RemoteError` or `Refused`."""


class ThisMachine:
    """The KVM host is the machine on which this runs."""

    def __init__(self, patience: float, root: Path = Path("/")) -> None:
        self.dial = iscsi.dial_directly(patience)
        self._root = root

    def root(self) -> Path | None:
        return self._root

    def write(self, path: str, text: str) -> None:
        try:
            (self._root / path.lstrip("/")).write_text(text, encoding="ascii")
        except OSError as error:
            raise RemoteError(f"{path} cannot be written on the KVM host: {error.strerror}; run the task there as root") from error

    def run(self, command: Sequence[str], patience: float) -> None:
        try:
            subprocess.run(command, check=True, capture_output=True, timeout=patience)
        except subprocess.CalledProcessError as error:
            said = error.stderr.decode("utf-8", "replace").strip() or f"it ended with {error.returncode}"
            raise RemoteError(f"{' '.join(command)} failed on the KVM host: {said}") from error
        except (OSError, subprocess.TimeoutExpired) as error:
            raise RemoteError(f"{' '.join(command)} could not be run on the KVM host: {error}") from error


class OnlyLibvirt:
    """Nothing but libvirt reaches the KVM host. Portals are dialled from here, in the hope that they answer here too."""

    def __init__(self, uri: LibvirtUri, patience: float) -> None:
        self.dial = iscsi.dial_directly(patience)
        self._uri = uri

    def root(self) -> Path | None:
        return None

    def write(self, path: str, text: str) -> None:
        raise self._refused()

    def run(self, command: Sequence[str], patience: float) -> None:
        raise self._refused()

    def _refused(self) -> Refused:
        return Refused(
            f"The devices of the KVM host behind {self._uri.text} cannot be changed from here: run the task on the host itself "
            "with hypervisor.uri=qemu:///system."
        )


def access_to(uri: LibvirtUri, patience: float) -> HostAccess:
    """The best access that a URI allows."""
    return ThisMachine(patience) if uri.is_local else OnlyLibvirt(uri, patience)


def tree_of(access: HostAccess) -> Tree | None:
    """The host's files, or None where they cannot be read."""
    root = access.root()
    return Tree(root) if root else None
