# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A way out that names an option names it so that who uses a role, and cannot see the module, finds its variable."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest
import yaml

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import option

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted((ROOT / "plugins" / "module_utils").rglob("*.py"))
HIDDEN = ("assume_unused", "ignore_hosts", "initialize", "allocation_unit", "force", "blank", "datastore")
"""Options that somebody is told to set, and that roles set for their users."""
ADVICE = re.compile(rf"\b(?:set|say|vouch for \S+ with|in the option|(?:name|leave)(?: \w+){{0,2}}(?: in)?) (?:{'|'.join(HIDDEN)})\b(?!-)")


@cache
def written() -> tuple[frozenset[str], tuple[tuple[str, str], ...]]:
    """The options that messages name by `option`, and every text of the sources with its file."""
    options, texts = set(), []
    for file in SOURCES:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.append((str(file.relative_to(ROOT)), node.value))
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "option" and node.args:
                named = node.args[0]
                if isinstance(named, ast.Constant) and isinstance(named.value, str):
                    options.add(named.value)
    return frozenset(options), tuple(texts)


def variables() -> set[str]:
    """The variables of all roles."""
    return {
        variable
        for file in (ROOT / "roles").glob("*/meta/argument_specs.yml")
        for variable in yaml.safe_load(file.read_text())["argument_specs"]["main"]["options"]
    }


def test_messages_name_options_in_this_way() -> None:
    options, _texts = written()
    assert {"assume_unused", "ignore_hosts", "initialize", "datastore"} <= options


def test_an_option_that_is_named_is_a_variable_of_a_role() -> None:
    known = variables()
    options, _texts = written()
    assert {name for name in options if not any(variable.endswith(f"_{name}") for variable in known)} == set()


def test_no_message_tells_to_set_an_option_by_its_bare_name() -> None:
    _options, texts = written()
    named = [(file, text) for file, text in texts if any(name in text for name in HIDDEN)]
    bare = [(file, found[0]) for file, text in named if (found := ADVICE.search(text))]
    assert bare == []


@pytest.mark.parametrize(
    "advice", ["set initialize if it is empty", "vouch for it with assume_unused.", "name them in ignore_hosts", "say force"]
)
def test_bare_advice_is_noticed(advice: str) -> None:
    assert ADVICE.search(advice)


def test_an_option_is_named_with_its_value() -> None:
    assert option("assume_unused", "true") == "assume_unused=true (in a role, the variable that ends in _assume_unused)"
    assert option("ignore_hosts") == "ignore_hosts (in a role, the variable that ends in _ignore_hosts)"
