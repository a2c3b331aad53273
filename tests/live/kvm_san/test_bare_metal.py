# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Modules that run on a host with adapters of its own, with no VM and no libvirt involved: what they tell is what the kernel says."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
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
VIRTUAL_WWPN, VIRTUAL_WWNN = "50:01:a4:aa:aa:aa:aa:01", "50:01:a4:aa:aa:aa:aa:00"
FC_ATTRIBUTES = ("port_name", "node_name", "port_state", "speed", "max_npiv_vports")

Module = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def machines(running_kvm_san: KvmSan) -> KvmSan:
    """The machines, restored once for all tests here, which leave them as they were."""
    running_kvm_san.restore()
    return running_kvm_san


@pytest.fixture(scope="module")
def sockets() -> Iterator[str]:
    """A directory whose name is short enough for the sockets of ssh."""
    with TemporaryDirectory(ignore_cleanup_errors=True) as directory:
        yield directory


@pytest.fixture(scope="module")
def module(machines: KvmSan, tmp_path_factory: pytest.TempPathFactory, sockets: str) -> Module:
    """Run a module of the collection on the host, as its administrator does."""
    variables = {
        "ansible_ssh_executable": str(machines.directory / COMMAND),
        "ansible_control_path_dir": sockets,
        "ansible_python_interpreter": "/usr/bin/python3",
    }
    directory = tmp_path_factory.mktemp("ansible")
    (directory / "inventory.json").write_text(json.dumps({"all": {"hosts": {HOST.name: variables}}}))
    commands = Commands(directory, EMULATED_SECONDS)

    def run(name: str, **arguments: Any) -> dict[str, Any]:
        given = ["-a", json.dumps(arguments)] if arguments else []
        ended = commands.ad_hoc(HOST.name, "-i", "inventory.json", "-m", f"crossvisor.san.{name}", *given)
        assert ended.code == 0, ended.output
        result: dict[str, Any] = json.loads(ended.output[ended.output.index("{") :])
        return result

    return run


def test_what_the_machine_runs_on_is_told_as_systemd_does(machines: KvmSan, module: Module) -> None:
    """It is a machine of QEMU, which was given no UUID, and a KVM host itself."""
    facts = module("hypervisor_facts")["ansible_facts"]["crossvisor"]
    shell = machines.machine(HOST.name)
    assert shell.run("systemd-detect-virt") == "qemu"
    assert (facts["source"], facts["type"], facts["virtualized"], facts["container"]) == ("local", "kvm", True, "")
    assert (shell.run("ls /sys/class/dmi/id | grep -c uuid || true"), facts["vm_uuids"]) == ("0", [])


def test_a_virtual_port_that_the_fabric_does_not_take_is_told_as_offline_and_is_no_initiator(machines: KvmSan, module: Module) -> None:
    """Soft FCoE offers NPIV, and a fabric without a switch refuses it: the kernel makes the port and says "No Fabric Support"."""
    shell = machines.machine(HOST.name)
    (carrier,) = shell.run(f"grep -l {HOST.wwpn('a').replace(':', '')} /sys/class/fc_host/*/port_name | xargs dirname").split()
    names = ":".join(name.replace(":", "") for name in (VIRTUAL_WWPN, VIRTUAL_WWNN))
    shell.run(f"echo {names} >{carrier}/vport_create")
    assert shell.run("cat /sys/class/fc_vports/*/vport_state") == "No Fabric Support"

    told = module("hba_info", kinds=["fcoe"])
    virtual = {
        hba["port_wwn"]: [(port["port_wwn"], port["node_wwn"], port["status"]) for port in hba["vports"]]
        for hba in told["hosts"][0]["hbas"]
    }
    assert virtual == {HOST.wwpn("a"): [(VIRTUAL_WWPN, VIRTUAL_WWNN, "offline")], HOST.wwpn("b"): []}
    assert told["initiators"] == sorted([HOST.wwpn("a"), HOST.wwpn("b")])
    shell.run(f"echo {names} >{carrier}/vport_delete")


def test_a_lun_comes_is_told_and_goes(machines: KvmSan, module: Module) -> None:
    shell = machines.machine(HOST.name)
    machines.make_lun("one", SERIAL, SIZE, 0)

    disk = module("scsi_rescan", naa=NAA, timeout=120)["disk"]
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
