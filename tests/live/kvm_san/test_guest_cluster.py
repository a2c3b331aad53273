# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One LUN of a cluster of guests on two KVM hosts: who has it where, which of them may write to it, and when it may go.

One story, test after test, because each module takes tens of seconds on two emulated hosts.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.lab.kvm_san import world
from tests.lab.kvm_san.lab import KvmSan
from tests.lab.kvm_san.machines import HOSTS, Machine
from tests.lab.kvm_san.shell import Shell
from tests.live.kvm_san import host_view
from tests.live.kvm_san.san_lab import SECONDS, SanLab, start
from tests.live.modules import ModuleRunner

KVM1, KVM2 = HOSTS
VMS = {KVM1.name: "app01", KVM2.name: "app02"}
KEYS = {KVM1.name: "a1", KVM2.name: "b2"}
HELPER = Path(__file__).with_name("pr_helper.py")
GOOD, CHECK_CONDITION, CONFLICT = 0x00, 0x02, 0x18
ON_ONE_PATH = "may reach the array on one path alone"
PATHS = 4
REGISTERED = 1
"""On how many of four paths a key is registered: Debian 12 builds the helper without libmpathpersist, so that it knows no multipath."""


@pytest.fixture(scope="module")
def lab(running_kvm_san: KvmSan, modules: ModuleRunner) -> SanLab:
    """The machines with an array that has no LUNs."""
    return start(running_kvm_san, modules)


@pytest.fixture(scope="module")
def naa(lab: SanLab) -> str:
    """A LUN that both hosts see, and the VM of the second one has."""
    everybody = [name for host in HOSTS for name in world.initiators(host)]
    naa: str = lab.provision("quorum", size="64MiB", initiators=everybody, igroup=None)["naa"]
    lab.modules.succeed("ptd_attach", _shared(lab, naa, KVM2.name))
    return naa


def test_a_lun_that_a_vm_of_the_other_host_has_is_neither_unmapped_nor_deleted(lab: SanLab, naa: str) -> None:
    both = lab.modules.fail("lun_provision", _withdrawn(lab, naa, HOSTS))
    assert both.startswith(f"LUN naa.{naa} is used by VM {VMS[KVM2.name]} (")
    assert "and will not be deleted: detach it there first" in both
    alone = lab.modules.fail("lun_provision", _withdrawn(lab, naa, [KVM1], delete=False))
    assert alone.startswith(f"LUN naa.{naa} will not be unmapped, because nobody can tell whether it is used (")
    assert f"initiator {KVM2.iqn} of igroup" in alone
    assert len(lab.presented()) == len(world.initiators(KVM1))


def test_the_reservations_of_each_vm_reach_the_array_by_a_helper_of_its_own(lab: SanLab, naa: str) -> None:
    warnings = lab.modules.succeed("ptd_attach", _shared(lab, naa, KVM1.name))["warnings"]
    assert [f"host {KVM1.name} has it by multipath" in str(told) for told in warnings if ON_ONE_PATH in str(told)] == [True]
    for host in HOSTS:
        shell, vm = lab.machines.machine(host.name), VMS[host.name]
        managers = json.loads(shell.run(["virsh", "qemu-monitor-command", vm, '{"execute": "query-pr-managers"}']))["return"]
        assert [manager["connected"] for manager in managers] == [True]
        assert _sent(shell, vm, naa, "register", KEYS[host.name]) == (GOOD, "")
        status, answer = _sent(shell, vm, naa, "keys", "0")
        assert (status, answer.count(_digits(host))) == (GOOD, REGISTERED)


def test_a_vm_that_has_reserved_the_lun_fences_the_others(lab: SanLab, naa: str) -> None:
    first, second = (lab.machines.machine(host.name) for host in HOSTS)
    assert _reserved(first, VMS[KVM1.name], naa, KEYS[KVM1.name]) == GOOD
    status, holder = _sent(second, VMS[KVM2.name], naa, "holder", "0")
    assert (status, _digits(KVM1) in holder) == (GOOD, True)
    status, _nothing = _sent(second, VMS[KVM2.name], naa, "reserve", KEYS[KVM2.name])
    assert status == CONFLICT


def test_a_lun_that_no_vm_of_either_host_has_any_more_goes_and_leaves_nothing(lab: SanLab, naa: str) -> None:
    lab.modules.succeed("ptd_attach", {**_asked(lab, naa, KVM1.name), "state": "absent"})
    lab.modules.succeed("ptd_attach", {**_asked(lab, naa, KVM2.name), "state": "absent", "release": True})
    assert len(lab.kept()) == 2
    lab.modules.succeed("lun_provision", _withdrawn(lab, naa, HOSTS))
    assert lab.presented(*HOSTS) == []
    assert lab.kept() == []
    for host in HOSTS:
        shell = lab.machines.machine(host.name)
        assert (host_view.maps(shell), host_view.ports(shell)) == ([], {})


def _asked(lab: SanLab, naa: str, host: str) -> dict[str, Any]:
    """What is asked of both hosts at once, about the LUN and the VM of one of them."""
    return {"hypervisors": [_endpoint(lab, each.name) for each in HOSTS], "vm": VMS[host], "naa": naa, "timeout": SECONDS}


def _shared(lab: SanLab, naa: str, host: str) -> dict[str, Any]:
    return {**_asked(lab, naa, host), "sharing": "multi_writer", "reservations": True}


def _endpoint(lab: SanLab, host: str) -> Mapping[str, Any]:
    return {"uri": lab.machines.uri(host), "timeout": SECONDS}


def _withdrawn(lab: SanLab, naa: str, hosts: Sequence[Machine], delete: bool = True) -> Mapping[str, Any]:
    """What is asked of the array, when these hosts tell who uses the LUN."""
    asked = [_endpoint(lab, host.name) for host in hosts]
    return {"array": lab.array, "naa": naa, "state": "absent", "delete": delete, "hypervisors": asked}


def _reserved(shell: Shell, vm: str, naa: str, key: str) -> int:
    """SCSI status of a reservation, with the key registered on each path that the kernel takes for it.

    A path that bears no key is answered with CHECK CONDITION (Linux, drivers/target/target_core_pr.c, core_scsi3_pro_reserve), and the
    kernel may take another one for each command.
    """
    for _path in range(PATHS):
        status, _nothing = _sent(shell, vm, naa, "reserve", key)
        if status != CHECK_CONDITION:
            return status
        _sent(shell, vm, naa, "register", key)
    return _sent(shell, vm, naa, "reserve", key)[0]


def _sent(shell: Shell, vm: str, naa: str, word: str, key: str) -> tuple[int, str]:
    """SCSI status and answer of a command that the helper of a VM sends to the LUN."""
    helper = f"/var/lib/libvirt/qemu/domain-*-{vm}/pr-helper*.sock"
    device = f"/dev/disk/by-id/dm-uuid-mpath-3{naa}"
    told = shell.run(f"python3 - {helper} {shlex.join([device, word, key])}", HELPER.read_text()).split()
    return int(told[0]), "".join(told[1:])


def _digits(host: Machine) -> str:
    """The key of a host's VM as the array tells it: in eight octets."""
    return f"{int(KEYS[host.name], 16):016x}"
