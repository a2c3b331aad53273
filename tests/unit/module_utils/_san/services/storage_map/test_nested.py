# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A VM tells all of its disks and what lies under them; a resource tells all that uses it, also where no disk is on it."""

from __future__ import annotations

from typing import Any

from ansible_collections.crossvisor.san.plugins.module_utils._san.model import (
    FileSystem,
    Host,
    ImageFile,
    ScsiDevice,
    VirtualDisk,
    VirtualMachine,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.array_view import ArraySource
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.storage_map.mapper import StorageMap, storage_map
from tests.unit.ports import NAME, OTHER, MemoryArray, MemoryHypervisor, lun

SIZE = 1 << 40
STORES = [FileSystem("ds-1", "gold", "vmfs", ["h1"], [str(NAME)]), FileSystem("ds-2", "old", "vmfs", ["h1"], [str(OTHER)])]
DISK = VirtualDisk(
    "2000", "Hard disk 1", "image", size_bytes=5 << 30, path="[gold] app/app.vmdk", file_system="ds-1", family="SCSI", bus=0, unit=1,
    thin=True, mounts=["/srv"], parents=[ImageFile("[old] base.vmdk", "ds-2")],
)  # fmt: skip
NO_ARRAY = {
    "array_type": "", "array": "", "array_address": "", "svm": "", "volume": "", "lun_path": "", "storage_state": "",
    "status": "unresolved", "lun_size_bytes": None, "lun_used_bytes": None,
}  # fmt: skip


def device(host: str = "h1", **settings: Any) -> ScsiDevice:
    return ScsiDevice(**{"host": host, "device": str(NAME), "name": NAME, "size_bytes": SIZE, **settings})


def look(*devices: ScsiDevice, disks: tuple[VirtualDisk, ...] = (DISK,), array: MemoryArray | None = None) -> StorageMap:
    vm = VirtualMachine("vm-1", "app", "u-1", host="h1", cluster="prod", folder="/lab", power="on", disks=disks)
    hosts = [Host("h1", "esx2", "prod"), Host("h2", "esx1", "prod")]
    there = MemoryHypervisor(hosts, [vm], STORES, list(devices))
    return storage_map(there, [ArraySource("ontap.example.com", lambda: array)] if array else [], endpoint="lab")


def of_lun(found: StorageMap) -> dict[str, Any]:
    """What is told of the LUN by its name."""
    (told,) = (resource for resource in found.storage_resources if resource["naa"] == NAME.naa)
    return told


def test_a_vm_tells_all_of_itself_and_its_disks() -> None:
    found = look()
    (vm,) = found.virtual_machines
    (disk,) = vm.pop("disks")
    assert {name: vm.pop(name) for name in ("hypervisor", "hypervisor_type", "endpoint", "observed")} == {
        "hypervisor": "hv.example.com", "hypervisor_type": "memory", "endpoint": "lab", "observed": found.endpoint.observed,
    }  # fmt: skip
    assert vm == {
        "name": "app", "id": "vm-1", "uuid": "u-1", "cluster": "prod", "host": "esx2", "folder": "/lab", "power": "on",
    }  # fmt: skip
    storage, parents = disk.pop("storage"), disk.pop("parents")
    assert disk == {
        "disk": "Hard disk 1", "kind": "image", "path": "[gold] app/app.vmdk", "size_bytes": 5 << 30, "bus": 0, "controller": "SCSI 0",
        "unit": 1, "thin": True, "mounts": ["/srv"],
    }  # fmt: skip
    assert [(under["kind"], under["device"], under["naa"]) for under in storage] == [("lun", str(NAME), NAME.naa)]
    assert {name: storage[0][name] for name in NO_ARRAY} == NO_ARRAY
    assert [(parent["path"], [under["naa"] for under in parent["storage"]]) for parent in parents] == [("[old] base.vmdk", [OTHER.naa])]


def test_what_lies_under_many_disks_is_held_once() -> None:
    (vm,) = look(disks=(DISK, DISK)).virtual_machines
    first, second = vm["disks"]
    assert first["storage"][0] is second["storage"][0]


def test_a_resource_tells_who_sees_it_and_what_is_on_it() -> None:
    one, other = device("h1", vendor="NETAPP", product="LUN", paths_live=4, paths_dead=1), device("h2", paths_live=2, paths_dead=0)
    told = of_lun(look(one, other))
    assert {name: told[name] for name in ("kind", "vendor", "product", "size_bytes", "hosts", "states", "paths")} == {
        "kind": "lun", "vendor": "NETAPP", "product": "LUN", "size_bytes": SIZE, "hosts": ["esx1", "esx2"], "states": ["ok"],
        "paths": [{"host": "esx1", "live": 2, "dead": 0}, {"host": "esx2", "live": 4, "dead": 1}],
    }  # fmt: skip
    assert (told["file_systems"], told["virtual_machines"]) == (["gold"], ["app"])


def test_a_host_that_does_not_tell_its_paths_has_none_in_the_list() -> None:
    assert of_lun(look(device(), device("h2", paths_live=0, paths_dead=2)))["paths"] == [{"host": "esx1", "live": 0, "dead": 2}]


def test_a_device_that_has_lost_paths_is_degraded_only_while_it_is_in_order() -> None:
    assert of_lun(look(device(degraded=True), device("h2", degraded=True, state="lost")))["states"] == ["degraded", "lost"]


def test_a_lun_that_no_host_sees_is_told_by_the_disk_on_it_with_what_its_array_says() -> None:
    told = of_lun(look(array=MemoryArray(lun(NAME))))
    assert (told["vendor"], told["product"], told["size_bytes"], told["hosts"], told["states"]) == ("", "", 1 << 30, [], [])
    assert of_lun(look())["size_bytes"] == 0, "nobody tells its size"


def test_a_lun_under_a_file_system_without_disks_is_told() -> None:
    told = of_lun(look(disks=()))
    assert (told["file_systems"], told["virtual_machines"]) == (["gold"], [])


def test_what_cannot_be_followed_down_is_no_resource() -> None:
    lost = VirtualDisk("2001", "Hard disk 2", "image", size_bytes=1, path="[gone] x.vmdk", file_system="ds-9")
    (vm,) = look(disks=(lost,)).virtual_machines
    assert [under["kind"] for under in vm["disks"][0]["storage"]] == ["unknown"]
    assert {resource["kind"] for resource in look(disks=(lost,)).storage_resources} == {"lun"}


def test_a_lun_that_a_vm_has_as_a_whole_is_a_resource_without_device_or_file_system() -> None:
    raw = VirtualDisk("2002", "Hard disk 3", "passthrough", size_bytes=1, name=ScsiName.from_ontap_serial("80Lab-raw001"))
    assert ["app"] in [resource["virtual_machines"] for resource in look(disks=(raw,)).storage_resources]
