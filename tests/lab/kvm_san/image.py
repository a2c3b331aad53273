# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the machines start from, made once and kept: their image, and all of them set up and suspended.

Nothing in it tells where it lies: a copy is as good in another place.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

from tests.lab.built import CannotPrepare, digest, kept, once, output, recipe, run
from tests.lab.locking import locked

ROOT = Path(__file__).resolve().parents[3]
HERE = Path(__file__).parent
CACHE = kept("kvm-san")
RECIPE = HERE / "guest"
COMMON_FILES = HERE.parent / "kvm" / "guest" / "files"
SETUP = HERE / "setup"
MEMORY_MIB = 4096
"""What the three machines take of this one's: their own memory, and what QEMU translates."""


def refuse_elsewhere(user: int | None = None, memory: Path = Path("/proc/meminfo")) -> None:
    """Raise CannotPrepare where the machines cannot be made or have no room, with the way out."""
    if os.geteuid() if user is None else user:
        raise CannotPrepare("the image of its machines is a root file system, which only root makes: run it as root")
    available = re.search(r"^MemAvailable: +(\d+) kB$", memory.read_text(), re.MULTILINE)
    free = int(available[1]) // 1024 if available else 0
    if free < MEMORY_MIB:
        raise CannotPrepare(
            f"its three machines take {MEMORY_MIB} MiB of memory, and {free} are free: end something, or take a larger machine"
        )


def image() -> Path:
    """Return the directory of the image, made now unless it was made before; raises CannotPrepare."""
    with locked(CACHE):
        return once(_image_directory(), lambda directory: run([str(RECIPE / "build.sh"), str(directory)]))


def suspended(boot: Callable[[Path], None]) -> Path:
    """Return the directory of the suspended machines, which ``boot`` makes unless they were made before."""
    facts = [_image_directory().name, output("qemu-system-x86_64", "--version"), *recipe(SETUP), (HERE / "machines.py").read_text()]
    with locked(CACHE / "machines"):
        return once(CACHE / "machines" / digest(*facts), boot)


def _image_directory() -> Path:
    return CACHE / f"image-{digest(*recipe(COMMON_FILES), *recipe(RECIPE))}"
