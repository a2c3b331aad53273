# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""PDUs as RFC 7143 lays them out."""

from __future__ import annotations

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.wire import iscsi_pdu
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.iscsi_pdu import Pdu


def test_a_login_says_its_stage_and_keys_and_is_padded_to_four() -> None:
    sent = iscsi_pdu.login(b"\x80\x01\x02\x03\x00\x01", iscsi_pdu.SECURITY, iscsi_pdu.OPERATIONAL, 0, {"AuthMethod": "None"})
    assert (sent[0], sent[1], sent[8:14]) == (0x43, 0x81, b"\x80\x01\x02\x03\x00\x01")
    assert iscsi_pdu.data_length(sent[:48]) == (0, 16)
    assert sent[48:] == b"AuthMethod=None\0"
    assert len(sent) % 4 == 0


def test_a_login_that_goes_on_in_its_stage_has_no_transit_bit() -> None:
    assert iscsi_pdu.login(bytes(6), iscsi_pdu.OPERATIONAL, None, 0, {})[1] == 0x04


def test_a_command_carries_its_cdb_and_numbers() -> None:
    sent = iscsi_pdu.scsi_command(5, b"\0\1" + bytes(6), b"\x12\x01\x83\x04", 1024, 7, 9)
    assert (sent[0], sent[1]) == (0x01, 0xC1)
    assert (sent[8:16], sent[16:20], sent[20:24]) == (b"\0\1" + bytes(6), b"\0\0\0\5", b"\0\0\4\0")
    assert (sent[24:28], sent[28:32], sent[32:48]) == (b"\0\0\0\7", b"\0\0\0\x09", b"\x12\x01\x83\x04" + bytes(12))


def test_the_answer_to_a_ping_returns_its_tag_and_data() -> None:
    header = bytearray(48)
    header[0], header[20:24] = iscsi_pdu.NOP_IN, b"\0\0\0\x2a"
    answer = iscsi_pdu.nop_answer(Pdu(bytes(header), b"ping"), 3, 4)
    assert (answer[0] & 0x3F, answer[16:20], answer[20:24], answer[48:]) == (iscsi_pdu.NOP_OUT, iscsi_pdu.NO_TAG, b"\0\0\0\x2a", b"ping")


def test_the_response_to_a_challenge_in_both_spellings() -> None:
    """By `md5sum`: MD5 of the identifier 1, `secret` and the two octets 0xab 0xcd."""
    expected = "0x1db7aab953f83d484446de8fb0501deb"
    assert iscsi_pdu.chap_response("1", "0xabcd", "secret") == expected
    assert iscsi_pdu.chap_response("0x1", "0bq80=", "secret") == expected


@pytest.mark.parametrize("challenge", ["0xzz", "xyz"])
def test_a_challenge_that_is_none_is_refused(challenge: str) -> None:
    with pytest.raises(ValueError, match="hex"):
        iscsi_pdu.chap_response("1", challenge, "secret")
