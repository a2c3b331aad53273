# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where a LUN is shown over iSCSI: by the user's word, else by the array's, which is asked once and only where it is needed."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import InvalidInput
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.base import IscsiLogin
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import Portal, Target
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import PlannedLun
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.iscsi_logins import logins
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.presentation import Presentation
from tests.unit.ports import NAME, OTHER, MemoryArray, MemoryHypervisor, lun

IQN = "iqn.2026-11.com.example:array"
CHAP = {"chap_username": "hosts", "chap_password": "secret"}


@pytest.fixture
def array() -> MemoryArray:
    portals = [Portal("192.0.2.11"), Portal("192.0.2.12", 3261)]
    return MemoryArray(lun(NAME, initiators=["iqn.2026-11.com.example:host"]), served_by=[Target("iscsi", IQN, portals)])


def asking(array: MemoryArray) -> Presentation:
    return Presentation(lambda: array, MemoryHypervisor([]), NAME)


def test_an_address_is_the_users_word_and_the_array_is_not_asked(array: MemoryArray) -> None:
    given = {"address": "192.0.2.99", "port": None, "target": "", **CHAP}
    assert logins(given, asking(array))() == (IscsiLogin("192.0.2.99", username="hosts", password="secret"),)
    assert array.calls == []


def test_without_one_the_array_tells_every_portal_once(array: MemoryArray) -> None:
    targets = logins(CHAP, asking(array))
    assert array.calls == []
    assert [(login.address, login.port, login.iqn, login.username) for login in targets()] == [
        ("192.0.2.11", 3260, IQN, "hosts"),
        ("192.0.2.12", 3261, IQN, "hosts"),
    ]
    targets()
    assert array.calls.count("targets") == 1


def test_a_target_that_is_named_is_the_only_one(array: MemoryArray) -> None:
    assert logins({"target": "iqn.2026-11.com.example:other"}, asking(array))() == ()


def test_nobody_who_could_tell_knows_none() -> None:
    assert logins(None, None)() == ()


@pytest.mark.parametrize("initiators", [[], ["10:00:00:00:00:00:00:01"]])
def test_a_lun_that_is_mapped_to_no_iscsi_initiator_is_shown_by_no_target(array: MemoryArray, initiators: list[str]) -> None:
    array.lun = lun(NAME, initiators=initiators)
    assert logins(None, asking(array))() == ()


def test_an_array_that_does_not_have_the_lun_or_does_not_answer_tells_none(array: MemoryArray) -> None:
    array.lun = lun(OTHER, initiators=["iqn.2026-11.com.example:host"])
    assert logins(None, asking(array))() == ()
    array.error = "It says no."
    assert logins(None, asking(array))() == ()


def test_of_a_lun_that_does_not_exist_yet_nobody_is_asked(array: MemoryArray) -> None:
    planned = Presentation(lambda: array, MemoryHypervisor([]), PlannedLun("svm:/vol/v/l"))
    assert logins(None, planned)() == ()
    assert array.calls == []


def test_a_target_that_is_not_in_service_is_none(array: MemoryArray) -> None:
    array.served_by = [Target("iscsi", IQN, [Portal("192.0.2.11")], enabled=False), Target("iscsi", IQN)]
    assert logins(None, asking(array))() == ()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"chap_username": "hosts"}, "Only one of iscsi.chap_username and iscsi.chap_password"),
        ({"chap_password": "secret"}, "Only one of iscsi.chap_username and iscsi.chap_password"),
        ({**CHAP, "mutual_chap_password": "secret"}, "Only one of iscsi.mutual_chap_username"),
        ({"mutual_chap_username": "array", "mutual_chap_password": "secret"}, "without iscsi.chap_username"),
        ({"address": "192.0.2.99", "port": 65536}, "iscsi.port 65536 does not exist"),
        ({"port": 3261, **CHAP}, "iscsi.port was given without iscsi.address"),
    ],
)
def test_half_a_login_is_one_sentence_without_the_secret(given: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidInput, match=told) as refused:
        logins(given, None)
    assert "secret" not in str(refused.value).replace("secrets", "")


def test_a_secret_is_not_shown_where_the_login_is() -> None:
    login = IscsiLogin("192.0.2.99", username="hosts", password="not-told", mutual_username="array", mutual_password="nor-this")
    assert not {"not-told", "nor-this"} & set(repr(login).replace("'", " ").split())


MUTUAL = {**CHAP, "mutual_chap_username": "array", "mutual_chap_password": "theirs"}


def test_the_target_proves_itself_where_the_user_says_by_what(array: MemoryArray) -> None:
    named = logins({"address": "192.0.2.99", **MUTUAL}, None)()
    told = logins(MUTUAL, asking(array))()
    assert {(one.username, one.password, one.mutual_username, one.mutual_password) for one in (*named, *told)} == {
        ("hosts", "secret", "array", "theirs")
    }


@pytest.mark.parametrize("port", [1, 3261, 65535])
def test_an_address_is_asked_at_its_port_for_its_target(port: int) -> None:
    assert logins({"address": "192.0.2.99", "port": port, "target": IQN}, None)() == (IscsiLogin("192.0.2.99", port, IQN),)


def test_a_port_that_does_not_exist_is_told_with_those_that_do() -> None:
    with pytest.raises(InvalidInput, match=r"iscsi.port 0 does not exist: give a number from 1 to 65535"):
        logins({"address": "192.0.2.99", "port": 0}, None)
