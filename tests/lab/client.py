# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The client of the lab servers' control ports (see README.md)."""

from __future__ import annotations

import json
import urllib.request
from typing import Any
from urllib.error import HTTPError

SECONDS = 600.0

# The control ports are on this machine, whatever proxy the environment names.
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def ask(control_url: str, method: str, path: str, body: object = None) -> Any:
    """Send one request to a control port and return the decoded answer, None when it has no body. Raises ``OSError``."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{control_url}{path}", data=data, method=method, headers={"Content-Type": "application/json"})
    try:
        with _direct.open(request, timeout=SECONDS) as answer:
            content = answer.read()
    except HTTPError as error:
        error.msg = f"{error.msg}: {error.read().decode(errors='replace')}"
        raise
    return json.loads(content) if content else None
