# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Hosts are asked for their initiators only where something depends on them, and who is not known is no stranger."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.model import ArrayAbout, Hba, Host, Inventory, Lun, LunMapping
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.array_view import ArrayView
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.storage_map.initiators import Initiators
from tests.unit.ports import NAME, OTHER, MemoryHypervisor, lun

A, B, C = (f"iqn.2026-01.com.example:{letter}" for letter in "abc")
FIRST, SECOND = (ArrayAbout("ontap", name, f"{name}.example.com", "9.16.1", name) for name in ("first", "second"))


def host(name: str, *initiators: str) -> Host:
    return Host(name, name, hbas=[Hba(f"vmhba{n}", "iscsi_software", "online", iqn=iqn) for n, iqn in enumerate(initiators)])


HOSTS = [host("esx1", A), host("esx2", B)]


class Hypervisor(MemoryHypervisor):
    """Notes whether hosts were asked all at once."""

    def hosts(self, at_once: bool = False) -> list[Host]:
        self.calls.append(f"hosts {at_once}")
        return self.host_list


def under(*numbers: tuple[int, str], name: ScsiName = NAME) -> Lun:
    """A LUN that each of these initiators has under a number of its own."""
    mappings = [LunMapping(f"g{number}", f"id-g{number}", number, [initiator] if initiator else []) for number, initiator in numbers]
    return replace(lun(name), mappings=mappings)


def view(*found: Lun, about: Sequence[ArrayAbout] = (FIRST, SECOND)) -> ArrayView:
    """What arrays tell; each further LUN of a name is another array's."""
    answers = ArrayView()
    for one in found:
        answers.luns.setdefault(one.name, []).append((about[len(answers.luns.get(one.name, ()))], one))
    return answers


@pytest.mark.parametrize(
    ("answers", "strangers", "asked"),
    [
        (view(under((3, A))), False, False),
        (view(under((3, A)), under((3, A))), False, True),
        (view(under((3, A), (4, B)), under((5, A), name=OTHER)), False, True),
        (view(under((3, A))), True, True),
        (view(under((3, ""))), True, False),
        (view(under()), True, False),
    ],
    ids=["one number", "a mirror", "two numbers", "strangers", "strangers, of which no initiator is told", "strangers, but mapped nowhere"],
)
def test_hosts_are_asked_only_where_something_depends_on_them(answers: ArrayView, strangers: bool, asked: bool) -> None:
    hypervisor = Hypervisor(HOSTS)
    Initiators(hypervisor, Inventory(), answers, strangers)
    assert hypervisor.calls == (["hosts True"] if asked else []), "whoever is asked is asked all at once"


def test_hosts_are_not_asked_where_the_inventory_tells_their_adapters() -> None:
    hypervisor = Hypervisor(HOSTS)
    told = Initiators(hypervisor, Inventory(hosts=[host("esx3"), host("esx1", A)]), view(under((3, A), (4, B))), strangers=True)
    assert hypervisor.calls == []
    assert told.strangers(under((3, A), (4, B))) == [B]


def test_a_host_has_the_number_under_which_its_own_initiator_sees_the_lun() -> None:
    found = under((3, A.upper()), (4, B))
    told = Initiators(Hypervisor(HOSTS), Inventory(), view(found), strangers=False)
    assert [told.number(found, name) for name in ("esx1", "esx2", "esx9")] == [3, 4, None]


def test_the_only_number_is_everybodys_unless_the_lun_is_mirrored() -> None:
    """Initiators that a host does not tell, such as those of other adapters, may be its own."""
    alone = under((3, C))
    assert Initiators(Hypervisor(HOSTS), Inventory(), view(alone), strangers=True).number(alone, "esx1") == 3
    mirrored = Initiators(Hypervisor(HOSTS), Inventory(), view(alone, under((5, A))), strangers=True)
    assert mirrored.number(alone, "esx1") is None
    assert mirrored.number(under((5, A)), "esx1") is None, "one and the same LUN is looked at once"


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (replace(under((3, A)), svm_id="one"), replace(under((5, A)), svm_id="two")),
        (replace(under((3, A)), svm="one"), replace(under((5, A)), svm="two")),
        (replace(under((3, A)), id="one"), replace(under((5, A)), id="two")),
    ],
    ids=["the SVM's id", "the SVM's name", "the LUN's id"],
)
def test_luns_that_differ_in_one_word_are_two(first: Lun, second: Lun) -> None:
    told = Initiators(Hypervisor(HOSTS), Inventory(), view(first), strangers=False)
    assert [told.number(one, "esx1") for one in (first, second)] == [3, 5]


def test_where_no_host_tells_a_name_nobody_is_a_stranger() -> None:
    nameless = Host("esx1", "esx1", hbas=[Hba("vmhba0", "fc", "online")])
    told = Initiators(Hypervisor([nameless]), Inventory(), view(under((3, A))), strangers=True)
    assert told.strangers(under((3, A))) == []
    known = Initiators(Hypervisor(HOSTS), Inventory(), view(under((3, C))), strangers=True)
    assert known.strangers(under((3, C.upper()), (3, A.upper()))) == [C]
    assert known.strangers(None) == []
