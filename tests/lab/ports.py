# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ports for servers that cannot choose one themselves, and for those that come back at the same one."""

from __future__ import annotations

import random
import socket
from pathlib import Path

LISTEN = "127.0.0.1"
LOWEST, HIGHEST = 10000, 65535
EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")
_given: set[int] = set()


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nobody listens on, that was not returned before, and that the kernel gives to nobody unasked.

    The kernel takes the port of every connection, and of a server that names none, from a range (Linux,
    Documentation/networking/ip-sysctl.rst); a port of that range may be another's before its server listens.
    Raises OSError when no other is free.
    """
    low, high = map(int, EPHEMERAL.read_text().split())
    ports = [*range(LOWEST, low), *range(high + 1, HIGHEST + 1)]
    random.shuffle(ports)
    port: int | None = next((port for port in ports if port not in _given and _is_free(port)), None)
    if port is None:
        raise OSError(f"no port from {LOWEST} on is free outside of {EPHEMERAL}, which says {low} to {high}")
    _given.add(port)
    return port


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((LISTEN, port))
        except OSError:
            return False
    return True
