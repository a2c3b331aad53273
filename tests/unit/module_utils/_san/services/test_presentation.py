# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An array ends a wait only by what it knows: a state in which nobody sees the LUN, or hosts none of whose initiators does."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import AuthenticationFailed
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import Hba, Host
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.presentation import Presentation
from tests.unit.ports import NAME, OTHER, MemoryArray, MemoryHypervisor, lun

IQN = "iqn.2026-01.com.example:esx"


def host(name: str, *initiators: str) -> Host:
    return Host(name, name, hbas=[Hba(f"vmhba{n}", "iscsi_software", "online", iqn=iqn) for n, iqn in enumerate(initiators)])


HOSTS = [host("esx1", f"{IQN}1"), host("esx2", f"{IQN}2", f"{IQN}2b"), host("esx3")]


@pytest.fixture
def array() -> MemoryArray:
    return MemoryArray(lun(NAME, initiators=[f"{IQN}1", f"{IQN}2B".upper()]))


@pytest.fixture
def hypervisor() -> MemoryHypervisor:
    return MemoryHypervisor(HOSTS)


@pytest.fixture
def presentation(array: MemoryArray, hypervisor: MemoryHypervisor) -> Presentation:
    return Presentation(lambda: array, hypervisor, NAME)


def test_a_host_with_one_initiator_that_sees_the_lun_may_wait(presentation: Presentation) -> None:
    assert presentation.in_vain(HOSTS[:2]) == ""
    assert (presentation.mapped, presentation.remark) == (True, "array ontap.example.com maps it to them")


def test_hosts_none_of_whose_initiators_sees_the_lun_wait_in_vain(presentation: Presentation, array: MemoryArray) -> None:
    array.lun = lun(NAME, initiators=[f"{IQN}1"])
    assert presentation.in_vain(HOSTS).startswith(
        f"LUN {NAME} (svm1:/vol/v1/l1) is mapped to no initiator of esx2 on array ontap.example.com, so that they cannot see it: map it"
    )
    array.lun = replace(array.lun, mappings=())
    assert "no initiator of esx1, esx2 on array" in presentation.in_vain(HOSTS)
    assert not presentation.mapped


@pytest.mark.parametrize("state", ["offline", "space_error"])
def test_nobody_sees_a_lun_that_is_not_online(presentation: Presentation, array: MemoryArray, state: str) -> None:
    assert array.lun
    array.lun = replace(array.lun, state=state)
    assert f"(svm1:/vol/v1/l1) is {state} on array ontap.example.com, so that no host can see it: bring it" in presentation.in_vain(HOSTS)


def test_what_the_array_cannot_tell_ends_no_wait(presentation: Presentation, array: MemoryArray) -> None:
    assert array.lun
    array.lun = replace(array.lun, state="unknown", mappings=[replace(array.lun.mappings[0], initiators=(), told=False)])
    assert presentation.in_vain(HOSTS) == ""
    array.lun = lun(OTHER, initiators=[])
    assert (presentation.in_vain(HOSTS), presentation.remark) == ("", "array ontap.example.com has no such LUN")


def test_a_host_of_which_no_initiator_is_known_may_wait(presentation: Presentation, array: MemoryArray) -> None:
    array.lun = lun(NAME, initiators=[])
    assert presentation.in_vain(HOSTS[2:]) == ""


def test_an_array_that_cannot_be_asked_ends_no_wait_and_is_asked_no_more(presentation: Presentation, array: MemoryArray) -> None:
    array.error = "It says no."
    assert presentation.in_vain(HOSTS) == ""
    assert presentation.remark == "the array could not be asked whether it maps the LUN to them (It says no)"
    array.error = ""
    array.lun = lun(NAME, initiators=[])
    assert presentation.in_vain(HOSTS) == ""
    assert array.calls == ["about"]


def test_a_wrong_password_ends_no_wait_either(hypervisor: MemoryHypervisor) -> None:
    def refused() -> MemoryArray:
        raise AuthenticationFailed("The array refuses the password.")

    presentation = Presentation(refused, hypervisor, NAME)
    assert presentation.in_vain(HOSTS) == ""
    assert "refuses the password" in presentation.remark
    presentation.close()


def test_the_hosts_are_read_once_and_the_array_is_closed_when_it_was_opened(
    presentation: Presentation, array: MemoryArray, hypervisor: MemoryHypervisor
) -> None:
    presentation.close()
    assert array.calls == []
    for _time in range(3):
        presentation.in_vain(HOSTS)
    presentation.close()
    assert (hypervisor.calls, array.calls) == (["hosts"], ["about", "luns", "luns", "luns", "close"])


def test_an_adapter_is_known_to_the_array_in_whatever_spelling_its_host_tells_it(array: MemoryArray) -> None:
    fibre = Host("esx4", "esx4", hbas=[Hba("vmhba9", "fc", "online", port_wwn="0x20000025B5A0000F")])
    array.lun = lun(NAME, initiators=["20:00:00:25:b5:a0:00:0f"])
    presentation = Presentation(lambda: array, MemoryHypervisor([fibre]), NAME)
    assert (presentation.in_vain([fibre]), presentation.mapped) == ("", True)
