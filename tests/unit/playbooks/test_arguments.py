# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every playbook tells a variable that it cannot do without by its name, before it does anything."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

PLAYBOOKS = sorted((Path(__file__).parents[3] / "playbooks").glob("*.yml"))
BARE = re.compile(r"\{\{ (\w+) \}\}")
SPEC = "ansible.builtin.validate_argument_spec"


def values(node: Any) -> Iterator[str]:
    """Every text of a playbook that may be a template."""
    if isinstance(node, dict):
        node = list(node.values())
    if isinstance(node, list):
        for item in node:
            yield from values(item)
    elif isinstance(node, str):
        yield node


def needed(play: dict[str, Any]) -> set[str]:
    """The variables that a playbook hands on as they are, and makes neither itself nor takes from Ansible."""
    handed_on = {match[1] for task in play["tasks"] for text in values(task.get("vars", {})) if (match := BARE.fullmatch(text))}
    return {name for name in handed_on if name not in play["vars"] and not name.startswith("ansible_")}


@pytest.mark.parametrize("playbook", PLAYBOOKS, ids=lambda path: path.stem)
def test_the_first_task_requires_each_variable_that_has_no_default(playbook: Path) -> None:
    (play,) = yaml.safe_load(playbook.read_text())
    first = play["tasks"][0]
    assert first["name"] == "Stop if a variable is missing"
    required = {name for name, option in first[SPEC]["argument_spec"].items() if option["required"]}
    assert needed(play) <= required
    assert required
