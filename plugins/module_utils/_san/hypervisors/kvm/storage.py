# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a KVM host's storage is: devices, file systems, and what lies under a path.

From the host's own files where they can be read, else from libvirt's node devices and pools, which tell less: then mounts and volume groups
that no pool describes are not known.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.domain import root_of
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.pools import Pool
from ansible_collections.crossvisor.san.plugins.module_utils._san.linux.block import BlockDevices, file_system_of
from ansible_collections.crossvisor.san.plugins.module_utils._san.linux.stacks import Stack
from ansible_collections.crossvisor.san.plugins.module_utils._san.linux.tree import Tree
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import FileSystem, ScsiDevice
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName

_FILES = frozenset({"dir", "fs", "netfs", "gluster"})
_DEVICES = frozenset({"logical", "disk"})
_MOUNTED = "fs"
"""A pool that is a file system of its own: while it does not run, no mount tells of it."""


@dataclass(frozen=True)
class Under:
    """What lies under a path of the host: a whole LUN, or something that lies on a file system or volume group."""

    name: ScsiName | None = None
    device: str = ""
    file_system: str = ""
    """`FileSystem.id`."""


class HostStorage:
    """One observation of a host's storage."""

    def __init__(
        self,
        host: str,
        tree: Tree | None,
        pools: Sequence[Pool],
        node_devices: Sequence[str] = (),
        claimed: Callable[[Sequence[str]], Mapping[str, bool]] = lambda _blocks: {},
        loops: Callable[[], str] = lambda: "",
    ) -> None:
        """`node_devices` is the XML of libvirt's node devices of capability `storage`; they are for hosts without `tree`.

        `claimed` is `HostAccess.claimed`, `loops` what the host prints for `block.LOOPS_COMMAND`.
        """
        self._host = host
        self._claimed = claimed
        self._pools = pools
        self._blocks = BlockDevices(tree, host, loops) if tree else None
        self.devices = self._blocks.devices() if self._blocks else [device for xml in node_devices for device in _node_device(xml, host)]
        self._addresses = dict(_address_and_name(xml) for xml in node_devices)
        self._known = {store.id: store for store in self._found(pools)}

    def file_systems(self, used: Collection[str]) -> list[FileSystem]:
        """Those that lie on devices or servers, and those with these ids, on which something lies."""
        return [store for store in self._known.values() if store.extents or store.remote or store.id in used]

    def under(self, path: str) -> Under:
        """What lies under a file or block device."""
        name = self._whole(path)
        if name:
            return Under(name=name, device=self._device(name, path))
        part = self._blocks.part(path) if self._blocks else None
        if part:
            self._known.setdefault(part.id, part)
            return Under(device=path, file_system=part.id)
        if path.startswith("/dev/"):
            return Under(device=path, file_system=self._pool_of(path))
        return Under(file_system=file_system_of(path, list(self._known.values())) or self._pool_of(path))

    def device_of(self, name: ScsiName) -> ScsiDevice | None:
        """The LUN as the host sees it."""
        return next((device for device in self.devices if device.name == name), None)

    def name_at(self, address: str) -> ScsiName | None:
        """The LUN at a SCSI address of the host (host, channel, target, LUN: `7:0:0:2`); None for what is no LUN, or not there."""
        return self._blocks.name_at(address) if self._blocks else self._addresses.get(address)

    def shows(self, address: str) -> bool:
        """Whether anything is at a SCSI address of the host."""
        return self._blocks.has(address) if self._blocks else address in self._addresses

    def stacks(self) -> list[Stack]:
        """What the kernel has built on each LUN that it has as a block device; of a host without files only which LUNs these are."""
        return (
            self._blocks.stacks() if self._blocks else [Stack(device.name, (), [device.device]) for device in self.devices if device.name]
        )

    def claimed(self, stack: Stack) -> bool | None:
        """Whether anything on the host holds what is built on a LUN, or the LUN itself; None when the host does not tell of all of it."""
        found = self._claimed(stack.tops)
        return True if any(found.values()) else (None if set(stack.tops) - set(found) else False)

    def is_pooled(self, group: str) -> bool:
        """Whether a storage pool describes a volume group."""
        return any(pool.group == group for pool in self._pools)

    def _whole(self, path: str) -> ScsiName | None:
        return self._blocks.whole(path) if self._blocks else self._by_spelling(path)

    def _by_spelling(self, path: str) -> ScsiName | None:
        known = next((device.name for device in self.devices if path in (device.device, *device.aliases)), None)
        return known or ScsiName.try_parse(path)

    def _device(self, name: ScsiName, path: str) -> str:
        """The host's device of a LUN; without the host's files, the name by which the LUN is had, if that tells it: libvirt lists paths."""
        device = None if self._blocks is None and ScsiName.try_parse(path) else self.device_of(name)
        return device.device if device else path

    def _pool_of(self, path: str) -> str:
        holders = [store for store in self._known.values() if store.id.startswith("pool:") and store.url and path.startswith(store.url)]
        return max(holders, key=lambda store: len(store.url)).id if holders else ""

    def _found(self, pools: Sequence[Pool]) -> list[FileSystem]:
        own = self._blocks.file_systems() if self._blocks else []
        groups = {store.name for store in own if store.kind == "lvm"}
        mounted = {store.id for store in own}
        kinds = _DEVICES | {_MOUNTED} if self._blocks else _DEVICES | _FILES
        described = [pool for pool in pools if pool.type in kinds and (pool.group or pool.name) not in groups]
        return [*own, *(self._pool(pool) for pool in described if pool.type != _MOUNTED or pool.path.rstrip("/") not in mounted)]

    def _pool(self, pool: Pool) -> FileSystem:
        extents = [f"/dev/disk/by-id/{name.wwn}" if (name := self._whole(device)) else device for device in pool.devices]
        place = pool.path.rstrip("/") + "/" if pool.path else ""
        return FileSystem(f"pool:{pool.name}", pool.name, f"{pool.type} pool", [self._host], extents, remote=pool.remote, url=place)


def _address_and_name(xml: str) -> tuple[str, ScsiName | None]:
    """Where a `storage` node device is, by its parent's name, `scsi_7_0_0_2`, and which LUN it is."""
    root = root_of(xml)
    name = ScsiName.try_parse(root.findtext("capability/serial", ""))
    return root.findtext("parent", "").partition("_")[2].replace("_", ":"), name


def _node_device(xml: str, host: str) -> list[ScsiDevice]:
    """A `storage` node device: `serial` is udev's ID_SERIAL, which for a LUN is its WWID."""
    found = root_of(xml).find("capability[@type='storage']")
    if found is None or found.findtext("drive_type") != "disk":
        return []
    name, block = ScsiName.try_parse(found.findtext("serial", "")), found.findtext("block", "")
    size = found.findtext("size", "0")
    return [
        ScsiDevice(
            host=host,
            device=f"/dev/disk/by-id/{name.wwn}" if name else block,
            name=name,
            size_bytes=int(size) if size.isdecimal() else 0,
            vendor=found.findtext("vendor", "").strip(),
            product=found.findtext("model", "").strip(),
            aliases=[block] if name else [],
        )
    ]
