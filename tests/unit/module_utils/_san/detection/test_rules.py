# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The tables are complete: nothing is asked of a source that nobody reads."""

from __future__ import annotations

import re

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.detection import rules
from ansible_collections.crossvisor.san.plugins.module_utils._san.detection.rules import Rule

TABLES = {
    "guest": rules.GUEST_RULES,
    "host": rules.HOST_RULES,
    "bare metal": rules.BARE_METAL_RULES,
    "hint": rules.HINT_RULES,
    "container": rules.CONTAINER_RULES,
    "product": rules.PRODUCT_RULES,
    "product of a host": rules.HOST_PRODUCT_RULES,
}


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_every_rule_asks_only_sources_that_are_read(table: tuple[Rule, ...]) -> None:
    asked = {source for rule in table for source in [*rule.when, *rule.unless]}
    assert asked <= set(rules.SOURCES)


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_every_rule_has_a_condition_and_a_meaning(table: tuple[Rule, ...]) -> None:
    assert all(rule.when and rule.says for rule in table)
    assert all(re.compile(pattern) for rule in table for pattern in rule.when.values())


def test_every_source_serves_a_rule() -> None:
    asked = {source for table in TABLES.values() for rule in table for source in [*rule.when, *rule.unless]}
    assert set(rules.SOURCES) == asked


def test_every_hypervisor_with_a_name_has_a_product() -> None:
    types = {rule.type for rule in [*rules.GUEST_RULES, *rules.HOST_RULES]}
    assert types - {rules.OTHER} == set(rules.PRODUCTS)


def test_a_rule_needs_all_its_sources_and_none_of_its_exceptions() -> None:
    rule = Rule("x", "", {"a": "1", "b": "2"}, unless={"c": "3"})
    assert rule.matches({"a": "1", "b": "2"})
    assert rule.matches({"a": "1", "b": "2", "c": "4"})
    assert not rule.matches({"a": "1"})
    assert not rule.matches({"a": "1", "b": "2", "c": "3"})


FEATURES = [("00000b05", True), ("00002fcb", True), ("00002705", False), ("000001cb", False), ("", False)]


@pytest.mark.parametrize(("features", "dom0"), FEATURES)
def test_dom0_is_bit_11_of_xen_s_features(features: str, dom0: bool) -> None:
    observed = {"/sys/hypervisor/properties/features": features}
    assert any(rule.matches(observed) for rule in rules.HOST_RULES) == dom0
