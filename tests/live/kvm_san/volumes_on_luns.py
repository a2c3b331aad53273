# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A KVM host whose VM has its disks on logical volumes over two LUNs, each LUN by multipath and both protocols."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.lab.kvm_san.lab import KvmSan
from tests.lab.kvm_san.machines import HOSTS
from tests.live.kvm_san import host_view
from tests.live.modules import ModuleRunner

HOST = HOSTS[0]
MIB = 1 << 20
LUNS = {"first": "80Lab-aaaaa1", "second": "80Lab-aaaaa2"}
NAMES = {f"600a0980{serial.encode().hex()}": name for name, serial in LUNS.items()}
"""By NAA name, what the machine that has the LUNs calls each."""
LUN_BYTES = 128 * MIB
GROUP = "vms"
_GROUP = f"pvcreate -q {{luns}} && vgcreate -q {GROUP} {{luns}}"
_MOUNTED = "mkfs.ext4 -q -F -b 4096 {device} && mkdir -p /srv/{name} && mount {device} /srv/{name}"
_DISK = """<disk type='file' device='disk'><driver name='qemu' type='{format}'/><source file='/srv/{name}/disk'/>
<target dev='{target}' bus='virtio'/></disk>"""
_MACHINE = (
    "<domain type='qemu'><name>{vm}</name><memory>65536</memory><os><type arch='x86_64' machine='q35'>hvm</type></os>"
    "<devices>{disks}</devices></domain>"
)


@dataclass(frozen=True)
class Host:
    """The host, and a VM that is to have an image in each directory of /srv that is named for it."""

    machines: KvmSan
    modules: ModuleRunner
    vm: str
    formats: Mapping[str, str]
    """By directory, the format of the image `disk` in it."""

    @property
    def targets(self) -> dict[str, str]:
        """By directory, how the VM's disk is called."""
        return {name: f"vd{letter}" for name, letter in zip(self.formats, "abcdefgh")}

    def run(self, command: str, given: str = "") -> str:
        return self.machines.machine(HOST.name).run(command, given)

    def prepare(self) -> None:
        """Give the host two LUNs, and a group of volumes over both."""
        self.machines.restore()
        for number, (name, serial) in enumerate(LUNS.items()):
            self.machines.make_lun(name, serial, LUN_BYTES, number, [HOST])
        host_view.scan(self.machines.machine(HOST.name))
        self.run(_GROUP.format(luns=" ".join(f"/dev/mapper/3{naa}" for naa in NAMES)))

    def mount(self, device: str, name: str) -> None:
        """Make a file system on a device, and mount it at /srv/`name`."""
        self.run(_MOUNTED.format(device=device, name=name))

    def define(self) -> None:
        """Define the VM with its disks; it does not run."""
        disks = "".join(_DISK.format(name=name, format=kind, target=self.targets[name]) for name, kind in self.formats.items())
        self.run(f"echo {shlex.quote(_MACHINE.format(vm=self.vm, disks=disks))} >/tmp/vm.xml && virsh --quiet define /tmp/vm.xml")

    def ask(self, module: str, **options: Any) -> Any:
        hypervisor = {"uri": self.machines.uri(HOST.name), "timeout": 300}
        return self.modules.succeed(module, {"hypervisor": hypervisor, **options})

    def addresses(self, name: str, **options: Any) -> list[dict[str, Any]]:
        """What `virtual_block_address` says of the disk in this directory."""
        rows = self.ask("virtual_block_address", vm=self.vm, disk=self.targets[name], **options)["addresses"]
        return list(rows)
