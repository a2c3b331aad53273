# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which LUNs a target shows, asked as an initiator would."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import AuthenticationFailed, ConnectionFailed, RemoteError
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import Portal
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.iscsi import NOT_ADMITTED, IscsiLun, IscsiPath, dial_directly, luns
from tests.unit.iscsi_target import INITIATOR, IQN, IscsiTarget, listening
from tests.unit.ports import NAME, OTHER


@pytest.fixture
def target() -> Iterator[IscsiTarget]:
    with listening(IscsiTarget({1: NAME, 300: OTHER})) as there:
        yield there


def shown(target: IscsiTarget, initiator: str = INITIATOR, user: str = "", secret: str = "", name: str = IQN) -> list[IscsiLun]:
    return luns(IscsiPath(target.portal, name, initiator, user, secret), dial_directly(5))


def test_each_disk_is_told_with_its_identity_number_and_size(target: IscsiTarget) -> None:
    assert shown(target) == [
        IscsiLun(1, NAME, 1 << 30, "NETAPP", "LUN C-Mode"),
        IscsiLun(300, OTHER, 1 << 30, "NETAPP", "LUN C-Mode"),
    ]


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
            luns(IscsiPath(portal, "iqn.x", INITIATOR), dial_directly(5))


def test_a_port_that_speaks_something_else_is_told() -> None:
    def dial(_portal: Portal) -> socket.socket:
        here, there = socket.socketpair()
        there.sendall(b"SSH-2.0-OpenSSH_9.2p1\r\n")
        there.close()
        return here

    with pytest.raises(ConnectionFailed, match="check that an iSCSI target runs there"):
        luns(IscsiPath(Portal("a", 22), IQN, INITIATOR), dial)
