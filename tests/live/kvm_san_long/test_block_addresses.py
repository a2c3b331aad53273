# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Blocks of a VM's images on logical volumes of its host, over multipath and both protocols: each is read where the SAN keeps the LUN.

LVM, device mapper and file systems are those of the host; where a block should be, the machine that has the LUNs is asked for its bytes.
"""

from __future__ import annotations

import json
import random
import shlex
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from tests.lab.kvm_san.lab import KvmSan
from tests.lab.kvm_san.machines import HOSTS, SAN
from tests.live.kvm_san import host_view
from tests.live.modules import ModuleRunner

HOST = HOSTS[0]
MIB = 1 << 20
BLOCK = 4096
LUNS = {"first": "80Lab-aaaaa1", "second": "80Lab-aaaaa2"}
NAMES = {f"600a0980{serial.encode().hex()}": name for name, serial in LUNS.items()}
LUN_BYTES = 128 * MIB
DISK_BYTES, BLOCKS = 40 * MIB, 1000
VM = "blocks01"
IMAGES = {"linear": "qcow2", "striped": "raw"}
"""By logical volume, the format of the image on it."""
VOLUMES = """
pvcreate -q {luns} && vgcreate -q vms {luns}
lvcreate -q -y -l 16 -i 2 -I 64k -n striped vms
lvcreate -q -y -l 24 -n linear vms
for name in pool fast slow secret; do lvcreate -q -y -l 2 -n $name vms; done
for name in meta about; do lvcreate -q -y -l 1 -n $name vms; dd if=/dev/zero of=/dev/vms/$name bs=64k count=1 status=none; done
"""
SECTORS = 16384
KEY = "$(head -c 64 /dev/urandom | od -An -v -tx1 | tr -d ' \\n')"
BUILT = {
    "thin": f"""
dmsetup create pool --table '0 {SECTORS} thin-pool /dev/vms/meta /dev/vms/pool 128 0' && dmsetup message pool 0 'create_thin 0' &&
dmsetup create thin --table '0 {SECTORS} thin /dev/mapper/pool 0'""",
    "crypt": f'dmsetup create crypt --table "0 {SECTORS} crypt aes-xts-plain64 {KEY} 0 /dev/vms/secret 0"',
    "cache": f"dmsetup create cache --table '0 {SECTORS} cache /dev/vms/about /dev/vms/fast /dev/vms/slow 128 1 writeback default 0'",
}
"""By target of device mapper, what makes a device of that name."""
MOUNTED = "mkfs.ext4 -q -F -b 4096 {device} && mkdir -p /srv/{name} && mount {device} /srv/{name}"
WRITE = """
import os, random, sys
path, seed, count, size = sys.argv[1], *map(int, sys.argv[2:])
with open(path, "wb") as image:
    image.truncate(size)
    for at in random.Random(seed).sample(range(size // 4096), count):
        image.seek(at * 4096)
        image.write(b"%016d" % (seed * 10**7 + at) * 256)
    image.flush()
    os.fsync(image.fileno())
"""
READ = """
import json, sys
found = []
for name, offset in json.load(sys.stdin):
    with open(f"/srv/luns/{name}", "rb") as lun:
        lun.seek(offset)
        block = lun.read(4096)
    found.append(int(block[:16]) if block == block[:16] * 256 and block[:16].isdigit() else None)
print(json.dumps(found))
"""
DISK = """<disk type='file' device='disk'><driver name='qemu' type='{format}'/><source file='/srv/{name}/disk'/>
<target dev='{disk}' bus='virtio'/></disk>"""
MACHINE = (
    f"<domain type='qemu'><name>{VM}</name><memory>65536</memory><os><type arch='x86_64' machine='q35'>hvm</type></os>"
    "<devices>{disks}</devices></domain>"
)
DISKS = dict(zip((*IMAGES, *BUILT), ("vda", "vdb", "vdc", "vdd", "vde"), strict=True))


def scattered(seed: int) -> dict[int, int]:
    """Blocks of a disk, and the number that each has, as `WRITE` does it."""
    return {at: seed * 10**7 + at for at in random.Random(seed).sample(range(DISK_BYTES // BLOCK), BLOCKS)}


@dataclass(frozen=True)
class Host:
    """A KVM host whose VM has an image on each volume."""

    machines: KvmSan
    modules: ModuleRunner

    def ask(self, module: str, **options: Any) -> Any:
        hypervisor = {"uri": self.machines.uri(HOST.name), "timeout": 300}
        return self.modules.succeed(module, {"hypervisor": hypervisor, **options})

    def addresses(self, volume: str, **options: Any) -> list[dict[str, Any]]:
        rows = self.ask("virtual_block_address", vm=VM, disk=DISKS[volume], **options)["addresses"]
        return list(rows)

    def held(self, places: list[tuple[str, int]]) -> list[int | None]:
        """The numbers of the blocks at offsets of LUNs, by the machine that has them; None where it is none of ours."""
        told = self.machines.machine(SAN.name).run(["python3", "-c", READ], json.dumps(places))
        return list(json.loads(told))


@pytest.fixture(scope="module")
def host(running_kvm_san: KvmSan, modules: ModuleRunner) -> Host:
    running_kvm_san.restore()
    for number, (name, serial) in enumerate(LUNS.items()):
        running_kvm_san.make_lun(name, serial, LUN_BYTES, number, [HOST])
    shell = running_kvm_san.machine(HOST.name)
    host_view.scan(shell)
    shell.run(VOLUMES.format(luns=" ".join(f"/dev/mapper/3{naa}" for naa in NAMES)))
    for seed, (name, kind) in enumerate(IMAGES.items(), 1):
        shell.run(MOUNTED.format(device=f"/dev/vms/{name}", name=name))
        shell.run(f"python3 - /srv/{name}/written {seed} {BLOCKS} {DISK_BYTES}", WRITE)
        shell.run(f"cd /srv/{name} && qemu-img convert -f raw -O {kind} written disk && rm written")
    for name, made in BUILT.items():
        shell.run(f"{made} && {MOUNTED.format(device=f'/dev/mapper/{name}', name=name)} && head -c 65536 /dev/urandom >/srv/{name}/disk")
    disks = "".join(DISK.format(name=name, disk=disk, format=IMAGES.get(name, "raw")) for name, disk in DISKS.items())
    shell.run(f"echo {shlex.quote(MACHINE.format(disks=disks))} >/tmp/{VM}.xml && virsh --quiet define /tmp/{VM}.xml")
    return Host(running_kvm_san, modules)


@pytest.fixture(scope="module")
def told(host: Host) -> Mapping[str, list[dict[str, Any]]]:
    """What the module says of the whole of each disk."""
    return {name: host.addresses(name) for name in IMAGES}


@pytest.mark.parametrize(("name", "seed"), [("linear", 1), ("striped", 2)])
def test_each_block_is_on_the_lun_where_it_is_said_to_be(
    host: Host, told: Mapping[str, list[dict[str, Any]]], name: str, seed: int
) -> None:
    blocks = scattered(seed)
    found = {
        at: row for row in told[name] for at in range(row["virtual_offset"] // BLOCK, (row["virtual_offset"] + row["length"]) // BLOCK)
    }
    assert {found[at]["state"] for at in blocks} == {"data"}
    rows = [(found[at], at * BLOCK - found[at]["virtual_offset"]) for at in blocks]
    places = [(NAMES[row["naa"]], row["lba"] * row["block_size"] + within) for row, within in rows]
    assert host.held(places) == list(blocks.values())
    assert min(Counter(lun for lun, _offset in places).values()) > BLOCKS / 10


def test_the_host_reads_there_what_the_disk_holds(host: Host) -> None:
    ranges = [{"offset": at * BLOCK, "length": BLOCK} for at in sorted(scattered(2))[:64]]
    assert {row["verified"] for row in host.addresses("striped", ranges=ranges, verify=True)} == {True}


def test_the_way_back_names_the_disk_and_the_block_of_it(host: Host, told: Mapping[str, list[dict[str, Any]]]) -> None:
    at = sorted(scattered(1))[BLOCKS // 2] * BLOCK
    (row,) = (row for row in told["linear"] if row["virtual_offset"] <= at < row["virtual_offset"] + row["length"])
    lba = row["lba"] + (at - row["virtual_offset"]) // row["block_size"]
    (owner,) = host.ask("lun_block_owner", naa=row["naa"], lbas=[lba])["owners"]
    assert (owner["status"], owner["vm_name"], owner["disk"], owner["virtual_offset"]) == ("owned", VM, "vda", at)


@pytest.mark.parametrize("name", BUILT)
def test_what_moves_or_changes_blocks_on_its_way_is_refused(host: Host, name: str) -> None:
    (row,) = host.addresses(name, offsets=[0])
    assert (row["state"], row["lba"], row["naa"]) == ("no_address", None, "")
    assert f"{name} is of kind {name} in the device mapper, which has no addresses that stay" in row["reason"]
