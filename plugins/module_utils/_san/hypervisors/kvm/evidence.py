# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who has a LUN on a KVM host beside the VMs that have it as a disk: VMs in any other way, and the host's kernel.

What a guest has written on its disk is the guest's. The host may have activated it on its own (LVM and md do), which is no use as long as
nothing there is mounted, claimed or given to a VM; it only has to be ended before the host can let go of the LUN.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm import domain
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.domain import Disk, HostDevice, Source
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.machines import DomainPair, View
from ansible_collections.crossvisor.san.plugins.module_utils._san.linux.stacks import VOLUME_GROUP, Built, Stack
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import FileSystem, Use, VirtualMachine
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName

_GROUP_ID = "vg:"
_OTHER_PROCESS = frozenset({"vhostuser", "vhostvdpa"})
_SAN_ADAPTERS = ("0x0100", "0x0104", "0x0107", "0x0180", "0x0c04")
"""PCI classes of what may reach a SAN (PCI Code and ID Assignment Specification 1.1: SCSI, RAID, SAS, other storage, Fibre Channel). IDE,
SATA and NVMe controllers carry disks of their own."""


def of_machine(view: View, pair: DomainPair, vm: VirtualMachine) -> list[Use]:
    """Every way in which a VM has LUNs but as a disk, and every one of which nobody can tell which LUN it is."""
    known: dict[ScsiName, str] = {}
    for disk in pair.disks:
        for source in view.below(pair, disk):
            name = view.name_at(source)
            if name:
                known.setdefault(name, f"has it below its disk {disk.target}")
    for node, name in _named(view, pair):
        if all(disk.name != name for disk in vm.disks):
            known.setdefault(name, f"names it ({node}) in its configuration")
    doubts = dict.fromkeys(how for found in (pair, pair.resumed) for how in _doubts(view, found))
    way_out = f"take it out of the configuration of VM {vm.name} first if nobody needs it there, or name another LUN"
    uses = [Use("VM", vm.name, vm.id, how, name, way_out=way_out) for name, how in known.items()]
    return [*uses, *_of_saved(view, pair, vm), *(Use("VM", vm.name, vm.id, how) for how in doubts)]


def saved_luns(view: View, pair: DomainPair) -> set[ScsiName]:
    """The LUNs with which a VM that is off goes on from its managed save image, in whatever way it has them there."""
    resumed = pair.resumed
    disks = (name for disk in resumed.disks for name in (view.name_of(disk), *map(view.name_at, view.below(resumed, disk))))
    devices = (view.device_name(device) for device in resumed.host_devices if device.type == domain.SCSI_DEVICE)
    return {name for name in (*disks, *devices, *(name for _node, name in _named(view, resumed))) if name}


def _of_saved(view: View, pair: DomainPair, vm: VirtualMachine) -> Iterator[Use]:
    """What a VM goes on with from its managed save image beside the disks of its configuration, or that nobody can tell that."""
    way_out = f"start VM {vm.name}, or discard its managed save image (virsh managedsave-remove {vm.name})"
    for name in sorted(saved_luns(view, pair) - {disk.name for disk in vm.disks}, key=str):
        yield Use("VM", vm.name, vm.id, "has it in its managed save image", name, way_out=way_out)
    if pair.record.saved == "":
        how = f"has a managed save image that does not tell which LUNs are in it (virsh managedsave-remove {vm.name} discards it)"
        yield Use("VM", vm.name, vm.id, how)


def _named(view: View, pair: DomainPair) -> Iterator[tuple[str, ScsiName]]:
    for node in sorted({node for part in pair.domains for node in part.device_nodes}):
        name = view.storage.under(node).name
        if name:
            yield node, name


def _doubts(view: View, pair: DomainPair) -> Iterator[str]:
    yield from _doubtful_disks(view, pair)
    yield from _doubtful_devices(view, pair)


def _doubtful_disks(view: View, pair: DomainPair) -> Iterator[str]:
    for disk in pair.disks:
        if disk.source and disk.source.type in _OTHER_PROCESS:
            yield f"has its disk {disk.target} from another process, which does not tell what is behind it"
        for why in _untold(view, pair, disk):
            yield f"has its disk {disk.target} from an iSCSI target that does not tell which LUN it is{why}"
        for source in (disk.source, *view.below(pair, disk)):
            if source and disk.is_disk and view.is_untold_volume(source):
                yield f"has its disk {disk.target} from volume {source.volume} of the pool {source.pool}, which does not tell what that is"


def _untold(view: View, pair: DomainPair, disk: Disk) -> Iterator[str]:
    """Why it is not known which LUNs a disk is, or lies on, in brackets; empty for one that an image's header names by its target."""
    for source in (disk.source, *view.below(pair, disk)):
        if source and view.answers.is_unclear(source):
            yield f" ({_two_ways(source)})"
    own = [disk.source] if disk.source and view.name_of(disk) is None else []
    for source in (*own, *view.below(pair, disk)):
        if source.login and source.login in view.answers.failures:
            yield f" ({str(view.answers.failures[source.login]).rstrip('.')})"
        elif _is_url(source):
            yield ""


def _two_ways(source: Source) -> str:
    unit = f"bus {source.lun_id >> 8}, unit {source.lun_id & 0xFF}"
    return f"QEMU sends the number {source.lun_id} as {unit}; by flat addressing LUN {source.lun_id} is {source.lun_id | 0x4000}"


def _is_url(source: Source) -> bool:
    """Whether an image's header names a LUN over QEMU's own initiator, in a way that does not tell which one."""
    return not source.login and not source.path.startswith("/") and "iscsi" in source.path


def _doubtful_devices(view: View, pair: DomainPair) -> Iterator[str]:
    for device in pair.host_devices:
        if device.type == domain.VHOST_ADAPTER:
            yield f"has the vhost target {device}, and what is behind it the host does not tell"
        elif device.type == domain.PCI_DEVICE:
            yield from _doubtful_adapter(device, view.pci_class(device.host_address))
        elif device.source and view.answers.is_unclear(device.source):
            yield f"has the SCSI device {device}, which does not show which LUN it is ({_two_ways(device.source)})"
        elif device.type == domain.SCSI_DEVICE and view.device_name(device) is None and not _is_known(view, device):
            yield f"has the SCSI device {device}, which does not show which LUN it is"


def _doubtful_adapter(device: HostDevice, kind: str) -> Iterator[str]:
    if not kind:
        yield f"has the PCI device {device}, and nobody can tell whether that is a storage adapter"
    elif kind.startswith(_SAN_ADAPTERS):
        yield f"has the storage adapter {device} for itself, and what that reaches only its guest sees"


def _is_known(view: View, device: HostDevice) -> bool:
    """Whether a SCSI device without a LUN's name is something else: a local disk, a tape drive, a LUN that its target shows no more."""
    if device.source:
        return device.source.login in view.answers.luns
    return view.storage.shows(device.host_address)


@dataclass(frozen=True)
class HostEvidence:
    """What a host's kernel does with LUNs."""

    uses: Sequence[Use]
    idle_groups: Collection[str]
    """`FileSystem.id`s of volume groups that are active though nothing on the host uses them; `uses` tells of them."""


def of_host(view: View, name: str, machines: Sequence[VirtualMachine], file_systems: Sequence[FileSystem]) -> HostEvidence:
    """What the host's kernel does with LUNs beside file systems, swap and volume groups in use, which `file_systems` tells."""
    stacks = view.storage.stacks()
    busy = _busy(view, stacks, machines, file_systems)
    owners = {disk.name: vm for vm in machines for disk in vm.disks if disk.name}
    told = {ScsiName.try_parse(extent) for store in file_systems for extent in store.extents}
    uses: list[Use] = []
    for stack in stacks:
        uses.extend(_built(view.host, name, stack, busy, owners))
        if stack.lun not in told and not stack.built:
            uses.extend(_held(view.host, name, stack.lun, view.storage.claimed(stack)))
    return HostEvidence(uses, {f"{_GROUP_ID}{found.name}" for stack in stacks for found in stack.built if _is_idle_group(found, busy)})


def _busy(view: View, stacks: Sequence[Stack], machines: Sequence[VirtualMachine], file_systems: Sequence[FileSystem]) -> set[Built]:
    """What is in use by anybody: claimed on any of its LUNs, or not known to be free there, mounted, pooled, or given to a VM."""
    homes = {home for vm in machines for disk in vm.disks for home in (disk.file_system, *(file.file_system for file in disk.parents))}
    used = {ScsiName.try_parse(extent) for store in file_systems if not store.id.startswith(_GROUP_ID) for extent in store.extents}
    in_use = {built for stack in stacks if stack.lun in used or view.storage.claimed(stack) is not False for built in stack.built}
    groups = {built for stack in stacks for built in stack.built if built.kind == VOLUME_GROUP}
    return in_use | {group for group in groups if f"{_GROUP_ID}{group.name}" in homes or view.storage.is_pooled(group.name)}


def _is_idle_group(built: Built, busy: Collection[Built]) -> bool:
    return built.kind == VOLUME_GROUP and built not in busy


def _built(host: str, name: str, stack: Stack, busy: Collection[Built], owners: Mapping[ScsiName, VirtualMachine]) -> Iterator[Use]:
    owner = owners.get(stack.lun)
    whose = f"which VM {owner.name} has made on it and nothing on the host uses" if owner else "though nothing on the host uses it"
    for built in stack.built:
        if built not in busy:
            yield Use("host", name, host, f"has {built} active, {whose}", stack.lun, way_out=_way_out(built, name))
        elif built.kind != VOLUME_GROUP:
            yield Use("host", name, host, f"has it in {built}", stack.lun)


def _held(host: str, name: str, lun: ScsiName, claimed: bool | None) -> Iterator[Use]:
    if claimed:
        yield Use("host", name, host, "holds it open for itself, as ZFS does, or a mount inside a container", lun)
    elif claimed is None:
        how = "does not tell what its kernel does with it (to root, on itself or over qemu+ssh, it does)"
        yield Use("host", name, host, how, lun, doubt=True)


def _way_out(built: Built, host: str) -> str:
    if built.kind == VOLUME_GROUP:
        return (
            f"deactivate it on {host} (vgchange -an {built.name}) and keep that host's LVM away from the VMs' LUNs, "
            "by a filter or a devices file"
        )
    if built.kind == "RAID":
        return f"stop it on {host} (mdadm --stop {built.name}) and keep that host from assembling it again (AUTO -all in mdadm.conf)"
    return f"take {built} out of use on {host}"
