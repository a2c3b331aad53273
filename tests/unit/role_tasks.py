# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The tasks of roles and playbooks as their tests read them: by name, with what they know, and with what they refuse."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

TOP = Path(__file__).parents[2]
ROLES = TOP / "roles"

Evaluate = Callable[..., Any]
Render = Callable[..., str]


def walk(tasks: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The tasks of a file in order, those of blocks too."""
    for task in tasks:
        yield task
        for part in ("block", "always"):
            yield from walk(task.get(part, []))


def task(file: Path, name: str) -> dict[str, Any]:
    """A task by the beginning of its name."""
    return next(one for one in walk(yaml.safe_load(file.read_text())) if one["name"].startswith(name))


def positions(file: Path, *names: str) -> list[int]:
    return positions_of(yaml.safe_load(file.read_text()), *names)


def positions_of(tasks: list[dict[str, Any]], *names: str) -> list[int]:
    there = [one["name"] for one in walk(tasks)]
    return [next(place for place, one in enumerate(there) if one.startswith(name)) for name in names]


def expression(text: object) -> str:
    return str(text).strip().removeprefix("{{").removesuffix("}}")


def known_to(evaluate: Evaluate, one: dict[str, Any], known: dict[str, Any]) -> dict[str, Any]:
    """What a task knows: its variables, too."""
    here = dict(known)
    for name, text in one.get("vars", {}).items():
        here[name] = evaluate(expression(text), **here)
    return here


def refusal(evaluate: Evaluate, render: Render, one: dict[str, Any], **known: Any) -> str:
    """The sentence with which an assertion stops the role; empty if it does not."""
    here = known_to(evaluate, one, known)
    stated = one["ansible.builtin.assert"]
    return "" if evaluate(stated["that"], **here) else " ".join(render(stated["fail_msg"], **here).split())
