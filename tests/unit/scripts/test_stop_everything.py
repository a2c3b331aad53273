# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a killed podman leaves in the machine's firewall is taken away, and nobody else's."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parents[3] / "scripts"
RULE = '-A NETAVARK-HOSTPORT-DNAT -p tcp -m tcp --dport {port} -m comment --comment "dnat name: {network} id: c3b8" -j {chain}'
OURS = RULE.format(port=43157, network="crossvisor-ours", chain="NETAVARK-DN-OURS")
OURS_TOO = RULE.format(port=43158, network="crossvisor-ours", chain="NETAVARK-DN-OURS")
OPERATORS = RULE.format(port=8443, network="podman", chain="NETAVARK-DN-THEIRS")
NAMED_ALIKE = RULE.format(port=8444, network="crossvisor-ours-too", chain="NETAVARK-DN-ALIKE")


FIREWALL = """
printf '%s|' "$@" >>{did}; echo >>{did}
case "$*" in
    *--delete-chain*) for chain; do :; done; if grep -q -e "-j $chain\\$" {rules}; then echo "resource busy" >&2; exit 4; fi;;
    *--delete*) grep -v -e "--dport ${{11}} " {rules} >{rules}.left; mv {rules}.left {rules};;
esac
"""
"""It deletes rules, and no chain to which one still leads."""


class Machine:
    """A clone that had a podman, on a machine whose programs are the test's."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.did, self.rules = directory / "did", directory / "rules"
        (directory / "scripts").mkdir()
        (directory / "build" / "podman").mkdir(parents=True)
        (directory / "build" / "podman" / "boot").touch()
        for name in ("lib.sh", "stop-everything"):
            shutil.copy(SCRIPTS / name, directory / "scripts" / name)
        self.program("scripts/podman-env", "")
        self.program("bin/id", "echo 0")
        self.program("bin/findmnt", "")
        self.program("bin/losetup", "")
        self.program("bin/iptables", FIREWALL.format(did=self.did, rules=self.rules))
        self.program("bin/podman", 'if [ "$1" = network ]; then echo crossvisor-ours; fi')

    def program(self, name: str, text: str) -> None:
        file = self.directory / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"#!/bin/sh\n{text}\n")
        file.chmod(0o755)

    def stop_everything(self, *rules: str) -> list[str]:
        """What was asked of the firewall that has these rules."""
        self.rules.write_text("\n".join(["*nat", *rules, "COMMIT", ""]))
        self.program("bin/iptables-save", f"cat {self.rules}")
        environment = {**os.environ, "PATH": f"{self.directory / 'bin'}:{os.environ['PATH']}"}
        subprocess.run([self.directory / "scripts" / "stop-everything"], env=environment, check=True, timeout=60)
        return self.did.read_text().splitlines() if self.did.exists() else []


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_the_port_of_a_container_that_was_killed_is_given_back(machine: Machine) -> None:
    delete, *chain = machine.stop_everything(OURS)
    assert delete == (
        "--wait|--table|nat|--delete|NETAVARK-HOSTPORT-DNAT|-p|tcp|-m|tcp|--dport|43157|"
        "-m|comment|--comment|dnat name: crossvisor-ours id: c3b8|-j|NETAVARK-DN-OURS|"
    )
    assert chain == ["--wait|--table|nat|--flush|NETAVARK-DN-OURS|", "--wait|--table|nat|--delete-chain|NETAVARK-DN-OURS|"]


def test_several_ports_of_one_network_are_given_back_before_the_chain_that_they_share(machine: Machine) -> None:
    asked = [line.split("|")[3] for line in machine.stop_everything(OURS, OPERATORS, OURS_TOO)]
    assert asked == ["--delete", "--delete", "--flush", "--delete-chain"]
    assert machine.rules.read_text().splitlines() == ["*nat", OPERATORS, "COMMIT"]


def test_the_ports_of_others_are_left(machine: Machine) -> None:
    assert machine.stop_everything(OPERATORS, NAMED_ALIKE) == []
