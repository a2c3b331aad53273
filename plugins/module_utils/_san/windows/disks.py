# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The disks of a Windows host, as its storage cache has them since the last rescan.

A disk's number is the host's own and another one after a boot: a disk is found by its `UniqueId`, the LUN's name. Source: `MSFT_Disk` of
Microsoft's Windows Storage Management API reference.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import Refused, RemoteError
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import DEVICE_OK
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from ansible_collections.crossvisor.san.plugins.module_utils._san.windows import storage_classes
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.cim import CimClient
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.cim_types import CimInstance

RAW, MBR, GPT = 0, 1, 2
"""MSFT_Disk.PartitionStyle."""
FIBRE_CHANNEL_BUS, ISCSI_BUS = 6, 9
"""MSFT_Disk.BusType."""

_FCPH_NAME = 3
"""MSFT_Disk.UniqueIdFormat of an NAA name: digits of another format may look like one."""
_DIRECT_BUSES = frozenset({2, 3, 7, 11, 12, 13, 17})
"""MSFT_Disk.BusType of ATAPI, ATA, USB, SATA, SD, MMC and NVMe: no SAN, whatever the disk calls itself."""
_FAULTY: Mapping[int, str] = MappingProxyType({0xD011: "not ready", 0xD012: "no media", 0xD014: "failed"})
"""MSFT_Disk.OperationalStatus of a disk that cannot be used; being online or offline is no fault."""
_MULTIPATH_PREFIX = "\\\\?\\mpio"


@dataclass(frozen=True)
class HostDisk:
    """A disk as one host sees it. Size in bytes."""

    number: int
    """Until the next boot."""
    name: ScsiName | None
    """None for a local disk, and for one that names itself in another way than by NAA."""
    size_bytes: int
    object_id: str
    """The key of its MSFT_Disk."""
    offline: bool = False
    read_only: bool = False
    style: int = RAW
    """`RAW`, `MBR` or `GPT`."""
    guid: str = ""
    """Of a GPT disk, in braces."""
    signature: int | None = None
    """Of an MBR disk."""
    clustered: bool = False
    """A failover cluster keeps it."""
    boot: bool = False
    """The host boots from it, or runs from it."""
    path: str = ""
    bus: int = 0
    vendor: str = ""
    product: str = ""
    state: str = DEVICE_OK
    """`ok`, `not ready`, `no media` or `failed`."""

    @property
    def device(self) -> str:
        """How Windows' tools name it, until the next boot."""
        return f"\\\\.\\PHYSICALDRIVE{self.number}"

    @property
    def multipath(self) -> bool:
        """Whether MPIO has made one disk of all paths."""
        return self.path.lower().startswith(_MULTIPATH_PREFIX)


def disks_of(client: CimClient) -> list[HostDisk]:
    """Every disk that the host has, in one enumeration."""
    return [_disk(found) for found in client.query(storage_classes.DISK, columns=storage_classes.DISK.columns)]


def find(client: CimClient, name: ScsiName, host_name: str) -> HostDisk | None:
    """The disk that shows a LUN, or None. Raises `Refused` when several do."""
    return the_one(disks_of(client), name, host_name)


def the_one(disks: list[HostDisk], name: ScsiName, host_name: str) -> HostDisk | None:
    """The disk among a host's that shows a LUN, or None. Raises `Refused` when several do."""
    found = [disk for disk in disks if disk.name == name]
    if len(found) > 1:
        numbers = " and ".join(str(number) for number in sorted(disk.number for disk in found))
        raise Refused(
            f"Host {host_name} shows LUN {name} as disks {numbers}, one for each path, so that writing to it could destroy its data: "
            "let MPIO claim the array's disks there (Multipath-IO feature, mpclaim), or leave the host one path."
        )
    return found[0] if found else None


def _disk(found: CimInstance) -> HostDisk:
    number = found.integer("Number")
    if number is None:
        raise RemoteError(f"The disk {found.text('ObjectId')} has no number (MSFT_Disk.Number is null): rescan the host's storage.")
    return HostDisk(
        number=number,
        name=_name(found),
        size_bytes=found.integer("Size") or 0,
        object_id=found.text("ObjectId"),
        offline=found.flag("IsOffline"),
        read_only=found.flag("IsReadOnly"),
        style=found.integer("PartitionStyle") or RAW,
        guid=found.text("Guid"),
        signature=found.integer("Signature"),
        clustered=found.flag("IsClustered"),
        boot=found.flag("IsBoot") or found.flag("IsSystem"),
        path=found.text("Path"),
        bus=found.integer("BusType") or 0,
        vendor=found.text("Manufacturer").strip(),
        product=(found.text("Model") or found.text("FriendlyName")).strip(),
        state=next((_FAULTY[status] for status in found.integers("OperationalStatus") if status in _FAULTY), DEVICE_OK),
    )


def _name(found: CimInstance) -> ScsiName | None:
    if found.integer("UniqueIdFormat") != _FCPH_NAME or found.integer("BusType") in _DIRECT_BUSES:
        return None
    return ScsiName.try_parse(found.text("UniqueId"))
