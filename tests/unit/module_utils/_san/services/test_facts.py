# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Facts say where they come from."""

from __future__ import annotations

from ansible_collections.crossvisor.san.plugins.module_utils._san.services import facts
from tests.unit.ports import MemoryHypervisor
from tests.unit.windows_guest import Bench


def test_an_endpoint_tells_who_it_is() -> None:
    found = facts.of_endpoint(MemoryHypervisor())
    assert (found["source"], found["type"], found["product"], found["address"]) == ("endpoint", "memory", "Memory", "hv.example.com")


def test_a_machine_tells_what_it_sees_of_itself_with_evidence() -> None:
    found = facts.of_this_machine()
    assert found["source"] == "local"
    assert found["virtualized"] in (True, False, None)
    assert found["evidence"], "a claim without evidence is no fact"


def test_a_windows_guest_tells_what_it_sees_of_itself_when_it_is_asked_from_outside() -> None:
    found = facts.of_guest(Bench().guest)
    assert (found["source"], found["type"], found["parent_host"]) == ("guest", "hyperv", "hv01.lab")
    assert set(found) == set(facts.of_this_machine())
