# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a Windows machine tells of the hypervisor below it: the lab's guest, and the same machine as other hypervisors would show it."""

from __future__ import annotations

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.detection.detect import Detection
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import RemoteError
from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.windows import facts
from tests.lab.hyperv.machines import Machine
from tests.lab.hyperv.running import Lab
from tests.unit.lab.hyperv.desk import GUEST, HOST
from tests.unit.windows import Wire, client

TOOLS_KEY = "SOFTWARE\\VMware, Inc.\\VMware Tools"
TOOLS_FILE = "c:\\windows\\system32\\vmguestlib.dll"


@pytest.fixture
def lab() -> Lab:
    return Lab()


def machine(lab: Lab, manufacturer: str, model: str, present: bool = True) -> Machine:
    """The guest of the lab, no longer known to Hyper-V, with other firmware."""
    found = lab.estate.machines[GUEST]
    found.vm = None
    found.manufacturer, found.model, found.hypervisor_present = manufacturer, model, present
    return found


def detect(lab: Lab, name: str = GUEST, wire: Wire | None = None) -> Detection:
    return facts.detect(client(lab, name, wire, "guest"))


def sources(found: Detection) -> dict[str, str]:
    return {evidence.source: evidence.type for evidence in found.evidence}


def test_a_guest_of_hyper_v_knows_its_host_and_its_own_name(lab: Lab) -> None:
    vm = next(vm for vm in lab.estate.vms.values() if vm.name == "win01")
    found = detect(lab)
    assert (found.virtualized, found.type, found.role, found.product) == (True, "hyperv", "guest", "Microsoft Hyper-V")
    assert (found.parent_host, found.vm_name, found.vm_id) == ("hv01.lab", "win01", vm.id.lower())
    assert found.vm_uuid in found.vm_uuids
    assert len(found.vm_uuids) == 2
    assert found.version == "10"
    assert {"Win32_ComputerSystem.Manufacturer", "Win32_ComputerSystem.Model"} <= set(sources(found))
    assert not any(source.startswith("/sys") for source in sources(found))


def test_a_hyper_v_host_is_no_guest_although_a_hypervisor_is_present(lab: Lab) -> None:
    found = detect(lab, HOST)
    assert (found.virtualized, found.type, found.role, found.product) == (False, "hyperv", "host", "Microsoft Hyper-V")
    assert found.parent_host == ""
    assert found.evidence[-1].says.startswith("proves nothing")


def test_a_physical_machine(lab: Lab) -> None:
    machine(lab, "Dell Inc.", "PowerEdge R650", present=False)
    found = detect(lab)
    assert (found.virtualized, found.type, found.role) == (False, "", "")
    assert sources(found)["Win32_ComputerSystem.HypervisorPresent"] == ""


def test_a_physical_machine_that_protects_itself_by_virtualization(lab: Lab) -> None:
    machine(lab, "Dell Inc.", "PowerEdge R650")
    found = detect(lab)
    assert (found.virtualized, found.type) == (False, "")
    assert found.evidence[-1].says.startswith("proves nothing")


@pytest.mark.parametrize(
    ("manufacturer", "model", "kind", "product"),
    [
        ("VMware, Inc.", "VMware7,1", "vmware", "VMware"),
        ("VMware, Inc.", "VMware Virtual Platform", "vmware", "VMware"),
        ("Xen", "HVM domU", "xen", "Xen"),
        ("QEMU", "Standard PC (Q35 + ICH9, 2009)", "kvm", "KVM"),
        ("Red Hat", "KVM", "kvm", "KVM"),
        ("OpenStack Foundation", "OpenStack Nova", "kvm", "OpenStack"),
        ("innotek GmbH", "VirtualBox", "virtualbox", "Oracle VirtualBox"),
        ("Nutanix", "AHV", "nutanix", "Nutanix AHV"),
    ],
)
def test_firmware_of_another_hypervisor(lab: Lab, manufacturer: str, model: str, kind: str, product: str) -> None:
    machine(lab, manufacturer, model)
    found = detect(lab)
    assert (found.virtualized, found.type, found.role, found.product) == (True, kind, "guest", product)
    assert (found.parent_host, found.vm_id) == ("", "")
    assert found.vm_uuid


def test_tools_of_vmware_where_the_firmware_has_another_name(lab: Lab) -> None:
    known = machine(lab, "Contoso", "Custom")
    known.registry[TOOLS_KEY] = {"InstallPath": "C:\\Program Files\\VMware\\VMware Tools\\"}
    known.files.add(TOOLS_FILE)
    found = detect(lab)
    assert (found.type, found.role) == ("vmware", "guest")
    assert {f"HKLM\\{TOOLS_KEY}", "C:\\Windows\\System32\\vmGuestLib.dll"} <= set(sources(found))


def test_tools_that_were_left_on_a_machine_say_nothing(lab: Lab) -> None:
    machine(lab, "Dell Inc.", "PowerEdge R650", present=False).registry[TOOLS_KEY] = {"InstallPath": "C:\\VMware"}
    assert detect(lab).type == ""
    machine(lab, "QEMU", "Standard PC").registry[TOOLS_KEY] = {"InstallPath": "C:\\VMware"}
    assert detect(lab).type == "kvm"


def test_what_hyper_v_once_told_is_not_taken_for_the_host_of_another_hypervisor(lab: Lab) -> None:
    known = lab.estate.machines[GUEST]
    known.manufacturer, known.model = "VMware, Inc.", "VMware7,1"
    found = detect(lab)
    assert (found.type, found.parent_host, found.vm_name) == ("vmware", "", "")


def test_the_uuid_in_vmwares_serial_number_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    uuid = "d24f3942-17dd-4f9e-8a0c-0123456789ab"
    serial = "VMware-42 39 4f d2 dd 17 9e 4f-8a 0c 01 23 45 67 89 ab"
    monkeypatch.setattr(
        "tests.lab.hyperv.providers.cimv2._Part.product",
        lambda self: iter([{"IdentifyingNumber": serial, "Name": "VMware7,1", "Version": "None", "UUID": uuid.upper()}]),
    )
    lab = Lab()
    machine(lab, "VMware, Inc.", "VMware7,1")
    found = detect(lab)
    assert found.vm_uuids[0] == "42394fd2-dd17-9e4f-8a0c-0123456789ab"
    assert uuid in found.vm_uuids


def test_what_is_asked_is_a_fixed_number_of_reads(lab: Lab) -> None:
    wire = Wire()
    detect(lab, wire=wire)
    assert len(wire.asked) == 12
    assert {line.split()[1] for line in wire.asked} == {"Enumerate", "GetStringValue"}


def test_a_machine_without_firmware_data_is_told(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.lab.hyperv.providers.cimv2._Part.computer", lambda self: iter(()))
    broken = Lab()
    with pytest.raises(RemoteError, match=r"^win01\.lab:5986 has no Win32_ComputerSystem: repair its WMI repository\.$"):
        detect(broken)
