# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Through which igroup, and under which id, initiators come to see a LUN."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.groups import (
    LUN_IDS,
    Group,
    blind_initiators,
    group_name,
    group_os_type,
    ids_seen,
    is_begun,
    is_ours,
    route,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import Refused
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import Lun, LunMapping
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from tests.unit.ontap import wish

PATH = "/vol/vol_prod/new"
A, B, C = "iqn.1998-01.com.vmware:a", "iqn.1998-01.com.vmware:b", "10:00:00:90:fa:00:00:0c"


def group(name: str, *initiators: str, **settings: Any) -> Group:
    return Group(
        **{"id": f"id-{name}", "name": name, "os_type": "vmware", "protocol": "mixed", "initiators": frozenset(initiators), **settings}
    )


def lun(*mapped: tuple[Group, int]) -> Lun:
    mappings = [LunMapping(one.name, one.id, lun_id, sorted(one.initiators)) for one, lun_id in mapped]
    return Lun(
        "uuid", PATH, ScsiName.from_ontap_serial("80Lab-aaaaa1"), "80Lab-aaaaa1", 1, "vmware", "svm_san", "vol_prod", mappings=mappings
    )


def with_lun(one: Group, lun_id: int, path: str = PATH) -> Group:
    return Group(one.id, one.name, one.os_type, one.protocol, one.initiators, {**one.luns, lun_id: path})


class TestTheNameOfAGroupOfOurs:
    @given(st.permutations([A, B, C]))
    def test_does_not_depend_on_the_order(self, initiators: list[str]) -> None:
        assert group_name(initiators) == group_name([A, B, C])

    def test_is_twelve_hex_digits_after_our_name(self) -> None:
        name = group_name([A])
        assert name.startswith("crossvisor_")
        assert len(bytes.fromhex(name.removeprefix("crossvisor_"))) == 6

    def test_differs_for_other_initiators(self) -> None:
        assert len({group_name(initiators) for initiators in ([A], [B], [A, B], [A, B, C])}) == 4

    def test_makes_it_ours_only_while_nobody_changed_it(self) -> None:
        assert is_ours(group(group_name([A]), A))
        assert not is_ours(group(group_name([A]), A, B))
        assert not is_ours(group("esx_prod", A))

    def test_is_begun_only_while_it_lacks_some_of_those_it_is_for(self) -> None:
        name = group_name([A, B])
        assert is_begun(group(name), [A, B])
        assert is_begun(group(name, A), [A, B])
        assert not is_begun(group(name, A, B), [A, B])
        assert not is_begun(group(name, C), [A, B])
        assert not is_begun(group(name, A), [A, B, C])
        assert not is_begun(with_lun(group(name, A), 0), [A, B])


def test_igroups_know_fewer_operating_systems_than_luns() -> None:
    assert [group_os_type(kind) for kind in ("windows_2008", "windows_gpt", "solaris_efi", "vmware")] == [
        "windows",
        "windows",
        "solaris",
        "vmware",
    ]


class TestWhoSeesTheLunAlready:
    def test_needs_nothing_whatever_the_groups_are_called(self) -> None:
        one, other = group("x", A), group("y", B)
        assert route(wish(initiators=[A, B]), lun((one, 3), (other, 3)), []) is None

    def test_is_recognised_in_any_case(self) -> None:
        assert blind_initiators(wish(initiators=[A.upper()]), lun((group("x", A), 3))) == []

    def test_must_all_see_it_under_one_id(self) -> None:
        seen = lun((group("x", A), 3), (group("y", B), 4))
        with pytest.raises(Refused, match=r"mapped under different LUN ids \(.*:a: 3, .*:b: 4\): unmap it from all but one"):
            route(wish(initiators=[A, B]), seen, [])

    def test_keeps_the_id_unless_another_is_asked_for(self) -> None:
        with pytest.raises(Refused, match="already mapped as LUN id 3, not 7: leave lun_id out"):
            route(wish(initiators=[A], lun_id=7), lun((group("x", A), 3)), [])
        assert route(wish(initiators=[A], lun_id=3), lun((group("x", A), 3)), []) is None


class TestWithoutAGroupName:
    def test_a_group_of_exactly_these_initiators_is_used(self) -> None:
        fitting, larger = group("exact", A, B), group("larger", A, B, C)
        found = route(wish(initiators=[B, A.upper()]), None, [larger, fitting])
        assert found is not None
        assert (found.group, found.join, found.mapped) == (fitting, [], False)

    def test_the_group_of_ours_goes_before_others(self) -> None:
        ours = group(group_name([A]), A)
        found = route(wish(initiators=[A]), None, [group("aaa", A), ours])
        assert found is not None
        assert found.group is ours

    def test_a_group_of_another_operating_system_is_in_the_way(self) -> None:
        with pytest.raises(
            Refused, match=r":a is in igroup lin of os_type linux and cannot be in crossvisor_\w+ of os_type vmware as well"
        ):
            route(wish(initiators=[A]), None, [group("lin", A, os_type="linux")])

    @pytest.mark.parametrize(("initiators", "protocol"), [([A], "iscsi"), ([C], "fcp"), ([A, C], "mixed")])
    def test_a_new_group_takes_the_protocol_of_its_initiators(self, initiators: list[str], protocol: str) -> None:
        found = route(wish(initiators=initiators), None, [])
        assert found is not None
        assert (found.group.id, found.group.name, found.group.protocol) == ("", group_name(initiators), protocol)
        assert found.join == (), "it is created with them"

    def test_a_group_of_ours_that_somebody_changed_is_left_alone(self) -> None:
        with pytest.raises(Refused, match="no longer holds exactly the initiators it was made for"):
            route(wish(initiators=[A]), None, [group(group_name([A]), A, B)])

    @pytest.mark.parametrize("there", [(), (A,)], ids=["empty", "half filled"])
    def test_a_group_of_ours_that_a_killed_run_began_to_fill_is_filled(self, there: tuple[str, ...]) -> None:
        begun = group(group_name([A, B]), *there)
        found = route(wish(initiators=[A, B]), None, [begun])
        assert found is not None
        assert (found.group, found.join) == (begun, [name for name in (A, B) if name not in there])

    @pytest.mark.parametrize(
        "changed",
        [with_lun(group(group_name([A, B]), A), 0, "/vol/vol_prod/other"), group(group_name([A, B]), A, os_type="linux")],
        ids=["with a LUN", "of another operating system"],
    )
    def test_one_that_is_in_use_or_of_another_kind_was_not_just_begun(self, changed: Group) -> None:
        with pytest.raises(Refused):
            route(wish(initiators=[A, B]), None, [changed])

    def test_only_those_who_lack_the_lun_are_given_it_and_under_the_same_id(self) -> None:
        first = with_lun(group("first", A), 5)
        found = route(wish(initiators=[A, B]), lun((first, 5)), [first])
        assert found is not None
        assert (found.group.name, found.group.initiators, found.lun_id) == (group_name([B]), frozenset({B}), 5)


class TestWithAGroupName:
    def test_it_is_created(self) -> None:
        found = route(wish(initiators=[A], group="esx"), None, [])
        assert found is not None
        assert (found.group.id, found.group.name, found.group.initiators) == ("", "esx", frozenset({A}))

    def test_it_is_extended(self) -> None:
        found = route(wish(initiators=[A, B], group="esx"), None, [group("esx", A)])
        assert found is not None
        assert (found.join, found.mapped) == ([B], False)

    def test_its_members_may_be_in_groups_of_another_os_type_as_long_as_none_joins_it(self) -> None:
        elsewhere = group("lin", A, os_type="linux")
        found = route(wish(initiators=[A, B], group="esx"), None, [group("esx", A), elsewhere])
        assert found is not None
        assert found.join == [B]
        with pytest.raises(Refused, match=r":a is in igroup lin of os_type linux and cannot be in esx of os_type vmware as well"):
            route(wish(initiators=[A, B], group="esx"), None, [group("esx", B), elsewhere])

    def test_it_is_extended_without_a_second_map(self) -> None:
        esx = with_lun(group("esx", A), 5)
        found = route(wish(initiators=[A, B], group="esx"), lun((esx, 5)), [esx])
        assert found is not None
        assert (found.join, found.mapped, found.lun_id) == ([B], True, 5)

    def test_its_id_counts_even_when_none_of_the_initiators_is_in_it(self) -> None:
        esx = with_lun(group("esx", C), 5)
        found = route(wish(initiators=[A], group="esx"), lun((esx, 5)), [esx])
        assert found is not None
        assert found.lun_id == 5
        with pytest.raises(Refused, match="already mapped as LUN id 5, not 6"):
            route(wish(initiators=[A], group="esx", lun_id=6), lun((esx, 5)), [esx])

    def test_its_operating_system_must_fit(self) -> None:
        with pytest.raises(
            Refused, match=r"Igroup svm_san:esx has os_type linux, not vmware: name another one in igroup .*, or say igroup_os_type=linux"
        ):
            route(wish(initiators=[A], group="esx"), None, [group("esx", os_type="linux")])

    def test_its_protocol_must_fit(self) -> None:
        with pytest.raises(Refused, match=r"Igroup esx takes iscsi initiators only and 10:\S+ is none"):
            route(wish(initiators=[C], group="esx"), None, [group("esx", A, protocol="iscsi")])

    def test_nobody_joins_it_who_sees_another_lun_under_one_of_its_ids(self) -> None:
        groups = [with_lun(group("esx", A), 1, "/vol/v/x"), with_lun(group("other", B), 1, "/vol/v/y")]
        with pytest.raises(Refused, match=r":b cannot join igroup esx, which has LUN /vol/v/x as LUN id 1: through igroup other"):
            route(wish(initiators=[B], group="esx"), None, groups)

    def test_nobody_joins_it_who_sees_one_of_its_luns_already(self) -> None:
        groups = [with_lun(group("esx", A), 1, "/vol/v/x"), with_lun(group("other", B), 2, "/vol/v/x")]
        with pytest.raises(Refused, match="it already sees that LUN"):
            route(wish(initiators=[B], group="esx"), None, groups)

    def test_it_is_not_mapped_where_a_member_sees_the_lun_through_another(self) -> None:
        other = with_lun(group("other", A), 5)
        esx = group("esx", A, B)
        with pytest.raises(Refused, match=r"cannot be mapped to igroup esx: its initiator .*:a already sees the LUN through igroup other"):
            route(wish(initiators=[A, B], group="esx"), lun((other, 5)), [other, esx])


class TestTheLunId:
    def test_is_the_lowest_that_is_free_for_every_initiator(self) -> None:
        groups = [with_lun(with_lun(group("x", A), 0, "/vol/v/0"), 2, "/vol/v/2"), with_lun(group("y", B, C), 1, "/vol/v/1")]
        found = route(wish(initiators=[A, B]), None, groups)
        assert found is not None
        assert found.lun_id == 3

    def test_is_free_for_the_other_members_of_the_group_too(self) -> None:
        groups = [group("esx", A, C), with_lun(group("y", C), 0, "/vol/v/0")]
        found = route(wish(initiators=[A], group="esx"), None, groups)
        assert found is not None
        assert found.lun_id == 1

    def test_is_not_disturbed_by_groups_of_others(self) -> None:
        found = route(wish(initiators=[A]), None, [with_lun(group("y", B), 0, "/vol/v/0")])
        assert found is not None
        assert found.lun_id == 0

    def test_asked_for_and_taken_is_refused_by_the_name_of_who_has_it(self) -> None:
        with pytest.raises(Refused, match=r"LUN id 7 is taken by LUN svm_san:/vol/v/other for at least one of the initiators"):
            route(wish(initiators=[A], lun_id=7), None, [with_lun(group("x", A, B), 7, "/vol/v/other")])

    def test_of_those_who_see_it_must_be_free_for_the_others(self) -> None:
        first, second = with_lun(group("first", A), 5), with_lun(group("second", B, C), 5, "/vol/v/other")
        with pytest.raises(Refused, match="LUN id 5 is taken by LUN svm_san:/vol/v/other"):
            route(wish(initiators=[A, B]), lun((first, 5)), [first, second])

    def test_can_run_out(self) -> None:
        full = group("x", A, B, luns={lun_id: f"/vol/v/{lun_id}" for lun_id in LUN_IDS})
        with pytest.raises(Refused, match="have no LUN id left"):
            route(wish(initiators=[A]), None, [full])


class TestWhatDecides:
    def test_lun_ids_are_those_of_ontap(self) -> None:
        assert range(4096) == LUN_IDS

    def test_only_asked_initiators_that_see_a_number_are_seen(self) -> None:
        known = lun((group("a", A, C), 3))
        unnumbered = replace(known, mappings=[*known.mappings, LunMapping("b", "id-b", None, [B])])
        assert ids_seen(unnumbered, [A, B]) == {A: 3}

    def test_the_type_of_a_new_group_is_the_hosts_and_without_one_the_luns(self) -> None:
        for name in ("new", None):
            for group_type, made in (("hyper_v", "hyper_v"), (None, "vmware")):
                way = route(wish(initiators=[A], group=name, group_os_type=group_type), None, [])
                assert way is not None
                assert way.group.os_type == made

    def test_an_initiator_in_a_group_of_another_type_cannot_be_in_ours(self) -> None:
        stranger = group("hv", A, os_type="hyper_v")
        with pytest.raises(Refused, match=f"Initiator {A} is in igroup hv of os_type hyper_v and cannot be in "):
            route(wish(initiators=[A]), None, [stranger])

    def test_a_group_of_another_type_with_others_is_in_nobodys_way(self) -> None:
        way = route(wish(initiators=[A]), None, [group("hv", B, os_type="hyper_v")])
        assert way is not None
        assert way.group.initiators == {A}

    def test_who_joins_a_group_may_be_in_another_of_the_same_type(self) -> None:
        way = route(wish(initiators=[A, B], group="esx"), None, [group("esx", A), group("other", B)])
        assert way is not None
        assert list(way.join) == [B]
