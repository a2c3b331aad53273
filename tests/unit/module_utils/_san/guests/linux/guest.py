# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A Linux guest that is played: its sysfs is a tree of files, and orders to its kernel change that tree as Linux would.

It has a SATA controller as host0, virtio-scsi as host2 and VMware's PVSCSI as host3. LUNs that the hypervisor has attached show up when
their SCSI host is told to scan their target and LUN, and go when their device is told so.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.linux.kernel import Kernel
from ansible_collections.crossvisor.san.plugins.module_utils._san.linux.tree import Tree
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from tests.unit.module_utils._san.linux.machines import Link, Machine, pci_function, plant, scsi_disk, scsi_host

NAME = ScsiName("600a0980524c4974612b44687143566b")
OTHER = ScsiName("600a0980524c4974612b44687143566c")
GIB = 1 << 30

_SATA, _VIRTIO, _PVSCSI = "pci0000:00/0000:00:1f.2/ata1", "pci0000:00/0000:00:05.0/virtio2", "pci0000:00/0000:03:00.0"
CONTROLLERS: Machine = {
    **pci_function("pci0000:00/0000:00:1f.2", "ahci", "0x8086", "0x1af4"),
    **pci_function("pci0000:00/0000:00:05.0", "virtio-pci", "0x1af4", "0x1af4"),
    **pci_function("pci0000:00/0000:03:00.0", "vmw_pvscsi", "0x15ad", "0x15ad"),
    **scsi_host(0, _SATA, proc_name="ahci", scan=""),
    **scsi_host(2, _VIRTIO, proc_name="virtio_scsi", scan=""),
    **scsi_host(3, _PVSCSI, proc_name="vmw_pvscsi", scan=""),
}
_TARGETS = {2: f"/sys/devices/{_VIRTIO}/host2", 3: f"/sys/devices/{_PVSCSI}/host3"}
UDEV: Machine = {"/run/udev/control": ""}


@dataclass(frozen=True)
class Attached:
    """A LUN that the hypervisor has attached at an address of the guest."""

    address: str
    block: str
    name: ScsiName = NAME
    size_bytes: int = GIB

    @property
    def directory(self) -> str:
        """Its directory in sysfs."""
        host, _channel, target, _lun = self.address.split(":")
        return f"{_TARGETS[int(host)]}/target{host}:0:{target}/{self.address}"

    def answers(self, host: str, order: str) -> bool:
        """Tell whether it answers a scan of a host for `channel target LUN`."""
        own_host, *own = self.address.split(":")
        return host == f"host{own_host}" and all(asked in ("-", part) for asked, part in zip(order.split(), own))


class PlayedKernel(Kernel):
    """The kernel of a guest below `root`, with what the hypervisor has attached."""

    def __init__(self, root: Path, *attached: Attached) -> None:
        super().__init__(Tree(plant(root, CONTROLLERS, UDEV)), self._obey)
        self.root = root
        self.attached = list(attached)
        self.orders: list[tuple[str, str]] = []
        self.calls: list[Sequence[str]] = []
        self.claimed: set[str] = set()
        self.flushed: list[str] = []
        self.readable = True
        self.written: dict[str, list[int]] = {}
        """Offsets of bytes that are not zero, by device."""
        self.forbidden = False
        self.links = True
        self.says: dict[str, str] = {"wipefs": "", "blkid": ""}

    def show(self, attached: Attached) -> None:
        """Let the guest see a LUN."""
        parent = attached.directory.rpartition("/")[0]
        disk = scsi_disk(attached.address, attached.block, parent, attached.name.naa)
        serial = (attached.name.serial or "").encode()
        block = f"{attached.directory}/block/{attached.block}"
        more: Machine = {
            f"{attached.directory}/vpd_pg80": b"\x00\x80" + len(serial).to_bytes(2, "big") + serial,
            f"{attached.directory}/rescan": "",
            f"{attached.directory}/delete": "",
            f"{block}/size": str(attached.size_bytes // 512),
            f"{block}/dev": f"8:{16 * (ord(attached.block[-1]) - ord('a'))}",
            f"/sys/class/block/{attached.block}": Link(f"../..{block[4:]}"),
            f"/dev/{attached.block}": "",
        }
        plant(self.root, {**disk, **more})
        if self.links:
            self.link(attached)

    def link(self, attached: Attached) -> None:
        """Let udev make its link, which the last of several paths gets."""
        place = self.root / "dev/disk/by-id" / attached.name.wwn
        place.unlink(missing_ok=True)
        plant(self.root, {f"/dev/disk/by-id/{attached.name.wwn}": Link(f"../../{attached.block}")})

    def forget_driver(self, attached: Attached) -> None:
        """Let no disk driver have taken a LUN."""
        shutil.rmtree(self.root / attached.directory[1:] / "block")

    def add(self, *machines: Machine) -> None:
        """Let the guest have more files."""
        plant(self.root, *machines)

    def partition(self, attached: Attached, number: int = 1, size_bytes: int = GIB - (2 << 20)) -> None:
        """Let the guest's kernel see a partition."""
        name = f"{attached.block}{number}"
        path = f"{attached.directory}/block/{attached.block}/{name}"
        files = {f"{path}/partition": str(number), f"{path}/size": str(size_bytes // 512), f"{path}/dev": f"8:{number}"}
        self.add({**files, f"/sys/class/block/{name}": Link(f"../..{path[4:]}"), f"/dev/{name}": ""})

    def multipath(self, *paths: Attached, name: str = "mpathb") -> None:
        """Let dm-multipath make a device of paths."""
        dm = "/sys/devices/virtual/block/dm-3"
        holders = {f"{path.directory}/block/{path.block}/holders/dm-3": "" for path in paths}
        device = {
            f"{dm}/dm/name": name,
            f"{dm}/dm/uuid": f"mpath-{paths[0].name.wwid}",
            f"{dm}/size": str(paths[0].size_bytes // 512),
            f"{dm}/dev": "253:3",
            "/sys/class/block/dm-3": Link("../../devices/virtual/block/dm-3"),
            "/dev/dm-3": "",
            f"/dev/disk/by-id/dm-uuid-mpath-{paths[0].name.wwid}": Link("../../dm-3"),
        }
        self.add({**device, **holders})

    def is_claimed(self, device: str) -> bool:
        return device in self.claimed

    def is_zero(self, device: str, offset: int, length: int) -> bool:
        return not any(offset <= place < offset + length for place in self.written.get(device, ()))

    def may_read(self, device: str) -> bool:
        return self.readable

    def flush(self, device: str) -> None:
        self.flushed.append(device)

    def tool(self, *command: str, accepted: Sequence[int] = (0,)) -> str | None:
        self.calls.append(command)
        return self.says.get(command[0])

    def _obey(self, path: str, words: str) -> None:
        if self.forbidden:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        self.orders.append((path, words))
        directory, _slash, attribute = path.rpartition("/")
        if attribute == "scan":
            self._scan(directory.rpartition("/")[2], words)
        elif attribute == "rescan":
            self._read_again(directory)
        elif attribute == "delete":
            self._forget(directory)

    def _scan(self, host: str, order: str) -> None:
        for attached in self.attached:
            if attached.answers(host, order) and not self.tree.exists(attached.directory):
                self.show(attached)

    def _read_again(self, directory: str) -> None:
        for attached in self.attached:
            if attached.directory == directory:
                (self.root / directory[1:] / "block" / attached.block / "size").write_text(f"{attached.size_bytes // 512}\n")

    def _forget(self, directory: str) -> None:
        address = directory.rpartition("/")[2]
        for block in self.tree.children(f"{directory}/block"):
            (self.root / "sys/class/block" / block).unlink()
        (self.root / "sys/class/scsi_device" / address).unlink()
        shutil.rmtree(self.root / directory[1:])


def wipefs(signatures: Mapping[str, Sequence[str]]) -> str:
    """What `wipefs --json` says of devices, by the last part of their names."""
    return json.dumps({"signatures": [{"device": device, "type": type_} for device, types in signatures.items() for type_ in types]})
