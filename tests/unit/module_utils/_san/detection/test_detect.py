# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A machine tells on which hypervisor it runs, and by what it knows."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.detection.detect import Detection, detect
from tests.unit.module_utils._san.linux import machines
from tests.unit.module_utils._san.linux.machines import Machine, plant

CPUID = "/dev/cpu/0/cpuid leaf 0x40000000"
SYS_VENDOR = "/sys/class/dmi/id/sys_vendor"
PRODUCT_NAME = "/sys/class/dmi/id/product_name"


@pytest.fixture
def unprivileged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of mode 0400 are refused, as they are to everyone but root."""
    really_open = Path.open

    def open_as_nobody(path: Path, *args: Any, **kwargs: Any) -> Any:
        if path.exists() and not path.stat().st_mode & 0o044:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return really_open(path, *args, **kwargs)

    monkeypatch.setattr(Path, "open", open_as_nobody)


def deciding(detection: Detection) -> str:
    """The source of the first evidence that speaks for a hypervisor."""
    return next(evidence.source for evidence in detection.evidence if evidence.type)


def says(detection: Detection, source: str) -> list[str]:
    return [evidence.says for evidence in detection.evidence if evidence.source == source]


@pytest.mark.parametrize(
    ("machine", "type_", "product", "decided_by"),
    [
        pytest.param(machines.VMWARE_GUEST, "vmware", "VMware", SYS_VENDOR, id="vmware"),
        pytest.param(machines.HYPERV_GUEST, "hyperv", "Microsoft Hyper-V", SYS_VENDOR, id="hyperv"),
        pytest.param(machines.AZURE_GUEST, "hyperv", "Microsoft Azure", SYS_VENDOR, id="azure"),
        pytest.param(machines.XEN_HVM_GUEST, "xen", "Xen", SYS_VENDOR, id="xen hvm that poses as Hyper-V"),
        pytest.param(machines.XEN_PV_GUEST, "xen", "Xen", "/sys/hypervisor/type", id="xen pv, without firmware"),
        pytest.param(machines.KVM_GUEST, "kvm", "KVM", CPUID, id="kvm"),
        pytest.param(machines.KVM_GUEST_POSING_AS_HYPERV, "kvm", "KVM", "/dev/cpu/0/cpuid leaf 0x40000100", id="kvm that poses as Hyper-V"),
        pytest.param(machines.VIRTUALBOX_GUEST, "virtualbox", "Oracle VirtualBox", PRODUCT_NAME, id="virtualbox on kvm"),
        pytest.param(machines.EC2_NITRO_GUEST, "aws_nitro", "Amazon EC2 Nitro", SYS_VENDOR, id="ec2"),
        pytest.param(machines.ARM_KVM_GUEST, "kvm", "KVM", "/proc/device-tree/compatible", id="arm without firmware tables"),
        pytest.param(machines.POWER_KVM_GUEST, "kvm", "KVM", "/proc/device-tree/hypervisor/compatible", id="power"),
        pytest.param({**machines.x86(True), **machines.cpuid("TCGTCGTCGTCG")}, "kvm", "QEMU without KVM", CPUID, id="tcg"),
        pytest.param(
            {**machines.dmi(sys_vendor="Nutanix", product_name="AHV"), **machines.cpuid("KVMKVMKVM")},
            "nutanix",
            "Nutanix AHV",
            SYS_VENDOR,
            id="nutanix on kvm",
        ),
        pytest.param(machines.cpuid("bhyve bhyve "), "bhyve", "bhyve", CPUID, id="bhyve"),
        pytest.param(
            machines.dmi(sys_vendor="Parallels International GmbH.", product_name="Parallels ARM Virtual Machine"),
            "parallels",
            "Parallels",
            SYS_VENDOR,
            id="parallels",
        ),
        pytest.param(machines.cpuid("Microsoft Hv"), "hyperv", "Microsoft Hyper-V", CPUID, id="only the signature"),
        pytest.param(machines.x86(True), "other", "", "/proc/cpuinfo", id="only the processor's flag"),
        pytest.param({"/proc/sysinfo": "VM00 Name: x\nVM00 Control Program: KVM/Linux"}, "kvm", "KVM", "/proc/sysinfo", id="s390"),
    ],
)
def test_a_guest_names_its_hypervisor(tmp_path: Path, machine: Machine, type_: str, product: str, decided_by: str) -> None:
    found = detect(plant(tmp_path, machine))
    assert (found.virtualized, found.type, found.role, found.product) == (True, type_, "guest", product)
    assert deciding(found) == decided_by
    assert next(evidence.type for evidence in found.evidence if evidence.type) == type_


@pytest.mark.parametrize(
    "machine",
    [
        pytest.param(machines.BARE_METAL, id="dell"),
        pytest.param(machines.EC2_BARE_METAL, id="an EC2 instance that is a whole machine"),
        pytest.param(machines.ORACLE_SERVER, id="a server by VirtualBox' maker"),
        pytest.param(machines.SURFACE, id="a tablet by Hyper-V's maker"),
        pytest.param({**machines.BARE_METAL, "/sys/bus/virtio/devices/virtio0/vendor": "0x1af4"}, id="a network card with virtio devices"),
        pytest.param({**machines.BARE_METAL, "/dev/kvm": ""}, id="KVM loaded, but nothing that runs machines"),
    ],
)
def test_bare_metal_is_no_guest(tmp_path: Path, machine: Machine) -> None:
    found = detect(plant(tmp_path, machine))
    assert (found.virtualized, found.type, found.role, found.vm_uuid, found.vm_uuids) == (False, "", "", "", ())
    assert says(found, SYS_VENDOR) == ["names no hypervisor"]
    assert says(found, "/proc/cpuinfo") == ["the processor's flag for a hypervisor is not set"]


def test_a_kvm_host_is_not_virtual_but_has_the_role_of_a_host(tmp_path: Path) -> None:
    found = detect(plant(tmp_path, machines.KVM_HOST))
    assert (found.virtualized, found.type, found.role, found.product) == (False, "kvm", "host", "KVM")
    assert deciding(found) == "/dev/kvm"


def test_a_proxmox_host_is_named_as_such(tmp_path: Path) -> None:
    found = detect(plant(tmp_path, {**machines.BARE_METAL, "/dev/kvm": "", "/run/qemu-server/100.pid": "4711"}))
    assert (found.type, found.role, found.product) == ("kvm", "host", "Proxmox VE")


def test_dom0_is_the_host_though_its_kernel_runs_on_xen(tmp_path: Path) -> None:
    found = detect(plant(tmp_path, machines.XEN_DOM0))
    assert (found.virtualized, found.type, found.role) == (False, "xen", "host")
    assert (found.product, found.version) == ("XCP-ng", "8.2.1")


def test_dom0_is_known_by_its_feature_bit_where_xenfs_is_not_mounted(tmp_path: Path) -> None:
    hidden = {"/proc/xen/capabilities", "/etc/xensource-inventory"}
    machine = {path: content for path, content in machines.XEN_DOM0.items() if path not in hidden}
    found = detect(plant(tmp_path, machine))
    assert (found.role, found.product, found.version) == ("host", "Xen", "4.17.5-4")
    assert deciding(found) == "/sys/hypervisor/properties/features"


def test_a_dom0_inside_vmware_is_a_guest_of_vmware(tmp_path: Path) -> None:
    found = detect(plant(tmp_path, machines.XEN_DOM0, machines.dmi(sys_vendor="VMware, Inc.", product_name="VMware7,1")))
    assert (found.virtualized, found.type, found.role) == (True, "vmware", "guest")
    assert says(found, "/proc/xen/capabilities") == ["this is dom0, Xen's control domain"]


def test_a_kvm_host_inside_vmware_is_a_guest_of_vmware(tmp_path: Path) -> None:
    found = detect(plant(tmp_path, machines.VMWARE_GUEST, {"/dev/kvm": "", "/run/libvirt/virtqemud-sock": ""}))
    assert (found.type, found.role) == ("vmware", "guest")
    assert says(found, "/dev/kvm") == ["this machine runs virtual machines itself, by libvirt"]


def test_xen_tells_its_version(tmp_path: Path) -> None:
    assert detect(plant(tmp_path, machines.XEN_PV_GUEST)).version == "4.17.7"


def test_a_guest_of_xen_shows_xen_in_each_of_these_ways(tmp_path: Path) -> None:
    found = detect(plant(tmp_path, machines.XEN_PV_GUEST))
    assert [(evidence.source, evidence.value, evidence.type) for evidence in found.evidence] == [
        ("/sys/hypervisor/type", "xen", "xen"),
        ("/proc/xen", "present", "xen"),
        (CPUID, "XenVMMXenVMM", "xen"),
        ("/proc/cpuinfo", "hypervisor", "other"),
    ]


def test_hyperv_tells_its_guest_the_host_the_name_and_the_version(tmp_path: Path) -> None:
    found = detect(plant(tmp_path, machines.HYPERV_GUEST))
    assert (found.parent_host, found.vm_name, found.version) == ("hv01.corp.example", "app01", "10.0")
    assert found.vm_id == "5f5b6b5c-3d9f-4b0a-9b5c-0b7f1f0a2c11"
    assert says(found, "/var/lib/hyperv/.kvp_pool_3") == ["the host's own name, given to its guests"]


def test_what_hyperv_told_is_not_believed_after_a_move_to_another_hypervisor(tmp_path: Path) -> None:
    left_over = {"/var/lib/hyperv/.kvp_pool_3": machines.HYPERV_GUEST["/var/lib/hyperv/.kvp_pool_3"]}
    found = detect(plant(tmp_path, machines.VMWARE_GUEST, left_over))
    assert (found.type, found.parent_host, found.vm_name, found.vm_id) == ("vmware", "", "", "")


def test_vmware_s_uuid_comes_first_in_the_spelling_of_vcenter(tmp_path: Path) -> None:
    found = detect(plant(tmp_path, machines.VMWARE_GUEST))
    assert found.vm_uuid == "dd4f3942-f393-1a50-8614-c6fa55f75468"
    assert found.vm_uuids[:2] == ("42394fdd-93f3-501a-8614-c6fa55f75468", "dd4f3942-f393-1a50-8614-c6fa55f75468")


def test_a_uuid_is_offered_in_both_byte_orders_in_lower_case(tmp_path: Path) -> None:
    found = detect(plant(tmp_path, machines.KVM_GUEST))
    assert found.vm_uuid == "5b1d9f6e-2c44-4a36-9d0c-1f6e8b7a9c3d"
    assert found.vm_uuids == ("5b1d9f6e-2c44-4a36-9d0c-1f6e8b7a9c3d", "6e9f1d5b-442c-364a-9d0c-1f6e8b7a9c3d")


@pytest.mark.parametrize(
    ("machine", "uuid"),
    [
        (machines.XEN_PV_GUEST, "5b1d9f6e-2c44-4a36-9d0c-1f6e8b7a9c15"),
        (machines.POWER_KVM_GUEST, "0d0f4b44-1f2e-4a57-8b0e-6d2c3b4a5f60"),
    ],
)
def test_without_firmware_tables_the_uuid_comes_from_the_hypervisor_itself(tmp_path: Path, machine: Machine, uuid: str) -> None:
    assert detect(plant(tmp_path, machine)).vm_uuid == uuid


def test_a_container_is_told_and_looked_through(tmp_path: Path) -> None:
    found = detect(plant(tmp_path, machines.CONTAINER_ON_VMWARE))
    assert (found.container, found.virtualized, found.type, found.role) == ("podman", True, "vmware", "guest")
    assert says(found, "/run/.containerenv") == ["podman's mark"]


@pytest.mark.parametrize(
    ("mark", "container"),
    [
        ({"/.dockerenv": ""}, "docker"),
        ({"/run/systemd/container": "systemd-nspawn"}, "systemd-nspawn"),
        ({"/proc/1/environ": b"PATH=/usr/bin\0PASSWORD=hunter2\0container=lxc\0"}, "lxc"),
        ({"/proc/1/cgroup": "12:pids:/kubepods/besteffort/pod1\n0::/"}, "kubernetes"),
        ({"/proc/sys/kernel/osrelease": "5.15.153.1-microsoft-standard-WSL2"}, "wsl"),
        ({"/proc/1/cgroup": "0::/init.scope", "/proc/1/environ": b"PATH=/usr/bin\0"}, ""),
    ],
)
def test_a_container_is_known_by_what_its_manager_leaves(tmp_path: Path, mark: Machine, container: str) -> None:
    found = detect(plant(tmp_path, machines.BARE_METAL, mark))
    assert (found.container, found.virtualized) == (container, False)
    assert "hunter2" not in repr(found)


@pytest.mark.usefixtures("unprivileged")
def test_without_root_the_hypervisor_is_still_known_and_the_missing_uuid_explained(tmp_path: Path) -> None:
    found = detect(plant(tmp_path, machines.VMWARE_GUEST))
    assert (found.type, found.vm_uuid, found.vm_uuids) == ("vmware", "", ())
    assert says(found, "/sys/class/dmi/id/product_uuid") == ["could not be read: Permission denied"]


def test_a_machine_that_shows_nothing_is_neither_virtual_nor_not(tmp_path: Path) -> None:
    found = detect(tmp_path)
    assert (found.virtualized, found.type, found.role) == (None, "", "")
    assert [evidence.says for evidence in found.evidence] == [
        "neither firmware, nor device tree, nor processor flags are shown here, so nothing can be told"
    ]


def test_a_container_without_sys_is_undecided_and_told(tmp_path: Path) -> None:
    found = detect(plant(tmp_path, {"/.dockerenv": "", "/etc/hostname": "web"}))
    assert (found.virtualized, found.container) == (None, "docker")


def test_nothing_outside_the_root_is_read(tmp_path: Path) -> None:
    plant(tmp_path / "elsewhere", machines.dmi(sys_vendor="VMware, Inc."))
    root = plant(tmp_path / "root", {"/sys/class/dmi": machines.Link("../../../elsewhere/sys/devices/virtual/dmi")})
    found = detect(root)
    assert found.virtualized is None
    assert says(found, SYS_VENDOR) == [f"could not be read: Leads outside {root}"]


def test_a_loop_of_links_is_no_reason_to_fail(tmp_path: Path) -> None:
    found = detect(plant(tmp_path, machines.VMWARE_GUEST, {"/sys/hypervisor": machines.Link("hypervisor")}))
    assert found.type == "vmware"
    assert says(found, "/sys/hypervisor/type") == ["could not be read: Too many levels of symbolic links"]
