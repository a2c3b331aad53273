# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Captures of iSCSI traffic: what is told is right, whatever a mirror port does to it, and what cannot be told is said."""

from __future__ import annotations

import contextlib
import io
import random
import struct
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import InvalidInput
from ansible_collections.crossvisor.san.plugins.module_utils._san.observation.captured import Captured, Reading
from ansible_collections.crossvisor.san.plugins.module_utils._san.observation.layers import Seen
from ansible_collections.crossvisor.san.plugins.module_utils._san.observation.markers import Markers
from tests.examples import share
from tests.unit.iscsi_traffic import IQN, LUN, NAA, PORTAL, Conversation, Packet, Sent, frame, packets, pcap, pcapng

pytestmark = pytest.mark.slow

MARKERS = Markers(bytes(range(16)))


def read(*files: bytes, ports: Sequence[int] = (3260,)) -> Captured:
    named = [(io.BytesIO(data), f"{number}.pcap") for number, data in enumerate(files)]
    return Reading(MARKERS.find, ports, keep_writes=True).read(named)


def whole(sent: Sequence[Sent], most: int = 1448) -> bytes:
    return pcap((one.time, frame(one)) for one in packets(sent, most))


def seen(number: int, lba: int, length: int = 4096, within: int = 0, lun: str = NAA, size: int = 512) -> Seen:
    return Seen(number, lun, lba, length, within=within, block_size=size)


def talk(header_digest: bool = False, data_digest: bool = False) -> Conversation:
    begun = Conversation(header_digest, data_digest)
    begun.log_in()
    begun.identify()
    return begun


@pytest.mark.parametrize("header_digest", [False, True])
@pytest.mark.parametrize("data_digest", [False, True])
def test_writes_are_told_with_their_blocks_whatever_way_their_data_takes(header_digest: bool, data_digest: bool) -> None:
    both = talk(header_digest=header_digest, data_digest=data_digest)
    both.write(1000, MARKERS.make(1), immediate=4096)
    both.write(2000, MARKERS.make(2))
    both.write(3000, b"x" * 1024 + MARKERS.make(3) + MARKERS.make(4), immediate=700, step=1500)
    both.read(4000, MARKERS.make(5) + b"y" * 512, step=1000)
    found = read(whole(both.sent))
    assert found.seen == [seen(1, 1000), seen(2, 2000), seen(3, 3002), seen(4, 3010), seen(5, 4000)]
    assert found.warnings == []
    assert [(one.lba, one.length) for one in found.writes] == [(1000, 4096), (2000, 4096), (3000, 9216)]


def test_the_time_of_a_write_is_from_its_command_to_its_answer() -> None:
    both = talk()
    begun = both.now
    both.write(1000, b"z" * 4096)
    (write,) = read(whole(both.sent)).writes
    assert write.submitted == pytest.approx(begun + 0.001, abs=1e-5)
    assert write.completed == pytest.approx(both.now, abs=1e-5)


def test_blocks_of_a_lun_of_4096_bytes_are_counted_as_it_does() -> None:
    both = talk()
    both.write(77, MARKERS.make(1) + MARKERS.make(2), block_size=4096)
    assert read(whole(both.sent)).seen == [seen(1, 77, size=4096), seen(2, 78, size=4096)]


def test_what_is_written_over_is_not_told_any_more() -> None:
    both = talk()
    both.write(1000, MARKERS.make(1))
    both.write(1002, b"x" * 512)
    both.write(2000, MARKERS.make(2))
    both.command(struct.pack(">BBQIBB", 0x93, 0, 1990, 12, 0, 0), 0xA0, 512, bytes(512))
    both.response(struct.pack(">I", both.tag))
    assert read(whole(both.sent)).seen == [seen(1, 1000, 1024), seen(1, 1003, 2560, 1536), seen(2, 2002, 3072, 1024)]


def test_a_marker_that_is_written_twice_is_told_at_both_places() -> None:
    both = talk()
    both.write(1000, MARKERS.make(1))
    both.write(5000, MARKERS.make(1))
    both.write(1000, MARKERS.make(1))
    assert read(whole(both.sent)).seen == [seen(1, 1000), seen(1, 5000)]


def test_a_write_that_does_not_end_or_fails_is_no_place() -> None:
    both = talk()
    both.response(both.write(1000, MARKERS.make(1), answered=False), status=2)
    both.write(2000, MARKERS.make(2), answered=False)
    found = read(whole(both.sent))
    assert found.seen == []
    assert [(one.lba, one.completed) for one in found.writes] == [(2000, None)]
    assert found.warnings == [f"1 commands of 0.pcap were not seen to end, the first of them at block 2000 of {NAA}; they are not counted."]


def test_two_paths_are_one_lun_by_its_name_and_two_without_it() -> None:
    paths = [talk(), talk()]
    paths[0].write(1000, MARKERS.make(1))
    paths[1].now = paths[0].now + 1
    paths[1].write(1000, b"x" * 4096)
    paths[1].write(2000, MARKERS.make(2))
    ends = (("10.0.1.1", 50000), ("10.0.1.2", 3260))
    second = pcap((one.time, frame(one, ends=ends)) for one in packets(paths[1].sent))
    assert read(whole(paths[0].sent), second).seen == [seen(2, 2000)]
    assert read(second, whole(paths[0].sent)).seen == [seen(2, 2000)]
    nameless = Conversation()
    nameless.log_in()
    nameless.write(3000, MARKERS.make(3))
    found = read(whole(nameless.sent))
    assert found.seen == [seen(3, 3000, lun=f"LUN 7 of {IQN}")]
    assert found.warnings[0].startswith(f"LUN 7 of {IQN} did not say in the captures which LUN it is: its NAA name is not told")


@pytest.mark.parametrize("link", [1, 113, 276, 101, 0])
@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("vlans", [0, 2])
def test_every_way_in_which_packets_are_wrapped_is_read(link: int, version: int, vlans: int) -> None:
    both = talk()
    both.write(1000, MARKERS.make(1))
    tags = vlans if link in (1, 113, 276) else 0
    frames = [(one.time, frame(one, link, tags, version)) for one in packets(both.sent)]
    for file in (
        pcap(frames, link),
        pcap(frames, link, order=">", nano=True),
        pcapng(frames, link),
        pcapng(frames, link, order=">", resolution=9),
    ):
        found = read(file)
        assert found.seen == [seen(1, 1000)]
        assert found.writes[0].submitted == pytest.approx(both.now - 0.003, abs=1e-4)


def test_the_padding_of_short_ethernet_frames_is_no_data() -> None:
    both = talk()
    both.write(1000, MARKERS.make(1))
    frames = [(one.time, frame(one) + bytes(8)) for one in packets(both.sent)]
    assert read(pcap(frames)).seen == [seen(1, 1000)]


def scene(seed: int, writes: int = 12, **digests: bool) -> tuple[Conversation, list[Seen]]:
    """Writes of all kinds, each marker to a place of its own."""
    chance, both = random.Random(seed), talk(**digests)
    places = []
    for number in range(writes):
        lba, before = number * 100 + chance.randrange(50), chance.randrange(3)
        data = chance.randbytes(before * 512) + MARKERS.make(number)
        both.write(lba, data, immediate=chance.choice([0, 512, len(data)]), step=chance.choice([0, 512, 1000]))
        places.append(seen(number, lba + before))
    return both, places


def jumbled(sent: Sequence[Packet], chance: random.Random) -> list[Packet]:
    """As a mirror port may bring it: some twice, some late, some again in other pieces, both directions not in step."""
    made = []
    for place, one in enumerate(sent):
        late = place + chance.choice([0, 0, 0, 1.5, 4.5])
        made.append((late, one))
        if chance.random() < 0.1:
            made.append((late + 3.2, one))
        if len(one.data) > 10 and chance.random() < 0.1:
            made.append(
                (late + 2.2, Packet(one.to_target, one.time, one.sequence + 5 & 0xFFFFFFFF, one.data[5:], acknowledged=one.acknowledged))
            )
    return [one for _late, one in sorted(made, key=lambda pair: pair[0])]


@settings(max_examples=share(1 / 4))
@given(seed=st.integers(0, 1 << 32), most=st.sampled_from([1, 7, 48, 100, 536, 1448, 9000]), digest=st.booleans())
def test_traffic_that_is_cut_anywhere_and_repeated_is_all_told(seed: int, most: int, digest: bool) -> None:
    both, places = scene(seed, 3, header_digest=digest, data_digest=digest)
    if most > 1:
        assert read(whole(both.sent, most)).seen == places
    sent = packets(both.sent, most)
    begin = [one for one in sent if one.flags & 2]
    again = [copy for one in sent if not one.flags & 2 for copy in [one] * random.Random(seed).choice([1, 1, 2])]
    assert read(pcap((one.time, frame(one)) for one in begin + again)).seen == places


def test_data_that_is_missing_in_commands_that_are_there_is_said() -> None:
    """No gap is told: each command and its answer were seen."""
    both, places = scene(254, 12)
    chance = random.Random(254)
    kept = [one for one in jumbled(packets(both.sent, 100), chance) if chance.random() > 0.01]
    found = read(pcap(map(direct, kept)))
    assert sum(one.length for one in found.seen) < sum(one.length for one in places)
    assert any("has not all data" in said for said in found.warnings)


def direct(one: Packet) -> tuple[float, bytes]:
    return one.time, frame(one)


@settings(max_examples=share(1 / 4))
@given(seed=st.integers(0, 1 << 32), most=st.sampled_from([48, 100, 536, 1448]))
def test_segments_of_a_direction_that_come_late_are_put_in_their_place(seed: int, most: int) -> None:
    chance = random.Random(seed)
    both, places = scene(seed, 4)
    sent = packets(both.sent, most)
    swapped = list(sent)
    for place in range(4, len(swapped) - 1):
        one, two = swapped[place], swapped[place + 1]
        if one.to_target and two.to_target and chance.random() < 0.3:
            swapped[place : place + 2] = two, one
    assert read(pcap(map(direct, swapped))).seen == places


@settings(max_examples=share(1 / 4))
@given(seed=st.integers(0, 1 << 32), most=st.sampled_from([100, 536, 1448]), share=st.sampled_from([0.01, 0.05, 0.3]), digest=st.booleans())
def test_what_is_told_of_a_capture_with_gaps_is_right_and_the_gaps_are_told(seed: int, most: int, share: float, digest: bool) -> None:
    chance = random.Random(seed)
    both, places = scene(seed, 12, header_digest=digest, data_digest=digest)
    sent = packets(both.sent, most)
    kept = [one for one in jumbled(sent, chance) if chance.random() > share]
    try:
        found = read(pcap(map(direct, kept)))
    except InvalidInput:
        return
    true = {(one.number, one.lba + step, one.within + step * 512) for one in places for step in range(8)}
    told = {(one.number, one.lba + step, one.within + step * 512) for one in found.seen for step in range(one.length // 512)}
    assert told <= true
    assert told == true or found.warnings


@settings(max_examples=share(1 / 4))
@given(seed=st.integers(0, 1 << 32), digest=st.booleans(), most=st.sampled_from([1448, 60000]))
def test_a_capture_that_begins_in_the_middle_is_read_from_where_both_directions_agree(seed: int, digest: bool, most: int) -> None:
    both, places = scene(seed, 30, header_digest=digest, data_digest=digest)
    sent = packets(both.sent, most)
    begin = random.Random(seed).randrange(6, len(sent) // 2)
    found = read(pcap(map(direct, sent[begin:])))
    lun = "LUN 7 of the target at 10.0.0.2:3260"
    told = {(one.number, one.lba, one.within) for one in found.seen if one.length == 4096}
    assert {one.lun for one in found.seen} == {lun}
    assert told <= {(one.number, one.lba, one.within) for one in places}
    assert len(told) >= 10
    assert any("has gaps" in warning for warning in found.warnings)
    assert found.blind[0][0] == float("-inf")


def test_a_segment_of_data_that_is_missing_costs_its_sectors_alone() -> None:
    both = talk()
    both.write(1000, MARKERS.make(1))
    both.write(2000, MARKERS.make(2))
    sent = packets(both.sent, 1448)
    big = [place for place, one in enumerate(sent) if len(one.data) == 1448]
    found = read(pcap(direct(one) for place, one in enumerate(sent) if place != big[1]))
    assert found.seen == [seen(1, 1000, 1024), seen(1, 1006, 1024, 3072), seen(2, 2000)]
    assert found.blind == []


def test_a_write_whose_end_comes_before_its_data_is_told_all_the_same() -> None:
    """The last segment of its data is missing, which is known when the next command comes, after its answer."""
    both = talk()
    both.write(1000, MARKERS.make(1), immediate=4096)
    both.write(2000, MARKERS.make(2), immediate=4096)
    sent = packets(both.sent, 1448)
    last = [place for place, one in enumerate(sent) if one.to_target and len(one.data) > 500][2]
    found = read(pcap(direct(one) for place, one in enumerate(sent) if place != last))
    assert found.seen == [seen(1, 1000, 2560), seen(2, 2000)]
    assert [(one.lba, one.completed is not None) for one in found.writes] == [(1000, True), (2000, True)]


def test_packets_that_are_cut_are_told_and_what_they_have_is_used() -> None:
    both = talk()
    both.write(1000, MARKERS.make(1))
    both.write(2000, MARKERS.make(2), immediate=4096)
    frames = [direct(one) for one in packets(both.sent, 9000)]
    found = read(pcap(frames, snap=200))
    assert found.seen == []
    assert [(one.lba, one.length) for one in found.writes] == [(1000, 4096), (2000, 4096)]
    assert found.warnings == [
        "Of 3 packets 0.pcap has only the beginning: take it with whole packets (tcpdump -s 0).",
        "Of 2 reads and writes 0.pcap has not all data: markers may also be in what is missing.",
    ]


def test_a_guest_that_writes_iscsi_traffic_into_its_disk_is_not_believed() -> None:
    """A capture that begins in the middle of a write whose data is iSCSI traffic itself, at the beginning of segments."""
    forged = talk()
    forged.command_number, forged.status_number = 0x70000000, 0x60000000
    forged.write(666, MARKERS.make(9), immediate=4096)
    lie = b"".join(one.data for one in forged.sent if one.to_target)[-4144:] * 20
    both = talk()
    for number in range(6):
        both.write(1000 + 1000 * number, (lie + bytes(-len(lie) % 512)))
    both.write(50000, MARKERS.make(1))
    sent = packets(both.sent, 4144)
    for begin in range(4, 60):
        found = read(pcap(map(direct, sent[begin:])))
        assert all(one.number == 1 or one.lba < 50000 for one in found.seen)
        assert 666 not in {one.lba for one in found.writes}


def test_a_port_that_is_used_again_is_another_connection() -> None:
    first, second = talk(), talk()
    first.write(1000, MARKERS.make(1), answered=False)
    second.now = first.now + 1
    second.write(2000, MARKERS.make(2))
    frames = [*map(direct, packets(first.sent)), *map(direct, packets(second.sent, first=77777))]
    assert read(pcap(frames)).seen == [seen(2, 2000)]


def test_a_file_without_iscsi_says_what_it_has() -> None:
    both = talk()
    with pytest.raises(InvalidInput, match=r"^0.pcap has \d+ packets, none of which is of TCP port 860: take the capture where"):
        read(whole(both.sent), ports=[860])
    web = [(1.0, frame(Packet(True, 1.0, 1000 + place * 100, b"GET / HTTP/1.1\r\n" * 6))) for place in range(20)]
    with pytest.raises(InvalidInput, match=r"^0.pcap has 20 segments of TCP port 3260, and nothing in them can be read as iSCSI"):
        read(pcap(web))
    with pytest.raises(InvalidInput, match=r"; 20 of them are of link type 147, which is not read: take"):
        read(pcap(web, link=147))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is no capture file: write it as pcap or pcapng"),
        (b"\x1f\x8b\x08\x00 gzip", "it is compressed, unpack it"),
        (b"hello world, this is text", "is no capture file"),
        (pcap([])[:24] + struct.pack("<IIII", 1, 1, 1 << 30, 1 << 30), "is damaged before byte 40: a packet of 1073741824 bytes"),
        (pcapng([])[:28] + struct.pack("<II", 6, 1 << 31), "is damaged before byte 36: a block of 2147483648 bytes"),
        (pcapng([])[:8] + b"oops", "a section without its byte order"),
    ],
)
def test_a_file_that_is_no_capture_or_damaged_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        read(data)


def test_a_file_that_ends_within_a_packet_is_read_up_to_there() -> None:
    both = talk()
    both.write(1000, MARKERS.make(1))
    both.write(2000, MARKERS.make(2))
    found = read(whole(both.sent)[:-20])
    assert seen(1, 1000) in found.seen
    assert "0.pcap ends within a packet: it was not closed, or is still written." in found.warnings


@settings(max_examples=share(1 / 4))
@given(data=st.binary(max_size=3000), seed=st.integers(0, 1000))
def test_bytes_that_nobody_would_send_do_no_harm(data: bytes, seed: int) -> None:
    both, _places = scene(seed, 2)
    sent = packets(both.sent)
    place = random.Random(seed).randrange(2, len(sent))
    sent[place] = Packet(sent[place].to_target, sent[place].time, sent[place].sequence, data or b"x")
    for file in (pcap(map(direct, sent)), whole(both.sent)[: 24 + seed] + data, pcapng([])[:28] + data):
        with contextlib.suppress(InvalidInput):
            assert isinstance(read(file), Captured)


def test_a_pdu_that_says_to_be_larger_than_any_is_not_waited_for() -> None:
    both = talk()
    tag = both.command(struct.pack(">BBIBHB", 0x2A, 0, 5, 0, 8, 0), 0xA0, 4096)
    both.sent.append(Sent(True, both.now, bytes([5, 0x80, 0, 0, 0, 0xFF, 0xFF, 0xFF]) + LUN + tag + bytes(28)))
    for number in range(4):
        both.write(1000 + 100 * number, MARKERS.make(number))
    found = read(whole(both.sent))
    assert {one.number for one in found.seen} >= {2, 3}
    assert any("has gaps" in warning for warning in found.warnings)


def test_commands_that_change_blocks_otherwise_are_told() -> None:
    both = talk()
    for operation in (0x42, 0x83, 0x89):
        both.response(both.command(bytes([operation]) + bytes(9), 0x80, 0))
    both.response(both.command(struct.pack(">BBIBHB", 0x2A, 0x20, 5, 0, 8, 0), 0xA0, 4160, bytes(4160)))
    assert read(whole(both.sent)).warnings == [
        "0.pcap has 1 times UNMAP, which changes blocks and is not followed.",
        "0.pcap has 1 times EXTENDED COPY, which changes blocks and is not followed.",
        "0.pcap has 1 times COMPARE AND WRITE, which changes blocks and is not followed.",
        "1 reads and writes of 0.pcap have no whole number of blocks (protection information?), and are not told.",
    ]


def test_the_portal_is_the_end_that_has_the_port() -> None:
    both = Conversation()
    both.log_in()
    both.write(1, MARKERS.make(1))
    sent = packets(both.sent)
    swapped = [(one.time, frame(one, ends=(("10.0.0.1", 40001), ("10.0.0.2", 3999)))) for one in sent]
    assert read(pcap(swapped), ports=[3999]).seen[0].lba == 1
    assert PORTAL[1] == 3260
