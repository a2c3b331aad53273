# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every virtual disk is a row: mapped down to its array, or with the reason why not."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import ConnectionFailed, MissingRight, NotFound
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import (
    ArrayAbout,
    FileSystem,
    Hba,
    Host,
    ImageFile,
    Lun,
    LunMapping,
    ScsiDevice,
    StorageMapping,
    Use,
    VirtualDisk,
    VirtualMachine,
    Volume,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.array_view import ArraySource
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.storage_map.mapper import StorageMap, storage_map
from tests.unit.ports import NAME, OTHER, MemoryArray, MemoryHypervisor, lun

LOCAL = "mpx.vmhba0:C0:T0:L0"
STORES = [
    FileSystem("ds-1", "gold", "vmfs", ["h1", "h2"], [str(NAME)]),
    FileSystem("ds-2", "span", "vmfs", ["h1", "h2"], [str(NAME), str(OTHER)]),
    FileSystem("ds-3", "nfs", "nfs", ["h1"], remote="192.0.2.21:/exports/vm/ds3"),
    FileSystem("ds-4", "local", "vmfs", ["h1"], [LOCAL]),
    FileSystem("ds-5", "vsan", "vsan", ["h1"]),
    FileSystem("ds-6", "vvol", "vvol", ["h1"]),
]


def image(store: str, label: str = "Hard disk 1") -> VirtualDisk:
    return VirtualDisk("2000", label, "image", size_bytes=5 << 30, path=f"[{store}] vm/vm.vmdk", file_system=store)


def hypervisor(*disks: VirtualDisk, **settings: Any) -> MemoryHypervisor:
    world: dict[str, Any] = {
        "host_list": [Host("h1", "esx1", "prod"), Host("h2", "esx2", "prod")],
        "machines": [VirtualMachine("vm-1", "app", "u-1", host="h1", cluster="prod", disks=disks)],
        "file_systems": STORES,
        "seen": [
            ScsiDevice("h1", str(NAME), NAME, 1 << 40, "NETAPP", "LUN C-Mode", aliases=["vml.0200"]),
            ScsiDevice("h2", str(NAME), NAME, 1 << 40, "NETAPP", "LUN C-Mode"),
            ScsiDevice("h1", LOCAL, None, 1 << 38),
            ScsiDevice("h2", LOCAL, None, 1 << 38),
        ],
    }
    return MemoryHypervisor(**{**world, **settings})


def source(array: MemoryArray, label: str = "ontap.example.com") -> ArraySource:
    return ArraySource(label, lambda: array)


def rows(found: StorageMap, *columns: str) -> list[tuple[Any, ...]]:
    return [tuple(dict(row)[column] for column in columns) for row in found.mappings]


def test_an_image_file_is_mapped_to_the_lun_under_its_datastore() -> None:
    disk = replace(image("ds-1"), family="SCSI", bus=0, unit=1, thin=True, mounts=["/srv"])
    seen = [ScsiDevice("h1", str(NAME), NAME, 1, paths_live=3, paths_dead=1), ScsiDevice("h2", str(NAME), NAME, 1, paths_live=4)]
    array = MemoryArray(replace(lun(NAME), used_bytes=7 << 20))
    found = storage_map(hypervisor(disk, seen=seen), [source(array)], endpoint="vc01")
    assert found.mappings == [
        {
            "hypervisor_type": "memory",
            "hypervisor": "hv.example.com",
            "cluster": "prod",
            "host": "esx1",
            "vm_name": "app",
            "vm_id": "vm-1",
            "disk": "Hard disk 1",
            "kind": "image",
            "device": f"naa.{NAME.naa}",
            "path": "[ds-1] vm/vm.vmdk",
            "naa": NAME.naa,
            "serial": "80Lab-aaaaa1",
            "size_bytes": 5 << 30,
            "array_type": "ontap",
            "array": "lab",
            "array_address": "ontap.example.com",
            "svm": "svm1",
            "volume": "v1",
            "lun_path": "/vol/v1/l1",
            "lun_id": 3,
            "storage_state": "online",
            "status": "mapped",
            "reason": "",
            "way_out": "",
            "endpoint": "vc01",
            "observed": found.mappings[0]["observed"],
            "share_bytes": 5 << 30,
            "controller": "SCSI 0",
            "unit": 1,
            "thin": True,
            "paths_live": 3,
            "paths_dead": 1,
            "mounts": ["/srv"],
            "lun_size_bytes": 1 << 30,
            "lun_used_bytes": 7 << 20,
        }
    ]
    assert set(found.mappings[0]) == set(StorageMapping.__annotations__)
    assert re.fullmatch(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z", found.mappings[0]["observed"])


def test_an_image_file_on_several_extents_has_a_row_for_each() -> None:
    array = MemoryArray(lun(NAME), [replace(lun(OTHER), path="/vol/v1/l2")])
    found = storage_map(hypervisor(image("ds-2")), [source(array)])
    assert rows(found, "lun_path", "status") == [("/vol/v1/l1", "mapped"), ("/vol/v1/l2", "mapped")]


@pytest.mark.parametrize(
    "disk",
    [
        VirtualDisk("2001", "Hard disk 2", "passthrough", device="anything", name=NAME),
        VirtualDisk("2001", "Hard disk 2", "passthrough", device="vml.0200"),
    ],
)
def test_a_passthrough_disk_is_mapped_by_identity_or_by_its_device(disk: VirtualDisk) -> None:
    found = storage_map(hypervisor(disk), [source(MemoryArray(lun(NAME)))])
    assert rows(found, "kind", "naa", "lun_path", "status") == [("passthrough", NAME.naa, "/vol/v1/l1", "mapped")]


def test_a_passthrough_disk_whose_lun_nobody_sees_is_a_row_with_a_reason() -> None:
    found = storage_map(hypervisor(VirtualDisk("2001", "d", "passthrough", device="vml.99")), [])
    assert rows(found, "status", "reason") == [("unresolved", "the device vml.99 is not visible on the VM's host, so its LUN is unknown")]


def test_a_network_file_system_is_mapped_to_the_nearest_export_of_its_address() -> None:
    exports = [
        Volume("1", "root", "svm1", "/", ["192.0.2.21"]),
        Volume("2", "vm", "svm1", "/exports/vm", ["192.0.2.21"]),
        Volume("3", "vm", "other", "/exports/vm/ds3", ["192.0.2.99"]),
        Volume("4", "near", "svm1", "/exports/v", ["192.0.2.21"]),
    ]
    found = storage_map(hypervisor(image("ds-3")), [source(MemoryArray(exports=exports))])
    assert rows(found, "device", "svm", "volume", "status") == [("192.0.2.21:/exports/vm/ds3", "svm1", "vm", "mapped")]


@pytest.mark.parametrize(
    ("store", "reason"),
    [
        ("ds-1", "no array was given to look up LUN naa.600a098038304c61622d616161616131 (by its name it is on NetApp ONTAP)"),
        ("ds-3", "no array was given to look up export 192.0.2.21:/exports/vm/ds3"),
        ("ds-6", "the vvol file system vvol does not tell on which devices it lies"),
        ("ds-9", "the file system of [ds-9] vm/vm.vmdk is not known to the hypervisor"),
    ],
)
def test_what_cannot_be_resolved_is_a_row_with_a_reason(store: str, reason: str) -> None:
    found = storage_map(hypervisor(image(store)), [])
    assert rows(found, "status", "reason") == [("unresolved", reason)]
    assert found.mappings[0]["way_out"]


@pytest.mark.parametrize(
    ("store", "reason"),
    [
        ("ds-4", "mpx.vmhba0:C0:T0:L0 is a local disk of its host, on no array"),
        ("ds-5", "the vsan file system vsan lies on its hosts' own disks, on no array"),
    ],
)
def test_what_lies_on_the_hosts_own_disks_is_local_and_nothing_to_mend(store: str, reason: str) -> None:
    found = storage_map(hypervisor(image(store)), [])
    assert rows(found, "status", "reason", "way_out") == [("local", reason, "")]


@pytest.mark.parametrize("device", ["/dev/loop0", "/dev/drbd1", "/dev/zd16", "/dev/nbd0", "/dev/rbd0", "/dev/ublkb0"])
def test_a_device_over_nobody_tells_what_is_no_local_disk(device: str) -> None:
    (row,) = storage_map(hypervisor(image("over"), file_systems=[FileSystem("over", "/data", "ext4", ["h1"], [device])]), []).mappings
    assert (row["status"], row["device"], bool(row["way_out"])) == ("unresolved", device, True)
    assert row["reason"].startswith(f"nobody tells on what {device} lies")


def test_a_disk_that_the_host_calls_its_own_is_local_though_it_has_a_name_unless_an_array_has_it() -> None:
    own = hypervisor(image("ds-1"), seen=[ScsiDevice("h1", str(NAME), NAME, 1 << 40, local=True)])
    assert rows(storage_map(own, [source(MemoryArray())]), "status", "naa") == [("local", NAME.naa)]
    assert rows(storage_map(own, [source(MemoryArray(lun(NAME)))]), "status") == [("mapped",)]


def test_the_endpoint_is_called_by_its_address_where_the_user_gives_no_name() -> None:
    found = storage_map(hypervisor(image("ds-1")), [])
    assert {row["endpoint"] for row in [*found.mappings, *found.virtual_machines, *found.storage_resources]} == {"hv.example.com"}


def test_only_the_forms_that_are_wanted_are_made() -> None:
    endpoint = hypervisor(image("ds-1"))
    found = storage_map(endpoint, [source(MemoryArray(lun(NAME)))], gather=["virtual_machines"])
    assert (found.mappings, len(found.virtual_machines), found.storage_resources) == ([], 1, [])
    assert endpoint.calls == ["inventory"], "initiators are asked for only where strangers are told"


@pytest.mark.parametrize("form", ["mappings", "virtual_machines", "storage_resources"])
def test_a_form_has_the_name_that_the_module_returns_it_by(form: str) -> None:
    found = storage_map(hypervisor(image("ds-1")), [source(MemoryArray(lun(NAME)))], gather=[form])
    assert (list(found.forms), bool(getattr(found, form))) == ([form], True)


def test_the_hypervisor_may_ask_for_several_things_at_once() -> None:
    endpoint = hypervisor(image("ds-1"))
    storage_map(endpoint, [])
    assert endpoint.side_by_side == [True]


def test_initiators_that_no_asked_host_has_are_told_of_a_lun() -> None:
    mappings = [LunMapping("g1", "1", 3, ["iqn.a:1", "iqn.b:other"])]
    there = seeing(hypervisor(), "h1", "iqn.A:1")
    (told,) = (
        one for one in storage_map(there, [source(MemoryArray(replace(lun(NAME), mappings=mappings)))]).storage_resources if one["array"]
    )
    assert (told["strangers"], told["virtual_machines"]) == (["iqn.b:other"], [])


def test_hosts_that_do_not_tell_their_initiators_cost_the_strangers_and_a_warning_never_the_map() -> None:
    class Mute(MemoryHypervisor):
        def hosts(self, at_once: bool = False) -> list[Host]:
            raise MissingRight("the account may not read adapters")

    there = Mute([Host("h1", "esx1")], [VirtualMachine("vm-1", "app", host="h1", disks=[image("ds-1")])], STORES)
    found = storage_map(there, [source(MemoryArray(lun(NAME)))])
    assert [one["strangers"] for one in found.storage_resources if one["array"]] == [[]]
    assert found.warnings == ["The hosts' initiators are not known, and so not who else sees a LUN: the account may not read adapters."]


def test_the_paths_of_a_lun_are_told_by_host() -> None:
    seen = [
        ScsiDevice("h2", str(NAME), NAME, 1, paths_live=4, paths_dead=0),
        ScsiDevice("h1", str(NAME), NAME, 1, paths_live=1, paths_dead=3),
    ]
    (told,) = (one for one in storage_map(hypervisor(seen=seen), []).storage_resources if one["naa"] == NAME.naa)
    assert told["paths"] == [{"host": "esx1", "live": 1, "dead": 3}, {"host": "esx2", "live": 4, "dead": 0}]


def test_a_lun_on_none_of_the_arrays_names_those_that_were_asked() -> None:
    found = storage_map(hypervisor(image("ds-1")), [source(MemoryArray(), "a1"), source(MemoryArray(), "a2")])
    assert "is on none of the arrays a1, a2" in found.mappings[0]["reason"]


def test_an_array_that_fails_costs_its_rows_not_the_map() -> None:
    def fail() -> MemoryArray:
        raise ConnectionFailed("no route")

    found = storage_map(hypervisor(image("ds-1")), [ArraySource("a1", fail), source(MemoryArray(lun(NAME)), "a2")])
    assert rows(found, "status") == [("mapped",)]
    assert found.warnings == ["array a1 could not be asked: no route"]
    found = storage_map(hypervisor(image("ds-1")), [ArraySource("a1", fail)])
    assert found.mappings[0]["reason"].endswith(" could not be looked up: array a1 could not be asked: no route")


def test_each_array_is_asked_once_however_many_vms_there_are() -> None:
    machines = [VirtualMachine(f"vm-{n}", f"app{n}", host="h1", disks=[image("ds-1")]) for n in range(50)]
    array, endpoint = MemoryArray(lun(NAME)), hypervisor(machines=machines)
    storage_map(endpoint, [source(array)])
    assert array.calls == ["about", "luns", "volumes", "close"]
    assert endpoint.calls == ["inventory", "hosts"]


def test_the_number_is_the_one_that_the_vms_host_sees() -> None:
    mappings = [LunMapping("g1", "1", 3, ["iqn.a:1"]), LunMapping("g2", "2", 7, ["iqn.a:2"])]
    endpoint = hypervisor(image("ds-1"))
    endpoint.host_list = [
        replace(host, hbas=[Hba("vmhba64", "iscsi_software", "online", iqn=f"iqn.A:{number}")])
        for number, host in enumerate(endpoint.host_list, 1)
    ]
    found = storage_map(endpoint, [source(MemoryArray(replace(lun(NAME), mappings=mappings)))])
    assert rows(found, "lun_id") == [(3,)]


class Site(MemoryArray):
    """One of two arrays that present both ends of a mirror under one serial number."""

    site = ""

    def about(self) -> ArrayAbout:
        return ArrayAbout("ontap", self.site, f"{self.site}.example.com", "9.16.1", uuid=f"uuid-{self.site}")


def site(name: str, number: int, *initiators: str, extra: Sequence[Lun] = ()) -> ArraySource:
    array = Site(replace(lun(NAME, number, initiators), svm=f"svm_{name}", path=f"/vol/{name}/l1", svm_id=f"id-{name}"), list(extra))
    array.site = name
    return ArraySource(name, lambda: array)


def seeing(endpoint: MemoryHypervisor, host: str, initiator: str) -> MemoryHypervisor:
    hba = Hba("vmhba64", "iscsi_software", "online", iqn=initiator)
    endpoint.host_list = [replace(one, hbas=[hba]) if one.id == host else one for one in endpoint.host_list]
    return endpoint


@pytest.mark.parametrize("disk", [image("ds-1"), VirtualDisk("2001", "Hard disk 1", "passthrough", device=str(NAME), name=NAME)])
@pytest.mark.parametrize("turned", [False, True])
def test_a_lun_of_one_name_on_two_arrays_has_a_row_for_each_in_whatever_order(disk: VirtualDisk, turned: bool) -> None:
    arrays = [site("a", 3, "iqn.a:1"), site("b", 7, "iqn.a:1")]
    found = storage_map(seeing(hypervisor(disk), "h1", "iqn.A:1"), arrays[::-1] if turned else arrays)
    assert sorted(rows(found, "array", "svm", "lun_path", "lun_id", "naa", "status")) == [
        ("a", "svm_a", "/vol/a/l1", 3, NAME.naa, "mapped"),
        ("b", "svm_b", "/vol/b/l1", 7, NAME.naa, "mapped"),
    ]
    (warning,) = found.warnings
    assert warning.startswith("Several LUNs have one name, as SnapMirror active sync gives it to both ends of a mirror, and a row each: ")
    assert all(place in warning for place in (str(NAME), "a svm_a:/vol/a/l1", "b svm_b:/vol/b/l1"))


def test_the_number_of_a_mirrored_lun_is_one_that_the_vms_host_sees_at_that_array() -> None:
    arrays = [site("a", 3, "iqn.a:elsewhere"), site("b", 7, "iqn.a:1")]
    found = storage_map(seeing(hypervisor(image("ds-1")), "h1", "iqn.a:1"), arrays)
    assert rows(found, "array", "lun_id") == [("a", None), ("b", 7)]


def test_the_number_of_a_mirrored_lun_is_the_arrays_only_one_where_the_hosts_initiators_are_not_known() -> None:
    found = storage_map(hypervisor(image("ds-1")), [site("a", 3), site("b", 7)])
    assert rows(found, "array", "lun_id") == [("a", 3), ("b", 7)]


def test_a_mirrored_lun_is_two_storage_resources_with_what_uses_them() -> None:
    found = storage_map(hypervisor(image("ds-1")), [site("a", 3), site("b", 7)])
    both = [resource for resource in found.storage_resources if resource["naa"] == NAME.naa]
    assert [(one["array"], one["hosts"], one["file_systems"], one["virtual_machines"]) for one in both] == [
        ("a", ["esx1", "esx2"], ["gold", "span"], ["app"]),
        ("b", ["esx1", "esx2"], ["gold", "span"], ["app"]),
    ]
    (disk,) = found.virtual_machines[0]["disks"]
    assert [one["array"] for one in disk["storage"]] == ["a", "b"]


def test_an_array_that_is_given_by_two_addresses_is_one() -> None:
    found = storage_map(hypervisor(image("ds-1")), [site("a", 3), site("a", 3)])
    assert (rows(found, "array"), found.warnings) == ([("a",)], [])


def test_a_lun_that_no_host_can_see_is_told_by_its_row_and_by_a_warning() -> None:
    found = storage_map(hypervisor(image("ds-1")), [source(MemoryArray(replace(lun(NAME), state="nvfail")))])
    assert rows(found, "storage_state", "status") == [("nvfail", "mapped")]
    assert found.virtual_machines[0]["disks"][0]["storage"][0]["storage_state"] == "nvfail"
    assert found.warnings == [f"Not online on their array, so that no host can see them: LUN {NAME} (lab svm1:/vol/v1/l1) is nvfail."]


@pytest.mark.parametrize("state", ["online", "unknown"])
def test_a_state_in_which_hosts_may_see_a_lun_is_no_warning(state: str) -> None:
    found = storage_map(hypervisor(image("ds-1")), [source(MemoryArray(replace(lun(NAME), state=state)))])
    assert (rows(found, "storage_state"), found.warnings) == ([(state,)], [])


def test_the_state_of_an_exported_volume_is_told_and_of_nothing_else() -> None:
    exports = [Volume("2", "vm", "svm1", "/exports/vm", ["192.0.2.21"], state="offline")]
    found = storage_map(hypervisor(image("ds-3"), image("ds-4")), [source(MemoryArray(exports=exports))])
    assert rows(found, "storage_state") == [("offline",), ("",)]


def test_only_the_selected_vms_are_mapped_and_an_unknown_one_is_an_error() -> None:
    endpoint = hypervisor(machines=[VirtualMachine(f"vm-{n}", f"app{n}", host="h1", disks=[image("ds-1")]) for n in range(3)])
    assert rows(storage_map(endpoint, [], ["app1"]), "vm_name") == [("app1",)]
    with pytest.raises(NotFound):
        storage_map(endpoint, [], ["app9"])


def test_the_nested_forms_say_the_same() -> None:
    found = storage_map(hypervisor(image("ds-2"), image("ds-4", "Hard disk 2")), [source(MemoryArray(lun(NAME)))])
    disks = found.virtual_machines[0]["disks"]
    assert [len(disk["storage"]) for disk in disks] == [2, 1]
    by_device = {(resource["device"], tuple(resource["hosts"])): resource for resource in found.storage_resources}
    shared = by_device[f"naa.{NAME.naa}", ("esx1", "esx2")]
    assert shared["file_systems"] == ["gold", "span"]
    assert shared["virtual_machines"] == ["app"]
    assert by_device[LOCAL, ("esx1",)]["virtual_machines"] == ["app"]
    assert by_device[LOCAL, ("esx2",)]["virtual_machines"] == [], "a local disk of the same name on another host is another disk"


def test_every_file_of_a_differencing_chain_has_its_rows() -> None:
    chain = replace(image("ds-1"), parents=[ImageFile("middle", "ds-4"), ImageFile("base", "ds-2"), ImageFile("lost", "ds-9")])
    found = storage_map(hypervisor(chain), [source(MemoryArray(lun(NAME)))])
    assert rows(found, "disk", "path", "device", "status") == [
        ("Hard disk 1", "[ds-1] vm/vm.vmdk", str(NAME), "mapped"),
        ("Hard disk 1", "middle", LOCAL, "local"),
        ("Hard disk 1", "base", str(NAME), "mapped"),
        ("Hard disk 1", "base", str(OTHER), "unresolved"),
        ("Hard disk 1", "lost", "", "unresolved"),
    ]
    (disk,) = found.virtual_machines[0]["disks"]
    assert [len(disk["storage"]), *((parent["path"], len(parent["storage"])) for parent in disk["parents"])] == [
        1,
        ("middle", 1),
        ("base", 2),
        ("lost", 1),
    ]
    (other,) = (resource for resource in found.storage_resources if resource["naa"] == OTHER.naa)
    assert other["virtual_machines"] == ["app"]


def test_what_a_host_could_not_tell_is_a_warning_beside_those_of_arrays() -> None:
    found = storage_map(hypervisor(warnings=["Host esx9 was not asked."]), [])
    assert found.warnings == ["Host esx9 was not asked."]


@pytest.mark.parametrize(("images", "call"), [(False, "inventory"), (True, "inventory with images")])
def test_image_files_are_asked_for_their_details_only_on_demand(images: bool, call: str) -> None:
    there = hypervisor()
    storage_map(there, [], images=images)
    assert call in there.calls


def test_a_vm_that_cannot_be_read_is_a_row_with_the_reason() -> None:
    lost = VirtualMachine("vm-7", "lost", host="host-1")
    doubt = Use("VM", "lost", "vm-7", "cannot be read because it is inaccessible")
    endpoint = MemoryHypervisor([Host("host-1", "esx1")], [lost, VirtualMachine("vm-8", "empty")], uses=[doubt], warnings=["x"])
    found = storage_map(endpoint, [])
    told = "the disks of VM lost are not known: it cannot be read because it is inaccessible"
    assert rows(found, "vm_name", "host", "disk", "kind", "status", "reason") == [("lost", "esx1", "", "", "unresolved", told)]
    assert rows(found, "path", "share_bytes") == [("", 0)]
    (way_out,) = {row["way_out"] for row in found.mappings}
    assert way_out.startswith("bring it back (its host, its datastores,")
    known = storage_map(replace(endpoint, uses=[replace(doubt, way_out="start it")]), [])
    assert rows(known, "way_out") == [("start it",)]


def test_a_vm_whose_snapshots_cannot_be_read_has_the_disks_that_it_tells() -> None:
    dark = Use("VM", "empty", "vm-8", "has the snapshots S2, which cannot be read", in_snapshots=True)
    endpoint = MemoryHypervisor([Host("host-1", "esx1")], [VirtualMachine("vm-8", "empty")], uses=[dark])
    assert rows(storage_map(endpoint, []), "vm_name") == []


def test_a_vm_is_told_without_disks_only_where_nobody_can_tell_which_it_has() -> None:
    has = Use("VM", "empty", "vm-7", "had it", NAME)
    doubt = Use("VM", "app", "vm-1", "may have more")
    machines = [VirtualMachine("vm-7", "empty", host="h1"), VirtualMachine("vm-1", "app", host="h1", disks=[image("ds-4")])]
    found = storage_map(hypervisor(machines=machines, uses=[has, doubt]), [])
    assert rows(found, "vm_name", "disk") == [("app", "Hard disk 1")]


def test_a_lun_that_works_and_has_lost_some_of_its_paths_is_told_to_be_degraded() -> None:
    devices = [
        ScsiDevice("h1", str(NAME), NAME, 1),
        ScsiDevice("h2", str(NAME), NAME, 1, degraded=True),
        ScsiDevice("h3", str(NAME), NAME, 1, state="off"),
    ]
    (resource,) = storage_map(MemoryHypervisor([Host("h1", "esx1")], seen=devices), []).storage_resources
    assert resource["states"] == ["degraded", "off", "ok"]


def test_a_lun_of_which_snapshots_were_taken_has_a_row_for_what_was_written_since_and_one_for_itself() -> None:
    raw = VirtualDisk(
        "2001",
        "Hard disk 2",
        "passthrough",
        path="[gold] vm/vm-000001.vmdk",
        file_system="ds-1",
        name=OTHER,
        parents=[ImageFile("[gold] vm/vm.vmdk", "ds-1")],
    )
    found = storage_map(hypervisor(raw), [source(MemoryArray(lun(NAME)))])
    assert rows(found, "kind", "path", "naa") == [
        ("passthrough", "[gold] vm/vm-000001.vmdk", NAME.naa),
        ("passthrough", "[gold] vm/vm.vmdk", OTHER.naa),
    ]


@pytest.mark.parametrize(
    ("hosts", "identity"),
    [
        ([Host("h1", "KVM1.lab", uuid="4C4C-AB")], "4c4c-ab kvm1.lab"),  # not the UUID alone, which makers give to many boards
        ([Host("h1", "kvm1.lab")], ""),
        ([Host("h1", "localhost.localdomain", uuid="4C4C-AB")], ""),
        ([Host("h1", "a", uuid="1"), Host("h2", "b", uuid="2")], ""),
    ],
)
def test_a_host_alone_is_known_by_its_uuid_and_its_name_and_several_only_by_what_their_manager_says(
    hosts: list[Host], identity: str
) -> None:
    assert storage_map(hypervisor(host_list=hosts), [], endpoint="any").endpoint.identity == identity


def test_what_manages_a_host_alone_is_believed_before_the_host() -> None:
    there = hypervisor(host_list=[Host("h1", "a", uuid="1")], identity="4711")
    assert storage_map(there, [], endpoint="any").endpoint.identity == "4711"
