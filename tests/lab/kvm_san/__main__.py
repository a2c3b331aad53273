# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Start, suspend and stop the lab: ``python -m tests.lab.kvm_san start``; prints what there is to know of it as JSON.

``prepare`` makes what the first ``start`` would have to make.
The array is started with the machines; ``endpoints.json`` tells how it is reached. After ``restore`` it needs a ``start``.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.lab.built import CannotPrepare
from tests.lab.kvm_san import array
from tests.lab.kvm_san.image import ROOT, refuse_elsewhere
from tests.lab.kvm_san.lab import DEFAULT_DIRECTORY, KvmSan
from tests.lab.kvm_san.monitor import MonitorFailed
from tests.lab.kvm_san.shell import CommandFailed
from tests.lab.processes import ServerFailed
from tests.lab.servers import prepare_by


def _start(lab: KvmSan) -> None:
    lab.start()
    array.start(lab.directory)


def _prepare(lab: KvmSan) -> None:
    refuse_elsewhere()
    prepare_by([ROOT / "scripts" / "kvm-host"])
    lab.prepare()


COMMANDS: Mapping[str, Callable[[KvmSan], None]] = {
    "prepare": _prepare,
    "start": _start,
    "status": lambda _lab: None,
    "suspend": lambda lab: lab.suspend(_saved(lab)),
    "restore": lambda lab: lab.restore(_saved(lab) if _saved(lab).exists() else None),
    "stop": KvmSan.stop,
}


def main() -> int:
    """Do one thing with the lab; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.lab.kvm_san", description=__doc__)
    parser.add_argument("command", choices=COMMANDS)
    parser.add_argument("--dir", type=Path, default=DEFAULT_DIRECTORY, help="default: build/lab/kvm-san")
    options = parser.parse_args()
    lab = KvmSan(options.dir)
    try:
        COMMANDS[options.command](lab)
    except (CannotPrepare, CommandFailed, MonitorFailed, ServerFailed, TimeoutError) as failure:
        print(failure, file=sys.stderr)
        return 1
    print(json.dumps(lab.status(), indent=2))
    return 0


def _saved(lab: KvmSan) -> Path:
    """Return where ``suspend`` keeps the machines and ``restore`` finds them."""
    return lab.directory.with_name(f"{lab.directory.name}.suspended")


if __name__ == "__main__":
    sys.exit(main())
