# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Linux machines as trees of files: what their `/sys`, `/proc`, `/dev` and `/etc` hold, in the words that kernels and firmware print.

A machine is a mapping of path → content; `plant` writes it below a directory, with links and modes as the kernel has them.
"""

# ruff: noqa: PTH103, PTH211 - pathlib takes three times as long
from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Link:
    """A symbolic link, relative as sysfs has them."""

    target: str


@dataclass(frozen=True)
class Registers:
    """A device that is read at offsets, such as `/dev/cpu/0/cpuid`."""

    at: Mapping[int, bytes]


@dataclass(frozen=True)
class Secret:
    """A file of mode 0400."""

    text: str


class Directory:
    """An empty directory."""


Machine = Mapping[str, Any]


def plant(root: Path, *machines: Machine) -> Path:
    """Write machines, the later over the earlier, below `root`, and return it.

    Some hundred files for a test, and there are hundreds of tests: each costs the system calls that it needs, and no more.
    """
    made: set[str] = set()
    for path, content in {key: value for machine in machines for key, value in machine.items()}.items():
        place = f"{root}/{path.lstrip('/')}"
        parent = place.rpartition("/")[0]
        if parent not in made:
            os.makedirs(parent, exist_ok=True)
            made.add(parent)
        _write(place, content)
    return root


def _write(place: str, content: Any) -> None:
    if isinstance(content, Link):
        os.symlink(content.target, place)
    elif isinstance(content, Directory):
        os.makedirs(place, exist_ok=True)
    elif isinstance(content, Registers):
        _write_registers(place, content.at)
    elif isinstance(content, Secret):
        _write_bytes(place, f"{content.text}\n".encode())
        Path(place).chmod(0o400)
    else:
        _write_bytes(place, content if isinstance(content, bytes) else f"{content}\n".encode())


def _write_bytes(place: str, content: bytes) -> None:
    descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
    try:
        os.write(descriptor, content)
    finally:
        os.close(descriptor)


def _write_registers(place: str, at: Mapping[int, bytes]) -> None:
    with Path(place).open("wb") as stream:
        for offset, content in at.items():
            stream.seek(offset)
            stream.write(content)


def dmi(**attributes: str) -> Machine:
    """`/sys/class/dmi/id`; serial number and UUID are for root alone."""
    secret = {"product_uuid", "product_serial"}
    return {
        "/sys/class/dmi/id": Link("../../devices/virtual/dmi/id"),
        **{f"/sys/devices/virtual/dmi/id/{name}": Secret(text) if name in secret else text for name, text in attributes.items()},
    }


def x86(hypervisor: bool) -> Machine:
    """`/proc/cpuinfo` of an Intel processor."""
    flag = " hypervisor" if hypervisor else ""
    return {
        "/proc/cpuinfo": f"processor\t: 0\nvendor_id\t: GenuineIntel\nmodel name\t: Intel(R) Xeon(R) Gold 6242\n"
        f"flags\t\t: fpu vme de pse tsc msr pae x2apic movbe popcnt{flag} lahf_lm\nvmx flags\t: vnmi\nbugs\t\t: spectre_v1\n"
    }


def cpuid(*signatures: str) -> Machine:
    """The hypervisor leaves 0x40000000, 0x40000100, …: EAX, then the signature in EBX, ECX, EDX."""
    leaves = {0x40000000 + 0x100 * number: b"\x01\x00\x00\x40" + text.encode().ljust(12, b"\0") for number, text in enumerate(signatures)}
    return {"/dev/cpu/0/cpuid": Registers(leaves)}


def kvp(**pairs: str) -> bytes:
    """A pool file of hv_kvp_daemon."""
    return b"".join(key.encode().ljust(512, b"\0") + value.encode().ljust(2048, b"\0") for key, value in pairs.items())


VMWARE_GUEST: Machine = {
    **dmi(
        sys_vendor="VMware, Inc.",
        product_name="VMware7,1",
        product_version="None",
        board_vendor="Intel Corporation",
        bios_vendor="VMware, Inc.",
        bios_version="VMW71.00V.20192059.B64.2207280708",
        chassis_vendor="No Enclosure",
        product_uuid="dd4f3942-f393-1a50-8614-c6fa55f75468",
        product_serial="VMware-42 39 4f dd 93 f3 50 1a-86 14 c6 fa 55 f7 54 68",
    ),
    **x86(hypervisor=True),
}

HYPERV_GUEST: Machine = {
    **dmi(
        sys_vendor="Microsoft Corporation",
        product_name="Virtual Machine",
        product_version="7.0",
        board_vendor="Microsoft Corporation",
        bios_vendor="American Megatrends Inc.",
        bios_version="090008",
        chassis_vendor="Microsoft Corporation",
        chassis_asset_tag="8213-3112-1123-8171-7164-7123-49",
        product_uuid="3f7e9b1a-5c2d-e84f-9a10-7b6c5d4e3f21",
    ),
    **x86(hypervisor=True),
    **cpuid("Microsoft Hv"),
    "/sys/bus/vmbus/devices": Directory(),
    "/var/lib/hyperv/.kvp_pool_3": kvp(
        HostName="hv01.corp.example",
        HostingSystemEditionId="8",
        HostingSystemNestedLevel="0",
        HostingSystemOsMajor="10",
        HostingSystemOsMinor="0",
        PhysicalHostName="HV01",
        PhysicalHostNameFullyQualified="hv01.corp.example",
        VirtualMachineDynamicMemoryBalancingEnabled="0",
        VirtualMachineId="5F5B6B5C-3D9F-4B0A-9B5C-0B7F1F0A2C11",
        VirtualMachineName="app01",
    ),
}

AZURE_GUEST: Machine = {
    **HYPERV_GUEST,
    "/sys/devices/virtual/dmi/id/chassis_asset_tag": "7783-7084-3265-9085-8269-3286-77",
}

_XEN_KERNEL: Machine = {
    "/sys/hypervisor/type": "xen",
    "/sys/hypervisor/version/major": "4",
    "/sys/hypervisor/version/minor": "17",
    "/sys/hypervisor/version/extra": ".5-4",
    "/proc/xen": Directory(),
}

XEN_HVM_GUEST: Machine = {
    **_XEN_KERNEL,
    **dmi(
        sys_vendor="Xen",
        product_name="HVM domU",
        product_version="4.17.5-4",
        bios_vendor="Xen",
        bios_version="4.17.5-4",
        chassis_vendor="Xen",
        product_uuid="9b3e1c52-7a64-11ee-b962-0242ac120002",
    ),
    **x86(hypervisor=True),
    **cpuid("Microsoft Hv", "XenVMMXenVMM"),
    "/sys/hypervisor/uuid": "9b3e1c52-7a64-11ee-b962-0242ac120002",
    "/sys/hypervisor/properties/features": "00002705",
}

XEN_PV_GUEST: Machine = {
    "/sys/hypervisor/type": "xen",
    "/sys/hypervisor/guest_type": "PV",
    "/sys/hypervisor/uuid": "5b1d9f6e-2c44-4a36-9d0c-1f6e8b7a9c15",
    "/sys/hypervisor/version/major": "4",
    "/sys/hypervisor/version/minor": "17",
    "/sys/hypervisor/version/extra": ".7",
    "/sys/hypervisor/compilation/compiled_by": "pkg-xen-devel",
    "/sys/hypervisor/properties/buildid": "<denied>",
    "/sys/hypervisor/properties/capabilities": "xen-3.0-x86_64 hvm-3.0-x86_32 hvm-3.0-x86_32p hvm-3.0-x86_64 ",
    "/sys/hypervisor/properties/changeset": "",
    "/sys/hypervisor/properties/features": "000220f0",
    "/sys/hypervisor/properties/pagesize": "1000",
    "/sys/hypervisor/properties/virtual_start": "ffff800000000000",
    "/proc/xen/capabilities": "",
    "/proc/1/cgroup": "",
    "/proc/sys/kernel/osrelease": "6.1.0-57-amd64",
    "/proc/cpuinfo": "processor\t: 0\nvendor_id\t: AuthenticAMD\ncpu family\t: 15\nmodel\t\t: 107\n"
    "model name\t: QEMU Virtual CPU version 2.5+\nflags\t\t: fpu de tsc msr pae mce cx8 apic mca cmov pat clflush mmx fxsr sse sse2 "
    "syscall nx lm rep_good nopl cpuid extd_apicid tsc_known_freq pni cx16 hypervisor lahf_lm 3dnowprefetch vmmcall\n"
    "bugs\t\t: fxsave_leak null_seg swapgs_fence amd_e400 spectre_v1 spectre_v2\npower management:",
    "/dev/cpu/0/cpuid": Registers({0x40000000: bytes.fromhex("0500004058656e564d4d58656e564d4d"), 0x40000100: bytes(16)}),
    "/sys/bus/xen/devices/vbd-51712": Link("../../../devices/vbd-51712"),
    "/sys/devices/vbd-51712/devtype": "vbd",
    "/sys/devices/vbd-51712/modalias": "xen:vbd",
    "/sys/devices/vbd-51712/nodename": "device/vbd/51712",
    "/sys/devices/vbd-51712/block/xvda/dev": "202:0",
    "/sys/devices/vbd-51712/block/xvda/size": "6291456",
    "/sys/block/xvda": Link("../devices/vbd-51712/block/xvda"),
    "/sys/class/block/xvda": Link("../../devices/vbd-51712/block/xvda"),
}
"""Recorded in a guest of Debian's Xen 4.17.7 as root.

Each file was read by `os.read` (of the processor not every line is kept), `/dev/cpu/0/cpuid` at these offsets by `os.pread`.
Xen ran in QEMU 7.2 without KVM; the guest (`type="pv"`, Linux 6.1.192-3) had one disk,
`phy:/dev/disk/by-id/wwn-0x600a0980800000f1,xvda,w`. There is no `/sys/class/dmi` and no `/sys/bus/virtio`.
"""

XEN_DOM0: Machine = {
    **_XEN_KERNEL,
    **dmi(
        sys_vendor="HPE",
        product_name="ProLiant DL380 Gen10",
        bios_vendor="HPE",
        bios_version="U30",
        product_uuid="30373237-3132-4d32-3235-313230354443",
    ),
    **x86(hypervisor=True),
    **cpuid("XenVMMXenVMM"),
    "/proc/xen/capabilities": "control_d",
    "/sys/hypervisor/uuid": "00000000-0000-0000-0000-000000000000",
    "/sys/hypervisor/properties/features": "00002fcb",
    "/etc/xensource-inventory": (
        "PRODUCT_BRAND='XCP-ng'\nPRODUCT_VERSION='8.2.1'\nINSTALLATION_UUID='a0e4b1f0-6c3f-4f6e-8a9e-0d5f8c1b2a3d'\nKERNEL_VERSION='4.19.0+1'"
    ),
}

KVM_GUEST: Machine = {
    **dmi(
        sys_vendor="QEMU",
        product_name="Standard PC (Q35 + ICH9, 2009)",
        product_version="pc-q35-7.2",
        bios_vendor="SeaBIOS",
        bios_version="1.16.2-debian-1.16.2-1",
        chassis_vendor="QEMU",
        product_uuid="5B1D9F6E-2C44-4A36-9D0C-1F6E8B7A9C3D",
    ),
    **x86(hypervisor=True),
    **cpuid("KVMKVMKVM"),
    "/sys/bus/virtio/devices/virtio0/vendor": "0x1af4",
}

KVM_GUEST_POSING_AS_HYPERV: Machine = {**KVM_GUEST, **cpuid("Microsoft Hv", "KVMKVMKVM"), "/sys/bus/vmbus/devices": Directory()}

VIRTUALBOX_GUEST: Machine = {
    **dmi(
        sys_vendor="innotek GmbH",
        product_name="VirtualBox",
        product_version="1.2",
        board_vendor="Oracle Corporation",
        bios_vendor="innotek GmbH",
        bios_version="VirtualBox",
        chassis_vendor="Oracle Corporation",
        product_uuid="f1a2c3d4-9a8b-4c5d-8e7f-001122334455",
    ),
    **x86(hypervisor=True),
    **cpuid("KVMKVMKVM"),
}

EC2_NITRO_GUEST: Machine = {
    **dmi(
        sys_vendor="Amazon EC2",
        product_name="m5.large",
        bios_vendor="Amazon EC2",
        bios_version="1.0",
        product_uuid="ec2f1a6c-77d1-4d8e-9a3b-5f6a7b8c9d0e",
    ),
    **x86(hypervisor=True),
    **cpuid("KVMKVMKVM"),
}

EC2_BARE_METAL: Machine = {
    **dmi(sys_vendor="Amazon EC2", product_name="m5.metal", bios_vendor="Amazon EC2", bios_version="1.0"),
    **x86(hypervisor=False),
}

BARE_METAL: Machine = {
    **dmi(
        sys_vendor="Dell Inc.",
        product_name="PowerEdge R740",
        board_vendor="Dell Inc.",
        bios_vendor="Dell Inc.",
        bios_version="2.19.1",
        chassis_vendor="Dell Inc.",
        product_uuid="4c4c4544-0037-4e10-8036-b7c04f4b4132",
    ),
    **x86(hypervisor=False),
    **cpuid("\x07\x00\x00\x00"),
    "/proc/sys/kernel/hostname": "db01",
    "/etc/os-release": 'NAME="Red Hat Enterprise Linux"\nVERSION="9.4 (Plow)"\nID="rhel"\nVERSION_ID="9.4"',
}

KVM_HOST: Machine = {**BARE_METAL, "/dev/kvm": "", "/run/libvirt/libvirt-sock": ""}

ORACLE_SERVER: Machine = {
    **dmi(sys_vendor="Oracle Corporation", product_name="ORACLE SERVER X9-2", board_vendor="Oracle Corporation"),
    **x86(hypervisor=False),
}

SURFACE: Machine = {**dmi(sys_vendor="Microsoft Corporation", product_name="Surface Pro 7"), **x86(hypervisor=False)}

CONTAINER_ON_VMWARE: Machine = {**VMWARE_GUEST, "/run/.containerenv": ""}

ARM_KVM_GUEST: Machine = {
    "/proc/cpuinfo": "processor\t: 0\nFeatures\t: fp asimd evtstrm aes\nCPU implementer\t: 0x41",
    "/proc/device-tree/compatible": b"linux,dummy-virt\0",
}

POWER_KVM_GUEST: Machine = {
    "/proc/cpuinfo": "processor\t: 0\ncpu\t\t: POWER9 (architected), altivec supported",
    "/proc/device-tree/hypervisor/compatible": b"linux,kvm\0",
    "/proc/device-tree/compatible": b"qemu,pseries\0",
    "/proc/device-tree/vm,uuid": b"0d0f4b44-1f2e-4a57-8b0e-6d2c3b4a5f60\0",
}


def scsi_host(number: int, path: str, **attributes: str) -> Machine:
    """`/sys/class/scsi_host/hostN` of the adapter at `path`, relative to `/sys/devices`."""
    host = f"/sys/devices/{path}/host{number}"
    return {
        **_class_member("scsi_host", f"host{number}", host),
        f"{host}/scsi_host/host{number}/state": "running",
        **{f"{host}/scsi_host/host{number}/{name}": text for name, text in attributes.items()},
    }


def member(kind: str, name: str, directory: str, **attributes: str) -> Machine:
    """`/sys/class/<kind>/<name>` of the device at `directory`."""
    return {
        **_class_member(kind, name, directory),
        **{f"{directory}/{kind}/{name}/{attribute}": text for attribute, text in attributes.items()},
    }


def _class_member(kind: str, name: str, directory: str) -> Machine:
    return {
        f"/sys/class/{kind}/{name}": Link(f"../..{directory[4:]}/{kind}/{name}"),
        f"{directory}/{kind}/{name}/device": Link("../.."),
    }


def pci_function(path: str, driver: str, vendor: str, subsystem_vendor: str) -> Machine:
    """A PCI function and its driver, `path` relative to `/sys/devices`."""
    up = "../" * (path.count("/") + 2)
    return {
        f"/sys/devices/{path}/vendor": vendor,
        f"/sys/devices/{path}/subsystem_vendor": subsystem_vendor,
        f"/sys/devices/{path}/driver": Link(f"{up}bus/pci/drivers/{driver}"),
        f"/sys/bus/pci/drivers/{driver}": Directory(),
    }


def naa_page(*naa: str) -> bytes:
    """A VPD 0x83 page as ONTAP gives it: a T10 designator first, then the NAA names of the logical unit."""
    t10 = b"NETAPP  LUN 80Lab-aaaaa1"
    designators = bytes([2, 1, 0, len(t10)]) + t10
    for name in naa:
        designators += bytes([1, 3, 0, len(name) // 2]) + bytes.fromhex(name)
    return b"\x00\x83" + len(designators).to_bytes(2, "big") + designators


def scsi_disk(address: str, block: str, target: str, naa: str = "", **attributes: str) -> Machine:
    """A SCSI disk below `target`, the directory of its target."""
    directory = f"{target}/{address}"
    texts = {"type": "0", "state": "running", "vendor": "NETAPP  ", "model": "LUN C-Mode      ", **attributes}
    return {
        **_class_member("scsi_device", address, directory),
        **{f"{directory}/{name}": text for name, text in texts.items()},
        **({f"{directory}/block/{block}/size": "2097152"} if block else {}),
        **({f"{directory}/vpd_pg83": naa_page(naa), f"{directory}/wwid": f"naa.{naa}"} if naa else {}),
    }
