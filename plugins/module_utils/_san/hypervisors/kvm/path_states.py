# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a LUN answers whoever opens it on a KVM host, by the word of SCSI and of dm-multipath, without a request that might wait for it.

After an outage a path runs again to SCSI before it does to dm-multipath, which sends it nothing until multipathd has tried it.
"""

from __future__ import annotations

from dataclasses import dataclass

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import RemoteError
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.host import KvmHost
from ansible_collections.crossvisor.san.plugins.module_utils._san.linux import multipath
from ansible_collections.crossvisor.san.plugins.module_utils._san.linux.multipath import Grouping
from ansible_collections.crossvisor.san.plugins.module_utils._san.linux.tree import Tree

_STATUS_SECONDS = 30.0
_ACTIVE, _FAILED, _DEAD = "active", "failed", "dead"


@dataclass(frozen=True)
class PathStates:
    """How a host has a LUN's paths at one moment."""

    host: str
    found: Grouping
    states: tuple[tuple[str, str], ...]
    """Each path, and whether it is active, failed to dm-multipath, or dead to SCSI."""
    suspended: bool
    """Whether dm-multipath lets nothing through to any of them."""

    @property
    def silent(self) -> bool:
        """Whether whoever opens the LUN now would fail or wait."""
        return self.suspended or not any(state == _ACTIVE for _path, state in self.states)

    def why(self) -> str:
        """Why nobody is given a LUN that is silent."""
        name, device = self.found.name, self.found.map
        told = ", ".join(f"{path} {state}" for path, state in self.states) or "no path is left"
        if self.suspended:
            return (
                f"Multipath device {device} of LUN {name} on host {self.host} is suspended ({told}), and keeps waiting whoever opens it: "
                f"resume it there (dmsetup resume {device}), then run this task again."
            )
        see = f"multipath -ll {device} there, and " if device else ""
        return (
            f"Host {self.host} has LUN {name}, and no path to it does I/O ({told}): see what its paths lack ({see}hba_info of its "
            "adapters), then run this task again."
        )


def look(host: KvmHost, tree: Tree, found: Grouping) -> PathStates:
    """The states of the paths as `found` in `tree`. Where nobody tells of dm-multipath's, SCSI's word counts alone."""
    active = _active(host, tree, found)
    states = tuple((path, _state(path in found.alive, active is None or path in active)) for path in found.paths)
    return PathStates(host.name, found, states, bool(found.map) and multipath.is_suspended(tree, found.map_block))


def _active(host: KvmHost, tree: Tree, found: Grouping) -> set[str] | None:
    """The paths that dm-multipath uses; None without a map, or where the host does not tell."""
    if not found.map:
        return None
    try:
        return multipath.active_paths(tree, host.access.told(multipath.status_command(found.map), _STATUS_SECONDS))
    except RemoteError:
        return None


def _state(alive: bool, active: bool) -> str:
    if not alive:
        return _DEAD
    return _ACTIVE if active else _FAILED
