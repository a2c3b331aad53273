# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Make Hyper-V hosts find a LUN."""

from __future__ import annotations

from collections.abc import Sequence

from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.nodes import Nodes
from ansible_collections.crossvisor.san.plugins.module_utils._san.windows import storage_classes
from ansible_collections.crossvisor.san.plugins.module_utils._san.windows.storage_call import call
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.cim import CimClient


def rescan(nodes: Nodes, hosts: Sequence[str]) -> None:
    """Make each of the hosts (ids) look for disks. Raises `OutcomeUnknown` for a lost answer; it may be repeated."""
    for host in hosts:
        rescan_host(nodes.client(host))


def rescan_host(client: CimClient) -> None:
    """Let one host look for disks. Raises `OutcomeUnknown` when the answer was lost; it may be repeated."""
    call(client, storage_classes.STORAGE_SETTING, "UpdateHostStorageCache")
