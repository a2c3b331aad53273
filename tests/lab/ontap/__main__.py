# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Start the array: ``LAB_USERNAME=… LAB_PASSWORD=… python -m tests.lab.ontap --world FILE --cert PEM --key PEM``."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.lab.control import BadFault, Control, Faults, Query, RequestLog, serve_control, values
from tests.lab.listener import Credentials, tls_context
from tests.lab.ontap.api import Api
from tests.lab.ontap.data_plane.lio import Agent, LioPlane
from tests.lab.ontap.data_plane.plane import Account, DataPlane, DataPlaneFailed
from tests.lab.ontap.data_plane.tgt import LUN_IDS as TGT_LUN_IDS
from tests.lab.ontap.data_plane.tgt_plane import TgtPlane
from tests.lab.ontap.jobs import Jobs
from tests.lab.ontap.server import ACTIONS, Site, listener
from tests.lab.ontap.state import LUN_IDS, Array
from tests.lab.ontap.zapi.api import Zapi
from tests.lab.world import build

TGT, LIO = "tgt", "lio"


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
    if bool(options.data_plane) != bool(options.luns):
        print("--data-plane and --luns belong together.", file=sys.stderr)
        return 2
    if (options.data_plane == LIO) != bool(options.ssh_config):
        print("--data-plane lio and --ssh-config belong together.", file=sys.stderr)
        return 2
    world = (json.loads(options.world.read_text(encoding="utf-8")) if options.world else build())["array"]
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        _serve(options, world, credentials, stop)
    except DataPlaneFailed as error:
        print(error, file=sys.stderr)
        return 1
    except OSError as error:
        print(f"The array cannot listen on {options.listen} with this certificate: {error.strerror or error}.", file=sys.stderr)
        return 1
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.lab.ontap", description=__doc__)
    parser.add_argument("--world", type=Path, help="the lab's world; the default one without it")
    parser.add_argument("--listen", default="127.0.0.1", help="address of both ports")
    parser.add_argument("--port", type=int, default=0, help="API port; 0 takes a free one")
    parser.add_argument("--control-port", type=int, default=0, help="control port; 0 takes a free one")
    parser.add_argument("--cert", help="certificate chain in PEM; plain HTTP without it")
    parser.add_argument("--key", help="private key in PEM")
    parser.add_argument("--data-plane", choices=[TGT, LIO], help="make every LUN a SCSI disk of this target; none without it")
    parser.add_argument("--luns", type=Path, help="directory of the LUNs' data, with --data-plane; emptied at start")
    parser.add_argument(
        "--ssh-config", type=Path, help="how ssh reaches the machine 'san', in whose kernel the target of --data-plane lio is"
    )
    parser.add_argument("--async-jobs", action="store_true", help="do every change in a job")
    return parser.parse_args()


def _plane(options: argparse.Namespace, array: Array) -> DataPlane | None:
    if options.data_plane is None:
        return None
    return TgtPlane(array, options.luns) if options.data_plane == TGT else LioPlane(array, Agent(options.ssh_config), options.luns)


def _writes(array: Array, plane: DataPlane | None) -> dict[str, Callable[[Query], Any]]:
    """What the control port does beyond faults."""

    def switch_data_plane(query: Query) -> Any:
        if plane is None:
            raise BadFault("this array has no data plane")
        plane.switch("".join(values(query, "state")))
        return {}

    def written(query: Query) -> Any:
        naa, size = values(query, "naa"), values(query, "bytes")
        with array.lock:
            try:
                array.write(naa[0], int(size[0]))
            except (IndexError, KeyError) as error:
                raise BadFault(f"the array has no LUN {naa}, or {size} is no number of bytes") from error
        return {}

    return {
        "/data-plane": switch_data_plane,
        "/written": written,
        "/release": lambda query: array.become("".join(values(query, "version")), values(query, "disaggregated") == ["true"]),
        "/interface": lambda query: array.switch("".join(values(query, "name")), values(query, "state") != ["off"]),
        "/account": lambda query: array.admit("".join(values(query, "svm")), values(query, "denied")),
    }


def _switches(array: Array, plane: DataPlane | None) -> dict[str, Callable[[Any], None]]:
    """What the control port takes as the one key of ``POST /faults``."""

    def hide_luns(reads: Any) -> None:
        with array.lock:
            array.hide_next = int(str(reads))

    def chap(wanted: Any) -> None:
        if plane is None:
            raise BadFault("this array has no data plane")
        try:
            plane.admit(wanted["initiator"], Account(wanted["username"], wanted["password"]) if "username" in wanted else None)
        except KeyError as error:
            raise BadFault(
                f"CHAP is wanted of an 'initiator' with 'username' and 'password', or without both; {error} is missing"
            ) from error

    def mirror(wanted: Any) -> None:
        with array.lock:
            try:
                array.add_mirror(wanted)
            except KeyError as error:
                raise BadFault(f"a mirror has no {error}") from error

    def owner(wanted: Any) -> None:
        with array.lock:
            try:
                array.own_snapshot(wanted["volume"], wanted["snapshot"], wanted["owner"])
            except KeyError as error:
                raise BadFault(f"an owner needs 'volume', 'snapshot' and 'owner' of a snapshot that is there, not {error}") from error

    return {"hide_luns": hide_luns, "chap": chap, "mirror": mirror, "owner": owner}


def _serve(options: argparse.Namespace, world: dict[str, Any], credentials: Credentials, stop: threading.Event) -> None:
    jobs, log, faults = Jobs(), RequestLog(), Faults(ACTIONS)
    array = Array(world, TGT_LUN_IDS if options.data_plane == TGT else LUN_IDS)
    plane = _plane(options, array)
    changed = plane.follow if plane else None
    api = Api(array, jobs, asynchronous=options.async_jobs, changed=changed, data=plane.read if plane else None)
    tls = tls_context(options.cert, options.key) if options.cert else None
    server = listener((options.listen, options.port), Site(api, credentials, faults, log, Zapi(array, changed)), tls)
    port = int(server.server_address[1])

    def reset() -> None:
        array.reset(world)
        jobs.clear()
        faults.clear()
        log.clear()
        if plane:
            plane.reset()

    def state() -> Any:
        with array.lock:
            return array.canonical()

    def presented(query: Any) -> Any:
        with array.lock:
            return array.presented(values(query, "initiator"))

    probe = "127.0.0.1" if options.listen == "0.0.0.0" else options.listen
    control = Control(log, faults, state, reset, (probe, port), {"/presented": presented}, _switches(array, plane), _writes(array, plane))
    if plane:
        plane.start()
    control_server = serve_control(options.listen, options.control_port, control)
    threading.Thread(target=server.serve_forever, name="api", daemon=True).start()
    print("READY", json.dumps({"port": port, "control_port": control_server.server_address[1]}), flush=True)
    stop.wait()
    server.shutdown()
    control_server.shutdown()
    if plane:
        plane.stop()


if __name__ == "__main__":
    sys.exit(main())
