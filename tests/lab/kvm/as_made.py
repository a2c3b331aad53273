# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a host is as it was made, so that only what somebody touched is made again: a guest takes ten seconds and more."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.lab.kvm import guests
from tests.lab.kvm.daemon import Libvirt


@dataclass(frozen=True)
class Look:
    """All that clients of a host can change."""

    domains: Mapping[str, str]
    """By name, the state and what libvirt has of each, live and persistent."""
    guests: Mapping[str, int | None]
    """By name, how many processes each has begun since it booted; none where it does not say."""
    others: str
    """Pools and secrets."""
    files: Mapping[str, tuple[int, int, int]]
    """By name, inode, size and time of those that no guest has for its system."""

    @property
    def beside_guests(self) -> object:
        """The same without the guests."""
        return {name: told for name, told in self.domains.items() if name not in self.guests}, self.others, self.files

    def untouched(self, before: Look) -> frozenset[str]:
        """Guests in which nobody has done anything since an earlier look, and which were given nothing."""
        return frozenset(name for name in self.guests if self._is_untouched(name, before))

    def _is_untouched(self, name: str, before: Look) -> bool:
        begun = self.guests[name]
        return begun is not None and begun == before.guests.get(name) and self.domains.get(name) == before.domains.get(name)


def look(libvirt: Libvirt, names: Iterable[str], images: Path) -> Look:
    """Return how the host is, whose guests are these. Raises LibvirtFailed when it changes meanwhile."""
    with ThreadPoolExecutor() as pool:
        begun = dict(zip(names, pool.map(lambda name: guests.processes_begun(libvirt, name), names), strict=True))
    domains = libvirt.virsh("list", "--all", "--name").split()
    pools = libvirt.virsh("pool-list", "--all", "--name").split()
    others = "; ".join(["secret-list", "pool-list --all", *(f"pool-dumpxml {name}" for name in pools)])
    return Look({name: _domain(libvirt, name) for name in domains}, begun, libvirt.virsh(others), dict(_files(images, begun)))


def _domain(libvirt: Libvirt, name: str) -> str:
    return libvirt.virsh(f"domstate {name}; dumpxml {name}; dumpxml {name} --inactive")


def _files(images: Path, systems: Iterable[str]) -> Iterable[tuple[str, tuple[int, int, int]]]:
    for file in sorted(images.rglob("*")):
        if file.name not in {f"{name}.qcow2" for name in systems}:
            seen = file.stat()
            yield str(file), (seen.st_ino, seen.st_size, seen.st_mtime_ns)
