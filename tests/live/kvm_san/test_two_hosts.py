# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One LUN that two KVM hosts see: both find it before a VM gets it, and the VM takes it along when it moves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree

from tests.lab.kvm_san.lab import KvmSan
from tests.lab.kvm_san.machines import HOSTS
from tests.lab.kvm_san.shell import Shell
from tests.live.kvm_san import host_view
from tests.live.modules import ModuleRunner

KVM1, KVM2 = HOSTS
SERIAL = "80Lab-aaaaa1"
NAA = f"600a0980{SERIAL.encode().hex()}"
LINK = f"/dev/disk/by-id/dm-uuid-mpath-3{NAA}"
VM = "app01"
IMAGE = f"/var/lib/libvirt/images/{VM}.qcow2"
LIVE, CONFIG = "", "--inactive"


def test_a_vm_that_has_moved_loses_its_lun_where_it_is_and_leaves_nothing_on_either_host(kvm_san: KvmSan, modules: ModuleRunner) -> None:
    kvm_san.make_lun("one", SERIAL, 64 << 20, 0)
    modules.succeed("ptd_attach", _asked(kvm_san, VM))
    source, target = kvm_san.machine(KVM1.name), kvm_san.machine(KVM2.name)
    source.run(["scp", "-q", IMAGE, f"{KVM2.name}:{IMAGE}"])
    source.run(["virsh", "migrate", "--live", "--unsafe", "--persistent", VM, f"qemu+ssh://{KVM2.name}/system"])
    assert [_disks(source, VM, CONFIG), _disks(target, VM, LIVE)] == [[LINK], [LINK]]

    told = modules.succeed("ptd_attach", _asked(kvm_san, VM, state="absent", release=True))
    assert told["actions"] == [
        f"detach LUN naa.{NAA} (sda) from VM {VM}",
        f"detach LUN naa.{NAA} (sda) from VM {VM} as it is defined on host {KVM1.name}",
        f"remove the devices of LUN naa.{NAA} from host {KVM1.name}",
        f"remove the devices of LUN naa.{NAA} from host {KVM2.name}",
    ]
    assert [_disks(source, VM, CONFIG), _disks(target, VM, LIVE), _disks(target, VM, CONFIG)] == [[], [], []]
    for shell in (source, target):
        assert (host_view.maps(shell), host_view.ports(shell), shell.run("ls /sys/class/scsi_disk")) == ([], {}, "")


def _asked(lab: KvmSan, vm: str, **options: Any) -> Mapping[str, Any]:
    """What is asked of both hosts at once, about the LUN and this VM."""
    return {"hypervisors": [{"uri": lab.uri(host.name), "timeout": 180} for host in HOSTS], "vm": vm, "naa": NAA, "timeout": 900, **options}


def _disks(shell: Shell, vm: str, part: str) -> list[str]:
    """The LUNs that are passed through to a VM, in what runs or in what starts next time."""
    root = ElementTree.fromstring(shell.run(f"virsh dumpxml {part} {vm}"))
    return [source.get("dev", "") for source in root.findall("devices/disk[@device='lun']/source")]
