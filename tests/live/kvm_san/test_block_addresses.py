# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Blocks of a VM's images on logical volumes of its host, over multipath and both protocols: each is read where the SAN keeps the LUN.

LVM, device mapper and file systems are those of the host; where a block should be, the machine that has the LUNs is asked for its bytes.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest

from tests.lab.kvm_san.lab import KvmSan
from tests.lab.kvm_san.machines import SAN
from tests.live.kvm_san.volumes_on_luns import GROUP, LUNS, MIB, NAMES, Host
from tests.live.modules import ModuleRunner

BLOCK = 4096
DISK_BYTES, BLOCKS = 40 * MIB, 5000
IMAGES = {"linear": "qcow2", "striped": "raw"}
"""By logical volume, the format of the image on it."""
VOLUMES = f"""
lvcreate -q -y -l 16 -i 2 -I 64k -n striped {GROUP} && lvcreate -q -y -l 8 -n linear {GROUP} /dev/mapper/{{first}} &&
lvextend -q -y -l 24 /dev/{GROUP}/linear /dev/mapper/{{second}}
"""
"""The linear one has a segment on each LUN."""
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


def scattered(seed: int) -> dict[int, int]:
    """Blocks of a disk, and the number that each has, as `WRITE` does it."""
    return {at: seed * 10**7 + at for at in random.Random(seed).sample(range(DISK_BYTES // BLOCK), BLOCKS)}


def held(machines: KvmSan, places: list[tuple[str, int]]) -> list[int | None]:
    """The numbers of the blocks at offsets of LUNs, by the machine that has them; None where it is none of ours."""
    told = machines.machine(SAN.name).run(["python3", "-c", READ], json.dumps(places))
    return list(json.loads(told))


@pytest.fixture(scope="module")
def host(running_kvm_san: KvmSan, modules: ModuleRunner) -> Host:
    host = Host(running_kvm_san, modules, "blocks01", IMAGES)
    host.prepare()
    host.run(VOLUMES.format(**{name: f"3{naa}" for naa, name in NAMES.items()}))
    for seed, (name, kind) in enumerate(IMAGES.items(), 1):
        host.mount(f"/dev/{GROUP}/{name}", name)
        host.run(f"python3 - /srv/{name}/written {seed} {BLOCKS} {DISK_BYTES}", WRITE)
        host.run(f"cd /srv/{name} && qemu-img convert -f raw -O {kind} written disk && rm written")
    host.define()
    return host


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
    assert held(host.machines, places) == list(blocks.values())
    on_each = Counter(lun for lun, _offset in places)
    assert on_each.keys() == LUNS.keys()
    assert min(on_each.values()) > BLOCKS / 10


def test_the_host_reads_there_what_the_disk_holds(host: Host) -> None:
    ranges = [{"offset": at * BLOCK, "length": BLOCK} for at in sorted(scattered(2))[::700]]
    assert {row["verified"] for row in host.addresses("striped", ranges=ranges, verify=True)} == {True}


def test_the_way_back_names_the_disk_and_the_block_of_it(host: Host, told: Mapping[str, list[dict[str, Any]]]) -> None:
    at = sorted(scattered(1))[BLOCKS // 2] * BLOCK
    (row,) = (row for row in told["linear"] if row["virtual_offset"] <= at < row["virtual_offset"] + row["length"])
    lba = row["lba"] + (at - row["virtual_offset"]) // row["block_size"]
    (owner,) = host.ask("lun_block_owner", naa=row["naa"], lbas=[lba])["owners"]
    assert (owner["status"], owner["vm_name"], owner["disk"], owner["virtual_offset"]) == ("owned", host.vm, "vda", at)
