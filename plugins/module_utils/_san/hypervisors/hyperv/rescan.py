# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Make Hyper-V hosts find a LUN."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import OutcomeUnknown
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.nodes import Nodes
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.waiting import Waiting
from ansible_collections.crossvisor.san.plugins.module_utils._san.windows import storage_cache
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.cim import CimClient


def rescan(nodes: Nodes, hosts: Sequence[str]) -> None:
    """Make each of the hosts (ids) look for disks. Raises `OutcomeUnknown` for a lost answer; it may be repeated."""
    for host in hosts:
        rescan_host(nodes.client(host))


def rescan_host(client: CimClient) -> None:
    """Let one host look for disks, once: what it shows then has to be read. Raises `OutcomeUnknown` when the answer was lost."""
    storage_cache.refresh(client)


def rescan_until(client: CimClient, shown: Callable[[], bool], waiting: Waiting) -> bool:
    """Let one host look for disks until it shows what is wanted; False when it does not in time."""

    def look() -> bool:
        with contextlib.suppress(OutcomeUnknown):  # the look tells, and a rescan may be repeated
            rescan_host(client)
        return shown()

    return waiting.until(look)
