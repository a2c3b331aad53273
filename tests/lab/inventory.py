# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The running lab as an Ansible inventory: ``python -m tests.lab.inventory [DIRECTORY] > inventory.json``.

Each hypervisor is a host in the group ``hypervisors`` with its connection in ``hypervisor`` and that of the array in ``array``,
which is all that a user's own inventory has to hold. Connections to Windows guests are in the variable ``guests``, by VM;
Linux guests are hosts of the group ``linux_guests``, as Ansible logs in to any host.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from tests.lab.hyperv_world import CLUSTERS, DOMAIN
from tests.lab.launch import DEFAULT_DIRECTORY, Endpoint, Endpoints, read_endpoints

ARRAY = "ontap"
WINDOWS_GUEST = "windows"
NO_HYPERVISORS = (ARRAY, WINDOWS_GUEST)


def connection(endpoint: Endpoint) -> dict[str, Any]:
    """Return the endpoint as the modules' option ``hypervisor`` or ``array`` takes it."""
    if endpoint.uri:
        return {"uri": endpoint.uri}
    given = {
        "hostname": endpoint.hostname,
        "port": endpoint.port,
        "username": endpoint.username,
        "password": endpoint.password,
        "ca_path": endpoint.ca_path,
    }
    nodes = _nodes(endpoint)
    return {**given, "nodes": nodes} if nodes else given


def _nodes(endpoint: Endpoint) -> dict[str, str]:
    """Return where the nodes of the endpoint's cluster are: all on this machine, where DNS leads to none of them."""
    cluster = next((nodes for nodes in CLUSTERS.values() if _machine(endpoint) in nodes), ())
    return {node: f"{endpoint.hostname}:{endpoint.ports[f'{node}.{DOMAIN}']}" for node in cluster}


def _machine(endpoint: Endpoint) -> str:
    """Return the short name of the machine that the endpoint is, where one process plays several."""
    return next((name.partition(".")[0] for name, port in endpoint.ports.items() if port == endpoint.port), "")


def linux_guests(endpoint: Endpoint) -> dict[str, dict[str, Any]]:
    """Return the guests of a KVM host as Ansible logs in to them, by VM."""
    login = {
        "ansible_host": endpoint.hostname,
        "ansible_user": endpoint.username,
        "ansible_ssh_private_key_file": endpoint.key_path,
        "ansible_ssh_common_args": f"-o UserKnownHostsFile={endpoint.known_hosts} -o IdentitiesOnly=yes",
        "ansible_python_interpreter": "/usr/bin/python3",
    }
    return {vm: {**login, "ansible_port": port} for vm, port in endpoint.ports.items()}


def inventory(endpoints: Endpoints) -> dict[str, Any]:
    """Return the inventory of all hypervisors of the lab, and of the guests that can be reached."""
    array = connection(endpoints[ARRAY])
    hypervisors = {name: endpoint for name, endpoint in endpoints.items() if endpoint.type not in NO_HYPERVISORS}
    hosts = {name: {"hypervisor": connection(endpoint), "array": array} for name, endpoint in hypervisors.items()}
    guests = {_machine(endpoint): connection(endpoint) for endpoint in endpoints.values() if endpoint.type == WINDOWS_GUEST}
    linux = {vm: login for endpoint in endpoints.values() if endpoint.key_path for vm, login in linux_guests(endpoint).items()}
    return {"all": {"vars": {"guests": guests}, "children": {"hypervisors": {"hosts": hosts}, "linux_guests": {"hosts": linux}}}}


if __name__ == "__main__":
    print(json.dumps(inventory(read_endpoints(Path(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT_DIRECTORY)), indent=2))
