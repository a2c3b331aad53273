# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a running Linux can be asked and told beyond its files: orders to sysfs, exclusive claims, flushes, dm-multipath's tools."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import CrossvisorError
from ansible_collections.crossvisor.san.plugins.module_utils._san.linux import exclusive
from ansible_collections.crossvisor.san.plugins.module_utils._san.linux.tree import Tree

_BLKFLSBUF = 0x1261  # linux/fs.h: write and drop the buffers of a block device
_GONE = frozenset({errno.ENOENT, errno.ENODEV, errno.ENXIO, errno.EIO})
_TOOL_SECONDS = 60
_TOOL_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"  # sudo and ssh often leave the sbin directories out


class Kernel:
    """The kernel of the machine that this runs on."""

    def __init__(self, tree: Tree | None = None, write: Callable[[str, str], None] | None = None) -> None:
        self.tree = tree or Tree(Path("/"))
        self._write = write or _write

    def order(self, path: str, words: str) -> None:
        """Write to an attribute of sysfs. Raises a `CrossvisorError`, also where only root may."""
        try:
            self._write(path, words)
        except PermissionError:
            raise CrossvisorError(f"Only root may write to {path}: run the task with become: true") from None
        except OSError as error:
            raise CrossvisorError(f"The kernel refuses {words!r} in {path}: {error.strerror}") from None

    def remove(self, path: str) -> None:
        """Let go of the SCSI device below this path of sysfs; one that is gone is no failure. Raises a `CrossvisorError`."""
        if self.tree.exists(f"{path}/delete"):
            self.order(f"{path}/delete", "1")

    def is_claimed(self, device: str) -> bool:
        """Tell whether anything holds a block device (`linux.exclusive`). Raises a `CrossvisorError`."""
        try:
            return exclusive.is_claimed(device)
        except PermissionError:
            raise CrossvisorError(f"Only root may open {device}: run the task with become: true") from None
        except OSError as error:
            raise CrossvisorError(f"{device} cannot be opened: {error.strerror}") from None

    def flush(self, device: str) -> None:
        """Write what is buffered for a block device; one that is gone has nothing left to write to. Raises a `CrossvisorError`."""
        try:
            opened = os.open(device, os.O_RDONLY)
            try:
                os.fsync(opened)
                fcntl.ioctl(opened, _BLKFLSBUF)
            finally:
                os.close(opened)
        except OSError as error:
            if error.errno not in _GONE:
                raise CrossvisorError(f"The buffers of {device} cannot be written: {error.strerror}") from None

    def is_zero(self, device: str, offset: int, length: int) -> bool:
        """Tell whether a stretch of a block device, in bytes, holds nothing but zeros. Raises a `CrossvisorError`."""
        try:
            opened = os.open(device, os.O_RDONLY)
            try:
                return not any(os.pread(opened, length, offset))
            finally:
                os.close(opened)
        except OSError as error:
            raise CrossvisorError(f"{device} cannot be read: {error.strerror}") from None

    def may_read(self, device: str) -> bool:
        """Tell whether a block device can be opened by this user."""
        return os.access(device, os.R_OK)

    def tool(self, *command: str, accepted: Sequence[int] = (0,)) -> str | None:
        """What a system tool says, None where it is not installed. Raises a `CrossvisorError` when it fails, by any other exit code."""
        program = shutil.which(command[0], path=_TOOL_PATH)
        return None if program is None else _said(command, program, accepted)


def _write(path: str, words: str) -> None:
    descriptor = os.open(path, os.O_WRONLY)
    try:
        os.write(descriptor, words.encode())
    finally:
        os.close(descriptor)


def _said(command: Sequence[str], program: str, accepted: Sequence[int]) -> str:
    told = " ".join(command)
    try:
        ended = subprocess.run(
            [program, *command[1:]],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
            timeout=_TOOL_SECONDS,
            env={"PATH": _TOOL_PATH, "LC_ALL": "C"},
        )
    except subprocess.TimeoutExpired:
        raise CrossvisorError(f"'{told}' did not end within {_TOOL_SECONDS} s") from None
    said = ended.stdout.decode("utf-8", "replace")
    if ended.returncode not in accepted:
        raise CrossvisorError(f"'{told}' failed: {' '.join(said.split()) or f'it ended with {ended.returncode}'}")
    return said
