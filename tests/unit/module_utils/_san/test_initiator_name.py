# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An initiator has one name, whatever a system prints."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import InvalidInput
from ansible_collections.crossvisor.san.plugins.module_utils._san.initiator_name import (
    initiator_kind,
    normalize_initiator,
    normalize_iqn,
    normalize_wwpn,
)

PORT = "10:00:00:90:fa:12:34:56"
HIGH_PORT = "c0:50:76:0a:be:91:00:1c"
IQN = "iqn.1998-01.com.vmware:esx01-3f2a9c41"

WWPNS = st.binary(min_size=8, max_size=8).filter(lambda octets: octets not in (bytes(8), b"\xff" * 8))

WRONG_WWPNS: dict[str, str | int | Sequence[int]] = {
    "empty": "",
    "not hex": "10:00:zz",
    "short": "10:00:00:90:fa:12:34",
    "long": "10:00:00:90:fa:12:34:56:78",
    "mixed separators": "10:00-00:90:fa:12:34:56",
    "without leading zeros": "0x9000000000000a",
    "decimal text": "1152921504606846976",
    "node name only": "fc.20000090fa123456",
    "target device": "naa.10000090fa123456",
    "unset": "00:00:00:00:00:00:00:00",
    "unset, as Linux prints it": "0xffffffffffffffff",
    "0": 0,
    "-1": -1,
    "65 bits": 1 << 64,
    "64 bits and a sign": -(1 << 63) - 1,
    "truth": True,
    "7 bytes": bytes(range(7)),
    "9 bytes": list(range(9)),
    "not bytes": [256] * 8,
    "negative bytes": [-1] * 8,
}

WRONG_ISCSI_NAMES = {
    "empty": "",
    "no date": "iqn.com.vmware:esx01",
    "month 13": "iqn.1998-13.com.vmware:esx01",
    "month 00": "iqn.1998-00.com.vmware:esx01",
    "no domain": "iqn.1998-01",
    "empty label": "iqn.1998-01.com..vmware:esx01",
    "label ends in a hyphen": "iqn.1998-01.com.vmware-:esx01",
    "nothing after the colon": "iqn.1998-01.com.vmware:",
    "underscore": "iqn.1998-01.com.vmware:esx_01",
    "space": "iqn.1998-01.com.vmware:esx 01",
    "two lines": "iqn.1998-01.com.vmware:esx01\niqn.1998-01.com.vmware:esx02",
    "224 characters": "iqn.1998-01.com.vmware:".ljust(224, "x"),
    "short EUI-64": "eui.02004567a425678",
    "NAA of 17 digits": "naa.52004567ba64678d0",
    "an assignment": f"InitiatorName={IQN}",
}


class TestWwpn:
    @pytest.mark.parametrize(
        "value",
        [
            PORT,
            PORT.upper(),
            f"{PORT}\n",
            "10-00-00-90-FA-12-34-56",
            "10.00.00.90.fa.12.34.56",
            "10000090fa123456",
            "0x10000090fa123456",
            "0X10000090FA123456",
            "fc.20000090fa123456:10000090fa123456",
            0x10000090FA123456,
            bytes.fromhex("10000090fa123456"),
            [0x10, 0x00, 0x00, 0x90, 0xFA, 0x12, 0x34, 0x56],
        ],
    )
    def test_reads_every_spelling_of_one_port(self, value: str | int | Sequence[int]) -> None:
        assert normalize_wwpn(value) == PORT

    def test_reads_a_signed_integer_with_the_top_bit_set(self) -> None:
        assert normalize_wwpn(0xC050760ABE91001C - (1 << 64)) == HIGH_PORT

    def test_keeps_leading_zeros(self) -> None:
        assert normalize_wwpn(0x0A) == "00:00:00:00:00:00:00:0a"

    @given(WWPNS)
    def test_bytes_signed_and_unsigned_integers_and_text_agree(self, octets: bytes) -> None:
        unsigned = int.from_bytes(octets, "big")
        signed = int.from_bytes(octets, "big", signed=True)
        numbers: list[int | Sequence[int]] = [octets, list(octets), unsigned, signed]
        texts = [f"{unsigned:016X}", f"0x{unsigned:016x}", octets.hex("-")]
        assert {normalize_wwpn(spelling) for spelling in [*numbers, *texts]} == {octets.hex(":")}

    @pytest.mark.parametrize("value", WRONG_WWPNS.values(), ids=WRONG_WWPNS.keys())
    def test_refuses_the_rest(self, value: str | int | Sequence[int]) -> None:
        with pytest.raises(InvalidInput, match="is not a WWPN: expected 16 hex digits"):
            normalize_wwpn(value)


class TestIscsiName:
    @pytest.mark.parametrize(
        ("text", "name"),
        [
            (IQN, IQN),
            ("IQN.1998-01.com.VMware:ESX01-3F2A9C41", IQN),
            (f"{IQN}\n", IQN),
            ("iqn.1993-08.org.debian:01:a0b1c2d3e4f5", "iqn.1993-08.org.debian:01:a0b1c2d3e4f5"),
            ("iqn.1991-05.com.microsoft:HV01.corp.example", "iqn.1991-05.com.microsoft:hv01.corp.example"),
            ("iqn.2001-04.com.example", "iqn.2001-04.com.example"),
            ("eui.02004567A425678D", "eui.02004567a425678d"),
            ("naa.52004567BA64678D", "naa.52004567ba64678d"),
            ("naa.62004567BA64678D0123456789ABCDEF", "naa.62004567ba64678d0123456789abcdef"),
            ("iqn.1998-01.com.vmware:".ljust(223, "x"), "iqn.1998-01.com.vmware:".ljust(223, "x")),
        ],
    )
    def test_is_lower_case(self, text: str, name: str) -> None:
        assert normalize_iqn(text) == name

    @pytest.mark.parametrize("text", WRONG_ISCSI_NAMES.values(), ids=WRONG_ISCSI_NAMES.keys())
    def test_refuses_the_rest(self, text: str) -> None:
        with pytest.raises(InvalidInput, match="is not an iSCSI name: expected iqn"):
            normalize_iqn(text)


class TestInitiator:
    @pytest.mark.parametrize(
        ("text", "kind", "name"),
        [
            (PORT.upper(), "fc", PORT),
            ("0x10000090fa123456", "fc", PORT),
            ("fc.20000090fa123456:10000090fa123456", "fc", PORT),
            (IQN.upper(), "iscsi", IQN),
            ("eui.02004567a425678d", "iscsi", "eui.02004567a425678d"),
            ("naa.52004567ba64678d", "iscsi", "naa.52004567ba64678d"),
        ],
    )
    def test_is_told_by_its_form(self, text: str, kind: str, name: str) -> None:
        assert (initiator_kind(text), normalize_initiator(text)) == (kind, name)

    def test_refuses_the_rest_in_one_sentence(self) -> None:
        with pytest.raises(InvalidInput) as refusal:
            normalize_initiator("10:00:zz")
        assert str(refusal.value) == (
            "'10:00:zz' is not a WWPN or IQN: expected 16 hex digits, not all 0 or f, like 10:00:00:90:fa:12:34:56, or "
            "iqn.<year>-<month>.<domain>:<letters, digits, '-', '.', ':'> like iqn.1998-01.com.vmware:esx01, or eui.<hex>, naa.<hex>."
        )

    @given(st.text() | st.from_regex("(iqn[.]2001-04[.]|eui[.]|naa[.]|fc[.])?[0-9A-Fa-f.:-]*", fullmatch=True))
    def test_raises_nothing_but_invalid_input_and_is_stable(self, text: str) -> None:
        with suppress(InvalidInput):
            name = normalize_initiator(text)
            assert (normalize_initiator(name), initiator_kind(name)) == (name, initiator_kind(text))
