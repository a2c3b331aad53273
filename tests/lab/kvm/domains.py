# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Domains of the world as the XML that libvirt reads (https://libvirt.org/formatdomain.html)."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

QEMU = "http://libvirt.org/schemas/domain/qemu/1.0"
EMULATOR = "/usr/bin/qemu-system-x86_64"
AGENT = "org.qemu.guest_agent.0"
COMMAND_LINE = "root=/dev/vda rw console=ttyS0 quiet mitigations=off norandmaps audit=0 net.ifnames=0 random.trust_cpu=on"
"""Without random addresses, because an emulator translates the same program anew at every other address."""
BUSES = {"v": "virtio", "s": "scsi", "h": "ide"}
NETWORK_SLOT = "0x1c"
TRANSLATION_CACHE_MIB = 256
"""What an emulated processor may keep of translated code; QEMU's own choice is 1 GiB for each guest."""

ET.register_namespace("qemu", QEMU)


@dataclass(frozen=True)
class Places:
    """Where the domains' disks are."""

    pool: str
    images: Path
    """The directory of the pool."""
    target: str
    """IQN of the array's SVM."""
    portal: str
    """Address of one of its portals, port 3260."""
    initiator: str
    """IQN of the host."""
    units: Mapping[str, int]
    """LUN id by the path of the LUN on the array."""


@dataclass(frozen=True)
class Boot:
    """How a guest starts."""

    kernel: Path
    initrd: Path
    ssh_port: int
    hypervisor: str
    """``kvm`` or ``qemu``."""


def domain_xml(domain: Mapping[str, Any], places: Places, boot: Boot | None = None) -> str:
    """Return the XML of a domain; one with ``boot`` is a guest that ssh and the guest agent reach."""
    root = ET.Element("domain", type=boot.hypervisor if boot else "qemu")
    _text(root, "name", domain["name"])
    _text(root, "uuid", domain["uuid"])
    _text(root, "memory", str(domain["memory"]), unit="bytes")
    _text(root, "vcpu", "1")
    system = ET.SubElement(root, "os")
    _text(system, "type", "hvm", arch="x86_64", machine=domain["machine"])
    if boot:
        _text(system, "kernel", str(boot.kernel))
        _text(system, "initrd", str(boot.initrd))
        _text(system, "cmdline", f"{COMMAND_LINE} systemd.hostname={domain['name']}")
    features = ET.SubElement(root, "features")
    ET.SubElement(features, "acpi")
    if root.get("type") == "qemu":
        _text(ET.SubElement(features, "tcg"), "tb-cache", str(TRANSLATION_CACHE_MIB), unit="MiB")
    _text(ET.SubElement(root, "cpu", mode="custom", match="exact", check="none"), "model", "qemu64", fallback="forbid")
    devices = ET.SubElement(root, "devices")
    _text(devices, "emulator", EMULATOR)
    devices.extend(_controllers(domain))
    devices.extend(_disk(disk, places) for disk in domain["disks"])
    ET.SubElement(devices, "memballoon", model="none")
    if boot:
        _reachable(root, devices, boot.ssh_port)
    return ET.tostring(root, encoding="unicode")


def moved_guest(xml: str, image: Path, ssh_port: int) -> str:
    """Return a guest's XML with another disk image and another port of the host for ssh."""
    root = ET.fromstring(xml)
    source = root.find("./devices/disk/source")
    if source is None:
        raise ValueError("the guest has no disk")
    source.set("file", str(image))
    for argument in root.iter(f"{{{QEMU}}}arg"):
        if "hostfwd=" in argument.get("value", ""):
            argument.set("value", _forwarding(ssh_port))
    return ET.tostring(root, encoding="unicode")


def _controllers(domain: Mapping[str, Any]) -> Iterator[ET.Element]:
    if domain["machine"] == "q35":
        yield ET.Element("controller", type="pci", index="0", model="pcie-root")
        for _port in range(domain["spare_ports"] + _plugged(domain)):
            yield ET.Element("controller", type="pci", model="pcie-root-port")
    for index, model in enumerate(domain["scsi"]):
        yield ET.Element("controller", type="scsi", index=str(index), model=model)


def _plugged(domain: Mapping[str, Any]) -> int:
    """Return how many devices of a domain need a port of their own."""
    targets: list[str] = [disk["target"] for disk in domain["disks"]]
    return len(domain["scsi"]) + sum(target.startswith("v") for target in targets)


def _in_pool(disk: Mapping[str, Any], places: Places) -> ET.Element:
    return ET.Element("source", file=str(places.images / disk["path"]))


def _volume(disk: Mapping[str, Any], places: Places) -> ET.Element:
    return ET.Element("source", pool=places.pool, volume=disk["path"])


def _device(disk: Mapping[str, Any], _places: Places) -> ET.Element:
    return ET.Element("source", dev=disk["path"])


def _iscsi(disk: Mapping[str, Any], places: Places) -> ET.Element:
    source = ET.Element("source", protocol="iscsi", name=f"{places.target}/{places.units[disk['lun']]}")
    ET.SubElement(source, "host", name=places.portal, port="3260")
    ET.SubElement(ET.SubElement(source, "initiator"), "iqn", name=places.initiator)
    return source


def _nothing(_disk: Mapping[str, Any], _places: Places) -> None:
    return None


class _Kind(NamedTuple):
    """What libvirt calls a disk of the world, and where it finds it."""

    type: str
    device: str
    format: str
    source: Callable[[Mapping[str, Any], Places], ET.Element | None]


KINDS: Mapping[str, _Kind] = {
    "guest": _Kind("file", "disk", "qcow2", _in_pool),
    "image": _Kind("file", "disk", "qcow2", _in_pool),
    "raw": _Kind("file", "disk", "raw", _in_pool),
    "volume": _Kind("volume", "disk", "raw", _volume),
    "block": _Kind("block", "disk", "raw", _device),
    "lun": _Kind("network", "lun", "raw", _iscsi),
    "lun_device": _Kind("block", "lun", "raw", _device),
    "none": _Kind("file", "cdrom", "raw", _nothing),
}


def _disk(disk: Mapping[str, Any], places: Places) -> ET.Element:
    kind = KINDS[disk["source"]]
    element = ET.Element("disk", type=kind.type, device=kind.device)
    driver = ET.SubElement(element, "driver", name="qemu", type=kind.format)
    if disk["source"] == "guest":
        driver.set("cache", "unsafe")
    source = kind.source(disk, places)
    if source is not None:
        element.append(source)
    target = disk["target"]
    ET.SubElement(element, "target", dev=target, bus=BUSES[target[0]])
    if target.startswith("s"):
        ET.SubElement(element, "address", type="drive", controller="0", bus="0", target="0", unit=str(ord(target[2]) - ord("a")))
    return element


def _reachable(root: ET.Element, devices: ET.Element, ssh_port: int) -> None:
    ET.SubElement(devices, "controller", type="virtio-serial", index="0")
    channel = ET.SubElement(devices, "channel", type="unix")
    ET.SubElement(channel, "target", type="virtio", name=AGENT)
    ET.SubElement(ET.SubElement(devices, "serial", type="pty"), "target", port="0")
    _text(ET.SubElement(devices, "rng", model="virtio"), "backend", "/dev/urandom", model="random")
    network = ["-netdev", _forwarding(ssh_port), "-device", f"virtio-net-pci,netdev=n0,bus=pcie.0,addr={NETWORK_SLOT},romfile="]
    _arguments(root, network)


def _forwarding(ssh_port: int) -> str:
    return f"user,id=n0,hostfwd=tcp:127.0.0.1:{ssh_port}-:22"


def _arguments(root: ET.Element, values: Sequence[str]) -> None:
    line = ET.SubElement(root, f"{{{QEMU}}}commandline")
    for value in values:
        ET.SubElement(line, f"{{{QEMU}}}arg", value=value)


def _text(parent: ET.Element, tag: str, text: str, **attributes: str) -> None:
    ET.SubElement(parent, tag, attributes).text = text
