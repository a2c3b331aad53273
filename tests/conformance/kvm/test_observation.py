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
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.block_addresses.descent import Descent
from ansible_collections.crossvisor.san.plugins.module_utils._san.linux import block_probe
from ansible_collections.crossvisor.san.plugins.module_utils._san.observation import association
from ansible_collections.crossvisor.san.plugins.module_utils._san.observation.association import AMBIGUOUS, FOUND, Association
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
    install((*watched_lun.PACKAGES, "tshark"))


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


def cookie(turn: int, number: int) -> int:
    """By what the request of a marker is known above: 64 bits that nothing else has."""
    return random.Random(f"{turn} {number}").getrandbits(64)


def write_by(address: Path, writers: int, each: int, turn: int = 0) -> list[Written]:
    """Markers to random blocks of a disk, by so many writers at once, each of whom waits for the answer; nobody writes a block twice."""
    places = random.Random(writers).sample(range(DISK // BLOCK), writers * each)
    written: list[Written] = []

    def one(first: int) -> None:
        with NbdClient(address, watched_lun.EXPORT) as disk:
            for number in range(first, first + each):
                data, offset, submitted = MARKERS.make(number), places[number] * BLOCK, time.time()
                disk.write(offset, data, cookie(turn, number))
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


def read_capture(port: int, *files: Path) -> Captured:
    with ExitStack() as opened:
        named = [(opened.enter_context(file.open("rb")), file.name) for file in files]
        return Reading(MARKERS.find, [port], keep_writes=True).read(named)


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


Taker = Callable[[Path, int], AbstractContextManager[tuple[Path, int]]]
"""Takes the traffic of a port: the capture file, and the port to log in to."""


@contextmanager
def by_tcpdump(directory: Path, port: int) -> Iterator[tuple[Path, int]]:
    with ExitStack() as undo:
        yield undo.enter_context(watched_lun.capture(directory, port)), port


@contextmanager
def with_short_packets(directory: Path, port: int) -> Iterator[tuple[Path, int]]:
    with ExitStack() as undo:
        yield undo.enter_context(watched_lun.capture(directory, port, "-s", "400")), port


@contextmanager
def image_on_lun(directory: Path, kind: str, take: Taker, *options: str) -> Iterator[tuple[Path, str, Path, Path, int]]:
    """An image on ext4 on a LUN that is watched: its path, the device, the socket of the disk, the capture and the target's port."""
    with ExitStack() as undo:
        _backing, port = undo.enter_context(watched_lun.target(directory, LUN_BYTES))
        file, door = undo.enter_context(take(directory, port))
        device = undo.enter_context(watched_lun.block_device(directory, door, *options))
        image = undo.enter_context(watched_lun.mounted(directory, device, "ext4")) / f"disk.{kind}"
        watched_lun.said("qemu-img", "create", "-q", "-f", kind, image, str(DISK))
        nodes = [f"driver=file,node-name=file,filename={image},cache.direct=on,aio=threads", f"driver={kind},node-name=disk,file=file"]
        with watched_lun.virtual_disk(directory, nodes) as disk:
            yield image, device, disk, file, port


def observed(directory: Path, kind: str, writers: int, each: int, turns: int = 1, take: Taker = by_tcpdump, *options: str) -> Observed:
    with image_on_lun(directory, kind, take, *options) as (image, device, disk, file, port):
        written = [one for turn in range(turns) for one in write_by(disk, writers, each, turn)]
        truth = by_primitives(image, kind, device, [one.virtual_offset for one in written])
    return Observed(written, read_capture(port, file), truth, file, port)


SCENES = [(kind, writers) for kind in ("raw", "qcow2") for writers in (1, 4, 16)]
MARKED, TURNS = 320, 3
"""How many blocks are written, and how often each."""


@pytest.fixture(scope="module", params=SCENES, ids=lambda scene: f"{scene[0]}-{scene[1]}")
def two(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Observed:
    kind, writers = request.param
    return observed(tmp_path_factory.mktemp("two"), kind, writers, MARKED // writers, TURNS)


def counted(found: Iterable[Association]) -> dict[str, int]:
    return dict(Counter(one.state for one in found))


def test_each_marker_is_found_by_its_content_where_the_primitives_say(two: Observed) -> None:
    assert two.captured.warnings == []
    pairs = associated(two.written[:MARKED], two.captured.seen)
    assert len(pairs) == MARKED
    assert [pair for pair in pairs if not two.is_right(pair.written, pair.seen)] == []


@pytest.mark.parametrize("skew", [0.0, 0.002, 0.1])
@pytest.mark.parametrize("side", [-1, 1])
def test_by_time_and_length_nothing_is_wrong_whatever_the_clocks(two: Observed, skew: float, side: int) -> None:
    """The guest's clock is wrong by as much as it is said that it may be."""
    off = [replace(one, submitted=(one.submitted or 0) + side * skew, completed=(one.completed or 0) + side * skew) for one in two.written]
    found = association.by_time(off, two.captured.writes, skew, two.captured.blind)
    several = association.narrowed(found)
    print("once:", counted(found))
    print("several:", counted(several))
    assert two.wrong(found) == two.wrong(several) == []
    assert all(
        any(_bytes(place) == _bytes(true) for place in one.places)
        for one in found
        if one.state == AMBIGUOUS and len(two.truth[one.written.virtual_offset]) == 1
        for true in two.truth[one.written.virtual_offset]
    )


def test_the_order_of_writes_tells_nothing(two: Observed) -> None:
    """The k-th write above is not the k-th of its length below."""
    above = sorted(two.written, key=lambda one: one.submitted or 0)
    below = sorted((one for one in two.captured.writes if one.length == BLOCK), key=lambda one: one.submitted or 0)
    right = sum(two.is_right(one, [place]) for one, place in zip(above, below, strict=False))
    print("right by order:", f"{right} of {len(above)}")
    assert right < len(above) / 10


def test_by_what_a_request_is_known_above_it_is_not_known_below(two: Observed) -> None:
    """Neither its number nor a pointer to it passes: what passes is the data and the address in the layer below."""
    data = two.file.read_bytes()
    known = [cookie(0, number).to_bytes(8, order) for number in range(MARKED) for order in ("big", "little")]
    assert not any(one in data for one in known)
    assert all(MARKERS.make(number)[:64] in data for number in range(MARKED))


def test_tshark_reads_the_same_writes(two: Observed) -> None:
    fields = ("iscsi.scsicommand.expecteddatatransferlength", "scsi_sbc.rdwr10.lba", "scsi_sbc.rdwr16.lba")
    told = watched_lun.said(
        *("tshark", "-r", two.file, "-d", f"tcp.port=={two.port},iscsi", "-T", "fields"),
        *("-Y", "iscsi.opcode==1 && (scsi_sbc.opcode==0x2a || scsi_sbc.opcode==0x8a)"),
        *(word for field in fields for word in ("-e", field)),
    )
    judged = Counter((short or long, length) for length, short, long in (row.split("\t") for row in told.splitlines()) if "," not in length)
    ours = Counter((str(one.lba), str(one.length)) for one in two.captured.writes)
    print("tshark:", judged.total(), "ours:", ours.total())
    assert judged - ours == Counter()
    assert judged.total() > MARKED


def test_a_capture_of_which_packets_are_missing_tells_nothing_wrong(two: Observed, tmp_path: Path) -> None:
    """One out of 50 packets of the real capture is taken out."""
    data, chance, kept, at = two.file.read_bytes(), random.Random(1), bytearray(), 24
    kept += data[:at]
    while at < len(data):
        over = at + 16 + int.from_bytes(data[at + 8 : at + 12], "little")
        kept += data[at:over] if chance.random() > 0.02 else b""
        at = over
    file = tmp_path / "gaps.pcap"
    file.write_bytes(kept)
    captured = read_capture(two.port, file)
    assert any("has gaps" in warning for warning in captured.warnings)
    pairs = [pair for pair in associated(two.written[:MARKED], captured.seen) if pair.seen]
    assert len({pair.written.number for pair in pairs}) > MARKED / 2
    assert all(
        place in two.truth[pair.written.virtual_offset]
        for pair in pairs
        for place in [replace(one, number=None) for one in pair.seen]
        if pair.written.length == BLOCK
    )
    found = association.by_time(two.written, captured.writes, 0.0, captured.blind)
    assert two.wrong(found) == []


@pytest.mark.parametrize("take", [watched_lun.relay, by_tcpdump])
def test_with_header_digests_and_through_the_relay_it_is_the_same(take: Taker, tmp_path: Path) -> None:
    there = observed(tmp_path, "qcow2", 4, 40, 1, take, "header-digest=crc32c")
    assert there.captured.warnings == []
    pairs = associated(there.written, there.captured.seen)
    assert len(pairs) == 160
    assert [pair for pair in pairs if not there.is_right(pair.written, pair.seen)] == []


def test_what_lies_beside_a_marker_is_not_always_beside_it_below(tmp_path: Path) -> None:
    """An identity in a block of its own beside the data, in one request, tells of its own block alone."""
    places = random.Random(5).sample(range(DISK // BLOCK // 2), 200)
    with image_on_lun(tmp_path, "qcow2", by_tcpdump) as (image, device, disk, file, port):
        with NbdClient(disk, watched_lun.EXPORT) as client:
            for number, place in enumerate(places):
                client.write((2 * place + 1) * BLOCK, MARKERS.make(number) + random.Random(number).randbytes(BLOCK))
            client.flush()
        truth = by_primitives(image, "qcow2", device, [(2 * place + ahead) * BLOCK for place in places for ahead in (1, 2)])
    pairs = associated(
        [Written(number, (2 * place + 1) * BLOCK, BLOCK) for number, place in enumerate(places)], read_capture(port, file).seen
    )
    right = [_bytes(pair.seen[0]) == _bytes(truth[pair.written.virtual_offset][0]) for pair in pairs]
    beside = [(pair.seen[0].lba + 8) == truth[pair.written.virtual_offset + BLOCK][0].lba for pair in pairs]
    print("beside:", f"{sum(beside)} of {len(beside)}")
    assert all(right)
    assert 0 < beside.count(False) < len(beside) / 2


def test_two_paths_are_one_lun_of_which_the_last_write_counts(tmp_path: Path) -> None:
    """Two sessions by two relays, which write in turn: a capture of each, in either order."""
    marked, other = tmp_path / "marked", tmp_path / "other"
    marked.write_bytes(MARKERS.make(1))
    other.write_bytes(bytes([7]) * BLOCK)
    with ExitStack() as undo:
        _backing, port = undo.enter_context(watched_lun.target(tmp_path, LUN_BYTES))
        paths = []
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
            paths.append(undo.enter_context(watched_lun.relay(tmp_path / name, port)))
        for door, content, place in ((0, marked, 0), (1, other, 0), (1, other, 1 << 20), (0, marked, 1 << 20), (1, marked, 2 << 20)):
            disk = watched_lun.lun_node(paths[door][1]).replace("node-name=lun,", "")
            watched_lun.said("qemu-io", "--image-opts", "-c", f"write -q -s {content} {place} {BLOCK}", disk)
    files = [file for file, _door in paths]
    for order in (files, files[::-1]):
        captured = read_capture(port, *order)
        assert [(one.number, _bytes(one)) for one in captured.seen] == [(1, (watched_lun.NAA, at << 20, BLOCK)) for at in (1, 2)]
        assert captured.warnings == []
