# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""hypervisor_facts: facts, and nothing but facts."""

from __future__ import annotations

from unittest import mock

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.endpoints import guests
from tests.unit.modules.subject import opened, subject, undocumented
from tests.unit.ports import MemoryHypervisor
from tests.unit.windows_guest import Bench

FACTS = subject("hypervisor_facts")
ENDPOINT = {"hostname": "vcenter.example.com"}


def test_the_documentation_tells_the_options_that_there_are() -> None:
    assert FACTS.documented_options == FACTS.declared_options


def test_it_says_that_it_returns_facts() -> None:
    assert FACTS.documentation["attributes"]["facts"]["support"] == "full"


def test_an_endpoint_tells_facts_under_one_name() -> None:
    hypervisor = MemoryHypervisor()
    with opened(hypervisor):
        result = FACTS.succeed({"hypervisor": ENDPOINT})
    assert undocumented(result, FACTS.documented_results) == []
    assert set(result) == {"ansible_facts"}
    assert set(result["ansible_facts"]) == {"crossvisor"}
    assert result["ansible_facts"]["crossvisor"]["source"] == "endpoint"
    assert hypervisor.calls == ["about", "close"]


def test_without_an_endpoint_the_machine_tells_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VMWARE_HOST", raising=False)
    with opened():
        result = FACTS.succeed({})
    assert undocumented(result, FACTS.documented_results) == []
    assert result["ansible_facts"]["crossvisor"]["source"] == "local"


def test_an_endpoint_that_only_the_environment_names_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VMWARE_HOST", "vcenter.example.com")
    with opened(MemoryHypervisor()):
        assert FACTS.succeed({})["ansible_facts"]["crossvisor"]["type"] == "memory"


def test_a_windows_guest_is_asked_when_it_is_named() -> None:
    with opened(), mock.patch.object(guests, "open_guest", return_value=Bench().guest):
        result = FACTS.succeed({"guest": {"hostname": "win01.lab"}})
    assert undocumented(result, FACTS.documented_results) == []
    assert (result["ansible_facts"]["crossvisor"]["source"], result["ansible_facts"]["crossvisor"]["vm_name"]) == ("guest", "win01")


def test_a_guest_and_an_endpoint_are_two_questions() -> None:
    assert "mutually exclusive" in FACTS.fail({"guest": {"hostname": "win01.lab"}, "hypervisor": ENDPOINT})
