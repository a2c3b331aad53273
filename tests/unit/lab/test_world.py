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
ARRAY, VCENTER, HYPERV, XEN = WORLD["array"], WORLD["vcenter"], WORLD["hyperv"], WORLD["xen"]
NAAS = {world.naa_of(lun["serial"]) for svm in ARRAY["svms"] for volume in svm["volumes"] for lun in volume["luns"]}
NAMES_OF_STORES = {store["name"] for store in WORLD["vcenter"]["datastores"]}


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
    assert len(world.build(world.Size(vms))["vcenter"]["vms"]) == expected


def test_numbered_vms_spread_evenly_and_stay_on_datastores_of_their_cluster() -> None:
    grown = world.build(world.Size(115, disks=4))["vcenter"]
    fleet = [vm for vm in grown["vms"] if vm["folder"] == "fleet"]
    clusters = {ds["name"]: ds.get("clusters", []) for ds in grown["datastores"]}
    assert set(Counter(vm["host"] for vm in fleet).values()) == {25}
    assert {len(vm["disks"]) for vm in fleet} == {4}
    assert all(vm["cluster"] in clusters[disk["datastore"]] for vm in fleet for disk in vm["disks"])


def test_every_windows_host_is_in_the_group_of_its_luns() -> None:
    groups = {group["name"]: group for group in ARRAY["svms"][0]["igroups"]}
    for machine in HYPERV["machines"]:
        if machine["role"] == "host":
            group = groups[f"hv_{machine['cluster'] or 'hv01'}"]
            assert {hba.get("wwpn") or hba["iqn"] for hba in machine["hbas"]} <= set(group["initiators"])


def test_initiators_belong_to_one_host_only() -> None:
    hosts = [host for cluster in VCENTER["clusters"] for host in cluster["hosts"]] + HYPERV["machines"]
    names = [hba.get("wwpn") or hba["iqn"].lower() for host in hosts for hba in host["hbas"] if hba["kind"] != "block"]
    assert len(set(names)) == len(names)


def test_windows_machines_stand_on_luns_that_the_array_has() -> None:
    used = [lun["naa"] for machine in HYPERV["machines"] for lun in machine["luns"]]
    used += [disk["naa"] for cluster in HYPERV["clusters"] for disk in (*cluster["csvs"], cluster["witness"])]
    used += [raw["naa"] for vm in HYPERV["vms"] for raw in vm["passthrough"]]
    assert len(used) == 7
    assert set(used) <= NAAS


def test_every_kind_of_hyper_v_vm_is_there() -> None:
    vms = HYPERV["vms"]
    kinds = {(vm["generation"], vm["power"], vm["highly_available"]) for vm in vms}
    assert kinds == {(2, "on", False), (1, "on", False), (1, "off", False), (2, "on", True), (2, "off", True)}
    assert sum(bool(vm["passthrough"]) for vm in vms) == 1
    assert sum(bool(vm["checkpoints"]) and any(disk.get("parents") for disk in vm["disks"]) for vm in vms) == 1
    assert len({vm["id"] for vm in vms}) == len(vms)


def test_the_fleet_of_the_single_host_has_the_total_asked_for() -> None:
    grown = world.build(world.Size(100, disks=3))["hyperv"]["vms"]
    fleet = [vm for vm in grown if vm["name"].startswith("hvvm")]
    assert sum(vm["host"] == "hv01.lab" for vm in grown) == 100
    assert {len(vm["disks"]) for vm in fleet} == {3}


def test_a_cluster_without_numbered_datastores_has_its_vms_on_its_own() -> None:
    grown = world.build(world.Size(20, disks=2, stores=1))["vcenter"]
    numbered = {vm["name"]: {disk["datastore"] for disk in vm["disks"]} for vm in grown["vms"] if vm["name"].startswith("vm0")}
    assert numbered
    assert all(numbered.values())


def test_numbered_vms_lie_on_numbered_datastores_each_on_a_mapped_lun_of_its_own() -> None:
    grown = world.build(world.Size(35, disks=2, stores=5))
    stores = {store["name"]: store for store in grown["vcenter"]["datastores"] if store["name"] not in NAMES_OF_STORES}
    fleet = [vm for vm in grown["vcenter"]["vms"] if vm["folder"] == "fleet"]
    assert list(stores) == ["ds0001", "ds0003", "ds0005", "ds0002", "ds0004"]
    assert {disk["datastore"] for vm in fleet for disk in vm["disks"]} == set(stores)
    assert all(stores[disk["datastore"]]["clusters"] == [vm["cluster"]] for vm in fleet for disk in vm["disks"])
    svm = grown["array"]["svms"][0]
    luns = {f"/vol/{volume['name']}/{lun['name']}": world.naa_of(lun["serial"]) for volume in svm["volumes"] for lun in volume["luns"]}
    mapped = {luns[row["lun"]] for group in svm["igroups"] if group["name"].startswith("esx_") for row in group["maps"]}
    extents = [extent for store in stores.values() for extent in store["extents"]]
    assert len(set(extents)) == len(extents) == len(stores)
    assert set(extents) <= mapped


def test_the_groups_of_the_xen_pool_hold_its_initiators_by_transport() -> None:
    groups = {igroup["name"]: igroup for igroup in ARRAY["svms"][0]["igroups"]}
    hbas = [hba for host in XEN["hosts"] for hba in host["hbas"]]
    assert groups["xen_fc"]["initiators"] == [hba["wwpn"] for hba in hbas if hba["kind"] == "fc"]
    assert groups["xen_iscsi"]["initiators"] == [hba["iqn"] for hba in hbas if hba["kind"] == "iscsi_software"]
    assert not {row["lun"] for row in groups["xen_fc"]["maps"]} & {row["lun"] for row in groups["xen_iscsi"]["maps"]}


def test_the_repositories_of_the_xen_pool_stand_on_luns_of_the_array() -> None:
    wanted = {sr["device_config"]["SCSIid"][1:] for sr in XEN["srs"] if "SCSIid" in sr["device_config"]}
    assert wanted <= NAAS
    assert len(wanted) == 2


def test_every_disk_of_a_xen_vm_is_a_vdi_a_lun_or_an_empty_drive() -> None:
    vdis = Counter(vdi["name"] for vdi in XEN["vdis"])
    disks = [disk for vm in XEN["vms"] for disk in vm["disks"]]
    assert set(vdis.values()) == {1}
    assert all(disk.get("lun") in NAAS or disk.get("vdi") in vdis or disk.get("cd") for disk in disks)


def test_every_xen_vm_has_a_uuid_of_its_own_also_where_names_are_equal() -> None:
    assert len({vm["uuid"] for vm in XEN["vms"]}) == len(XEN["vms"])


@pytest.mark.parametrize("vms", [0, 100])
def test_numbered_xen_vms_fill_up_to_the_total(vms: int) -> None:
    grown = world.build(world.Size(vms, disks=3))["xen"]["vms"]
    assert len(grown) == max(vms, len(XEN["vms"]))
    assert all(len(vm["disks"]) == 3 for vm in grown[len(XEN["vms"]) :])
