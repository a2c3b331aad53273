# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The steps that show a volume under a drive letter or in a directory, and hide it again."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import RemoteError
from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.windows import directories
from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.windows.access_path import AccessPath
from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.windows.disk_steps import DiskStep, only_partition
from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.windows.layout import Layout
from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.windows.session import Session
from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.windows.wish import VolumeWish, objection
from ansible_collections.crossvisor.san.plugins.module_utils._san.plan import Step


class MakeDirectory(Step):
    """Make the directory of a mount point, and those that it lies in."""

    def __init__(self, session: Session, path: AccessPath, is_there: bool) -> None:
        self._session = session
        self._path = path
        self._is_there = is_there
        self._missing: list[AccessPath] = []
        self.title = f"make the directory {path} on {session.guest}"

    def done(self) -> bool:
        return self._is_there

    def do(self) -> None:
        self._missing = list(itertools.takewhile(lambda path: not self._exists(path), self._path.lineage))
        directories.make(self._session.client, self._path)

    def verify(self) -> None:
        if not self._session.wait_until(lambda: self._exists(self._path)):
            raise RemoteError(f"The directory {self._path} was not made on {self._session.guest}: see whether the account may write there.")

    def undo(self) -> None:
        """Remove what was missing, the deepest first; what is no longer empty stays, with those above."""
        for path in self._missing:
            if not self._removed(path):
                return

    def _removed(self, path: AccessPath) -> bool:
        if not self._exists(path):
            return True
        directories.remove(self._session.client, path)
        return self._session.wait_until(lambda: not self._exists(path))

    def _exists(self, path: AccessPath) -> bool:
        return directories.exists(self._session.client, path)

    def before(self) -> Mapping[str, Any]:
        return {"directory": None}

    def after(self) -> Mapping[str, Any]:
        return {"directory": self._path.bare}


@dataclass
class Mount(DiskStep):
    """Show the volume under a drive letter or in a directory."""

    wish: VolumeWish
    path: AccessPath

    def verb(self) -> str:
        return f"mount as {self.path}"

    def done(self) -> bool:
        return self.path.among(self.layout.access_paths) and not objection(self.layout, self.wish)

    def do(self) -> None:
        self.session.on_partition("AddAccessPath", only_partition(self.session).object_id, {"AccessPath": self.path.path})

    def verify(self) -> None:
        self.session.look()
        self._expect(self.path.among(self.layout.access_paths), f"is not mounted as {self.path}")

    def undo(self) -> None:
        self.session.look()
        if self.path.among(self.layout.access_paths):
            self.session.on_partition("RemoveAccessPath", only_partition(self.session).object_id, {"AccessPath": self.path.path})

    def before(self) -> Mapping[str, Any]:
        return {"mount": ""}

    def after(self) -> Mapping[str, Any]:
        return {"mount": self.path.bare}


@dataclass
class Unmount(DiskStep):
    """Take a drive letter or mount point away from a disk; its data and, of a mount point, the directory stay."""

    path: str
    """As Windows lists it."""

    @property
    def _bare(self) -> str:
        return self.path.rstrip("\\")

    def verb(self) -> str:
        return f"unmount {self._bare} from"

    def done(self) -> bool:
        return self.path not in self.layout.access_paths

    def do(self) -> None:
        self._partition = next(part for part in self.layout.data if self.path in part.access_paths)
        self.session.on_partition("RemoveAccessPath", self._partition.object_id, {"AccessPath": self.path})

    def verify(self) -> None:
        self.session.look()
        self._expect(self.path not in self.layout.access_paths, f"is still mounted as {self.path}")

    def undo(self) -> None:
        self.session.look()
        if self.path not in self.layout.access_paths:
            self.session.on_partition("AddAccessPath", self._partition.object_id, {"AccessPath": self.path})

    def before(self) -> Mapping[str, Any]:
        return {"mounts": {self.path: True}}

    def after(self) -> Mapping[str, Any]:
        return {"mounts": {self.path: False}}


class TakeOffline(DiskStep):
    """Let the guest no longer use the disk."""

    def verb(self) -> str:
        return "take offline"

    def done(self) -> bool:
        return self.layout.disk.offline

    def do(self) -> None:
        self.session.on_disk("Offline")

    def verify(self) -> None:
        self.session.look()
        self._expect(self.layout.disk.offline, "is still online")

    def undo(self) -> None:
        self.session.look()
        if self.layout.disk.offline:
            self.session.on_disk("Online")
            self.session.await_volume(_shows_partitions)

    def before(self) -> Mapping[str, Any]:
        return {"online": True}

    def after(self) -> Mapping[str, Any]:
        return {"online": False}


def _shows_partitions(layout: Layout) -> bool:
    return all(partition.volume_path for partition in layout.data)
