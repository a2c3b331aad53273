# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is tried again on another ansible-core is all that imports it."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
SAY = '. scripts/tiers/core.sh; printf "%s\\n" "${TOUCHED_BY_CORE[@]}"'

_MAYBE = re.compile(r"\b(?:import|from)\s+ansible\b")
"""What a file without has no such import; where it stands, in code or in a text, only the tree tells."""


def imports_core(file: Path) -> bool:
    text = file.read_text("utf-8")
    if not _MAYBE.search(text):
        return False
    found = ast.walk(ast.parse(text))
    names = [name for node in found for name in _names(node)]
    return any(name.partition(".")[0] == "ansible" for name in names)


def _names(node: ast.AST) -> list[str]:
    if isinstance(node, ast.ImportFrom):
        return [node.module or ""]
    return [alias.name for alias in node.names] if isinstance(node, ast.Import) else []


IMPORTING = [file.relative_to(ROOT / "plugins") for file in sorted((ROOT / "plugins").rglob("*.py")) if imports_core(file)]


@pytest.fixture(scope="module")
def touched() -> list[Path]:
    said = subprocess.run(["bash", "-c", SAY], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [Path(line) for line in said.splitlines()]


@pytest.mark.parametrize("file", IMPORTING, ids=str)
def test_the_tests_of_what_imports_ansible_core_are_among_them(touched: list[Path], file: Path) -> None:
    test = Path("tests/unit", file.with_name(f"test_{file.name}"))
    assert any(one in (test, *test.parents) for one in touched), f"{test} is missing in scripts/tiers/core.sh"


def test_each_of_them_is_there(touched: list[Path]) -> None:
    assert [str(one) for one in touched if not (ROOT / one).exists()] == []
