# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""VMs out of a host's settings, in bulk and one at a time."""

from __future__ import annotations

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import NotFound
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv import machines
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.hardware import Drives
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import IMAGE, PASSTHROUGH, VirtualMachine
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from ansible_collections.crossvisor.san.plugins.module_utils._san.windows import disks
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.cim_types import CimInstance
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.wsman_envelope import Reference
from tests.lab import world
from tests.lab.hyperv.running import Lab
from tests.lab.hyperv_world import lun_path
from tests.unit.windows import Wire, client, nodes

GUID = "7116EABD-6C07-4FA5-AB68-B0F63D1DA2F7"
RAW = ScsiName(world.naa_at(lun_path("hv01_raw")))


@pytest.fixture
def lab() -> Lab:
    return Lab()


def vm_id(lab: Lab, name: str) -> str:
    return next(vm.id for vm in lab.estate.vms.values() if vm.name == name)


def machines_of(lab: Lab, host: str = "hv01") -> dict[str, VirtualMachine]:
    login = client(lab, f"{host}.lab")
    drives = machines.drives_of(login, disks.disks_of(login))
    return {vm.name: vm for vm in machines.virtual_machines(machines.read(login), host.upper(), drives)}


def test_vms_are_told_from_the_host_itself_and_bear_their_guids(lab: Lab) -> None:
    found = machines_of(lab)
    assert set(found) == {"win01", "hvapp01", "hvdb01", "hvchain01", "hvold01", "hvide01", "hvnoic01"}
    vm = found["hvapp01"]
    assert vm.id == vm.instance_uuid == vm.uuid == vm_id(lab, "hvapp01")
    assert (vm.host, vm.cluster, vm.power, found["hvold01"].power) == ("HV01", "", "on", "off")


def test_image_files_and_pass_through_disks_have_their_places(lab: Lab) -> None:
    boot, raw = machines_of(lab)["hvdb01"].disks
    assert (boot.kind, boot.path, boot.label, boot.name) == (IMAGE, "E:\\VMs\\hvdb01\\hvdb01.vhdx", "SCSI(0:0)", None)
    assert (raw.kind, raw.name, raw.label, raw.mode, raw.path) == (PASSTHROUGH, RAW, "SCSI(0:1)", "physical", "")
    disk = disks.find(client(lab, "hv01.lab"), RAW, "hv01")
    assert disk is not None
    assert (raw.device, raw.size_bytes) == (disk.device, disk.size_bytes)


def test_controllers_count_among_their_kind_and_a_dvd_drive_takes_a_unit(lab: Lab) -> None:
    old, guest = (machines_of(lab)[name] for name in ("hvold01", "win01"))
    assert [(found.type, found.bus, found.units) for found in old.controllers] == [("ide", 0, [0]), ("ide", 1, [0]), ("scsi", 0, [])]
    assert [disk.label for disk in old.disks] == ["IDE(0:0)"]
    assert guest.controllers[0].units == [0, 2]


def test_a_disk_keeps_its_lun_when_the_hosts_numbers_change(lab: Lab) -> None:
    lab.estate.machines["hv01.lab"].renumber()
    assert machines_of(lab)["hvdb01"].disks[1].name == RAW


def test_a_disk_that_the_host_no_longer_sees_stays_without_a_name(lab: Lab) -> None:
    machine = lab.estate.machines["hv01.lab"]
    machine.disks = [disk for disk in machine.disks if disk.key != RAW.naa]
    raw = machines_of(lab)["hvdb01"].disks[1]
    assert (raw.kind, raw.name, raw.label) == (PASSTHROUGH, None, "SCSI(0:1)")


@pytest.mark.parametrize(("vms", "disks_each"), [(0, 1), (40, 4)])
def test_the_number_of_enumerations_does_not_depend_on_the_number_of_vms(vms: int, disks_each: int) -> None:
    lab, wire = Lab(vms, disks_each), Wire()
    machines.read(client(lab, "hv01.lab", wire))
    assert wire.count("Enumerate") == 4


def test_one_vm_is_read_with_what_a_change_needs_to_know(lab: Lab) -> None:
    vm, settings = machines.read_machine(nodes(lab, "hv01.lab"), vm_id(lab, "hvdb01"), "HV01")
    assert vm == machines_of(lab)["hvdb01"]
    assert (settings.instance_id, settings.generation) == (f"Microsoft:{vm.id}", 2)
    assert (settings.integrated, settings.controllers_can_be_added) == (True, False)


@pytest.mark.parametrize(("name", "generation", "integrated", "addable"), [("hvold01", 1, False, True), ("hvnoic01", 2, False, False)])
def test_what_a_vm_can_take(lab: Lab, name: str, generation: int, integrated: bool, addable: bool) -> None:
    settings = machines.read_machine(nodes(lab, "hv01.lab"), vm_id(lab, name)).settings
    assert (settings.generation, settings.integrated, settings.controllers_can_be_added) == (generation, integrated, addable)


@pytest.mark.parametrize("entry", ["hvc1n1.lab", "hvc1n2.lab"])
def test_a_vm_is_found_where_it_has_moved_to(lab: Lab, entry: str) -> None:
    there = nodes(lab, entry)
    before = machines.read_machine(there, vm_id(lab, "c1app01"), "HVC1N1").vm
    lab.estate.fail_over("c1app01", "hvc1n2.lab")
    after = machines.read_machine(there, before.id, before.host).vm
    assert (before.host, after.host, after.cluster) == ("HVC1N1", "HVC1N2", "hvc1")


def test_only_a_highly_available_vm_belongs_to_the_cluster(lab: Lab) -> None:
    assert machines.read_machine(nodes(lab, "hvc1n1.lab"), vm_id(lab, "c1local01")).vm.cluster == ""


def test_a_vm_that_is_nowhere_is_told_with_the_nodes_that_could_not_be_asked(lab: Lab) -> None:
    lab.estate.machines["hvc1n2.lab"].up = False
    with pytest.raises(NotFound, match=r"No host behind hvc1n1.*has the VM .*but hvc1n2\.lab cannot be asked"):
        machines.read_machine(nodes(lab, "hvc1n1.lab"), vm_id(lab, "c1app02"))


def test_the_disk_of_a_lun_is_read_back_or_missing(lab: Lab) -> None:
    there, vm = nodes(lab, "hv01.lab"), machines_of(lab)["hvdb01"]
    found = machines.attachment(there, vm, RAW)
    assert found is not None
    assert (found.disk, found.guest_address, found.controller) == (vm.disks[1], "SCSI(0:1)", vm.controllers[0])
    assert machines.attachment(there, machines_of(lab)["hvapp01"], RAW) is None


def _settings(guid: str, parent: object = None) -> CimInstance:
    return CimInstance("Msvm_VirtualSystemSettingData", {"InstanceID": f"Microsoft:{guid}", "Parent": parent})  # type: ignore[dict-item]


def _image(guid: str, path: str) -> CimInstance:
    return CimInstance("Msvm_StorageAllocationSettingData", {"InstanceID": f"Microsoft:{guid}\\C\\0\\1\\L", "HostResource": (path,)})


@pytest.mark.parametrize(
    "parent",
    [
        Reference("uri", {"InstanceID": "Microsoft:b"}),
        '\\\\HV01\\root\\virtualization\\v2:Msvm_VirtualSystemSettingData.InstanceID="Microsoft:b"',
    ],
)
def test_checkpoints_tell_the_files_below_a_disk_nearest_first(parent: object) -> None:
    settings = [_settings("VM", parent), _settings("B", Reference("uri", {"InstanceID": "Microsoft:A"})), _settings("A")]
    images = [_image("VM", "leaf"), _image("B", "middle"), _image("A", "base"), _image("OTHER", "elsewhere")]
    assert machines.checkpoints(machines.Records([], settings, [], images)).chain("VM", "leaf") == ["middle", "base"]


def test_checkpoints_that_name_each_other_end() -> None:
    settings = [
        _settings("VM", Reference("uri", {"InstanceID": "Microsoft:A"})),
        _settings("A", Reference("uri", {"InstanceID": "Microsoft:VM"})),
    ]
    images = [_image("VM", "leaf"), _image("A", "base")]
    assert machines.checkpoints(machines.Records([], settings, [], images)).chain("VM", "leaf") == ["base"]


def test_a_checkpoint_of_a_vm_names_the_file_below_its_disk(lab: Lab) -> None:
    found = machines.checkpoints(machines.read(client(lab, "hv01.lab")))
    assert found.chain(vm_id(lab, "hvchain01"), "E:\\VMs\\hvchain01\\leaf.avhdx") == ["E:\\VMs\\hvchain01\\middle.avhdx"]
    assert found.chain(vm_id(lab, "hvchain01"), "E:\\VMs\\hvchain01\\hvchain01.vhdx") == [], "that disk has the same file in both"


def test_a_disk_without_checkpoints_has_no_known_files_below(lab: Lab) -> None:
    found = machines.checkpoints(machines.read(client(lab, "hv01.lab")))
    assert found.chain(vm_id(lab, "hvapp01"), "E:\\VMs\\hvapp01\\data.vhdx") == []


@pytest.mark.parametrize(("power", "told"), [("on", "on"), ("off", "off"), ("saved", "suspended"), ("paused", "suspended")])
def test_the_power_of_a_vm(lab: Lab, power: str, told: str) -> None:
    lab.estate.vms[vm_id(lab, "hvapp01")].power = power
    assert machines_of(lab)["hvapp01"].power == told


@pytest.mark.parametrize(
    ("told", "states"),
    [
        ("suspended", (32768, 32769, 32773, 32776, 32779, 32780)),
        ("unknown", (0, 1, 4, 5, 7, 8, 10, 11, 32770, 32774, 32777, *range(32781, 32794), 65535)),
    ],
)
def test_a_vm_that_is_neither_on_nor_off_is_taken_for_neither(lab: Lab, told: str, states: tuple[int, ...]) -> None:
    system = next(row for row in machines.read(client(lab, "hv01.lab")).systems if row.text("ElementName") == "hvapp01")
    settings = machines.read(client(lab, "hv01.lab"), vm_id(lab, "hvapp01")).settings
    powers = {}
    for state in states:
        told_now = CimInstance("Msvm_ComputerSystem", {**system.properties, "EnabledState": state})
        records = machines.Records([told_now], settings, [], [])
        powers[state] = machines.virtual_machines(records, "HV01", Drives({}))[0].power
    assert powers == dict.fromkeys(states, told)


def test_a_vm_is_untold_that_has_no_settings_of_its_own_but_not_the_host() -> None:
    settings = CimInstance(
        "Msvm_VirtualSystemSettingData", {"VirtualSystemIdentifier": GUID.lower(), "VirtualSystemType": machines.REALIZED}
    )
    checkpoint = CimInstance(
        "Msvm_VirtualSystemSettingData",
        {"VirtualSystemIdentifier": GUID, "VirtualSystemType": "Microsoft:Hyper-V:Snapshot:Realized"},
    )
    systems = [
        CimInstance("Msvm_ComputerSystem", {"Name": "HV01", "ElementName": "HV01"}),
        CimInstance("Msvm_ComputerSystem", {"Name": GUID, "ElementName": "db"}),
    ]
    assert machines.untold(machines.Records(systems, [settings], [], [])) == {}
    assert machines.untold(machines.Records(systems, [checkpoint], [], [])) == {GUID: "db"}
    assert machines.untold(machines.Records(systems[:1], [settings], [], [])) == {GUID: settings.text("ElementName")}
