# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which LUNs a target shows, asked as an initiator would."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import AuthenticationFailed, ConnectionFailed, RemoteError
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import Portal
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire import iscsi
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.iscsi import NOT_ADMITTED, IscsiLun, IscsiPath, dial_directly, luns
from tests.unit.iscsi_target import INITIATOR, IQN, Answerer, IscsiTarget, listening
from tests.unit.ports import NAME, OTHER

PLENTY = 30.0
"""Seconds of patience where the clock is not what is tested, also on a busy machine."""
LITTLE = 1.0
"""Seconds of patience with what goes on sending; in less, a busy machine may send nothing at all."""


@pytest.fixture
def target() -> Iterator[IscsiTarget]:
    with listening(IscsiTarget({1: NAME, 300: OTHER})) as there:
        yield there


def shown(target: IscsiTarget, initiator: str = INITIATOR, user: str = "", secret: str = "", name: str = IQN) -> list[IscsiLun]:
    return luns(IscsiPath(target.portal, name, initiator, user, secret), dial_directly(PLENTY))


def test_each_disk_is_told_with_its_identity_number_and_size(target: IscsiTarget) -> None:
    assert shown(target) == [
        IscsiLun(1, 1, NAME, 1 << 30, "NETAPP", "LUN C-Mode"),
        IscsiLun(300, 0x4000 | 300, OTHER, 1 << 30, "NETAPP", "LUN C-Mode"),
    ]


@pytest.mark.parametrize("address", [b"\x81\x2c", b"\xc1\x2c", b"\x00\x01\x00\x05"], ids=["logical unit", "extended", "a level below"])
def test_a_lun_that_qemus_own_initiator_cannot_address_is_left_out(target: IscsiTarget, address: bytes) -> None:
    target.also.append(address)
    assert [lun.number for lun in shown(target)] == [1, 300]


def test_a_controller_at_lun_0_is_no_disk(target: IscsiTarget) -> None:
    target.luns.clear()
    assert shown(target) == []


def test_it_logs_out(target: IscsiTarget) -> None:
    shown(target)
    assert target.logouts == 1


def test_a_ping_is_answered_on_the_way(target: IscsiTarget) -> None:
    target.pings = True
    assert [lun.number for lun in shown(target)] == [1, 300]


def test_a_unit_attention_is_no_refusal(target: IscsiTarget) -> None:
    target.attention = 2
    assert [lun.number for lun in shown(target)] == [1, 300]


def test_a_target_that_attends_to_nothing_else_is_told(target: IscsiTarget) -> None:
    target.attention = 100
    with pytest.raises(RemoteError, match=r"answers SCSI command 0xa0 with status 0x02, sense 70"):
        shown(target)


def test_an_initiator_that_is_not_admitted_is_told_with_the_way_out(target: IscsiTarget) -> None:
    with pytest.raises(RemoteError, match=r"does not let initiator iqn\.other in \(status 515\): map the LUN") as refusal:
        shown(target, initiator="iqn.other")
    assert refusal.value.code in NOT_ADMITTED


def test_a_login_by_chap(target: IscsiTarget) -> None:
    target.accounts = {"kvm": "twelve-chars"}
    assert len(shown(target, user="kvm", secret="twelve-chars")) == 2


@pytest.mark.parametrize(("user", "secret", "words"), [("kvm", "wrong-secret", "CHAP secret of user kvm"), ("", "", "login without CHAP")])
def test_a_wrong_secret_is_told_but_never_shown(target: IscsiTarget, user: str, secret: str, words: str) -> None:
    target.accounts = {"kvm": "twelve-chars"}
    with pytest.raises(AuthenticationFailed, match=words) as refusal:
        shown(target, user=user, secret=secret)
    assert "wrong-secret" not in f"{refusal.value}{IscsiPath(target.portal, IQN, INITIATOR, user, secret)!r}"


def test_a_redirected_login_is_followed_once(target: IscsiTarget) -> None:
    with listening(IscsiTarget(moved_to=target.portal)) as first:
        assert len(shown(first)) == 2


def test_a_login_that_goes_round_in_circles_ends(target: IscsiTarget) -> None:
    target.moved_to = target.portal
    with pytest.raises(RemoteError, match="redirects the login again and again"):
        shown(target)


def test_a_portal_where_nothing_listens_is_told() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        portal = Portal("127.0.0.1", free.getsockname()[1])
        with pytest.raises(ConnectionFailed, match=r"Target iqn\.x at 127\.0\.0\.1:\d+ cannot be reached: Connection refused"):
            luns(IscsiPath(portal, "iqn.x", INITIATOR), dial_directly(PLENTY))


def test_a_port_that_speaks_something_else_is_told() -> None:
    def dial(_portal: Portal) -> socket.socket:
        here, there = socket.socketpair()
        there.sendall(b"SSH-2.0-OpenSSH_9.2p1\r\n")
        there.close()
        return here

    with pytest.raises(ConnectionFailed, match="check that an iSCSI target runs there"):
        luns(IscsiPath(Portal("a", 22), IQN, INITIATOR), dial)


class TestARedirection:
    @pytest.mark.parametrize(
        "address",
        [
            "",
            ":3260",
            "host",
            "host:",
            "host:0",
            "host:65536",
            "host:99999999",
            "host:٣٢٦٠",
            "-oProxyCommand=x:3260",
            "a b:3260",
            "a\x01:3260",
        ],
    )
    def test_to_what_is_no_address_is_told(self, target: IscsiTarget, address: str) -> None:
        target.moved_to = address
        with pytest.raises(RemoteError, match=r"redirects the login to '.*', which is no address: check the array's portals"):
            shown(target)

    @pytest.mark.parametrize("host", ["a" * 64, "a..b", "x" * 253, "no-such-array.invalid"])
    def test_to_a_host_that_cannot_be_is_told(self, target: IscsiTarget, host: str) -> None:
        target.moved_to = f"{host}:3260,1"
        with pytest.raises(ConnectionFailed, match=rf"redirects the login to {host}:3260, which cannot be reached: .*; check the address"):
            shown(target)


def ping(answerer: Answerer) -> None:
    """A NOP-In that wants an answer."""
    answerer.send(0x20, 0x80, b"\xff" * 4, transfer_tag=b"\0\0\0\x2a")


def remark(answerer: Answerer) -> None:
    """A NOP-In that wants none."""
    answerer.send(0x20, 0x80, b"\xff" * 4)


def event(answerer: Answerer) -> None:
    """An asynchronous message."""
    answerer.send(0x32, 0x80, answerer.tag, data=bytes(1000))


def byte(answerer: Answerer) -> None:
    """A part of a PDU."""
    answerer.write(b"\x20")


def large(answerer: Answerer) -> None:
    """The header of a PDU of 16 MiB."""
    answerer.write(b"\x21\0\0\0\0\xff\xff\xff" + bytes(40))


def for_ever(action: Callable[[Answerer], None]) -> Callable[[Answerer], None]:
    """Until nobody listens any more, or much longer than anybody should."""

    def repeat(answerer: Answerer) -> None:
        for _time in range(1_000_000):
            action(answerer)

    return repeat


def now_and_then(action: Callable[[Answerer], None]) -> Callable[[Answerer], None]:
    """Often enough for the timeout of the socket, and for several times as long as `LITTLE`."""

    def repeat(answerer: Answerer) -> None:
        for _time in range(100):
            action(answerer)
            time.sleep(0.05)

    return repeat


def of_data(answerer: Answerer) -> None:
    """A Data-In without the status that ends a command."""
    answerer.send(0x25, 0, answerer.tag, data=bytes(8))


@pytest.mark.parametrize("admits", [True, False], ids=["a command", "a login"])
@pytest.mark.slow
class TestATargetThatGoesOnInsteadOfAnswering:
    @pytest.mark.parametrize(
        ("behaviour", "timeout", "text"),
        [
            (for_ever(remark), PLENTY, "answers with more than 1 MiB"),
            (for_ever(event), PLENTY, "answers with more than 1 MiB"),
            (now_and_then(ping), LITTLE, r"answers too slowly \(\d+ bytes in 1 s\)"),
            (now_and_then(byte), LITTLE, r"answers too slowly \(\d+ bytes in 1 s\)"),
            (large, PLENTY, "sends a PDU of 16777215 bytes, more than the 262144"),
        ],
        ids=["pings", "messages", "slow pings", "drip", "large PDU"],
    )
    def test_is_left(self, target: IscsiTarget, admits: bool, behaviour: Callable[[Answerer], None], timeout: float, text: str) -> None:
        target.instead, target.admits = behaviour, admits
        with pytest.raises(ConnectionFailed, match=rf"Target {IQN} at 127\.0\.0\.1:\d+ {text}.*; check that an iSCSI target runs there"):
            luns(IscsiPath(target.portal, IQN, INITIATOR), dial_directly(timeout))


class TestATargetThatAnswersStrangely:
    @pytest.mark.parametrize("offset", [8, 1 << 31])
    def test_with_data_from_elsewhere_is_told(self, target: IscsiTarget, offset: int) -> None:
        target.instead = lambda answerer: answerer.send(0x25, 0x81, answerer.tag, data=bytes(8), offset=offset)
        with pytest.raises(ConnectionFailed, match="answers SCSI command 0xa0 with data that was not asked for"):
            shown(target)

    def test_with_data_for_ever_is_told(self, target: IscsiTarget) -> None:
        target.instead = for_ever(of_data)
        with pytest.raises(ConnectionFailed, match="answers with more than 1 MiB"):
            shown(target)

    def test_with_more_luns_than_anybody_can_use_is_told(self, target: IscsiTarget) -> None:
        addresses = bytes(8) * 5000
        reply = len(addresses).to_bytes(4, "big") + bytes(4) + addresses
        target.instead = lambda answerer: answerer.send(0x25, 0x81, answerer.tag, data=reply)
        with pytest.raises(ConnectionFailed, match="shows 5000 logical units, more than 4096"):
            shown(target)

    def test_with_half_an_address_has_one_less(self, target: IscsiTarget) -> None:
        target.instead = lambda answerer: answerer.send(0x25, 0x81, answerer.tag, data=(12).to_bytes(4, "big") + bytes(8))
        assert shown(target) == []

    def test_without_a_size_is_told(self, target: IscsiTarget) -> None:
        target.capacity = b"\0" * 8
        with pytest.raises(RemoteError, match="answers READ CAPACITY with 8 bytes"):
            shown(target)


def test_all_questions_together_have_an_end(target: IscsiTarget, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(iscsi, "_SECONDS_A_LUN", -1000.0)
    with pytest.raises(ConnectionFailed, match="takes too long for all that was asked"):
        shown(target)
