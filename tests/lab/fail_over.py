# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Move a highly available VM to another node, as an administrator does: ``python -m tests.lab.fail_over VM NODE [--dir DIRECTORY]``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from tests.lab.client import ask
from tests.lab.launch import DEFAULT_DIRECTORY, Endpoints, read_endpoints


def fail_over(endpoints: Endpoints, vm: str, node: str) -> dict[str, Any]:
    """Return where the VM is afterwards, and the state of its group. Raises OSError when the cluster refuses."""
    moved: dict[str, Any] = ask(endpoints["hyperv"].control_url, "POST", f"/failover?{urlencode({'vm': vm, 'node': node})}")
    return moved


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("vm")
    parser.add_argument("node")
    parser.add_argument("--dir", type=Path, default=DEFAULT_DIRECTORY)
    options = parser.parse_args()
    moved = fail_over(read_endpoints(options.dir), options.vm, options.node)
    print(f"{moved['vm']} is on {moved['host']}.")
