# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A playbook never ends well because nobody was meant."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from ansible import context
from ansible.utils.context_objects import CLIArgs

from ansible_collections.crossvisor.san.plugins.lookup.target import LookupModule

GROUPS = {"all": ["vcenter", "hyperv"], "hypervisors": ["vcenter", "hyperv"], "ungrouped": []}
TARGET = "lookup('crossvisor.san.target', target)"

Evaluate = Callable[..., Any]


@pytest.mark.parametrize("target", ["vcenter", "hypervisors", "hypervisors:!vcenter", "hyper*", "all", "localhost"])
def test_a_pattern_that_matches_is_returned_as_it_is(evaluate: Evaluate, target: str) -> None:
    assert evaluate(TARGET, target=target, groups=GROUPS) == target


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ("vcentre", r"target=vcentre matches no host of the inventory; did you mean vcenter\?"),
        ("hypervisor", r"did you mean hypervisors or hyperv\?"),
        ("hyperv:!hypervisors", r"target=hyperv:!hypervisors matches no host of the inventory"),
        ("xyz", r"target=xyz matches no host of the inventory: name one of its hosts or groups\."),
    ],
)
def test_a_pattern_that_matches_nobody_is_one_sentence(evaluate: Evaluate, target: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        evaluate(TARGET, target=target, groups=GROUPS)


def test_without_an_inventory_there_is_this_machine(evaluate: Evaluate) -> None:
    assert evaluate(TARGET, target="localhost", groups={}) == "localhost"


def test_a_check_of_the_syntax_needs_no_inventory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(context, "CLIARGS", CLIArgs({"syntax": True}))
    assert LookupModule().run(["hypervisors"], {}) == ["hypervisors"]
