# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whoever hands a hypervisor on hands on the others that are named beside it, in playbooks and roles: else their users would be missed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[3]
FILES = sorted([*ROOT.glob("playbooks/*.yml"), *ROOT.glob("roles/*/tasks/*.yml")])
ASKED_OF_ALL = ("crossvisor.san.hba_info", "crossvisor.san.lun_provision", "crossvisor.san.ptd_attach")
NAMES_ONE, NAMES_MORE = ("hypervisor", "_hypervisor"), ("hypervisors", "_hypervisors")


def mappings(node: Any, inside: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every mapping below a node, with the key that it is the value of."""
    if isinstance(node, dict):
        yield inside, node
        for key, value in node.items():
            yield from mappings(value, str(key))
    elif isinstance(node, list):
        for item in node:
            yield from mappings(item, inside)


def ends(mapping: dict[str, Any], words: tuple[str, str]) -> set[str]:
    """For whom a mapping names one hypervisor, or more: a module, or a role by its prefix."""
    whole, ending = words
    return {key[: -len(ending)] for key in mapping if key.endswith(ending)} | ({""} if whole in mapping else set())


@pytest.mark.parametrize("file", FILES, ids=lambda path: f"{path.parts[-3]}-{path.stem}")
def test_one_hypervisor_is_named_with_the_others(file: Path) -> None:
    for key, mapping in mappings(yaml.safe_load(file.read_text())):
        if key in ASKED_OF_ALL or key == "vars":
            alone = ends(mapping, NAMES_ONE) - ends(mapping, NAMES_MORE)
            assert not alone, f"{key}: {sorted(mapping)}"


@pytest.mark.parametrize("role", ["provision", "deprovision"])
def test_a_role_takes_both_from_the_inventory(role: str) -> None:
    defaults = yaml.safe_load((ROOT / "roles" / role / "defaults" / "main.yml").read_text())
    assert defaults[f"{role}_hypervisor"] == "{{ hypervisor | default({}) }}"
    assert defaults[f"{role}_hypervisors"] == "{{ hypervisors | default([]) }}"
