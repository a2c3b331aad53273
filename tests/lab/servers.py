# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The systems of the lab: what each is made of, what it needs, and how it is started. A further one is one more row of ``SERVERS``."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.lab import world
from tests.lab.built import CannotPrepare
from tests.lab.kvm import image
from tests.lab.kvm.daemon import LibvirtFailed
from tests.lab.locking import locked
from tests.lab.processes import READY_SECONDS, ServerFailed, last_line
from tests.lab.xen_world import LOOPBACK
from tests.processes import ended

ROOT = Path(__file__).resolve().parents[2]
VCENTER_PROGRAM = ROOT / "build" / "bin" / "vcenter-lab"
KVM_READY_SECONDS = 900.0
"""More than libvirtd and the resumed guests may take before they give up themselves."""
LAST_WORDS_SECONDS = 30.0
"""That a script which prepares something has to end: what it started, such as a package manager, is not killed with it."""
ARRAY = "ontap"
CANNOT_RUN, REFUSAL = 77, "cannot run: "
"""How a program of ``scripts/`` ends that cannot run here, and how the last line begins that says why."""


@dataclass(frozen=True)
class Lab:
    """What a server is started into."""

    directory: Path
    control_urls: Mapping[str, str]
    """The control ports of the servers that run, by name."""
    real_luns: bool
    """Whether LUNs are SCSI disks of this machine."""


def _nothing() -> None:
    """Prepare nothing."""


@dataclass(frozen=True)
class Server:
    """One kind of server: what it is to the code under test, and how it is started."""

    type: str
    username: str
    command: Sequence[str] = ()
    """The command without its options."""
    prepare: Callable[[], None] = _nothing
    """Installs and builds what the command is made of; raises ServerFailed with the way out where this user or machine cannot."""
    tls_options: tuple[str, ...] = ("--cert", "--key")
    """The options that take its certificate and key, if it has an API of its own to protect."""
    needs: tuple[str, ...] = ()
    """Servers that must run before."""
    options: Callable[[Lab], Sequence[str]] = lambda _lab: ()
    """Options beyond the common ones."""
    real_luns: bool = False
    """Whether it needs LUNs that are SCSI disks."""
    ready_seconds: float = READY_SECONDS
    """How long it may take until it is ready."""
    machine: str = ""
    """Which of the machines of its process this is."""
    shares: str = ""
    """The server whose process plays this machine too."""
    names: tuple[str, ...] = ()
    """Further addresses at which it answers, for its certificate."""


def _build_vcenter() -> None:
    sources = ROOT / "tests" / "lab" / "vcenter"
    with locked(VCENTER_PROGRAM.parent):
        newest = max(path.stat().st_mtime for path in sources.rglob("*"))
        if not VCENTER_PROGRAM.exists() or VCENTER_PROGRAM.stat().st_mtime < newest:
            prepare_by([sources / "build.sh", VCENTER_PROGRAM])


def _prepare_kvm() -> None:
    prepare_by([ROOT / "scripts" / "kvm-host"])
    try:
        image.prepare([domain for domain in world.build()["kvm"]["domains"] if domain["power"] == "on"])
    except (CannotPrepare, LibvirtFailed, OSError, subprocess.CalledProcessError) as failure:
        raise ServerFailed(f"its guests could not be prepared: {last_line(str(failure))}\n{failure}") from failure


def prepare_by(command: Sequence[str | Path]) -> None:
    """Run a program that prepares a server, and show what it says meanwhile; raises ServerFailed with its last words."""
    said = []
    streams: Any = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    with subprocess.Popen(command, text=True, **streams) as process, ended(process, LAST_WORDS_SECONDS):
        for line in process.stdout or ():
            said.append(line)
            if not line.startswith(REFUSAL):
                print(line, end="", file=sys.stderr, flush=True)
        process.wait()
    text = "".join(said)
    if process.returncode == CANNOT_RUN:
        raise ServerFailed(last_line(text).removeprefix(REFUSAL))
    if process.returncode:
        raise ServerFailed(f"{Path(command[0]).name} ended with {process.returncode}: {last_line(text)}\n{text}")


def _another(kind: str, machine: str) -> Server:
    """Return a further machine of the process that plays the Windows machines."""
    return Server(type=kind, username="LAB\\Administrator", needs=("hyperv",), machine=machine, shares="hyperv")


SERVERS: Mapping[str, Server] = {
    ARRAY: Server(
        type="ontap",
        username="admin",
        command=(sys.executable, "-m", "tests.lab.ontap"),
        options=lambda lab: ["--data-plane", "tgt", "--luns", str(lab.directory / ARRAY / "luns")] if lab.real_luns else (),
    ),
    "vcenter": Server(
        type="vmware",
        username="administrator@vsphere.local",
        command=(str(VCENTER_PROGRAM),),
        prepare=_build_vcenter,
        tls_options=("--tls-cert", "--tls-key"),
        needs=(ARRAY,),
        options=lambda lab: ["--array-control", lab.control_urls[ARRAY]],
    ),
    "hyperv": Server(
        type="hyperv",
        username="LAB\\Administrator",
        command=(sys.executable, "-m", "tests.lab.hyperv"),
        needs=(ARRAY,),
        options=lambda lab: ["--array-control", lab.control_urls[ARRAY]],
        machine="hv01.lab",
    ),
    "hyperv-cluster": _another("hyperv", "hvc1n1.lab"),
    "hyperv-cluster4": _another("hyperv", "hvc2n1.lab"),
    "windows-guest": _another("windows", "win01.lab"),
    "xen": Server(
        type="xen",
        username="root",
        command=(sys.executable, "-m", "tests.lab.xen"),
        needs=(ARRAY,),
        options=lambda lab: ["--array-control", lab.control_urls[ARRAY]],
        names=LOOPBACK[1:],
    ),
    "kvm": Server(
        type="kvm",
        username="root",
        command=(sys.executable, "-m", "tests.lab.kvm"),
        prepare=_prepare_kvm,
        tls_options=(),
        needs=(ARRAY,),
        options=lambda lab: ["--directory", str(lab.directory / "kvm")],
        real_luns=True,
        ready_seconds=KVM_READY_SECONDS,
    ),
}
