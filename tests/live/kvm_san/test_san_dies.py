# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A SAN that loses its power while a VM gets a LUN, and comes back: the VM has the map or nothing, and the next run ends it well."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.lab.kvm.daemon import eventually
from tests.lab.kvm_san.lab import KvmSan
from tests.lab.kvm_san.machines import HOSTS, SAN
from tests.lab.kvm_san.shell import Shell
from tests.live.kvm_san import host_view
from tests.live.modules import ModuleRunner, sentence

HOST = HOSTS[0]
VM = "app01"
SERIAL = "80Lab-aaaaa1"
NAA = f"600a0980{SERIAL.encode().hex()}"
MAP = f"/dev/disk/by-id/dm-uuid-mpath-3{NAA}"
SECONDS = 300
PATHS_SECONDS = 120.0


def test_a_san_that_dies_during_an_attach_leaves_the_map_or_nothing_and_the_next_run_attaches(
    kvm_san: KvmSan, modules: ModuleRunner
) -> None:
    host = kvm_san.machine(HOST.name)
    _make_lun(kvm_san)
    with ThreadPoolExecutor(1) as pool:
        attaching = pool.submit(modules.run, "ptd_attach", _asked(kvm_san))
        eventually(lambda: bool(host_view.ports(host)) or attaching.done(), SECONDS, "the host has found no path")
        kvm_san.kill(SAN.name)
        kvm_san.boot(SAN.name)
        _make_lun(kvm_san)
        result = attaching.result()
    if result["rc"]:
        assert NAA in sentence(result)
    assert _sources(host) == _sources(host, "--inactive") == ([] if result["rc"] else [MAP])

    modules.succeed("ptd_attach", _asked(kvm_san))
    assert _sources(host) == _sources(host, "--inactive") == [MAP]
    eventually(lambda: _states(host) == ["active"] * 4, PATHS_SECONDS, f"the paths of {HOST.name} are not back")
    assert "paused" in host.run(f"timeout 60 virsh qemu-monitor-command {VM} --hmp 'info status'")


def _make_lun(lab: KvmSan) -> None:
    lab.make_lun("one", SERIAL, 64 << 20, 0, [HOST])


def _asked(lab: KvmSan) -> Mapping[str, Any]:
    return {"hypervisor": {"uri": lab.uri(HOST.name), "timeout": SECONDS}, "vm": VM, "naa": NAA, "timeout": SECONDS}


def _sources(host: Shell, *options: str) -> list[str]:
    """The devices that the domain has as LUNs, by virsh."""
    rows = (line.split() for line in host.run(["virsh", "domblklist", VM, *options]).splitlines()[2:])
    return [row[1] for row in rows if len(row) == 2 and row[0].startswith("sd")]


def _states(host: Shell) -> list[str]:
    return sorted(path.state for found in host_view.maps(host) for path in found.paths)
