# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""ansible-playbook as a user starts it, with the lab's endpoints in the environment."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.bench.measure import BenchFailed, Sample, spawn, tool
from tests.lab.launch import Endpoint

ARRAY, HYPERVISOR = "ARRAY", "HYPERVISOR"
_TRUST = {ARRAY: "REQUESTS_CA_BUNDLE", HYPERVISOR: "SSL_CERT_FILE"}
"""By which variable the peers' modules for an array and for a hypervisor learn whom to trust."""


def path(name: str) -> str:
    """A playbook beside this file."""
    return str(Path(__file__).with_name(name))


def play(playbook: str, endpoints: Mapping[str, Endpoint], variables: Mapping[str, Any]) -> Sample:
    """Run a playbook with endpoints by their role. Raises BenchFailed."""
    environment = {name: value for role, endpoint in endpoints.items() for name, value in _variables(role, endpoint).items()}
    command = [tool("ansible-playbook"), "-i", "localhost,", "-c", "local", playbook, "-e", json.dumps(dict(variables))]
    return spawn(command, {**environment, "ANSIBLE_SHOW_CUSTOM_STATS": "true"})


def play_unchanged(playbook: str, endpoints: Mapping[str, Endpoint], variables: Mapping[str, Any]) -> Sample:
    """Run a playbook that finds nothing to change. Raises BenchFailed, also when it does."""
    sample = play(playbook, endpoints, variables)
    if b"changed=0 " not in sample.output:
        raise BenchFailed(f"{playbook} changed something:\n{sample.output.decode()}")
    return sample


def _variables(role: str, endpoint: Endpoint) -> dict[str, str]:
    return {
        f"CROSSVISOR_{role}_HOSTNAME": endpoint.hostname,
        f"CROSSVISOR_{role}_PORT": str(endpoint.port),
        f"CROSSVISOR_{role}_USERNAME": endpoint.username,
        f"CROSSVISOR_{role}_PASSWORD": endpoint.password,
        f"CROSSVISOR_{role}_CA_PATH": endpoint.ca_path,
        _TRUST[role]: endpoint.ca_path,
    }
