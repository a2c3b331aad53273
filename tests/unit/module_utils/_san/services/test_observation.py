# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An observation as a use case: what was found is told and nothing else, and what was not says why."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san import progress
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import CrossvisorError, InvalidInput
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import ArrayAbout, FileSystem, Host, VirtualDisk, VirtualMachine
from ansible_collections.crossvisor.san.plugins.module_utils._san.observation.capture import Packets, segments
from ansible_collections.crossvisor.san.plugins.module_utils._san.observation.layers import Written
from ansible_collections.crossvisor.san.plugins.module_utils._san.observation.markers import Markers
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.array_view import ArraySource
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.block_addresses import now
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.observation import GuestPiece, Lost, Wish, observe
from tests.unit.iscsi_traffic import Conversation, frame, packets, pcap
from tests.unit.ports import NAME, OTHER, MemoryArray, MemoryHypervisor, lun

pytestmark = pytest.mark.slow

MARKERS = Markers(b"a secret of ours", 4096)
SIZE, LUN_SIZE = 1 << 20, 24 << 20
LUN_DISK = VirtualDisk("2001", "Hard disk 2", "passthrough", size_bytes=SIZE, device=str(NAME), name=NAME)
IMAGE_DISK = VirtualDisk("2000", "Hard disk 1", "image", size_bytes=2 * SIZE, path="[ds1] app/app.vmdk", file_system="ds1")
STORE = FileSystem("ds1", "ds1", "vmfs", ["h1"], [str(NAME)])
OF_LUN: dict[str, Any] = {"naa": NAME.naa, "size": SIZE, "device": "/dev/sdb"}
OF_IMAGE: dict[str, Any] = {"naa": "", "size": 2 * SIZE, "device": "/dev/sda"}


@pytest.fixture(autouse=True)
def silence() -> Iterator[None]:
    """Whatever is heard of one test, the next one begins with nobody who listens."""
    yield
    progress.listen(lambda text: None)


def piece(number: int, offset: int, length: int = 4096, within: int = 0, naa: str = "", size: int = SIZE, device: str = "") -> GuestPiece:
    return GuestPiece(Written(number, offset, length, within=within, disk=device), naa, size)


def hypervisor(*disks: VirtualDisk) -> MemoryHypervisor:
    machine = VirtualMachine("vm-1", "app", host="h1", disks=disks)
    return MemoryHypervisor([Host("h1", "esx1")], [machine], file_systems=[STORE])


def data(**at: int) -> bytes:
    """A LUN with markers: `m7_2=4096` is the third place of marker 7."""
    found = bytearray(LUN_SIZE)
    for name, offset in at.items():
        number = int(name.lstrip("m").partition("_")[0])
        found[offset : offset + 4096] = MARKERS.make(number)
    return bytes(found)


def array(held: bytes, **told: Any) -> MemoryArray:
    return MemoryArray(replace(lun(NAME), size_bytes=LUN_SIZE), data={NAME.naa: held}, **told)


def look(there: MemoryHypervisor, arrays: Sequence[MemoryArray], wish: Wish, **settings: Any) -> Any:
    return observe(there, [source(number, one) for number, one in enumerate(arrays)], wish, **settings)


def source(number: int, one: MemoryArray) -> ArraySource:
    return ArraySource(f"array{number}", lambda: one)


def wish(*pieces: GuestPiece, **settings: Any) -> Wish:
    return Wish("app", MARKERS, pieces, **settings)


def test_markers_on_a_lun_passed_through_are_told_down_to_the_array_in_the_order_of_the_disk() -> None:
    found = look(hypervisor(LUN_DISK), [array(data(m1=8192, m2=512))], wish(piece(1, 8192, **OF_LUN), piece(2, 512, **OF_LUN)))
    told = [(row["virtual_offset"], row["length"], row["state"], row["reason"], row["lba"], row["block_size"]) for row in found.rows]
    assert told == [(512, 4096, "data", "", 1, 512), (8192, 4096, "data", "", 16, 512)]
    row = found.rows[0]
    assert (row["naa"], row["svm"], row["volume"], row["lun_path"], row["array"]) == (NAME.naa, "svm1", "v1", lun(NAME).path, "lab")
    assert found.warnings == []


def test_an_image_is_told_wherever_its_file_system_has_put_the_bytes() -> None:
    where = 9 << 20
    found = look(hypervisor(IMAGE_DISK), [array(data(m1=where))], wish(piece(1, 0, **OF_IMAGE)))
    assert [(row["lba"], row["state"]) for row in found.rows] == [(where // 512, "data")]


def test_a_marker_across_the_border_of_two_readings_is_one() -> None:
    where = (8 << 20) - 512
    found = look(hypervisor(LUN_DISK), [array(data(m1=where))], wish(piece(1, 0, **OF_LUN)))
    assert [(row["lba"], row["length"]) for row in found.rows] == [(where // 512, 4096)]


def test_one_that_is_there_twice_has_two_rows_that_say_so() -> None:
    found = look(hypervisor(LUN_DISK), [array(data(m1=0, m1_2=8192))], wish(piece(1, 0, **OF_LUN)))
    assert [row["lba"] for row in found.rows] == [0, 16]
    assert {row["reason"] for row in found.rows} == {
        "the same bytes are at 2 places, of which a journal, a snapshot or a mirror may have one"
    }


def test_one_that_is_nowhere_is_a_row_with_the_reason_and_no_address() -> None:
    (row,) = look(hypervisor(LUN_DISK), [array(data(m2=0))], wish(piece(1, 0, **OF_LUN))).rows
    assert (row["state"], row["lba"], row["naa"]) == ("no_address", None, "")
    assert row["reason"].startswith(f"its bytes are nowhere on LUN {NAME}: something between keeps them in another form")


def test_what_is_torn_has_no_address_and_is_a_warning() -> None:
    torn = bytearray(data(m1=0))
    torn[100:512] = bytes(412)
    found = look(hypervisor(LUN_DISK), [array(bytes(torn))], wish(piece(1, 0, **OF_LUN)))
    assert [(row["virtual_offset"], row["length"], row["lba"]) for row in found.rows] == [(0, 512, None), (512, 3584, 1)]
    assert found.warnings == [f"1 sectors of LUN {NAME} begin as markers and go on otherwise, so that they are nobody's."]


def test_of_a_range_what_no_marker_covers_is_never_told_by_its_neighbours() -> None:
    there = hypervisor(LUN_DISK), [array(data(m1=0, m2=4096))]
    found = look(*there, wish(piece(1, 4096, **OF_LUN), piece(2, 12288, **OF_LUN), ranges=[(6144, 12288)]))
    assert [(row["virtual_offset"], row["length"], row["state"], row["lba"]) for row in found.rows] == [
        (6144, 2048, "data", 4),
        (8192, 4096, "no_address", None),
        (12288, 4096, "data", 8),
        (16384, 2048, "no_address", None),
    ]
    assert found.rows[1]["reason"] == "no marker is there, and what lies beside one may be anywhere"


def test_a_single_byte_is_told_with_the_block_in_which_it_is() -> None:
    found = look(hypervisor(LUN_DISK), [array(data(m1=8192))], wish(piece(1, 0, **OF_LUN), ranges=[(1000, 1)]))
    assert [(row["virtual_offset"], row["length"], row["lba"]) for row in found.rows] == [(1000, 1, 17)]


def test_where_not_all_was_searched_every_row_says_so() -> None:
    found = look(
        hypervisor(LUN_DISK), [array(data(m1=0, m2=20 << 20))], wish(piece(1, 0, **OF_LUN), piece(2, 8192, **OF_LUN), most_bytes=1 << 20)
    )
    part = f"LUN {NAME} (of which {1 << 20} of {LUN_SIZE} bytes were searched: no more was asked for)"
    assert found.rows[0]["reason"] == f"not all was seen, so that the same bytes may be elsewhere too: {part}"
    assert part in found.rows[1]["reason"]
    assert found.warnings == [f"Not all of {part} was looked through, so that markers may be elsewhere or twice on it."]


def test_a_search_ends_when_its_time_is_over_and_tells_what_it_has_found() -> None:
    times = iter([0.0, 1.0, 61.0, 62.0])
    found = look(
        hypervisor(LUN_DISK),
        [array(data(m1=0, m2=20 << 20))],
        wish(piece(1, 0, **OF_LUN), piece(2, 8192, **OF_LUN), seconds=60),
        clock=lambda: next(times),
    )
    assert [row["lba"] for row in found.rows] == [0, None]
    assert f"{8 << 20} of {LUN_SIZE} bytes were searched: the time was over after 60 s" in found.rows[1]["reason"]


def test_luns_that_are_named_are_searched_in_place_of_those_that_the_hypervisor_knows() -> None:
    other = MemoryArray(replace(lun(OTHER), size_bytes=LUN_SIZE), data={OTHER.naa: data(m1=4096)})
    found = look(hypervisor(IMAGE_DISK), [other], wish(piece(1, 0, **OF_IMAGE), luns=[OTHER]))
    assert [(row["naa"], row["lba"]) for row in found.rows] == [(OTHER.naa, 8)]


def test_a_lun_that_nobody_has_is_told_and_the_others_are_searched() -> None:
    found = look(hypervisor(LUN_DISK), [array(data(m1=0))], wish(piece(1, 0, **OF_LUN), luns=[NAME, OTHER]))
    missing = f"LUN {OTHER} was not searched: no array that was given has it"
    assert missing in found.warnings
    assert missing in found.rows[0]["reason"]


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ([], f"None of the arrays can read LUN {NAME}: LUN {NAME} was not searched: no array that was given has it"),
        ([MemoryArray(error="It is down.")], "array array0 could not be asked: It is down"),
        ([array(b"", unreadable="It has no such call.")], f"LUN {NAME} could not be searched: It has no such call"),
    ],
)
def test_where_nobody_can_read_the_lun_that_is_the_answer(arrays: list[MemoryArray], message: str) -> None:
    with pytest.raises(CrossvisorError, match=message):
        look(hypervisor(LUN_DISK), arrays, wish(piece(1, 0, **OF_LUN)))


COLUMNS = (
    *(
        "virtual_offset",
        "length",
        "state",
        "reason",
        "file",
        "file_offset",
        "device",
        "naa",
        "serial",
        "array",
        "svm",
        "volume",
        "lun_path",
    ),
    *("lba", "block_size", "observed"),
)
OTHER_DISK = replace(LUN_DISK, key="2003", label="Hard disk 4", size_bytes=7 * SIZE, name=OTHER)


@pytest.mark.parametrize("size", [SIZE, 5 * SIZE])
def test_the_guests_disk_is_known_by_its_luns_name_whatever_its_size(size: int) -> None:
    pieces = [piece(1, 0, **{**OF_LUN, "size": size}), piece(2, 0, **{**OF_LUN, "naa": OTHER.naa, "device": "/dev/sdc"})]
    there = hypervisor(LUN_DISK, replace(OTHER_DISK, size_bytes=SIZE))
    found = look(there, [array(data(m1=0, m2=8192))], wish(*pieces, disk="Hard disk 2"))
    assert [row["lba"] for row in found.rows] == [0]
    assert found.warnings == ["1 of 2 pieces of markers are on other disks of the guest and are not told."]


@pytest.mark.parametrize(
    "disk",
    [IMAGE_DISK, replace(IMAGE_DISK, kind="passthrough", name=NAME, holds_image=True), replace(IMAGE_DISK, kind="passthrough", name=NAME)],
    ids=["image", "image on a LUN of its own", "LUN that does not tell the guest its name"],
)
def test_the_guests_disk_is_known_by_a_size_that_no_other_disk_can_have(disk: VirtualDisk) -> None:
    there = hypervisor(disk, replace(IMAGE_DISK, key="2002", label="Hard disk 3", size_bytes=3 * SIZE), OTHER_DISK)
    found = look(there, [array(data(m1=0))], wish(piece(1, 0, **OF_IMAGE), disk="Hard disk 1"))
    assert [row["lba"] for row in found.rows] == [0]


def test_an_image_may_have_any_name_in_the_guest_but_that_of_another_lun() -> None:
    on_lun = replace(IMAGE_DISK, kind="passthrough", name=NAME, holds_image=True)
    for disk in (IMAGE_DISK, on_lun):
        named = piece(1, 0, **{**OF_IMAGE, "naa": "6000c29" + "0" * 25})
        found = look(hypervisor(disk, OTHER_DISK), [array(data(m1=0))], wish(named, disk="Hard disk 1"))
        assert [row["lba"] for row in found.rows] == [0]
        with pytest.raises(CrossvisorError, match="No marker is on disk Hard disk 1"):
            look(
                hypervisor(disk, OTHER_DISK),
                [array(data(m1=0))],
                wish(piece(1, 0, **{**OF_IMAGE, "naa": OTHER.naa}), disk="Hard disk 1"),
            )


def test_a_disk_of_another_size_is_not_it() -> None:
    with pytest.raises(CrossvisorError, match="No marker is on disk Hard disk 1"):
        look(hypervisor(IMAGE_DISK), [array(data(m1=0))], wish(piece(1, 0, **{**OF_IMAGE, "size": SIZE})))


@pytest.mark.parametrize("size", [2 * SIZE, 0])
def test_two_disks_that_can_have_one_size_are_not_told_apart_by_it(size: int) -> None:
    there = hypervisor(IMAGE_DISK, replace(IMAGE_DISK, key="2002", label="Hard disk 3", size_bytes=size))
    asked = wish(piece(1, 0, **OF_IMAGE), disk="Hard disk 1")
    with pytest.raises(
        CrossvisorError, match="Nobody tells which disk of VM app the guest's /dev/sda is, because Hard disk 1 is not the only"
    ):
        look(there, [array(data(m1=0))], asked)
    found = look(there, [array(data(m1=0))], replace(asked, guest_device="/dev/sda"))
    assert [row["lba"] for row in found.rows] == [0]


def test_a_size_is_no_name_where_another_disk_has_it_too() -> None:
    nameless = piece(1, 0, **{**OF_LUN, "naa": ""})
    on_lun = replace(LUN_DISK, holds_image=True)
    for disk, found in ((LUN_DISK, nameless), (on_lun, nameless), (on_lun, piece(1, 0, **OF_LUN))):
        there = hypervisor(disk, replace(IMAGE_DISK, size_bytes=SIZE))
        with pytest.raises(CrossvisorError, match="Nobody tells which disk of VM app the guest's /dev/sdb is"):
            look(there, [array(data(m1=0))], wish(found, disk="Hard disk 2"))


def test_an_image_on_a_lun_may_bear_that_luns_name_and_a_disk_of_an_unknown_lun_bears_none() -> None:
    unknown = replace(OTHER_DISK, name=None)
    found = look(
        hypervisor(replace(LUN_DISK, holds_image=True), unknown), [array(data(m1=0))], wish(piece(1, 0, **OF_LUN), disk="Hard disk 2")
    )
    assert [row["lba"] for row in found.rows] == [0]


def test_without_a_limit_a_search_takes_as_long_as_it_takes() -> None:
    hours = iter(range(0, 1 << 20, 3600))
    found = look(hypervisor(LUN_DISK), [array(data(m1=20 << 20))], wish(piece(1, 0, **OF_LUN)), clock=lambda: float(next(hours)))
    assert [row["lba"] for row in found.rows] == [(20 << 20) // 512]


def test_two_disks_of_the_guest_that_have_one_size_are_not_told_apart_by_it() -> None:
    pieces = [piece(1, 0, **OF_IMAGE), piece(2, 0, **{**OF_IMAGE, "device": "/dev/sdc"})]
    with pytest.raises(CrossvisorError, match="Nobody tells which disk of VM app the guest's /dev/sda and /dev/sdc is"):
        look(hypervisor(IMAGE_DISK), [array(data(m1=0))], wish(*pieces))


def test_it_says_which_disk_it_was_and_when_and_what_it_is_at() -> None:
    heard: list[str] = []
    progress.listen(heard.append)
    there = array(data(m1=0))
    found = look(hypervisor(LUN_DISK), [there], wish(piece(1, 0, **OF_LUN), piece(2, 8192, **OF_LUN)))
    told = {"vm_name": "app", "vm_id": "vm-1", "disk": "Hard disk 2", "size_bytes": SIZE, "format": ""}
    assert found.about == told
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", row["observed"]) for row in found.rows)
    assert {frozenset(row) for row in found.rows} == {frozenset(COLUMNS)}
    assert heard == [f"searching LUN {NAME}: {at} of 24 MiB" for at in (0, 8, 16)]
    assert [call for call in there.calls if call.startswith("read")] == [f"read {8 << 20} at {at << 20}" for at in (0, 8, 16)]
    assert there.calls[-1] == "close"


def test_of_a_lun_of_which_nobody_tells_how_large_its_blocks_are_no_block_is_told() -> None:
    foreign = type(NAME)("6001405" + "a" * 25)
    other = Foreign(replace(lun(NAME), name=foreign, size_bytes=LUN_SIZE), data={foreign.naa: data(m1=4096)})
    (row,) = look(hypervisor(IMAGE_DISK), [other], wish(piece(1, 0, **OF_IMAGE), luns=[foreign])).rows
    assert (row["state"], row["lba"], row["block_size"]) == ("data", None, None)
    assert "nobody tells how large a logical block of the LUN is" in row["reason"]


class Foreign(MemoryArray):
    """An array of another vendor."""

    def about(self) -> ArrayAbout:
        return ArrayAbout("other", "lab", "other.example.com", "1")


def test_a_marker_at_the_very_end_is_within_and_one_that_ends_where_a_range_begins_is_not_in_it() -> None:
    asked = wish(piece(1, SIZE - 8192, **OF_LUN), piece(2, SIZE - 4096, **OF_LUN), ranges=[(SIZE - 4096, 4096)])
    found = look(hypervisor(LUN_DISK), [array(data(m1=0, m2=8192))], asked)
    assert [(row["virtual_offset"], row["length"], row["lba"]) for row in found.rows] == [(SIZE - 4096, 4096, 16)]


def test_what_is_lost_in_the_guest_is_a_warning() -> None:
    asked = wish(piece(1, 0, **OF_LUN), lost=[Lost(2, "it is inline"), Lost(3, "it is tail")])
    found = look(hypervisor(LUN_DISK), [array(data(m1=0))], asked)
    assert found.warnings == ["Of 2 pieces of markers the guest does not know where they are: it is inline."]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (wish(), "The guest knows of no marker where it is on its disks: no marker was written"),
        (wish(lost=[Lost(1, "it is on btrfs")]), "The guest knows of no marker where it is on its disks: it is on btrfs"),
        (
            wish(piece(1, SIZE, **OF_LUN)),
            f"The guest has marker 1 at byte {SIZE} of /dev/sdb, and disk Hard disk 2 of VM app has {SIZE} bytes",
        ),
        (wish(piece(1, 0, **OF_LUN), ranges=[(SIZE, 1)]), f"The range of 1 bytes from byte {SIZE} is not within disk"),
        (wish(piece(1, 0, **{**OF_LUN, "naa": OTHER.naa})), r"No marker is on disk Hard disk 2 of VM app, but on /dev/sdb \("),
        (wish(piece(1, 0, **OF_LUN), guest_device="/dev/sdz"), "No marker is on disk Hard disk 2 of VM app, but on /dev/sdb"),
        (replace(wish(piece(1, 0, **OF_LUN)), vm="nobody"), "There is no VM 'nobody'"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(asked: Wish, message: str) -> None:
    with pytest.raises(CrossvisorError, match=message):
        look(hypervisor(LUN_DISK), [array(data(m1=0))], asked)


def test_a_disk_on_no_lun_that_is_known_wants_the_luns_named() -> None:
    there = hypervisor(replace(IMAGE_DISK, file_system="elsewhere"))
    with pytest.raises(CrossvisorError, match=r"Nobody tells on which LUN disk Hard disk 1 of VM app may lie: name the LUNs"):
        look(there, [array(data(m1=0))], wish(piece(1, 0, **OF_IMAGE)))


def captured(place: Path, *blocks: tuple[int, bytes], naa: str = NAME.naa, gap: bool = False) -> str:
    """A capture file of a connection over which these blocks were written; without a name, the LUN does not tell which it is."""
    both = Conversation()
    both.log_in()
    if naa:
        both.identify(naa)
    for lba, held in blocks:
        both.write(lba, held, immediate=len(held))
    sent = packets(both.sent)
    kept = [packet for packet in sent if not (gap and packet is sent[len(sent) // 2])]
    (place / "path.pcap").write_bytes(pcap((packet.time, frame(packet)) for packet in kept))
    return str(place / "path.pcap")


def test_a_capture_tells_the_blocks_that_were_written_and_the_array_whose_they_are(tmp_path: Path) -> None:
    file = captured(tmp_path, (700, MARKERS.make(1)))
    silent = array(b"", unreadable="It is not asked for any data.")
    found = look(hypervisor(IMAGE_DISK), [silent], wish(piece(1, 0, **OF_IMAGE), piece(2, 4096, **OF_IMAGE), captures=[file]))
    told = [(row["virtual_offset"], row["state"], row["lba"], row["block_size"], row["naa"], row["lun_path"]) for row in found.rows]
    assert told == [(0, "data", 700, 512, NAME.naa, lun(NAME).path), (4096, "no_address", None, None, "", "")]
    assert f"its bytes are nowhere on LUNs whose traffic capture {file} shows" in found.rows[1]["reason"]
    assert found.warnings == []
    assert not any(call.startswith("read") for call in silent.calls)


def test_what_a_capture_tells_was_so_when_it_ended_however_late_it_is_read(tmp_path: Path) -> None:
    file = captured(tmp_path, (700, MARKERS.make(1)))
    with Path(file).open("rb") as opened:
        last = max(segment.time or 0.0 for segment in segments(opened, file, Packets()))
    (row,) = look(hypervisor(IMAGE_DISK), [], wish(piece(1, 0, **OF_IMAGE), captures=[file])).rows
    assert row["observed"] == datetime.fromtimestamp(last, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert row["observed"] < now()


def test_what_is_written_over_in_a_capture_is_where_it_was_written_last(tmp_path: Path) -> None:
    file = captured(tmp_path, (700, MARKERS.make(1)), (700, bytes(4096)), (900, MARKERS.make(1)))
    found = look(hypervisor(IMAGE_DISK), [], wish(piece(1, 0, **OF_IMAGE), captures=[file]))
    assert [(row["lba"], row["naa"], row["svm"]) for row in found.rows] == [(900, NAME.naa, "")]


def test_a_lun_that_does_not_say_which_it_is_has_a_block_and_no_name(tmp_path: Path) -> None:
    file = captured(tmp_path, (700, MARKERS.make(1)), naa="")
    (row,) = look(hypervisor(IMAGE_DISK), [], wish(piece(1, 0, **OF_IMAGE), captures=[file])).rows
    assert (row["lba"], row["naa"]) == (700, "")
    assert "did not say in the capture" in row["reason"]


def test_gaps_of_a_capture_are_told_with_every_row(tmp_path: Path) -> None:
    file = captured(tmp_path, *((lba, MARKERS.make(number)) for number, lba in enumerate((100, 200, 300))), gap=True)
    found = look(hypervisor(IMAGE_DISK), [], wish(*(piece(number, number * 4096, **OF_IMAGE) for number in range(3)), captures=[file]))
    assert any("gaps" in warning for warning in found.warnings)
    placed = [row for row in found.rows if row["lba"] is not None]
    assert placed
    assert all("not all was seen" in row["reason"] for row in placed if row["naa"])
    assert {(row["virtual_offset"], row["lba"]) for row in placed} <= {(0, 100), (4096, 200), (8192, 300)}


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "Capture .* cannot be read where this task runs: No such file or directory"), (b"nonsense", "path.pcap")],
)
def test_a_file_that_is_no_capture_is_told(tmp_path: Path, content: bytes | None, message: str) -> None:
    file = tmp_path / "path.pcap"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(InvalidInput, match=message):
        look(hypervisor(IMAGE_DISK), [], wish(piece(1, 0, **OF_IMAGE), captures=[str(file)]))
