# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What services ask of an array, and what they hand it."""

from __future__ import annotations

from dataclasses import replace

from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.base import Array, Descriptor, ProvisionWish, WithdrawWish
from ansible_collections.crossvisor.san.plugins.module_utils._san.connection import ARRAY, Connection
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import LunMapping
from tests.unit.ports import ADDRESS, NAME, MemoryArray, lun

OURS = "iqn.2026-01.com.example:a"


def test_a_lun_is_named_by_where_it_lives() -> None:
    assert str(ADDRESS) == "svm1:/vol/v1/l1"


def test_strangers_see_the_lun_and_are_neither_wished_nor_of_the_wished_group() -> None:
    mappings = [LunMapping("g1", "id-g1", 3, [OURS.upper(), "iqn.z"]), LunMapping("g2", "id-g2", 3, ["IQN.B", OURS])]
    seen = replace(lun(NAME), mappings=mappings)
    wish = ProvisionWish(ADDRESS, None, "linux", [OURS.upper()])
    assert wish.strangers(seen) == ["iqn.b", "iqn.z"]
    assert replace(wish, group="g1").strangers(seen) == ["iqn.b"]


def test_what_is_not_wished_is_thin_shared_and_kept_and_may_take_five_minutes() -> None:
    wish = ProvisionWish(ADDRESS, None, "linux", [])
    assert (wish.thin, wish.comment, wish.exclusive, wish.timeout) == (True, "", False, 300.0)
    assert (wish.group, wish.group_os_type, wish.lun_id) == (None, None, None)
    gone = WithdrawWish(NAME)
    assert (gone.delete, gone.made_by, gone.group, list(gone.initiators), gone.timeout) == (False, "", None, [], 300.0)


def test_opening_a_backend_is_to_load_it_and_to_log_in() -> None:
    opened: list[Connection] = []
    array = MemoryArray()

    def log_in(connection: Connection) -> Array:
        opened.append(connection)
        return array

    connection = Connection(ARRAY, hostname="a")
    assert Descriptor("memory", "Memory", 443, {}, lambda: log_in).open(connection) is array
    assert opened == [connection]
