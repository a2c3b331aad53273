# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A KVM host of which only libvirt is reached, from the other one by TLS with certificates on both sides.

What libvirt tells is told, what needs the host's files is refused with the way to it, and nothing is changed by what is refused.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab.certificates import issue
from tests.lab.kvm.daemon import eventually
from tests.lab.kvm_san.lab import KvmSan
from tests.lab.kvm_san.machines import FABRICS, HOSTS
from tests.lab.kvm_san.shell import COMMAND
from tests.lab.ports import free_port
from tests.live.modules import ModuleRunner, Result

HOST, FROM = HOSTS
VM = "app01"
SERIAL = "80Lab-aaaaa1"
NAA = f"600a0980{SERIAL.encode().hex()}"
LINK = f"/dev/disk/by-id/dm-uuid-mpath-3{NAA}"
SECONDS = 180
PORT = 16514
PLACES = {"ca.pem": "CA/cacert.pem", "server.pem": "libvirt/servercert.pem", "server.key": "libvirt/private/serverkey.pem"}
CLIENT = {"ca.pem": "cacert.pem", "server.pem": "clientcert.pem", "server.key": "clientkey.pem"}
SERVE = """
systemctl stop libvirtd.service libvirtd.socket libvirtd-ro.socket libvirtd-admin.socket
systemctl start libvirtd-tls.socket libvirtd.service
"""
QUIET = {"LIBVIRT_DEBUG": "4"}
"""Errors alone: libvirt's client also warns on the standard error."""


class OverTls:
    """The host by two ways: by ssh, and by TLS."""

    def __init__(self, lab: KvmSan, modules: ModuleRunner, uri: str) -> None:
        self.lab, self.modules = lab, modules
        self.uri = uri
        self.hypervisor = {"uri": uri, "timeout": SECONDS}

    def told(self, module: str, **options: Any) -> Result:
        return self.modules.succeed(module, {"hypervisor": self.hypervisor, **options})

    def disk(self, **options: Any) -> dict[str, Any]:
        """Arguments of `ptd_attach`."""
        return {"hypervisor": self.hypervisor, "vm": VM, "naa": NAA, "timeout": SECONDS, **options}

    def sources(self, *options: str) -> list[str]:
        """The devices that the VM has as LUNs, by virsh."""
        rows = (line.split() for line in self.lab.machine(HOST.name).run(["virsh", "domblklist", VM, *options]).splitlines()[2:])
        return [row[1] for row in rows if len(row) == 2 and row[0].startswith("sd")]


@pytest.fixture(scope="module")
def over_tls(running_kvm_san: KvmSan, modules: ModuleRunner, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OverTls]:
    """The host, whose VM has got a LUN over ssh, reached from the other host by TLS with certificates of this hour."""
    lab, directory = running_kvm_san, tmp_path_factory.mktemp("pki")
    lab.restore()
    lab.make_lun("one", SERIAL, 64 << 20, 0, [HOST])
    modules.succeed("ptd_attach", {"hypervisor": {"uri": lab.uri(HOST.name), "timeout": SECONDS}, "vm": VM, "naa": NAA, "timeout": SECONDS})
    _certify(lab, directory)
    port = free_port()
    forward = [
        str(lab.directory / COMMAND),
        "-N",
        "-o",
        "ExitOnForwardFailure=yes",
        "-L",
        f"127.0.0.1:{port}:{HOST.name}:{PORT}",
        FROM.name,
    ]
    with subprocess.Popen(forward, stdin=subprocess.DEVNULL) as tunnel:
        uri = f"qemu+tls://localhost:{port}/system?pkipath={directory}"
        try:
            eventually(lambda: _answers(uri), SECONDS, f"libvirt of {HOST.name} does not answer by TLS")
            yield OverTls(lab, modules, uri)
        finally:
            tunnel.terminate()


def test_libvirt_is_not_believed_with_a_certificate_of_another_authority(over_tls: OverTls, tmp_path: Path) -> None:
    _client(tmp_path)
    uri = f"{over_tls.uri.partition('?')[0]}?pkipath={tmp_path}"
    said = over_tls.modules.fail("hypervisor_facts", {"hypervisor": {"uri": uri, "timeout": SECONDS}}, environment=QUIET)
    assert "certificate" in said


def test_what_libvirt_knows_is_told(over_tls: OverTls) -> None:
    assert over_tls.told("hypervisor_facts")["ansible_facts"]["crossvisor"]["hosts"] == [HOST.name]
    (host,) = over_tls.told("hba_info")["hosts"]
    assert {(hba["port_wwn"], hba["status"]) for hba in host["hbas"]} == {(HOST.wwpn(fabric), "unknown") for fabric in FABRICS}
    rows = [row for row in over_tls.told("vm_storage_map", vms=[VM])["mappings"] if row["kind"] == "passthrough"]
    assert [(row["vm_name"], row["host"], row["naa"], row["device"]) for row in rows] == [(VM, HOST.name, NAA, LINK)]


def test_what_needs_the_files_of_the_host_is_refused_and_changes_nothing(over_tls: OverTls) -> None:
    said = over_tls.modules.fail("ptd_attach", over_tls.disk(state="absent", release=True, assume_unused=True))
    assert "cannot be changed from here: reach it by qemu+ssh://" in said
    assert over_tls.sources() == over_tls.sources("--inactive") == [LINK]


def test_a_disk_is_taken_away_and_cannot_be_given_back_because_nobody_tells_of_its_paths(over_tls: OverTls) -> None:
    over_tls.modules.succeed("ptd_attach", over_tls.disk(state="absent"))
    assert over_tls.sources() == over_tls.sources("--inactive") == []
    said = over_tls.modules.fail("ptd_attach", over_tls.disk(assume_unused=True))
    assert f"Nobody can tell from here whether host {HOST.name} has LUN naa.{NAA} by multipath" in said
    assert "over qemu+ssh://" in said
    assert over_tls.sources() == over_tls.sources("--inactive") == []


def _certify(lab: KvmSan, directory: Path) -> None:
    """Give both sides certificates of one authority, and let libvirt of the host listen."""
    _client(directory)
    shell = lab.machine(HOST.name)
    for name, place in PLACES.items():
        shell.run(f"mkdir -p $(dirname /etc/pki/{place}) && cat >/etc/pki/{place}", (directory / name).read_text())
    shell.run(SERVE)


def _client(directory: Path) -> None:
    """Make an authority and a certificate of it, and name them as libvirt's client wants them."""
    issue(directory)
    for name, place in CLIENT.items():
        shutil.copy(directory / name, directory / place)


def _answers(uri: str) -> bool:
    return (
        subprocess.run(
            ["virsh", "--connect", uri, "uri"], stdin=subprocess.DEVNULL, capture_output=True, timeout=120, check=False
        ).returncode
        == 0
    )
