# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who a pool is and what it can do, and its hosts with their initiators."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import InvalidInput, RemoteError
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.xen import estate as estates
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.xen import machines, probing, repositories
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.xen.estate import Estate
from ansible_collections.crossvisor.san.plugins.module_utils._san.initiator_name import normalize_iqn, normalize_wwpn
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import (
    FIBRE_CHANNEL,
    ISCSI_HARDWARE,
    ISCSI_SOFTWARE,
    OFFLINE,
    ONLINE,
    PHYSICAL,
    UNKNOWN,
    UNREACHABLE,
    VIRTUAL,
    About,
    Capabilities,
    Cluster,
    Hba,
    Host,
    LunPath,
    Portal,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.xapi import Record, XapiSession
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.xapi_xml import Element, words

TYPE = "xen"
_STATES = {"online": ONLINE, "linkdown": OFFLINE, "offline": OFFLINE}
_DEFAULT_PORT = 3260


def about(session: XapiSession) -> About:
    """The pool, its hosts, and what it can do; `storage_types` are the types of repository that it offers."""
    seen = estates.read(session)
    offered = sorted(str(kind) for kind in session.read("SR.get_supported_types"))
    hosts = [host.name for host in seen.hosts]
    master = seen.host.get(seen.master, {}).get("software_version", {})
    return About(
        type=TYPE,
        product=master.get("product_brand", "XAPI"),
        version=master.get("product_version", ""),
        address=session.address,
        uuid=seen.pool["uuid"],
        clusters=[Cluster(seen.cluster, hosts)],
        hosts=hosts,
        capabilities=Capabilities(
            hot_add=True,
            hot_add_controller=False,
            passthrough_modes=[PHYSICAL, VIRTUAL],
            controller_types=[machines.CONTROLLER],
            clustering=len(hosts) > 1,
            shared_disks=True,
            storage_types=offered,
        ),
    )


def hosts_with_hbas(session: XapiSession) -> list[Host]:
    """Every host with its initiators: one call more for each host, by which its adapters look for LUNs."""
    seen = estates.read(session)
    return [_with_hbas(session, seen, host) for host in seen.hosts]


def _with_hbas(session: XapiSession, seen: Estate, host: Host) -> Host:
    ref = seen.host_ref(host.id)
    own = list(_software_iscsi(seen, ref))
    if host.state == UNREACHABLE:
        return replace(host, hbas=own, warnings=[f"Host {host.name} is not live, so that its Fibre Channel adapters are not known."])
    try:
        listing = probing.fibre_channel(session, ref)
    except RemoteError as error:
        told = str(error).rstrip(".")
        return replace(host, hbas=own, warnings=[f"Host {host.name} told nothing of its Fibre Channel adapters: {told}."])
    adapters = [hba for adapter in listing.adapters for hba in _adapter(adapter, listing)]
    return replace(host, hbas=[*adapters, *own])


def iqn_of(record: Record) -> str:
    """The initiator name of a host: the field of XenServer 7.6 and later, else what older ones keep in other_config."""
    for word in (record.get("iscsi_iqn", ""), record.get("other_config", {}).get("iscsi_iqn", "")):
        try:
            return normalize_iqn(word)
        except InvalidInput:
            continue
    return ""


def _software_iscsi(seen: Estate, ref: str) -> Iterator[Hba]:
    record = seen.host.get(ref, {})
    iqn = iqn_of(record)
    if not iqn:
        return
    configs = [pbd["device_config"] for pbd in seen.pbd.values() if pbd["host"] == ref]
    targets = [found for found in map(repositories.target, configs) if found]
    yield Hba(
        name="iscsi",
        kind=ISCSI_SOFTWARE,
        status=ONLINE,
        driver="iscsi_tcp",
        model="Open-iSCSI of the control domain",
        iqn=iqn,
        portals=list(dict.fromkeys(Portal(found.address, int(found.port or _DEFAULT_PORT)) for found in targets)),
    )


def _adapter(adapter: Element, listing: probing.HbaListing) -> Iterator[Hba]:
    """An adapter for Fibre Channel or iSCSI; others, such as RAID controllers, have no initiator."""
    port, iscsi = adapter.find("fc_host"), adapter.find("iscsi_host")
    name, driver, model = words(adapter, "host"), words(adapter, "name"), words(adapter, "manufacturer")
    if port is not None:
        yield Hba(
            name=name,
            kind=FIBRE_CHANNEL,
            status=_STATES.get(words(port, "port_state").lower(), UNKNOWN),
            driver=driver,
            model=model,
            speed_gbit_s=_gbit(words(port, "speed")),
            node_wwn=_wwn(words(port, "node_name")),
            port_wwn=_wwn(words(port, "port_name")),
            paths=[LunPath(lun.name, lun.path, "", UNKNOWN, lun.number) for lun in listing.luns if lun.adapter == words(adapter, "id")],
        )
    elif iscsi is not None:
        yield Hba(
            name=name,
            kind=ISCSI_HARDWARE,
            status=_STATES.get(words(iscsi, "port_state").lower(), UNKNOWN),
            driver=driver,
            model=model,
            iqn=words(iscsi, "initiatorname"),
        )


def _gbit(text: str) -> float | None:
    word = text.split(" ")[0]
    return float(word) if word.replace(".", "", 1).isdigit() else None


def _wwn(text: str) -> str:
    try:
        return normalize_wwpn(text)
    except InvalidInput:
        return ""
