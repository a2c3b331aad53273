# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Start the Windows machines: ``LAB_USERNAME=… LAB_PASSWORD=… python -m tests.lab.hyperv --world FILE --cert PEM --key PEM``."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.lab.control import BadFault, Control, Faults, Query, RequestLog, serve_control, values
from tests.lab.hyperv.estate import PENDING_SECONDS, Estate, Refused
from tests.lab.hyperv.fabric import ArrayControl, Fabric, WorldFabric
from tests.lab.hyperv.faults import ProviderFault
from tests.lab.hyperv.installation import PRODUCT, service
from tests.lab.hyperv.negotiate import keep_account
from tests.lab.hyperv.programs import StoredFile
from tests.lab.hyperv.server import ACTIONS, Site, listener
from tests.lab.listener import Credentials, tls_context
from tests.lab.world import build


def main() -> int:
    """Serve until SIGTERM or SIGINT; return the exit status."""
    options = _options()
    credentials = Credentials(os.environ.get("LAB_USERNAME", ""), os.environ.get("LAB_PASSWORD", ""))
    if not credentials.username or not credentials.password:
        print("LAB_USERNAME and LAB_PASSWORD must be set.", file=sys.stderr)
        return 2
    if ":" in credentials.password:
        print("LAB_PASSWORD must have no colon, which ends a field where NTLM looks the account up.", file=sys.stderr)
        return 2
    if bool(options.cert) != bool(options.key):
        print("--cert and --key belong together.", file=sys.stderr)
        return 2
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    accounts = keep_account(credentials.username, credentials.password)
    try:
        _serve(options, credentials, stop)
    except OSError as error:
        print(f"The Windows machines cannot be started: {error}.", file=sys.stderr)
        return 1
    finally:
        accounts.unlink(missing_ok=True)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.lab.hyperv", description=__doc__)
    parser.add_argument("--world", type=Path, help="the lab's world; the default one without it")
    parser.add_argument("--array-control", help="URL of the array's control port; without it LUNs are those of the world for ever")
    parser.add_argument("--listen", default="127.0.0.1", help="address of all ports")
    parser.add_argument("--control-port", type=int, default=0, help="control port; 0 takes a free one")
    parser.add_argument("--port", action="append", default=[], metavar="MACHINE=PORT", help="port of a machine; a free one without it")
    parser.add_argument("--cert", help="certificate chain in PEM; plain HTTP, for NTLM with encrypted messages, without it")
    parser.add_argument("--key", help="private key in PEM")
    parser.add_argument("--pending", type=float, default=PENDING_SECONDS, help="seconds that jobs and state changes take")
    return parser.parse_args()


def _serve(options: argparse.Namespace, credentials: Credentials, stop: threading.Event) -> None:
    world = json.loads(options.world.read_text(encoding="utf-8")) if options.world else build()
    fabric: Fabric = ArrayControl(options.array_control) if options.array_control else WorldFabric(world["array"])
    estate = Estate(world["hyperv"], fabric, options.pending)
    log, faults = RequestLog(), Faults(ACTIONS)
    sites = {name: Site(service(estate, name), estate, PRODUCT, credentials, faults, log) for name in estate.machines}
    tls = tls_context(options.cert, options.key) if options.cert else None
    wanted = _ports(options.port)
    listeners = {name: listener((options.listen, wanted.get(name, 0)), site, tls) for name, site in sites.items()}
    ports = {name: int(server.server_address[1]) for name, server in listeners.items()}
    probe = "127.0.0.1" if options.listen == "0.0.0.0" else options.listen
    control = _control(estate, sites, log, faults, (probe, next(iter(ports.values()))))
    control_server = serve_control(options.listen, options.control_port, control)
    for name, server in listeners.items():
        threading.Thread(target=server.serve_forever, name=name, daemon=True).start()
    print("READY", json.dumps({"ports": ports, "control_port": control_server.server_address[1]}), flush=True)
    stop.wait()
    for server in listeners.values():
        server.shutdown()
    control_server.shutdown()


def _ports(options: Sequence[str]) -> Mapping[str, int]:
    pairs = (option.partition("=") for option in options)
    return {name: int(port) for name, _second, port in pairs}


def _control(estate: Estate, sites: Mapping[str, Site], log: RequestLog, faults: Faults, address: tuple[str, int]) -> Control:
    def reset() -> None:
        with estate.lock:
            estate.reset()
            for name, site in sites.items():
                site.service = service(estate, name)
        faults.clear()
        log.clear()

    def state() -> Any:
        with estate.lock:
            return estate.canonical()

    def controls(_unused: Query) -> Any:
        with estate.lock:
            return estate.controls()

    def reboot(query: Query) -> Any:
        machine = _one(query, "machine")
        with estate.lock:
            _done(lambda: estate.reboot(machine))
            sites[machine].service = service(estate, machine)
        return {}

    def fail_over(query: Query) -> Any:
        with estate.lock:
            return _done(lambda: estate.fail_over(_one(query, "vm"), _one(query, "node")))

    def machine(query: Query) -> Any:
        with estate.lock:
            _done(lambda: estate.set_power(_one(query, "machine"), _one(query, "state") == "up"))
        return {}

    def cluster_service(query: Query) -> Any:
        name = _one(query, "machine")
        with estate.lock:
            _done(lambda: estate.set_cluster_service(name, _one(query, "state")))
            sites[name].service = service(estate, name)
        return {}

    def file(query: Query) -> Any:
        runs = [tuple(map(int, run.split(":"))) for run in _one(query, "runs").split(",")]
        stored = StoredFile(Path(_one(query, "local")), [(first, count, cluster) for first, count, cluster in runs])
        with estate.lock:
            estate.files[_one(query, "machine")].put(_one(query, "path"), stored)
        return {}

    writes = {
        "/file": file,
        "/reboot": reboot,
        "/failover": fail_over,
        "/machine": machine,
        "/cluster_service": cluster_service,
        **_settings(estate),
    }
    return Control(log, faults, state, reset, address, {"/controls": controls}, {}, writes)


def _settings(estate: Estate) -> dict[str, Callable[[Query], Any]]:
    """Return the calls that change nothing but a setting."""

    def multipath(query: Query) -> Any:
        with estate.lock:
            _done(lambda: estate.set_multipath(_one(query, "machine"), _one(query, "state") == "on"))
        return {}

    def pending(query: Query) -> Any:
        with estate.lock:
            estate.timeline.seconds = float(_one(query, "seconds"))
        return {}

    return {"/mpio": multipath, "/pending": pending}


def _one(query: Query, name: str) -> str:
    found = values(query, name)
    if len(found) != 1:
        raise BadFault(f"the query needs one '{name}'")
    return found[0]


def _done(work: Any) -> Any:
    try:
        return work()
    except (Refused, ProviderFault) as refusal:
        raise BadFault(refusal.message if isinstance(refusal, ProviderFault) else str(refusal)) from refusal


if __name__ == "__main__":
    sys.exit(main())
