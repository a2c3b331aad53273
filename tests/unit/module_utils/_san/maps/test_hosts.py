# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""VMs as hosts: what they are called, and in which groups they are."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.crossvisor.san.plugins.module_utils._san.maps.hosts import Group, Machine, alike, host_name, machines, names

NAA = "600a098038304c61622d616161616131"
VM = {"name": "app", "id": "vm-1", "uuid": "u", "cluster": "prod", "host": "esx1", "folder": "apps", "power": "on"}
ROW = {
    "vm_id": "vm-1", "disk": "Hard disk 1", "array": "lab-ontap", "svm": "svm1", "volume": "vol_prod", "lun_path": "/vol/vol_prod/ds1",
    "naa": NAA, "status": "mapped",
}  # fmt: skip


def machine(*rows: dict[str, Any], vm: dict[str, Any] | None = None, endpoint: str = "vc01") -> Machine:
    document = {"type": "vmware", "address": "vc.example.com", "virtual_machines": [vm or VM], "mappings": rows}
    (found,) = machines(endpoint, document)
    return found


def groups(*rows: dict[str, Any], vm: dict[str, Any] | None = None) -> dict[str, str]:
    return {group.exact: group.short for group in machine(*rows, vm=vm).groups}


def test_a_vm_is_in_the_groups_of_where_it_runs_and_what_it_lies_on() -> None:
    assert groups(ROW) == {
        "endpoint_vc01": "endpoint_vc01",
        "hypervisor_vmware": "hypervisor_vmware",
        "cluster_vc01_prod": "cluster_prod",
        "host_vc01_esx1": "host_esx1",
        "array_lab_ontap": "array_lab_ontap",
        "svm_lab_ontap_svm1": "svm_svm1",
        "volume_lab_ontap_svm1_vol_prod": "volume_vol_prod",
        f"lun_{NAA}": "lun_ds1",
    }


def test_what_is_not_known_is_no_group() -> None:
    nothing = {**ROW, "array": "", "svm": "", "volume": "", "lun_path": "", "naa": ""}
    assert set(groups(nothing, vm={**VM, "cluster": "", "host": ""})) == {"endpoint_vc01", "hypervisor_vmware"}


def test_a_lun_that_is_called_like_another_s_name_is_known_by_its_own_alone() -> None:
    assert groups({**ROW, "lun_path": f"/vol/v/{NAA[:-1]}2"})[f"lun_{NAA}"] == f"lun_{NAA}"


def test_volumes_of_one_name_have_one_group_and_each_its_own() -> None:
    assert {exact for exact, short in groups(ROW, {**ROW, "svm": "svm2"}).items() if short == "volume_vol_prod"} == {
        "volume_lab_ontap_svm1_vol_prod",
        "volume_lab_ontap_svm2_vol_prod",
    }


def test_things_that_a_group_s_name_cannot_tell_apart_are_told() -> None:
    found = [*machine(ROW, {**ROW, "volume": "vol-prod"}, {**ROW, "volume": "other"}).groups]
    assert alike(found) == {"volume_lab_ontap_svm1_vol_prod": ["lab-ontap/svm1/vol-prod", "lab-ontap/svm1/vol_prod"]}
    assert alike([Group("a", "b", ("x",)), Group("a", "b", ("x",))]) == {}


def test_the_variables_of_a_vm_hold_its_rows_and_each_thing_once() -> None:
    variables = machine(ROW, {**ROW, "disk": "Hard disk 2", "volume": "vol_b"}).variables
    assert variables["crossvisor_volumes"] == ["vol_b", "vol_prod"]
    assert (variables["crossvisor_svms"], variables["crossvisor_naas"]) == (["svm1"], [NAA])
    assert [row["disk"] for row in variables["crossvisor_disks"]] == ["Hard disk 1", "Hard disk 2"]
    assert (variables["crossvisor_vm_name"], variables["crossvisor_endpoint"], variables["crossvisor_power"]) == ("app", "vc01", "on")


@pytest.mark.parametrize(("status", "unresolved"), [("mapped", False), ("local", False), ("unresolved", True)])
def test_a_vm_with_a_disk_that_nobody_can_follow_is_unresolved(status: str, unresolved: bool) -> None:
    assert machine(ROW, {**ROW, "status": status}).unresolved is unresolved


def test_a_vm_without_a_disk_is_there() -> None:
    assert machine().variables["crossvisor_disks"] == []


@pytest.mark.parametrize(
    ("name", "host"),
    [
        ("app 01 (old)", "app 01 (old)"),
        ("räum", "räum"),
        ("a,b:c", "a_b_c"),
        ("{{ lookup('pipe', 'id') }}", "__ lookup(_pipe__ _id_) __"),
        ("a\nb\u202e", "a_b_"),
        ("--list", "list"),
        ("app[1:9]", "app_1_9_"),
    ],
)
def test_the_name_of_a_host_is_read_as_nothing_else(name: str, host: str) -> None:
    assert host_name(name) == host


def test_vms_of_one_name_get_longer_ones_and_others_keep_theirs() -> None:
    found = [
        machine(vm={**VM, "id": identity, "name": name}, endpoint=endpoint)
        for name, identity, endpoint in [("web", "1", "vc01"), ("app", "2", "vc01"), ("app", "2", "vc02"), ("app", "3", "vc02")]
    ]
    assert names([vm.name for vm in found], found) == ["web", "app_vc01", "app_vc02_2", "app_vc02_3"]


def test_a_vm_without_a_name_is_called_by_its_identifier() -> None:
    assert names([""], [machine()]) == ["vm-1"]


@given(
    st.lists(st.tuples(st.sampled_from(["a", "a_e", "a_e_1", ""]), st.sampled_from(["1", "a"]), st.sampled_from(["e", "f"])), max_size=8)
)
def test_no_two_vms_are_ever_one_host(wished: list[tuple[str, str, str]]) -> None:
    found = [machine(vm={**VM, "id": identity}, endpoint=endpoint) for _name, identity, endpoint in wished]
    named = names([name for name, _identity, _endpoint in wished], found)
    assert len(set(named)) == len(wished)
