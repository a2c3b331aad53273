# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A rescan shows a host what the array has mapped to it."""

from __future__ import annotations

from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv import rescan
from tests.unit.hyperv_host import HOST_ID, SPARE, HyperVHost


def test_a_rescan_shows_a_new_lun() -> None:
    host = HyperVHost()
    rescan.rescan(host.nodes, [HOST_ID])
    assert host.disk(SPARE).offline
