# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Starts and stops the lab (see README.md): ``python -m tests.lab.launch up ontap vcenter`` and ``… down``.

For tests: ``with running_lab(["vcenter"], directory=tmp_path) as endpoints``. A further system under test is one more row of ``SERVERS``.
A system that cannot be started costs itself and those that need it; ``bring_up`` tells why, ``up`` wants all of them.
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
from tests.lab.processes import READY_SECONDS, Process, ServerFailed, last_line, start

ROOT = Path(__file__).resolve().parents[2]
DEFAULT_DIRECTORY = ROOT / "build" / "lab"
VCENTER_PROGRAM = ROOT / "build" / "bin" / "vcenter-lab"
HEALTH_SECONDS = 5.0
KVM_READY_SECONDS = 240.0
"""More than libvirtd and the resumed guests may take before they give up themselves."""
ARRAY = "ontap"
CANNOT_RUN = 77
"""How a program of ``scripts/`` ends that cannot run here; its last line says why."""
MUST_RUN = os.environ.get("CI") == "true"

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
class Launch:
    """What came of starting servers."""

    running: Endpoints
    failed: Mapping[str, str]
    """Why servers were not started, by name: a sentence, and below it the end of a log. Those that need one of them are among them."""


@dataclass(frozen=True)
class Lab:
    """What a server is started into."""

    directory: Path
    running: Mapping[str, Endpoint]
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


def _build_vcenter() -> None:
    sources = ROOT / "tests" / "lab" / "vcenter"
    with _locked(VCENTER_PROGRAM.parent):
        newest = max(path.stat().st_mtime for path in sources.rglob("*"))
        if not VCENTER_PROGRAM.exists() or VCENTER_PROGRAM.stat().st_mtime < newest:
            _run([sources / "build.sh", VCENTER_PROGRAM])


def _prepare_kvm() -> None:
    _run([ROOT / "scripts" / "kvm-host"])
    try:
        image.prepare([domain for domain in world.build()["kvm"]["domains"] if domain["power"] == "on"])
    except (image.CannotPrepare, LibvirtFailed, OSError, subprocess.CalledProcessError) as failure:
        raise ServerFailed(f"its guests could not be prepared: {last_line(str(failure))}\n{failure}") from failure


def _run(command: Sequence[str | Path]) -> None:
    """Run a program that prepares a server; raises ServerFailed with what it said."""
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode == CANNOT_RUN:
        raise ServerFailed(last_line(done.stdout).removeprefix("cannot run: "))
    if done.returncode:
        raise ServerFailed(f"{Path(command[0]).name} ended with {done.returncode}: {last_line(done.stdout)}\n{done.stdout}")


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
        options=lambda lab: ["--array-control", lab.running[ARRAY].control_url],
    ),
    "hyperv": Server(
        type="hyperv",
        username="LAB\\Administrator",
        command=(sys.executable, "-m", "tests.lab.hyperv"),
        needs=(ARRAY,),
        options=lambda lab: ["--array-control", lab.running[ARRAY].control_url],
        machine="hv01.lab",
    ),
    "hyperv-cluster": _another("hyperv", "hvc1n1.lab"),
    "hyperv-cluster4": _another("hyperv", "hvc2n1.lab"),
    "windows-guest": _another("windows", "win01.lab"),
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


def up(names: Iterable[str], directory: Path = DEFAULT_DIRECTORY, vms: int = 0, disks: int = 1) -> Endpoints:
    """Make all of the named servers run; return them and whatever else runs in ``directory``. Raises ServerFailed (see ``bring_up``)."""
    launch = bring_up(names, directory, vms, disks)
    if launch.failed:
        raise ServerFailed("\n".join(f"{name}: {reason}" for name, reason in launch.failed.items()))
    return launch.running


def bring_up(names: Iterable[str], directory: Path = DEFAULT_DIRECTORY, vms: int = 0, disks: int = 1) -> Launch:
    """Make the named servers, and those they need, run on one world, as far as each of them can.

    Servers that already run there are kept when they are healthy and the world is the same. An array that cannot be started with LUNs that
    are SCSI disks is started without, because only a part of the servers needs such LUNs.
    """
    wanted = _with_needs(names)
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _locked(directory):
        unprepared = _unprepared(wanted, directory)
        launch = _launch(wanted, unprepared, directory, vms, disks)
        needy = [name for name in wanted if SERVERS[name].real_luns and name not in unprepared]
        if needy and ARRAY in launch.failed:
            reason = f"it needs LUNs that are SCSI disks, with which {ARRAY} was not started: {launch.failed[ARRAY]}"
            launch = _launch(wanted, {**unprepared, **dict.fromkeys(needy, reason)}, directory, vms, disks)
    return launch


def _unprepared(wanted: Iterable[str], directory: Path) -> dict[str, str]:
    """Prepare every server that does not run; return why some could not be."""
    running, failed = read_endpoints(directory), {}
    for name in wanted:
        if not _runs(name, running):
            try:
                SERVERS[name].prepare()
            except ServerFailed as failure:
                failed[name] = str(failure)
    return failed


def _launch(wanted: Iterable[str], unprepared: Mapping[str, str], directory: Path, vms: int, disks: int) -> Launch:
    """Start every server that does not run and can be started."""
    running, failed = read_endpoints(directory), dict(unprepared)
    real_luns = any(SERVERS[name].real_luns for name in {*wanted, *running} - failed.keys())
    if _write_world(json.dumps(_world(directory, vms, disks, real_luns), indent=2), directory):
        _drop(list(running), running)
    _drop([dependent for name in failed for dependent in _dependents(name)], running)
    for name in wanted:
        if name not in failed and not _runs(name, running):
            _drop(_dependents(name), running)
            try:
                running[name] = _start(name, Lab(directory, running, real_luns), failed)
            except ServerFailed as failure:
                failed[name] = str(failure)
        _write_endpoints(running, directory)
    return Launch(running, failed)


def _runs(name: str, running: Endpoints) -> bool:
    return name in running and running[name].healthy()


def _drop(names: Iterable[str], running: Endpoints) -> None:
    """Stop those of the named servers that were started."""
    _stop(running.pop(name) for name in names if name in running)


def _write_world(description: str, directory: Path) -> bool:
    """Write the world that the servers read; return whether it is another one than before."""
    file = directory / "world.json"
    if file.exists() and file.read_text() == description:
        return False
    file.write_text(description)
    return True


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


def _start(name: str, lab: Lab, failed: Mapping[str, str]) -> Endpoint:
    server, directory = SERVERS[name], lab.directory
    if missing := [need for need in server.needs if need in failed]:
        raise ServerFailed(f"it needs {missing[0]}, which was not started")
    if server.shares:
        return _sharing(server, lab.running[server.shares])
    certificates = issue(directory / name)
    password = secrets.token_urlsafe(18)
    command = [
        *server.command,
        *("--world", str(directory / "world.json")),
        *_pairs(server.tls_options, (certificates.certificate, certificates.key)),
        *server.options(lab),
    ]
    environment = {**os.environ, "LAB_USERNAME": server.username, "LAB_PASSWORD": password}
    process, ready = start(command, environment, ROOT, directory / f"{name}.log", server.ready_seconds)
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
    """Start or stop lab servers, or name those that run."""
    parser = argparse.ArgumentParser(prog="python -m tests.lab.launch", description=main.__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    start_command = commands.add_parser("up", help="start servers and write endpoints.json")
    start_command.add_argument("names", nargs="+", choices=SERVERS, metavar="NAME", help=", ".join(SERVERS))
    start_command.add_argument("--vms", type=int, default=0, help="total number of virtual machines")
    start_command.add_argument("--disks", type=int, default=1, help="disks of each additional virtual machine")
    start_command.add_argument("--keep-going", action="store_true", help="go on without a server that cannot be started, unless CI=true")
    stop_command = commands.add_parser("down", help="stop all servers")
    list_command = commands.add_parser("running", help="print the names of the servers that run")
    for command in (start_command, stop_command, list_command):
        command.add_argument("--dir", type=Path, default=DEFAULT_DIRECTORY, help="default: build/lab")
    options = parser.parse_args()
    directory = options.dir.resolve()
    if options.command == "down":
        down(directory)
    elif options.command == "running":
        print(*(name for name, endpoint in read_endpoints(directory).items() if endpoint.healthy()), sep="\n")
    else:
        launch = bring_up(options.names, directory, options.vms, options.disks)
        _tell(launch, directory, briefly=options.keep_going)
        sys.exit(bool(launch.failed) and not (options.keep_going and not MUST_RUN))


def _tell(launch: Launch, directory: Path, briefly: bool) -> None:
    for name, endpoint in launch.running.items():
        address = endpoint.uri or f"https://{endpoint.hostname}:{endpoint.port}"
        print(f"{name:<16} {address}  control {endpoint.control_url}")
    print(f"{'passwords':<16} {_endpoints_file(directory)}", flush=True)
    for name, reason in launch.failed.items():
        print(f"{name} is left out: {reason.splitlines()[0] if briefly else reason}", file=sys.stderr)


if __name__ == "__main__":
    main()
