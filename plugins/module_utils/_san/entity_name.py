# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The names that people give to VMs, hosts, datastores, volumes: as vSphere's API writes them, and which one a wrong one may stand for."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from urllib.parse import unquote

_ESCAPED = re.compile("%(?:2f|5c|25)", re.IGNORECASE)
_MOST_HINTS = 3
_NEAR = 0.7
"""Of `difflib`, from 0 to 1: a typing error in a name of five characters is near, two are not."""


def unescaped(name: str) -> str:
    r"""A name as a person reads it: the API writes `/`, `\` and `%` as `%2f`, `%5c` and `%25`, in whichever case (ManagedEntity.name)."""
    return _ESCAPED.sub(lambda match: unquote(match[0]), name)


def did_you_mean(names: Sequence[str], known: Iterable[str]) -> str:
    """The end of a sentence about names that nobody has, with those that are near, whatever their case."""
    spellings: dict[str, list[str]] = {}
    for name in sorted(set(known)):
        spellings.setdefault(name.casefold(), []).append(name)
    near = [
        name
        for wanted in names
        for found in difflib.get_close_matches(wanted.casefold(), spellings, _MOST_HINTS, _NEAR)
        for name in spellings[found]
    ]
    return f"; did you mean {', '.join(dict.fromkeys(near))}?" if near else "."
