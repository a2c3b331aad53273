# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A KVM host with Fibre Channel, kernel iSCSI and multipath, over ssh: what was wrong there once, by the words of the host's own tools.

One story after the other on one LUN, because each start of a tool takes seconds on an emulated processor.
"""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.lab.kvm_san.lab import KvmSan
from tests.lab.kvm_san.machines import FABRICS, MACHINES
from tests.live.kvm_san.san_lab import FOR_THE_MAP, attaching
from tests.live.modules import ModuleRunner, Result

HOST, VM = "kvm1", "app01"
SERIAL = "80Lab-aaaaa1"
NAA = f"600a0980{SERIAL.encode().hex()}"
MAP = f"/dev/disk/by-id/dm-uuid-mpath-3{NAA}"
MIB = 1 << 20
SECONDS = 300
INITIATORS = (MACHINES[HOST].iqn, *(MACHINES[HOST].wwpn(fabric) for fabric in FABRICS))
_COUNTING = '#!/bin/sh\necho "$*" | head -1 >>{log}\nexec {ssh} "$@"\n'


class Stage:
    """The machines, one LUN, and an ssh that notes what it is started for."""

    def __init__(self, lab: KvmSan, directory: Path, modules: ModuleRunner) -> None:
        self.lab = lab
        self.modules = modules
        self.log = directory / "ssh.log"
        program = directory / "ssh"
        program.write_text(_COUNTING.format(log=shlex.quote(str(self.log)), ssh=shlex.quote(str(lab.directory / "ssh"))))
        program.chmod(0o755)
        self.uri = f"qemu+ssh://root@{HOST}/system?{urlencode({'command': program, 'keyfile': lab.directory / 'key'}, safe='/')}"

    def host(self, command: str) -> str:
        return self.lab.machine(HOST).run(command)

    def arguments(self, **options: Any) -> dict[str, Any]:
        return {"hypervisor": {"uri": self.uri, "timeout": SECONDS}, "vm": VM, "naa": NAA, "timeout": SECONDS, **options}

    def attach(self, **options: Any) -> Result:
        return self.modules.succeed("ptd_attach", self.arguments(**options))

    def logins(self) -> int:
        """How often the modules have logged in since they were last asked, libvirt apart."""
        lines = self.log.read_text().splitlines()
        self.log.write_text("")
        shared = [line for line in lines if "ControlMaster=no" in line]
        return len([line for line in lines if line not in shared and not line.startswith("-G") and "virt-ssh-helper" not in line])

    def sources(self, *options: str) -> dict[str, str]:
        """Target → source of the VM's LUNs, by virsh."""
        rows = (line.split() for line in self.host(shlex.join(["virsh", "domblklist", VM, *options])).splitlines()[2:])
        return {row[0]: row[1] for row in rows if len(row) == 2 and row[0].startswith("sd")}


@pytest.fixture(scope="module")
def stage(running_kvm_san: KvmSan, tmp_path_factory: pytest.TempPathFactory, modules: ModuleRunner) -> Stage:
    """The machines as they are set up, and a new LUN that the host has not looked for yet."""
    running_kvm_san.restore()
    running_kvm_san.make_lun("l1", SERIAL, 256 * MIB, 0, [MACHINES[HOST]])
    return Stage(running_kvm_san, tmp_path_factory.mktemp("ssh"), modules)


def test_over_ssh_all_is_told_of_the_adapters(stage: Stage) -> None:
    (host,) = stage.modules.succeed("hba_info", {"hypervisor": {"uri": stage.uri, "timeout": SECONDS}})["hosts"]
    by_name = {hba["initiator"]: hba for hba in host["hbas"]}
    assert set(INITIATORS) <= set(by_name)
    assert {(by_name[wwpn]["status"], by_name[wwpn]["speed_gbit_s"]) for wwpn in INITIATORS[1:]} == {("online", 10.0)}
    discovered = [line.split()[0] for line in stage.host("iscsiadm -m discoverydb -P 0").splitlines()]
    portals = {f"{portal['address']}:{portal['port']}" for portal in by_name[INITIATORS[0]]["portals"]}
    assert len(discovered) == len(FABRICS)
    assert set(discovered) <= portals
    assert stage.logins() == 1


def test_without_multipathd_no_vm_gets_one_path_of_four(stage: Stage) -> None:
    stage.host("systemctl stop multipathd.socket multipathd.service")
    said = stage.modules.fail("ptd_attach", stage.arguments())
    assert "by 4 paths" in said
    assert "because multipathd does not run there: start it" in said
    assert stage.sources() == {}


def test_a_map_that_is_made_while_it_is_waited_for_is_given(stage: Stage) -> None:
    with attaching(stage.modules, stage.arguments(), FOR_THE_MAP) as ends:
        stage.host("systemctl start multipathd.service")
        result = ends.result()
    assert (result["changed"], result.get("warnings", [])) == (True, [])
    assert set(stage.sources().values()) == {MAP}
    assert set(stage.sources("--inactive").values()) == {MAP}
    stage.logins()


def test_a_vm_that_runs_is_told_that_its_lun_has_grown(stage: Stage) -> None:
    grow = f"truncate -s 512M /srv/luns/l1; echo fd_dev_size={512 * MIB} >/sys/kernel/config/target/core/fileio_0/l1/control"
    stage.lab.machine("san").run(grow)
    result = stage.attach(size_bytes=512 * MIB)
    (target,) = stage.sources()
    assert (result["disk"]["size_bytes"], result["actions"][-1]) == (512 * MIB, f"tell VM {VM} the new size of LUN naa.{NAA} ({target})")
    assert f"Capacity:       {512 * MIB}" in stage.host(f"virsh domblkinfo {VM} {target}")
    assert {int(size) for size in stage.host("cat /sys/block/sd?/size /sys/block/dm-0/size").split()} == {512 * MIB // 512}
    assert stage.logins() == 1


def test_a_disk_by_one_path_is_told_and_mended_when_the_vm_is_off(stage: Stage) -> None:
    (target,) = stage.sources()
    one = f"sed 's#{MAP}#/dev/disk/by-id/wwn-0x{NAA}#'"
    stage.host(f"virsh destroy {VM}; virsh dumpxml --inactive {VM} | {one} >/tmp/one.xml; virsh define /tmp/one.xml")
    (warning,) = stage.attach()["warnings"]
    assert f"VM {VM} has LUN naa.{NAA} by the name of a single path" in str(warning)
    mended = stage.attach(single_path="mend")
    assert [action.split()[0] for action in mended["actions"]] == ["detach", "attach"]
    assert stage.sources("--inactive") == {target: MAP}


def test_a_release_leaves_nothing_on_the_host(stage: Stage) -> None:
    stage.attach(state="absent", release=True)
    assert stage.sources("--inactive") == {}
    left = json.loads(stage.host("lsblk --json -o NAME"))["blockdevices"]
    assert [device["name"] for device in left if device["name"].startswith(("sd", "dm"))] == []
    assert stage.host("multipath -ll").strip() == ""
