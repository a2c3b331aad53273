# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where Windows shows a volume: under a drive letter or in a directory. What is not plainly one of the two is refused.

The path of a mount point becomes part of a command line (see `directories`): only characters of a short list are let through.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import InvalidInput

_LETTER = re.compile(r"(?P<letter>[A-Za-z]):\\?")
_NAME = re.compile(r"[\w .()+@#$~-]{1,255}")
_DEVICES = re.compile(r"(?:CON|PRN|AUX|NUL|COM\d|LPT\d)(?:\..*)?", re.IGNORECASE)
"""Names that mean a device in whatever directory they stand."""
_LONGEST = 247
"""Characters of a directory's path without the prefix `\\\\?\\`: MAX_PATH less a file name of 8.3, by CreateDirectory's documentation."""


@dataclass(frozen=True)
class AccessPath:
    """A drive letter or a mount point."""

    path: str
    """As `MSFT_Partition.AccessPaths` has it, with a backslash at the end: `E:\\` or `C:\\mt1\\`."""

    @classmethod
    def parse(cls, text: str) -> AccessPath:
        """The drive letter (`E`, `E:`) or directory (`C:\\mt1`) that a user wrote. Raises `InvalidInput`."""
        written = text.strip()
        letter = _LETTER.fullmatch(f"{written}:" if len(written) == 1 else written)
        if letter:
            return cls(f"{letter['letter'].upper()}:\\")
        drive, names = written[:3], written[3:].rstrip("\\").split("\\")
        if drive[1:] != ":\\" or not _LETTER.fullmatch(drive):
            raise InvalidInput(
                f"{_quoted(text)} is no place for a volume: write a drive letter such as E:, or a directory such as C:\\mt1."
            )
        for name in names:
            _check(name, text)
        path = drive[0].upper() + drive[1:] + "\\".join(names) + "\\"
        if len(path) > _LONGEST:
            raise InvalidInput(f"The mount point '{text}' has more than {_LONGEST} characters: choose a shorter path.")
        return cls(path)

    @property
    def drive(self) -> str:
        """`E:`, the letter itself or the one on whose volume the directory is."""
        return self.path[:2]

    @property
    def is_letter(self) -> bool:
        """Whether it is a drive letter and not a directory."""
        return is_letter(self.path)

    @property
    def bare(self) -> str:
        """The path as people write it: `E:` or `C:\\mt1`."""
        return self.path.rstrip("\\")

    @property
    def lineage(self) -> list[AccessPath]:
        """The directory and those that it lies in, deepest first; of a drive letter, nothing."""
        drive, *names = self.bare.split("\\")
        return [AccessPath("\\".join([drive, *names[:depth]]) + "\\") for depth in range(len(names), 0, -1)]

    def __str__(self) -> str:
        return self.bare

    def among(self, paths: Iterable[str]) -> bool:
        """Tell whether Windows' list of paths has this one; case does not count."""
        return self.path.lower() in {path.rstrip("\\").lower() + "\\" for path in paths}


def is_letter(path: str) -> bool:
    """Tell whether one of Windows' access paths is a drive letter, such as `E:\\`."""
    return len(path) == len("E:\\")


def _check(name: str, text: str) -> None:
    """Refuse the name of a directory that Windows does not allow, or that a command line could take for something else."""
    if not _NAME.fullmatch(name) or name[-1] in ". " or name[0] == " ":
        raise InvalidInput(
            f"{_quoted(text)} cannot be a mount point: {_quoted(name)} is no plain name of a directory (letters, digits, spaces and "
            ". ( ) + @ # $ ~ _ - with neither a space at an end nor a dot at the last)."
        )
    if _DEVICES.fullmatch(name):
        raise InvalidInput(f"'{text}' cannot be a mount point: Windows keeps the name '{name}' for a device.")


def _quoted(text: str) -> str:
    return f"'{text}'" if text.isprintable() else ascii(text)
