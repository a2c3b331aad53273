# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Start the pool: ``LAB_USERNAME=… LAB_PASSWORD=… python -m tests.lab.xen --world FILE --cert PEM --key PEM``.

Each host has an address of its own and all have one port, as a real pool has; the first is the master.
With fewer addresses than hosts, the last hosts answer nowhere.
"""

from __future__ import annotations

import argparse
import errno
import json
import os
import signal
import ssl
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.lab.control import BadFault, Control, Faults, Query, RequestLog, serve_control, values
from tests.lab.hyperv.fabric import ArrayControl, Fabric, WorldFabric
from tests.lab.listener import Credentials, Listener, tls_context
from tests.lab.world import build
from tests.lab.xen.api import Api
from tests.lab.xen.calls.drives import HOLDS, IGNORES
from tests.lab.xen.canonical import canonical
from tests.lab.xen.errors import Failure
from tests.lab.xen.pool import Pool
from tests.lab.xen.server import ACTIONS, Site, listener
from tests.lab.xen_world import LOOPBACK

TRIES = 50
EVERYWHERE = "0.0.0.0"
"""An address at which a server listens and nobody finds it."""
AGREES = "agrees"
OPERATION_CLASSES = ("VM", "VBD", "VDI", "SR")


def main() -> int:
    """Serve until SIGTERM or SIGINT; return the exit status."""
    options = _options()
    credentials = Credentials(os.environ.get("LAB_USERNAME", ""), os.environ.get("LAB_PASSWORD", ""))
    if not credentials.username or not credentials.password:
        print("LAB_USERNAME and LAB_PASSWORD must be set.", file=sys.stderr)
        return 2
    if bool(options.cert) != bool(options.key):
        print("--cert and --key belong together.", file=sys.stderr)
        return 2
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        _serve(options, credentials, stop)
    except OSError as error:
        print(f"The Xen pool cannot be started: {error}.", file=sys.stderr)
        return 1
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.lab.xen", description=__doc__)
    parser.add_argument("--world", type=Path, help="the lab's world; the default one without it")
    parser.add_argument("--array-control", help="URL of the array's control port; without it LUNs are those of the world for ever")
    parser.add_argument(
        "--listen", nargs="+", default=list(LOOPBACK), metavar="ADDRESS", help="addresses of the hosts, that of the master first"
    )
    parser.add_argument("--advertise", nargs="+", default=[], metavar="ADDRESS", help="what the hosts say that their addresses are")
    parser.add_argument("--port", type=int, default=0, help="port of every host; 0 takes a free one")
    parser.add_argument("--control-port", type=int, default=0, help="control port; 0 takes a free one")
    parser.add_argument("--cert", help="certificate chain in PEM; plain HTTP without it")
    parser.add_argument("--key", help="private key in PEM")
    return parser.parse_args()


def _serve(options: argparse.Namespace, credentials: Credentials, stop: threading.Event) -> None:
    world = json.loads(options.world.read_text(encoding="utf-8")) if options.world else build()
    names = [row["name"] for row in world["xen"]["hosts"]]
    places = dict(zip(names, options.listen, strict=False))
    elsewhere = {row["name"]: row["address"] for row in world["xen"]["hosts"]}
    reachable = {name: address for name, address in places.items() if address != EVERYWHERE}
    addresses = {**elsewhere, **reachable, **dict(zip(names, options.advertise, strict=False))}
    fabric: Fabric = ArrayControl(options.array_control) if options.array_control else WorldFabric(world["array"])
    pool = Pool(world["xen"], world["array"]["svms"], fabric, addresses)
    log, faults = RequestLog(), Faults(ACTIONS)
    sites = {name: Site(Api(pool, name, credentials), name, faults, log) for name in places}
    tls = tls_context(options.cert, options.key) if options.cert else None
    listeners = _listen(sites, places, options.port, tls)
    port = int(listeners[0].server_address[1])
    probe = "127.0.0.1" if options.listen[0] == EVERYWHERE else options.listen[0]
    control = Control(log, faults, _locked(pool, lambda: canonical(pool)), _reset(pool, log, faults), (probe, port), {}, {}, _writes(pool))
    control_server = serve_control(options.listen[0], options.control_port, control)
    for server in listeners:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    print("READY", json.dumps({"port": port, "control_port": control_server.server_address[1], "addresses": places}), flush=True)
    stop.wait()
    for server in listeners:
        server.shutdown()
    control_server.shutdown()


def _listen(sites: Mapping[str, Site], places: Mapping[str, str], port: int, tls: ssl.SSLContext | None) -> list[Listener]:
    """Return the listeners of all hosts, on one port that is free on every address. Raises OSError."""
    for _try in range(TRIES):
        opened: list[Listener] = []
        try:
            for name, address in places.items():
                wanted = port or (int(opened[0].server_address[1]) if opened else 0)
                opened.append(listener((address, wanted), sites[name], tls))
        except OSError as error:
            for server in opened:
                server.server_close()
            if port or error.errno != errno.EADDRINUSE:
                raise
        else:
            return opened
    raise OSError(errno.EADDRINUSE, "no port is free on all of its addresses")


def _locked(pool: Pool, work: Callable[[], Any]) -> Callable[[], Any]:
    def run() -> Any:
        with pool.lock:
            return work()

    return run


def _reset(pool: Pool, log: RequestLog, faults: Faults) -> Callable[[], None]:
    def reset() -> None:
        with pool.lock:
            pool.reset()
        faults.clear()
        log.clear()

    return reset


def _writes(pool: Pool) -> Mapping[str, Callable[[Query], Any]]:
    """Return what the control port does beyond faults."""

    def guest(query: Query) -> Any:
        vm, state = _named(pool, "VM", query, "vm"), _one(query, "state", (HOLDS, IGNORES, AGREES))
        with pool.lock:
            pool.guests.pop(vm, None)
            if state != AGREES:
                pool.guests[vm] = state
        return {}

    def machine(query: Query) -> Any:
        name, state = _one(query, "machine", tuple(pool.hosts)), _one(query, "state", ("up", "down"))
        with pool.lock:
            pool.hosts[name].up = state == "up"
            row = pool.db.row("host", pool.hosts[name].ref)
            pool.db.set("host_metrics", row["metrics"], live=state == "up")
        return {}

    def operation(query: Query) -> Any:
        kind = _one(query, "class", OPERATION_CLASSES)
        with pool.lock:
            ref = _by_uuid(pool, kind, _one(query, "uuid"))
            wanted = values(query, "operation")
            pool.db.set(kind, ref, current_operations={"OpaqueRef:another-task": wanted[0]} if wanted else {})
        return {}

    def high_availability(query: Query) -> Any:
        with pool.lock:
            pool.db.set("pool", pool.ref, ha_enabled=_one(query, "state", ("on", "off")) == "on")
        return {}

    return {"/guest": guest, "/machine": machine, "/operation": operation, "/ha": high_availability}


def _one(query: Query, name: str, choices: Sequence[str] = ()) -> str:
    found = values(query, name)
    if len(found) != 1 or (choices and found[0] not in choices):
        raise BadFault(f"the query needs one '{name}'" + (f" of {', '.join(choices)}" if choices else ""))
    return found[0]


def _named(pool: Pool, kind: str, query: Query, name: str) -> str:
    found = pool.db.find(kind, name_label=_one(query, name))
    if len(found) != 1:
        raise BadFault(f"{len(found)} objects of class {kind} have this name")
    return found[0]


def _by_uuid(pool: Pool, kind: str, uuid: str) -> str:
    try:
        return pool.db.by_uuid(kind, uuid)
    except Failure as failure:
        raise BadFault(" ".join(failure.description)) from failure


if __name__ == "__main__":
    sys.exit(main())
