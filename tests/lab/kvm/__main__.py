# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Start the KVM host: ``python -m tests.lab.kvm --world FILE --directory DIRECTORY``."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
from pathlib import Path

from tests.lab.built import CannotPrepare
from tests.lab.control import Control, Faults, Query, RequestLog, serve_control, values
from tests.lab.kvm.daemon import LibvirtFailed
from tests.lab.kvm.host import Host, lab_places
from tests.lab.kvm.image import prepare

LISTEN = "127.0.0.1"


def main() -> int:
    """Serve until SIGTERM or SIGINT; return the exit status."""
    options = _options()
    world = json.loads(options.world.read_text(encoding="utf-8"))
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        prepared = prepare([domain for domain in world["kvm"]["domains"] if domain["power"] == "on"])
        host = Host(world["kvm"], lab_places(world, options.directory), prepared, options.directory)
        try:
            host.start()
            _serve(host, world["kvm"]["iqn"], options.control_port, stop)
        finally:
            host.stop()
    except (CannotPrepare, LibvirtFailed, TimeoutError) as failure:
        print(failure, file=sys.stderr)
        return 1
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.lab.kvm", description=__doc__)
    parser.add_argument("--world", type=Path, required=True, help="the lab's world")
    parser.add_argument("--directory", type=Path, required=True, help="where libvirt keeps everything; emptied at start")
    parser.add_argument("--control-port", type=int, default=0, help="control port; 0 takes a free one")
    return parser.parse_args()


def _serve(host: Host, initiator: str, control_port: int, stop: threading.Event) -> None:
    busy = threading.Lock()

    def reset() -> None:
        with busy:
            host.reset()

    def reboot(query: Query) -> None:
        host.reboot(_one(query, "guest"))

    def agent(query: Query) -> None:
        host.agent(_one(query, "guest"), _one(query, "state"))

    writes = {"/reboot": reboot, "/agent": agent}
    control = Control(RequestLog(), Faults(frozenset()), host.state, reset, host.libvirt.socket, {}, {}, writes)
    server = serve_control(LISTEN, control_port, control)
    ready = {
        "control_port": server.server_address[1],
        "ports": host.ssh_ports,
        "uri": host.libvirt.uri,
        "initiator": initiator,
        "key_path": str(host.key),
        "known_hosts": str(host.known_hosts),
    }
    print("READY", json.dumps(ready), flush=True)
    stop.wait()
    server.shutdown()


def _one(query: Query, name: str) -> str:
    given = values(query, name)
    if len(given) != 1:
        raise ValueError(f"exactly one {name}= is needed")
    return given[0]


if __name__ == "__main__":
    sys.exit(main())
