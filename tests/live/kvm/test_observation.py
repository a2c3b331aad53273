# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Block addresses by two layers that do not know each other: a real guest writes markers, and the array's LUN is read for them.

What is found is compared with what the primitives tell of the same bytes of the disk, and with the file that holds the LUN's data.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.lab import kvm_world
from tests.live.kvm.ansible_user import GUEST, MOUNT, User, administrator
from tests.live.lab import KVM, KvmLab
from tests.live.modules import ModuleRunner

SECTOR, BLOCK = 512, 4096
SIZE = 96 << 20
LUN = {"svm": "svm_san", "volume": kvm_world.VOLUME, "name": "observed", "size": f"{SIZE >> 20}MiB", "os_type": "linux"}
DISK = "/dev/disk/by-id/wwn-0x{naa}"
MADE = (
    f"sgdisk --new=1:4096:+80M {{disk}} >/dev/null && udevadm wait --settle {{disk}}-part1 && mkfs.ext4 -q -b {BLOCK} {{disk}}-part1 && "
    f"mkdir -p {MOUNT} && mount {{disk}}-part1 {MOUNT}"
)
COUNT = 400
WRITERS = (pytest.param(1, marks=pytest.mark.long), 4, pytest.param(16, marks=pytest.mark.long))
"""How many at once."""


@dataclass
class Scene:
    """A guest with a file system on a LUN."""

    user: User
    modules: ModuleRunner
    naa: str

    def write(self, **wish: Any) -> dict[str, Any]:
        """What the guest tells of the markers that it has written."""
        told = self.user.module("guest_block_markers", **{"directory": MOUNT, "count": COUNT, **wish})
        assert "magic" in told, told
        return told

    def end(self, markers: dict[str, Any]) -> dict[str, Any]:
        return self.user.module("guest_block_markers", state="absent", holder=markers["holder"])

    def addresses(self, **asked: Any) -> list[dict[str, Any]]:
        lab = self.user.lab
        given = {"hypervisor": lab.hypervisor, "arrays": [lab.array], "vm": GUEST, "disk": f"naa.{self.naa}", **asked}
        rows: list[dict[str, Any]] = self.modules.succeed("virtual_block_address", given)["addresses"]
        return rows

    def data(self, magic: bytes) -> bytes:
        """What the only file at the array's target has that has these markers."""
        (found,) = (
            data for file in self.user.lab.luns.iterdir() if file.stat().st_size == SIZE for data in [file.read_bytes()] if magic in data
        )
        return found


@pytest.fixture(scope="module")
def scene(running_kvm: KvmLab, modules: ModuleRunner, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    running_kvm.reset()
    access = {"initiators": [running_kvm.initiator], "igroup": kvm_world.GROUP, "lun_id": 5}
    naa = modules.succeed("lun_provision", {"array": running_kvm.array, **LUN, **access})["naa"]
    modules.succeed("ptd_attach", {"hypervisor": running_kvm.hypervisor, "vm": GUEST, "naa": naa, "timeout": 600})
    running_kvm.device(GUEST, naa)
    with administrator(running_kvm, tmp_path_factory.mktemp("observation")) as user:
        user.guest(MADE.format(disk=DISK.format(naa=naa)))
        yield Scene(user, modules, naa)


@pytest.mark.parametrize("writers", WRITERS)
def test_every_marker_is_found_where_the_primitives_say_that_its_bytes_are(scene: Scene, writers: int) -> None:
    markers = scene.write(writers=writers)
    assert (len(markers["written"]), markers["unplaced"]) == (COUNT, [])
    observed = scene.addresses(method="observe", markers=markers)
    ranges = [{"offset": piece["virtual_offset"], "length": piece["length"]} for piece in markers["written"]]
    primitives = {row["virtual_offset"]: row for row in scene.addresses(ranges=ranges)}
    assert len(observed) == COUNT
    wrong = [row for row in observed if row["lba"] != primitives[row["virtual_offset"]]["lba"]]
    assert wrong == []
    data, magic = scene.data(bytes.fromhex(markers["magic"])), bytes.fromhex(markers["magic"])
    number = {piece["virtual_offset"]: piece["number"] for piece in markers["written"]}
    for row in observed:
        assert (row["state"], row["reason"], row["naa"], row["block_size"]) == ("data", "", scene.naa, SECTOR)
        head = data[row["lba"] * SECTOR :][:24]
        assert head == magic + number[row["virtual_offset"]].to_bytes(8, "big")
    assert scene.end(markers)["held"]


def test_the_playbook_says_where_they_are_and_lets_them_go(scene: Scene) -> None:
    asked = {"target": KVM, "vm": GUEST, "disk": f"naa.{scene.naa}", "guest": {"host": GUEST}, "directory": MOUNT, "count": 3}
    played = scene.user.play("crossvisor.san.observe_blocks", **asked)
    assert played.code == 0, played.output
    told = re.findall(rf"Byte (\d+) of disk sda, 4096 bytes: block (\d+) of LUN naa\.{scene.naa}\"", played.output)
    assert len(told) == 3
    assert all(int(offset) == int(lba) * SECTOR for offset, lba in told)
    assert scene.user.guest("ls -l /proc/[0-9]*/fd/ 2>/dev/null | grep -c /srv/data/ || true") == "0"


def test_a_guest_that_cannot_be_reached_is_told_and_nothing_is_searched(scene: Scene) -> None:
    asked = {"target": KVM, "vm": GUEST, "guest": {"host": GUEST}, "directory": MOUNT, "ansible_port": 1}
    played = scene.user.play("crossvisor.san.observe_blocks", **asked)
    assert played.code != 0
    assert f"Nothing was observed, because guest {GUEST} of VM {GUEST} cannot be reached" in " ".join(played.output.split())
    assert "Find the markers on the LUN" not in played.output


@pytest.mark.parametrize(
    ("wish", "told"),
    [
        ({"count": 16384, "block_bytes": 65536}, f"The file system of {MOUNT} has "),
        ({"directory": "/dev/shm"}, "The file system of /dev/shm has no files without a name, or none that are written past the cache"),
        ({"directory": "/srv/nowhere"}, "No markers can be written in /srv/nowhere: No such file or directory."),
    ],
)
def test_where_no_markers_can_be_written_the_guest_says_why(scene: Scene, wish: dict[str, Any], told: str) -> None:
    result = scene.user.module("guest_block_markers", **{"directory": MOUNT, **wish})
    assert "magic" not in result
    assert result["msg"].startswith(told)


IMAGE = 80 << 20
ON_QCOW2 = "/srv/qcow2"
NETWORK_DISK = """<disk type='network' device='disk'><driver name='qemu' type='qcow2' cache='none'/>
<source protocol='iscsi' name='{target}/{lun}'><host name='{address}' port='{port}'/>
<initiator><iqn name='{initiator}'/></initiator></source>
<target dev='sdb' bus='scsi'/><serial>observed</serial></disk>"""


@dataclass
class ImageOnLun:
    """A qcow2 image that is all that is on a LUN, as a disk of the guest."""

    scene: Scene
    naa: str
    node: dict[str, Any]
    """The LUN as QEMU's tools are told of it."""

    def map(self) -> list[dict[str, Any]]:
        """Where the image's clusters are on the LUN, as QEMU itself says."""
        image = json.dumps({"driver": "qcow2", "file": self.node})
        ranges: list[dict[str, Any]] = json.loads(said("qemu-img", "map", "-U", "--output=json", f"json:{image}"))
        return [found for found in ranges if "offset" in found]


def block_of(clusters: list[dict[str, Any]], at: int) -> int:
    """The block of the LUN that has a byte of the disk."""
    (found,) = (found for found in clusters if found["start"] <= at < found["start"] + found["length"])
    return int(found["offset"] + at - found["start"]) // SECTOR


def said(*command: str) -> str:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def image(scene: Scene, modules: ModuleRunner, tmp_path_factory: pytest.TempPathFactory) -> ImageOnLun:
    lab, place, number = scene.user.lab, tmp_path_factory.mktemp("image"), 6
    access = {"initiators": [lab.initiator], "igroup": kvm_world.GROUP, "lun_id": number}
    wish = {**LUN, "name": "image", "size": "128MiB"}
    naa = modules.succeed("lun_provision", {"array": lab.array, **wish, **access})["naa"]
    told = modules.succeed("hba_info", {"hypervisor": lab.hypervisor, "kinds": ["iscsi_software"]})
    (adapter,) = (hba for hba in told["hosts"][0]["hbas"] if hba["driver"] == "libiscsi")
    target, portal = adapter["paths"][0]["target"], adapter["portals"][0]
    where = {"portal": f"{portal['address']}:{portal['port']}", "target": target, "lun": number, "initiator-name": lab.initiator}
    node = {"driver": "iscsi", "transport": "tcp", **where}
    said("qemu-img", "create", "-q", "-f", "qcow2", str(place / "new"), str(IMAGE))
    options = ",".join(f"file.{name}={value}" for name, value in node.items())
    said("qemu-img", "convert", "-n", "-f", "raw", "--target-image-opts", str(place / "new"), f"driver=raw,{options}")
    xml = NETWORK_DISK.format(target=target, lun=number, initiator=lab.initiator, **portal)
    (place / "disk.xml").write_text(xml, encoding="utf-8")
    said("virsh", "--quiet", "--connect", lab.hypervisor["uri"], "attach-device", GUEST, str(place / "disk.xml"), "--live")
    disk = "/dev/disk/by-id/scsi-0QEMU_QEMU_HARDDISK_observed"
    made = f"mkdir -p {ON_QCOW2} && mkfs.ext4 -q -b {BLOCK} {disk} && mount {disk} {ON_QCOW2}"
    scene.user.guest(f"udevadm wait --settle {disk} && {made}")
    return ImageOnLun(scene, naa, node)


@pytest.mark.parametrize("writers", WRITERS)
def test_markers_in_an_image_are_where_qemu_has_their_clusters_which_nobody_else_tells(image: ImageOnLun, writers: int) -> None:
    scene = image.scene
    markers = scene.write(directory=ON_QCOW2, writers=writers)
    (device,) = {piece["device"] for piece in markers["written"]}
    observed = scene.addresses(disk="sdb", method="observe", markers=markers, guest_device=device)
    assert [row["virtual_offset"] for row in observed] == sorted(piece["virtual_offset"] for piece in markers["written"])
    assert {(row["state"], row["reason"], row["naa"]) for row in observed} == {("data", "", image.naa)}
    clusters = image.map()
    assert [row for row in observed if row["lba"] != block_of(clusters, row["virtual_offset"])] == []
    moved = [row for row in observed if row["lba"] * SECTOR != row["virtual_offset"]]
    assert len(moved) == len(observed) == COUNT
    assert {row["state"] for row in scene.addresses(disk="sdb", offsets=[observed[0]["virtual_offset"]])} == {"no_address"}
    assert scene.end(markers)["held"]
