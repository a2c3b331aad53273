# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How hypervisors show themselves to a Linux kernel: which source says what, as tables.

The order of `GUEST_RULES` settles contradictions; it is the one that systemd-detect-virt documents:
1. firmware that names a product built on another hypervisor (VirtualBox, EC2 Nitro, Nutanix, Parallels, on KVM or Hyper-V), and Xen's
   firmware, because Xen may pose as Hyper-V in CPUID;
2. Xen's own interfaces, because a paravirtual kernel sees the CPUID of whatever is below Xen;
3. CPUID signatures other than Hyper-V's, which survive a changed DMI table;
4. other firmware, the device tree and s390's sysinfo;
5. Hyper-V's CPUID signature and bus, which QEMU offers too;
6. the bare statement that there is a hypervisor.
A Xen dom0 sees Xen, but is the host; only firmware or another signature makes it a (nested) guest.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ansible_collections.crossvisor.san.plugins.module_utils._san.linux.tree import Tree

PRESENT = "present"
OTHER = "other"

_DMI = "/sys/class/dmi/id/"
SYS_VENDOR = _DMI + "sys_vendor"
PRODUCT_NAME = _DMI + "product_name"
PRODUCT_VERSION = _DMI + "product_version"
_BIOS_VENDOR = _DMI + "bios_vendor"
_BIOS_VERSION = _DMI + "bios_version"
_CHASSIS_VENDOR = _DMI + "chassis_vendor"
_CHASSIS_ASSET_TAG = _DMI + "chassis_asset_tag"
PRODUCT_UUID = _DMI + "product_uuid"
PRODUCT_SERIAL = _DMI + "product_serial"

XEN_UUID = "/sys/hypervisor/uuid"
XEN_VERSION = "/sys/hypervisor/version/"
DEVICE_TREE_UUID = "/proc/device-tree/vm,uuid"

_XEN_TYPE = "/sys/hypervisor/type"
_XEN_FEATURES = "/sys/hypervisor/properties/features"
_XEN_CAPABILITIES = "/proc/xen/capabilities"
_PROC_XEN = "/proc/xen"
_VMBUS = "/sys/bus/vmbus"
_VIRTIO = "/sys/bus/virtio/devices"
_DEVICE_TREE = "/proc/device-tree/compatible"
_DEVICE_TREE_HYPERVISOR = "/proc/device-tree/hypervisor/compatible"
_POWERVM = "/proc/device-tree/ibm,partition-name"
_HMC = "/proc/device-tree/hmc-managed?"
_S390 = "/proc/sysinfo"
CPU_FLAG = "/proc/cpuinfo"
_CPUID = "/dev/cpu/0/cpuid"
_CPUID_FIRST = _CPUID + " leaf 0x40000000"
_CPUID_SECOND = _CPUID + " leaf 0x40000100"

_PID_1_ENVIRONMENT = "/proc/1/environ"


def _read_text(tree: Tree, path: str) -> str | None:
    return tree.text(path)


def _read_presence(tree: Tree, path: str) -> str | None:
    return PRESENT if tree.exists(path) else None


def _read_list(tree: Tree, path: str) -> str | None:
    """A device tree's property of several strings, divided by NUL."""
    text = tree.text(path)
    return None if text is None else text.replace("\0", ", ")


def _read_cpu_flag(tree: Tree, path: str) -> str | None:
    """`hypervisor` or `no hypervisor`, by the flag of x86 processors; other processors have none."""
    flags = re.search(r"^flags\s*:(.*)$", tree.text(path) or "", re.MULTILINE)
    if not flags:
        return None
    return "hypervisor" if "hypervisor" in flags[1].split() else "no hypervisor"


def _read_cpuid(tree: Tree, path: str) -> str | None:
    """The vendor signature, EBX ECX EDX of a hypervisor's CPUID leaf; the offset in the device is the leaf."""
    device, _between, leaf = path.partition(" leaf ")
    registers = tree.piece(device, int(leaf, 16), 16) or b""
    return registers[4:].rstrip(b"\0").decode("ascii", "replace") or None


def _read_virtio(tree: Tree, path: str) -> str | None:
    return next((tree.text(f"{path}/{device}/vendor") for device in tree.children(path)), None)


def _read_container_variable(tree: Tree, path: str) -> str | None:
    """`$container` of process 1, and nothing else of its environment."""
    variables = (tree.content(path) or b"").split(b"\0")
    return next((variable[10:].decode("utf-8", "replace") for variable in variables if variable.startswith(b"container=")), None)


def _read_control_program(tree: Tree, path: str) -> str | None:
    found = re.search(r"^VM00 Control Program:\s*(.*)$", tree.text(path) or "", re.MULTILINE)
    return found[1].strip() if found else None


_TEXTS = (
    SYS_VENDOR,
    PRODUCT_NAME,
    PRODUCT_VERSION,
    _BIOS_VENDOR,
    _BIOS_VERSION,
    _CHASSIS_VENDOR,
    _CHASSIS_ASSET_TAG,
    _XEN_TYPE,
    _XEN_FEATURES,
    _XEN_CAPABILITIES,
    "/run/systemd/container",
    "/run/host/container-manager",
    "/proc/1/cgroup",
    "/proc/sys/kernel/osrelease",
)
_MARKS = (
    _PROC_XEN,
    _VMBUS,
    _POWERVM,
    _HMC,
    "/dev/kvm",
    "/run/libvirt/libvirt-sock",
    "/run/libvirt/virtqemud-sock",
    "/run/qemu-server",
    "/run/.containerenv",
    "/.dockerenv",
)
SOURCES: Mapping[str, Callable[[Tree, str], str | None]] = {
    **dict.fromkeys(_TEXTS, _read_text),
    **dict.fromkeys(_MARKS, _read_presence),
    _DEVICE_TREE: _read_list,
    _DEVICE_TREE_HYPERVISOR: _read_list,
    _S390: _read_control_program,
    CPU_FLAG: _read_cpu_flag,
    _CPUID_FIRST: _read_cpuid,
    _CPUID_SECOND: _read_cpuid,
    _VIRTIO: _read_virtio,
    _PID_1_ENVIRONMENT: _read_container_variable,
}


@dataclass(frozen=True)
class Rule:
    """What it means when sources have certain values."""

    type: str
    says: str
    when: Mapping[str, str]
    """Source → regular expression for the beginning of its value; all must match."""
    unless: Mapping[str, str] = field(default_factory=dict)
    """The same; none may match."""

    def matches(self, observed: Mapping[str, str]) -> bool:
        """Tell whether the rule applies to the values of the sources."""
        return all(_match(observed, *one) for one in self.when.items()) and not any(_match(observed, *one) for one in self.unless.items())


def _match(observed: Mapping[str, str], source: str, pattern: str) -> bool:
    return source in observed and re.match(pattern, observed[source]) is not None


_DOM0 = {
    _XEN_CAPABILITIES: r"(.*,)?control_d",
    _XEN_FEATURES: r"[0-9a-f]*[89a-f][0-9a-f]{2}$",  # XENFEAT_dom0 is bit 11, xen/include/public/features.h
}
_AZURE = "7783-7084-3265-9085-8269-3286-77"  # documented asset tag of every Azure VM

GUEST_RULES = (
    Rule("virtualbox", "VirtualBox' firmware", {PRODUCT_NAME: "VirtualBox"}),
    Rule("virtualbox", "VirtualBox' firmware", {SYS_VENDOR: "innotek GmbH"}),
    Rule("virtualbox", "VirtualBox' firmware", {_BIOS_VENDOR: "innotek GmbH"}),
    Rule("aws_nitro", "a virtual machine of EC2", {SYS_VENDOR: "Amazon EC2"}, unless={PRODUCT_NAME: r".*\.metal"}),
    Rule("nutanix", "Nutanix' firmware", {SYS_VENDOR: "Nutanix", PRODUCT_NAME: "AHV"}),
    Rule("parallels", "Parallels' firmware", {SYS_VENDOR: "Parallels"}),
    Rule("parallels", "Parallels' firmware", {PRODUCT_NAME: "Parallels"}),
    Rule("xen", "Xen's firmware for virtual machines", {SYS_VENDOR: "Xen$"}),
    Rule("xen", "Xen's firmware for virtual machines", {PRODUCT_NAME: "HVM domU"}),
    Rule("xen", "the kernel runs on Xen", {_XEN_TYPE: "xen"}, unless=_DOM0),
    Rule("xen", "the kernel runs on Xen", {_PROC_XEN: PRESENT}, unless=_DOM0),
    Rule("xen", "Xen's signature", {_CPUID_FIRST: "XenVMMXenVMM"}, unless=_DOM0),
    Rule("xen", "Xen's signature beside the one of Hyper-V, as which it poses", {_CPUID_SECOND: "XenVMMXenVMM"}, unless=_DOM0),
    Rule("kvm", "KVM's signature", {_CPUID_FIRST: "KVMKVMKVM"}),
    Rule("kvm", "KVM's signature with Hyper-V enlightenments", {_CPUID_FIRST: "Linux KVM Hv"}),
    Rule("kvm", "KVM's signature beside the one of Hyper-V, as which it poses", {_CPUID_SECOND: "KVMKVMKVM"}),
    Rule("kvm", "QEMU without hardware acceleration, managed as KVM is", {_CPUID_FIRST: "TCGTCGTCGTCG"}),
    Rule("vmware", "VMware's signature", {_CPUID_FIRST: "VMwareVMware"}),
    Rule("bhyve", "bhyve's signature", {_CPUID_FIRST: "bhyve bhyve"}),
    Rule("apple", "Apple's virtualization framework's signature", {_CPUID_FIRST: "Apple VZ"}),
    Rule("vmware", "VMware's firmware", {SYS_VENDOR: "VMware"}),
    Rule("vmware", "VMware's firmware", {PRODUCT_NAME: "VMware"}),
    Rule("vmware", "VMware's firmware", {_BIOS_VERSION: "VMW"}),
    Rule("kvm", "QEMU's machine", {SYS_VENDOR: "QEMU"}),
    Rule("kvm", "a machine of KVM", {PRODUCT_NAME: "KVM"}),
    Rule("kvm", "QEMU's machine under a cloud's name", {_CHASSIS_VENDOR: "QEMU"}),
    Rule("kvm", "OpenStack's machine on KVM", {PRODUCT_NAME: "OpenStack"}),
    Rule("kvm", "OpenStack's machine on KVM", {SYS_VENDOR: "OpenStack"}),
    Rule("kvm", "KubeVirt's machine on KVM", {SYS_VENDOR: "KubeVirt"}),
    Rule("kvm", "oVirt's machine on KVM", {SYS_VENDOR: "oVirt"}),
    Rule("kvm", "oVirt's machine on KVM", {PRODUCT_NAME: "RHEV Hypervisor"}),
    Rule("kvm", "Google's machine on KVM", {PRODUCT_NAME: "Google Compute Engine"}, unless={CPU_FLAG: "no hypervisor"}),
    Rule("hyperv", "Hyper-V's machine", {SYS_VENDOR: "Microsoft Corporation", PRODUCT_NAME: "Virtual Machine"}),
    Rule("hyperv", "Hyper-V's machine", {PRODUCT_VERSION: "Hyper-V"}),
    Rule("bhyve", "bhyve's machine", {PRODUCT_NAME: "BHYVE"}),
    Rule("bhyve", "bhyve's firmware", {_BIOS_VENDOR: "BHYVE"}),
    Rule("apple", "Apple's virtualization framework", {PRODUCT_NAME: "Apple Virtualization"}),
    Rule("kvm", "KVM's node of the device tree", {_DEVICE_TREE_HYPERVISOR: "linux,kvm"}),
    Rule("xen", "Xen's node of the device tree", {_DEVICE_TREE_HYPERVISOR: ".*xen"}, unless=_DOM0),
    Rule("vmware", "VMware's node of the device tree", {_DEVICE_TREE_HYPERVISOR: ".*vmware"}),
    Rule("kvm", "QEMU's machine", {_DEVICE_TREE: "(.*, )?(qemu,pseries|linux,dummy-virt)"}),
    Rule("powervm", "a partition of PowerVM", {_POWERVM: PRESENT, _HMC: PRESENT}),
    Rule("kvm", "a guest of KVM on s390", {_S390: "KVM"}),
    Rule("zvm", "a guest of z/VM", {_S390: "z/VM"}),
    Rule("hyperv", "Hyper-V's signature", {_CPUID_FIRST: "Microsoft Hv"}),
    Rule("hyperv", "Hyper-V's bus", {_VMBUS: PRESENT}),
    Rule(OTHER, "a hypervisor that says no name", {_DEVICE_TREE_HYPERVISOR: "."}, unless=_DOM0),
    Rule(OTHER, "the processor's flag: a hypervisor is below this kernel", {CPU_FLAG: "hypervisor"}, unless=_DOM0),
)

HOST_RULES = (
    *(Rule("xen", "this is dom0, Xen's control domain", {source: pattern}) for source, pattern in _DOM0.items()),
    Rule("kvm", "this machine runs virtual machines itself, by libvirt", {"/dev/kvm": PRESENT, "/run/libvirt/libvirt-sock": PRESENT}),
    Rule("kvm", "this machine runs virtual machines itself, by libvirt", {"/dev/kvm": PRESENT, "/run/libvirt/virtqemud-sock": PRESENT}),
    Rule("kvm", "this machine runs virtual machines itself, by Proxmox VE", {"/dev/kvm": PRESENT, "/run/qemu-server": PRESENT}),
)

BARE_METAL_RULES = (
    Rule("", "the processor's flag for a hypervisor is not set", {CPU_FLAG: "no hypervisor"}),
    Rule("", "names no hypervisor", {SYS_VENDOR: "."}),
    Rule("", "names no hypervisor", {PRODUCT_NAME: "."}),
    Rule("", "names no hypervisor", {_DEVICE_TREE: "."}),
)

HINT_RULES = (Rule("", "virtio devices: of KVM, of another hypervisor, or of a network card that offers them", {_VIRTIO: "."}),)

CONTAINER_RULES = (
    Rule("wsl", "the Windows Subsystem for Linux", {"/proc/sys/kernel/osrelease": r".*(Microsoft|WSL)"}),
    Rule("", "a container", {"/run/host/container-manager": "."}),
    Rule("", "a container", {"/run/systemd/container": "."}),
    Rule("", "a container", {_PID_1_ENVIRONMENT: "."}),
    Rule("podman", "podman's mark", {"/run/.containerenv": PRESENT}),
    Rule("docker", "Docker's mark", {"/.dockerenv": PRESENT}),
    Rule("kubernetes", "a control group of Kubernetes", {"/proc/1/cgroup": r"(?s).*/kubepods"}),
    Rule("docker", "a control group of Docker", {"/proc/1/cgroup": r"(?s).*/docker/"}),
    Rule("lxc", "a control group of LXC", {"/proc/1/cgroup": r"(?s).*/lxc[/.]"}),
)
"""Those without a type name the container's manager in the value itself."""

PRODUCT_RULES = (
    Rule("hyperv", "Microsoft Azure", {_CHASSIS_ASSET_TAG: _AZURE}),
    Rule("xen", "Amazon EC2 on Xen", {_BIOS_VERSION: r".*\.amazon"}),
    Rule("kvm", "Google Compute Engine", {PRODUCT_NAME: "Google Compute Engine"}),
    Rule("kvm", "OpenStack", {PRODUCT_NAME: "OpenStack"}),
    Rule("kvm", "KubeVirt", {SYS_VENDOR: "KubeVirt"}),
    Rule("kvm", "oVirt", {SYS_VENDOR: "oVirt"}),
    Rule("kvm", "QEMU without KVM", {_CPUID_FIRST: "TCGTCGTCGTCG"}),
)
"""Products below a guest that are more exact than the type's own; `says` is the name."""

HOST_PRODUCT_RULES = (Rule("kvm", "Proxmox VE", {"/run/qemu-server": PRESENT}),)

PRODUCTS = {
    "vmware": "VMware",
    "hyperv": "Microsoft Hyper-V",
    "xen": "Xen",
    "kvm": "KVM",
    "virtualbox": "Oracle VirtualBox",
    "bhyve": "bhyve",
    "parallels": "Parallels",
    "nutanix": "Nutanix AHV",
    "aws_nitro": "Amazon EC2 Nitro",
    "apple": "Apple Virtualization",
    "powervm": "IBM PowerVM",
    "zvm": "IBM z/VM",
}
