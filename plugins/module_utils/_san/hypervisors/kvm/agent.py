# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The guest agent of a VM, which libvirt has hold file systems still (guest-fsfreeze-freeze-list and -thaw of qga/qapi-schema.json).

While anything is frozen it answers little else, thaws whatever is frozen when it is told to, and never by itself. That a run has frozen
something is noted in what runs of the domain (its metadata), so that it goes when the VM does and wherever the VM does.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import NotFound, Refused
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.base import FreezeNote, GuestFileSystem
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm import changing
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.domain import root_of
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.host import KvmHost
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import POWERED_ON, VirtualMachine
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.libvirt_session import AgentRefused, GuestMount

with contextlib.suppress(ImportError):  # told by wire.libvirt_session, without which nobody comes here
    from lxml import etree

_FROZEN = "in frozen state"


@dataclass(frozen=True)
class KvmAgent:
    """A VM's guest agent. Implements `hypervisors.base.GuestAgent`."""

    host: KvmHost
    vm: VirtualMachine

    def file_systems(self, names: Sequence[ScsiName]) -> list[GuestFileSystem]:
        seen = changing.observe(self.host, self.vm.id)
        if seen.pair.record.state != POWERED_ON:
            raise Refused(f"VM {self.vm.name} does not run, so that no agent holds its file systems still: take the snapshot without it.")
        mounted = self._mounted()
        found: dict[str, GuestFileSystem] = {}
        for name in dict.fromkeys(names):
            targets = {disk.target for disk in seen.disks_of(name)}
            if not targets:
                raise NotFound(
                    f"VM {self.vm.name} does not have LUN {name} as a disk: name the VM that has it, or take the snapshot unfrozen."
                )
            for mount in mounted:
                if targets & set(mount.targets):
                    found.setdefault(mount.device, GuestFileSystem(name.naa, mount.device, mount.place))
        homeless = {one.device: GuestFileSystem("", one.device, one.place) for one in mounted if one.may_be_anywhere}
        if homeless and not found:
            places = ", ".join(one.mount for one in homeless.values())
            raise Refused(
                f"The agent in VM {self.vm.name} does not tell on which disk {places} lies, so that nobody knows whether one is on these "
                "LUNs: unmount it, or take the snapshot unfrozen."
            )
        return [*found.values(), *homeless.values()]

    def freeze(self, mounts: Sequence[str], seconds: float) -> int:
        return self.host.session.freeze(self.vm.id, mounts, math.ceil(seconds))

    def thaw(self, seconds: float) -> int:
        return self.host.session.thaw(self.vm.id, math.ceil(seconds))

    def noted(self) -> FreezeNote | None:
        xml = self.host.session.note(self.vm.id)
        note = root_of(xml) if xml else None
        return FreezeNote(note.get("by", ""), int(note.get("held", "0"))) if note is not None else None

    def note(self, note: FreezeNote) -> None:
        element = etree.Element("frozen", {"by": note.mark, "held": str(note.held)})
        self.host.session.set_note(self.vm.id, etree.tostring(element, encoding="unicode"))

    def forget(self) -> None:
        self.host.session.set_note(self.vm.id, "")

    def _mounted(self) -> Sequence[GuestMount]:
        try:
            mounted = self.host.session.guest_mounts(self.vm.id)
        except AgentRefused as error:
            if _FROZEN not in str(error):
                raise
            raise Refused(
                f"File systems of VM {self.vm.name} are frozen already, by somebody else who told its agent to: wait until that is over, "
                f"or thaw them (virsh domfsthaw {self.vm.name})."
            ) from error
        if mounted is None:
            raise Refused(
                f"No guest agent answers in VM {self.vm.name}: start qemu-guest-agent there, or give the VM the channel "
                "org.qemu.guest_agent.0, or take the snapshot unfrozen."
            )
        return mounted
