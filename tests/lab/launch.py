# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Starts and stops the lab (see README.md): ``python -m tests.lab.launch up ontap vcenter`` and ``… down``.

For tests: ``with running_lab(["vcenter"], directory=tmp_path) as endpoints``. A further system under test is one more row of ``SERVERS``.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import json
import os
import secrets
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from tests.lab import world
from tests.lab.certificates import issue
from tests.lab.kvm import image
from tests.lab.kvm.daemon import LibvirtFailed
from tests.lab.ontap import data_plane
from tests.lab.packages import install
from tests.lab.processes import Process, ServerFailed, start

ROOT = Path(__file__).resolve().parents[2]
DEFAULT_DIRECTORY = ROOT / "build" / "lab"
VCENTER_PROGRAM = ROOT / "build" / "bin" / "vcenter-lab"
HEALTH_SECONDS = 5.0

# The control ports are on this machine, whatever proxy the environment names.
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True)
class Endpoint:
    """How a client reaches one running server; everything in ``build/lab/endpoints.json``."""

    type: str
    hostname: str
    port: int
    username: str
    password: str = field(repr=False)
    ca_path: str
    validate_certs: bool
    control_url: str
    pid: int
    started: int
    ports: dict[str, int] = field(default_factory=dict)
    """The ports of all machines, by name, where one process plays several; of a KVM host, where ssh of its guests listens."""
    uri: str = ""
    """How libvirt is told of a KVM host."""
    initiator: str = ""
    """IQN of a KVM host."""
    key_path: str = ""
    """The private key that ssh of the guests admits, as ``username``."""
    known_hosts: str = ""
    """The file by which ssh knows the guests."""

    @property
    def process(self) -> Process:
        """The process that serves it."""
        return Process(self.pid, self.started)

    def healthy(self) -> bool:
        """Return whether its process is still the one that was started, and answers."""
        if not self.process.runs():
            return False
        try:
            with _direct.open(f"{self.control_url}/healthz", timeout=HEALTH_SECONDS) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False


Endpoints = dict[str, Endpoint]


@dataclass(frozen=True)
class Lab:
    """What a server is started into."""

    directory: Path
    running: Mapping[str, Endpoint]
    real_luns: bool
    """Whether LUNs are SCSI disks of this machine."""


@dataclass(frozen=True)
class Server:
    """One kind of server: what it is to the code under test, and how it is started."""

    type: str
    username: str
    program: Callable[[], Sequence[str]]
    """Builds what must be built; returns the command without its options."""
    packages: Callable[[Lab], Sequence[str]] = lambda _lab: ()
    """The Debian packages that it is made of."""
    tls_options: tuple[str, ...] = ("--cert", "--key")
    """The options that take its certificate and key, if it has an API of its own to protect."""
    needs: tuple[str, ...] = ()
    """Servers that must run before."""
    options: Callable[[Lab], Sequence[str]] = lambda _lab: ()
    """Options beyond the common ones."""
    real_luns: bool = False
    """Whether it needs LUNs that are SCSI disks."""
    machine: str = ""
    """Which of the machines of its process this is."""
    shares: str = ""
    """The server whose process plays this machine too."""


def _build_vcenter() -> Sequence[str]:
    sources = ROOT / "tests" / "lab" / "vcenter"
    with _locked(VCENTER_PROGRAM.parent):
        newest = max(path.stat().st_mtime for path in sources.rglob("*"))
        if not VCENTER_PROGRAM.exists() or VCENTER_PROGRAM.stat().st_mtime < newest:
            build = subprocess.run(
                [sources / "build.sh", VCENTER_PROGRAM],
                env={**os.environ, "PYTHON": sys.executable},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
            )
            if build.returncode:
                raise ServerFailed(f"tests/lab/vcenter could not be built:\n{build.stdout}{build.stderr}")
    return [str(VCENTER_PROGRAM)]


def _prepare_kvm() -> Sequence[str]:
    try:
        image.prepare([domain for domain in world.build()["kvm"]["domains"] if domain["power"] == "on"])
    except (image.CannotPrepare, LibvirtFailed, TimeoutError) as failure:
        raise ServerFailed(f"The guests of the KVM host could not be prepared: {failure}") from failure
    return [sys.executable, "-m", "tests.lab.kvm"]


def _another(kind: str, machine: str) -> Server:
    """Return a further machine of the process that plays the Windows machines."""
    return Server(type=kind, username="LAB\\Administrator", program=lambda: (), needs=("hyperv",), machine=machine, shares="hyperv")


SERVERS: Mapping[str, Server] = {
    "ontap": Server(
        type="ontap",
        username="admin",
        program=lambda: [sys.executable, "-m", "tests.lab.ontap"],
        packages=lambda lab: data_plane.PACKAGES if lab.real_luns else (),
        options=lambda lab: ["--data-plane", "tgt", "--luns", str(lab.directory / "ontap" / "luns")] if lab.real_luns else (),
    ),
    "vcenter": Server(
        type="vmware",
        username="administrator@vsphere.local",
        program=_build_vcenter,
        tls_options=("--tls-cert", "--tls-key"),
        needs=("ontap",),
        options=lambda lab: ["--array-control", lab.running["ontap"].control_url],
    ),
    "hyperv": Server(
        type="hyperv",
        username="LAB\\Administrator",
        program=lambda: [sys.executable, "-m", "tests.lab.hyperv"],
        needs=("ontap",),
        options=lambda lab: ["--array-control", lab.running["ontap"].control_url],
        machine="hv01.lab",
    ),
    "hyperv-cluster": _another("hyperv", "hvc1n1.lab"),
    "hyperv-cluster4": _another("hyperv", "hvc2n1.lab"),
    "windows-guest": _another("windows", "win01.lab"),
    "kvm": Server(
        type="kvm",
        username="root",
        program=_prepare_kvm,
        packages=lambda _lab: image.PACKAGES,
        tls_options=(),
        needs=("ontap",),
        options=lambda lab: ["--directory", str(lab.directory / "kvm")],
        real_luns=True,
    ),
}


def up(names: Iterable[str], directory: Path = DEFAULT_DIRECTORY, vms: int = 0, disks: int = 1) -> Endpoints:
    """Make the named servers, and those they need, run on one world; return them and whatever else runs in ``directory``.

    Servers that already run there are kept when they are healthy and the world is the same. Raises ServerFailed.
    """
    running, left_out = up_as_far_as_possible(names, directory, vms, disks)
    for reason in left_out.values():
        raise ServerFailed(reason)
    return running


def up_as_far_as_possible(
    names: Iterable[str], directory: Path = DEFAULT_DIRECTORY, vms: int = 0, disks: int = 1
) -> tuple[Endpoints, dict[str, str]]:
    """What ``up`` does, with whatever cannot be started left out; return also why, by name.

    Without the servers that want real LUNs the array needs no real disks, so that one that cannot make them is started without.
    """
    names = list(names)
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _locked(directory):
        running, left_out = _start_on_one_world(names, directory, vms, disks)
        wanting = [name for name in names if SERVERS[name].real_luns]
        if wanting and any(need in left_out for name in wanting for need in SERVERS[name].needs):
            why = {name: next(left_out[need] for need in SERVERS[name].needs if need in left_out) for name in wanting}
            _stop(running.values())
            _write_endpoints({}, directory)
            running, left_out = _start_on_one_world([name for name in names if name not in wanting], directory, vms, disks)
            left_out = {**left_out, **why}
    return running, left_out


def _start_on_one_world(names: Sequence[str], directory: Path, vms: int, disks: int) -> tuple[Endpoints, dict[str, str]]:
    running = read_endpoints(directory)
    left_out: dict[str, str] = {}
    real_luns = any(SERVERS[name].real_luns for name in (*names, *running))
    description = json.dumps(_world(directory, vms, disks, real_luns), indent=2)
    world_file = directory / "world.json"
    if not world_file.exists() or world_file.read_text() != description:
        _stop(running.values())
        running = {}
        world_file.write_text(description)
    for name in _with_needs(names):
        if name in running and running[name].healthy():
            continue
        _stop(running.pop(stale) for stale in _dependents(name) if stale in running)
        missing = [need for need in SERVERS[name].needs if need in left_out]
        try:
            if missing:
                raise ServerFailed(f"it needs {missing[0]}: {left_out[missing[0]]}")
            running[name] = _start(name, Lab(directory, running, real_luns))
        except (ServerFailed, OSError) as failure:
            left_out[name] = str(failure)
        _write_endpoints(running, directory)
    return running, left_out


def down(directory: Path = DEFAULT_DIRECTORY) -> None:
    """Stop every server that was started in ``directory``."""
    if not directory.exists():
        return
    with _locked(directory):
        _stop(read_endpoints(directory).values())
        _endpoints_file(directory).unlink(missing_ok=True)


@contextmanager
def running_lab(names: Iterable[str], directory: Path, vms: int = 0, disks: int = 1) -> Iterator[Endpoints]:
    """Run the named servers in ``directory`` for as long as the context lasts."""
    try:
        yield up(names, directory, vms, disks)
    finally:
        down(directory)


def read_endpoints(directory: Path = DEFAULT_DIRECTORY) -> Endpoints:
    """Return what was started in ``directory``, whether or not it still runs."""
    file = _endpoints_file(directory)
    rows = json.loads(file.read_text()) if file.exists() else {}
    return {name: Endpoint(**row) for name, row in rows.items()}


def _endpoints_file(directory: Path) -> Path:
    return directory / "endpoints.json"


def _write_endpoints(endpoints: Mapping[str, Endpoint], directory: Path) -> None:
    """Replace the file in one step; it holds passwords and is nobody else's to read."""
    partial = directory / "endpoints.json.partial"
    partial.unlink(missing_ok=True)
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as output:
        json.dump({name: asdict(endpoint) for name, endpoint in endpoints.items()}, output, indent=2)
    partial.replace(_endpoints_file(directory))


def _world(directory: Path, vms: int, disks: int, real_luns: bool) -> world.World:
    """Return the world of the lab in ``directory``; the portals of real LUNs are addresses of this machine that no other lab uses."""
    whole = world.build(vms, disks)
    if not real_luns:
        return whole
    second, third = hashlib.sha256(str(directory.resolve()).encode()).digest()[:2]
    return world.on_network(whole, f"127.{second or 1}.{third}")


def _start(name: str, lab: Lab) -> Endpoint:
    server, directory = SERVERS[name], lab.directory
    if server.shares:
        return _sharing(server, lab.running[server.shares])
    install(server.packages(lab))
    certificates = issue(directory / name)
    password = secrets.token_urlsafe(18)
    command = [
        *server.program(),
        *("--world", str(directory / "world.json")),
        *_pairs(server.tls_options, (certificates.certificate, certificates.key)),
        *server.options(lab),
    ]
    environment = {**os.environ, "LAB_USERNAME": server.username, "LAB_PASSWORD": password}
    process, ready = start(command, environment, ROOT, directory / f"{name}.log")
    ports = ready.get("ports", {})
    return Endpoint(
        type=server.type,
        hostname="127.0.0.1",
        port=ports[server.machine] if server.machine else ready.get("port", 0),
        username=server.username,
        password=password,
        ca_path=str(certificates.authority),
        validate_certs=True,
        control_url=f"http://127.0.0.1:{ready['control_port']}",
        pid=process.pid,
        started=process.started,
        ports=ports,
        **{key: ready[key] for key in ("uri", "initiator", "key_path", "known_hosts") if key in ready},
    )


def _pairs(options: Sequence[str], values: Sequence[Path]) -> list[str]:
    return [text for option, value in zip(options, values, strict=False) for text in (option, str(value))]


def _sharing(server: Server, host: Endpoint) -> Endpoint:
    """Return the machine of a process that runs for another one already."""
    return replace(host, type=server.type, port=host.ports[server.machine])


def _stop(endpoints: Iterable[Endpoint]) -> None:
    for endpoint in endpoints:
        endpoint.process.stop()


def _with_needs(names: Iterable[str]) -> list[str]:
    """Return the names in the order in which the servers can be started, each after those it needs."""
    ordered: dict[str, None] = {}
    for name in names:
        ordered |= dict.fromkeys([*_with_needs(SERVERS[name].needs), name])
    return list(ordered)


def _dependents(name: str) -> list[str]:
    """Return the server and all that could not go on without it."""
    return [other for other in SERVERS if name in _with_needs([other])]


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Keep other launchers out of ``directory``."""
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def main() -> None:
    """Start or stop lab servers."""
    parser = argparse.ArgumentParser(prog="python -m tests.lab.launch", description=main.__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    start_command = commands.add_parser("up", help="start servers and write endpoints.json")
    start_command.add_argument("names", nargs="+", choices=SERVERS, metavar="NAME", help=", ".join(SERVERS))
    start_command.add_argument("--vms", type=int, default=0, help="total number of virtual machines")
    start_command.add_argument("--disks", type=int, default=1, help="disks of each additional virtual machine")
    start_command.add_argument(
        "--keep-going", action="store_true", help="leave out what cannot be started, and say why; fail only under CI"
    )
    stop_command = commands.add_parser("down", help="stop all servers")
    list_command = commands.add_parser("running", help="print the names of the servers that were started")
    for command in (start_command, stop_command, list_command):
        command.add_argument("--dir", type=Path, default=DEFAULT_DIRECTORY, help="default: build/lab")
    options = parser.parse_args()
    directory = options.dir.resolve()
    if options.command == "down":
        down(directory)
        return
    if options.command == "running":
        print(*read_endpoints(directory))
        return
    endpoints, left_out = up_as_far_as_possible(options.names, directory, options.vms, options.disks)
    for name, reason in left_out.items():
        print(f"{name} is left out: {reason}", file=sys.stderr)
    if left_out and not (options.keep_going and not os.environ.get("CI")):
        down(directory)
        sys.exit(1)
    for name, endpoint in endpoints.items():
        address = endpoint.uri or f"https://{endpoint.hostname}:{endpoint.port}"
        print(f"{name:<16} {address}  control {endpoint.control_url}")
    print(f"{'passwords':<16} {_endpoints_file(directory)}")


if __name__ == "__main__":
    main()
