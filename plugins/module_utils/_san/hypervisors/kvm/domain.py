# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A domain's storage as libvirt's XML says it (libvirt.org/formatdomain.html). Pure: nothing here talks to libvirt."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from ansible_collections.crossvisor.san.plugins.module_utils._san.model import Portal
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName

with contextlib.suppress(ImportError):  # told by wire.libvirt_session.open_session, which comes before any XML
    from lxml import etree

LUN = "lun"
ISCSI = "iscsi"
DIRECT = "direct"
"""The mode of a disk that is a volume of an iSCSI pool, by which QEMU reaches it itself."""
SCSI_DEVICE = "scsi"
VHOST_ADAPTER = "scsi_host"
PCI_DEVICE = "pci"
"""Types of `<hostdev>`."""
_ISCSI_PORT = 3260
_DISKS = frozenset({"disk", LUN})
QEMU_INITIATOR = "iqn.2008-11.org.linux-kvm"
_NAME_ALIAS = "ua-naa-"
_DEVICE_NODE = re.compile(r"""/dev/[^\s,;"'<>&]+""")
_AGENT_CHANNEL = "org.qemu.guest_agent.0"
_NO_DATA = frozenset({"reservations"})
"""Elements whose `<source>` is none of data: the socket of a helper."""
_PROSE = frozenset({"name", "title", "description", "metadata"})
_HOT_PLUG_PORTS = frozenset({"pcie-root-port", "pcie-switch-downstream-port"})


@dataclass(frozen=True)
class Secret:
    """Where libvirt keeps a password: by usage name, or by UUID."""

    usage: str = ""
    uuid: str = ""


@dataclass(frozen=True)
class Login:
    """How QEMU's own initiator logs in at a target."""

    portal: Portal
    target: str
    initiator: str
    user: str = ""
    secret: Secret = Secret()


@dataclass(frozen=True)
class Source:
    """Where the data of a disk, or of an image that it is based on, is."""

    type: str
    """`file`, `block`, `volume`, `network`, `dir`, `nvme`, …"""
    path: str = ""
    """A file or block device of the host."""
    pool: str = ""
    volume: str = ""
    mode: str = ""
    """Of a volume of an iSCSI pool: `direct` where QEMU's own initiator is to reach it. The other mode is the default, which libvirt writes
    into the XML of what runs alone."""
    protocol: str = ""
    name: str = ""
    """Of a network disk, as its protocol names it."""
    login: Login | None = None
    """Of a network disk over iSCSI."""
    lun_id: int = 0
    """Of a network disk over iSCSI: the LUN's number as QEMU's own initiator takes it, above 255 with the bits of flat addressing."""

    def __str__(self) -> str:
        if self.login:
            return f"iscsi://{self.login.portal.address}:{self.login.portal.port}/{self.login.target}/{self.lun_id}"
        if self.pool:
            return f"{self.pool}/{self.volume}"
        return self.path or f"{self.protocol}:{self.name}"


@dataclass(frozen=True)
class DriveAddress:
    """Where a disk is on a SCSI, SATA or IDE controller."""

    controller: int
    target: int
    unit: int


@dataclass(frozen=True)
class Disk:
    """A disk of a domain."""

    target: str
    """The name that libvirt knows it by, `sdb`; unique in its domain."""
    device: str
    """`disk`, `lun`, `cdrom` or `floppy`."""
    bus: str
    source: Source | None
    """None for a drive without a medium."""
    address: DriveAddress | None
    format: str
    alias: str
    shareable: bool
    backing: Sequence[Source]
    """What else its data lies on, as far as libvirt tells: the images that it is based on, nearest first, mirrors, data stores."""
    xml: str = field(repr=False)
    reservations: bool = False
    """Whether the guest's persistent reservations reach the LUN, by `qemu-pr-helper`."""

    @property
    def is_disk(self) -> bool:
        """Whether it is one, not a drive for media."""
        return self.device in _DISKS and self.source is not None

    @property
    def recorded_name(self) -> ScsiName | None:
        """The LUN that was noted in the alias when the disk was attached."""
        return ScsiName.try_parse(self.alias[len(_NAME_ALIAS) :]) if self.alias.startswith(_NAME_ALIAS) else None


@dataclass(frozen=True)
class HostDevice:
    """A device or adapter of the host that a domain has for itself (`<hostdev>`)."""

    type: str
    """`scsi`, `scsi_host`, `pci`, `usb`, `mdev`, …"""
    alias: str
    host_address: str
    """What it is on the host: `7:0:0:2` (host, channel, target, LUN), `0000:04:00.0`, or the name of a vhost target."""
    source: Source | None
    """Of a SCSI device over iSCSI."""
    address: DriveAddress | None
    shareable: bool

    def __str__(self) -> str:
        return str(self.source) if self.source else self.host_address


@dataclass(frozen=True)
class ScsiController:
    """A SCSI controller of a domain."""

    index: int
    model: str
    """Libvirt's word: `virtio-scsi`, `vmpvscsi`, `lsilogic`, …; empty for its default."""
    xml: str = field(repr=False)


@dataclass(frozen=True)
class Domain:
    """What one XML says of a domain."""

    disks: Sequence[Disk]
    controllers: Sequence[ScsiController]
    pcie: bool
    """Whether devices are added to PCI Express ports, which there is a fixed number of."""
    free_ports: int
    """PCI Express ports that take a device while the domain runs, and have none."""
    host_devices: Sequence[HostDevice] = ()
    device_nodes: frozenset[str] = frozenset()
    """Every `/dev/…` that the XML names, wherever: also drives for media, firmware, and QEMU's own command line."""
    agent_listens: bool = False
    """Whether a guest agent has its channel open, which libvirt tells of what runs alone (formatdomain.html, guest agent)."""

    @property
    def seats(self) -> list[tuple[str, DriveAddress]]:
        """What sits on SCSI controllers, and where: disks, drives and devices of the host."""
        disks = [(f"{disk.target} ({disk.source or 'empty'})", disk.address) for disk in self.disks if disk.bus == "scsi"]
        devices = [(f"host device {device}", device.address) for device in self.host_devices]
        return [(what, address) for what, address in (*disks, *devices) if address is not None]

    def disk_at(self, target: str) -> Disk | None:
        return next((disk for disk in self.disks if disk.target == target), None)

    def controller(self, index: int) -> ScsiController | None:
        return next((controller for controller in self.controllers if controller.index == index), None)


NOTHING = Domain((), (), pcie=False, free_ports=0)
"""A domain that does not run, or starts no more."""


def alias_of(name: ScsiName) -> str:
    """The user alias (libvirt keeps those that begin with `ua-`) of a disk that is this LUN."""
    return f"{_NAME_ALIAS}{name.naa}"


def parse(xml: str) -> Domain:
    """The domain; an empty text is one without anything."""
    if not xml:
        return NOTHING
    root = root_of(xml)
    ports = {
        element.get("index") for element in root.iterfind("devices/controller[@type='pci']") if element.get("model") in _HOT_PLUG_PORTS
    }
    taken = {_index(element.get("bus", "")) for element in root.iterfind("devices//address[@type='pci']")}
    return Domain(
        disks=[_disk(element) for element in root.iterfind("devices/disk")],
        controllers=[
            ScsiController(int(element.get("index", "0")), element.get("model", ""), _text(element))
            for element in root.iterfind("devices/controller[@type='scsi']")
        ],
        pcie=root.find("devices/controller[@model='pcie-root']") is not None,
        free_ports=len(ports - taken),
        host_devices=[_host_device(element) for element in root.iterfind("devices/hostdev")],
        agent_listens=root.find(f"devices/channel/target[@name='{_AGENT_CHANNEL}'][@state='connected']") is not None,
        device_nodes=frozenset(word for part in root if part.tag not in _PROSE for word in _DEVICE_NODE.findall(_text(part))),
    )


def root_of(xml: str) -> etree._Element:
    """The root of an XML text that libvirt sent; it may name no external entity."""
    return etree.fromstring(xml.encode("utf-8"), etree.XMLParser(resolve_entities=False, no_network=True))


def login_of(source: etree._Element, target: str, default_initiator: str = "") -> Login | None:
    """The login that a `<source>` of a disk or pool describes; None when it names no portal."""
    host = source.find("host")
    if host is None:
        return None
    initiator = source.find("initiator/iqn")
    auth = source.find("auth")
    secret = auth.find("secret") if auth is not None else None
    return Login(
        portal=Portal(host.get("name", ""), int(host.get("port") or _ISCSI_PORT)),
        target=target,
        initiator=(initiator.get("name", "") if initiator is not None else "") or default_initiator,
        user=auth.get("username", "") if auth is not None else "",
        secret=Secret(secret.get("usage", ""), secret.get("uuid", "")) if secret is not None else Secret(),
    )


def _disk(element: etree._Element) -> Disk:
    target, driver, alias = element.find("target"), element.find("driver"), element.find("alias")
    return Disk(
        target=target.get("dev", "") if target is not None else "",
        device=element.get("device", "disk"),
        bus=target.get("bus", "") if target is not None else "",
        source=_source(element),
        address=_address(element.find("address")),
        format=driver.get("type", "raw") if driver is not None else "raw",
        alias=alias.get("name", "") if alias is not None else "",
        shareable=element.find("shareable") is not None,
        backing=list(_backing(element)),
        xml=_text(element),
        reservations=element.find("source/reservations") is not None,
    )


def _source(holder: etree._Element) -> Source | None:
    """The source of a disk, or of a `<backingStore>`."""
    source, kind = holder.find("source"), holder.get("type", "")
    if source is None:
        return None
    if kind == "network":
        return _network(source)
    return Source(
        type=kind,
        path=source.get("file") or source.get("dev") or source.get("dir") or "",
        pool=source.get("pool", ""),
        volume=source.get("volume", ""),
        mode=DIRECT if source.get("mode") == DIRECT else "",
    )


def _network(source: etree._Element) -> Source:
    name, protocol = source.get("name", ""), source.get("protocol", "")
    if protocol != ISCSI:
        return Source("network", protocol=protocol, name=name)
    target, _slash, number = name.partition("/")
    lun_id = int(number) if number.isdecimal() else 0
    return Source("network", protocol=protocol, name=name, login=login_of(source, target, QEMU_INITIATOR), lun_id=lun_id)


def _backing(disk: etree._Element) -> Iterator[Source]:
    """Every source below a disk's element but its own."""
    for element in disk.iter("source"):
        holder = element.getparent()
        if holder is disk or holder is None or holder.tag in _NO_DATA:
            continue
        source = _source(holder)
        if source is not None:
            yield source


def _host_device(element: etree._Element) -> HostDevice:
    """Libvirt's `<hostdev>` (formatdomain.html): a SCSI device is named by adapter and address, or like a network disk."""
    source, alias = element.find("source"), element.find("alias")
    return HostDevice(
        type=element.get("type", ""),
        alias=alias.get("name", "") if alias is not None else "",
        host_address=_host_address(element.get("type", ""), source) if source is not None else "",
        source=_network(source) if source is not None and source.get("protocol") == ISCSI else None,
        address=_address(element.find("address")),
        shareable=element.find("shareable") is not None,
    )


def _host_address(kind: str, source: etree._Element) -> str:
    adapter, address = source.find("adapter"), source.find("address")
    if kind == VHOST_ADAPTER:
        return source.get("wwpn", "")
    if address is None:
        return ""
    if kind == PCI_DEVICE:
        domain, bus, slot, function = (int(address.get(part, "0"), 0) for part in ("domain", "bus", "slot", "function"))
        return f"{domain:04x}:{bus:02x}:{slot:02x}.{function:x}"
    host = adapter.get("name", "")[len("scsi_host") :] if adapter is not None else ""
    return ":".join([host, *(address.get(part, "0") for part in ("bus", "target", "unit"))])


def _address(element: etree._Element | None) -> DriveAddress | None:
    if element is None or element.get("type") != "drive":
        return None
    controller, target, unit = (int(element.get(name, "0")) for name in ("controller", "target", "unit"))
    return DriveAddress(controller, target, unit)


def _index(bus: str) -> str:
    """The index of the controller that is a PCI bus: `0x02` is `2`."""
    try:
        return str(int(bus, 0))
    except ValueError:
        return ""


def _text(element: etree._Element) -> str:
    return etree.tostring(element, encoding="unicode", with_tail=False)
