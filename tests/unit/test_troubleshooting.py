# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The guide for trouble quotes messages that exist: who searches it for a sentence finds it as it was said."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
GUIDE = ROOT / "docs" / "troubleshooting.md"
ANYTHING = "…"
"""Stands for names and numbers, in the guide and here."""

QUOTES = re.findall(r'\*\*"(.+?)"\*\*', GUIDE.read_text(encoding="utf-8")) if GUIDE.exists() else []


def texts_of_python(source: str) -> Iterator[str]:
    """Each text of a file, whatever it is put together from."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else ANYTHING for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


@cache
def messages() -> str:
    python = [text for file in sorted((ROOT / "plugins").rglob("*.py")) for text in texts_of_python(file.read_text(encoding="utf-8"))]
    roles = [
        re.sub(r"\{\{.*?\}\}", ANYTHING, file.read_text(encoding="utf-8"), flags=re.DOTALL)
        for file in sorted((ROOT / "roles").rglob("*.yml"))
    ]
    return "\n".join(" ".join(text.split()) for text in [*python, *roles])


def pattern(quote: str) -> str:
    return "[^\n]*".join(re.escape(part) for part in map(str.strip, quote.split(ANYTHING)) if part)


def test_what_the_guide_quotes_is_what_is_said() -> None:
    assert [quote for quote in QUOTES if not re.search(pattern(quote), messages())] == []


def test_the_guide_quotes_messages() -> None:
    assert len(QUOTES) > 20


def test_a_message_that_is_put_together_is_one_text() -> None:
    assert next(texts_of_python('f"LUN {name} is " f"used by {users}"')) == "LUN … is used by …"


def test_a_quote_that_nobody_says_is_noticed() -> None:
    assert not re.search(pattern("LUN … is happily used by …"), messages())
