# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The names of VMs, hosts and datastores as vSphere's API and the tools on it write them."""

from __future__ import annotations

import re
from urllib.parse import unquote

_ESCAPED = re.compile("%(?:2f|5c|25)", re.IGNORECASE)


def unescaped(name: str) -> str:
    r"""A name as a person reads it: the API writes `/`, `\` and `%` as `%2f`, `%5c` and `%25`, in whichever case (ManagedEntity.name)."""
    return _ESCAPED.sub(lambda match: unquote(match[0]), name)
