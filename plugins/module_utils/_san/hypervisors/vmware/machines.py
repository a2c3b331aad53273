# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A VM's controllers and disks out of the XML of its virtual hardware (VirtualDevice and its subtypes)."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import Refused
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.vmware import properties
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.vmware.rdm import BY_BUS, COMPATIBILITY
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.vmware.tree import name_of
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import (
    CONNECTED,
    IMAGE,
    MULTI_WRITER,
    NOT_SHARED,
    PASSTHROUGH,
    PHYSICAL,
    POWERED_OFF,
    POWERED_ON,
    SUSPENDED,
    VIRTUAL,
    Controller,
    ImageFile,
    Use,
    VirtualDisk,
    VirtualMachine,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.vim_xml import (
    Element,
    ObjectRecord,
    child,
    children,
    parts,
    text,
    type_of,
)

Parts = Mapping[str, Element]
"""An object by the names of its properties."""

CONTROLLER_TYPES: Mapping[str, str] = {
    "ParaVirtualSCSIController": "pvscsi",
    "VirtualLsiLogicController": "lsilogic",
    "VirtualLsiLogicSASController": "lsilogicsas",
    "VirtualBusLogicController": "buslogic",
    "VirtualSCSIController": "scsi",
    "VirtualIDEController": "ide",
    "VirtualAHCIController": "sata",
    "VirtualSATAController": "sata",
    "VirtualNVMEController": "nvme",
}
_FAMILIES: Mapping[str, str] = {"ide": "IDE", "sata": "SATA", "nvme": "NVMe"}
_THIN: Mapping[str, bool] = {"true": True, "1": True, "false": False, "0": False}
_ELSEWHERE = frozenset(
    {
        "VirtualE1000", "VirtualE1000e", "VirtualVmxnet3", "VirtualMachineVideoCard", "VirtualMachineVMCIDevice", "VirtualKeyboard",
        "VirtualPointingDevice", "VirtualPCIController", "VirtualPS2Controller", "VirtualSIOController", "VirtualUSBController",
        "VirtualUSBXHCIController",
    }
)  # fmt: skip
"""Devices that most VMs have and that are never on a storage controller."""
_ELSEWHERE_TYPES = tuple(f'type="{kind}"'.encode() for kind in _ELSEWHERE)
_DEVICE, _END_OF_DEVICE = b"<VirtualDevice ", b"</VirtualDevice>"
_DISK = "VirtualDisk"
_RAW_DEVICE_MAPPING = "VirtualDiskRawDiskMappingVer1BackingInfo"
_RAW_DISK = b"RawDisk"
"""In the names of all types of backings that are devices (VirtualDiskRawDisk…BackingInfo)."""
_TOLD = f"<name>{properties.DEVICES_OF_VM}</name>".encode()
_NOT_TOLD = b"<missingSet"
_END_OF_PROPERTY, _END_OF_ID = b"</propSet>", b"</obj>"
_POWER_STATES: Mapping[str, str] = {"poweredOn": POWERED_ON, "poweredOff": POWERED_OFF, "suspended": SUSPENDED}
_BUS_SHARING: Mapping[str, str] = {"physicalSharing": PHYSICAL, "virtualSharing": VIRTUAL}
_MODES: Mapping[str, str] = {word: mode for mode, word in COMPATIBILITY.items()}
_DISK_SHARING: Mapping[str, str] = {"sharingNone": NOT_SHARED, "sharingMultiWriter": MULTI_WRITER}


@dataclass(frozen=True)
class Snapshots:
    """Which snapshots a VM has."""

    vm: VirtualMachine
    names: Mapping[str, str]
    """Id → name, those under others too."""
    unreadable: str = ""
    """Why nobody can tell which it has; empty when that was told."""


def snapshots(vm: VirtualMachine, record: ObjectRecord) -> Snapshots:
    """The snapshots of a VM (VirtualMachineSnapshotTree), out of its record."""
    return Snapshots(vm, dict(_tree(record.items(properties.SNAPSHOTS_OF_VM))), record.why_missing(properties.SNAPSHOTS_OF_VM))


def _tree(trees: Iterable[Element]) -> Iterator[tuple[str, str]]:
    for tree in trees:
        yield text(tree, "snapshot"), text(tree, "name")
        yield from _tree(children(tree, "childSnapshotList"))


def machine(record: ObjectRecord) -> VirtualMachine:
    """A VM without cluster and folder, which its record does not hold.

    One whose configuration cannot be read (orphaned, inaccessible, being created) has its name and no hardware.
    """
    controllers, disks = hardware(record.items(properties.DEVICES_OF_VM), _mounts(record))
    return VirtualMachine(
        id=record.moid,
        name=name_of(record),
        uuid=record.text("config.uuid"),
        instance_uuid=record.text("config.instanceUuid"),
        host=record.text("runtime.host"),
        power=_POWER_STATES.get(record.text("runtime.powerState"), POWERED_OFF),
        template=record.flag("config.template"),
        controllers=controllers,
        disks=disks,
    )


def unreadable(record: ObjectRecord) -> Use | None:
    """What a VM is to a LUN when its hardware was not told: it may have any. None when it was.

    VirtualMachineConnectionState: of an inaccessible or invalid VM vCenter knows no configuration, of one on a lost host perhaps none.
    """
    if properties.DEVICES_OF_VM in record.properties:
        return None
    state = record.text("runtime.connectionState", CONNECTED)
    because = f"it is {state}" if state != CONNECTED else record.why_missing(properties.DEVICES_OF_VM) or "its configuration is not there"
    return Use("VM", name_of(record), record.moid, f"cannot be read because {because}")


def may_have_raw_disk(record: bytes) -> bool:
    """Whether a VM may have a LUN as a disk, by its record as it came: also one whose hardware was not told, or not all of it.

    What is missing stands behind all that was told (ObjectContent), which spares most records from being searched for it.
    """
    all_told = _TOLD in record and (record.endswith(_END_OF_PROPERTY) or _NOT_TOLD not in record)
    return not all_told or _RAW_DISK in record


def if_raw_disk(record: bytes) -> bytes:
    """Of the record of a VM that may have a LUN as a disk, as it came, only the id; nothing of any other."""
    return record.partition(_END_OF_ID)[0] + _END_OF_ID if may_have_raw_disk(record) else b""


def trimmed(record: bytes) -> bytes:
    """The record of a VM as it came, without the devices that have nothing to do with storage, which are the most."""
    first, *devices = record.split(_DEVICE)
    return first + b"".join(map(_if_used, devices))


def _if_used(device: bytes) -> bytes:
    """What comes after the beginning of a device, with that beginning; of a device of no use only what comes after its end."""
    if device[: device.find(b">")].endswith(_ELSEWHERE_TYPES):
        _device, end, rest = device.partition(_END_OF_DEVICE)
        if end:
            return rest
    return _DEVICE + device


def readable(record: ObjectRecord) -> VirtualMachine:
    """A VM that is going to be judged by its disks. Raises `Refused` when its hardware was not told, which says nothing of its disks."""
    use = unreadable(record)
    if use:
        raise Refused(
            f"VM {use.name} {use.how}, so nobody can tell which disks it has: bring it back (its host, its datastores, the account's right "
            "to read it), or remove it from the inventory if it is gone for good."
        )
    return machine(record)


def hardware(devices: Iterable[Element], mounts: Mapping[str, Sequence[str]] | None = None) -> tuple[list[Controller], list[VirtualDisk]]:
    """The storage controllers and the disks among virtual devices, in the order of the VM's configuration.

    `mounts`: key of a disk → where the guest has mounted file systems on it.
    """
    controllers: dict[str, tuple[str, int, str]] = {}
    disks: list[Parts] = []
    units: defaultdict[str, list[int]] = defaultdict(list)
    for device in devices:
        kind = type_of(device)
        if kind in _ELSEWHERE:
            continue
        own = parts(device)
        unit = _number(own, "unitNumber")
        if unit is not None:
            units[_text(own, "controllerKey")].append(unit)
        if kind == _DISK:
            disks.append(own)
        elif kind in CONTROLLER_TYPES:
            controllers[_text(own, "key")] = (CONTROLLER_TYPES[kind], _number(own, "busNumber") or 0, _text(own, "sharedBus"))
    found = {key: _controller(key, *told, tuple(sorted(units[key]))) for key, told in controllers.items()}
    return list(found.values()), [_disk(own, found, mounts or {}) for own in disks]


def _mounts(record: ObjectRecord) -> Mapping[str, Sequence[str]]:
    """Key of a virtual disk → the places of the file systems on it, as far as GuestDiskInfo.mappings tells the disk."""
    found: dict[str, list[str]] = {}
    for disk in record.items(properties.GUEST_DISKS):
        for mapping in children(disk, "mappings"):
            found.setdefault(text(mapping, "key"), []).append(text(disk, "diskPath"))
    return found


@cache
def _controller(key: str, kind: str, bus: int, sharing: str, units: Sequence[int]) -> Controller:
    """A controller, of which most VMs have one that is like another's."""
    return Controller(key=key, type=kind, bus=bus, units=units, shared=_BUS_SHARING.get(sharing, ""))


def _disk(own: Parts, controllers: Mapping[str, Controller], mounts: Mapping[str, Sequence[str]]) -> VirtualDisk:
    key, controller_key = _word(own, "key"), _word(own, "controllerKey")
    controller = controllers.get(controller_key)
    backing = parts(own.get("backing"))
    chain = _chain(own.get("backing")) if "parent" in backing else [own["backing"]] if "backing" in own else []
    raw = bool(chain) and type_of(chain[0]) == _RAW_DEVICE_MAPPING
    mapping: Parts = parts(chain[-1]) if raw else {}
    device_name, mode = _text(mapping, "deviceName"), _text(mapping, "compatibilityMode")
    return VirtualDisk(
        key=key,
        label=sys.intern(text(own.get("deviceInfo"), "label")),
        kind=PASSTHROUGH if raw else IMAGE,
        controller=controller_key,
        bus=controller.bus if controller else None,
        unit=_number(own, "unitNumber"),
        size_bytes=_number(own, "capacityInBytes") or (_number(own, "capacityInKB") or 0) * 1024,
        path=_text(backing, "fileName"),
        file_system=_word(backing, "datastore"),
        device=device_name,
        name=_lun(mapping) if raw else None,
        mode=_MODES.get(mode, mode),
        disk_mode=_word(backing, "diskMode"),
        sharing=_sharing(_text(backing, "sharing"), controller),
        parents=tuple(ImageFile(text(file, "fileName"), text(file, "datastore")) for file in chain[1:]),
        mounts=mounts.get(key, ()),
        family=_FAMILIES.get(controller.type, "SCSI") if controller else "",
        thin=None if raw else _THIN.get(_text(backing, "thinProvisioned")),
    )


def _text(of: Parts, name: str) -> str:
    part = of.get(name)
    return "" if part is None else part.text or ""


def _word(of: Parts, name: str) -> str:
    """A text that thousands of disks have, and of which one is kept."""
    return sys.intern(_text(of, name))


def _number(of: Parts, name: str) -> int | None:
    try:
        return int(_text(of, name))
    except ValueError:
        return None


def _sharing(word: str, controller: Controller | None) -> str:
    """How other VMs may have the disk too: by its own setting, or else because its controller shares its bus."""
    own = _DISK_SHARING.get(word, word)
    by_bus = BY_BUS.get(controller.shared, own) if controller else own
    return by_bus if own in ("", NOT_SHARED) else own


def _lun(mapping: Parts) -> ScsiName | None:
    """The LUN of a raw device mapping: of a disk's own backing, or of the one at the bottom of its snapshots, which always names it."""
    return ScsiName.try_parse(_text(mapping, "lunUuid")) or ScsiName.try_parse(_text(mapping, "deviceName"))


def _chain(backing: Element | None) -> list[Element]:
    """A disk's backing, then those that it is based on, nearest first: a snapshot's, a linked clone's, each on a datastore of its own.

    `parent` of every VirtualDisk…BackingInfo that has files is of the backing's own type, which is why it need not carry one.
    """
    chain = []
    while backing is not None:
        chain.append(backing)
        backing = child(backing, "parent")
    return chain
