# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What iSCSI targets show, asked once each, with those that do not answer noted."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import AuthenticationFailed, NotFound
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm import targets
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.domain import Login, Secret, Source
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.iscsi import dial_directly
from tests.unit import libvirt
from tests.unit.iscsi_target import INITIATOR, IQN, IscsiTarget, listening
from tests.unit.libvirt import Connect
from tests.unit.ports import NAME, OTHER


@pytest.fixture
def target() -> Iterator[IscsiTarget]:
    with listening(IscsiTarget({1: NAME, 7: OTHER})) as there:
        yield there


def login(target: IscsiTarget, user: str = "", secret: str = "") -> Login:
    return Login(target.portal, IQN, INITIATOR, user, Secret(usage=secret))


def ask(*logins: Login, connect: Connect | None = None) -> targets.Answers:
    return targets.ask(libvirt.session(connect or Connect()), dial_directly(5), logins)


def test_the_lun_behind_a_disk_is_what_its_target_shows_under_its_number(target: IscsiTarget) -> None:
    answers = ask(login(target))
    lun = answers.lun(Source("network", login=login(target), lun_id=7))
    assert lun is not None
    assert lun.name == OTHER
    assert answers.lun(Source("network", login=login(target), lun_id=2)) is None
    assert answers.lun(Source("block", "/dev/sda")) is None


def test_a_lun_above_255_has_the_number_by_which_qemu_sends_its_address(target: IscsiTarget) -> None:
    """Else QEMU opens another LUN: 300 is bus 1, unit 44 on the wire (seen with tgt 1.0.85 and QEMU 7.2)."""
    target.luns[300] = OTHER
    answers = ask(login(target))
    _seven, source = answers.showing(OTHER)
    assert (source.lun_id, source.name) == (16684, f"{IQN}/16684")
    assert answers.lun(source) == next(lun for lun in answers.luns[login(target)] if lun.number == 300)
    assert answers.lun(Source("network", login=login(target), lun_id=300)) is None


@pytest.mark.parametrize(("number", "unclear"), [(7, False), (255, False), (300, True), (16383, True), (16684, False)])
def test_a_number_that_targets_read_in_two_ways_may_be_any_lun(target: IscsiTarget, number: int, unclear: bool) -> None:
    answers = ask(login(target))
    assert answers.is_unclear(Source("network", login=login(target), lun_id=number)) == unclear


def test_a_target_is_asked_once_however_many_disks_are_on_it(target: IscsiTarget) -> None:
    ask(login(target), login(target), login(target))
    assert (target.logouts, target.commands.count(0xA0)) == (1, 1)


def test_every_way_to_a_lun_is_a_source(target: IscsiTarget) -> None:
    (source,) = ask(login(target)).showing(NAME)
    assert (source.login, source.lun_id, source.name) == (login(target), 1, f"{IQN}/1")


def test_the_luns_are_devices_of_the_host(target: IscsiTarget) -> None:
    devices = ask(login(target)).devices("h1")
    assert [(device.host, device.name, device.vendor, device.size_bytes) for device in devices] == [
        ("h1", NAME, "NETAPP", 1 << 30),
        ("h1", OTHER, "NETAPP", 1 << 30),
    ]


def test_a_chap_secret_is_read_from_libvirt(target: IscsiTarget) -> None:
    target.accounts = {"kvm": "twelve-chars"}
    asked = login(target, "kvm", "array")
    assert len(ask(asked, connect=Connect(secrets={"array": "twelve-chars"})).luns[asked]) == 2


def test_a_target_that_gives_no_answer_is_noted_with_its_reason(target: IscsiTarget) -> None:
    target.accounts = {"kvm": "twelve-chars"}
    wrong, unknown = login(target, "kvm", "array"), login(target, "kvm", "gone")
    failures = ask(wrong, unknown, connect=Connect(secrets={"array": "other-secret"})).failures
    assert isinstance(failures[wrong], AuthenticationFailed)
    assert isinstance(failures[unknown], NotFound)
