# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The resources of the REST interface: which fields each has, and its records made from the state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tests.lab.ontap import releases
from tests.lab.ontap.query import LINKS, Record, Shape
from tests.lab.ontap.state import Array, ConsistencyGroup, GroupSnapshot, Igroup, Lun, LunMap, Mirror, Snapshot, Svm, Volume
from tests.lab.world import identity

SVM = ("svm.name", "svm.uuid")
NODE = ("name", "uuid")

HREFS: Mapping[str, str] = {
    "svm": "/api/svm/svms/{uuid}",
    "lun": "/api/storage/luns/{uuid}",
    "igroup": "/api/protocols/san/igroups/{uuid}",
    "volume": "/api/storage/volumes/{uuid}",
    "node": "/api/cluster/nodes/{uuid}",
    "job": "/api/cluster/jobs/{uuid}",
}


def _under(parent: str, *names: str) -> tuple[str, ...]:
    return tuple(f"{parent}.{name}" for name in names)


LUN = Shape(
    key=("uuid",),
    defaults=("name", *SVM),
    expensive=("attributes", "auto_delete", "copy", "lun_maps", "movement", "statistics", "metric", "vvol", "space.physical_used",
               "space.physical_used_by_snapshots", "space.efficiency_ratio", "space.snapshot"),
    fields=(
        "uuid", "name", *SVM, "os_type", "class", "enabled", "comment", "create_time", "serial_number", "serial_number_hex", "auto_delete",
        *_under("location", "logical_unit", "node.name", "node.uuid", "qtree.id", "qtree.name", "volume.name", "volume.uuid"),
        *_under("space", "size", "used", "guarantee.requested", "guarantee.reserved", "scsi_thin_provisioning_support_enabled",
                "physical_used", "physical_used_by_snapshots", "efficiency_ratio", "snapshot.reserve_percent"),
        *_under("status", "container_state", "mapped", "read_only", "state"),
        *_under("lun_maps", "logical_unit_number", "igroup.name", "igroup.uuid", "igroup.os_type", "igroup.protocol", "igroup.comment",
                "igroup.initiators.name", "igroup.initiators.comment", "igroup.igroups.name", "igroup.igroups.uuid"),
        *_under("qos_policy", "name", "uuid"), *_under("consistency_group", "name", "uuid"), *_under("clone.source", "name", "uuid"),
        *_under("copy", "source.name", "source.uuid"), *_under("attributes", "name", "value"),
        *_under("movement", "paths.source", "paths.destination", "progress.state", "progress.percent_complete"),
        *_under("vvol", "is_bound"), *_under("metric", "status"), *_under("statistics", "status"),
    ),
    case_insensitive=frozenset({"lun_maps.igroup.initiators.name"}),
    parameters=frozenset({"allow_delete_while_mapped"}),
    since=releases.LUN,
)  # fmt: skip
LUN_CREATE = (
    *SVM, "name", "location.volume.name", "location.volume.uuid", "location.qtree.name", "location.logical_unit", "os_type", "space.size",
    "space.guarantee.requested", "space.scsi_thin_provisioning_support_enabled", "comment", "auto_delete", "clone.source.name",
    "clone.source.uuid",
)  # fmt: skip
LUN_MODIFY = (
    "name", "space.size", "space.guarantee.requested", "space.scsi_thin_provisioning_support_enabled", "comment", "enabled", "auto_delete",
    "clone.source.name", "clone.source.uuid",
)  # fmt: skip

IGROUP = Shape(
    key=("uuid",),
    defaults=("name", *SVM),
    expensive=("connectivity_tracking", "igroups", "lun_maps", "parent_igroups", "target"),
    fields=(
        "uuid", "name", *SVM, "os_type", "protocol", "comment", "delete_on_unmap", "supports_igroups",
        "initiators.name", "initiators.comment",
        *_under("lun_maps", "logical_unit_number", "lun.name", "lun.uuid", "lun.node.name", "lun.node.uuid"),
        *_under("igroups", "name", "uuid"), *_under("parent_igroups", "name", "uuid"), *_under("portset", "name", "uuid"),
        *_under("connectivity_tracking", "connection_state"), *_under("target", "product_id"), "replication.state",
    ),
    case_insensitive=frozenset({"initiators.name"}),
    parameters=frozenset({"allow_delete_while_mapped"}),
    since=releases.IGROUP,
)  # fmt: skip
IGROUP_CREATE = (*SVM, "name", "os_type", "protocol", "comment", "initiators", "igroups")
IGROUP_MODIFY = ("name", "os_type", "comment")

INITIATOR = Shape(
    key=("name",),
    defaults=("igroup.name", "igroup.uuid"),
    expensive=("connectivity_tracking",),
    fields=("name", "comment", "igroup.name", "igroup.uuid", "connectivity_tracking.connection_state", "proximity.local_svm"),
    case_insensitive=frozenset({"name"}),
    parameters=frozenset({"allow_delete_while_mapped"}),
    since=releases.INITIATOR,
)

NESTED = Shape(key=("uuid",), fields=("uuid", "name", "igroup.name", "igroup.uuid"), parameters=frozenset({"allow_delete_while_mapped"}))

LUN_MAP = Shape(
    key=("lun.uuid", "igroup.uuid"),
    defaults=("lun.name", "igroup.name", *SVM),
    expensive=("reporting_nodes",),
    fields=(
        *SVM, "logical_unit_number", *_under("lun", "name", "uuid", "node.name", "node.uuid"), *_under("reporting_nodes", *NODE),
        *_under("igroup", "name", "uuid", "os_type", "protocol", "initiators", "replicated"),
    ),
    case_insensitive=frozenset({"igroup.initiators"}),
    since=releases.LUN_MAP,
)  # fmt: skip
LUN_MAP_CREATE = (*SVM, "lun.name", "lun.uuid", "igroup.name", "igroup.uuid", "logical_unit_number")

VOLUME = Shape(
    key=("uuid",),
    expensive=("is_svm_root", "nas", "guarantee", "space.percent_used", "space.physical_used", "space.snapshot", "encryption", "efficiency",
               "files", "autosize", "quota", "qos", "movement", "statistics", "metric", "error_state", "application"),
    fields=(
        "uuid", "name", *SVM, "size", "state", "style", "type", "create_time", "comment", "language", "is_svm_root", "snapshot_count",
        *_under("space", "size", "available", "used", "percent_used", "physical_used", "snapshot.reserve_percent"),
        *_under("nas", "path", "security_style", "export_policy.name"), "guarantee.type", "guarantee.honored", *_under("aggregates", *NODE),
        *_under("snapshot_policy", "name", "uuid"), "encryption.enabled", "efficiency.state", "files.maximum", "autosize.mode",
        "quota.state", "qos.policy.name", "movement.state", "statistics.status",
        "metric.status", "error_state.is_inconsistent", "application.name",
    ),
)  # fmt: skip

VOLUME_MODIFY = ("state",)

RELATIONSHIP = Shape(
    key=("uuid",),
    defaults=("source.path", "destination.path"),
    expensive=("source.consistency_group_volumes", "destination.consistency_group_volumes"),
    fields=(
        "uuid", "state", "healthy", *_under("policy", "name", "type", "uuid"),
        *_under("source", "path", "cluster.name", "svm.name", "consistency_group_volumes.name"),
        *_under("destination", "path", "cluster.name", "svm.name", "consistency_group_volumes.name"),
    ),
    parameters=frozenset({"list_destinations_only"}),
)  # fmt: skip

SNAPSHOT = Shape(
    key=("uuid",),
    expensive=("delta", "reclaimable_space"),
    fields=("uuid", "name", *SVM, "volume.name", "volume.uuid", "create_time", "comment", "state", "size", "owners", "expiry_time",
            "snapmirror_label", "version_uuid", "delta.size_consumed", "reclaimable_space"),
)  # fmt: skip
SNAPSHOT_CREATE = (*SVM, "volume.name", "volume.uuid", "name", "comment", "expiry_time", "snapmirror_label")
SNAPSHOT_MODIFY = ("name", "comment", "expiry_time", "snapmirror_label")

CONSISTENCY_GROUP = Shape(
    key=("uuid",),
    expensive=("volumes", "luns", "snapshots"),
    fields=("uuid", "name", *SVM, *_under("volumes", "name", "uuid", "provisioning_options.action"), "replicated"),
)
CONSISTENCY_GROUP_CREATE = (*SVM, "name", "volumes")

GROUP_SNAPSHOT = Shape(
    key=("uuid",),
    fields=("uuid", "name", *SVM, *_under("consistency_group", "name", "uuid"), "consistency_type", "create_time", "comment",
            "snapmirror_label", "is_partial", *_under("snapshot_volumes", "volume.name", "volume.uuid", "snapshot.name", "snapshot.uuid")),
)  # fmt: skip
GROUP_SNAPSHOT_CREATE = ("name", "comment", "consistency_type", "snapmirror_label")

SVMS = Shape(
    key=("uuid",),
    expensive=("snapmirror",),
    fields=(
        "uuid", "name", "state", "subtype", "language", "comment", "ipspace.name", "ipspace.uuid", *_under("aggregates", *NODE),
        *_under("iscsi", "enabled", "allowed"), *_under("fcp", "enabled", "allowed"), *_under("nfs", "enabled", "allowed"),
        *_under("cifs", "enabled", "allowed"), *_under("nvme", "enabled", "allowed"),
        *_under("ip_interfaces", "name", "uuid", "services", "ip.address"),
        *_under("fc_interfaces", "name", "uuid", "data_protocol"), "snapmirror.is_protected",
    ),
)  # fmt: skip

SVM_MODIFY = ("state",)
ENABLED = ("enabled",)

IP_INTERFACE = Shape(
    key=("uuid",),
    defaults=("name", "ip.address"),
    expensive=("metric", "statistics"),
    fields=(
        "uuid", "name", *SVM, "enabled", "state", "scope", "services", "service_policy.name", *_under("ip", "address", "family", "netmask"),
        *_under("location", "node.name", "node.uuid", "home_node.name", "home_node.uuid", "is_home"), "ipspace.name", "metric.status",
        "statistics.status",
    ),
)  # fmt: skip

FC_INTERFACE = Shape(
    key=("uuid",),
    expensive=("metric", "statistics"),
    fields=(
        "uuid", "name", *SVM, "enabled", "state", "wwpn", "wwnn", "data_protocol", "comment", "metric.status", "statistics.status",
        *_under("location", "node.name", "node.uuid", "home_node.name", "home_node.uuid", "is_home"),
    ),
)  # fmt: skip

SAN_SERVICE = Shape(
    key=("svm.uuid",),
    defaults=("svm.name",),
    expensive=("metric", "statistics"),
    fields=(*SVM, "enabled", "target.name", "target.alias", "metric.status", "statistics.status"),
)

CLUSTER = Shape(
    key=("uuid",),
    expensive=("metric", "statistics"),
    fields=("uuid", "name", "contact", "location", "san_optimized", "disaggregated", "metric.status", "statistics.status",
            *_under("version", "full", "generation", "major", "minor"), *_under("management_interfaces", "name", "uuid", "ip.address")),
    since=releases.CLUSTER,
)  # fmt: skip

NODES = Shape(
    key=("uuid",),
    fields=("uuid", "name", "state", "model", "serial_number", "membership", *_under("version", "full", "generation", "major", "minor")),
)

JOB = Shape(
    key=("uuid",),
    defaults=(),
    fields=("uuid", "description", "state", "message", "code", "start_time", "end_time", *_under("error", "message", "code")),
)

PERSONALITY = Shape(key=(), defaults=("ASA_R2", "ASA_NEXT"), fields=("ASA_R2", "ASA_NEXT"))


def version(array: Array) -> Record:
    """Return the version with the text that clients print."""
    numbers = array.version
    return {"full": "NetApp Release {generation}.{major}.{minor}: Thu Jan 16 02:03:04 UTC 2025".format(**numbers), **numbers}


def cluster_record(array: Array) -> Record:
    """Return ``/api/cluster``."""
    return {"name": array.name, "uuid": array.uuid, "version": version(array), "san_optimized": False, "disaggregated": array.disaggregated}


def node_records(array: Array) -> list[Record]:
    """Return the cluster's nodes."""
    return [
        {"uuid": uuid, "name": name, "state": "up", "model": "SIMBOX", "membership": "member", "version": version(array)}
        for name, uuid in array.nodes.items()
    ]


def svm_records(array: Array) -> list[Record]:
    """Return the SVMs."""
    return [_svm(svm) for svm in array.svms]


def _svm(svm: Svm) -> Record:
    return {
        "uuid": svm.uuid,
        "name": svm.name,
        "state": "running" if svm.running else "stopped",
        "subtype": "default",
        "language": "c.utf_8",
        "ipspace": {"name": "Default"},
        "iscsi": {"enabled": bool(svm.portals), "allowed": True},
        "fcp": {"enabled": bool(svm.fc_lifs), "allowed": True},
        "nfs": {"enabled": bool(svm.nfs_lifs), "allowed": True},
        "cifs": {"enabled": False, "allowed": False},
        "nvme": {"enabled": False, "allowed": False},
    }


def lun_records(array: Array) -> list[Record]:
    """Return every LUN that is visible."""
    return [_lun(array, svm, lun, maps) for svm in array.svms for lun, maps in svm.maps_of_visible_luns().items()]


def lun_record(array: Array, svm: Svm, lun: Lun) -> Record:
    """Return one LUN with everything, expensive or not."""
    return _lun(array, svm, lun, svm.maps_of(lun))


def _lun(array: Array, svm: Svm, lun: Lun, maps: Sequence[LunMap]) -> Record:
    record = {
        "uuid": lun.uuid,
        "name": lun.path,
        "svm": _svm_reference(svm),
        "location": {"logical_unit": lun.base_name, "node": _node_reference(array), "volume": _volume_reference(lun.volume)},
        "os_type": lun.os_type,
        "class": "regular",
        "enabled": lun.enabled,
        "auto_delete": lun.auto_delete,
        "create_time": lun.created,
        "serial_number": lun.serial,
        "serial_number_hex": lun.serial.encode("ascii").hex(),
        "space": {
            "size": lun.size,
            "used": lun.used,
            "guarantee": {"requested": lun.reserved, "reserved": lun.reserved},
            "scsi_thin_provisioning_support_enabled": lun.space_allocation,
        },
        "status": {
            "container_state": "online" if lun.volume.state == "online" else "volume_offline",
            "mapped": bool(maps),
            "read_only": False,
            "state": "online" if lun.enabled and lun.volume.state == "online" else "offline",
        },
    }
    if lun.comment:
        record["comment"] = lun.comment
    if lun.moved_from:
        paths = {"source": lun.moved_from, "destination": lun.path}
        record["movement"] = {"paths": paths, "progress": {"state": "complete", "percent_complete": 100}}
    if maps:
        record["lun_maps"] = [{"logical_unit_number": m.number, "igroup": _igroup_of_lun(m.igroup)} for m in maps]
    return record


def _igroup_of_lun(igroup: Igroup) -> Record:
    """What a LUN tells of a group that it is mapped to: who is in it directly."""
    own = {"os_type": igroup.os_type, "protocol": igroup.protocol, **_initiators(igroup.initiators)}
    return {**_igroup_reference(igroup), **own, **_groups("igroups", igroup.igroups)}


def _initiators(members: Mapping[str, str]) -> Record:
    rows = [{"name": name, "comment": comment} if comment else {"name": name} for name, comment in members.items()]
    return {"initiators": rows} if rows else {}


def _groups(field: str, igroups: Sequence[Igroup]) -> Record:
    return {field: [_igroup_reference(igroup) for igroup in igroups]} if igroups else {}


def igroup_records(array: Array) -> list[Record]:
    """Return every igroup."""
    return [igroup_record(array, svm, igroup) for svm in array.svms for igroup in svm.igroups]


def igroup_record(array: Array, svm: Svm, igroup: Igroup) -> Record:
    """Return one igroup with everything, expensive or not."""
    maps = [
        {"logical_unit_number": m.number, "lun": {"name": m.lun.path, "uuid": m.lun.uuid, "node": _node_reference(array)}}
        for m in svm.maps_in(igroup)
    ]
    return {
        **_igroup_reference(igroup),
        "svm": _svm_reference(svm),
        "os_type": igroup.os_type,
        "protocol": igroup.protocol,
        "delete_on_unmap": False,
        "supports_igroups": not igroup.initiators,
        **({"comment": igroup.comment} if igroup.comment else {}),
        **_initiators(igroup.members),
        **_groups("igroups", igroup.igroups),
        **_groups("parent_igroups", svm.parents_of(igroup)),
        **({"lun_maps": maps} if maps else {}),
    }


def initiator_records(igroup: Igroup) -> list[Record]:
    """Return the members of an igroup."""
    return [{**row, "igroup": _igroup_reference(igroup)} for row in _initiators(igroup.initiators).get("initiators", [])]


def nested_records(igroup: Igroup) -> list[Record]:
    """Return the groups that are directly in an igroup."""
    return [{**_igroup_reference(nested), "igroup": _igroup_reference(igroup)} for nested in igroup.igroups]


def lun_map_records(array: Array) -> list[Record]:
    """Return every map."""
    return [lun_map_record(array, svm, lun_map) for svm in array.svms for lun_map in svm.maps]


def lun_map_record(array: Array, svm: Svm, lun_map: LunMap) -> Record:
    """Return one map with everything, expensive or not."""
    return {
        "svm": _svm_reference(svm),
        "lun": {"uuid": lun_map.lun.uuid, "name": lun_map.lun.path, "node": _node_reference(array)},
        "igroup": {
            **_igroup_reference(lun_map.igroup),
            "os_type": lun_map.igroup.os_type,
            "protocol": lun_map.igroup.protocol,
            "initiators": list(lun_map.igroup.members),
        },
        "logical_unit_number": lun_map.number,
        "reporting_nodes": [{"name": name, "uuid": uuid} for name, uuid in array.nodes.items()],
    }


def volume_records(array: Array) -> list[Record]:
    """Return every volume."""
    return [_volume(svm, volume) for svm in array.svms for volume in svm.volumes]


def _volume(svm: Svm, volume: Volume) -> Record:
    available = svm.available(volume)
    return {
        **_volume_reference(volume),
        "svm": _svm_reference(svm),
        "size": volume.size,
        "state": volume.state,
        "style": "flexvol",
        "type": "rw",
        "create_time": volume.created,
        "is_svm_root": volume.is_root,
        "language": "c.utf_8",
        "aggregates": [{"name": "aggr1", "uuid": identity("aggregate", "aggr1")}],
        "snapshot_policy": {"name": "default", "uuid": identity("snapshot_policy", "default")},
        "encryption": {"enabled": False},
        "error_state": {"is_inconsistent": False},
        "snapshot_count": len(volume.snapshots),
        "guarantee": {"type": "volume", "honored": True},
        "space": {
            "size": volume.size,
            "available": available,
            "used": volume.size - available,
            "percent_used": (volume.size - available) * 100 // volume.size,
            "snapshot": {"reserve_percent": 0},
        },
        "nas": {"security_style": "unix", "export_policy": {"name": "default"}, **({"path": volume.junction} if volume.junction else {})},
    }


def relationship_records(array: Array, of_sources: bool) -> list[Record]:
    """Return the relationships whose source is here, or those whose destination is: one request shows only one kind."""
    return [_relationship(array, mirror) for mirror in array.mirrors if mirror.is_source == of_sources]


def _relationship(array: Array, mirror: Mirror) -> Record:
    clusters = (array.name, mirror.partner) if mirror.is_source else (mirror.partner, array.name)
    return {
        "uuid": mirror.uuid,
        "state": "in_sync" if mirror.kind == "sync" else "snapmirrored",
        "healthy": True,
        "policy": {"name": mirror.policy, "type": mirror.kind},
        "source": _endpoint(mirror.source, clusters[0], mirror),
        "destination": _endpoint(mirror.destination, clusters[1], mirror),
    }


def _endpoint(path: str, cluster: str, mirror: Mirror) -> Record:
    volumes = [{"name": name} for name in mirror.volumes]
    return {"path": path, "cluster": {"name": cluster}, "svm": {"name": path.partition(":")[0]}, "consistency_group_volumes": volumes}


def snapshot_records(svm: Svm, volume: Volume) -> list[Record]:
    """Return the snapshots of a volume."""
    return [snapshot_record(svm, volume, snapshot) for snapshot in volume.snapshots]


def snapshot_record(svm: Svm, volume: Volume, snapshot: Snapshot) -> Record:
    """Return one snapshot."""
    return {
        "uuid": snapshot.uuid,
        "name": snapshot.name,
        "svm": _svm_reference(svm),
        "volume": _volume_reference(volume),
        "create_time": snapshot.created,
        "state": snapshot.state,
        "size": sum(lun.used for lun in snapshot.luns),
        **({"comment": snapshot.comment} if snapshot.comment else {}),
        **({"expiry_time": snapshot.expires} if snapshot.expires else {}),
        **({"snapmirror_label": snapshot.label} if snapshot.label else {}),
        **({"owners": snapshot.owners} if snapshot.owners else {}),
    }


def consistency_group_records(array: Array) -> list[Record]:
    """Return every consistency group."""
    return [consistency_group_record(svm, group) for svm in array.svms for group in svm.groups]


def consistency_group_record(svm: Svm, group: ConsistencyGroup) -> Record:
    """Return one consistency group."""
    volumes = [_volume_reference(volume) for volume in group.volumes]
    return {"uuid": group.uuid, "name": group.name, "svm": _svm_reference(svm), "replicated": False, "volumes": volumes}


def group_snapshot_records(svm: Svm, group: ConsistencyGroup) -> list[Record]:
    """Return what a consistency group has taken."""
    return [group_snapshot_record(svm, group, taken) for taken in group.snapshots]


def group_snapshot_record(svm: Svm, group: ConsistencyGroup, taken: GroupSnapshot) -> Record:
    """Return the snapshots that a consistency group took at one moment."""
    parts = [(volume, part) for volume in group.volumes for part in volume.snapshots if part.name == taken.name]
    rows = [{"volume": _volume_reference(volume), "snapshot": {"name": part.name, "uuid": part.uuid}} for volume, part in parts]
    return {
        "uuid": taken.uuid,
        "name": taken.name,
        "svm": _svm_reference(svm),
        "consistency_group": {"name": group.name, "uuid": group.uuid},
        "consistency_type": taken.kind,
        "create_time": taken.created,
        "is_partial": len(parts) < len(group.volumes),
        "snapshot_volumes": rows,
        **({"comment": taken.comment} if taken.comment else {}),
        **({"snapmirror_label": taken.label} if taken.label else {}),
    }


def ip_interface_records(array: Array) -> list[Record]:
    """Return the data LIFs."""
    lifs = [(svm, "data_iscsi", address) for svm in array.svms for address in svm.portals]
    lifs += [(svm, "data_nfs", address) for svm in array.svms for address in svm.nfs_lifs]
    return [_ip_interface(array, svm, service, address) for svm, service, address in lifs]


def _ip_interface(array: Array, svm: Svm, service: str, address: str) -> Record:
    return {
        "uuid": identity("lif", f"{svm.name}/{address}"),
        "name": f"{service.removeprefix('data_')}_{address.rpartition('.')[2]}",
        "svm": _svm_reference(svm),
        "ip": {"address": address, "netmask": "24", "family": "ipv4"},
        "enabled": address not in svm.down,
        "state": "up" if svm.is_up(address) else "down",
        "scope": "svm",
        "services": ["data_core", service],
        "service_policy": {"name": "default-data-blocks" if service == "data_iscsi" else "default-data-files"},
        "ipspace": {"name": "Default"},
        "location": _location(array, array.node_of(svm, address)),
    }


def fc_interface_records(array: Array) -> list[Record]:
    """Return the FC LIFs."""
    return [
        {
            "uuid": identity("lif", f"{svm.name}/{lif['wwpn']}"),
            "name": lif["name"],
            "svm": _svm_reference(svm),
            "enabled": lif["wwpn"] not in svm.down,
            "state": "up" if svm.is_up(lif["wwpn"]) else "down",
            "data_protocol": "fcp",
            "wwpn": lif["wwpn"],
            "wwnn": lif["wwnn"],
            "location": _location(array, array.node_of(svm, lif["wwpn"])),
        }
        for svm in array.svms
        for lif in svm.fc_lifs
    ]


def iscsi_service_records(array: Array) -> list[Record]:
    """Return the iSCSI services: one for every SVM with portals."""
    return [
        {"svm": _svm_reference(svm), "enabled": svm.iscsi_enabled, "target": {"name": svm.iqn, "alias": svm.name}}
        for svm in array.svms
        if svm.portals
    ]


def fcp_service_records(array: Array) -> list[Record]:
    """Return the FC services: one for every SVM with FC LIFs, named by its WWNN."""
    return [{"svm": _svm_reference(svm), "enabled": True, "target": {"name": svm.fc_lifs[0]["wwnn"]}} for svm in array.svms if svm.fc_lifs]


def personality_records(array: Array) -> list[Record]:
    """Return what tells an ASA r2 system from a unified one."""
    return [{"ASA_R2": array.disaggregated, "ASA_NEXT": array.disaggregated}]


def add_links(value: Any, kind: str | None = None) -> Any:
    """Return the record with HAL links to every object it refers to; ``kind`` is the resource of the record itself."""
    if isinstance(value, list):
        return [add_links(item, kind) for item in value]
    if not isinstance(value, Mapping):
        return value
    linked: Record = {key: add_links(child, key) for key, child in value.items()}
    if kind is not None and kind in HREFS and "uuid" in value:
        linked[LINKS] = {"self": {"href": HREFS[kind].format(uuid=value["uuid"])}}
    return linked


def _svm_reference(svm: Svm) -> Record:
    return {"name": svm.name, "uuid": svm.uuid}


def _volume_reference(volume: Volume) -> Record:
    return {"uuid": volume.uuid, "name": volume.name}


def _igroup_reference(igroup: Igroup) -> Record:
    return {"uuid": igroup.uuid, "name": igroup.name}


def _node_reference(array: Array, name: str = "") -> Record:
    return {"name": name or array.node, "uuid": array.nodes[name or array.node]}


def _location(array: Array, node: str) -> Record:
    return {"node": _node_reference(array, node), "home_node": _node_reference(array, node), "is_home": True}
