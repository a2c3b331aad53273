# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The guests' image: built once, booted once, suspended, and kept by a hash of everything that went into it."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.lab.built import digest, kept, once, output, recipe, run
from tests.lab.kvm.daemon import Libvirt
from tests.lab.kvm.domains import Boot, Places, domain_xml
from tests.lab.kvm.guests import BOOT_SECONDS, Suspended, overlay, suspend, wait_until_up
from tests.lab.locking import locked
from tests.lab.ports import free_port

CACHE = kept("kvm")
RECIPE = Path(__file__).with_name("guest")
PACKAGES = (
    "libvirt-daemon", "libvirt-daemon-driver-qemu", "libvirt-daemon-driver-storage-iscsi-direct", "libvirt-clients",
    "qemu-system-x86", "qemu-utils", "qemu-block-extra", "mmdebstrap", "e2fsprogs", "openssh-client", "util-linux",
)  # fmt: skip
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
PROBE_SECONDS = 15.0
PROBE_SUCCESS = b"Kernel panic"
"""A kernel without a root file system has come as far as it can."""


@dataclass(frozen=True)
class Image:
    """A disk, and what boots it."""

    directory: Path

    @property
    def disk(self) -> Path:
        """The raw image that all guests' disks lie on."""
        return self.directory / "guest.img"

    @property
    def kernel(self) -> Path:
        """The kernel of the guests."""
        return self.directory / "vmlinuz"

    @property
    def initrd(self) -> Path:
        """What the kernel starts with."""
        return self.directory / "initrd"


@dataclass(frozen=True)
class Prepared:
    """What a lab starts from."""

    image: Image
    hypervisor: str
    """``kvm`` or ``qemu``."""
    suspended: Mapping[str, Suspended]
    """By the name of the guest."""


def prepare(guests: Sequence[Mapping[str, Any]]) -> Prepared:
    """Return what the guests of the world start from, made now unless it was made before; raises CannotPrepare."""
    with locked(CACHE):
        image = Image(once(CACHE / f"image-{digest(*recipe(RECIPE))}", _build))
        hypervisor = _hypervisor(image)
        facts = [
            str(image.directory),
            hypervisor,
            str(guests),
            output("qemu-system-x86_64", "--version"),
            output("libvirtd", "--version"),
        ]
        sources = [Path(__file__).with_name(name).read_text() for name in ("domains.py", "guests.py")]
        saved = once(CACHE / f"suspended-{digest(*facts, *sources)}", lambda directory: _boot(directory, image, hypervisor, guests))
    return Prepared(image, hypervisor, {guest["name"]: _suspended(saved, guest["name"]) for guest in guests})


def _build(directory: Path) -> None:
    run([str(RECIPE / "build.sh"), str(directory)])


def _boot(directory: Path, image: Image, hypervisor: str, guests: Sequence[Mapping[str, Any]]) -> None:
    """Boot all guests at once and suspend them."""
    libvirt = Libvirt(directory / "libvirt")
    ports = {guest["name"]: free_port() for guest in guests}
    libvirt.start()
    try:
        for guest in guests:
            disk = directory / f"{guest['name']}.qcow2"
            overlay(image.disk, disk, "raw")
            definition = directory / f"{guest['name']}.xml"
            boot = Boot(image.kernel, image.initrd, ports[guest["name"]], hypervisor)
            definition.write_text(domain_xml(guest, Places("", directory, "", "", "", {}), boot))
            libvirt.virsh("create", str(definition))
        for name, port in ports.items():
            wait_until_up(libvirt, name, port, BOOT_SECONDS)
            suspend(libvirt, name, directory / f"{name}.qcow2", _suspended(directory, name))
    finally:
        libvirt.stop()
    shutil.rmtree(directory / "libvirt")


def _suspended(directory: Path, name: str) -> Suspended:
    return Suspended(directory / f"{name}.memory", directory / f"{name}.disk")


def _hypervisor(image: Image) -> str:
    """Return the type of the guests' domains, found out once per boot of this machine."""
    probed = once(CACHE / f"accelerator-{digest(str(image.directory), BOOT_ID.read_text())}", lambda directory: _probe(directory, image))
    return (probed / "type").read_text()


def _probe(directory: Path, image: Image) -> None:
    (directory / "type").write_text(_accelerator(image))


def _accelerator(image: Image) -> str:
    """Return ``kvm`` if a kernel boots with it here: a nested KVM may open and create machines, and then run none."""
    command = [
        "qemu-system-x86_64", "-accel", "kvm", "-cpu", "qemu64", "-machine", "q35", "-m", "512", "-display", "none", "-serial", "stdio",
        "-no-reboot", "-kernel", str(image.kernel), "-append", "console=ttyS0 panic=-1",
    ]  # fmt: skip
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=PROBE_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return "qemu"
    return "kvm" if done.returncode == 0 and PROBE_SUCCESS in done.stdout else "qemu"
