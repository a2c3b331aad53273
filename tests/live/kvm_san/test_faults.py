# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What breaks on a SAN while a VM gets a LUN, has it and loses it: the right answer or one sentence, never one path, and nothing left.

Faults share an attached LUN, because each module takes tens of seconds on an emulated host.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.lab.kvm.daemon import eventually
from tests.lab.kvm_san.lab import KvmSan
from tests.lab.kvm_san.machines import FABRICS
from tests.live.kvm_san import host_view
from tests.live.kvm_san.san_lab import HOST, MIB, SECONDS, VM, SanLab, start
from tests.live.modules import ModuleRunner, Result, sentence

PATHS_SECONDS = 90.0


@pytest.fixture(scope="module")
def lab(running_kvm_san: KvmSan, modules: ModuleRunner) -> SanLab:
    """The machines with an array that has no LUNs."""
    return start(running_kvm_san, modules)


@pytest.fixture(scope="module")
def attached(lab: SanLab) -> str:
    """A LUN that the VM got while a cable of its host was pulled."""
    naa: str = lab.provision("first", size="64MiB")["naa"]
    with ThreadPoolExecutor(1) as pool:
        attaching = pool.submit(lab.modules.run, "ptd_attach", lab.disk(naa))
        eventually(lambda: bool(host_view.ports(lab.host)) or attaching.done(), SECONDS, "the host has found no path")
        lab.machines.pull(HOST, "b")
        result = attaching.result()
    _told(result)
    lab.machines.plug(HOST, "b")
    lab.modules.succeed("ptd_attach", lab.disk(naa))
    return naa


def test_a_cable_that_is_pulled_meanwhile_leaves_no_vm_with_one_path(lab: SanLab, attached: str) -> None:
    assert lab.sources() == lab.sources("--inactive") == [_map(attached)]
    _wait_for_paths(lab, ["active"] * 4)


def test_a_vm_keeps_its_lun_and_is_told_of_while_all_paths_are_gone_and_when_they_are_back(lab: SanLab, attached: str) -> None:
    for fabric in FABRICS:
        lab.machines.pull(HOST, fabric)
    _wait_for_paths(lab, ["failed"] * 4)
    [vm] = _told(lab.modules.run("vm_storage_map", {"hypervisor": lab.hypervisor, "vms": [VM]})).get("vms", [{"name": VM}])
    assert vm["name"] == VM
    for fabric in FABRICS:
        lab.machines.plug(HOST, fabric)
    _wait_for_paths(lab, ["active"] * 4)
    assert not lab.modules.succeed("ptd_attach", lab.disk(attached))["changed"]


def test_a_number_that_another_lun_got_is_not_taken_for_the_old_one(lab: SanLab, attached: str) -> None:
    """The host was never told that the first LUN is gone: its devices, with size and name, are still there."""
    lab.modules.succeed("ptd_attach", lab.disk(attached, state="absent"))
    lab.withdraw("first")
    second = lab.provision("second", size="96MiB")
    assert second["lun_id"] == 0
    result = _told(lab.modules.run("ptd_attach", lab.disk(second["naa"])))
    if not result.get("failed"):
        assert lab.sources() == [_map(second["naa"])]
        assert result["disk"]["size_bytes"] == 96 * MIB
        assert host_view.inquiry(lab.host, f"disk/by-id/dm-uuid-mpath-3{second['naa']}")["naa"] == second["naa"]
    else:
        assert lab.sources() == []


def _map(naa: str) -> str:
    return f"/dev/disk/by-id/dm-uuid-mpath-3{naa}"


def _told(result: Result) -> Result:
    """Return what a module said. Fails unless it is a result, or one sentence that names the LUN or the host."""
    if result["rc"]:
        said = sentence(result)
        assert "naa.600a0980" in said or HOST in said
    return result


def _wait_for_paths(lab: SanLab, states: list[str]) -> None:
    def has_them() -> bool:
        return sorted(path.state for found in host_view.maps(lab.host) for path in found.paths) == states

    eventually(has_them, PATHS_SECONDS, f"the paths of {HOST} are not {states}")
