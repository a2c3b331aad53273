# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A LUN has one name, whatever a system prints."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import FrozenInstanceError
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import InvalidInput
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import PlannedLun, ScsiName, from_vpd80, ontap_serial
from tests.lun_spellings import DISK, LUN, OTHER_LUN, OTHER_TEXTS, SPELLINGS_OF_A_LUN

HEX = "0123456789abcdef"


def hex_digits(count: int) -> st.SearchStrategy[str]:
    return st.text(HEX, min_size=count, max_size=count)


SIX = hex_digits(31).map("6{}".format)
FIVE_OR_TWO = st.builds(str.__add__, st.sampled_from("25"), hex_digits(15))
NAMES = (SIX | FIVE_OR_TWO).map(ScsiName)
SERIALS = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=12, max_size=12)

VENDORS = {
    LUN: "NetApp ONTAP",
    "60a98000503365344e6f6177615a516b": "NetApp 7-Mode",
    "600a098000a0b1c2000003e5554f1a2b": "NetApp E-Series",
    "624a9370a7b9f7ecc01e40f70002c43e": "Pure Storage",
    "68ccf09800aabbccddeeff0011223344": "Dell PowerStore",
    "60000970000197900123533030314641": "Dell PowerMax",
    "60060480000190100501533030303131": "Dell PowerMax",
    "6006016033d119005c8ef7b7f6a0dd11": "Dell Unity",
    "60002ac0000000000000186b00021f6b": "HPE 3PAR",
    "6005076303ffc1e20000000000001100": "IBM DS8000",
    "60050768018105e2e800000000000010": "IBM SVC",
    "60060e80223cce0050413cce00000400": "Hitachi",
    "6742b0f000000442000000000000a3f1": "Infinidat",
    "60014051e1b8c3f8a5c4d1fb9f2f6a3e": "LIO",
    "60000000000000000e00000000010001": "tgt",
    "6000eb3952315fbe0000000000000041": None,
    DISK: None,
}


class TestParse:
    @pytest.mark.parametrize("text", SPELLINGS_OF_A_LUN)
    def test_reads_every_spelling_of_one_lun_as_the_same_name(self, text: str) -> None:
        assert ScsiName.parse(text) == ScsiName(LUN)

    @pytest.mark.parametrize("text", [DISK, f"naa.{DISK}", f"3{DISK}", f"wwn-0x{DISK}", f"vml.0200000000{DISK}535433363030"])
    def test_reads_names_of_eight_bytes(self, text: str) -> None:
        assert ScsiName.parse(text).naa == DISK

    @pytest.mark.parametrize(
        ("lun", "vml"),
        [
            (0, "vml.02000000006000eb3952315fbe0000000000000041695343534944"),
            (255, "vml.0200ff00006000eb3952315fbe0000000000000041695343534944"),
            (261, "vml.02000501006000eb3952315fbe0000000000000041695343534944"),
        ],
    )
    def test_reads_a_vml_whatever_its_lun_number(self, lun: int, vml: str) -> None:
        assert int.from_bytes(bytes.fromhex(vml[8:12]), "little") == lun
        assert ScsiName.parse(vml).naa == "6000eb3952315fbe0000000000000041"

    @pytest.mark.parametrize("text", OTHER_TEXTS.values(), ids=OTHER_TEXTS.keys())
    def test_refuses_what_is_not_an_naa_name(self, text: str) -> None:
        with pytest.raises(InvalidInput):
            ScsiName.parse(text)
        assert ScsiName.try_parse(text) is None

    def test_says_in_one_sentence_what_it_read_and_what_it_accepts(self) -> None:
        with pytest.raises(InvalidInput) as refusal:
            ScsiName.parse("eui.0025385b61b0a1e4")
        assert str(refusal.value) == (
            "'eui.0025385b61b0a1e4' is not the NAA name of a LUN: expected 32 hex digits that start with 6, or 16 with 2 or 5, bare or as "
            "naa.<hex>, 0x<hex>, wwn-0x<hex>, scsi-3<hex>, 3<hex>, vml.02<hex>, a VMware uuid, or a path to one of these."
        )

    def test_does_not_repeat_a_long_text(self) -> None:
        with pytest.raises(InvalidInput) as refusal:
            ScsiName.parse("x" * 10_000)
        assert len(str(refusal.value)) < 400

    @given(st.text())
    def test_either_refuses_a_text_or_finds_its_name_in_it(self, text: str) -> None:
        name = ScsiName.try_parse(text)
        assert name is None or name.naa in text.lower()

    @given(st.text(HEX + "xX.:-/3pvmlnaw", max_size=80))
    def test_raises_nothing_but_invalid_input(self, text: str) -> None:
        with suppress(InvalidInput):
            assert ScsiName.parse(text) == ScsiName.try_parse(text)

    @given(NAMES)
    def test_reads_back_every_spelling_that_a_name_gives(self, name: ScsiName) -> None:
        for spelling in (str(name), name.naa, name.vmware, name.wwid, name.wwn, name.windows, name.xapi):
            assert ScsiName.parse(spelling) == name

    @given(NAMES, hex_digits(8), st.binary(max_size=16))
    def test_reads_every_vml(self, name: ScsiName, header: str, model: bytes) -> None:
        assert ScsiName.parse(f"vml.02{header}{name.naa}{model.hex()}") == name


class TestScsiName:
    @pytest.mark.parametrize("text", [LUN.upper(), f"naa.{LUN}", f"3{LUN}", f"{LUN}\n", ""])
    def test_is_only_the_bare_digits_in_lower_case(self, text: str) -> None:
        with pytest.raises(InvalidInput, match="is not a bare NAA name"):
            ScsiName(text)

    def test_is_a_key(self) -> None:
        assert {ScsiName(LUN): "ds1"}[ScsiName.parse(LUN.upper())] == "ds1"
        assert sorted([ScsiName(LUN), ScsiName(DISK)]) == [ScsiName(DISK), ScsiName(LUN)]

    def test_cannot_change(self) -> None:
        with pytest.raises(FrozenInstanceError):
            ScsiName(LUN).naa = OTHER_LUN  # type: ignore[misc]

    def test_is_spelled_as_each_system_does(self) -> None:
        name = ScsiName(LUN)
        assert str(name) == name.vmware == "naa.600a0980524c4974612b44687143566b"
        assert name.wwid == "3600a0980524c4974612b44687143566b"
        assert name.wwn == "wwn-0x600a0980524c4974612b44687143566b"
        assert name.windows == "600A0980524C4974612B44687143566B"
        assert name.xapi == "3600a0980524c4974612b44687143566b"

    @pytest.mark.parametrize(("naa", "vendor"), VENDORS.items())
    def test_tells_the_vendor(self, naa: str, vendor: str | None) -> None:
        assert ScsiName(naa).vendor == vendor

    @pytest.mark.parametrize(
        ("naa", "serial"),
        [
            (LUN, "RLIta+DhqCVk"),
            ("60a98000503365344e6f6177615a516b", "P3e4NoawaZQk"),
            ("624a9370a7b9f7ecc01e40f70002c43e", "A7B9F7ECC01E40F70002C43E"),
            ("600a098000a0b1c2000003e5554f1a2b", None),
            ("60060e80223cce0050413cce00000400", None),
            (DISK, None),
        ],
    )
    def test_tells_the_serial_number_where_the_vendor_puts_it_in(self, naa: str, serial: str | None) -> None:
        assert ScsiName(naa).serial == serial


class TestWhatIsNoNaaName:
    @pytest.mark.parametrize("text", ["RLIta+DhqCVk", " RLIta+DhqCVk ", "524c4974612b44687143566b", "524C4974612B44687143566B"])
    def test_a_serial_number_is_told_with_the_name_of_its_lun(self, text: str) -> None:
        told = (
            f"{text!r} is not the NAA name of a LUN: if it is the serial number of a LUN on ONTAP, the NAA name of that LUN is naa.{LUN}."
        )
        with pytest.raises(InvalidInput, match=f"^{re.escape(told)}$"):
            ScsiName.parse(text)

    @pytest.mark.parametrize("path", ["/vol/vol_prod/app01_data", "svm_san:/vol/vol_prod/app01_data"])
    def test_a_path_on_the_array_is_told(self, path: str) -> None:
        with pytest.raises(InvalidInput, match="looks like the path of a LUN on its array"):
            ScsiName.parse(path)

    @pytest.mark.parametrize("text", ["sdb", "naa.6", "Disk 1", "0" * 24, "/dev/sdb"])
    def test_anything_else_is_told_what_is_expected(self, text: str) -> None:
        with pytest.raises(InvalidInput, match="expected 32 hex digits that start with 6"):
            ScsiName.parse(text)

    def test_an_naa_name_for_a_serial_number_is_told(self) -> None:
        with pytest.raises(InvalidInput, match="is not the serial number of a NetApp LUN: it is an NAA name, which is given as such"):
            ScsiName.from_ontap_serial(LUN)


class TestNetAppSerials:
    def test_ontap(self) -> None:
        assert ScsiName.from_ontap_serial("RLIta+DhqCVk").naa == LUN

    @given(SERIALS)
    def test_an_ontap_serial_survives_the_round_trip(self, serial: str) -> None:
        name = ScsiName.from_ontap_serial(serial)
        assert (name.ontap_serial, name.serial, name.vendor) == (serial, serial, "NetApp ONTAP")

    @given(SERIALS)
    def test_7_mode_is_never_taken_for_ontap(self, serial: str) -> None:
        name = ScsiName.from_7mode_serial(serial)
        assert (name.ontap_serial, name.serial, name.vendor) == (None, serial, "NetApp 7-Mode")

    def test_case_counts(self) -> None:
        assert ScsiName.from_ontap_serial("rlita+dhqcvk") != ScsiName.from_ontap_serial("RLIta+DhqCVk")

    @pytest.mark.parametrize("serial", ["", "RLIta+DhqCV", "RLIta+DhqCVkk", "RLIta DhqCVk", "RLIta\u00e9DhqCVk", "RLIta\x00DhqCVk", LUN])
    def test_others_are_refused(self, serial: str) -> None:
        for read in (ScsiName.from_ontap_serial, ScsiName.from_7mode_serial):
            with pytest.raises(InvalidInput, match="is not the serial number of a NetApp LUN"):
                read(serial)

    @given(st.binary(min_size=12, max_size=12))
    def test_the_shared_prefix_needs_twelve_printable_characters(self, tail: bytes) -> None:
        printable = all(0x21 <= byte <= 0x7E for byte in tail)
        assert (ScsiName(f"600a0980{tail.hex()}").ontap_serial is not None) == printable

    @pytest.mark.parametrize(
        ("product", "serial"),
        [
            ("LUN C-Mode", "RLIta+DhqCVk"),
            ("LUN C-Mode      ", "RLIta+DhqCVk"),
            (None, "RLIta+DhqCVk"),
            ("INF-01-00", None),
            ("LUN", None),
            ("", None),
        ],
    )
    def test_the_inquiry_product_decides_where_it_is_known(self, product: str | None, serial: str | None) -> None:
        assert ontap_serial(ScsiName(LUN), product) == serial

    def test_the_product_alone_makes_no_ontap_lun(self) -> None:
        assert ontap_serial(ScsiName(DISK), "LUN C-Mode") is None


BINARY, ASCII, UTF8 = 1, 2, 3
T10, EUI64, NAA, RELATIVE_PORT, SCSI_STRING = 1, 2, 3, 4, 8
LOGICAL_UNIT, TARGET_PORT, TARGET_DEVICE = 0, 1, 2


def designator(content: bytes, kind: int = NAA, association: int = LOGICAL_UNIT, code_set: int = BINARY) -> bytes:
    """SPC-4 table 602; the protocol identifier is iSCSI, valid for ports only."""
    piv = 0x80 if association else 0
    return bytes([0x50 | code_set, piv | association << 4 | kind, 0, len(content)]) + content


def page83(*designators: bytes) -> bytes:
    body = b"".join(designators)
    return b"\x00\x83" + len(body).to_bytes(2, "big") + body


NOISE = [
    designator(b"NETAPP  LUN C-Mode   x", kind=T10, code_set=ASCII),
    designator(bytes.fromhex("3000000100000001")),
    designator(bytes.fromhex("500a098112345678"), association=TARGET_PORT),
    designator(bytes.fromhex(OTHER_LUN), association=TARGET_DEVICE),
    designator(b"\x00\x00\x00\x01", kind=RELATIVE_PORT, association=TARGET_PORT),
    designator(bytes.fromhex("600a098052000001"), kind=EUI64),
    designator(b"iqn.1992-08.com.netapp:sn.1,t,0x0001\0\0\0\0", kind=SCSI_STRING, association=TARGET_PORT, code_set=UTF8),
]


class TestVpd83:
    @given(st.permutations([*NOISE, designator(bytes.fromhex(LUN)), designator(bytes.fromhex(DISK))]))
    def test_finds_the_best_name_of_the_logical_unit_wherever_it_stands(self, designators: list[bytes]) -> None:
        assert ScsiName.from_vpd83(page83(*designators)) == ScsiName(LUN)

    @given(st.permutations([*NOISE, designator(bytes.fromhex(DISK)), designator(bytes.fromhex("2" + DISK[1:]))]))
    def test_falls_back_to_naa_5(self, designators: list[bytes]) -> None:
        assert ScsiName.from_vpd83(page83(*designators)) == ScsiName(DISK)

    @given(st.permutations(NOISE))
    def test_never_takes_a_port_a_target_or_a_local_name_for_the_lun(self, designators: list[bytes]) -> None:
        assert ScsiName.from_vpd83(page83(*designators)) is None

    def test_a_name_said_twice_is_one_name(self) -> None:
        assert ScsiName.from_vpd83(page83(designator(bytes.fromhex(LUN)), designator(bytes.fromhex(LUN)))) == ScsiName(LUN)

    def test_two_names_of_the_best_type_are_no_identity(self) -> None:
        names = [designator(bytes.fromhex(naa)) for naa in (LUN, OTHER_LUN, DISK)]
        assert ScsiName.from_vpd83(page83(*names)) is None

    def test_what_follows_the_page_is_not_read(self) -> None:
        assert ScsiName.from_vpd83(page83(designator(bytes.fromhex(LUN))) + designator(bytes.fromhex(OTHER_LUN))) == ScsiName(LUN)

    def test_a_name_cut_off_is_not_read(self) -> None:
        page = page83(designator(bytes.fromhex(DISK)), designator(bytes.fromhex(LUN)))
        assert ScsiName.from_vpd83(page[:-1]) == ScsiName(DISK)

    def test_a_designator_that_holds_nothing_is_no_name(self) -> None:
        assert ScsiName.from_vpd83(page83(designator(b""), designator(bytes.fromhex(LUN)))) == ScsiName(LUN)
        assert ScsiName.from_vpd83(page83(designator(b""), designator(b"a"))) is None

    def test_a_name_that_is_not_binary_is_none_of_the_luns(self) -> None:
        page = page83(designator(bytes.fromhex(OTHER_LUN), code_set=ASCII), designator(bytes.fromhex(LUN)))
        assert ScsiName.from_vpd83(page) == ScsiName(LUN)

    def test_a_page_may_be_longer_than_a_byte_counts(self) -> None:
        assert ScsiName.from_vpd83(page83(*NOISE * 3, designator(bytes.fromhex(LUN)))) == ScsiName(LUN)

    def test_a_name_that_reaches_out_of_the_page_is_not_read(self) -> None:
        page = bytearray(page83(designator(bytes.fromhex(DISK)), designator(bytes.fromhex(LUN))))
        page[3] -= 1
        assert ScsiName.from_vpd83(bytes(page)) == ScsiName(DISK)

    def test_another_page_holds_no_name(self) -> None:
        assert ScsiName.from_vpd83(b"\x00\x80" + page83(designator(bytes.fromhex(LUN)))[2:]) is None

    @given(st.binary(max_size=200) | st.binary(max_size=200).map(page83))
    def test_no_bytes_make_it_fail(self, page: bytes) -> None:
        name = ScsiName.from_vpd83(page)
        assert name is None or bytes.fromhex(name.naa) in page


class TestVpd80:
    @pytest.mark.parametrize(
        ("page", "serial"),
        [
            (b"\x00\x80\x00\x0cRLIta+DhqCVk", "RLIta+DhqCVk"),
            (b"\x00\x80\x00\x14        RLIta+DhqCVk", "RLIta+DhqCVk"),
            (b"\x00\x80\x00\x10RLIta+DhqCVk    ", "RLIta+DhqCVk"),
            (b"\x00\x80\x00\x0eRLIta+DhqCVk\0\0", "RLIta+DhqCVk"),
            (b"\x00\x80\x00\x0cRLIta+DhqCVkrest of the buffer", "RLIta+DhqCVk"),
            (b"\x00\x80\x00\x04    ", ""),
            (b"\x00\x80\x00\x00", ""),
            (b"\x00\x80\x01\x2c" + b"A" * 300, "A" * 300),
        ],
    )
    def test_gives_the_serial_number_without_padding(self, page: bytes, serial: str) -> None:
        assert from_vpd80(page) == serial

    @pytest.mark.parametrize("page", [b"", b"\x00\x83\x00\x00", b"\x00\x80\x00\x0cRLIta", b"\x00\x80\x00\x01\xff"])
    def test_refuses_what_is_no_such_page(self, page: bytes) -> None:
        with pytest.raises(InvalidInput, match="is not a Unit Serial Number page"):
            from_vpd80(page)


@pytest.mark.parametrize("value", [None, 5, b"RLIta+DhqCVk"])
def test_what_is_no_text_is_refused_like_any_other_word(value: Any) -> None:
    with pytest.raises(InvalidInput, match="is not a bare NAA name"):
        ScsiName(value)
    with pytest.raises(InvalidInput, match="is not the serial number of a NetApp LUN"):
        ScsiName.from_ontap_serial(value)


def test_a_lun_that_does_not_exist_yet_is_no_lun_that_there_is() -> None:
    planned = PlannedLun(LUN)
    assert planned != ScsiName(LUN)
    assert ScsiName(LUN) != planned
    assert str(PlannedLun("svm:/vol/v/l")) == "svm:/vol/v/l"


@pytest.mark.parametrize("words", ["", "  "])
def test_a_lun_that_does_not_exist_yet_is_called_something(words: str) -> None:
    with pytest.raises(InvalidInput, match="without saying what it will be called"):
        PlannedLun(words)
