# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A SAN that loses its power while a VM gets a LUN, and has it again."""

from __future__ import annotations

from typing import Any

from tests.lab.kvm.daemon import eventually
from tests.lab.kvm_san.lab import KvmSan
from tests.lab.kvm_san.machines import HOSTS, SAN
from tests.lab.kvm_san.shell import Shell
from tests.live.kvm_san import host_view
from tests.live.kvm_san.san_lab import FOR_A_PATH, FOR_THE_MAP, attaching
from tests.live.modules import ModuleRunner

HOST = HOSTS[0]
VM = "app01"
SERIAL = "80Lab-aaaaa1"
NAA = f"600a0980{SERIAL.encode().hex()}"
MAP = f"/dev/disk/by-id/dm-uuid-mpath-3{NAA}"
PATHS_SECONDS = 600.0
SECONDS = 600
"""What an emulated machine may take to boot meanwhile."""


def test_a_vm_gets_its_lun_once_the_san_that_lost_its_power_meanwhile_is_back(kvm_san: KvmSan, modules: ModuleRunner) -> None:
    """The power goes when the host has found all paths and waits for multipathd, which stands still until nobody answers."""
    host = kvm_san.machine(HOST.name)
    kvm_san.make_lun("one", SERIAL, 64 << 20, 0, [HOST])
    host.run("systemctl stop multipathd.socket multipathd.service")
    with attaching(modules, _asked(kvm_san), FOR_THE_MAP) as ends:
        assert host_view.disks(host) == 4
        kvm_san.kill(SAN.name)
        eventually(lambda: ends.done() or FOR_A_PATH in modules.heard(), PATHS_SECONDS, "the loss is not noticed", host_view.PAUSE_SECONDS)
        assert (ends.done(), _sources(host)) == (False, [])
        host.run("systemctl start multipathd.service")
        kvm_san.boot(SAN.name)
        assert ends.result()["changed"]

    assert _sources(host) == _sources(host, "--inactive") == [MAP]
    eventually(lambda: _states(host) == ["active"] * 4, PATHS_SECONDS, f"the paths of {HOST.name} are not back", host_view.PAUSE_SECONDS)
    assert "paused" in host.run(f"timeout 60 virsh qemu-monitor-command {VM} --hmp 'info status'")


def _asked(lab: KvmSan) -> dict[str, Any]:
    return {"hypervisor": {"uri": lab.uri(HOST.name), "timeout": SECONDS}, "vm": VM, "naa": NAA, "timeout": SECONDS}


def _sources(host: Shell, *options: str) -> list[str]:
    """The devices that the domain has as LUNs, by virsh."""
    rows = (line.split() for line in host.run(["virsh", "domblklist", VM, *options]).splitlines()[2:])
    return [row[1] for row in rows if len(row) == 2 and row[0].startswith("sd")]


def _states(host: Shell) -> list[str]:
    return sorted(path.state for found in host_view.maps(host) for path in found.paths)
