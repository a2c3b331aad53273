# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Domains as VMs with their disks: the running one and the one that starts next time, seen as one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm import domain, places
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.domain import (
    NOTHING,
    Disk,
    Domain,
    HostDevice,
    Login,
    Source,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.pools import Pool
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.storage import HostStorage, Under
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.targets import Answers
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import (
    IMAGE,
    MULTI_WRITER,
    PASSTHROUGH,
    PHYSICAL,
    VIRTUAL,
    Controller,
    ImageFile,
    VirtualDisk,
    VirtualMachine,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.libvirt_session import CONFIG, LIVE, DomainRecord, Volume

_PARAVIRTUAL = "virtio"


@dataclass(frozen=True)
class DomainPair:
    """A VM as libvirt has it: a domain that runs and one that starts next time, or one of them."""

    record: DomainRecord
    live: Domain
    config: Domain
    saved: Domain = NOTHING
    """What is in the managed save image of a VM that is off, as far as that can be read."""

    @property
    def resumed(self) -> DomainPair:
        """The VM as it goes on from its managed save image, with nothing where it has none."""
        return DomainPair(self.record, NOTHING, self.saved)

    @property
    def domains(self) -> list[Domain]:
        """What runs and what starts next time, as far as there are both."""
        return [found for xml, found in ((self.record.live, self.live), (self.record.config, self.config)) if xml]

    @property
    def disks(self) -> list[Disk]:
        """The disks of what runs, and those that only what starts next time has."""
        seen = {_identity(disk) for disk in self.live.disks}
        return [*self.live.disks, *(disk for disk in self.config.disks if _identity(disk) not in seen)]

    @property
    def host_devices(self) -> list[HostDevice]:
        """The host's devices that what runs or what starts next time has, each once."""
        return list({(device.type, str(device), device.address): device for part in self.domains for device in part.host_devices}.values())

    @property
    def logins(self) -> Iterator[Login]:
        """Every iSCSI target that a disk, or anything below one, is on, or will be again."""
        below_disks = (source for disk in (*self.disks, *self.saved.disks) for source in (disk.source, *disk.backing))
        sources = (*below_disks, *(device.source for device in (*self.host_devices, *self.saved.host_devices)))
        return (source.login for source in sources if source and source.login)

    @property
    def pools(self) -> set[str]:
        """The storage pools of which a disk, or anything below one, is a volume."""
        sources = (source for disk in (*self.disks, *self.saved.disks) for source in (disk.source, *disk.backing))
        return {source.pool for source in sources if source and source.pool}

    def with_pools(self, known: Mapping[str, Pool]) -> DomainPair:
        """The same with every volume that QEMU's own initiator reaches as the network disk that it is to QEMU."""
        if not self.pools:
            return self
        live, config, saved = (_with_pools(part, known) for part in (self.live, self.config, self.saved))
        return replace(self, live=live, config=config, saved=saved)

    def targets_with(self, has: Callable[[Disk], bool]) -> int:
        """The flags (`LIVE`, `CONFIG`) of those parts that have such a disk."""
        return (LIVE if any(map(has, self.live.disks)) else 0) | (CONFIG if any(map(has, self.config.disks)) else 0)


@dataclass(frozen=True)
class View:
    """What is needed to know which LUN is under a disk."""

    host: str
    """`Host.id`"""
    storage: HostStorage
    answers: Answers = field(default_factory=Answers)
    capacities: Mapping[tuple[str, str], int] = field(default_factory=dict)
    volume: Callable[[str, str], Volume] = lambda _pool, _volume: Volume()
    pools: Mapping[str, Pool] = field(default_factory=dict)
    """By name."""
    images: Callable[[str], Sequence[str]] = lambda _path: ()
    """Paths that an image is based on, by its own word."""
    pci_class: Callable[[str], str] = lambda _address: ""
    """PCI class of a function of the host, `0x0c0400`; empty when it is not told."""
    mounts: Mapping[str, Mapping[str, Sequence[str]]] = field(default_factory=dict)
    """UUID of the domain → target → where the guest has mounted file systems on the disk."""

    def name_of(self, disk: Disk) -> ScsiName | None:
        """The LUN that a disk is, as a whole.

        Of a network disk, what its target shows now goes before what was noted when it was attached: that is what the guest would write to.
        """
        if disk.source is None:
            return None
        return self.name_at(disk.source) or (disk.recorded_name if disk.source.login else None)

    def name_at(self, source: Source) -> ScsiName | None:
        """The LUN that a source is, as a whole."""
        if source.login:
            lun = self.answers.lun(source)
            return lun.name if lun else None
        return self._under(source).name

    def disk(self, pair: DomainPair, disk: Disk, source: Source) -> VirtualDisk:
        """A disk as the model has it."""
        kind = _controller_kind(pair, disk)
        under = Under(name=self.name_of(disk), device=str(source)) if source.login else self._under(source)
        passed = disk.device == domain.LUN or under.name is not None or source.login is not None
        return VirtualDisk(
            key=disk.target,
            label=disk.target,
            kind=PASSTHROUGH if passed else IMAGE,
            controller=_controller_key(disk),
            bus=disk.address.controller if disk.address else None,
            unit=places.unit_at(disk.address, kind),
            size_bytes=self._size(pair, disk, source, under.name),
            path="" if passed else self.path_of(source) or str(source),
            file_system="" if passed else under.file_system,
            device=under.device if passed else "",
            name=under.name,
            mode=(PHYSICAL if disk.device == domain.LUN else VIRTUAL) if passed else "",
            sharing=MULTI_WRITER if disk.shareable else "",
            reservations=disk.reservations if disk.device == domain.LUN else None,
            parents=[self._parent(parent) for parent in self.below(pair, disk)],
            mounts=self.mounts.get(pair.record.uuid, {}).get(disk.target, ()),
            family=disk.bus if disk.bus == _PARAVIRTUAL else disk.bus.upper(),
            holds_image=passed and disk.format != "raw",
        )

    def virtual_machine(self, pair: DomainPair) -> VirtualMachine:
        """A VM as the model has it."""
        disks = [(disk, disk.source) for disk in pair.disks if disk.is_disk and disk.source]
        return VirtualMachine(
            id=pair.record.uuid,
            name=pair.record.name,
            uuid=pair.record.uuid,
            host=self.host,
            power=pair.record.state,
            controllers=list(_controllers(pair)),
            disks=[*(self.disk(pair, disk, source) for disk, source in disks), *self._scsi_devices(pair)],
        )

    def below(self, pair: DomainPair, disk: Disk) -> list[Source]:
        """What else a disk's data lies on: by libvirt's word for what runs, by the images' own for what starts next time."""
        if disk.backing or disk in pair.live.disks:
            return list(disk.backing)
        path = self.path_of(disk.source) if disk.source and disk.format == "qcow2" else ""
        return [Source("file", below) for below in self.images(path)] if path else []

    def device_name(self, device: HostDevice) -> ScsiName | None:
        """The LUN that a SCSI device of the host is."""
        if device.source:
            return self.name_at(device.source)
        return self.storage.name_at(device.host_address)

    def _scsi_devices(self, pair: DomainPair) -> Iterator[VirtualDisk]:
        """The LUNs that the VM has as SCSI devices of the host."""
        named = ((device, self.device_name(device)) for device in pair.host_devices if device.type == domain.SCSI_DEVICE)
        return (self._scsi_device(pair, device, name) for device, name in named if name)

    def _scsi_device(self, pair: DomainPair, device: HostDevice, name: ScsiName) -> VirtualDisk:
        index = device.address.controller if device.address else None
        controller = next((found for found in _controllers(pair) if found.bus == index), None)
        seen = self.storage.device_of(name)
        return VirtualDisk(
            key=device.alias or str(device),
            label=device.alias or str(device),
            kind=PASSTHROUGH,
            controller=controller.key if controller else "",
            bus=index,
            unit=places.unit_at(device.address, controller.type if controller else ""),
            size_bytes=seen.size_bytes if seen else 0,
            device=seen.device if seen else str(device),
            name=name,
            mode=PHYSICAL,
            sharing=MULTI_WRITER if device.shareable else "",
            family="SCSI",
        )

    def is_untold_volume(self, source: Source) -> bool:
        """Whether a source is a volume of a pool that does not tell what it is, and may be a LUN."""
        pool = self.pools.get(source.pool)
        return bool(source.pool) and not self.path_of(source).startswith("/") and (pool is None or pool.has_luns)

    def path_of(self, source: Source) -> str:
        """Where a source is on the host, a volume also of a pool that does not run if its definition tells; empty where nobody tells."""
        if not source.pool:
            return source.path
        pool = self.pools.get(source.pool)
        return self.volume(source.pool, source.volume).path or (pool.place_of(source.volume) if pool else "")

    def _under(self, source: Source) -> Under:
        path = self.path_of(source)
        return self.storage.under(path) if path else Under(device=str(source))

    def _parent(self, source: Source) -> ImageFile:
        return ImageFile(self.path_of(source) or str(source), self._under(source).file_system, self.name_at(source))

    def true_size(self, source: Source, name: ScsiName | None) -> int:
        """Bytes of a LUN by the word of its target or of the host, which may have grown since QEMU asked; 0 where neither tells."""
        lun = self.answers.lun(source)
        device = self.storage.device_of(name) if name else None
        return (lun.size_bytes if lun else 0) or (device.size_bytes if device else 0)

    def _size(self, pair: DomainPair, disk: Disk, source: Source, name: ScsiName | None) -> int:
        """Bytes, by whoever knows: of a LUN the array or the host, else QEMU or the image's header, else the pool."""
        known = self.true_size(source, name) or self.capacities.get((pair.record.uuid, disk.target), 0)
        return known or (self.volume(source.pool, source.volume).size_bytes if source.pool else 0)


def pair_of(record: DomainRecord) -> DomainPair:
    """The domains of a record."""
    return DomainPair(record, domain.parse(record.live), domain.parse(record.config), domain.parse(record.saved or ""))


def _with_pools(part: Domain, known: Mapping[str, Pool]) -> Domain:
    def told(source: Source) -> Source:
        pool = known.get(source.pool)
        return (pool.network_source(source.volume, source.mode) if pool else None) or source

    disks = [replace(disk, source=disk.source and told(disk.source), backing=[*map(told, disk.backing)]) for disk in part.disks]
    return replace(part, disks=disks)


def logins(pairs: Iterable[DomainPair]) -> list[Login]:
    """Every iSCSI target that a disk of the VMs is on."""
    return [login for pair in pairs for login in pair.logins]


def controller_of(pair: DomainPair, disk: Disk) -> Controller | None:
    """The controller of a disk."""
    return next((controller for controller in _controllers(pair) if controller.key == _controller_key(disk)), None)


def _controllers(pair: DomainPair) -> Iterator[Controller]:
    """SCSI controllers; disks on others (virtio-blk is its own) have none in the model."""
    found = {controller.index: controller for part in reversed(pair.domains) for controller in part.controllers}
    for index, controller in sorted(found.items()):
        kind = places.controller_type(controller.model)
        yield Controller(f"scsi{index}", kind, index, units=sorted(places.used_units(pair.domains, index, kind)))


def _controller_kind(pair: DomainPair, disk: Disk) -> str:
    controller = controller_of(pair, disk)
    return controller.type if controller else ""


def _controller_key(disk: Disk) -> str:
    return f"{disk.bus}{disk.address.controller}" if disk.address else disk.bus


def _identity(disk: Disk) -> tuple[str, str]:
    return disk.target, str(disk.source)
