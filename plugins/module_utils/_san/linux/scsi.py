# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The SCSI subsystem as Linux' sysfs shows it: adapters, disks and the paths between them.

Names and values are those of Linux' drivers/scsi/scsi_sysfs.c and scsi_transport_{fc,iscsi,sas}.c. A disk's directory lies below that
of its target, its remote port or session, and its adapter, so that the path alone tells what it is reached through.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import InvalidInput
from ansible_collections.crossvisor.san.plugins.module_utils._san.initiator_name import normalize_iqn, normalize_wwpn
from ansible_collections.crossvisor.san.plugins.module_utils._san.linux.tree import Tree
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import (
    DEVICE_LOST,
    DEVICE_OFF,
    DEVICE_OK,
    PATH_ACTIVE,
    PATH_DEAD,
    PATH_DISABLED,
    PATH_STANDBY,
    UNKNOWN,
    LunPath,
    ScsiDevice,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName

_SCSI_HOSTS = "/sys/class/scsi_host"
_SCSI_DEVICES = "/sys/class/scsi_device"
_DISK_TYPES = frozenset({"0", "14", "20"})  # SPC-4 table 138: direct access, simplified direct access, host managed zoned
_DIRECT = re.compile("/(?:ata|usb)[0-9]+/")
"""What libata and the USB core call a directory above the disks that hang on them."""
_SECTOR = 512  # sysfs counts in these, whatever the device's block size
_ADDRESS = re.compile("[0-9]+:[0-9]+:[0-9]+:[0-9]+")
_PCI_ADDRESS = re.compile("[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}[.][0-7]")
_SPEED = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,6})?)\s*(G|M)(?:bit|bps|b/s|bit/s)", re.IGNORECASE)
_GBIT = {"g": 1.0, "m": 0.001}
_NULLS = frozenset({"(null)", "<NULL>"})

_NO_SIZE = "0"
_PATH_STATES = {
    "running": PATH_ACTIVE,
    "quiesce": PATH_DISABLED,
    "blocked": PATH_DEAD,
    "created-blocked": PATH_DEAD,
    "transport-offline": PATH_DEAD,
    "offline": PATH_DEAD,
    "cancel": PATH_DEAD,
    "deleted": PATH_DEAD,
}
_ALUA_STATES = {
    "active/optimized": PATH_ACTIVE,
    "active/non-optimized": PATH_ACTIVE,
    "lba-dependent": PATH_ACTIVE,
    "standby": PATH_STANDBY,
    "unavailable": PATH_DEAD,
    "offline": PATH_DEAD,
    "transitioning": UNKNOWN,
}
_DEVICE_STATES = {PATH_ACTIVE: DEVICE_OK, PATH_STANDBY: DEVICE_OK, PATH_DISABLED: DEVICE_OFF, PATH_DEAD: DEVICE_LOST}


@dataclass(frozen=True)
class ScsiHost:
    """A SCSI host, the kernel's name of one port of an adapter, or of one iSCSI session."""

    name: str
    """`host7`"""
    path: str
    """Its directory below `/sys/devices`."""
    driver: str
    pci: str
    """`0000:04:00.0`, empty for one that is not on PCI."""

    @property
    def pci_path(self) -> str:
        """The directory of its PCI function."""
        return self.path[: self.path.rindex(self.pci) + len(self.pci)] if self.pci else ""


@dataclass(frozen=True)
class Disk:
    """One path to a LUN, or a local disk: what Linux calls a SCSI device."""

    address: str
    """`7:0:0:1`: host, channel, target, LUN."""
    path: str
    block: str
    """`sda`; empty when no disk driver took it."""
    name: ScsiName | None
    state: str
    """As `LunPath.state`."""
    empty: bool = False
    """It runs and has no size: it was asked, and the target has no such LUN any more. So it is dead, until it is asked again."""

    @property
    def host(self) -> str:
        """`ScsiHost.name`."""
        return f"host{self.address.split(':')[0]}"

    @property
    def lun_id(self) -> int:
        """The number under which the array maps the LUN."""
        return lun_number(int(self.address.split(":")[3]))

    @property
    def device(self) -> str:
        """`/dev/sda`, or the address of one without a device file."""
        return f"/dev/{self.block}" if self.block else self.address


def scsi_hosts(tree: Tree) -> list[ScsiHost]:
    """All SCSI hosts, in the order of their numbers."""
    return [_scsi_host(tree, name) for name in tree.children(_SCSI_HOSTS)]


def disks(tree: Tree) -> list[Disk]:
    """All SCSI disks, in the order of their addresses."""
    addresses = filter(_ADDRESS.fullmatch, tree.children(_SCSI_DEVICES))
    found = ((address, tree.real(f"{_SCSI_DEVICES}/{address}/device")) for address in addresses)
    return [_disk(tree, address, path) for address, path in found if path and tree.text(f"{path}/type") in _DISK_TYPES]


def paths(tree: Tree, host: ScsiHost, known: Iterable[Disk]) -> list[LunPath]:
    """The paths through one SCSI host, out of all known disks."""
    return [
        LunPath(name=disk.name, device=disk.device, target=_target(tree, disk), state=disk.state, lun_id=disk.lun_id)
        for disk in known
        if disk.host == host.name
    ]


def scsi_devices(tree: Tree, host_id: str) -> list[ScsiDevice]:
    """The LUNs and local disks of this machine, each once however many paths lead to it; one without a NAA name is a device per path."""
    groups: dict[str, list[Disk]] = {}
    for disk in disks(tree):
        groups.setdefault(disk.name.wwn if disk.name else disk.device, []).append(disk)
    return [_scsi_device(tree, host_id, group) for group in groups.values()]


def speed_gbit_s(text: str | None) -> float | None:
    """`16 Gbit`, `12.0 Gbit`, `10 Gbps` or `100 Mbps` in Gbit/s; None for `unknown`, `Not Negotiated` and anything else."""
    found = _SPEED.fullmatch((text or "").strip())
    return float(found[1]) * _GBIT[found[2].lower()] if found else None


def lun_number(linux: int) -> int:
    """The array's number of a LUN, from Linux' 64-bit LUN, which keeps the addressing method (SAM-5 4.7): 16640 is LUN 256."""
    flat_or_peripheral = linux < 0x8000
    return linux & 0x3FFF if flat_or_peripheral else linux


def wwn(text: str | None) -> str:
    """A WWN of sysfs, `0x21000024ff123456`, in the arrays' spelling; empty for those that say that there is none."""
    try:
        return normalize_wwpn(text or "")
    except InvalidInput:
        return ""


def iqn(text: str | None) -> str:
    """An iSCSI name in the arrays' spelling, empty for what is none."""
    try:
        return normalize_iqn(text or "")
    except InvalidInput:
        return ""


def value(tree: Tree, path: str) -> str:
    """An attribute of sysfs; empty if it is absent, or what drivers print for a null pointer."""
    text = tree.text(path) or ""
    return "" if text in _NULLS else text


def _scsi_host(tree: Tree, name: str) -> ScsiHost:
    path = tree.real(f"{_SCSI_HOSTS}/{name}/device") or tree.real(f"{_SCSI_HOSTS}/{name}")
    addresses = [part for part in path.split("/") if _PCI_ADDRESS.fullmatch(part)]
    pci = addresses[-1] if addresses else ""
    bare = ScsiHost(name, path, "", pci)
    driver = value(tree, f"{_SCSI_HOSTS}/{name}/proc_name") or tree.real(f"{bare.pci_path}/driver").rpartition("/")[2]
    return ScsiHost(name, path, driver, pci)


def _disk(tree: Tree, address: str, path: str) -> Disk:
    block = next(iter(tree.children(f"{path}/block")), "")
    state = _state(tree, path)
    empty = state == PATH_ACTIVE and value(tree, f"{path}/block/{block}/size") == _NO_SIZE
    return Disk(address, path, block, _name(tree, path), PATH_DEAD if empty else state, empty)


def _name(tree: Tree, path: str) -> ScsiName | None:
    page = tree.content(f"{path}/vpd_pg83")
    return ScsiName.from_vpd83(page) if page else ScsiName.try_parse(value(tree, f"{path}/wwid"))


def _state(tree: Tree, path: str) -> str:
    state = _PATH_STATES.get(value(tree, f"{path}/state"), UNKNOWN)
    alua = value(tree, f"{path}/access_state")
    return _ALUA_STATES.get(alua, UNKNOWN) if state == PATH_ACTIVE and alua else state


def _target(tree: Tree, disk: Disk) -> str:
    for part in disk.path.split("/"):
        if part.startswith("rport-"):
            return wwn(tree.text(f"/sys/class/fc_remote_ports/{part}/port_name"))
        if re.fullmatch("session[0-9]+", part):
            name = value(tree, f"/sys/class/iscsi_session/{part}/targetname")
            return iqn(name) or name
    return wwn(tree.text(f"{disk.path}/sas_address"))


def _scsi_device(tree: Tree, host_id: str, group: list[Disk]) -> ScsiDevice:
    first = group[0]
    devices = [disk.device for disk in group]
    states = {_DEVICE_STATES.get(disk.state, disk.state) for disk in group}
    return ScsiDevice(
        host=host_id,
        device=f"/dev/disk/by-id/{first.name.wwn}" if first.name else first.device,
        name=first.name,
        size_bytes=_size_bytes(tree, group),
        vendor=value(tree, f"{first.path}/vendor"),
        product=value(tree, f"{first.path}/model"),
        state=next(state for state in (DEVICE_OK, DEVICE_OFF, DEVICE_LOST, *sorted(states)) if state in states),
        aliases=[*(devices if first.name else []), *_multipath(tree, group)],
        local=all(_DIRECT.search(disk.path) for disk in group),
        paths_live=len([disk for disk in group if disk.state in (PATH_ACTIVE, PATH_STANDBY)]),
        paths_dead=len([disk for disk in group if disk.state == PATH_DEAD]),
    )


def _size_bytes(tree: Tree, group: Sequence[Disk]) -> int:
    """What of the LUN can be used: its multipath device may not have grown yet with its paths, nor one path with the others."""
    maps = [_bytes(tree, f"/sys/block/{holder}/size") for holder in _maps(tree, group)]
    alive = [disk for disk in group if disk.state != PATH_DEAD] or group
    paths = [_bytes(tree, f"{disk.path}/block/{disk.block}/size") for disk in alive if disk.block]
    return min(filter(None, maps if any(maps) else paths), default=0)


def _bytes(tree: Tree, attribute: str) -> int:
    sectors = value(tree, attribute)
    return int(sectors) * _SECTOR if sectors.isdecimal() else 0


def _multipath(tree: Tree, group: Iterable[Disk]) -> list[str]:
    return [f"/dev/mapper/{value(tree, f'/sys/block/{holder}/dm/name')}" for holder in _maps(tree, group)]


def _maps(tree: Tree, group: Iterable[Disk]) -> list[str]:
    """The kernel's names of the device-mapper devices over these paths, without the partitions' and logical volumes'."""
    holders = {holder for disk in group if disk.block for holder in tree.children(f"{disk.path}/block/{disk.block}/holders")}
    return [holder for holder in sorted(holders) if value(tree, f"/sys/block/{holder}/dm/uuid").startswith("mpath-")]
