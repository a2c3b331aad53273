# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is read of the lab's vCenter, beside the world that it was built from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_rest.backend import OntapRest
from ansible_collections.crossvisor.san.plugins.module_utils._san.connection import ARRAY, Connection, connection
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import AuthenticationFailed, ConnectionFailed, RemoteError
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.vmware import properties
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.vmware.backend import VMware
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import IMAGE, PASSTHROUGH, Host, Portal, VirtualMachine
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.array_view import ArraySource
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.storage_map.mapper import storage_map
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.storage_map.where import EVERYWHERE, Where
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.https import HttpsSession
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.vim import VimSession
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.vim_probe import is_vsphere
from tests.lab import world
from tests.live.lab import HYPERVISOR, Lab

WORLD = world.build()
SVM = WORLD["array"]["svms"][0]
CLUSTERS = {cluster["name"]: cluster["hosts"] for cluster in WORLD["vcenter"]["clusters"]}
SPARE_PATH = "/vol/vol_dev/spare"
SPARE = ScsiName(world.naa_at(SPARE_PATH))
SHARED_RDM = ScsiName(world.naa_at("/vol/vol_prod/shared_rdm"))
ONE_READ = ["CreateContainerView", "RetrievePropertiesEx", "DestroyView"]


def endpoint(lab: Lab) -> Connection:
    return replace(connection("hypervisor", lab.hypervisor, {}), type="vmware")


@pytest.fixture
def vmware(lab: Lab) -> Iterator[VMware]:
    opened = VMware(endpoint(lab))
    lab.count_again()
    yield opened
    opened.close()


def asked(lab: Lab) -> list[str]:
    return [request["method"] for request in lab.requests(HYPERVISOR)]


def maps_of(cluster: str) -> dict[str, int]:
    """NAA name → number of the LUNs that the array maps to a cluster's hosts."""
    group = next(group for group in SVM["igroups"] if group["name"] == f"esx_{cluster}")
    return {world.naa_at(row["lun"]): row["id"] for row in group["maps"]}


def test_the_probe_knows_a_vcenter_from_another_web_server(lab: Lab) -> None:
    assert is_vsphere(replace(endpoint(lab), username=None, password=None))
    assert not is_vsphere(connection("hypervisor", lab.array, {}))


@pytest.mark.parametrize("wrong", [{"password": "not this one"}, {"username": "nobody@vsphere.local"}])
def test_wrong_credentials_are_told(lab: Lab, wrong: dict[str, Any]) -> None:
    with pytest.raises(AuthenticationFailed, match=r"check hypervisor\.username and hypervisor\.password"):
        VMware(replace(endpoint(lab), **wrong))


def test_another_product_at_the_endpoint_is_told(lab: Lab) -> None:
    with pytest.raises(ConnectionFailed, match=r"RetrieveServiceContent is not SOAP .*vCenter Server or ESXi host"):
        VMware(connection("hypervisor", lab.array, {}))


def test_the_endpoint_tells_who_it_is(vmware: VMware, lab: Lab) -> None:
    about = vmware.about()
    assert (about.type, about.product, about.version) == ("vmware", "VMware vCenter Server", "8.0.2")
    assert {cluster.name: list(cluster.hosts) for cluster in about.clusters} == {
        name: [host["name"] for host in hosts] for name, hosts in CLUSTERS.items()
    }
    assert asked(lab) == ONE_READ


def test_every_adapter_is_as_the_world_describes_it(vmware: VMware, lab: Lab) -> None:
    hosts = vmware.hosts()
    assert {(host.name, host.cluster, host.uuid) for host in hosts} == {
        (host["name"], cluster, host["uuid"]) for cluster, members in CLUSTERS.items() for host in members
    }
    wanted = {host["name"]: [_wanted(hba) for hba in host["hbas"]] for members in CLUSTERS.values() for host in members}
    assert {host.name: [_found(hba) for hba in host.hbas] for host in hosts} == wanted
    assert asked(lab) == [*ONE_READ, "RetrievePropertiesEx"]


def _wanted(hba: dict[str, Any]) -> dict[str, Any]:
    told = ("device", "kind", "status", "model", "driver")
    names = {"wwpn": hba.get("wwpn", ""), "wwnn": hba.get("wwnn", ""), "iqn": hba.get("iqn", ""), "pci": hba.get("pci", "")}
    portals = [Portal(target["address"], target["port"]) for target in hba.get("targets", [])]
    return {**{word: hba[word] for word in told}, **names, "portals": portals, "fc_speed": hba.get("speed")}


def _found(hba: Any) -> dict[str, Any]:
    names = {"wwpn": hba.port_wwn, "wwnn": hba.node_wwn, "iqn": hba.iqn, "pci": hba.pci}
    told = {"device": hba.name, "kind": hba.kind, "status": hba.status, "model": hba.model, "driver": hba.driver}
    return {**told, **names, "portals": hba.portals, "fc_speed": hba.speed_gbit_s if hba.kind == "fc" else None}


def test_every_path_leads_to_a_mapped_lun_under_the_arrays_number(vmware: VMware) -> None:
    wwpns = {lif["wwpn"] for lif in SVM["fc_lifs"]}
    for host in vmware.hosts():
        for hba in host.hbas:
            paths = [path for path in hba.paths if path.name]
            if hba.initiator is None:
                assert paths == []
                continue
            assert {(path.name.naa, path.lun_id) for path in paths if path.name} == set(maps_of(host.cluster).items())
            assert {path.target for path in paths} == (wwpns if hba.kind == "fc" else {SVM["iqn"]})
            assert {path.state for path in paths} == {"active"}


def test_every_vm_is_as_the_world_describes_it(vmware: VMware, lab: Lab) -> None:
    inventory = vmware.inventory(devices=False)
    hosts = {host.id: host.name for host in inventory.hosts}
    stores = {store.id: store.name for store in inventory.file_systems}
    wanted = {vm["uuid"]: _wanted_vm(vm) for vm in WORLD["vcenter"]["vms"]}
    assert {vm.uuid: _found_vm(vm, hosts, stores) for vm in inventory.virtual_machines} == wanted
    assert asked(lab) == ONE_READ


def _wanted_vm(vm: dict[str, Any]) -> dict[str, Any]:
    images = [(IMAGE, disk["datastore"], disk["size"], None) for disk in vm["disks"]]
    raw = [(PASSTHROUGH, rdm["datastore"], 10 * world.GIB, rdm["naa"]) for rdm in vm["rdms"]]
    told = {word: vm[word] for word in ("name", "instance_uuid", "cluster", "host", "power")}
    return {**told, "folder": f"/DC0/vm/{vm['folder']}", "disks": images + raw}


def _found_vm(vm: VirtualMachine, hosts: dict[str, str], stores: dict[str, str]) -> dict[str, Any]:
    disks = [(disk.kind, stores[disk.file_system], disk.size_bytes, disk.name.naa if disk.name else None) for disk in vm.disks]
    told = {"name": vm.name, "instance_uuid": vm.instance_uuid, "cluster": vm.cluster, "host": hosts[vm.host], "power": vm.power}
    return {**told, "folder": vm.folder, "disks": disks}


def test_every_datastore_lies_on_what_the_world_says(vmware: VMware) -> None:
    inventory = vmware.inventory(devices=False)
    hosts = {host.id: host.name for host in inventory.hosts}
    found = {
        store.name: (store.kind, list(store.extents), store.remote, sorted(hosts[it] for it in store.hosts))
        for store in inventory.file_systems
    }
    assert found == {store["name"]: _wanted_store(store) for store in WORLD["vcenter"]["datastores"]}


def _wanted_store(store: dict[str, Any]) -> tuple[str, list[str], str, list[str]]:
    extents = [name if "." in name else f"naa.{name}" for name in store.get("extents", [])]
    remote = f"{store['server']}:{store['path']}" if store["type"] == "nfs" else ""
    hosts = [store["host"]] if "host" in store else [host["name"] for cluster in store["clusters"] for host in CLUSTERS[cluster]]
    return store["type"], extents, remote, sorted(hosts)


def test_devices_are_what_the_array_presents_to_each_host(vmware: VMware, lab: Lab) -> None:
    inventory = vmware.inventory()
    for host in inventory.hosts:
        seen = [device for device in inventory.devices if device.host == host.id]
        assert {device.name.naa for device in seen if device.name} == set(maps_of(host.cluster))
        assert {(device.vendor, device.product, device.state) for device in seen if device.name} == {("NETAPP", "LUN C-Mode", "ok")}
        assert len([device for device in seen if device.name is None]) == 1
    assert asked(lab) == ONE_READ


def test_a_raw_disks_device_is_among_the_spellings_of_its_hosts_device(vmware: VMware) -> None:
    inventory = vmware.inventory()
    (vm, disk) = next((vm, disk) for vm in inventory.virtual_machines for disk in vm.disks if disk.kind == PASSTHROUGH)
    (device,) = [device for device in inventory.devices if device.host == vm.host and device.name == disk.name]
    assert disk.device in device.aliases
    assert (disk.name, disk.mode, disk.disk_mode, disk.sharing) == (SHARED_RDM, "physical", "independent_persistent", "none")


def test_pages_together_are_the_same_as_one_page(lab: Lab) -> None:
    session = VimSession(endpoint(lab))
    whole = [record.moid for record in session.retrieve(properties.INVENTORY)]
    lab.count_again()
    assert sorted(record.moid for record in session.retrieve(properties.INVENTORY, page_size=5)) == sorted(whole)
    assert asked(lab).count("ContinueRetrievePropertiesEx") == -(-len(whole) // 5) - 1
    session.close()


def test_the_map_of_one_lun_is_that_part_of_the_whole_map(vmware: VMware, lab: Lab) -> None:
    source = ArraySource("lab", lambda: OntapRest(connection(ARRAY, lab.array, {})))

    def rows(where: Where = EVERYWHERE) -> list[dict[str, Any]]:
        found = [{**row, "observed": ""} for row in storage_map(vmware, [source], where=where).mappings]
        return sorted(found, key=lambda row: (row["vm_id"], row["disk"], row["path"], row["naa"]))

    whole = rows()
    mapped = {row["naa"] for row in whole if row["naa"]}
    assert {row["kind"] for row in whole if row["naa"]} == {IMAGE, PASSTHROUGH}
    for name in sorted(mapped):
        assert rows(Where(naa=name)) == [row for row in whole if row["naa"] == name]


def test_an_attachment_is_read_back(vmware: VMware, lab: Lab) -> None:
    db01 = next(vm for vm in vmware.inventory(devices=False).virtual_machines if vm.name == "db01")
    lab.count_again()
    found = vmware.attachment(db01, SHARED_RDM)
    assert found is not None
    assert (found.guest_address, found.controller.type, found.disk.size_bytes) == ("SCSI(0:1)", "pvscsi", 10 * world.GIB)
    assert vmware.attachment(db01, SPARE) is None
    assert asked(lab) == ["RetrievePropertiesEx"] * 2


def map_spare(lab: Lab) -> None:
    array = HttpsSession(connection("array", lab.array, {}), authenticate=True)
    body = {"svm": {"name": "svm_san"}, "lun": {"name": SPARE_PATH}, "igroup": {"name": "esx_prod"}}
    assert array.request("POST", "/api/protocols/san/lun-maps", json=body).status_code == 201
    array.close()


def prod(hosts: list[Host]) -> list[str]:
    return [host.id for host in hosts if host.cluster == "prod"]


def test_a_new_lun_is_seen_by_those_hosts_that_were_rescanned(vmware: VMware, lab: Lab) -> None:
    first, second = everyone = prod(vmware.hosts())
    map_spare(lab)
    assert vmware.devices(everyone, SPARE) == []
    vmware.rescan([first], SPARE)
    assert [(device.host, device.state) for device in vmware.devices(everyone, SPARE)] == [(first, "ok")]
    vmware.rescan(everyone, SPARE)
    assert [device.host for device in vmware.devices(everyone, SPARE)] == [first, second]
    assert asked(lab).count("RescanAllHba") == 3


def test_a_released_lun_is_off_until_a_rescan_takes_it_back(vmware: VMware, lab: Lab) -> None:
    hosts = prod(vmware.hosts())
    map_spare(lab)
    vmware.rescan(hosts, SPARE)
    vmware.plan_release(hosts, SPARE).run()
    assert {device.state for device in vmware.devices(hosts, SPARE)} == {"off"}
    vmware.rescan(hosts, SPARE)
    assert [device.state for device in vmware.devices(hosts, SPARE)] == ["ok", "ok"]
    assert lab.device_losses() == []


@pytest.mark.parametrize("action", [{"drop": "before"}, {"drop": "after"}])
def test_a_read_survives_one_lost_connection(vmware: VMware, lab: Lab, action: dict[str, Any]) -> None:
    lab.fail(HYPERVISOR, action, match="^RetrievePropertiesEx ")
    assert len(vmware.inventory(devices=False).virtual_machines) == len(WORLD["vcenter"]["vms"])


def test_a_fault_of_the_endpoint_is_told_by_its_name(vmware: VMware, lab: Lab) -> None:
    lab.fail(
        HYPERVISOR, {"error": {"code": "NotAuthenticated", "message": "The session is not authenticated."}}, match="^RetrievePropertiesEx "
    )
    with pytest.raises(AuthenticationFailed, match=r"session at .* has ended"):
        vmware.inventory()


def test_an_endpoint_that_is_starting_is_told_with_its_status(vmware: VMware, lab: Lab) -> None:
    lab.fail(HYPERVISOR, {"status": 503, "body": "Service Unavailable"}, match="^CreateContainerView ")
    with pytest.raises(RemoteError, match="HTTP 503"):
        vmware.about()
