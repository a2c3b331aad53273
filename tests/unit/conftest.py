# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Filters and templates are tested as a playbook uses them: by full name, through Ansible's templating."""

from __future__ import annotations

import gc
import json
from collections.abc import Callable, Generator, Iterator
from typing import Any

import pytest

from tests.rendering import Render, rendering

Evaluate = Callable[..., Any]
SELDOM = (50_000, 20, 20)
"""After how many new objects the garbage collector looks at the young ones, and after how many such looks at those that stayed."""


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, Any, Any]:
    """What is collected stays to the end, so that the garbage collector need not go through it again and again.

    It looks seldom at the rest, too: most of what a test makes goes with its last name.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.set_threshold(*SELDOM)
        gc.enable()


@pytest.fixture(scope="session")
def render() -> Iterator[Render]:
    """`render(template, **variables)` is the text that Ansible makes of it. Raises `ValueError`."""
    with rendering() as rendered:
        yield rendered


@pytest.fixture(scope="session")
def evaluate(render: Render) -> Evaluate:
    """`evaluate(expression, **variables)` is the expression's value. Raises `ValueError`."""

    def evaluated(expression: str, **variables: object) -> Any:
        text = render("json:{{ (" + expression + ") | ansible.builtin.to_json }}", **variables)
        return json.loads(text.removeprefix("json:"))

    return evaluated
