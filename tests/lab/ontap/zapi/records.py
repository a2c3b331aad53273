# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The records that ZAPI lists, made from the state: the fields of each, and no others.

Source of the fields: NetApp's own Go client in Trident (`azgo/type-*.go`), which is made from the interface's schema. A list, as the
members of an igroup are, is a list of pairs here.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from tests.lab.ontap.state import Array, Igroup, Lun, LunMap, Mirror, Svm, Volume
from tests.lab.world import ISCSI_PORT, identity

Record = Mapping[str, Any]


def _fields(names: str) -> frozenset[str]:
    return frozenset(names.split())


LUN_INFO = _fields(
    "alignment block-size class comment creation-timestamp is-clone is-space-alloc-enabled is-space-reservation-enabled mapped "
    "multiprotocol-type node online path prefix-size qtree read-only serial-number share-state size size-used staging state suffix- "
    "size uuid volume vserver"
)
LUN_MAP_INFO = _fields("initiator-group initiator-group-uuid lun-id lun-uuid node path reporting-nodes vserver")
INITIATOR_GROUP_INFO = _fields(
    "initiator-group-alua-enabled initiator-group-name initiator-group-os-type initiator-group-portset-name initiator-group-throttle- "
    "borrow initiator-group-throttle-reserve initiator-group-type initiator-group-use-partner initiator-group-uuid initiator-group- "
    "vsa-enabled initiators lun-id vserver"
)
VOLUME_ATTRIBUTES = _fields(
    "volume-id-attributes volume-space-attributes volume-state-attributes volume-mirror-attributes volume-snapshot-attributes"
)
VSERVER_INFO = _fields("allowed-protocols aggr-list comment ipspace operational-state state uuid vserver-name vserver-subtype vserver-type")
ISCSI_SERVICE_INFO = _fields("alias-name is-available login-timeout node-name vserver")
ISCSI_INTERFACE = _fields(
    "current-node current-port interface-name ip-address ip-port is-interface-enabled relative-port-id tpgroup-name tpgroup-tag vserver"
)
FCP_INTERFACE_INFO = _fields("current-node current-port interface-name node-name port-address port-name relative-port-id vserver")
NET_INTERFACE_INFO = _fields(
    "address administrative-status current-node current-port data-protocols home-node interface-name is-home lif-uuid netmask "
    "operational-status role service-policy vserver wwpn"
)
SNAPMIRROR_INFO = _fields(
    "cg-item-mappings destination-cluster destination-location destination-volume destination-vserver is-healthy mirror-state policy "
    "policy-type relationship-group-type relationship-id relationship-status relationship-type source-cluster source-location source- "
    "volume source-vserver vserver"
)
SNAPMIRROR_DESTINATION_INFO = _fields(
    "cg-item-mappings destination-location destination-volume destination-vserver is-constituent policy-type relationship-group-type "
    "relationship-id relationship-status relationship-type source-location source-volume source-vserver"
)

SNAPSHOT_INFO = _fields(
    "access-time afs-used busy comment compress-savings compression-type contains-lun-clones convert-recovery "
    "cumulative-percentage-of-total-blocks cumulative-percentage-of-used-blocks cumulative-total dedup-savings dependency expiry-time "
    "infinite-snaplock-expiry-time inofile-version is-7-mode-snapshot is-constituent-snapshot name percentage-of-total-blocks "
    "percentage-of-used-blocks performance-metadata snaplock-expiry-time snapmirror-label snapshot-instance-uuid snapshot-owners-list "
    "snapshot-version-uuid state total vbn0-savings volume volume-provenance-uuid vserver"
)


def moment(text: str) -> int:
    """Return a time of the state in seconds since 1970, as ZAPI tells it."""
    return int(datetime.strptime(text.replace("Z", "+0000"), "%Y-%m-%dT%H:%M:%S%z").timestamp())


def lun(array: Array, svm: Svm, one: Lun) -> Record:
    """Return a LUN, which says of its mappings only whether there are any."""
    online = one.enabled and one.volume.state == "online"
    return {
        "class": "regular",
        "comment": one.comment or None,
        "creation-timestamp": moment(one.created),
        "is-clone": False,
        "is-space-alloc-enabled": one.space_allocation,
        "is-space-reservation-enabled": one.reserved,
        "mapped": bool(svm.maps_of(one)),
        "multiprotocol-type": one.os_type,
        "node": array.node,
        "online": online,
        "path": one.path,
        "qtree": "",
        "read-only": False,
        "serial-number": one.serial,
        "size": one.size,
        "size-used": one.used,
        "staging": False,
        "state": "online" if online else "offline",
        "uuid": one.uuid,
        "volume": one.volume.name,
        "vserver": svm.name,
    }


def lun_map(array: Array, svm: Svm, one: LunMap) -> Record:
    """Return a map."""
    return {
        "initiator-group": one.igroup.name,
        "initiator-group-uuid": one.igroup.uuid,
        "lun-id": one.number,
        "lun-uuid": one.lun.uuid,
        "node": array.node,
        "path": one.lun.path,
        "reporting-nodes": [("node-name", name) for name in array.nodes],
        "vserver": svm.name,
    }


def igroup(svm: Svm, one: Igroup) -> Record:
    """Return a group with its direct members: that those of nested groups are not told is belief, and comments there are none."""
    return {
        "initiator-group-alua-enabled": True,
        "initiator-group-name": one.name,
        "initiator-group-os-type": one.os_type,
        "initiator-group-type": one.protocol,
        "initiator-group-uuid": one.uuid,
        "initiators": [("initiator-info", {"initiator-name": name}) for name in one.initiators] or None,
        "vserver": svm.name,
    }


def volume(svm: Svm, one: Volume) -> Record:
    """Return a volume; of an offline one ONTAP tells no space."""
    online = one.state == "online"
    space = {"size": one.size, "size-available": svm.available(one), "size-total": one.size, "space-guarantee": "volume"}
    return {
        "volume-id-attributes": {
            "instance-uuid": one.uuid,
            "junction-path": one.junction,
            "name": one.name,
            "owning-vserver-name": svm.name,
            "owning-vserver-uuid": svm.uuid,
            "style-extended": "flexvol",
            "type": "rw",
        },
        "volume-space-attributes": space if online else None,
        "volume-state-attributes": {"is-vserver-root": one.is_root, "state": one.state},
    }


def vserver(one: Svm) -> Record:
    """Return an SVM."""
    state = "running" if one.running else "stopped"
    return {
        "operational-state": state,
        "state": state,
        "uuid": one.uuid,
        "vserver-name": one.name,
        "vserver-subtype": "default",
        "vserver-type": "data",
    }


def iscsi_service(one: Svm) -> Record:
    """Return the iSCSI service of an SVM."""
    return {"alias-name": one.name, "is-available": one.iscsi_enabled, "node-name": one.iqn, "vserver": one.name}


def iscsi_interfaces(array: Array, one: Svm) -> list[Record]:
    """Return the portals of an SVM."""
    return [
        {
            "current-node": array.node_of(one, address),
            "interface-name": _lif_name("iscsi", address),
            "ip-address": address,
            "ip-port": ISCSI_PORT,
            "is-interface-enabled": address not in one.down,
            "tpgroup-name": _lif_name("iscsi", address),
            "vserver": one.name,
        }
        for address in one.portals
    ]


def fcp_interfaces(array: Array, one: Svm) -> list[Record]:
    """Return the Fibre Channel ports of an SVM."""
    return [
        {
            "current-node": array.node_of(one, lif["wwpn"]),
            "interface-name": lif["name"],
            "node-name": lif["wwnn"],
            "port-name": lif["wwpn"],
            "vserver": one.name,
        }
        for lif in one.fc_lifs
    ]


def net_interfaces(array: Array, one: Svm) -> list[Record]:
    """Return the LIFs of an SVM."""
    addresses = [("iscsi", address) for address in one.portals] + [("nfs", address) for address in one.nfs_lifs]
    by_address = [
        _lif(array, one, address, _lif_name(protocol, address), protocol, {"address": address}) for protocol, address in addresses
    ]
    return by_address + [_lif(array, one, lif["wwpn"], lif["name"], "fcp", {"wwpn": lif["wwpn"]}) for lif in one.fc_lifs]


def _lif(array: Array, one: Svm, key: str, name: str, protocol: str, own: Record) -> Record:
    return {
        **own,
        "administrative-status": "down" if key in one.down else "up",
        "current-node": array.node_of(one, key),
        "data-protocols": [("data-protocol", protocol)],
        "interface-name": name,
        "lif-uuid": identity("lif", f"{one.name}/{key}"),
        "operational-status": "up" if one.is_up(key) else "down",
        "role": "data",
        "vserver": one.name,
    }


def _lif_name(protocol: str, address: str) -> str:
    return f"{protocol}_{address.rpartition('.')[2]}"


def snapmirror(array: Array, one: Mirror) -> Record:
    """Return a relationship that ends here."""
    return {**snapmirror_destination(array, one), "destination-cluster": array.name, "policy": one.policy, "source-cluster": one.partner}


def snapmirror_destination(array: Array, one: Mirror) -> Record:
    """Return a relationship that begins here, which does not tell its policy's name."""
    kinds = {"sync": "automated_failover", "async": "async_mirror"}  # the first: belief
    items = [("string", f"{name}:@{name}") for name in one.volumes]
    return {
        "cg-item-mappings": items or None,
        "destination-location": one.destination,
        "policy-type": kinds.get(one.kind, one.kind) or None,
        "relationship-group-type": "consistencygroup" if "/cg/" in one.source else "none",
        "relationship-id": one.uuid,
        "relationship-type": "extended_data_protection",
        "source-location": one.source,
    }
