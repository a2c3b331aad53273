# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The way down, from an image to a disk of the host."""

from __future__ import annotations

from typing import Any

from ansible_collections.crossvisor.san.plugins.module_utils._san.block_addresses.descent import Descent
from ansible_collections.crossvisor.san.plugins.module_utils._san.block_addresses.extents import Span
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import DATA, HOLE, NO_ADDRESS, UNWRITTEN, BlockExtent
from tests.unit.module_utils._san.block_addresses.test_block_stack import device, disk
from tests.unit.module_utils._san.block_addresses.test_file_extents import FILE
from tests.unit.module_utils._san.block_addresses.test_qemu_image import BASE, TOP, entry
from tests.unit.ports import NAME

K = 1024


def facts(**told: Any) -> dict[str, Any]:
    base = {**FILE, "path": "/srv/base.raw", "size": 128 * K, "extents": [[0, 1000 * K, 64 * K, 0], [64 * K, 2000 * K, 64 * K, 0x801]]}
    top = {**FILE, "path": "/srv/top.qcow2", "size": 448 * K, "extents": [[0, 4000 * K, 448 * K, 1]]}
    image = {"chain": [TOP, BASE], "error": "", "map": [entry(depth=1, offset=0), entry(start=64 * K, offset=320 * K)]}
    return {
        "images": {"/srv/top.qcow2": image},
        "files": {"/srv/base.raw": base, "/srv/top.qcow2": top},
        "devices": {"8:1": device("sda1", parent="8:0", start=2048), "8:0": disk()},
        **told,
    }


def test_each_file_of_a_chain_is_followed_to_the_lun() -> None:
    base, top, hole = Descent(facts()).image("/srv/top.qcow2", "qcow2", 192 * K)
    assert base == BlockExtent(0, 64 * K, DATA, "", "/srv/base.raw", 0, "/dev/sda", NAME, 2048 * 512 + 1000 * K, 512, "8:0")
    assert (top.start, top.file, top.file_offset, top.offset) == (64 * K, "/srv/top.qcow2", 320 * K, 2048 * 512 + (4000 + 320) * K)
    assert (hole.start, hole.length, hole.state, hole.offset) == (128 * K, 64 * K, HOLE, None)


def test_an_image_with_tables_of_its_own_is_followed_by_these() -> None:
    found = Descent(facts(), {"/srv/top.qcow2": [Span(64 * K, 64 * K, DATA, "/srv/top.qcow2", 128 * K)]}).image(
        "/srv/top.qcow2", "vhdx", 192 * K
    )
    assert [(part.start, part.state, part.file_offset, part.offset) for part in found] == [
        (0, HOLE, None, None),
        (64 * K, DATA, 128 * K, 2048 * 512 + (4000 + 128) * K),
        (128 * K, HOLE, None, None),
    ]


def test_an_image_whose_own_tables_tell_nothing_is_refused_with_the_reason() -> None:
    (found,) = Descent(facts(), {"/srv/top.qcow2": "its log is not empty"}).image("/srv/top.qcow2", "vhdx", 192 * K)
    assert (found.length, found.state, found.reason) == (192 * K, NO_ADDRESS, "its log is not empty")


def test_a_raw_image_is_its_file() -> None:
    data, unwritten = Descent(facts()).image("/srv/base.raw", "raw", 128 * K)
    assert (data.state, data.offset) == (DATA, 2048 * 512 + 1000 * K)
    assert (unwritten.state, unwritten.offset) == (UNWRITTEN, 2048 * 512 + 2000 * K)


def test_a_device_that_stands_for_a_file_is_followed() -> None:
    (found,) = Descent(facts(files={"/dev/sda1": {"path": "/dev/sda1", "block": "8:1"}})).image("/dev/sda1", "raw", 4096)
    assert (found.state, found.offset, found.name, found.file) == (DATA, 2048 * 512, NAME, "/dev/sda1")


def test_an_image_that_qemu_img_cannot_read_has_no_addresses_and_says_why() -> None:
    told = {"chain": [], "map": [], "error": "Could not open:\nNo such file"}
    (found,) = Descent(facts(images={"/srv/top.qcow2": told})).image("/srv/top.qcow2", "qcow2", 192 * K)
    assert (found.state, found.length) == (NO_ADDRESS, 192 * K)
    assert "cannot tell where the bytes of /srv/top.qcow2 are: Could not open: No such file" in found.reason


def test_layers_that_lie_on_themselves_are_refused_and_no_endless_way() -> None:
    loop = {"8:1": device("loop0", loop={"file": "/srv/base.raw", "offset": 0, "error": ""})}
    found = Descent(facts(devices=loop)).image("/srv/base.raw", "raw", 64 * K)
    assert all(part.offset is None for part in found)
    own = {
        "files": {"/x": {"path": "/x", "block": "7:0"}},
        "devices": {"7:0": device("loop0", loop={"file": "/x", "offset": 0, "error": ""})},
    }
    (endless,) = Descent({"images": {}, **own}).image("/x", "raw", 4096)
    assert (endless.state, endless.reason) == (NO_ADDRESS, "more layers lie on each other than anybody builds")


def test_the_files_of_an_image_are_told_with_all_that_they_have() -> None:
    descent = Descent(facts())
    assert descent.files_of("/srv/top.qcow2", "qcow2") == ["/srv/top.qcow2", "/srv/base.raw"]
    (whole,) = descent.file("/srv/top.qcow2")
    assert (whole.start, whole.length, whole.offset) == (0, 448 * K, 2048 * 512 + 4000 * K)


def test_a_file_that_was_written_to_meanwhile_is_told() -> None:
    told = facts()
    told["files"]["/srv/base.raw"]["changed"] = True
    assert Descent(told).changed(["/srv/top.qcow2", "/srv/base.raw"]) == ["/srv/base.raw"]


def test_a_path_is_told_as_the_multipath_device_over_it_which_stays_when_the_path_is_lost() -> None:
    table = "0 65536 multipath 0 0 1 1 service-time 0 1 2 8:0 1 1"
    over = device("dm-0", slaves=["8:0"], map={"name": NAME.wwid, "uuid": f"mpath-{NAME.wwid}", "table": table, "error": ""})
    told = {"images": {}, "files": {"/dev/dm-0": {"path": "/dev/dm-0", "block": "254:0"}}, "devices": {"254:0": over, "8:0": disk()}}
    (found,) = Descent(told).image("/dev/dm-0", "raw", 4096)
    assert (found.device, found.name, found.number) == (f"/dev/mapper/{NAME.wwid}", NAME, "8:0")


def test_a_device_that_holds_an_image_is_told_with_all_that_it_has() -> None:
    told = facts(files={"/dev/sda1": {"path": "/dev/sda1", "block": "8:1", "size": 1 << 20, "error": ""}})
    (whole,) = Descent(told).file("/dev/sda1")
    assert (whole.start, whole.length, whole.offset, whole.name) == (0, 1 << 20, 2048 * 512, NAME)


def test_a_file_of_a_chain_that_cannot_be_read_is_no_file_without_blocks() -> None:
    told = facts()
    told["files"]["/srv/base.raw"] = {"path": "/srv/base.raw", "kind": "", "error": "Permission denied"}
    (gap,) = Descent(told).file("/srv/base.raw")
    assert (gap.state, "Permission denied" in gap.reason) == (NO_ADDRESS, True)


def test_an_image_that_is_larger_than_the_lun_that_holds_it_is_told_as_a_whole() -> None:
    told = facts()
    told["images"]["/srv/top.qcow2"]["chain"] = [{**TOP, "virtual-size": 192 * K}, BASE]
    found = Descent(told).image("/srv/top.qcow2", "qcow2", 64 * K)
    assert [(part.start, part.state) for part in found] == [(0, DATA), (64 * K, DATA), (128 * K, HOLE)]


def test_an_image_is_followed_if_each_of_its_files_has_places_or_is_known_otherwise() -> None:
    told = facts()
    told["files"]["/srv/base.raw"] = {**told["files"]["/srv/base.raw"], "kind": "btrfs"}
    assert Descent(facts()).follows("/srv/top.qcow2", "qcow2", [])
    assert not Descent(told).follows("/srv/top.qcow2", "qcow2", [])
    assert Descent(told).follows("/srv/top.qcow2", "qcow2", ["/srv/base.raw"])
    assert not Descent(told).follows("/srv/unasked.qcow2", "qcow2", [])
    assert Descent(told).follows("/srv/unasked.raw", "raw", [])


def test_the_parts_of_a_vmdk_are_files_of_the_image() -> None:
    told = facts()
    parts = {"create-type": "monolithicFlat", "extents": [{"filename": "/srv/base.raw"}]}
    told["images"]["/srv/top.vmdk"] = {
        "chain": [{"filename": "/srv/top.qcow2", "format": "vmdk", "format-specific": {"data": parts}}],
        "map": [],
    }
    assert Descent(told).files_of("/srv/top.vmdk", "vmdk") == ["/srv/top.qcow2", "/srv/base.raw"]
