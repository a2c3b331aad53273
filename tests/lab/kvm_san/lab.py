# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lab as a whole: machines started and set up, suspended into files and gone on with, and what breaks on the way."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from tests.lab.kvm.daemon import eventually
from tests.lab.kvm.guests import overlay
from tests.lab.kvm_san import image
from tests.lab.kvm_san.machines import FABRICS, HOSTS, KEYS, MACHINES, SAN, Machine, qemu, set_up, sockets
from tests.lab.kvm_san.monitor import Monitor, MonitorFailed
from tests.lab.kvm_san.shell import COMMAND, CONFIGURATION, KNOWN_HOSTS, Shell, write_configuration
from tests.lab.launch import down
from tests.lab.ports import free_port
from tests.lab.processes import Process, spawn

DEFAULT_DIRECTORY = image.ROOT / "build" / "lab" / "kvm-san"
STATE = "kvm-san.json"
LUNS = "luns"
"""The arguments of each ``make_lun``, a line each."""
_LUN = image.HERE / "lun.sh"
BOOT_SECONDS = 900.0
RESTORE_SECONDS = 600.0
SUSPEND_SECONDS = 600.0
SETUP_SECONDS = 900.0
BANDWIDTH = 4 << 30
"""Bytes a second at which a memory is written."""


class KvmSan:
    """The machines of one directory; another process that asks for the same directory finds the same ones."""

    def __init__(self, directory: Path = DEFAULT_DIRECTORY) -> None:
        self.directory = directory.resolve()

    def start(self) -> None:
        """Have all machines running and set up, without LUNs; raises CannotPrepare, ServerFailed, CommandFailed or TimeoutError.

        They go on from where they were suspended, for which they are booted and set up once.
        """
        if not self.running():
            self.restore(image.suspended(self._boot_and_suspend))

    def prepare(self) -> None:
        """Have what the machines go on from, made now unless it was made before, which takes minutes; raises what ``start`` does."""
        image.suspended(self._boot_and_suspend)

    def restore(self, saved: Path | None = None) -> None:
        """Go on with all machines as they were suspended in ``saved``, or as they are set up; those that run are stopped before."""
        saved = saved or image.suspended(self._boot_and_suspend)
        self.stop()
        self._make_directory()
        for name in (*KEYS, "host_key.pub", *(f"{name}.qcow2" for name in MACHINES)):
            shutil.copy(saved / name, self.directory / name)
        base = image.image()
        for name in MACHINES:
            rebase = ["qemu-img", "rebase", "-u", "-F", "raw", "-b", str(base / "machine.img"), f"{name}.qcow2"]
            subprocess.run(rebase, cwd=self.directory, check=True, stdin=subprocess.DEVNULL)
        self._run_machines(MACHINES.values(), saved)
        for name in MACHINES:
            self._wait_for_status(name, "paused", RESTORE_SECONDS)
        for name in MACHINES:
            self._tell(name, "cont")
        self._wait_for_ssh(MACHINES, RESTORE_SECONDS)

    def suspend(self, saved: Path) -> None:
        """Keep all machines, which run, in ``saved``, and end them."""
        saved.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name in MACHINES:
            self.machine(name).disconnect()
        for name in MACHINES:  # all stop before the first is kept, so that no timer of one runs while another stands
            self._tell(name, "stop")
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda name: self._save(name, saved), MACHINES))
        self.stop()
        for name in (*KEYS, "host_key.pub", *(f"{name}.qcow2" for name in MACHINES)):
            shutil.copy(self.directory / name, saved / name)

    def stop(self) -> None:
        """End every process of the lab, and of an array before it."""
        down(self.directory)
        for name, row in self._state().items():
            self.machine(name).disconnect()
            _process(row).stop()
        self._state_file.unlink(missing_ok=True)

    def running(self) -> bool:
        """Return whether all machines run."""
        state = self._state()
        return state.keys() == MACHINES.keys() and all(_process(row).runs() for row in state.values())

    def machine(self, name: str) -> Shell:
        """Return how a command is run in a machine."""
        return Shell(self.directory, name)

    def uri(self, name: str) -> str:
        """Return how libvirt is told of a host: by ssh, with the key of the lab, the host verified."""
        options = {"command": str(self.directory / COMMAND), "keyfile": str(self.directory / "key")}
        return f"qemu+ssh://root@{name}/system?{urlencode(options, safe='/')}"

    def make_lun(self, name: str, serial: str, size: int, unit: int, hosts: Iterable[Machine] = HOSTS) -> None:
        """Make a LUN without an array: with a serial number of 12 characters, ``size`` bytes, and this LUN id for the hosts."""
        arguments = shlex.join([name, serial, str(size), str(unit), *_initiators(hosts)])
        self.machine(SAN.name).run(f"bash -s -- {arguments}", _LUN.read_text())
        with (self.directory / LUNS).open("a") as known:
            known.write(f"{arguments}\n")

    def pull(self, name: str, fabric: str) -> None:
        """Pull the cable of a machine out of a fabric."""
        self._tell(name, "set_link", name=fabric, up=False)

    def plug(self, name: str, fabric: str) -> None:
        """Plug the cable of a machine into a fabric."""
        self._tell(name, "set_link", name=fabric, up=True)

    def pause(self, name: str) -> None:
        """Let a machine hang."""
        self._tell(name, "stop")

    def resume(self, name: str) -> None:
        """Let a machine that hangs go on."""
        self._tell(name, "cont")

    def kill(self, name: str) -> None:
        """Take the power from a machine; what it had not written to its disk is lost."""
        os.kill(_process(self._state()[name]).pid, 9)

    def boot(self, name: str) -> None:
        """Boot a machine that was killed, on the disk that it left, and set it up as it was: a SAN with the LUNs of ``make_lun``."""
        machine = MACHINES[name]
        self.machine(name).disconnect()
        _process(self._state()[name]).stop()
        self._run_machines([machine], None)
        self._wait_for_ssh([name], BOOT_SECONDS)
        self._set_up(machine)

    def status(self) -> dict[str, Any]:
        """Return what a user of the lab has to know of it, by the name of the machine; empty when nothing was started."""
        return {name: self._facts(MACHINES[name], row) for name, row in self._state().items()}

    def _facts(self, machine: Machine, row: dict[str, int]) -> dict[str, Any]:
        process = _process(row)
        facts = {
            "running": process.runs(),
            "pid": process.pid,
            "ssh_port": row["ssh_port"],
            "key": str(self.directory / "key"),
            "known_hosts": str(self.directory / KNOWN_HOSTS),
            "ssh_config": str(self.directory / CONFIGURATION),
            "ssh_command": str(self.directory / COMMAND),
            "iqn": machine.iqn,
            "wwpns": {fabric: machine.wwpn(fabric) for fabric in FABRICS},
            "addresses": {fabric: machine.address(fabric) for fabric in FABRICS},
        }
        return facts if machine == SAN else {**facts, "uri": self.uri(machine.name)}

    def _boot_and_suspend(self, saved: Path) -> None:
        """Boot all machines, set them up, and keep them suspended in ``saved``."""
        self.stop()
        self._make_directory()
        self._make_keys()
        base = image.image()
        for name in MACHINES:
            overlay(base / "machine.img", self.directory / f"{name}.qcow2", "raw")
        self._run_machines(MACHINES.values(), None)
        try:
            self._wait_for_ssh(MACHINES, BOOT_SECONDS)
            self._set_up(SAN)
            with ThreadPoolExecutor() as pool:
                list(pool.map(self._set_up, HOSTS))
            self.suspend(saved)
        finally:
            self.stop()

    def _make_directory(self) -> None:
        shutil.rmtree(self.directory, ignore_errors=True)
        self.directory.mkdir(mode=0o700, parents=True)

    def _make_keys(self) -> None:
        """Make the key that admits the lab and each machine to all machines, and the one by which all of them prove themselves."""
        for key in ("key", "host_key"):
            command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "lab", "-f", key]
            subprocess.run(command, cwd=self.directory, check=True, stdin=subprocess.DEVNULL)
        public = (self.directory / "host_key.pub").read_text()
        (self.directory / "key.pub").rename(self.directory / "authorized_keys")
        names = [text for machine in MACHINES.values() for text in (machine.name, *(machine.address(fabric) for fabric in FABRICS))]
        (self.directory / "known_hosts").write_text(f"{','.join(names)} {public}")

    def _run_machines(self, machines: Iterable[Machine], saved: Path | None) -> None:
        base = image.image()
        state = self._state()
        for machine in machines:
            for name in sockets(machine):
                (self.directory / name).unlink(missing_ok=True)
            port = state[machine.name]["ssh_port"] if machine.name in state else free_port()
            command = qemu(machine, base, port, saved / f"{machine.name}.memory" if saved else None)
            process = spawn(command, os.environ, self.directory, self.directory / f"{machine.name}.log")
            state[machine.name] = {"pid": process.pid, "started": process.started, "ssh_port": port}
            self._state_file.write_text(json.dumps(state, indent=2))
        write_configuration(self.directory, {name: row["ssh_port"] for name, row in state.items()})

    def _wait_for_ssh(self, names: Iterable[str], seconds: float) -> None:
        """Return when the machines answer by ssh, and know the time."""

        def wait(name: str) -> None:
            shell = self.machine(name)
            eventually(shell.answers, seconds, f"ssh of {name} does not answer (see {self.directory / name}.console)")
            shell.run(["hwclock", "--hctosys", "--utc"])

        with ThreadPoolExecutor() as pool:
            list(pool.map(wait, names))

    def _wait_for_status(self, name: str, status: str, seconds: float) -> None:
        def has_it() -> bool:
            try:
                return bool(self._tell(name, "query-status")["status"] == status)
            except MonitorFailed:
                return False

        eventually(has_it, seconds, f"{name} is not {status} (see {self.directory / name}.log)")

    def _set_up(self, machine: Machine) -> None:
        """Make a machine what it is in the lab."""
        script, *arguments = set_up(machine)
        domain = (image.SETUP / "domain.xml").read_text()
        command = f"DOMAIN={shlex.quote(domain)} LUNS={shlex.quote(self._luns())} bash -s -- {shlex.join(arguments)}"
        self.machine(machine.name).run(command, (image.SETUP / script).read_text(), SETUP_SECONDS)

    def _luns(self) -> str:
        """What makes the LUNs of ``make_lun`` in the SAN again, in the words of its shell."""
        known = self.directory / LUNS
        lines = known.read_text().splitlines() if known.exists() else []
        return "\n".join(f"bash -c {shlex.quote(_LUN.read_text())} {_LUN.name} {line}" for line in lines)

    def _save(self, name: str, saved: Path) -> None:
        """Write the memory of a machine that stands, and end it."""
        with Monitor(self.directory, name) as monitor:
            monitor.call("migrate-set-parameters", **{"max-bandwidth": BANDWIDTH})
            monitor.call("migrate", uri=f"exec:cat > {shlex.quote(str(saved / name))}.memory")
            eventually(lambda: _written(monitor), SUSPEND_SECONDS, f"the memory of {name} is not written")
            monitor.call("quit")

    def _tell(self, machine: str, command: str, /, **arguments: Any) -> Any:
        with Monitor(self.directory, machine) as monitor:
            return monitor.call(command, **arguments)

    @property
    def _state_file(self) -> Path:
        return self.directory / STATE

    def _state(self) -> dict[str, dict[str, int]]:
        return json.loads(self._state_file.read_text()) if self._state_file.exists() else {}


def _initiators(hosts: Iterable[Machine]) -> list[str]:
    return [text for host in hosts for text in (host.iqn, *(host.wwpn(fabric) for fabric in FABRICS))]


def _process(row: dict[str, int]) -> Process:
    return Process(row["pid"], row["started"])


def _written(monitor: Monitor) -> bool:
    """Return whether a memory is written as a whole; raises MonitorFailed when it cannot be."""
    progress = monitor.call("query-migrate")
    if progress["status"] == "failed":
        raise MonitorFailed(f"the memory could not be written: {progress.get('error-desc', 'QEMU does not say why')}")
    return bool(progress["status"] == "completed")
