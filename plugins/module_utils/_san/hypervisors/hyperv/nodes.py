# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The Hyper-V hosts behind one endpoint: the host that was named and, when it is a node of a failover cluster, the other nodes.

Every node is asked directly with the same credentials, so that nothing has to be delegated from one to the next (no double hop).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from ansible_collections.crossvisor.san.plugins.module_utils._san.connection import Connection
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import InvalidInput, NotFound, Refused, RemoteError
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv import classes
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.cluster.resources import Resources
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire import wql, wsman_fault
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.cim import CimClient
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.cim_login import open_client
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.cim_types import CimInstance

NODE_STATES = ("up", "down", "paused", "joining")
"""MSCluster_Node.State by its number."""
_REACHABLE = frozenset({"up", "paused"})
_NOBODY_ANSWERS = frozenset({"0x800706D9", "0x000006D9", "0x80070046", "0x00000046"})
"""EPT_S_NOT_REGISTERED and ERROR_SHARING_PAUSED, as HRESULTs and bare: the clustering feature is installed, its service does not run."""
_CLUSTER_SERVICE = "ClusSvc"
_DISABLED = "Disabled"
"""Win32_Service.StartMode."""


@dataclass(frozen=True)
class Node:
    """One host. Its `id` is the computer name, as the cluster and WMI's paths know it."""

    id: str
    name: str
    """The full DNS name."""
    state: str
    """Of `NODE_STATES`."""

    @property
    def reachable(self) -> bool:
        """Whether the cluster says that it can be asked."""
        return self.state in _REACHABLE


class Nodes:
    """The hosts, with one login each, made when it is first needed. Every method raises only `CrossvisorError`s."""

    def __init__(self, connection: Connection, login: Callable[[Connection], CimClient] = open_client) -> None:
        self._connection = connection
        self._login = login
        self._clients: dict[str, CimClient] = {}
        self.resources = Resources()
        """Those of the cluster, with what was learnt of them so far."""
        self._entry_client = login(connection)

    @property
    def connection(self) -> Connection:
        """The endpoint that the user named."""
        return self._connection

    @cached_property
    def entry(self) -> Node:
        """The host that the user named."""
        for system in self._entry_client.query(classes.COMPUTER_SYSTEM, columns=classes.COMPUTER_SYSTEM.columns):
            return Node(system.text("Name").upper(), _dns_name(system.text("DNSHostName") or system.text("Name"), _domain(system)), "up")
        raise RemoteError(f"The host {self._connection} does not tell its name (Win32_ComputerSystem is empty): repair its WMI repository.")

    @cached_property
    def cluster(self) -> str:
        """Name of the failover cluster that the host belongs to; empty for a single host.

        Raises `RemoteError` when the host may be a node whose cluster service does not answer.
        """
        try:
            for found in self._entry_client.query(classes.MS_CLUSTER, columns=("Name",)):
                return found.text("Name")
        except RemoteError as error:
            if error.code in wsman_fault.MISSING:
                return ""
            if error.code not in _NOBODY_ANSWERS:
                raise
        self._refuse_unless_no_node()
        return ""

    def all(self) -> Sequence[Node]:
        """Every host with the state that the cluster tells now; the named one alone without a cluster."""
        if not self.cluster:
            return [self.entry]
        domain = self.entry.name.partition(".")[2]
        return [
            Node(found.text("Name").upper(), _dns_name(found.text("Name"), domain), _state(found.integer("State")))
            for found in self._entry_client.query(classes.CLUSTER_NODE, columns=classes.CLUSTER_NODE.columns)
        ]

    def reachable(self) -> list[Node]:
        """The hosts that can be asked."""
        return [node for node in self.all() if node.reachable]

    def client(self, node_id: str) -> CimClient:
        """The session with a host. Raises `NotFound` when there is none, `Refused` when the cluster says that it is down."""
        wanted = node_id.upper()
        if wanted == self.entry.id:
            return self._entry_client
        if wanted not in self._clients:
            self._clients[wanted] = self._login(self._to(self._node(wanted)))
        return self._clients[wanted]

    def name_of(self, node_id: str) -> str:
        """The full DNS name of a host (`Node.name`), without asking anybody."""
        if node_id.upper() == self.entry.id:
            return self.entry.name
        return _dns_name(node_id, self.entry.name.partition(".")[2])

    def close(self) -> None:
        """Close every connection. Never raises."""
        for client in (self._entry_client, *self._clients.values()):
            client.session.close()

    def _refuse_unless_no_node(self) -> None:
        """Where the feature is installed but no cluster is told, only a service that is disabled says that the host is no node of one.

        Source: [MS-CMRP] 3.1.3.2, by which the service of a node is never of the start type disabled.
        """
        named = wql.equals("Name", _CLUSTER_SERVICE)
        found = next(self._entry_client.query(classes.SERVICE, named, classes.SERVICE.columns), None)
        if found is None or found.text("StartMode") != _DISABLED:
            state = found.text("State").lower() if found else "not shown to this account"
            raise RemoteError(
                f"The cluster service of host {self.entry.name} is {state} and tells no cluster, so that nobody knows which LUNs its "
                f"cluster uses: start it (Start-Service {_CLUSTER_SERVICE}) or name another node; on a host that is no node, disable it."
            )

    def _node(self, node_id: str) -> Node:
        found = [node for node in self.all() if node.id == node_id]
        if not found:
            raise NotFound(f"There is no host {node_id} behind {self._connection}; there are: {', '.join(node.id for node in self.all())}.")
        if not found[0].reachable:
            raise Refused(f"The node {found[0].name} of cluster {self.cluster} is {found[0].state}: bring it up, then run this task again.")
        return found[0]

    def _to(self, node: Node) -> Connection:
        """The connection to another node: as the user said in `nodes`, else by its DNS name, with everything else as for the named one."""
        given = {name.partition(".")[0].upper(): place for name, place in (self._connection.nodes or {}).items()}
        if node.id not in given:
            return replace(self._connection, hostname=node.name)
        address, port = _place(str(given[node.id]), node.id)
        return replace(self._connection, hostname=address, port=port or self._connection.port)


def _domain(system: CimInstance) -> str:
    return system.text("Domain") if system.flag("PartOfDomain") else ""


def _dns_name(host: str, domain: str) -> str:
    return f"{host}.{domain}".rstrip(".").lower()


def _state(number: int | None) -> str:
    return NODE_STATES[number] if number is not None and 0 <= number < len(NODE_STATES) else "down"


def _place(text: str, node: str) -> tuple[str, int | None]:
    """The address and port of `address`, `address:port` or `[IPv6]:port`."""
    address, colon, port = text.rpartition(":") if text.count(":") == 1 or "]:" in text else (text, "", "")
    if colon and not port.isdigit():
        raise InvalidInput(f"hypervisor.nodes has '{text}' for {node}: write an address, or address:port.")
    return address.strip("[]"), int(port) if port else None
