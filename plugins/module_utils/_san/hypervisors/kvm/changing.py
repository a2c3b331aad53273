# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A VM as the target of a change: its domains are observed anew before each act, and what runs is changed before what starts next time."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import Refused, TimedOut
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm import domain, evidence
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.domain import Disk, Domain
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.faults import explained
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.host import KvmHost
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.machines import DomainPair, View
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import POWERED_OFF, POWERED_ON, VirtualMachine
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.libvirt_session import CONFIG, LIVE

_POLL_SECONDS = 0.2
_AGENT_SECONDS = 30
"""A guest that has much to do answers late, and what it has mounted is lost if nobody waits for it."""


@dataclass(frozen=True)
class Observed:
    """A VM at one moment, and what is needed to know which LUNs it has."""

    pair: DomainPair
    view: View

    def disks_of(self, name: ScsiName) -> list[Disk]:
        """The VM's disks that are the LUN."""
        return [disk for disk in self.pair.disks if self._is(disk, name)]

    def disks_in(self, part: Domain, name: ScsiName) -> list[Disk]:
        """The disks of a part of the VM that are the LUN, whatever the other part calls it."""
        return [disk for disk in part.disks if self._is(disk, name)]

    def parts_with(self, name: ScsiName) -> int:
        """Which parts of the VM (`LIVE`, `CONFIG`) have the LUN."""
        return self.pair.targets_with(lambda disk: self._is(disk, name))

    def devices_beside(self, name: ScsiName) -> list[str]:
        """Where the data of the VM's disks is on the host, without those that are the LUN."""
        sources = [disk.source for disk in self.pair.disks if disk.is_disk and disk.source and not self._is(disk, name)]
        return [self.view.path_of(source) for source in sources]

    def may_go_on_with(self, name: ScsiName) -> bool:
        """Whether the VM is off and has the LUN in its managed save image, or has an image that does not tell."""
        return self.pair.record.saved == "" or name in evidence.saved_luns(self.view, self.pair)

    def refuse_scsi_device(self, vm: str, name: ScsiName, host: str) -> None:
        """Raise `Refused` when the VM has the LUN as a SCSI device of the host, which nobody who wanted a disk has given to it."""
        devices = (device for device in self.pair.host_devices if device.type == domain.SCSI_DEVICE)
        found = next((device for device in devices if self.view.device_name(device) == name), None)
        if found:
            raise Refused(
                f"VM {vm} has LUN {name} as the SCSI device {found.alias or found} of host {host} (a hostdev), which is left as it is: "
                "take it from the VM with virsh detach-device first, or name another LUN."
            )

    def _is(self, disk: Disk, name: ScsiName) -> bool:
        return disk.is_disk and self.view.name_of(disk) == name


def observe(host: KvmHost, uuid: str) -> Observed:
    """A VM as it is now. Raises `NotFound`."""
    pair = host.pair(uuid)
    return Observed(pair, host.view([pair]))


@dataclass(frozen=True)
class VmChange:
    """A VM that is going to be changed, and how long that may take."""

    host: KvmHost
    vm: VirtualMachine
    timeout: float
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    @property
    def uuid(self) -> str:
        """The domain's UUID."""
        return self.vm.id

    @property
    def name(self) -> str:
        """The VM's name."""
        return self.vm.name

    def pair(self) -> DomainPair:
        """What its XMLs say now, without a look at its LUNs. Raises `NotFound`."""
        return self.host.pair(self.uuid)

    def observe(self) -> Observed:
        """The VM now. Raises `NotFound`."""
        return observe(self.host, self.uuid)

    def refuse_if_saved(self, pair: DomainPair) -> None:
        """Raise `Refused` for a VM that goes on from a managed save image, which no change of what starts next time reaches."""
        if pair.record.is_saved:
            raise Refused(
                f"VM {self.name} is saved to disk with the devices that it had: start it, or discard its managed save image first "
                f"(virsh managedsave-remove {self.name})."
            )

    def take(self, what: str, find: Callable[[Domain], str | None]) -> None:
        """Take a device from what runs and, once the guest has let go of it, from what starts next time.

        `find` gives the device's XML in a part of the VM. Raises `TimedOut` when the guest does not let go; nothing is changed then.
        """
        running = find(self.pair().live)
        if running:
            with explained(f"{what} was not taken from VM {self.name}"):
                self.host.detach(self.uuid, running, LIVE)
            self._wait_until_gone(what, find)
        kept = find(self.pair().config)
        if kept:
            with explained(f"{what} was not taken from the configuration of VM {self.name}"):
                self.host.detach(self.uuid, kept, CONFIG)

    def refuse_if_mounted(self, name: ScsiName) -> None:
        """Raise `Refused` when the guest agent says that the LUN is mounted: libvirt would take it away with what is not yet written.

        So it does while the guest is suspended and cannot be asked; then, unless it has never used the LUN.
        """
        seen = self.observe()
        if seen.pair.record.state not in (POWERED_ON, POWERED_OFF) and self._may_have_used(seen, name):
            raise Refused(
                f"VM {self.name} is suspended, so that nobody can tell whether LUN {name} is mounted there: resume it, or power it off "
                "first."
            )
        mounted = self._mounted(name) if seen.pair.record.state == POWERED_ON else {}
        places = sorted({place for disk in seen.disks_of(name) for place in mounted.get(disk.target, ())})
        if places:
            raise Refused(
                f"LUN {name} is mounted in VM {self.name} at {', '.join(places)}: unmount it there first, "
                "or data that is not yet written is lost."
            )

    def _mounted(self, name: ScsiName) -> Mapping[str, Sequence[str]]:
        """Where the guest has mounted what of its disks, and nothing where no agent runs. Raises `Refused` for one that does not answer."""
        mounted = self.host.session.mounts(self.uuid, _AGENT_SECONDS)
        if mounted is None and self.pair().live.agent_listens:
            raise Refused(
                f"The guest agent of VM {self.name} did not answer within {_AGENT_SECONDS} s, so that nobody can tell whether LUN {name} "
                "is mounted there: restart qemu-guest-agent in the guest, or power the VM off first."
            )
        return mounted or {}

    def _may_have_used(self, seen: Observed, name: ScsiName) -> bool:
        """Whether a suspended guest may have the LUN mounted, for which it must have read it.

        QEMU counts that from the start of its process, which is that of the guest unless this was restored from a file.
        """
        counts = [self.host.session.requests(self.uuid, disk.target) for disk in seen.disks_in(seen.pair.live, name)]
        return any(count != 0 for count in counts) or (bool(counts) and not seen.pair.record.held)

    def refuse_unless_unmounted(self, name: ScsiName) -> None:
        """Raise `Refused` unless the VM is off, or its guest agent says that the LUN is not mounted."""
        if self.pair().record.state != POWERED_OFF:
            self._refuse_unless_told(name)
        self.refuse_if_mounted(name)

    def _refuse_unless_told(self, name: ScsiName) -> None:
        mounted = self.host.session.guest_mounts(self.uuid)
        if mounted is None:
            raise Refused(
                f"VM {self.name} is not off, and no guest agent tells whether LUN {name} is mounted there: power it off first, because the "
                "disk is away for a moment."
            )
        places = ", ".join(sorted(one.place for one in mounted if one.may_be_anywhere))
        if places:
            raise Refused(
                f"VM {self.name} is not off, and its guest agent does not tell on which disk {places} lies, which may be LUN {name}: "
                "unmount it, or power the VM off first, because the disk is away for a moment."
            )

    def _wait_until_gone(self, what: str, find: Callable[[Domain], str | None]) -> None:
        deadline = self.clock() + self.timeout
        while find(self.pair().live):
            if self.clock() >= deadline:
                raise TimedOut(
                    f"{what} is still in VM {self.name} after {self.timeout:g} s, because the guest does not let go of it: "
                    "see what uses it there; nothing else was changed"
                )
            self.sleep(_POLL_SECONDS)
