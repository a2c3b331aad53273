# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where a disk may be, in the words of hypervisors and of Linux."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import InvalidInput
from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.linux.address import ANYWHERE, Address

PART = st.one_of(st.none(), st.integers(min_value=0, max_value=2**64 - 1))


def spelled(number: int | None) -> str:
    return "*" if number is None else str(number)


@given(PART, PART, PART, PART, st.booleans())
def test_host_channel_target_and_lun_are_read_as_they_are_written(
    host: int | None, channel: int | None, target: int | None, lun: int | None, brackets: bool
) -> None:
    text = ":".join(map(spelled, (host, channel, target, lun)))
    assert Address.parse(f"[{text}]" if brackets else text) == Address(host, channel, target, lun)


@given(PART, PART, PART, PART, st.text(max_size=12))
def test_a_scan_asks_for_what_is_known_and_for_all_of_the_rest(
    host: int | None, channel: int | None, target: int | None, lun: int | None, driver: str
) -> None:
    words = Address(host, channel, target, lun).scan(driver).split(" ")
    assert words == ["-" if number is None else str(number) for number in (channel, target, lun)]


@given(st.integers(min_value=0, max_value=999), st.integers(min_value=0, max_value=999))
def test_a_slot_tells_the_unit_and_no_host(bus: int, unit: int) -> None:
    assert Address.parse(f"SCSI({bus}:{unit})") == Address.parse(f"{bus}:{unit}") == Address(unit=unit)


@given(st.text(alphabet=st.characters(exclude_characters="0123456789*")))
@example("\N{ARABIC-INDIC DIGIT THREE}")
def test_a_text_without_a_number_is_refused_in_a_sentence(text: str) -> None:
    with pytest.raises(InvalidInput, match="is no address of a disk"):
        Address.parse(text)


@pytest.mark.parametrize("text", ["", "2:0:0", "2:0:0:1:0", "a:0:0:1", "-1:0:0:1", "SCSI(x)", "/dev/sdb", "2:0:0:1\n3:0:0:1"])
def test_no_address(text: str) -> None:
    with pytest.raises(InvalidInput, match="is no address of a disk"):
        Address.parse(text)


@pytest.mark.parametrize(
    ("driver", "order"),
    [
        ("vmw_pvscsi", "- 3 -"),
        ("mptspi", "- 3 -"),
        ("virtio_scsi", "- - 3"),
        ("storvsc_host_t", "- - 3"),
        ("xen-scsifront", "- - -"),
        ("", "- - -"),
    ],
)
def test_a_unit_is_a_target_or_a_lun_as_the_controller_has_it(driver: str, order: str) -> None:
    assert Address.parse("SCSI(1:3)").scan(driver) == order


@given(st.integers(min_value=0, max_value=10**6))
def test_anywhere_is_on_every_host(host: int) -> None:
    assert ANYWHERE.on(host)
    assert Address(host=host).on(host)
    assert not Address(host=host).on(host + 1)
