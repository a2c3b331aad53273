# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which mistakes are made in a source, one at a time."""

from __future__ import annotations

import ast

import pytest

from tests.mutants.mistakes import mutants


def wrong(source: str) -> list[str]:
    """Every mutant of a source, as source."""
    tree, found = ast.parse(source), []
    for mutant in mutants(tree):
        take_back = mutant.apply()
        compile(tree, "<mutant>", "exec")
        found.append(ast.unparse(tree))
        take_back()
    assert ast.unparse(tree) == ast.unparse(ast.parse(source)), "what was done is taken back"
    return found


@pytest.mark.parametrize(
    ("source", "mistakes"),
    [
        ("a and b", ["a", "b", "pass"]),
        ("x = a or b or c", ["x = b or c", "x = a or c", "x = a or b"]),
        ("x = not a", ["x = a"]),
        ("x = a < b", ["x = a >= b", "x = a <= b"]),
        ("x = a in b", ["x = a not in b"]),
        ("x = a + b", ["x = a - b"]),
        ("x = 'a' + b", ["x = 'not a' + b"]),
        ("x = a if b else c", ["x = a", "x = c"]),
        ("x = f(a, b=c, d=e)", ["x = f(a, d=e)", "x = f(a, b=c)"]),
        ("x = any(a)", ["x = all(a)"]),
        ("x = [a for a in b if c]", ["x = [a for a in b]"]),
        ("x = True", ["x = False"]),
        ("x = 7", ["x = 8"]),
        ("x = 'word'", ["x = 'not word'"]),
        ("x.y = a", ["pass"]),
        ("x += a", ["pass"]),
        ("raise a", ["pass"]),
        ("if a:\n    raise b", ["if not a:\n    raise b", "if a:\n    pass"]),
        ("for a in b:\n    continue", ["for a in b:\n    break"]),
        ("try:\n    x = a\nexcept B:\n    x = c", ["try:\n    x = a\nexcept B:\n    raise"]),
        ("def f():\n    return a", ["def f():\n    return None"]),
    ],
)
def test_every_kind_of_mistake_is_made(source: str, mistakes: list[str]) -> None:
    assert sorted(wrong(source)) == sorted(mistakes)


@pytest.mark.parametrize(
    "source",
    [
        "import a",
        '"""What it is."""',
        "x = 'a sentence for a person'",
        "x = f'word{a}'",
        "T = TypeVar('T')",
        "def f(a: 'int') -> 'str':\n    return 'a sentence'",
        "@d(a=b)\nclass C:\n    x: 'int'",
    ],
)
def test_what_is_no_rule_stays_as_it_is(source: str) -> None:
    assert wrong(source) == []


def test_a_mutant_is_named_by_its_function_and_what_is_wrong() -> None:
    source = "class C:\n    def m(self):\n        if a == b:\n            g(c)\n"
    assert [(mutant.name, mutant.line, list(mutant.lines)) for mutant in mutants(ast.parse(source))] == [
        ("C.m: compare `a == b`: `a != b`", 3, [3]),
        ("C.m: drop the statement `g(c)`", 4, [4]),
    ]


def test_a_name_stands_for_one_mutant() -> None:
    names = [mutant.name for mutant in mutants(ast.parse("def f():\n    g('a', 'a')\n    return b and c\n"))]
    assert names == [
        "f: drop the statement `g('a', 'a')`",
        "f: say `'a'`: `'not a'`",
        "f: say `'a'`: `'not a'` (2)",
        "f: return nothing instead of `return b and c`: `return None`",
        "f: drop the condition `b` of `b and c`",
        "f: drop the condition `c` of `b and c`",
    ]
