# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Values in and out of ZAPI's elements. The library writes 0, False and None as empty elements, so that every value becomes a text here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from ansible_collections.crossvisor.san.plugins.module_utils._san.timestamps import written

Element = Any
"""netapp-lib's `NaElement`, which has no types."""
Value = Any
"""A text, a number, a truth, or a mapping or list of such."""


class Unexpected(ValueError):
    """An element that is not as ONTAP documents it. Its text says which field, and what it holds."""


def as_texts(arguments: Mapping[str, Value]) -> dict[str, Value]:
    """The arguments as the library writes them without loss; what is None is left out."""
    return {name: _text(value) for name, value in arguments.items() if value is not None}


def _text(value: Value) -> Value:
    if isinstance(value, Mapping):
        return as_texts(value)
    if isinstance(value, (list, tuple)):
        return [_text(item) for item in value]
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def tree_of(fields: Sequence[str]) -> dict[str, Value]:
    """Dotted fields as elements within each other, each empty, as `desired-attributes` wants them."""
    tree: dict[str, Value] = {}
    for field in fields:
        *parents, name = field.split(".")
        place = tree
        for parent in parents:
            place = place.setdefault(parent, {})
        place[name] = ""
    return tree


def nested(values: Mapping[str, str]) -> dict[str, Value]:
    """Dotted fields with their values as elements within each other."""
    tree: dict[str, Value] = {}
    for field, value in values.items():
        *parents, name = field.split(".")
        place = tree
        for parent in parents:
            place = place.setdefault(parent, {})
        place[name] = value
    return tree


def found(element: Element, path: str) -> Element | None:
    """The element at a dotted path, or None."""
    for name in path.split("."):
        element = element.get_child_by_name(name) if element is not None else None
    return element


def text_at(element: Element, path: str, default: str | None = None) -> str:
    """The text at a dotted path. Raises `Unexpected` where there is none and no default for it."""
    part = found(element, path)
    text = None if part is None else part.get_content()
    if text is None:
        if default is None:
            raise Unexpected(f"a record without {path}")
        return default
    return str(text).strip()


def number_at(element: Element, path: str, default: int | None = None) -> int:
    """The whole number at a dotted path. Raises `Unexpected` for anything else, and where there is none and no default for it."""
    text = text_at(element, path, None if default is None else "")
    if not text and default is not None:
        return default
    if not (text.isascii() and text.isdigit()):
        raise Unexpected(f"a record whose {path} is {text!r:.100}")
    return int(text)


def number_or_none(element: Element, path: str) -> int | None:
    """The whole number at a dotted path, None where there is none. Raises `Unexpected` for anything else."""
    return number_at(element, path) if text_at(element, path, "") else None


def moment_at(element: Element, path: str) -> str:
    """The point in time at a dotted path, in seconds since 1970 there; empty where there is none. Raises `Unexpected`."""
    seconds = number_or_none(element, path)
    try:
        return written(datetime.fromtimestamp(seconds, timezone.utc)) if seconds else ""
    except (OverflowError, OSError, ValueError) as error:
        raise Unexpected(f"a record whose {path} is {seconds}") from error


def flag_at(element: Element, path: str, default: bool | None = None) -> bool:
    """The truth at a dotted path. Raises `Unexpected` for anything else, and where there is none and no default for it."""
    text = text_at(element, path, None if default is None else "").lower()
    if not text and default is not None:
        return default
    if text not in ("true", "false"):
        raise Unexpected(f"a record whose {path} is {text!r:.100}")
    return text == "true"


def texts_at(element: Element, path: str) -> list[str]:
    """The texts of the elements at a dotted path, none where there is none."""
    part = found(element, path)
    return [] if part is None else [str(child.get_content() or "").strip() for child in part.get_children()]


def records_at(element: Element, path: str) -> list[Element]:
    """The elements at a dotted path, none where there is none."""
    part = found(element, path)
    return [] if part is None else list(part.get_children())
