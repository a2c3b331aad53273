# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The nouns of SAN storage under virtual machines, without any vendor's shape.

Sizes are bytes, speeds Gbit/s, times seconds. A LUN is known by its `ScsiName` alone: numbers, slots and sizes are
attributes, never identities. All are immutable: a backend observes the world and hands these out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypedDict, Union

from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName

POWERED_ON = "on"
POWERED_OFF = "off"
SUSPENDED = "suspended"
POWER_UNKNOWN = "unknown"
"""What a VM is. The last is between two of the others, or is nothing that is known."""

CONNECTED = "connected"
MAINTENANCE = "maintenance"
UNREACHABLE = "unreachable"
STANDBY = "standby"
"""What a host is. In standby it is switched off, and is woken when it is needed."""

DEVICE_OK = "ok"
DEVICE_OFF = "off"
DEVICE_LOST = "lost"
"""What a host's SCSI device is."""

ONLINE = "online"
OFFLINE = "offline"
UNKNOWN = "unknown"
"""What an adapter, a LUN or a volume of an array is, and, as far as a system tells nothing, anything else."""

PATH_ACTIVE = "active"
PATH_STANDBY = "standby"
PATH_DISABLED = "disabled"
PATH_DEAD = "dead"
"""What a path is."""

PHYSICAL = "physical"
VIRTUAL = "virtual"
"""Compatibility modes of a pass-through disk."""

IMAGE = "image"
PASSTHROUGH = "passthrough"

NOT_SHARED = "none"
MULTI_WRITER = "multi_writer"
PHYSICAL_BUS = "physical_bus"
VIRTUAL_BUS = "virtual_bus"
"""Whether several VMs may write to a disk."""

FIBRE_CHANNEL = "fc"
FCOE = "fcoe"
ISCSI_SOFTWARE = "iscsi_software"
ISCSI_HARDWARE = "iscsi_hardware"
SAN_KINDS = frozenset({FIBRE_CHANNEL, FCOE, ISCSI_SOFTWARE, ISCSI_HARDWARE})


@dataclass(frozen=True)
class Portal:
    """An address where an iSCSI target listens."""

    address: str
    port: int = 3260


@dataclass(frozen=True)
class LunPath:
    """One way from an HBA to a LUN."""

    name: ScsiName | None
    device: str
    """The LUN as the host names it, also when it has no NAA."""
    target: str
    """WWPN of the target port, or IQN of the target."""
    state: str
    """`active`, `standby`, `disabled`, `dead` or `unknown`."""
    lun_id: int | None = None


@dataclass(frozen=True)
class VirtualPort:
    """A Fibre Channel port that a physical one carries (NPIV), with names of its own: for a VM, or for a storage pool of the host."""

    name: str
    status: str
    """As `Hba.status`."""
    node_wwn: str = ""
    port_wwn: str = ""


@dataclass(frozen=True)
class Hba:
    """A physical (or software iSCSI) host bus adapter of a hypervisor host."""

    name: str
    kind: str
    """`fc`, `fcoe`, `iscsi_software`, `iscsi_hardware`, `sas`, `block`, `nvme_tcp`, `nvme_fc`, `nvme_rdma` or `other`."""
    status: str
    """`online`, `offline` or `unknown`."""
    driver: str = ""
    model: str = ""
    pci: str = ""
    speed_gbit_s: float | None = None
    node_wwn: str = ""
    port_wwn: str = ""
    iqn: str = ""
    alias: str = ""
    portals: Sequence[Portal] = ()
    """Where a send-target discovery is configured to look."""
    paths: Sequence[LunPath] = ()
    vports_max: int | None = None
    """How many virtual ports the adapter can carry; None where it carries none, or nobody tells."""
    vports: Sequence[VirtualPort] = ()
    """Those that it carries now, whose names are no initiators of the host: what is mapped to one, the host has not."""

    @property
    def initiator(self) -> str | None:
        """The name that an array's initiator group holds: a WWPN for Fibre Channel, an IQN for iSCSI."""
        return (self.port_wwn or self.iqn or None) if self.kind in SAN_KINDS else None


@dataclass(frozen=True)
class Host:
    """A hypervisor host (ESXi host, Hyper-V node, XenServer host, KVM host) or a bare-metal machine."""

    id: str
    name: str
    cluster: str = ""
    product: str = ""
    version: str = ""
    uuid: str = ""
    state: str = CONNECTED
    """`connected`, `maintenance`, `unreachable` or `standby`."""
    hbas: Sequence[Hba] = ()
    warnings: Sequence[str] = ()
    """What the host did not tell of its HBAs, in sentences."""


@dataclass(frozen=True)
class Given:
    """How a host gives a LUN to a VM, on a platform whose VMs look for it on any host by the name that they got on one."""

    name: str
    """What the definition of the VM says."""
    how: str
    """In words that follow "has the LUN": `by multipath device mpatha`."""
    likewise: str
    """How another host comes to give it by this name, in words that follow "let that host have the LUN": `by multipath`."""
    best: bool = False
    """Whether other hosts had better follow this one, rather than this one them."""
    refusal: str = ""
    """Why the host gives it to no VM for now, as a sentence; empty where it does."""
    by_one_path: bool = False
    """Whether the refusal is only that it would be one path of several, for which a user may vouch."""
    passing: bool = False
    """Whether the refusal may end by itself within a minute."""


@dataclass(frozen=True)
class ScsiDevice:
    """A LUN or local disk as one host sees it."""

    host: str
    """`Host.id`."""
    device: str
    """The host's own name of it: `naa.600a…`, `\\\\.\\PHYSICALDRIVE4`, `/dev/disk/by-id/wwn-0x…`."""
    name: ScsiName | None
    size_bytes: int
    vendor: str = ""
    product: str = ""
    state: str = DEVICE_OK
    """`ok`, `off` (detached by an administrator), `lost`, or the platform's own words, separated by commas."""
    degraded: bool = False
    """It does I/O and is `ok`, but has lost some of its paths."""
    aliases: Sequence[str] = ()
    """Other spellings of the same device on this host (`vml.…`, drive numbers, multipath names)."""
    local: bool = False
    """The host says that it reaches it over no SAN: a disk of its own, even if it has a name as LUNs have."""
    paths_live: int | None = None
    """Paths that are active or stand by; None where the host does not tell."""
    paths_dead: int | None = None
    given: Given | None = None
    """How a VM gets it there, where hosts may differ in that and it was asked for by itself."""


@dataclass(frozen=True)
class FileSystem:
    """What image files live on: VMFS or NFS datastore, CSV, storage repository, host file system."""

    id: str
    name: str
    kind: str
    """`vmfs`, `nfs`, `vsan`, `vvol`, `csv`, `ntfs`, `sr`, `ext4`, …"""
    hosts: Sequence[str] = ()
    """`Host.id`s that can reach it."""
    extents: Sequence[str] = ()
    """Devices under it, as a host names them; several for a spanned file system."""
    remote: str = ""
    """`server:/path` of a network file system."""
    size_bytes: int = 0
    url: str = ""


@dataclass(frozen=True)
class Controller:
    """A virtual storage controller."""

    key: str
    type: str
    """`pvscsi`, `lsilogic`, `lsilogicsas`, `buslogic`, `virtio-scsi`, `scsi`, `ide`, `sata`, `nvme`, …"""
    bus: int
    units: Sequence[int] = ()
    """Units in use."""
    shared: str = ""
    """Bus sharing: empty, `physical` or `virtual`."""


@dataclass(frozen=True)
class ImageFile:
    """A file that holds a part of a disk's data."""

    path: str
    file_system: str = ""
    """`FileSystem.id` of what holds it."""
    name: ScsiName | None = None
    """The LUN that it is, where it is no file but a whole LUN."""


@dataclass(frozen=True)
class VirtualDisk:
    """A disk of a virtual machine: an image file, or a LUN passed through."""

    key: str
    label: str
    kind: str
    """`image` or `passthrough`."""
    controller: str = ""
    """`Controller.key`."""
    bus: int | None = None
    unit: int | None = None
    size_bytes: int = 0
    path: str = ""
    """The image file, or the mapping file of a pass-through disk where the platform has one."""
    file_system: str = ""
    """`FileSystem.id` of what holds `path`."""
    device: str = ""
    """A pass-through disk's host device, as the platform names it."""
    name: ScsiName | None = None
    """A pass-through disk's LUN."""
    mode: str = ""
    """A pass-through disk's compatibility mode (`physical`, `virtual`)."""
    disk_mode: str = ""
    sharing: str = ""
    parents: Sequence[ImageFile] = ()
    """The files that a differencing image is based on, nearest first."""
    mounts: Sequence[str] = ()
    """Where the guest has mounted file systems that lie on it, as far as an agent in the guest was asked and tells."""
    family: str = ""
    """What its controller is, as the platform's people write it: `SCSI`, `IDE`, `SATA`, `NVMe`, `virtio`, …"""
    reservations: bool | None = None
    """Whether the guest's persistent reservations reach the array; None where the platform has no such setting."""
    thin: bool | None = None
    """Whether the image file takes only the space that was written to; None where the platform does not tell, and for a LUN."""
    holds_image: bool = False
    """Whether a LUN passed through is the place of an image, such as qcow2, which may lie on other files too."""


@dataclass(frozen=True)
class VirtualMachine:
    """A virtual machine with its storage."""

    id: str
    name: str
    uuid: str = ""
    """The SMBIOS UUID, which the guest can read; copies of a VM may share it."""
    instance_uuid: str = ""
    """The platform's own UUID of the VM, where it has one beside the SMBIOS UUID."""
    host: str = ""
    """`Host.id` where it runs or is registered."""
    cluster: str = ""
    power: str = POWERED_OFF
    folder: str = ""
    template: bool = False
    controllers: Sequence[Controller] = ()
    disks: Sequence[VirtualDisk] = ()
    peers: Sequence[str] = ()
    """`Host.id`s of other hosts to which it may move although they are of no cluster."""


@dataclass(frozen=True)
class ClusterDisk:
    """A LUN that a cluster of hosts keeps as a resource of its own, beside the file systems that VMs' image files live on."""

    id: str
    name: str
    """The resource, as the cluster's administrators know it."""
    group: str
    """What moves between hosts together with it."""
    cluster: str
    lun: ScsiName | None = None
    vm: str = ""
    """`VirtualMachine.id` for which the cluster keeps it; empty for a witness, for another application and for nobody yet."""
    available: bool = False
    """Nobody has it yet, and no file system was found on it."""


@dataclass(frozen=True)
class Use:
    """Evidence that something uses a LUN, or may use it, beside the VMs' disks and the file systems that an inventory lists anyway."""

    kind: str
    """`VM`, `host`, …: what it is to people."""
    name: str
    id: str
    how: str
    """How it has the LUN, or why nobody can tell what it has, as the end of a sentence that begins with its name."""
    lun: ScsiName | None = None
    """None when it may be any LUN: whoever asks about one cannot tell."""
    doubt: bool = False
    """Nobody can tell whether it uses this LUN either."""
    way_out: str = ""
    """How this use is ended, where that takes more than to end it."""
    in_snapshots: bool = False
    """It is snapshots of the VM that have the LUN, or may have it, whatever disks the VM has by now."""
    apart: bool = False
    """These snapshots hold nothing of its data, because they never include a disk of that mode: they only want the LUN to be there."""


@dataclass(frozen=True)
class Inventory:
    """What a hypervisor endpoint manages, observed in a bounded number of requests."""

    hosts: Sequence[Host] = ()
    virtual_machines: Sequence[VirtualMachine] = ()
    file_systems: Sequence[FileSystem] = ()
    devices: Sequence[ScsiDevice] = ()
    cluster_disks: Sequence[ClusterDisk] = ()
    uses: Sequence[Use] = ()
    """Whatever else has a LUN, and whatever could not be looked into."""
    warnings: Sequence[str] = ()
    """What is missing because a host could not be asked, one sentence each."""
    identity: str = ""
    """What a vCenter, a pool or a cluster calls itself, under whatever name it was asked; empty where it does not tell, and for a host."""
    silent: Sequence[str] = ()
    """Endpoints that did not answer, of several: what VMs they have is not known."""


@dataclass(frozen=True)
class Cluster:
    """Hosts between which VMs move; a LUN of such a VM must be visible on each."""

    name: str
    hosts: Sequence[str] = ()
    """`Host.name`s."""


@dataclass(frozen=True)
class Capabilities:
    """What a playbook may ask of a hypervisor."""

    hot_add: bool
    """A disk can be attached to a running VM."""
    hot_add_controller: bool
    passthrough_modes: Sequence[str]
    """`physical`, `virtual`."""
    controller_types: Sequence[str]
    clustering: bool
    """Its VMs may run on any host of a cluster."""
    shared_disks: bool
    """One LUN may be given to several VMs when that is asked for."""
    storage_types: Sequence[str] = ()
    """The types of storage repository that a pool offers, where the platform has such."""


@dataclass(frozen=True)
class About:
    """Who an endpoint is, and what it can do."""

    type: str
    product: str
    version: str
    address: str
    uuid: str = ""
    clusters: Sequence[Cluster] = ()
    hosts: Sequence[str] = ()
    capabilities: Capabilities | None = None


@dataclass(frozen=True)
class LunMapping:
    """That an initiator group sees a LUN, under which number."""

    group: str
    group_id: str
    lun_id: int | None
    initiators: Sequence[str] = ()
    told: bool = field(default=True, compare=False)
    """Whether the array told all that the group holds; one and the same mapping is known by its group, not by what was told of it."""


@dataclass(frozen=True)
class Lun:
    """A LUN on its array."""

    id: str
    """The array's own identifier (UUID)."""
    path: str
    """`/vol/volume/lun`, or the array's equivalent."""
    name: ScsiName
    serial: str
    size_bytes: int
    os_type: str
    svm: str
    volume: str
    state: str = ONLINE
    """`online`, `unknown`, or the array's own word for why no host can see it, such as `offline`."""
    mappings: Sequence[LunMapping] = ()
    used_bytes: int | None = None
    """Bytes that the LUN's data takes on the array, where the array tells; 0 means that it holds nothing but zeros."""
    svm_id: str = ""
    """The array's own identifier of the SVM (UUID), the same at whatever address the array is asked."""
    read_only: bool = False
    created: str = ""
    """Date, time and zone, to the second; empty where the array does not tell."""


@dataclass(frozen=True)
class Volume:
    """A file system of an array that it exports, the home of image files on network storage."""

    id: str
    name: str
    svm: str
    export: str
    """The path under which it is mounted by clients."""
    addresses: Sequence[str] = ()
    """Addresses that serve it."""
    size_bytes: int = 0
    state: str = ONLINE
    """`online`, `unknown`, or the array's own word for why no client can reach it, such as `offline`."""


@dataclass(frozen=True)
class Snapshot:
    """A point in time of a volume of an array, with all LUNs that it had then."""

    id: str
    name: str
    svm: str
    volume: str
    created: str = ""
    """Date, time and zone, as is `expires`."""
    comment: str = ""
    """For people, without the mark."""
    made_by: str = ""
    """The mark of the run that took it; empty for what this collection did not take."""
    expires: str = ""
    """Until then it cannot be deleted."""
    label: str = ""
    """By which a mirror chooses what it carries over."""
    owners: Sequence[str] = ()
    """What needs it, so that it cannot be deleted."""
    state: str = ""
    """The array's own word, where it has one: what is not `valid` is not whole."""
    size_bytes: int = 0


@dataclass(frozen=True)
class Target:
    """Where initiators find the LUNs of an array: an iSCSI target with its portals, or a Fibre Channel port."""

    kind: str
    """`iscsi` or `fc`."""
    name: str
    """IQN of the target, or WWPN of the port."""
    portals: Sequence[Portal] = ()
    """Where an iSCSI target listens, as far as that is in service."""
    enabled: bool = True

    @property
    def serves(self) -> bool:
        """Whether any initiator can log in there."""
        return self.enabled and (self.kind != "iscsi" or bool(self.portals))


@dataclass(frozen=True)
class ArrayAbout:
    """Who an array is."""

    type: str
    name: str
    address: str
    version: str
    """Empty, as the UUID, where the account may not read it."""
    uuid: str = ""


@dataclass(frozen=True)
class Slot:
    """A place for a disk: bus number and unit; None is for the first that is free."""

    bus: int | None = None
    unit: int | None = None


@dataclass(frozen=True)
class Attachment:
    """A LUN as a disk of a VM, read back from the hypervisor."""

    disk: VirtualDisk
    controller: Controller
    guest_address: str = ""
    """How the guest finds the disk: `SCSI(bus:unit)` and, where it is known, the guest's H:C:T:L pattern."""


DATA = "data"
UNWRITTEN = "unwritten"
SHARED = "shared"
HOLE = "hole"
NO_ADDRESS = "no_address"
"""What a range of a virtual disk is on the LUN: its bytes; a place that is reserved and reads as zeros, where the LUN holds old bytes;
bytes that others have too, so that the next write goes elsewhere; nothing; or what nobody can tell."""


@dataclass(frozen=True)
class BlockExtent:
    """A range of a virtual disk, or of a file that it lies in, and where that is. In bytes."""

    start: int
    length: int
    state: str
    reason: str = ""
    file: str = ""
    """The image file that holds it; empty for a LUN passed through."""
    file_offset: int | None = None
    device: str = ""
    """The host's device at the bottom."""
    name: ScsiName | None = None
    """The LUN that this device is."""
    offset: int | None = None
    """On that device; None for what has no address."""
    block_size: int = 0
    """Bytes of a logical block of the device; 0 where the host does not tell."""
    number: str = ""
    """How the host's kernel calls the device to itself; empty where nobody asked it."""

    @property
    def end(self) -> int:
        return self.start + self.length


@dataclass(frozen=True)
class DiskBlocks:
    """Where a virtual disk lies, as it was observed."""

    extents: Sequence[BlockExtent]
    """The whole disk, in order, without gaps."""
    files: Sequence[BlockExtent] = ()
    """The files that hold it, as a whole, `start` counted in the file: also what of them is no part of the disk as it is now."""
    warnings: Sequence[str] = ()
    format: str = "raw"
    sector: int = 512
    """Bytes of a logical block as the guest sees the disk; 0 for those of its LUN, where the host does not tell them."""
    unfollowed: bool = False
    """Whether it may lie on files that neither the inventory nor `files` tells."""


ReadLun = Callable[[ScsiName, int, int], Union[bytes, str]]
"""What a LUN has at an offset, so many bytes, read now by its array; or why nobody can tell."""


@dataclass(frozen=True)
class GuestBlock:
    """What a guest has in a block of one of its file systems, by its disk alone."""

    file_system: str = ""
    block: int | None = None
    """Its number in that file system."""
    files: Sequence[str] = ()
    """Paths from the root of that file system."""
    reason: str = ""
    """Why no file is told."""
    volume: str = ""
    """The logical volume that the file system is on, with its group's name; empty where it is on none."""


class StorageMapping(TypedDict):
    """One row of the storage map: a virtual disk on one LUN, exported volume or local device.

    An image file on a file system with several extents has one row for each, and a LUN that several arrays present under one name one for
    each of them. `naa` is bare hex.
    """

    hypervisor_type: str
    hypervisor: str
    cluster: str
    host: str
    vm_name: str
    vm_id: str
    disk: str
    kind: str
    device: str
    path: str
    naa: str
    serial: str
    size_bytes: int
    array_type: str
    array: str
    array_address: str
    svm: str
    volume: str
    lun_path: str
    lun_id: int | None
    storage_state: str
    """Of the LUN or volume on its array, in the array's word (`online`, `offline`, …); empty while no array told it."""
    status: str
    """`mapped` down to an array, `local` on a host's own disks, else `unresolved` with a `reason` and a `way_out`."""
    reason: str
    way_out: str
    """How an unresolved row is mended, in one sentence."""
    endpoint: str
    """What the user calls the hypervisor's endpoint."""
    observed: str
    """When the hypervisor was read, ISO 8601 in UTC."""
    share_bytes: int
    """What of `size_bytes` this row stands for, so that the sum over any rows counts no disk twice."""
    controller: str
    unit: int | None
    thin: bool | None
    paths_live: int | None
    """Paths of the LUN on the VM's host."""
    paths_dead: int | None
    mounts: Sequence[str]
    """Where the guest has mounted what lies on the disk."""
    lun_size_bytes: int | None
    lun_used_bytes: int | None
    """Of the LUN, as its array tells."""
