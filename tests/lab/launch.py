# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Starts and stops the lab (see README.md): ``python -m tests.lab.launch up ontap vcenter`` and ``… down``.

For tests: ``with running_lab(["vcenter"], directory=tmp_path) as endpoints``.
A system that cannot be started costs itself and those that need it; ``bring_up`` tells why, ``up`` wants all of them.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import secrets
import sys
import urllib.request
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from tests.lab import world
from tests.lab.certificates import issue
from tests.lab.locking import locked
from tests.lab.processes import Process, ServerFailed, start
from tests.lab.servers import ARRAY, SERVERS, Lab, Server
from tests.lab.world import SMALLEST, Size

ROOT = Path(__file__).resolve().parents[2]
DEFAULT_DIRECTORY = ROOT / "build" / "lab"
HEALTH_SECONDS = 5.0
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
    addresses: dict[str, str] = field(default_factory=dict)
    """Of the hosts of a Xen pool, which all have its port, by name; that of the master is ``hostname``."""

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


def up(names: Iterable[str], directory: Path = DEFAULT_DIRECTORY, size: Size = SMALLEST) -> Endpoints:
    """Make all of the named servers run; return them and whatever else runs in ``directory``. Raises ServerFailed (see ``bring_up``)."""
    launch = bring_up(names, directory, size)
    if launch.failed:
        raise ServerFailed("\n".join(f"{name}: {reason}" for name, reason in launch.failed.items()))
    return launch.running


def bring_up(names: Iterable[str], directory: Path = DEFAULT_DIRECTORY, size: Size = SMALLEST) -> Launch:
    """Make the named servers, and those they need, run on one world, as far as each of them can.

    Servers that already run there are kept when they are healthy and the world is the same. An array that cannot be started with LUNs that
    are SCSI disks is started without, because only a part of the servers needs such LUNs.
    """
    wanted = _with_needs(names)
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    with locked(directory):
        unprepared = _unprepared(wanted, directory)
        launch = _launch(wanted, unprepared, directory, size)
        needy = [name for name in wanted if SERVERS[name].real_luns and name not in unprepared]
        if needy and ARRAY in launch.failed:
            reason = f"it needs LUNs that are SCSI disks, with which {ARRAY} was not started: {launch.failed[ARRAY]}"
            launch = _launch(wanted, {**unprepared, **dict.fromkeys(needy, reason)}, directory, size)
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


def _launch(wanted: Iterable[str], unprepared: Mapping[str, str], directory: Path, size: Size) -> Launch:
    """Start every server that does not run and can be started."""
    running, failed = read_endpoints(directory), dict(unprepared)
    real_luns = any(SERVERS[name].real_luns for name in {*wanted, *running} - failed.keys())
    if _write_world(json.dumps(_world(directory, size, real_luns), indent=2), directory):
        _drop(list(running), running)
    _drop([dependent for name in failed for dependent in _dependents(name)], running)
    for name in wanted:
        if name not in failed and not _runs(name, running):
            _drop(_dependents(name), running)
            try:
                _check_needs(name, failed)
                running[name] = _start(name, running, directory, real_luns)
            except ServerFailed as failure:
                failed[name] = str(failure)
        write_endpoints(running, directory)
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
    with locked(directory):
        _stop(read_endpoints(directory).values())
        _endpoints_file(directory).unlink(missing_ok=True)


@contextmanager
def running_lab(names: Iterable[str], directory: Path, size: Size = SMALLEST) -> Iterator[Endpoints]:
    """Run the named servers in ``directory`` for as long as the context lasts."""
    try:
        yield up(names, directory, size)
    finally:
        down(directory)


def read_endpoints(directory: Path = DEFAULT_DIRECTORY) -> Endpoints:
    """Return what was started in ``directory``, whether or not it still runs."""
    file = _endpoints_file(directory)
    rows = json.loads(file.read_text()) if file.exists() else {}
    return {name: Endpoint(**row) for name, row in rows.items()}


def _endpoints_file(directory: Path) -> Path:
    return directory / "endpoints.json"


def write_endpoints(endpoints: Mapping[str, Endpoint], directory: Path) -> None:
    """Replace the file in one step; it holds passwords and is nobody else's to read."""
    partial = directory / "endpoints.json.partial"
    partial.unlink(missing_ok=True)
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as output:
        json.dump({name: asdict(endpoint) for name, endpoint in endpoints.items()}, output, indent=2)
    partial.replace(_endpoints_file(directory))


def _world(directory: Path, size: Size, real_luns: bool) -> world.World:
    """Return the world of the lab in ``directory``; the portals of real LUNs are addresses of this machine that no other lab uses."""
    whole = world.build(size)
    if not real_luns:
        return whole
    second, third = hashlib.sha256(str(directory.resolve()).encode()).digest()[:2]
    return world.on_network(whole, f"127.{second or 1}.{third}")


def _check_needs(name: str, failed: Mapping[str, str]) -> None:
    if missing := [need for need in SERVERS[name].needs if need in failed]:
        raise ServerFailed(f"it needs {missing[0]}, which was not started")


def _start(name: str, running: Endpoints, directory: Path, real_luns: bool) -> Endpoint:
    server = SERVERS[name]
    if server.shares:
        return _sharing(server, running[server.shares])
    return _start_process(name, Lab(directory, {other: endpoint.control_url for other, endpoint in running.items()}, real_luns))


def _start_process(name: str, lab: Lab) -> Endpoint:
    server, directory = SERVERS[name], lab.directory
    certificates = issue(directory / name, server.names)
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
        **{key: ready[key] for key in ("uri", "initiator", "key_path", "known_hosts", "addresses") if key in ready},
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


def main() -> None:
    """Start or stop lab servers, or name those that run."""
    options = _options()
    directory = options.dir.resolve()
    if options.command == "down":
        down(directory)
    elif options.command == "running":
        print(*(name for name, endpoint in read_endpoints(directory).items() if endpoint.healthy()), sep="\n")
    else:
        launch = bring_up(options.names, directory, Size(options.vms, options.disks))
        _tell(launch, directory, briefly=options.keep_going)
        sys.exit(bool(launch.failed) and not (options.keep_going and not MUST_RUN))


def _options() -> argparse.Namespace:
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
    return parser.parse_args()


def _tell(launch: Launch, directory: Path, briefly: bool) -> None:
    for name, endpoint in launch.running.items():
        address = endpoint.uri or f"https://{endpoint.hostname}:{endpoint.port}"
        print(f"{name:<16} {address}  control {endpoint.control_url}")
    print(f"{'passwords':<16} {_endpoints_file(directory)}", flush=True)
    for name, reason in launch.failed.items():
        print(f"{name} is left out: {reason.splitlines()[0] if briefly else reason}", file=sys.stderr)


if __name__ == "__main__":
    main()
