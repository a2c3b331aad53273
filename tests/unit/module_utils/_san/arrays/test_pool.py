# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The array that a connection stands for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays import pool
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_either import open_either
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_rest.backend import OntapRest
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_zapi.backend import OntapZapi
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.pool import resolve
from ansible_collections.crossvisor.san.plugins.module_utils._san.connection import ARRAY, connection
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import InvalidInput


@pytest.mark.parametrize("kind", ["auto", "ontap"])
def test_an_array_has_its_platforms_port(kind: str) -> None:
    _found, complete = resolve(connection(ARRAY, {"hostname": "a", "type": kind}, {}), {})
    assert (complete.type, complete.port) == ("ontap", 443)


def test_an_array_of_a_type_that_there_is_not_is_one_sentence() -> None:
    with pytest.raises(InvalidInput, match=r"^array\.type is 'netapp': say one of auto, ontap, ontap_zapi\.$"):
        resolve(connection(ARRAY, {"hostname": "a"}, {"CROSSVISOR_ARRAY_TYPE": "NetApp"}), {})


def test_no_array_at_all_is_one_sentence() -> None:
    with pytest.raises(InvalidInput, match=r"array\.hostname is not set.*CROSSVISOR_ARRAY_HOSTNAME"):
        resolve(connection(ARRAY, None, {}), {})


@pytest.mark.parametrize(("kind", "port"), [("auto", 443), ("ontap", 443), ("other", 8443)])
def test_of_several_platforms_the_named_one_is_meant_and_the_first_where_none_is(
    kind: str, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = replace(pool.DESCRIPTORS[0], type="other", default_port=8443)
    monkeypatch.setattr(pool, "DESCRIPTORS", (*pool.DESCRIPTORS, other))
    found, complete = resolve(connection(ARRAY, {"hostname": "a", "type": kind}, {}), {})
    assert (found.type, complete.port) == ("ontap" if kind == "auto" else kind, port)
    assert complete.type == found.type


def test_the_users_port_goes_before_the_platforms() -> None:
    _found, complete = resolve(connection(ARRAY, {"hostname": "a", "port": 8443}, {}), {})
    assert complete.port == 8443


def test_a_platform_is_loaded_when_it_is_needed() -> None:
    def loaded(kind: str) -> object:
        return resolve(connection(ARRAY, {"hostname": "a", "type": kind}, {}), {})[0].load()

    assert (loaded("ontap"), loaded("ontap_zapi"), loaded("auto")) == (OntapRest, OntapZapi, open_either)
