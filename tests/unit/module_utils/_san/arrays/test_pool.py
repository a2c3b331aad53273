# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The array that a connection stands for."""

from __future__ import annotations

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.pool import resolve
from ansible_collections.crossvisor.san.plugins.module_utils._san.connection import ARRAY, connection
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import InvalidInput


@pytest.mark.parametrize("kind", ["auto", "ontap"])
def test_an_array_has_its_platforms_port(kind: str) -> None:
    _found, complete = resolve(connection(ARRAY, {"hostname": "a", "type": kind}, {}), {})
    assert (complete.type, complete.port) == ("ontap", 443)


def test_an_array_of_a_type_that_there_is_not_is_one_sentence() -> None:
    with pytest.raises(InvalidInput, match=r"^array\.type is 'netapp': say one of auto, ontap\.$"):
        resolve(connection(ARRAY, {"hostname": "a"}, {"CROSSVISOR_ARRAY_TYPE": "NetApp"}), {})


def test_no_array_at_all_is_one_sentence() -> None:
    with pytest.raises(InvalidInput, match=r"array\.hostname is not set.*CROSSVISOR_ARRAY_HOSTNAME"):
        resolve(connection(ARRAY, None, {}), {})
