# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who the Hyper-V hosts behind an endpoint are, and what they can do."""

from __future__ import annotations

from dataclasses import replace

from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv import classes, hardware, hbas, survey
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.nodes import Node, Nodes
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import (
    CONNECTED,
    MAINTENANCE,
    PHYSICAL,
    UNREACHABLE,
    About,
    Capabilities,
    Cluster,
    Host,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.cim import CimClient
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.cim_types import CimClass, CimInstance

TYPE = "hyperv"
_STATES = {"up": CONNECTED, "paused": MAINTENANCE}


def about(nodes: Nodes) -> About:
    """The Windows that was named, its cluster, and the capabilities of Hyper-V.

    A disk can be added to a running VM on a SCSI controller, the controller itself only to a VM that is off ("Hyper-V: hot add" in
    Microsoft's feature descriptions names SCSI disks, network adapters and memory).
    """
    names = [node.name for node in nodes.all()]
    windows = host(nodes.client(nodes.entry.id), nodes.entry, nodes.cluster)
    clusters = [Cluster(nodes.cluster, names)] if nodes.cluster else []
    return About(
        type=TYPE,
        product=windows.product,
        version=windows.version,
        address=str(nodes.connection.hostname),
        uuid="" if clusters else windows.uuid,
        clusters=clusters,
        hosts=names,
        capabilities=Capabilities(
            hot_add=True,
            hot_add_controller=False,
            passthrough_modes=[PHYSICAL],
            controller_types=[hardware.SCSI, hardware.IDE],
            clustering=bool(clusters),
            shared_disks=False,
        ),
    )


def hosts_with_hbas(nodes: Nodes, at_once: bool = False) -> list[Host]:
    """Every host with its adapters; one that cannot be asked has none and is `unreachable`."""
    found = survey.ask(nodes, lambda client, node: _with_hbas(client, host(client, node, nodes.cluster)), at_once)
    return [found.answers.get(node.id) or lost_host(node, nodes.cluster) for node in found.nodes]


def host(client: CimClient, node: Node, cluster: str) -> Host:
    """A host by its own word, in two enumerations."""
    windows = _only(client, classes.OPERATING_SYSTEM)
    return Host(
        id=node.id,
        name=node.name,
        cluster=cluster,
        product=windows.text("Caption").strip(),
        version=windows.text("Version"),
        uuid=_only(client, classes.PRODUCT).text("UUID"),
        state=_STATES[node.state],
    )


def lost_host(node: Node, cluster: str) -> Host:
    """A host of which only the cluster tells."""
    return Host(id=node.id, name=node.name, cluster=cluster, state=UNREACHABLE)


def _with_hbas(client: CimClient, of: Host) -> Host:
    told = hbas.adapters_of(client)
    untold = [f"Host {of.name} does not tell portals, sessions and paths of its iSCSI adapters: {reason}" for reason in told.untold]
    return replace(of, hbas=told.hbas, warnings=untold)


def _only(client: CimClient, cim_class: CimClass) -> CimInstance:
    """The one instance of a class, which a damaged WMI repository may lack."""
    found = list(client.query(cim_class, columns=cim_class.columns))
    return found[0] if found else CimInstance(cim_class.name)
