# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reading `/sys`, `/proc`, `/dev` and `/etc` below a root directory, without ever leaving it and without ever failing.

What is not there is None. What is there but refuses to be read is None too, and noted in `Tree.unreadable`.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import BinaryIO, Callable

_LARGEST = 1 << 24
_ONE_READ = 1 << 20
"""Linux has no memory for a read of 4 MiB or more below /proc/sys, however little there is to read (fs/proc/proc_sysctl.c)."""
_NUMBER = re.compile("([0-9]+)")


class Tree:
    """The files of one machine. Paths are absolute on that machine: `/sys/class/fc_host`."""

    def __init__(self, root: Path) -> None:
        self._root = os.path.realpath(root)
        self._within = f"{self._root.rstrip('/')}/"
        self.unreadable: dict[str, str] = {}
        """Path → why it could not be read, in the operating system's words."""

    def content(self, path: str) -> bytes | None:
        """The content of a file, at most 16 MiB of it."""
        return self._read(path, _whole)

    def piece(self, path: str, offset: int, length: int) -> bytes | None:
        """A piece of a file or of a character device."""
        return self._read(path, lambda stream: _piece(stream, offset, length))

    def text(self, path: str) -> str | None:
        """The content of a file without the space, line ends and NULs around it."""
        content = self.content(path)
        return None if content is None else content.decode("utf-8", "replace").strip().strip("\0").strip()

    def exists(self, path: str) -> bool:
        """Tell whether there is anything under that name."""
        try:
            found = self._locate(path)
            return found is not None and bool(found.stat())
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError as error:
            self._note(path, error)
            return False

    def children(self, path: str) -> list[str]:
        """Names in a directory, `host2` before `host10`; none if it is absent."""
        try:
            found = self._locate(path)
            return sorted((entry.name for entry in found.iterdir()), key=_natural) if found else []
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            self._note(path, error)
            return []

    def real(self, path: str) -> str:
        """The path with all links followed, still absolute on that machine; empty if it is absent."""
        found = self._locate(path)
        return f"/{str(found)[len(self._within) :]}" if found is not None and self.exists(path) else ""

    def link(self, path: str) -> str:
        """What a symbolic link says, which is not looked at; empty if it is none."""
        directory, _slash, name = path.rpartition("/")
        found = self._locate(directory or "/")
        try:
            return str((found / name).readlink()) if found else ""
        except OSError:
            return ""

    def _read(self, path: str, read: Callable[[BinaryIO], bytes]) -> bytes | None:
        try:
            found = self._locate(path)
            if found is None:
                return None
            with found.open("rb", buffering=0) as stream:
                return read(stream)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            self._note(path, error)
            return None

    def _locate(self, path: str) -> Path | None:
        """Where it is with all links followed: by `os.path`, which is quicker than pathlib, because a host has thousands of these."""
        if "\0" in path:
            self.unreadable[path] = "No file has a NUL in its name"
            return None
        found = os.path.realpath(f"{self._within}{path.lstrip('/')}")
        if found != self._root and not found.startswith(self._within):
            self.unreadable[path] = f"Leads outside {self._root}"
        elif os.path.realpath(found) != found:  # what follows a loop was not followed but taken for a name
            self.unreadable[path] = "Too many levels of symbolic links"
        else:
            return Path(found)
        return None

    def _note(self, path: str, error: OSError) -> None:
        self.unreadable[path] = error.strerror or type(error).__name__


def _whole(stream: BinaryIO) -> bytes:
    """A file of procfs comes in pages: one read gives no more than one, however long its table is (Linux' fs/seq_file.c)."""
    content = bytearray()
    while len(content) < _LARGEST and (page := stream.read(min(_ONE_READ, _LARGEST - len(content)))):
        content += page
    return bytes(content)


def _piece(stream: BinaryIO, offset: int, length: int) -> bytes:
    stream.seek(offset)
    return stream.read(length)


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in _NUMBER.split(name)]
