# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The single mutants of a Python source: each is the source with one small mistake in it.

A sentence for the user is none of the places: strings with blanks and f-strings stay as they are, so that no test has to repeat a message.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Lt: (ast.GtE, ast.LtE),
    ast.LtE: (ast.Gt, ast.Lt),
    ast.Gt: (ast.LtE, ast.GtE),
    ast.GtE: (ast.Lt, ast.Gt),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult,
    ast.Div: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
}
FUNCTIONS = {"any": "all", "all": "any", "min": "max", "max": "min"}
WORD = re.compile(r"[^\s{}]+")
"""A string that a program reads, not a person."""
SHOWN_CHARACTERS = 100

Function = (ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True)
class Mutant:
    """One mistake, and how it gets into the tree."""

    where: str
    """The class and function it is in, such as ``Plan.run``, or nothing at the top of the module."""
    line: int
    lines: range
    """Those of the statement it is in, without the block below."""
    what: str
    """What is wrong, without a line number: a name that lasts."""
    apply: Callable[[], Callable[[], None]]
    """Make the mistake in the tree; what is returned takes it back."""

    @property
    def name(self) -> str:
        """How a list of equivalent mutants calls it."""
        return f"{self.where}: {self.what}" if self.where else self.what


def mutants(tree: ast.Module) -> Iterator[Mutant]:
    """Return every single mutant of the tree, which is changed in place while a mutant is applied.

    Of several that one function would give the same name, all but the first bear their number, so that a name stands for one mutant.
    """
    named: Counter[str] = Counter()
    for mutant in _inside(tree, "", range(0)):
        named[mutant.name] += 1
        number = named[mutant.name]
        yield mutant if number == 1 else replace(mutant, what=f"{mutant.what} ({number})")


def _inside(node: ast.AST, where: str, lines: range) -> Iterator[Mutant]:
    for field, value in ast.iter_fields(node):
        if field in ("annotation", "returns", "decorator_list", "type_params"):
            continue
        for index, child in enumerate(value) if isinstance(value, list) else [(None, value)]:
            if isinstance(child, ast.AST) and not _is_no_place(child, node):
                scope = ".".join(filter(None, (where, child.name))) if isinstance(child, (ast.ClassDef, *Function)) else where
                own = _own_lines(child) or lines
                for what, other in _mistakes(child):
                    yield Mutant(scope, _line(child, node), own, what, _swap(node, field, index, other))
                yield from _inside(child, scope, own)


def _own_lines(node: ast.AST) -> range:
    """Return the lines of a statement or handler, of a compound one its head; none for what is neither."""
    if not isinstance(node, (ast.stmt, ast.ExceptHandler)):
        return range(0)
    body = getattr(node, "body", None)
    return range(node.lineno, max(node.lineno, body[0].lineno - 1) + 1) if body else range(node.lineno, int(node.end_lineno or 0) + 1)


def _is_no_place(node: ast.AST, parent: ast.AST) -> bool:
    """Whether nothing at or below a node may be changed: imports, docstrings, types, and the words of an f-string."""
    is_docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    is_word = isinstance(node, ast.Constant) and isinstance(parent, ast.JoinedStr)
    is_type = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("TypeVar", "cast")
    return is_docstring or is_word or is_type or isinstance(node, (ast.Import, ast.ImportFrom))


def _line(node: ast.AST, parent: ast.AST) -> int:
    return int(getattr(node, "lineno", getattr(parent, "lineno", 0)))


def _swap(parent: ast.AST, field: str, index: int | None, other: ast.AST) -> Callable[[], Callable[[], None]]:
    """Return what puts another node in the place of one."""

    def put(node: ast.AST) -> None:
        if index is None:
            setattr(parent, field, node)
        else:
            getattr(parent, field)[index] = node

    def apply() -> Callable[[], None]:
        held = getattr(parent, field)
        before = held if index is None else held[index]
        if not hasattr(other, "lineno"):
            ast.copy_location(other, before)
        put(ast.fix_missing_locations(other))
        return lambda: put(before)

    return apply


def _mistakes(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """Return what may be in a node's place, with what that is called."""
    for kind, mistakes in _MISTAKES.items():
        if isinstance(node, kind):
            for verb, other in mistakes(node):
                yield f"{verb} `{_text(node)}`" + ("" if verb.startswith("drop") else f": `{_text(other)}`"), other


def _text(node: ast.AST) -> str:
    line = ast.unparse(node).strip().partition("\n")[0]
    return line if len(line) <= SHOWN_CHARACTERS else line[: SHOWN_CHARACTERS - 1] + "…"


def _of_bool_op(node: ast.BoolOp) -> Iterator[tuple[str, ast.AST]]:
    for number, dropped in enumerate(node.values):
        rest = [value for index, value in enumerate(node.values) if index != number]
        yield f"drop the condition `{_text(dropped)}` of", rest[0] if len(rest) == 1 else ast.BoolOp(node.op, rest)


def _of_not(node: ast.UnaryOp) -> Iterator[tuple[str, ast.AST]]:
    if isinstance(node.op, ast.Not):
        yield "drop not of", node.operand


def _of_comparison(node: ast.Compare) -> Iterator[tuple[str, ast.AST]]:
    for number, operator in enumerate(node.ops):
        for other in COMPARISONS[type(operator)]:
            yield "compare", ast.Compare(node.left, [*node.ops[:number], other(), *node.ops[number + 1 :]], node.comparators)


def _of_operation(node: ast.BinOp) -> Iterator[tuple[str, ast.AST]]:
    texts = any(isinstance(side, (ast.JoinedStr, ast.List, ast.Tuple)) or _is_text(side) for side in (node.left, node.right))
    if type(node.op) in OPERATORS and not texts:
        yield "calculate", ast.BinOp(node.left, OPERATORS[type(node.op)](), node.right)


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, (str, bytes))


def _of_choice(node: ast.IfExp) -> Iterator[tuple[str, ast.AST]]:
    yield "always", node.body
    yield "always", node.orelse


def _of_branch(node: ast.If) -> Iterator[tuple[str, ast.AST]]:
    if not isinstance(node.test, ast.Compare):
        yield "ask", ast.If(ast.UnaryOp(ast.Not(), node.test), node.body, node.orelse)


def _of_call(node: ast.Call) -> Iterator[tuple[str, ast.AST]]:
    for number, keyword in enumerate(node.keywords):
        if keyword.arg is not None:
            rest = [other for index, other in enumerate(node.keywords) if index != number]
            yield f"drop the argument {keyword.arg} of", ast.Call(node.func, node.args, rest)
    if isinstance(node.func, ast.Name) and node.func.id in FUNCTIONS:
        yield "call", ast.Call(ast.Name(FUNCTIONS[node.func.id], ast.Load()), node.args, node.keywords)


def _of_statement(node: ast.Expr) -> Iterator[tuple[str, ast.AST]]:
    yield "drop the statement", ast.Pass()


def _of_raise(node: ast.Raise) -> Iterator[tuple[str, ast.AST]]:
    yield "drop", ast.Pass()


def _of_assignment(node: ast.Assign | ast.AugAssign) -> Iterator[tuple[str, ast.AST]]:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    if isinstance(node, ast.AugAssign) or not any(isinstance(target, (ast.Name, ast.Tuple)) for target in targets):
        yield "drop", ast.Pass()


def _of_return(node: ast.Return) -> Iterator[tuple[str, ast.AST]]:
    if node.value is not None and not isinstance(node.value, ast.Constant):
        yield "return nothing instead of", ast.Return(ast.Constant(None))


def _of_jump(node: ast.Continue | ast.Break) -> Iterator[tuple[str, ast.AST]]:
    yield "swap", ast.Break() if isinstance(node, ast.Continue) else ast.Continue()


def _of_constant(node: ast.Constant) -> Iterator[tuple[str, ast.AST]]:
    if isinstance(node.value, bool):
        yield "say", ast.Constant(not node.value)
    elif isinstance(node.value, (int, float)):
        yield "say", ast.Constant(node.value + 1)
    elif isinstance(node.value, str) and WORD.fullmatch(node.value):
        yield "say", ast.Constant(f"not {node.value}")


def _of_loop(node: ast.comprehension) -> Iterator[tuple[str, ast.AST]]:
    for number in range(len(node.ifs)):
        rest = [condition for index, condition in enumerate(node.ifs) if index != number]
        yield f"drop the filter {_text(node.ifs[number])} of", ast.comprehension(node.target, node.iter, rest, node.is_async)


def _of_handler(node: ast.ExceptHandler) -> Iterator[tuple[str, ast.AST]]:
    if not (len(node.body) == 1 and isinstance(node.body[0], ast.Raise) and node.body[0].exc is None):
        yield "drop the handler", ast.ExceptHandler(node.type, node.name, [ast.Raise()])


_MISTAKES: dict[type[ast.AST] | tuple[type[ast.AST], ...], Callable[..., Iterator[tuple[str, ast.AST]]]] = {
    ast.BoolOp: _of_bool_op,
    ast.UnaryOp: _of_not,
    ast.Compare: _of_comparison,
    ast.BinOp: _of_operation,
    ast.IfExp: _of_choice,
    ast.If: _of_branch,
    ast.Call: _of_call,
    ast.Expr: _of_statement,
    ast.Raise: _of_raise,
    (ast.Assign, ast.AugAssign): _of_assignment,
    ast.Return: _of_return,
    (ast.Continue, ast.Break): _of_jump,
    ast.Constant: _of_constant,
    ast.comprehension: _of_loop,
    ast.ExceptHandler: _of_handler,
}
