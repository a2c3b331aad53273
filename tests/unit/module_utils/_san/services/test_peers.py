# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A VM finds its LUN on every host to which it may move, or somebody is told on which not, and what to do."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import option
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import Given, Host, ScsiDevice, VirtualMachine
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.peers import Peers
from tests.unit.ports import NAME

MAP = Given("/dev/disk/by-id/dm-uuid-mpath-3600a", "by multipath device mpatha", "by multipath", best=True)
PATH = Given("/dev/disk/by-id/wwn-0x600a", "by one path (sda)", "by its own adapters")
NETWORK = Given("iqn.a at 192.0.2.11:3260", "over the network", "by a pool")
STOPPED = replace(PATH, refusal="Host kvm2 has it by 2 paths: start multipathd.", by_one_path=True)
COMING = replace(STOPPED, passing=True)
BROKEN = replace(PATH, refusal="Host kvm2 has it with another LUN: take that out.")
ON_ONE = VirtualMachine("uuid-app", "app", host="h1")
PEERS = Peers(ON_ONE, NAME, [Host("h1", "kvm1"), Host("h2", "kvm2")])


def seen(host: str, *ways: Given | None, state: str = "ok") -> list[ScsiDevice]:
    return [ScsiDevice(host, "sda", NAME, 1 << 30, state=state, given=way) for way in ways]


def told(ours: Given | None, *theirs: Given | None, vouched: bool = False) -> list[str]:
    return replace(PEERS, vouched=vouched).unlike([*seen("h1", ours), *seen("h2", *theirs)])


@pytest.mark.parametrize("way", [MAP, PATH, NETWORK])
def test_hosts_that_give_it_by_one_name_are_alike(way: Given) -> None:
    assert told(way, replace(way, how="by another device of that name")) == []


def test_a_host_that_gives_it_by_another_name_is_told_with_what_it_has_and_the_ways_out() -> None:
    (sentence,) = told(MAP, PATH)
    assert sentence == (
        f"Host kvm2 has LUN {NAME} by one path (sda) and host kvm1 by multipath device mpatha, so that a VM which moves does not find it "
        f"by one name on both: let host kvm2 have it by multipath too, accept that with {option('single_path', 'allow')}, or leave host "
        f"kvm2, to which VM app may move, out with {option('ignore_hosts', 'kvm2')}."
    )


@pytest.mark.parametrize(
    ("ours", "theirs", "way_out"),
    [
        (PATH, MAP, "let host kvm1 have it by multipath too"),
        (NETWORK, MAP, "let host kvm1 have it by multipath too"),
        (MAP, NETWORK, "let host kvm2 have it by multipath too"),
        (NETWORK, PATH, "let host kvm2 have it by a pool too"),
        (NETWORK, replace(NETWORK, name="iqn.a at 192.0.2.12:3260"), "let host kvm2 have it by a pool too"),
    ],
)
def test_the_better_way_is_the_way_out_and_else_that_of_the_vms_host(ours: Given, theirs: Given, way_out: str) -> None:
    (sentence,) = told(ours, theirs)
    assert way_out in sentence


def test_one_of_several_ways_to_it_is_enough() -> None:
    assert told(NETWORK, MAP, replace(NETWORK, name="another"), NETWORK) == []


def test_the_vm_gets_it_by_the_first_way_of_its_own_host_that_works() -> None:
    ours = [*seen("h1", MAP, state="lost"), *seen("h1", NETWORK, PATH)]
    assert PEERS.unlike([*ours, *seen("h2", NETWORK)]) == []
    assert len(PEERS.unlike([*ours, *seen("h2", PATH)])) == 1


def test_a_host_that_would_give_it_to_no_vm_says_why_and_may_be_left_out() -> None:
    left_out = f"leave host kvm2, to which VM app may move, out with {option('ignore_hosts', 'kvm2')}"
    assert told(PATH, STOPPED) == [f"Host kvm2 has it by 2 paths: start multipathd, or {left_out}."]


def test_the_users_word_for_one_path_makes_it_a_name_as_any() -> None:
    assert told(PATH, STOPPED, vouched=True) == []
    (sentence,) = told(MAP, STOPPED, vouched=True)
    assert sentence.startswith(f"Host kvm2 has LUN {NAME} by one path (sda) and host kvm1 by multipath device mpatha")
    assert "single_path" not in sentence


def test_the_users_word_for_one_path_does_not_mend_what_is_broken() -> None:
    assert told(PATH, BROKEN, vouched=True)[0].startswith("Host kvm2 has it with another LUN")


def test_what_the_vms_own_host_lacks_is_not_told_here() -> None:
    assert told(STOPPED, MAP) == []


@pytest.mark.parametrize("there", [seen("h1", MAP), seen("h2", MAP), [*seen("h1", MAP), *seen("h2", PATH, state="lost")]])
def test_a_host_that_does_not_see_it_yet_is_not_judged(there: list[ScsiDevice]) -> None:
    assert (PEERS.unlike(there), PEERS.may_change(there)) == ([], False)


def test_platforms_without_such_names_are_in_nobodys_way() -> None:
    assert told(None, None) == []


@pytest.mark.parametrize(
    ("ours", "theirs", "vouched", "waits"),
    [
        (MAP, COMING, False, True),
        (COMING, MAP, False, True),
        (COMING, COMING, False, True),
        (COMING, PATH, False, True),
        (MAP, MAP, False, False),
        (MAP, PATH, False, False),
        (MAP, STOPPED, False, False),
        (STOPPED, COMING, False, False),
        (PATH, COMING, True, False),
    ],
)
def test_a_host_that_is_still_at_it_is_worth_another_look(ours: Given, theirs: Given, vouched: bool, waits: bool) -> None:
    assert replace(PEERS, vouched=vouched).may_change([*seen("h1", ours), *seen("h2", theirs)]) is waits


def test_nobody_waits_for_one_host_while_another_is_as_it_stays() -> None:
    three = replace(PEERS, hosts=[*PEERS.hosts, Host("h3", "kvm3")])
    found = [*seen("h1", MAP), *seen("h2", COMING), *seen("h3", PATH)]
    assert (three.may_change(found), len(three.unlike(found))) == (False, 2)


def test_a_vm_without_peers_needs_no_second_look() -> None:
    alone = replace(PEERS, hosts=PEERS.hosts[:1])
    assert (alone.may_change(seen("h1", COMING)), alone.unlike(seen("h1", MAP))) == (False, [])
