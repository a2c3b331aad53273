# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""ONTAP's query language, which its interfaces and its command line share."""

from __future__ import annotations

import re

_OPERATORS = re.compile(r'[*|!<>"]|\.\.')


def literal(value: str) -> str:
    """The query value that finds at least `value`: what ONTAP would read as an operator becomes a wildcard."""
    return _OPERATORS.sub("*", value)
