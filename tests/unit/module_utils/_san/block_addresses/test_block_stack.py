# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What lies below a block device, by tables as dmsetup prints them."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.block_addresses.block_stack import is_bottom, name_of, spans
from ansible_collections.crossvisor.san.plugins.module_utils._san.block_addresses.extents import Span
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import NO_ADDRESS
from tests.unit.ports import NAME, OTHER

MIB = 1 << 20


def device(name: str, **told: Any) -> dict[str, Any]:
    return {"name": name, "slaves": [], "parent": "", "loop": None, "map": None, "wwid": "", "page": "", "block_size": 512, **told}


def mapped(table: str, uuid: str = "LVM-abc", error: str = "") -> dict[str, Any]:
    return device("dm-0", slaves=["8:0"], map={"name": "vg-lv", "uuid": uuid, "table": table, "error": error})


def disk(name: str = "sda", lun: str = str(NAME)) -> dict[str, Any]:
    return device(name, wwid=lun)


def below(found: dict[str, Any], start: int = 0, end: int = MIB, **others: Any) -> list[Span]:
    return [*spans("254:0", {"254:0": found, "8:0": disk(), "8:16": disk("sdb"), **others}, start, end)]


def reason(found: dict[str, Any], **others: Any) -> str:
    (span,) = below(found, 0, MIB, **others)
    assert (span.state, span.below, span.length) == (NO_ADDRESS, "", MIB)
    return span.reason


@pytest.mark.parametrize("name", ["sda", "sdaa", "vdb", "xvda", "nvme0n1"])
def test_a_disk_is_the_bottom(name: str) -> None:
    assert is_bottom(device(name))


@pytest.mark.parametrize(
    "found",
    [device("sda1", parent="8:0"), mapped(""), device("loop0", loop={"file": "/x"}), device("md0", slaves=["8:0"]), device("bcache0"),
     device("loop0"), device("zd0"), device("rbd0"), device("nbd0"), device("drbd0"), device("zram0")],
)  # fmt: skip
def test_nothing_else_is(found: dict[str, Any]) -> None:
    assert not is_bottom(found)


def test_a_partition_begins_where_its_disk_says_in_sectors_of_512_bytes() -> None:
    assert below(device("sda1", parent="8:0", start=2048)) == [Span(0, MIB, below="8:0", offset=2048 * 512)]


def test_a_volume_is_followed_segment_by_segment() -> None:
    found = below(mapped("0 1024 linear 8:0 2048\n1024 8192 linear 8:16 384\n"), 1024 * 512 - 4096, 1024 * 512 + 4096)
    assert found == [
        Span(1024 * 512 - 4096, 4096, below="8:0", offset=(2048 + 1024) * 512 - 4096),
        Span(1024 * 512, 4096, below="8:16", offset=384 * 512),
    ]


def test_a_striped_volume_is_followed_chunk_by_chunk() -> None:
    found = below(mapped("0 65536 striped 2 128 8:0 2048 8:16 4096"), 60 * 1024, 200 * 1024)
    assert found == [
        Span(60 * 1024, 4 * 1024, below="8:0", offset=2048 * 512 + 60 * 1024),
        Span(64 * 1024, 64 * 1024, below="8:16", offset=4096 * 512),
        Span(128 * 1024, 64 * 1024, below="8:0", offset=2048 * 512 + 64 * 1024),
        Span(192 * 1024, 8 * 1024, below="8:16", offset=4096 * 512 + 64 * 1024),
    ]


@pytest.mark.parametrize(
    "kind", ["thin 254:3 1", "crypt aes-xts-plain64 :64:logon:x 0 8:0 4096", "cache 254:1 254:2 8:0 512 1 writeback smq 0", "error",
             "raid raid1 3 0 region_size 1024 2 254:1 254:2 254:3 254:4", "snapshot 254:1 254:2 P 8", "mirror core 1 1024 2 8:0 0 8:16 0",
             "zero", "vdo V4 8:0", "writecache s 8:0 8:16 4096 0", "integrity 8:0 0 4 J 0", "snapshot-origin 8:0"],
)  # fmt: skip
def test_what_moves_or_changes_blocks_has_no_address(kind: str) -> None:
    assert f"is of kind {kind.split()[0]} in the device mapper" in reason(mapped(f"0 65536 {kind}"))


def test_beyond_the_table_there_is_no_address() -> None:
    start, lost = below(mapped("0 1024 linear 8:0 2048"))
    assert (start.length, lost.start, lost.state) == (1024 * 512, 1024 * 512, NO_ADDRESS)


def test_a_table_that_is_not_told_is_a_reason() -> None:
    assert "dmsetup table): Permission denied" in reason(mapped("", error="Permission denied"))


MULTIPATH = "0 65536 multipath 0 0 2 1 service-time 0 1 2 8:0 1 1 service-time 0 1 2 8:16 1 1"


def test_multipath_is_its_lun_at_the_same_place_over_any_path() -> None:
    assert below(mapped(MULTIPATH, f"mpath-{NAME.wwid}"), 4096, 8192) == [Span(4096, 4096, below="8:0", offset=4096)]


@pytest.mark.parametrize(
    ("uuid", "second"),
    [(f"mpath-{NAME.wwid}", disk("sdb", str(OTHER))), (f"mpath-{OTHER.wwid}", disk("sdb")), (f"mpath-{NAME.wwid}", disk("sdb", ""))],
)
def test_multipath_over_paths_that_are_not_its_lun_is_refused(uuid: str, second: dict[str, Any]) -> None:
    assert "do not all say to be the LUN" in reason(mapped(MULTIPATH, uuid), **{"8:16": second})


def test_multipath_without_a_path_is_refused() -> None:
    assert "no path left" in reason(mapped("0 65536 multipath 0 0 0 0", f"mpath-{NAME.wwid}"))


def test_a_loop_device_is_its_file_from_its_offset_on() -> None:
    loop = device("loop0", loop={"file": "/srv/a", "offset": 4096, "error": ""})
    assert below(loop, 0, 512) == [Span(0, 512, below="/srv/a", offset=4096)]


def test_a_loop_device_whose_path_leads_elsewhere_by_now_is_refused() -> None:
    loop = device("loop0", loop={"file": "/srv/a", "offset": 0, "error": "its path leads to another file by now"})
    assert reason(loop) == "loop0 is a loop device over /srv/a: its path leads to another file by now"


def test_what_nobody_has_tried_is_refused() -> None:
    assert reason(device("md0", slaves=["8:0"])) == "md0 is no disk, and nobody has tried where its blocks lie"
    (span,) = spans("9:9", {}, 0, 512)
    assert span.reason == "the host shows no block device 9:9"


def test_a_disk_is_the_lun_that_it_says_to_be() -> None:
    page = bytes.fromhex(f"00830014 01030010 {NAME.naa}".replace(" ", ""))
    assert name_of(disk()) == NAME
    assert name_of(device("sda", wwid="t10.ATA", page=page.hex())) == NAME
    assert name_of(device("vda")) is None
