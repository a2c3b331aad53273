# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a Linux guest can make of a LUN: file systems and their labels, logical volumes, mount points, mount options.

What is not plainly one is refused. A label and the names of LVM become words of a command line, mount point and options become fields of
fstab(5): only characters of short lists are let through.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import InvalidInput

SWAP = "swap"
USUAL = "xfs"


@dataclass(frozen=True)
class FileSystem:
    """What a file system lets a volume have. Sources: mkfs.xfs(8) since version 5.19, mke2fs(8), mkfs.btrfs(8), mkswap(8)."""

    longest_label: int
    """Bytes."""
    least_bytes: int
    """Of the LUN: those of the file system, and 2 MiB of the partition table."""


_MIB = 1 << 20
FILE_SYSTEMS: Mapping[str, FileSystem] = MappingProxyType(
    {
        USUAL: FileSystem(12, 302 * _MIB),
        "ext4": FileSystem(16, 4 * _MIB),
        "btrfs": FileSystem(255, 112 * _MIB),
        SWAP: FileSystem(15, 4 * _MIB),
    }
)
_LABEL = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_.:+=@%-]*")
_PATH = re.compile(r"[\w .+@%~=,:-]+")
_OPTION = re.compile(r'[\w.:=/@%+"-]+', re.ASCII)
_SYSTEM = frozenset({"/boot", "/dev", "/etc", "/proc", "/root", "/run", "/sys", "/usr", "/var"})
"""Directories that Linux runs from: an empty file system over one of them would hide what the guest needs."""
_PROGRAMS = re.compile(r"/(?:usr/)?(?:s?bin|lib(?:32|64|x32)?)")
_KERNELS = ("/dev/", "/proc/", "/sys/")
_LVM = re.compile(r"(?!\.\.?$)[A-Za-z0-9+_.][A-Za-z0-9+_.-]*")
_LVM_KEEPS = re.compile(r"snapshot|pvmove|.*_(?:[crt]meta|[ctv]data|corig|iorig|vorigin|mimage|rimage|mlog|pmspare|imeta|cvol|wcorig)")
"""How a logical volume's name must not begin, or what it must not contain. Source: lvm(8), "Valid names"."""
_LVM_BYTES = 5 * _MIB
"""What of a physical volume is in no logical one: a MiB before the first extent, and less than an extent of 4 MiB after the last."""
_LONGEST_MAPPED = 127
"""Characters of a name in device mapper, `DM_NAME_LEN` without the end of the string; LVM doubles hyphens in it."""
_OPPOSITES = (("ro", "rw"), ("relatime", "strictatime"))


def check_label(file_system: str, label: str) -> None:
    """Raise `InvalidInput` for a label that the file system cannot have, or that a command line could take for something else."""
    longest = FILE_SYSTEMS[file_system].longest_label
    if not _LABEL.fullmatch(label) or len(label) > longest:
        raise InvalidInput(
            f"{label!r} cannot be the label of {file_system}: it may have at most {longest} letters, digits and . _ : + = @ % -, "
            "the first a letter, a digit, a dot or an underscore."
        )


def check_size(file_system: str, size_bytes: int, on_lvm: bool = False) -> None:
    """Raise `InvalidInput` for a LUN that is too small for the file system, or for that on a logical volume."""
    least = FILE_SYSTEMS[file_system].least_bytes + (_LVM_BYTES if on_lvm else 0)
    if size_bytes < least:
        raise InvalidInput(f"{size_bytes} bytes are too few for {file_system}: give the LUN {least // _MIB} MiB or more.")


def mount_point(text: str) -> str:
    """The absolute path without spare slashes and dots that a user wrote. Raises `InvalidInput`; links only the guest can follow."""
    if not text.startswith("/"):
        raise InvalidInput(f"{text!r} is no mount point: write an absolute path such as /srv/data.")
    names = [name for name in text.split("/") if name not in ("", ".")]
    for name in names:
        if name == ".." or not _PATH.fullmatch(name) or name != name.strip():
            raise InvalidInput(
                f"{text!r} is no mount point: {name!r} is no plain name of a directory "
                "(letters, digits, spaces inside and . + @ % ~ = , : _ -)."
            )
    path = posixpath.join("/", *names)
    if path == "/" or path in _SYSTEM or _PROGRAMS.fullmatch(path) or path.startswith(_KERNELS):
        raise InvalidInput(f"{path} cannot be a mount point for a LUN, because Linux runs from it: choose a directory of its own.")
    return path


def mount_options(text: str) -> str:
    """The options for fstab(5) that a user wrote, each once, in the order of first mention. Raises `InvalidInput`."""
    options = list(dict.fromkeys(option.strip() for option in text.split(",")))
    for option in options:
        if not _OPTION.fullmatch(option):
            raise InvalidInput(f"{text!r} are no mount options: {option!r} is none; write them as noatime,nodev.")
    both = next((pair for pair in _opposites(options) if set(pair) <= set(options)), None)
    if both:
        raise InvalidInput(f"The mount options {both[0]} and {both[1]} exclude each other: leave one out.")
    return ",".join(options)


def check_logical_volume(group: str, volume: str) -> None:
    """Raise `InvalidInput` for names that LVM does not give a volume group and its logical volume."""
    for what, name in (("volume group", group), ("logical volume", volume)):
        if not _LVM.fullmatch(name):
            raise InvalidInput(f"{name!r} cannot be the name of a {what}: write letters, digits and + _ . -, the first no hyphen.")
    if _LVM_KEEPS.match(volume):
        raise InvalidInput(f"{volume!r} cannot be the name of a logical volume, because LVM keeps such names for itself: choose another.")
    mapped = "-".join(name.replace("-", "--") for name in (group, volume))
    if len(mapped) > _LONGEST_MAPPED:
        raise InvalidInput(f"{mapped} is too long for the kernel, which allows {_LONGEST_MAPPED} characters: choose shorter names for lvm.")


def _opposites(options: list[str]) -> list[tuple[str, str]]:
    return [*_OPPOSITES, *((option, f"no{option}") for option in options)]
