# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The backend as the services use it."""

from __future__ import annotations

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import Refused
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.base import Hypervisor
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.xen.backend import Xen
from tests.unit.xapi import LUN, Pool


def test_it_is_a_hypervisor() -> None:
    pool = Pool()
    port: Hypervisor = Xen(pool.connection, session=pool)  # type: ignore[arg-type]
    assert (port.type, port.address) == (port.about().type, port.about().address)
    assert port.attachment(port.inventory().virtual_machines[0], LUN) is None
    port.close()
    assert pool.closed


def test_nobody_holds_its_guests_still() -> None:
    pool = Pool()
    port = Xen(pool.connection, session=pool)  # type: ignore[arg-type]
    with pytest.raises(Refused, match="cannot be held still by its pool, because XAPI has no such order: hold the file systems still from"):
        port.agent(port.inventory().virtual_machines[0])


def test_a_scan_of_the_pool_is_one_for_each_target_whatever_the_hosts() -> None:
    pool = Pool()
    pool.add_raw_iscsi()
    Xen(pool.connection, session=pool).rescan(["any", "other"], LUN)  # type: ignore[arg-type]
    assert pool.calls.count("SR.scan") == 1


def test_hosts_are_asked_once_for_each_target_and_their_adapters() -> None:
    pool = Pool()
    pool.add_raw_iscsi()
    pool.map_fc()
    hosts = [record["uuid"] for record in pool.db["host"].values()]
    seen = Xen(pool.connection, session=pool).devices(hosts, LUN)  # type: ignore[arg-type]
    assert [device.host for device in seen] == hosts
    assert pool.calls.count("SR.probe") == 4
