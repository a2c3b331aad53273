# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Make a LUN that the hypervisor has attached a disk of this Linux machine, and let go of it before the hypervisor detaches it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import Ambiguous, CrossvisorError, Refused, TimedOut
from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.linux import contents, controllers, xenbus
from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.linux.address import ANYWHERE, Address
from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.linux.contents import Contents
from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.linux.disk import GuestDisk, find, udev_runs, unnamed
from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.linux.kernel import Kernel
from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.linux.usage import Use, uses
from ansible_collections.crossvisor.san.plugins.module_utils._san.linux import scsi
from ansible_collections.crossvisor.san.plugins.module_utils._san.linux.devices import device_size
from ansible_collections.crossvisor.san.plugins.module_utils._san.linux.scsi import Disk, ScsiHost
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import PATH_DEAD
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName

_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 2.0
_RETRIES = "10"
"""How often `multipath` tries, a second apart, to flush a device that somebody still waits for."""


@dataclass(frozen=True)
class Request:
    """What a user asks: this LUN, and where it may be."""

    name: ScsiName
    controller: str = ""
    """`host2` or a PCI address, empty for any."""
    address: Address = ANYWHERE
    size_bytes: int = 0
    """Size of the LUN, by which a disk that tells no name is recognised in its place; 0 when nobody has said it."""
    timeout: float = 30.0
    """Seconds to wait for the kernel and udev."""


@dataclass(frozen=True)
class Report:
    """What was, or in check mode would be, done; `disk` is None when the machine does not see the LUN."""

    disk: GuestDisk | None
    used_by: Sequence[Use] = ()
    contents: Contents | None = None
    """What the disk carries, None where that was not or cannot be read."""
    scanned: Sequence[ScsiHost] = ()
    actions: Sequence[str] = ()
    before: Mapping[str, Any] = field(default_factory=dict)
    after: Mapping[str, Any] = field(default_factory=dict)

    def result(self) -> dict[str, Any]:
        """The report as a module returns it."""
        return {
            "changed": bool(self.actions),
            "actions": list(self.actions),
            "diff": {"before": dict(self.before), "after": dict(self.after)},
            "scanned": [host.name for host in self.scanned],
            "disk": self._disk(),
            "used_by": [use.result() for use in self.used_by],
        }

    def _disk(self) -> dict[str, Any] | None:
        if self.disk is None:
            return None
        known = self.disk.result()
        return self.contents.result(known) if self.contents else {**known, "content": None}


@dataclass
class Rescan:
    """The work on one LUN of one machine. Its methods raise a `CrossvisorError`."""

    kernel: Kernel
    request: Request
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    def gathered(self) -> Report:
        """What the machine shows of the LUN. Reads from the disk, but gives the kernel no orders."""
        disk = self._find()
        return self._report(disk) if disk else Report(None)

    def present(self, check_mode: bool) -> Report:
        """Let the machine see the LUN with the size that it has now. In check mode nothing is asked of the kernel."""
        before = self._find()
        if check_mode:
            return self._seen_as_it_is(before)
        actions: list[str] = []
        if before is not None and before.named:
            actions += self._without_stale_paths(before)
            self._read_again()
        scanned = [] if self._find() else self._hosts()
        after = self._wait_for_disk(scanned)
        if scanned:
            actions.append(f"rescan {controllers.described(scanned)}")
        elif before is None:
            actions.append(f"see {after.device}")
        if before is not None and before.size_bytes != after.size_bytes:
            actions.append(f"take over the size of {after.device}, {after.size_bytes} bytes instead of {before.size_bytes}")
        return replace(self._report(after), scanned=scanned, actions=actions, before=_shown(before), after=_shown(after))

    def absent(self, check_mode: bool) -> Report:
        """Let the machine forget the LUN. Refuses while anything uses it, and says who."""
        disk = self._find()
        if disk is None:
            return Report(None)
        self._refuse_if_used(disk)
        if not check_mode:
            self._remove(disk)
        return Report(disk, actions=[f"{'remove' if disk.named else 'flush'} {disk.device}"], before=_shown(disk))

    def _find(self) -> GuestDisk | None:
        return find(self.kernel.tree, self.request.name) or self._in_its_place()

    def _in_its_place(self) -> GuestDisk | None:
        """The LUN on Xen's own bus, where the hypervisor has put it."""
        tree, request = self.kernel.tree, self.request
        if request.address.unit is None or not xenbus.has_disks(tree):
            return None
        disk = xenbus.disk_at(tree, request.address.unit, request.name, request.size_bytes)
        return unnamed(tree, disk, request.name) if disk else None

    def _hosts(self) -> Sequence[ScsiHost]:
        """The SCSI hosts to rescan; a disk of Xen comes by itself."""
        if self.request.address.unit is not None and xenbus.has_disks(self.kernel.tree):
            return []
        return controllers.to_scan(self.kernel.tree, self.request.controller, self.request.address)

    def _report(self, disk: GuestDisk) -> Report:
        return Report(disk, uses(self.kernel.tree, disk), contents.read(self.kernel, disk))

    def _seen_as_it_is(self, disk: GuestDisk | None) -> Report:
        if disk is not None:
            return self._report(disk)
        hosts = self._hosts()
        action = f"rescan {controllers.described(hosts)}" if hosts else f"see SCSI(0:{self.request.address.unit})"
        return Report(None, actions=[action], after={"naa": self.request.name.naa})

    def _without_stale_paths(self, disk: GuestDisk) -> list[str]:
        """Let go of what a LUN that was taken away without notice has left. dm-multipath looks after its own paths."""
        stale = [] if disk.multipath else [path for path in disk.paths if path.state == PATH_DEAD]
        if not stale:
            return []
        used = [use for use in uses(self.kernel.tree, disk) if any(use.device.startswith(path.device) for path in stale)]
        if used or any(path.block and self.kernel.is_claimed(path.device) for path in stale):
            reason = "; ".join(map(str, used)) or "something holds it"
            raise Refused(
                f"LUN {self.request.name} is lost on {_named(stale)} and still in use ({reason}): "
                "stop that use, then run this task again to let the disk come back"
            )
        for path in stale:
            self.kernel.remove(path.path)
        return [f"remove what is left of {path.device} ({path.address})" for path in stale]

    def _read_again(self) -> None:
        """Let the kernel read size and identity from the LUN, which may have grown, or be another one behind the same address."""
        seen = self._find()
        for path in seen.paths if seen else ():
            if path.state != PATH_DEAD or path.empty:
                self.kernel.order(f"{path.path}/rescan", "1")
        self._resize_map()

    def _resize_map(self) -> None:
        disk = self._find()
        if disk is None or not disk.map:
            return
        sizes = {device_size(self.kernel.tree, path.block) for path in disk.paths if path.block and path.state != PATH_DEAD}
        if sizes and min(sizes) > disk.size_bytes:
            self._tool("multipathd", "resize", "map", disk.map_name)

    def _wait_for_disk(self, hosts: Sequence[ScsiHost]) -> GuestDisk:
        """Rescan until the LUN is there, then wait for its device and link."""
        deadline = self.clock() + self.request.timeout
        pause = _FIRST_PAUSE
        while True:
            disk = self._find() or self._scan(hosts)
            missing = self._missing(disk, hosts)
            if disk is not None and missing is None:
                return disk
            if missing is not None and self.clock() >= deadline:
                raise missing
            self.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _scan(self, hosts: Sequence[ScsiHost]) -> GuestDisk | None:
        for host in hosts:
            self.kernel.order(f"/sys/class/scsi_host/{host.name}/scan", self.request.address.scan(host.driver))
        return self._find()

    def _missing(self, disk: GuestDisk | None, hosts: Sequence[ScsiHost]) -> CrossvisorError | None:
        """What the LUN still lacks for being used, as the error that it is when it never comes."""
        name, seconds = self.request.name, f"within {self.request.timeout:g} s"
        if disk is None and not hosts:
            return TimedOut(
                f"LUN {name} is not visible {seconds} as SCSI(0:{self.request.address.unit}), where the guest has no disk: "
                "check that the hypervisor has plugged it into this VM (ptd_attach)"
            )
        if disk is None:
            return TimedOut(
                f"LUN {name} is not visible {seconds} after a rescan of {controllers.described(hosts)}, which show {self._others(hosts)}: "
                "check that the hypervisor has attached the LUN to this VM (ptd_attach), and to which controller"
            )
        devices = _named(disk.paths)
        if not all(path.block for path in disk.paths):
            return TimedOut(f"LUN {name} is there as {devices}, but no disk driver took it {seconds}: load sd_mod")
        if disk.lifeless:
            return TimedOut(
                f"LUN {name} is there as {devices}, but the array does not answer on any of these paths {seconds}: check that it is online "
                "there and mapped to this machine, and see 'multipath -ll'"
            )
        if disk.claimed and not disk.multipath:
            return TimedOut(f"dm-multipath claims {devices} of LUN {name}, but made no device of it {seconds}: see 'multipath -ll'")
        if len(disk.paths) > 1 and not disk.multipath:
            return Ambiguous(
                f"LUN {name} is there more than once, as {devices}, and dm-multipath holds none of them: "
                "configure multipathd, or attach the LUN to this VM once"
            )
        if disk.named and not disk.by_id and udev_runs(self.kernel.tree):
            return TimedOut(
                f"udev made no link to {disk.device} of LUN {name} in /dev/disk/by-id {seconds}: see 'udevadm info {disk.device}'"
            )
        return None

    def _others(self, hosts: Sequence[ScsiHost]) -> str:
        names = {host.name for host in hosts}
        seen = [disk for disk in scsi.disks(self.kernel.tree) if disk.host in names]
        return ", ".join(f"{disk.device} ({disk.name or 'without a NAA name'})" for disk in seen) or "no disk"

    def _refuse_if_used(self, disk: GuestDisk) -> None:
        found = uses(self.kernel.tree, disk)
        if found:
            raise Refused(f"LUN {disk.name} is in use and stays: {'; '.join(map(str, found))}; stop that use first")
        held = [partition.device for partition in disk.partitions] if disk.map and disk.partitions else [disk.device]
        claimed = [device for device in held if disk.paths[0].block and self.kernel.is_claimed(device)]
        if claimed:
            raise Refused(
                f"LUN {disk.name} is in use and stays: {', '.join(claimed)} is held by something that /proc and /sys do not name, "
                "such as a mount inside a container or ZFS; stop that use first"
            )

    def _remove(self, disk: GuestDisk) -> None:
        if disk.paths[0].block and not disk.lifeless:
            self.kernel.flush(disk.device)
        if not disk.named:
            return
        if disk.lifeless:
            self._tool("multipathd", "disablequeueing", "map", disk.map_name)
        if disk.map:
            self._tool("multipath", *(("-R", _RETRIES) if disk.lifeless else ()), "-f", disk.map_name)
        for path in disk.paths:
            self.kernel.remove(path.path)
        self._wait_until_gone(disk)

    def _wait_until_gone(self, disk: GuestDisk) -> None:
        deadline = self.clock() + self.request.timeout
        while self._find() is not None:
            if self.clock() >= deadline:
                raise TimedOut(f"{_named(disk.paths)} of LUN {disk.name} is still there {self.request.timeout:g} s after its removal")
            self.sleep(_FIRST_PAUSE)

    def _tool(self, *command: str) -> None:
        if self.kernel.tool(*command) is None:
            raise CrossvisorError(
                f"LUN {self.request.name} is held by dm-multipath, but there is no '{command[0]}': install multipath-tools"
            )


def _named(paths: Sequence[Disk]) -> str:
    return ", ".join(f"{path.device} ({path.address})" if path.block else path.address for path in paths)


def _shown(disk: GuestDisk | None) -> dict[str, Any]:
    return {"naa": disk.name.naa, "device": disk.device, "size_bytes": disk.size_bytes} if disk else {}
