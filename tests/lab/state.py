# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the simulated systems hold, as canonical JSON: ``python -m tests.lab.state [--dir DIRECTORY]``. Equal texts mean equal worlds."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from tests.lab.client import ask
from tests.lab.launch import DEFAULT_DIRECTORY, Endpoints, read_endpoints


def state(endpoints: Endpoints) -> dict[str, Any]:
    """Return the state of every server that runs."""
    return {name: ask(endpoint.control_url, "GET", "/state") for name, endpoint in sorted(endpoints.items())}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dir", type=Path, default=DEFAULT_DIRECTORY)
    print(json.dumps(state(read_endpoints(parser.parse_args().dir)), indent=1, sort_keys=True))
