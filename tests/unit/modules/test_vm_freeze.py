# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""vm_freeze: its options, its results, its errors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san import apart
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import VirtualMachine
from tests.unit.module_utils._san.services.test_guest_freeze import PlayedAgent
from tests.unit.modules.subject import opened, subject, undocumented
from tests.unit.ports import NAME, MemoryHypervisor

FREEZE = subject("vm_freeze")
APP = {"hypervisor": {"hostname": "kvm01"}, "vm": "app"}


@dataclass
class There:
    """A VM with an agent, and what was begun beside the module."""

    agent: PlayedAgent = field(default_factory=PlayedAgent)
    begun: list[object] = field(default_factory=list)


@pytest.fixture
def there(monkeypatch: pytest.MonkeyPatch) -> Iterator[There]:
    found = There()
    fields = FREEZE.module.GuestFreeze.__dataclass_fields__
    assert fields["begin"].default is apart.begin

    def begin(work: object) -> int:
        found.begun.append(work)
        return 1

    real = FREEZE.module.GuestFreeze
    monkeypatch.setattr(FREEZE.module, "GuestFreeze", lambda *given: real(*given, begin=begin))
    with opened(MemoryHypervisor(machines=[VirtualMachine("vm-1", "app")], guest_agent=found.agent)):
        yield found


def test_the_documentation_tells_the_options_that_there_are() -> None:
    assert FREEZE.documented_options == FREEZE.declared_options


def test_it_returns_what_is_documented(there: There) -> None:
    for arguments in ({"state": "frozen", "naas": [f"naa.{NAME.naa}"]}, {"state": "thawed"}):
        result = FREEZE.succeed({**APP, **arguments})
        assert undocumented(result, FREEZE.documented_results) == []
        assert set(result) == set(FREEZE.documented_results)
    assert there.agent.told == ["note", "freeze /srv/data /srv/log", "note", "thaw"]
    assert len(there.begun) == 1


def test_check_mode_freezes_and_thaws_nothing(there: There) -> None:
    result = FREEZE.run({**APP, "state": "frozen", "naas": [NAME.naa]}, check=True)
    assert (result["changed"], [one["mount"] for one in result["file_systems"]]) == (True, ["/srv/data", "/srv/log"])
    assert not FREEZE.run({**APP, "state": "thawed"}, check=True)["changed"]
    assert (there.agent.told, there.begun) == ([], [])


def test_what_another_run_has_let_go_was_not_held(there: There) -> None:
    mark = FREEZE.run({**APP, "state": "frozen", "naas": [NAME.naa]})["made_by"]
    assert FREEZE.run({**APP, "state": "thawed"})["changed"]
    assert not FREEZE.run({**APP, "state": "thawed"})["changed"]
    assert not FREEZE.run({**APP, "state": "thawed", "made_by": mark})["held"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({}, "naas names no LUN"),
        ({"naas": ["nonsense"]}, "nonsense"),
        ({"naas": [NAME.naa], "thaw_after": 3600}, "thaw_after=3600 is not one of 5 to 600 seconds"),
        ({"naas": [NAME.naa], "vm": "nope"}, "There is no VM 'nope'"),
    ],
)
def test_what_cannot_be_frozen_is_told(there: There, arguments: dict[str, object], told: str) -> None:
    assert told in FREEZE.fail({**APP, "state": "frozen", **arguments})
    assert there.agent.told == []


def test_a_platform_without_such_an_agent_is_told() -> None:
    with opened(MemoryHypervisor(machines=[VirtualMachine("vm-1", "app")])):
        assert "VM app has no agent" in FREEZE.fail({**APP, "state": "frozen", "naas": [NAME.naa]})
