# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Two layers of I/O that know nothing of each other, on a real LUN: what a capture of the iSCSI traffic tells of writes above.

``tcpdump`` takes what passes between QEMU's initiator and ``tgtd`` while markers are written to a virtual disk, whose image is on ext4 on
that LUN. Where they are below is judged by the way down through image, file system and devices (`Descent`), which never sees the traffic.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.block_addresses.descent import Descent
from ansible_collections.crossvisor.san.plugins.module_utils._san.linux import block_probe
from ansible_collections.crossvisor.san.plugins.module_utils._san.observation import association
from ansible_collections.crossvisor.san.plugins.module_utils._san.observation.association import FOUND, Association
from ansible_collections.crossvisor.san.plugins.module_utils._san.observation.captured import Captured, Reading
from ansible_collections.crossvisor.san.plugins.module_utils._san.observation.content import associated
from ansible_collections.crossvisor.san.plugins.module_utils._san.observation.layers import Seen, Written
from ansible_collections.crossvisor.san.plugins.module_utils._san.observation.markers import Markers
from tests.lab import watched_lun
from tests.lab.nbd_client import NbdClient
from tests.lab.packages import install

BLOCK = 4096
DISK = 64 << 20
LUN_BYTES = 512 << 20
MARKERS = Markers(bytes.fromhex("5ca1ab1e0ddba11feedfacecafef00d5"))


@pytest.fixture(scope="module", autouse=True)
def tools() -> None:
    install(watched_lun.PACKAGES)


@dataclass(frozen=True)
class Observed:
    """What both layers saw, and what is true."""

    written: list[Written]
    captured: Captured
    truth: dict[int, list[Seen]]
    """Offset of a virtual block → where it is on the LUN."""
    file: Path
    port: int

    def is_right(self, written: Written, places: Sequence[Seen]) -> bool:
        return [_bytes(place) for place in places] == [_bytes(place) for place in self.truth[written.virtual_offset]]

    def wrong(self, found: Iterable[Association]) -> list[Association]:
        return [one for one in found if one.state == FOUND and not self.is_right(one.written, one.places)]


def _bytes(place: Seen) -> tuple[str, int, int]:
    return place.lun, place.lba * place.block_size, place.length


def write_by(address: Path, writers: int, each: int) -> list[Written]:
    """Markers to random blocks of a disk, by so many writers at once, each of whom waits for the answer; nobody writes a block twice."""
    places = random.Random(writers).sample(range(DISK // BLOCK), writers * each)
    written: list[Written] = []

    def one(first: int) -> None:
        with NbdClient(address, watched_lun.EXPORT) as disk:
            for number in range(first, first + each):
                data, offset, submitted = MARKERS.make(number), places[number] * BLOCK, time.time()
                disk.write(offset, data)
                written.append(Written(number, offset, BLOCK, submitted, time.time()))

    threads = [threading.Thread(target=one, args=(writer * each,)) for writer in range(writers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(written) == writers * each
    with NbdClient(address, watched_lun.EXPORT) as disk:
        disk.flush()
    return written


def read_capture(file: Path, port: int) -> Captured:
    reading = Reading(MARKERS.find, [port], keep_writes=True)
    with file.open("rb") as opened:
        reading.read(opened, file.name)
    return reading.found()


def by_primitives(image: Path, kind: str, device: str, offsets: Sequence[int]) -> dict[int, list[Seen]]:
    """Where blocks of an image are on a device, whose own layers below are left out."""
    told = block_probe.answer({"files": [str(image)]} if kind == "raw" else {"images": [[str(image), kind]]})
    for found in told["devices"].values():
        if f"/dev/{found['name']}" == device:
            found.update(name="sda", loop=None)
    extents = Descent(told).image(str(image), kind, DISK)
    return {offset: list(_places(extents, offset)) for offset in offsets}


def _places(extents: Sequence[Any], offset: int) -> Iterator[Seen]:
    for extent in extents:
        begin, end = max(extent.start, offset), min(extent.end, offset + BLOCK)
        if begin < end:
            assert extent.offset is not None, extent
            yield Seen(None, watched_lun.NAA, (extent.offset + begin - extent.start) // 512, end - begin)


def observed(directory: Path, kind: str, writers: int, each: int) -> Observed:
    with ExitStack() as kept:
        _backing, port = kept.enter_context(watched_lun.target(directory, LUN_BYTES))
        with ExitStack() as used:
            file = used.enter_context(watched_lun.capture(directory, port))
            device = used.enter_context(watched_lun.block_device(directory, port))
            image = used.enter_context(watched_lun.mounted(directory, device, "ext4")) / f"disk.{kind}"
            watched_lun.said("qemu-img", "create", "-q", "-f", kind, image, str(DISK))
            nodes = [f"driver=file,node-name=file,filename={image},cache.direct=on,aio=threads", f"driver={kind},node-name=disk,file=file"]
            with watched_lun.virtual_disk(directory, nodes) as disk:
                written = write_by(disk, writers, each)
            truth = by_primitives(image, kind, device, [one.virtual_offset for one in written])
    return Observed(written, read_capture(file, port), truth, file, port)


@pytest.mark.parametrize("kind", ["raw", "qcow2"])
@pytest.mark.parametrize("writers", [1, 4, 16])
def test_each_marker_is_found_by_its_content_where_the_primitives_say(kind: str, writers: int, tmp_path: Path) -> None:
    two = observed(tmp_path, kind, writers, 320 // writers)
    assert two.captured.warnings == []
    pairs = associated(two.written, two.captured.seen)
    assert len(pairs) == len(two.written) == 320
    assert [pair for pair in pairs if not two.is_right(pair.written, pair.seen)] == []
    by_time = association.by_time(two.written, two.captured.writes, 0.0)
    print({state: sum(one.state == state for one in by_time) for state in {one.state for one in by_time}})
    assert two.wrong(by_time) == []
