# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a VM that moves finds a LUN on the other host: where a VM's definition names the LUN, each host has to give it by one name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import option
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.base import ALLOW
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import DEVICE_OK, Given, Host, ScsiDevice, VirtualMachine
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName


@dataclass(frozen=True)
class Peers:
    """The hosts between which a VM may move that has, or shall get, a LUN."""

    vm: VirtualMachine
    name: ScsiName
    hosts: Sequence[Host]
    vouched: bool = False
    """Whether one path of several will do, by the user's word."""

    def unlike(self, found: Sequence[ScsiDevice]) -> list[str]:
        """A sentence for each host that sees the LUN and on which the VM would not find it by the name that it has on its own.

        None while the VM's own host does not give it, which is told by whoever gives it to the VM.
        """
        ours = self._ours(found)
        if ours is None or self._is_refused(ours):
            return []
        return [self._sentence(host, ours, ways[0]) for host, ways in self._elsewhere(ours, found)]

    def may_change(self, found: Sequence[ScsiDevice]) -> bool:
        """Whether it may be that a moment later there is nothing to tell, or more."""
        ours = self._ours(found)
        if ours is None:
            return False
        if self._is_refused(ours):
            return ours.passing and any(ways for _host, ways in self._others(found))
        elsewhere = self._elsewhere(ours, found)
        return bool(elsewhere) and all(any(way.passing for way in ways) for _host, ways in elsewhere)

    def _ours(self, found: Sequence[ScsiDevice]) -> Given | None:
        """How the VM is given the LUN on its own host."""
        return next(iter(self._given(self.vm.host, found)), None)

    def _elsewhere(self, ours: Given, found: Sequence[ScsiDevice]) -> list[tuple[Host, list[Given]]]:
        """The other hosts that see the LUN and do not give it alike in any way, with the ways by which they do."""
        return [(host, ways) for host, ways in self._others(found) if ways and not any(self._is_alike(ours, way) for way in ways)]

    def _others(self, found: Sequence[ScsiDevice]) -> list[tuple[Host, list[Given]]]:
        return [(host, self._given(host.id, found)) for host in self.hosts if host.id != self.vm.host]

    def _given(self, host: str, found: Sequence[ScsiDevice]) -> list[Given]:
        return [device.given for device in found if device.host == host and device.given and device.state == DEVICE_OK]

    def _is_refused(self, way: Given) -> bool:
        return bool(way.refusal) and not (self.vouched and way.by_one_path)

    def _is_alike(self, ours: Given, way: Given) -> bool:
        return way.name == ours.name and not self._is_refused(way)

    def _sentence(self, host: Host, ours: Given, theirs: Given) -> str:
        left_out = f"leave host {host.name}, to which VM {self.vm.name} may move, out with {option('ignore_hosts', host.name)}."
        if self._is_refused(theirs):
            return f"{theirs.refusal.rstrip('.')}, or {left_out}"
        vouch = "" if self.vouched else f", accept that with {option('single_path', ALLOW)}"
        own = next((known.name for known in self.hosts if known.id == self.vm.host), self.vm.host)
        follower, likewise = (own, theirs.likewise) if theirs.best and not ours.best else (host.name, ours.likewise)
        return (
            f"Host {host.name} has LUN {self.name} {theirs.how} and host {own} {ours.how}, so that a VM which moves does not find it by "
            f"one name on both: let host {follower} have it {likewise} too{vouch}, or {left_out}"
        )
