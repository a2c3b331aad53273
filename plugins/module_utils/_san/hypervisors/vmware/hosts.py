# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who a vCenter Server or ESXi host is and what it can do, and its hosts with their adapters."""

from __future__ import annotations

from dataclasses import replace

from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.vmware import places, properties, rdm, storage
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.vmware.estate import Estate
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import About, Capabilities, Cluster, Host
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.vim import VimSession

TYPE = "vmware"
_HOSTS_PER_PAGE = 50
"""A host's paths to a few hundred LUNs are megabytes of XML."""


def about(session: VimSession, address: str) -> About:
    """The endpoint, its clusters and hosts, and what vSphere can do."""
    product = session.content.about
    estate = Estate(session.retrieve(properties.HOSTS))
    hosts = estate.hosts
    clusters = [Cluster(name, [host.name for host in hosts if host.cluster == name]) for name in estate.tree.clusters().values()]
    return About(
        type=TYPE,
        product=str(product.name),
        version=str(product.version),
        address=address,
        uuid=str(product.instanceUuid or ""),
        clusters=clusters,
        hosts=[host.name for host in hosts],
        capabilities=Capabilities(
            hot_add=True,
            hot_add_controller=True,
            passthrough_modes=list(rdm.COMPATIBILITY),
            controller_types=list(places.SCSI_TYPES),
            clustering=bool(clusters),
            shared_disks=True,
        ),
    )


def hosts_with_hbas(session: VimSession) -> list[Host]:
    """Every host with its adapters, in one read more than the hosts alone and a page for every 50 of them."""
    hosts = Estate(session.retrieve(properties.HOSTS)).hosts
    read = session.retrieve(
        {properties.HOST: properties.HOST_ADAPTERS}, {properties.HOST: [host.id for host in hosts]}, page_size=_HOSTS_PER_PAGE
    )
    adapters = {record.moid: storage.adapters(record) for record in read}
    return [replace(host, hbas=adapters.get(host.id, ())) for host in hosts]
