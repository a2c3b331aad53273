# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A domain's storage as libvirt's XML says it (libvirt.org/formatdomain.html). Pure: nothing here talks to libvirt."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from ansible_collections.crossvisor.san.plugins.module_utils._san.model import Portal
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName

with contextlib.suppress(ImportError):  # told by wire.libvirt_session.open_session, which comes before any XML
    from lxml import etree

LUN = "lun"
ISCSI = "iscsi"
_ISCSI_PORT = 3260
_DISKS = frozenset({"disk", LUN})
_QEMU_INITIATOR = "iqn.2008-11.org.linux-kvm"
_NAME_ALIAS = "ua-naa-"
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
    protocol: str = ""
    name: str = ""
    """Of a network disk, as its protocol names it."""
    login: Login | None = None
    """Of a network disk over iSCSI."""
    lun_id: int = 0
    """Of a network disk over iSCSI: the number under which the target shows the LUN."""

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
    """Images that it is based on, nearest first, as far as libvirt tells."""
    xml: str = field(repr=False)

    @property
    def is_disk(self) -> bool:
        """Whether it is one, not a drive for media."""
        return self.device in _DISKS and self.source is not None

    @property
    def recorded_name(self) -> ScsiName | None:
        """The LUN that was noted in the alias when the disk was attached."""
        return ScsiName.try_parse(self.alias[len(_NAME_ALIAS) :]) if self.alias.startswith(_NAME_ALIAS) else None


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
    )


def _network(source: etree._Element) -> Source:
    name, protocol = source.get("name", ""), source.get("protocol", "")
    if protocol != ISCSI:
        return Source("network", protocol=protocol, name=name)
    target, _slash, number = name.partition("/")
    lun_id = int(number) if number.isdecimal() else 0
    return Source("network", protocol=protocol, name=name, login=login_of(source, target, _QEMU_INITIATOR), lun_id=lun_id)


def _backing(disk: etree._Element) -> Iterator[Source]:
    below = disk.find("backingStore")
    while below is not None:
        source = _source(below)
        if source is not None:
            yield source
        below = below.find("backingStore")


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
