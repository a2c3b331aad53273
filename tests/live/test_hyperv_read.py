# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the modules read of the lab's Hyper-V hosts and failover clusters, over TLS and a real login, beside the world of the lab."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.lab import world
from tests.lab.hyperv_world import CLUSTERS, DOMAIN, GIB, HOSTS, initiators, lun_path
from tests.live.lab import WINDOWS, WindowsLab
from tests.live.modules import ModuleRunner, Result
from tests.unit.hard_disk_files import MIB, PRESENT, REGIONS, Block, Vhdx

WORLD = world.build()
VMS = WORLD["hyperv"]["vms"]
NODES = [node for nodes in CLUSTERS.values() for node in nodes]
ENUMERATIONS_PER_HOST = 10
ENUMERATIONS_FOR_STRANGERS = 9
CLUSTER_OF = {node: cluster for cluster, nodes in CLUSTERS.items() for node in nodes}


def together(machine: str) -> tuple[str, ...]:
    """The hosts behind a machine."""
    return CLUSTERS.get(CLUSTER_OF.get(machine, ""), (machine,))


def facts_of(modules: ModuleRunner, hypervisor: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = modules.succeed("hypervisor_facts", {"hypervisor": hypervisor})["ansible_facts"]["crossvisor"]
    return found


def storage_map(modules: ModuleRunner, windows: WindowsLab, machine: str, **options: Any) -> Result:
    return modules.succeed("vm_storage_map", {"hypervisor": windows.host(machine), "arrays": [windows.array], **options})


def warnings_of(result: Result) -> list[str]:
    return [warning["event"]["msg"] for warning in result.get("warnings", [])]


def rows_of(result: Result, vm: str) -> list[dict[str, Any]]:
    return [row for row in result["mappings"] if row["vm_name"] == vm]


@pytest.mark.parametrize("machine", HOSTS)
def test_any_host_is_recognised_and_tells_who_is_behind_it(windows: WindowsLab, modules: ModuleRunner, machine: str) -> None:
    facts = facts_of(modules, windows.host(machine))
    assert (facts["type"], facts["product"], facts["version"]) == ("hyperv", "Microsoft Windows Server 2022 Datacenter", "10.0.20348")
    names = [f"{node}.{DOMAIN}" for node in together(machine)]
    assert facts["hosts"] == names
    assert facts["clusters"] == ([{"name": CLUSTER_OF[machine], "hosts": names}] if machine in CLUSTER_OF else [])
    assert facts["capabilities"] == {
        "hot_add": True,
        "hot_add_controller": False,
        "passthrough_modes": ["physical"],
        "controller_types": ["scsi", "ide"],
        "clustering": machine in CLUSTER_OF,
        "shared_disks": False,
        "storage_types": [],
    }


def test_a_host_with_the_clustering_feature_and_no_cluster_is_a_single_host(windows: WindowsLab, modules: ModuleRunner) -> None:
    windows.cluster_service("hv01", "disabled")
    facts = facts_of(modules, windows.host("hv01"))
    assert (facts["hosts"], facts["clusters"]) == ([f"hv01.{DOMAIN}"], [])


@pytest.mark.parametrize("module", ["hypervisor_facts", "hba_info", "vm_storage_map"])
def test_a_node_that_cannot_tell_its_cluster_is_no_single_host(windows: WindowsLab, modules: ModuleRunner, module: str) -> None:
    windows.cluster_service("hvc1n1", "stopped")
    said = modules.fail(module, {"hypervisor": windows.host("hvc1n1")})
    assert "cluster service of host hvc1n1.lab is stopped" in said
    assert "Start-Service ClusSvc" in said


@pytest.mark.parametrize("login", ["ntlm", "basic"])
def test_both_logins_work(windows: WindowsLab, modules: ModuleRunner, login: str) -> None:
    given = {**windows.host("hvc1n1"), "type": "hyperv", "transport": login}
    assert facts_of(modules, given)["type"] == "hyperv"


@pytest.mark.parametrize("login", ["ntlm", "basic"])
def test_a_wrong_password_is_one_sentence(windows: WindowsLab, modules: ModuleRunner, login: str) -> None:
    given = {**windows.host("hv01"), "transport": login, "password": "not this one"}
    said = modules.fail("vm_storage_map", {"hypervisor": given})
    assert "hypervisor.username and hypervisor.password" in said
    assert "not this one" not in said


@pytest.mark.parametrize("machine", HOSTS)
def test_the_initiators_of_all_hosts_are_told_by_any_of_them(windows: WindowsLab, modules: ModuleRunner, machine: str) -> None:
    found = modules.succeed("hba_info", {"hypervisor": windows.host(machine)})
    assert found["initiators"] == sorted(initiators(together(machine)))
    for host in found["hosts"]:
        assert [hba["kind"] for hba in host["hbas"]] == ["fc", "fc", "iscsi_software"]
        assert [hba["speed_gbit_s"] for hba in host["hbas"]] == [32.0, 32.0, None]
        assert {hba["status"] for hba in host["hbas"]} == {"online"}


def test_the_initiators_of_a_vm_are_those_of_every_node_that_can_run_it(windows: WindowsLab, modules: ModuleRunner) -> None:
    given = {"hypervisor": windows.host("hvc2n4")}
    everywhere = modules.succeed("hba_info", {**given, "vm": "c2app01"})
    assert everywhere["initiators"] == sorted(initiators(CLUSTERS["hvc2"]))
    assert modules.succeed("hba_info", {**given, "vm": "c2local01"})["initiators"] == sorted(initiators(["hvc2n4"]))


def test_a_node_that_is_down_is_listed(windows: WindowsLab, modules: ModuleRunner) -> None:
    windows.power("hvc1n2", up=False)
    up, down = modules.succeed("hba_info", {"hypervisor": windows.host("hvc1n1")})["hosts"]
    assert (up["state"], down["name"], down["state"], down["hbas"]) == ("connected", f"hvc1n2.{DOMAIN}", "unreachable", [])


def test_missing_rights_in_one_namespace_are_told_with_its_name(windows: WindowsLab, modules: ModuleRunner) -> None:
    windows.fail(WINDOWS[0], {"error": {"code": "AccessDenied"}}, match="root/WMI", times=9)
    said = modules.fail("hba_info", {"hypervisor": windows.host("hv01")})
    assert "may not use the namespace root/WMI" in said
    assert "Remote Enable" in said
    windows.heal()
    windows.fail(WINDOWS[0], {"error": {"code": "AccessDenied"}}, match="root/virtualization", times=9)
    assert "may not use the namespace root/virtualization/v2" in modules.fail("vm_storage_map", {"hypervisor": windows.host("hv01")})


def test_every_disk_of_the_single_host_has_its_row(windows: WindowsLab, modules: ModuleRunner) -> None:
    found = storage_map(modules, windows, "hv01")
    here = [vm for vm in VMS if vm["host"] == f"hv01.{DOMAIN}"]
    assert {row["vm_name"] for row in found["mappings"]} == {vm["name"] for vm in here}
    on_lun = {row["path"]: row for row in found["mappings"] if row["kind"] == "image" and row["path"].startswith("E:")}
    assert {(row["status"], row["lun_path"], row["volume"], row["naa"]) for row in on_lun.values()} == {
        ("mapped", lun_path("hv01_data"), "vol_hv", world.naa_at(lun_path("hv01_data")))
    }
    local = [row for row in found["mappings"] if row["path"].startswith("C:")]
    assert local
    assert {(row["status"], row["device"], row["naa"]) for row in local} == {("local", "\\\\.\\PHYSICALDRIVE0", "")}
    (raw,) = (row for row in found["mappings"] if row["kind"] == "passthrough")
    assert (raw["vm_name"], raw["disk"], raw["status"], raw["lun_path"]) == ("hvdb01", "SCSI(0:1)", "mapped", lun_path("hv01_raw"))
    assert (raw["size_bytes"], raw["naa"], raw["hypervisor_type"]) == (20 * GIB, world.naa_at(lun_path("hv01_raw")), "hyperv")
    assert raw["lun_id"] is not None


@pytest.mark.parametrize("machine", NODES)
def test_a_vm_on_any_node_is_mapped_by_any_node(windows: WindowsLab, modules: ModuleRunner, machine: str) -> None:
    cluster = CLUSTER_OF[machine]
    found = storage_map(modules, windows, machine)
    there = {vm["name"]: vm for vm in VMS if vm["host"].partition(".")[0] in CLUSTERS[cluster]}
    assert {row["vm_name"] for row in found["mappings"]} == set(there)
    for row in found["mappings"]:
        vm = there[row["vm_name"]]
        assert (row["host"], row["cluster"]) == (vm["host"], cluster if vm["highly_available"] else "")
        if vm["highly_available"]:
            csv = "hvc1_csv" if cluster == "hvc1" else "hvc2_csv_a"
            assert (row["status"], row["lun_path"]) == ("mapped", lun_path(csv))
            assert row["path"].startswith("C:\\ClusterStorage\\Volume1\\")


def test_a_differencing_chain_has_a_row_for_each_file(windows: WindowsLab, modules: ModuleRunner) -> None:
    plain = rows_of(storage_map(modules, windows, "hv01", vms=["hvchain01"]), "hvchain01")
    assert {row["size_bytes"] for row in plain} == {0}
    assert [row["path"] for row in plain if row["disk"] == "SCSI(0:1)"] == [
        f"E:\\VMs\\hvchain01\\{file}" for file in ("leaf.avhdx", "middle.avhdx")
    ]
    chain = [row for row in rows_of(storage_map(modules, windows, "hv01", image_details=True), "hvchain01") if row["disk"] == "SCSI(0:1)"]
    assert [row["path"] for row in chain] == [f"E:\\VMs\\hvchain01\\{file}" for file in ("leaf.avhdx", "middle.avhdx", "base.vhdx")]
    assert {(row["size_bytes"], row["status"], row["lun_path"]) for row in chain} == {(40 * GIB, "mapped", lun_path("hv01_data"))}


def test_a_node_that_is_down_costs_its_rows_and_a_warning(windows: WindowsLab, modules: ModuleRunner) -> None:
    windows.power("hvc2n4", up=False)
    found = storage_map(modules, windows, "hvc2n1")
    names = {row["vm_name"] for row in found["mappings"]}
    assert "c2app04" in names, "the cluster has moved it"
    assert "c2local01" not in names, "only the lost node has it"
    (warning,) = warnings_of(found)
    assert f"hvc2n4.{DOMAIN} was not asked (the cluster says that it is down)" in warning


def test_a_node_that_the_user_gave_a_wrong_address_costs_the_same(windows: WindowsLab, modules: ModuleRunner) -> None:
    given = windows.host("hvc1n1")
    wrong = {**given, "nodes": {**given["nodes"], "hvc1n2": "127.0.0.1:1"}}
    found = modules.succeed("vm_storage_map", {"hypervisor": wrong, "arrays": [windows.array]})
    assert {row["vm_name"] for row in found["mappings"]} == {"c1app01", "c1old01"}
    (warning,) = warnings_of(found)
    assert f"Host hvc1n2.{DOMAIN} was not asked" in warning
    assert "127.0.0.1:1" in warning


def test_disk_numbers_that_a_boot_has_changed_lead_to_the_same_luns(windows: WindowsLab, modules: ModuleRunner) -> None:
    before = storage_map(modules, windows, "hv01")["mappings"]
    windows.reboot("hv01")
    after = storage_map(modules, windows, "hv01")["mappings"]
    assert [(row["vm_name"], row["disk"], row["naa"]) for row in after] == [(row["vm_name"], row["disk"], row["naa"]) for row in before]
    assert [row["device"] for row in after if row["kind"] == "passthrough"] != [
        row["device"] for row in before if row["kind"] == "passthrough"
    ]


def test_the_witness_and_a_shared_volume_are_refused_to_a_vm(windows: WindowsLab, modules: ModuleRunner) -> None:
    before = windows.state()
    for lun, user in (("hvc1_witness", "cluster disk Cluster Disk Witness"), ("hvc1_csv", "csv file system C:\\ClusterStorage\\Volume1")):
        wish = {"hypervisor": windows.host("hvc1n1"), "vm": "c1app01", "naa": world.naa_at(lun_path(lun))}
        assert user in modules.fail("ptd_attach", wish)
    assert windows.state() == before


@pytest.mark.parametrize(
    ("gather", "enumerations"),
    [
        (["mappings", "virtual_machines"], ENUMERATIONS_PER_HOST),
        (["storage_resources"], ENUMERATIONS_PER_HOST + ENUMERATIONS_FOR_STRANGERS),
    ],
)
def test_a_host_is_asked_the_same_however_many_hosts_there_are(
    windows: WindowsLab, modules: ModuleRunner, gather: list[str], enumerations: int
) -> None:
    asked = {}
    for machine in ("hvc1n2", "hvc2n2"):
        windows.count_again()
        storage_map(modules, windows, machine, gather=gather)
        asked[machine] = [request["path"] for request in windows.requests(WINDOWS[0])]
    of_another = {machine: [path for path in paths if f"/{machine[:-1]}1.{DOMAIN}/" in path] for machine, paths in asked.items()}
    assert len(of_another["hvc1n2"]) == len(of_another["hvc2n2"]) == enumerations


def test_a_block_of_a_vhdx_is_told_down_to_the_array_and_back(windows: WindowsLab, modules: ModuleRunner, tmp_path: Path) -> None:
    image, path = tmp_path / "data.vhdx", "E:\\VMs\\hvapp01\\data.vhdx"
    image.write_bytes(Vhdx(40 * MIB, blocks={3: Block(PRESENT, b"x"), 4: Block(PRESENT, b"")}).made())
    clusters = image.stat().st_size // 4096
    windows.file("hv01", path, image, [(0, 1024, 9000), (1024, clusters - 1024, 5000)])
    asked = {"hypervisor": windows.host("hv01"), "arrays": [windows.array]}
    told = modules.succeed("virtual_block_address", {**asked, "vm": "hvapp01", "disk": "SCSI(0:1)", "offsets": [3 * MIB + 5]})
    (row,) = told["addresses"]
    assert (row["state"], row["file"], row["file_offset"], row["lun_path"]) == ("data", path, REGIONS + 5, lun_path("hv01_data"))
    assert row["lba"] % 8 == (5000 * 4096) // 512 % 8
    assert "verified" not in row
    by_array = {**asked, "vm": "hvapp01", "disk": "SCSI(0:1)", "offsets": [3 * MIB + 5, 4 * MIB], "verify": True}
    written, zeros = modules.succeed("virtual_block_address", by_array)["addresses"]
    assert (written["verified"], written["state"], written["naa"]) == (False, "no_address", ""), "the lab's array has zeros there"
    assert (zeros["verified"], zeros["state"], zeros["naa"]) == (True, "data", row["naa"])
    unread = modules.succeed("virtual_block_address", {**by_array, "arrays": []})["addresses"]
    assert [one["verified"] for one in unread] == [None, None]
    assert unread[0]["reason"].endswith("is read by its array alone: name that in arrays")
    owners = modules.succeed("lun_block_owner", {**asked, "naa": row["naa"], "lbas": [row["lba"]]})["owners"]
    assert [(owner["vm_name"], owner["status"], owner["virtual_offset"]) for owner in owners] == [("hvapp01", "owned", 3 * MIB)]
    refused = modules.fail("virtual_block_address", {**asked, "vm": "hvold01"})
    assert "Could not find file" in refused


def test_a_block_of_a_file_on_a_shared_volume_is_told_by_its_owner(windows: WindowsLab, modules: ModuleRunner, tmp_path: Path) -> None:
    image, path = tmp_path / "c1app02.vhdx", "C:\\ClusterStorage\\Volume1\\c1app02\\c1app02.vhdx"
    image.write_bytes(Vhdx(4 * MIB, blocks={3: Block(PRESENT, b"x")}).made())
    windows.file("hvc1n1", path, image, [(0, image.stat().st_size // 4096, 9000)])
    asked = {"hypervisor": windows.host("hvc1n2"), "arrays": [windows.array]}
    (row,) = modules.succeed("virtual_block_address", {**asked, "vm": "c1app02", "offsets": [3 * MIB]})["addresses"]
    assert (row["state"], row["file"], row["lun_path"]) == ("data", path, lun_path("hvc1_csv"))
    (owner,) = modules.succeed("lun_block_owner", {**asked, "naa": row["naa"], "lbas": [row["lba"]]})["owners"]
    assert (owner["vm_name"], owner["status"], owner["virtual_offset"]) == ("c1app02", "owned", 3 * MIB)
