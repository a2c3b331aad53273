# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A playbook joins storage maps, and asks one who uses a LUN."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.crossvisor.san.plugins.filter.maps import FilterModule
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import StorageMapping

FILTERS = Path(__file__).parents[3] / "plugins" / "filter"
ROW = {
    "endpoint": "vc01", "hypervisor_type": "vmware", "hypervisor": "vc.example.com", "observed": "2000-01-01T00:00:00Z", "vm_name": "app",
    "vm_id": "vm-1", "disk": "Hard disk 1", "volume": "vol_prod", "status": "mapped",
}  # fmt: skip

Evaluate = Callable[..., Any]


def states(document: dict[str, Any]) -> dict[str, str]:
    return {endpoint["name"]: endpoint["status"] for endpoint in document["endpoints"]}


def test_results_of_endpoints_become_one_map(evaluate: Evaluate) -> None:
    results = {"vc01": {"mappings": [ROW]}, "vc02": {"failed": True, "msg": "It is down."}}
    one = evaluate("results | crossvisor.san.map_of_endpoints", results=results)
    assert (states(one), one["mappings"]) == ({"vc01": "ok", "vc02": "missing"}, [ROW])


def test_maps_are_joined_by_the_clock(evaluate: Evaluate) -> None:
    expression = "[map, map] | crossvisor.san.merged_maps(expected=['vc02'], max_age=3600)"
    one = evaluate(expression, map={"mappings": [ROW]})
    assert (states(one), one["mappings"]) == ({"vc01": "stale", "vc02": "missing"}, [ROW])


def test_a_merge_of_nothing_says_when_it_was_made(evaluate: Evaluate) -> None:
    one = evaluate("[] | crossvisor.san.merged_maps(expected=['vc01'])")
    assert (states(one), one["generated"][:2]) == ({"vc01": "missing"}, "20")


def test_a_map_says_who_uses_a_volume(evaluate: Evaluate) -> None:
    told = evaluate("map | crossvisor.san.who_uses('vol_prod')", map={"mappings": [ROW]})
    assert (told["found"], told["lines"][0]) == (True, "vol_prod: 1 VM on 1 LUN or volume.")
    assert evaluate("map | crossvisor.san.who_uses('vol')", map={"mappings": [ROW]})["found"] is False


def test_a_table_tells_every_name_once_and_what_a_row_does_not_tell_as_null(evaluate: Evaluate) -> None:
    rows = [{"vm_name": "a", "mounts": ["/"]}, {"lun_id": 0, "vm_name": "b", "__proto__": "no name of a map"}]
    told = evaluate("map | crossvisor.san.table_of_map", map={"mappings": rows})
    assert told["columns"] == list(StorageMapping.__annotations__)
    assert [dict(zip(told["columns"], values, strict=True)) for values in told["rows"]] == [
        {**dict.fromkeys(told["columns"]), "vm_name": "a", "mounts": ["/"]},
        {**dict.fromkeys(told["columns"]), "vm_name": "b", "lun_id": 0},
    ]


def test_a_table_of_a_map_without_rows_is_empty(evaluate: Evaluate) -> None:
    assert evaluate("map | crossvisor.san.table_of_map", map={})["rows"] == []


@pytest.mark.parametrize(
    ("expression", "told"),
    [
        ("'x' | crossvisor.san.map_of_endpoints", "takes a dictionary from the name of an endpoint"),
        ("{'vc01': 'x'} | crossvisor.san.map_of_endpoints", "takes a dictionary from the name of an endpoint"),
        ("{'vc01': {'mappings': 'x'}} | crossvisor.san.map_of_endpoints", "mappings of a storage map is a list of dictionaries"),
        ("{} | crossvisor.san.merged_maps", "merged_maps takes a list of storage maps"),
        ("['x'] | crossvisor.san.merged_maps", "A storage map is a dictionary"),
        ("[{'schema': 9}] | crossvisor.san.merged_maps", "has schema 9"),
        ("'x' | crossvisor.san.who_uses('y')", "A storage map is a dictionary"),
        ("'x' | crossvisor.san.table_of_map", "A storage map is a dictionary"),
        ("{} | crossvisor.san.who_uses('')", "Say what to look for"),
    ],
)
def test_bad_input_is_one_sentence(evaluate: Evaluate, expression: str, told: str) -> None:
    with pytest.raises(ValueError, match=told) as failure:
        evaluate(expression)
    assert "Traceback" not in str(failure.value)


def test_every_filter_is_documented() -> None:
    for name in FilterModule().filters():
        assert yaml.safe_load((FILTERS / f"{name}.yml").read_text())["DOCUMENTATION"]["name"] == name
