# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Partial maps become one, whatever order they arrive in and however often."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import InvalidInput
from ansible_collections.crossvisor.san.plugins.module_utils._san.maps.document import seconds
from ansible_collections.crossvisor.san.plugins.module_utils._san.maps.merge import asked_twice, incomplete, merged, of_results

MORNING = "2026-11-28T06:00:00Z"
EVENING = "2026-11-28T18:00:00Z"
HOUR = 3600
NOON = seconds("2026-11-28T12:00:00Z")

Map = dict[str, Any]


def endpoint(name: str, observed: str = MORNING, **other: Any) -> Map:
    told = {"name": name, "type": "vmware", "address": f"{name}.example.com", "observed": observed, "status": "ok", "reason": ""}
    return {**told, "warnings": [], **other}


def row(name: str, vm: str = "app", observed: str = MORNING) -> Map:
    where = {"endpoint": name, "hypervisor_type": "vmware", "hypervisor": f"{name}.example.com", "observed": observed}
    return {**where, "vm_name": vm, "vm_id": vm}


def site(name: str, *machines: str, observed: str = MORNING) -> Map:
    """The map of one endpoint."""
    rows = [row(name, vm, observed) for vm in machines]
    return {"schema": 1, "generated": observed, "endpoints": [endpoint(name, observed)], "mappings": rows}


def lost(name: str, reason: str = "it is down") -> Map:
    """The map of a site whose endpoint did not answer."""
    return {"schema": 1, "generated": MORNING, "endpoints": [endpoint(name, "", status="missing", reason=reason, type="", address="")]}


def vms(document: Map) -> list[tuple[str, str]]:
    return [(told["endpoint"], told["vm_name"]) for told in document["mappings"]]


def states(document: Map) -> dict[str, str]:
    return {told["name"]: told["status"] for told in document["endpoints"]}


def test_sites_are_joined_and_each_keeps_its_date() -> None:
    one = merged([site("vc02", "db", observed=EVENING), site("vc01", "app", "web")])
    assert vms(one) == [("vc01", "app"), ("vc01", "web"), ("vc02", "db")]
    assert {told["name"]: told["observed"] for told in one["endpoints"]} == {"vc01": MORNING, "vc02": EVENING}
    assert (one["schema"], one["generated"]) == (1, EVENING)


def test_of_one_endpoint_the_newest_map_counts_whole() -> None:
    old, new = site("vc01", "app", "gone"), site("vc01", "app", "new", observed=EVENING)
    for order in ([old, new], [new, old]):
        assert vms(merged(order)) == [("vc01", "app"), ("vc01", "new")]


def test_endpoints_behind_one_address_stay_apart() -> None:
    there = [site("vc01", "app"), site("vc02", "app")]
    for each in there:
        for told in each["endpoints"]:
            told["address"] = "127.0.0.1"
        for told in each["mappings"]:
            told["hypervisor"] = "127.0.0.1"
    assert vms(merged(there)) == [("vc01", "app"), ("vc02", "app")]


def known_as(identity: str, document: Map) -> Map:
    """The map of an endpoint that says who it is."""
    return {**document, "endpoints": [{**told, "identity": identity} for told in document["endpoints"]]}


def test_one_vcenter_under_two_names_counts_once_as_it_was_read_last_and_is_named() -> None:
    old, new = known_as("4213", site("10.0.0.1", "app", "db")), known_as("4213", site("vc01", "app", observed=EVENING))
    for order in ([old, new], [new, old]):
        one = merged(order, expected=["10.0.0.1", "vc01"])
        assert (vms(one), states(one)) == ([("vc01", "app")], {"vc01": "ok"})
        sentence = "Endpoint vc01 was asked as 10.0.0.1 too, and is told once, as it was read last: name it once in the inventory."
        assert (asked_twice(one), one["endpoints"][0]["warnings"]) == ([sentence], [sentence])


def test_a_name_that_did_not_answer_is_not_missing_when_the_same_vcenter_did_under_another() -> None:
    twice = merged([known_as("4213", site("vc01", "app")), known_as("4213", site("vc02", "app"))])
    other = "vc02" if "vc01" in states(twice) else "vc01"
    assert states(merged([twice, lost(other)])) == states(twice)


@pytest.mark.parametrize(("one", "two"), [("4213", "4214"), ("", ""), ("4213", "")])
def test_what_does_not_say_that_it_is_the_same_stays_apart(one: str, two: str) -> None:
    there = [known_as(one, site("vc01", "app")), known_as(two, site("vc02", "app"))]
    assert vms(merged(there)) == [("vc01", "app"), ("vc02", "app")]


def test_endpoints_of_two_types_are_never_the_same() -> None:
    other = {"endpoints": [endpoint("hv01", type="hyperv", identity="4213")]}
    assert set(states(merged([known_as("4213", site("vc01", "app")), other]))) == {"vc01", "hv01"}


def test_a_name_behind_which_another_vcenter_is_by_now_has_no_other_names() -> None:
    replaced = merged([known_as("4213", site("vc01", "old")), known_as("4214", site("vc01", "new", observed=EVENING))])
    assert (vms(replaced), asked_twice(replaced)) == ([("vc01", "new")], [])


def test_all_three_forms_are_joined() -> None:
    given = {"virtual_machines": [row("vc01")], "storage_resources": [row("vc01")], "mappings": []}
    one = merged([given, site("vc02", "db")])
    assert [len(one[part]) for part in ("mappings", "virtual_machines", "storage_resources")] == [1, 1, 1]
    assert states(one) == {"vc01": "ok", "vc02": "ok"}


def test_an_endpoint_that_was_expected_and_is_nowhere_is_missing() -> None:
    one = merged([site("vc01", "app")], expected=["vc01", "vc02"])
    assert states(one) == {"vc01": "ok", "vc02": "missing"}
    assert incomplete(one) == ["Endpoint vc02 is missing: no map of it was given."]


def test_an_endpoint_that_is_missing_in_one_map_is_not_when_another_has_it() -> None:
    assert states(merged([lost("vc01"), site("vc01", "app")])) == {"vc01": "ok"}
    assert incomplete(merged([lost("vc01"), site("vc02")])) == ["Endpoint vc01 is missing: it is down."]


@pytest.mark.parametrize(("max_age", "state"), [(5 * HOUR, "stale"), (6 * HOUR, "ok"), (0, "ok")])
def test_a_map_that_is_too_old_is_stale_and_stays(max_age: float, state: str) -> None:
    one = merged([site("vc01", "app")], max_age=max_age, now=NOON)
    assert (states(one), vms(one)) == ({"vc01": state}, [("vc01", "app")])


def test_a_stale_endpoint_is_named_with_its_date() -> None:
    one = merged([site("vc01", "app")], max_age=HOUR, now=NOON)
    assert incomplete(one) == [f"Endpoint vc01 is stale: it was read at {MORNING}."]


def test_a_map_that_does_not_say_when_it_was_read_is_stale() -> None:
    assert states(merged([site("vc01", "app", observed="")], max_age=HOUR, now=NOON)) == {"vc01": "stale"}


def test_an_endpoint_without_any_vm_is_there() -> None:
    assert states(merged([site("vc01")], expected=["vc01"])) == {"vc01": "ok"}


def test_a_map_of_another_schema_is_refused() -> None:
    with pytest.raises(InvalidInput, match="has schema 2, and this collection reads 1"):
        merged([{**site("vc01"), "schema": 2}])


def test_what_the_module_told_of_each_endpoint_becomes_one_map() -> None:
    told = {"mappings": [row("vc01")], "virtual_machines": [], "storage_resources": [], "warnings": ["an array was silent"]}
    observed = {"name": "vc05", "type": "vmware", "address": "vc05.example.com", "observed": EVENING, "warnings": ["w"]}
    failed = {"failed": True, "msg": "It cannot\nbe reached."}
    one = of_results(
        {"vc01": told, "vc02": failed, "vc03": {}, "vc04": {"mappings": []}, "vc05": {"endpoint": observed, "mappings": []}}, NOON or 0
    )
    endpoints = {each["name"]: each for each in one["endpoints"]}
    assert endpoints["vc01"] == endpoint("vc01", warnings=["an array was silent"], identity="")
    assert incomplete(one) == ["Endpoint vc02 is missing: It cannot be reached.", "Endpoint vc03 is missing: no map of it was given."]
    assert (endpoints["vc04"]["status"], endpoints["vc04"]["observed"]) == ("ok", "2026-11-28T12:00:00Z")
    assert endpoints["vc05"] == {**observed, "identity": "", "status": "ok", "reason": ""}
    assert one["generated"] == "2026-11-28T12:00:00Z"


def test_of_two_that_differ_in_nothing_but_who_they_say_to_be_it_is_always_the_same_one() -> None:
    one, other = known_as("4213", site("vc01", "app")), known_as("4214", site("vc01", "app"))
    assert merged([one, other]) == merged([other, one])


def replaced() -> Sequence[Map]:
    """vc02 is another name of what vc01 was at noon, and by the evening vc01 is a new one."""
    old, noon = known_as("4213", site("vc02", "old")), known_as("4213", site("vc01", "app", observed="2026-11-28T12:00:00Z"))
    return old, noon, known_as("4214", site("vc01", "new", observed=EVENING))


def test_one_whose_map_was_left_out_for_another_that_does_not_count_either_is_missing_and_says_why() -> None:
    old, noon, new = replaced()
    sentence = (
        "Endpoint vc02 is missing: its map was left out, because it is the endpoint that was read as vc01 at 2026-11-28T12:00:00Z, "
        "and vc01 is another one by now; read it again."
    )
    for one in (merged([old, noon, new]), merged([merged([old, noon]), new]), merged([old, merged([noon, new])])):
        assert (vms(one), states(one)) == ([("vc01", "new")], {"vc01": "ok", "vc02": "missing"})
        assert incomplete(one) == [sentence]


def test_one_that_was_missing_so_is_there_again_once_it_was_read_again() -> None:
    again = known_as("4213", site("vc02", "back", observed="2026-11-28T19:00:00Z"))
    assert states(merged([merged(replaced()), again])) == {"vc01": "ok", "vc02": "ok"}


def test_of_what_is_superseded_only_the_dates_are_kept_and_only_where_something_depends_on_them() -> None:
    assert "superseded" not in merged([site("vc01", "old"), site("vc01", "new", observed=EVENING)])
    one = merged([known_as("4213", site("vc02", "old")), known_as("4213", site("vc01", "new", observed=EVENING))])
    place = {"name": "vc02", "type": "vmware", "address": "vc02.example.com"}
    assert one["superseded"] == [{**place, "identity": "4213", "observed": MORNING}]


def test_a_map_of_before_endpoints_told_who_they_are_gives_way_to_a_later_one_of_its_place() -> None:
    old, new = site("vc01", "old"), known_as("4213", site("vc01", "new", observed=EVENING))
    assert vms(merged([old, new])) == [("vc01", "new")]
    assert vms(merged([known_as("4213", site("vc01", "old")), site("vc01", "new", observed=EVENING)])) == [("vc01", "new")]


NAMES = st.sampled_from(["vc01", "vc02", "hv01"])
SITES = st.builds(
    lambda name, identity, machines, observed: known_as(identity, site(name, *machines, observed=observed)),
    NAMES,
    st.sampled_from(["", "4213", "4214"]),
    st.lists(st.sampled_from(["a", "b", "c"]), max_size=2),
    st.sampled_from([MORNING, "2026-11-28T12:00:00Z", EVENING]),
)
MAPS = st.lists(st.one_of(SITES, st.builds(lost, NAMES, st.sampled_from(["it is down", "it was killed"]))), max_size=5)


@given(MAPS)
def test_a_merge_of_a_merge_is_the_merge(maps: Sequence[Map]) -> None:
    one = merged(maps)
    assert merged([one]) == one
    assert merged([one, one, *maps]) == one
    assert merged([one], max_age=HOUR, now=NOON) == merged(maps, max_age=HOUR, now=NOON)


@given(MAPS.flatmap(lambda maps: st.tuples(st.just(maps), st.permutations(maps))))
def test_the_order_does_not_matter(orders: tuple[Sequence[Map], Sequence[Map]]) -> None:
    first, second = orders
    assert merged(first) == merged(second)


@given(MAPS, MAPS, MAPS)
def test_it_does_not_matter_what_is_joined_first(one: Sequence[Map], two: Sequence[Map], three: Sequence[Map]) -> None:
    whole = merged([*one, *two, *three])
    assert merged([merged([*one, *two]), *three]) == whole
    assert merged([*one, merged([*two, *three])]) == whole


@given(MAPS)
def test_no_endpoint_is_lost_and_none_is_there_twice(maps: Sequence[Map]) -> None:
    told = [name for each in merged(maps)["endpoints"] for name in (each["name"], *each.get("also", ()))]
    assert sorted(told) == sorted({each["name"] for given in maps for each in given["endpoints"]})


@given(MAPS)
def test_no_endpoint_that_says_who_it_is_counts_twice(maps: Sequence[Map]) -> None:
    known = [each["identity"] for each in merged(maps)["endpoints"] if each["identity"] and each["status"] == "ok"]
    assert len(known) == len(set(known))


@given(MAPS)
def test_every_row_is_of_an_endpoint_that_is_there(maps: Sequence[Map]) -> None:
    one = merged(maps)
    assert {told["endpoint"] for told in one["mappings"]} <= {each["name"] for each in one["endpoints"] if each["status"] == "ok"}
