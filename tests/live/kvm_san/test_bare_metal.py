# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Modules that run on a host with adapters of its own, with no VM and no libvirt involved: what they tell is what the kernel says."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from tests.lab.kvm_san.lab import KvmSan
from tests.lab.kvm_san.machines import HOSTS, SAN
from tests.lab.kvm_san.shell import COMMAND
from tests.live.commands import Commands
from tests.live.kvm_san import host_view

HOST = HOSTS[0]
SERIAL = "80Lab-aaaaa1"
NAA = f"600a0980{SERIAL.encode().hex()}"
SIZE = 64 << 20
EMULATED_SECONDS = 300.0
FC_ATTRIBUTES = ("port_name", "node_name", "port_state", "speed", "max_npiv_vports")

Module = Callable[..., dict[str, Any]]


@pytest.fixture
def sockets() -> Iterator[str]:
    """A directory whose name is short enough for the sockets of ssh."""
    with TemporaryDirectory(ignore_cleanup_errors=True) as directory:
        yield directory


@pytest.fixture
def module(kvm_san: KvmSan, tmp_path: Path, sockets: str) -> Module:
    """Run a module of the collection on the host, as its administrator does."""
    variables = {
        "ansible_ssh_executable": str(kvm_san.directory / COMMAND),
        "ansible_control_path_dir": sockets,
        "ansible_python_interpreter": "/usr/bin/python3",
    }
    (tmp_path / "inventory.json").write_text(json.dumps({"all": {"hosts": {HOST.name: variables}}}))
    commands = Commands(tmp_path, EMULATED_SECONDS)

    def run(name: str, **arguments: Any) -> dict[str, Any]:
        ended = commands.ad_hoc(HOST.name, "-i", "inventory.json", "-m", f"crossvisor.san.{name}", "-a", json.dumps(arguments))
        assert ended.code == 0, ended.output
        result: dict[str, Any] = json.loads(ended.output[ended.output.index("{") :])
        return result

    return run


def test_a_lun_comes_is_told_and_goes(kvm_san: KvmSan, module: Module) -> None:
    shell = kvm_san.machine(HOST.name)
    kvm_san.make_lun("one", SERIAL, SIZE, 0)

    disk = module("scsi_rescan", naa=NAA)["disk"]
    [found] = host_view.maps(shell)
    assert (disk["path"], disk["size_bytes"]) == (f"/dev/mapper/{found.wwid}", SIZE)
    assert len(found.paths) == 4

    told = module("hba_info", kinds=["fc", "fcoe", "iscsi_software"])
    adapters = told["hosts"][0]["hbas"]
    assert {_as_sysfs(hba) for hba in adapters if hba["port_wwn"]} == {_port(shell.run(line)) for line in _ports(shell.run)}
    assert told["initiators"] == sorted([HOST.iqn, HOST.wwpn("a"), HOST.wwpn("b")])
    paths = [path for hba in adapters for path in hba["paths"]]
    assert {(path["device"].rpartition("/")[2], path["naa"], path["lun_id"]) for path in paths} == {
        (path.device, NAA, 0) for path in found.paths
    }
    assert sorted(path["target"] for path in paths) == sorted([SAN.iqn, SAN.iqn, SAN.wwpn("a"), SAN.wwpn("b")])

    module("scsi_rescan", naa=NAA, state="absent")
    assert (host_view.maps(shell), host_view.ports(shell)) == ([], {})


def _ports(run: Callable[[str], str]) -> list[str]:
    """A command for each Fibre Channel port, which prints what the kernel says of it."""
    names = run("ls /sys/class/fc_host").split()
    return [f"echo {name}; cd /sys/class/fc_host/{name}; cat {' '.join(FC_ATTRIBUTES)}" for name in names]


def _port(text: str) -> tuple[str, ...]:
    return tuple(text.splitlines())


def _as_sysfs(hba: dict[str, Any]) -> tuple[str, ...]:
    """An adapter as the kernel would print it."""
    names = [f"0x{hba[kind].replace(':', '')}" for kind in ("port_wwn", "node_wwn")]
    return (hba["name"], *names, hba["status"].capitalize(), f"{hba['speed_gbit_s']:.0f} Gbit", str(hba["vports_max"]))
