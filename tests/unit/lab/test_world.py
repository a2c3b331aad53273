# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The world is complete, consistent and always the same."""

from __future__ import annotations

from collections import Counter
from itertools import chain

import pytest

from tests.lab import world

WORLD = world.build()
ARRAY, VCENTER = WORLD["array"], WORLD["vcenter"]
NAAS = {world.naa_of(lun["serial"]) for svm in ARRAY["svms"] for volume in svm["volumes"] for lun in volume["luns"]}


def test_every_lab_has_the_same_world() -> None:
    assert world.build() == WORLD


def test_serials_have_twelve_characters_and_are_unique() -> None:
    serials = [lun["serial"] for svm in ARRAY["svms"] for volume in svm["volumes"] for lun in volume["luns"]]
    assert {len(serial) for serial in serials} == {12}
    assert len(set(serials)) == len(serials)


def test_datastores_stand_on_luns_that_the_array_has() -> None:
    extents = chain.from_iterable(ds.get("extents", []) for ds in VCENTER["datastores"])
    assert {extent for extent in extents if not extent.startswith("t10.")} <= NAAS


def test_every_kind_of_datastore_is_there() -> None:
    kinds = {(ds["type"], len(ds.get("extents", [])), "host" in ds) for ds in VCENTER["datastores"]}
    assert kinds == {("vmfs", 1, False), ("vmfs", 2, False), ("nfs", 0, False), ("vmfs", 1, True)}


def test_the_groups_of_the_array_hold_every_initiator_of_the_hosts_in_lower_case() -> None:
    groups = {igroup["name"]: igroup["initiators"] for igroup in ARRAY["svms"][0]["igroups"]}
    for cluster in VCENTER["clusters"]:
        hbas = [hba for host in cluster["hosts"] for hba in host["hbas"] if hba["kind"] != "block"]
        assert sorted(groups[f"esx_{cluster['name']}"]) == sorted((hba.get("wwpn") or hba["iqn"]).lower() for hba in hbas)


def test_some_initiator_names_are_of_mixed_case() -> None:
    iqns = [hba["iqn"] for cluster in VCENTER["clusters"] for host in cluster["hosts"] for hba in host["hbas"] if "iqn" in hba]
    assert any(iqn != iqn.lower() for iqn in iqns)


def test_only_twin_has_a_namesake() -> None:
    names = Counter(vm["name"] for vm in VCENTER["vms"])
    assert [name for name, count in names.items() if count > 1] == ["twin"]
    assert len(VCENTER["vms"]) >= 14


def test_the_raw_disk_of_a_vm_is_a_lun_mapped_to_its_cluster() -> None:
    owner = next(vm for vm in VCENTER["vms"] if vm["rdms"])
    mapped = {row["lun"] for row in ARRAY["svms"][0]["igroups"][0]["maps"]}
    assert owner["cluster"] == "prod"
    assert owner["rdms"][0]["naa"] == world.naa_at("/vol/vol_prod/shared_rdm")
    assert "/vol/vol_prod/shared_rdm" in mapped


@pytest.mark.parametrize(("vms", "expected"), [(0, 15), (10, 15), (16, 16), (101, 101)])
def test_numbered_vms_fill_up_to_the_total(vms: int, expected: int) -> None:
    assert len(world.build(vms)["vcenter"]["vms"]) == expected


def test_numbered_vms_spread_evenly_and_stay_on_datastores_of_their_cluster() -> None:
    grown = world.build(115, disks=4)["vcenter"]
    fleet = [vm for vm in grown["vms"] if vm["folder"] == "fleet"]
    clusters = {ds["name"]: ds.get("clusters", []) for ds in grown["datastores"]}
    assert set(Counter(vm["host"] for vm in fleet).values()) == {25}
    assert {len(vm["disks"]) for vm in fleet} == {4}
    assert all(vm["cluster"] in clusters[disk["datastore"]] for vm in fleet for disk in vm["disks"])
