# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What several calls need: who refers to whom, and the driver that works for a repository."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from tests.lab.xen.database import Record
from tests.lab.xen.errors import Failure
from tests.lab.xen.pool import Host, Pool
from tests.lab.xen.storage import Driver, driver

Arguments = Mapping[str, Any]
Handler = Callable[[Pool, Arguments], Any]
PLACES = 255
"""A VM has the places 0 to 254."""
_LETTERS = re.compile(r"(?:xvd|hd|sd)([a-z]{1,2})")


def vbds_of(pool: Pool, vm: str) -> list[Record]:
    """Return the drives of a VM; raises Failure when there is none."""
    pool.db.row("VM", vm)
    return [pool.db.row("VBD", vbd) for vbd in pool.db.users("VM", vm, "VBDs")]


def pbds_of(pool: Pool, sr: str) -> list[Record]:
    """Return how hosts reach a repository."""
    return [pool.db.row("PBD", pbd) for pbd in pool.db.users("SR", sr, "PBDs")]


def connected(pool: Pool, sr: str, host: str) -> bool:
    """Return whether a host has a repository plugged in."""
    return any(row["host"] == host and row["currently_attached"] for row in pbds_of(pool, sr))


def up(pool: Pool, ref: str) -> Host:
    """Return a host that is up; raises Failure for any other."""
    host = pool.host(ref)
    if not host.up:
        raise Failure("HOST_OFFLINE", ref)
    return host


def worker_of(pool: Pool, sr: str, *, plugged: bool = True) -> Driver:
    """Return the driver on the host that works for a repository: the master where it is shared."""
    row = pool.db.row("SR", sr)
    pbds = [pbd for pbd in pbds_of(pool, sr) if pbd["currently_attached"] or not plugged]
    if row["shared"]:
        pbds = [pbd for pbd in pbds if pbd["host"] == pool.master.ref]
    if not pbds:
        raise Failure("SR_HAS_NO_PBDS", sr)
    return driver(pool, row["type"], up(pool, pbds[0]["host"]), pbds[0]["device_config"], sr)


def driver_of(pool: Pool, sr: str, host: Host, *, plugged: bool) -> Driver:
    """Return the driver of a repository on one host."""
    found = next((pbd for pbd in pbds_of(pool, sr) if pbd["host"] == host.ref and (pbd["currently_attached"] or not plugged)), None)
    if found is None:
        raise Failure("SR_NOT_ATTACHED", sr)
    return driver(pool, pool.db.row("SR", sr)["type"], host, found["device_config"], sr)


def shared_properly(pool: Pool, sr: str) -> bool:
    """Return whether every host of the pool has a shared repository plugged in."""
    plugged = {row["host"] for row in pbds_of(pool, sr) if row["currently_attached"]}
    return bool(pool.db.row("SR", sr)["shared"]) and plugged == {host.ref for host in pool.hosts.values()}


def place_number(name: str) -> int | None:
    """Return the place that a device name or number means."""
    if name.isdecimal():
        return int(name)
    found = _LETTERS.fullmatch(name)
    if not found:
        return None
    number = 0
    for letter in found[1]:
        number = number * 26 + ord(letter) - ord("a") + 1
    return number - 1
