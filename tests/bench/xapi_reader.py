# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The least that reading a Xen pool can cost: XenAPI, the vendor's library, fetches whole classes and does nothing with them.

``python -m tests.bench.xapi_reader`` takes a ``Task`` as JSON by standard input and prints how many objects there were.
"""

from __future__ import annotations

import json
import ssl
import sys
import xmlrpc.client
from collections.abc import Sequence
from dataclasses import dataclass

import XenAPI


@dataclass(frozen=True)
class Task:
    """Where to read, and what."""

    hostname: str
    port: int
    username: str
    password: str
    ca_path: str
    classes: Sequence[str]


def read(task: Task) -> int:
    """Fetch every object of the classes; return their number."""
    transport = xmlrpc.client.SafeTransport(context=ssl.create_default_context(cafile=task.ca_path))
    session = XenAPI.Session(f"https://{task.hostname}:{task.port}", transport=transport)
    session.xenapi.login_with_password(task.username, task.password, "1.0", "crossvisor.san bench")
    try:
        return sum(len(getattr(session.xenapi, name).get_all_records()) for name in task.classes)
    finally:
        session.xenapi.session.logout()


if __name__ == "__main__":
    print(read(Task(**json.load(sys.stdin))))
