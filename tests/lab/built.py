# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What takes long to make, made once and kept in a directory whose name is a hash of everything that went into it.

All checkouts of an account share it. What none of them has used for `UNUSED_DAYS` goes when something of its kind is made.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

UNUSED_DAYS = 7
_SECONDS_PER_DAY = 86400


class CannotPrepare(RuntimeError):
    """What the lab starts from cannot be made here; the text says why."""


def kept(lab: str, environment: Mapping[str, str] = os.environ) -> Path:
    """Return where a lab keeps what it makes: below ``$XDG_CACHE_HOME``, else ``~/.cache`` (XDG Base Directory Specification)."""
    named = Path(environment.get("XDG_CACHE_HOME", ""))
    return (named if named.is_absolute() else Path.home() / ".cache") / "crossvisor.san" / lab


def once(directory: Path, make: Callable[[Path], None]) -> Path:
    """Return the directory, made by ``make`` if it is not there; what was made is complete or absent."""
    if not directory.exists():
        _remove_unused(directory)
        partial = directory.with_name(f"{directory.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(mode=0o700)
        make(partial)
        partial.rename(directory)
    os.utime(directory)
    return directory


def _remove_unused(new: Path) -> None:
    """Remove what is of the same kind, which its name begins with, and was used long ago."""
    oldest = time.time() - UNUSED_DAYS * _SECONDS_PER_DAY
    kind = new.name.rpartition("-")[0]
    for other in new.parent.iterdir():
        if other.is_dir() and other.name.rpartition("-")[0] == kind and other.stat().st_mtime < oldest:
            shutil.rmtree(other)


def digest(*texts: str) -> str:
    """Return a short hash of the texts, for the name of a directory."""
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16]


def recipe(directory: Path) -> Iterator[str]:
    """Yield the name and the text of every file below the directory."""
    for file in sorted(path for path in directory.rglob("*") if path.is_file()):
        yield f"{file.relative_to(directory)}\n{file.read_text()}"


def output(*command: str) -> str:
    """Return what a command prints; raises subprocess.CalledProcessError."""
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True).stdout


def run(command: Sequence[str]) -> None:
    """Run a command that makes something; raises CannotPrepare with the end of what it said."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CannotPrepare(f"{Path(command[0]).name} ended with {done.returncode}: {(done.stdout + done.stderr)[-2000:]}")
