# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the array holds, and what its hosts can see of it."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from threading import RLock
from typing import Any

from tests.lab.ontap.names import is_wwpn
from tests.lab.ontap.releases import Release, parse, release_of
from tests.lab.world import ISCSI_PORT, identity, naa_of

World = Mapping[str, Any]

LUN_IDS = range(4096)
SPACE_ALLOCATION_BY_DEFAULT = frozenset({"vmware", "hyper_v"})
SPACE_ALLOCATION_SINCE = (9, 15, 1)
"""Since then these LUNs are created with SCSI thin provisioning enabled."""


REST, ZAPI = "rest", "zapi"
ZAPI_UNTIL = (9, 18, 1)
"""Since then ZAPI cannot be switched on any more."""
CLUSTERS_OWN = ("/api/cluster", "/api/cluster/nodes")
"""What the account of an SVM may not read."""


AGE_OF_THE_WORLD = timedelta(days=1)
"""How much older its LUNs are than the process that plays it: a snapshot of the same second may hold another LUN of that name."""


def now(ago: timedelta = timedelta()) -> str:
    """Return the time, or an earlier one, as ONTAP prints it."""
    return (datetime.now(timezone.utc) - ago).isoformat(timespec="seconds")


def new_uuid() -> str:
    """Return a UUID for a new object."""
    return str(uuid.uuid4())


@dataclass(frozen=True)
class LunThen:
    """A LUN as a snapshot holds it."""

    base_name: str
    size: int
    os_type: str
    used: int
    comment: str
    data: str
    """Under which a data plane keeps what it held."""


@dataclass(eq=False)
class Snapshot:
    """A point in time of a volume, with the LUNs that it had."""

    name: str
    comment: str = ""
    uuid: str = field(default_factory=new_uuid)
    created: str = field(default_factory=now)
    expires: str = ""
    label: str = ""
    """Of SnapMirror."""
    owners: list[str] = field(default_factory=list)
    """What keeps it from being deleted, such as a clone of the volume."""
    luns: list[LunThen] = field(default_factory=list)
    state: str = "valid"


@dataclass(eq=False)
class Volume:
    """A FlexVol; ``junction`` is its path in the NAS namespace."""

    name: str
    uuid: str
    size: int
    junction: str | None = None
    is_root: bool = False
    state: str = "online"
    created: str = field(default_factory=now)
    snapshots: list[Snapshot] = field(default_factory=list)


@dataclass(eq=False)
class GroupSnapshot:
    """The snapshots of one name that a consistency group took of its volumes at one moment."""

    name: str
    kind: str
    """`crash` or `application`, for people to read."""
    comment: str = ""
    label: str = ""
    uuid: str = field(default_factory=new_uuid)
    created: str = field(default_factory=now)


@dataclass(eq=False)
class ConsistencyGroup:
    """Volumes of which snapshots are taken at one moment."""

    name: str
    volumes: list[Volume]
    uuid: str = field(default_factory=new_uuid)
    snapshots: list[GroupSnapshot] = field(default_factory=list)


@dataclass(eq=False)
class Lun:
    """A LUN; ``used`` of its bytes were written; ``hidden_reads`` GETs do not show it yet."""

    volume: Volume
    base_name: str
    size: int
    os_type: str
    serial: str
    reserved: bool = False
    used: int = 0
    space_allocation: bool = False
    comment: str = ""
    enabled: bool = True
    auto_delete: bool = False
    hidden_reads: int = 0
    moved_from: str = ""
    uuid: str = field(default_factory=new_uuid)
    created: str = field(default_factory=now)

    @property
    def path(self) -> str:
        """The name by which REST and the CLI know the LUN."""
        return f"/vol/{self.volume.name}/{self.base_name}"


@dataclass(eq=False)
class Igroup:
    """An initiator group of initiators, which are lower-case names with their comments, or of other groups: never of both."""

    name: str
    protocol: str
    os_type: str
    initiators: dict[str, str]
    comment: str = ""
    uuid: str = field(default_factory=new_uuid)
    igroups: list[Igroup] = field(default_factory=list)

    @property
    def members(self) -> dict[str, str]:
        """Everybody who sees what is mapped to the group: its initiators, and those of all groups below it."""
        return {**self.initiators, **{name: comment for group in self.igroups for name, comment in group.members.items()}}

    @property
    def nested(self) -> list[Igroup]:
        """Every group below this one."""
        return [below for group in self.igroups for below in (group, *group.nested)]


@dataclass(eq=False)
class LunMap:
    """A LUN under one logical unit number in one igroup."""

    lun: Lun
    igroup: Igroup
    number: int


@dataclass(frozen=True)
class Mirror:
    """A SnapMirror relationship of a consistency group, of which one end is here."""

    source: str
    """`svm:/cg/group`."""
    destination: str
    volumes: tuple[str, ...]
    """Of the consistency group at both ends."""
    policy: str
    kind: str
    """The policy's type: `sync` or `async`."""
    partner: str
    """The other cluster."""
    is_source: bool
    uuid: str = field(default_factory=new_uuid)


@dataclass(eq=False)
class Svm:
    """A storage virtual machine with everything it serves; ``down`` are its LIFs out of service, by address or WWPN."""

    name: str
    uuid: str
    iqn: str
    portals: list[str]
    nfs_lifs: list[str]
    fc_lifs: list[dict[str, str]]
    volumes: list[Volume]
    luns: list[Lun] = field(default_factory=list)
    igroups: list[Igroup] = field(default_factory=list)
    maps: list[LunMap] = field(default_factory=list)
    groups: list[ConsistencyGroup] = field(default_factory=list)
    running: bool = True
    iscsi_enabled: bool = True
    down: set[str] = field(default_factory=set)
    lif_nodes: Mapping[str, str] = field(default_factory=dict)
    """The nodes of LIFs, by address or WWPN, that are not on the first."""
    known_initiators: Sequence[str] = ()
    """Who may log in, with or without LUNs, where a data plane must be told."""

    def is_up(self, lif: str) -> bool:
        """Return whether the LIF of this address or WWPN serves anybody."""
        return self.running and lif not in self.down

    def serves(self, lun: Lun) -> bool:
        """Return whether hosts find the LUN, if a LIF is up."""
        return self.running and lun.enabled and lun.volume.state == "online"

    @property
    def visible_luns(self) -> list[Lun]:
        """The LUNs that management already shows."""
        return [lun for lun in self.luns if not lun.hidden_reads]

    def maps_of(self, lun: Lun) -> list[LunMap]:
        """Return the maps of the LUN."""
        return [lun_map for lun_map in self.maps if lun_map.lun is lun]

    def maps_of_visible_luns(self) -> dict[Lun, list[LunMap]]:
        """Return the maps of every LUN that management shows, in one pass over them."""
        found: dict[Lun, list[LunMap]] = {lun: [] for lun in self.visible_luns}
        for lun_map in self.maps:
            if lun_map.lun in found:
                found[lun_map.lun].append(lun_map)
        return found

    def maps_in(self, igroup: Igroup) -> list[LunMap]:
        """Return the maps of the igroup."""
        return [lun_map for lun_map in self.maps if lun_map.igroup is igroup]

    def maps_seen_by(self, initiators: Iterable[str]) -> list[LunMap]:
        """Return the maps of every igroup that has one of the initiators."""
        wanted = set(initiators)
        return [lun_map for lun_map in self.maps if wanted & lun_map.igroup.members.keys()]

    def parents_of(self, igroup: Igroup) -> list[Igroup]:
        """Return the groups that this one is directly in."""
        return [parent for parent in self.igroups if igroup in parent.igroups]

    def available(self, volume: Volume) -> int:
        """Return the bytes of the volume that no LUN has reserved."""
        return volume.size - sum(lun.size for lun in self.luns if lun.volume is volume and lun.reserved)


class Array:
    """The cluster. Every reader and writer holds ``lock``."""

    def __init__(self, world: World, lun_ids: range = LUN_IDS) -> None:
        self.lock = RLock()
        self.lun_ids = lun_ids
        self.hide_next = 0
        self._load(world)

    def reset(self, world: World) -> None:
        """Return to what the world says."""
        with self.lock:
            self.hide_next = 0
            self._load(world)

    def _load(self, world: World) -> None:
        self.name: str = world["name"]
        self.uuid: str = world["uuid"]
        self.version: Mapping[str, int] = world["version"]
        self.disaggregated = bool(world.get("disaggregated"))
        self.nodes: dict[str, str] = {name: identity("node", name) for name in world["nodes"]}
        self.svms = [_load_svm(svm) for svm in world["svms"]]
        self.mirrors: list[Mirror] = []
        self.switched_off: set[str] = set()
        self.fences: list[tuple[list[Volume], str, str] | None] = []
        """Snapshots of several volumes that were begun over ZAPI: the volumes, the name and the label; None once they are taken."""
        self.copies: list[tuple[str, str]] = []
        """What a data plane has still to copy, in order: from which LUN's or snapshot's data to which, by what the data is kept under."""
        self.admit()

    def admit(self, svm: str = "", denied: Iterable[str] = ()) -> None:
        """Let the account be that of one SVM, which knows of no cluster, or one whose role lacks paths; both until the next reset."""
        with self.lock:
            self.account_svm = svm
            self.denied = frozenset({*denied, *(CLUSTERS_OWN if svm else ())})

    def switch(self, interface: str, on: bool) -> None:
        """Let the interface `rest` or `zapi` be served, or not, until the next reset; raises ValueError for another."""
        if interface not in (REST, ZAPI):
            raise ValueError(f"{interface!r} is no interface: say {REST} or {ZAPI}")
        with self.lock:
            (self.switched_off.discard if on else self.switched_off.add)(interface)

    def serves_interface(self, interface: str) -> bool:
        """Return whether the interface `rest` or `zapi` is there: its web service is on, and ZAPI is gone from 9.18 on."""
        return interface not in self.switched_off and (interface == REST or self.release < ZAPI_UNTIL)

    @property
    def node(self) -> str:
        """The node that owns every aggregate of the lab."""
        return next(iter(self.nodes))

    def node_of(self, svm: Svm, lif: str) -> str:
        """Return the node that the LIF of this address or WWPN is on."""
        return svm.lif_nodes.get(lif, self.node)

    @property
    def release(self) -> Release:
        """The release that it plays."""
        return release_of(self.version)

    def become(self, release: str, disaggregated: bool = False) -> None:
        """Play a release such as `9.11.1`, or say to be an ASA r2, until the next reset; raises ValueError for what is no release."""
        with self.lock:
            self.disaggregated = disaggregated
            self.version = dict(zip(("generation", "major", "minor"), parse(release)))

    @property
    def kept(self) -> list[str]:
        """Under what the data of snapshots is kept."""
        return [lun.data for svm in self.svms for volume in svm.volumes for snapshot in volume.snapshots for lun in snapshot.luns]

    def own_snapshot(self, volume: str, snapshot: str, owner: str) -> None:
        """Let something need a snapshot, or nothing any more for an empty owner; raises KeyError when there is none."""
        found = {(one.name, kept.name): kept for svm in self.svms for one in svm.volumes for kept in one.snapshots}
        found[volume, snapshot].owners = [owner] if owner else []

    @property
    def revision(self) -> str:
        """The product revision level of INQUIRY: four digits of the version."""
        return "".join(str(part) for part in self.release)

    def pass_read(self) -> None:
        """Count one GET of LUNs for the LUNs that are not shown yet."""
        for lun in (lun for svm in self.svms for lun in svm.luns if lun.hidden_reads):
            lun.hidden_reads -= 1

    def add_mirror(self, wanted: World) -> None:
        """Note a relationship as the control port describes it; raises KeyError for what is missing."""
        names = ("source", "destination", "volumes", "policy", "type", "partner", "is_source")
        source, destination, volumes, policy, kind, partner, is_source = (wanted[name] for name in names)
        self.mirrors.append(Mirror(source, destination, tuple(volumes), policy, kind, partner, is_source))

    def canonical(self) -> dict[str, Any]:
        """Return the state without what differs between two equal labs (UUIDs, times)."""
        return {"name": self.name, "svms": [_canonical_svm(svm) for svm in self.svms]}

    def write(self, naa: str, size: int) -> None:
        """Note that a host wrote so many bytes to the LUN; raises KeyError when there is none."""
        lun = {naa_of(lun.serial): lun for svm in self.svms for lun in svm.luns}[naa.lower()]
        lun.used = min(lun.size, lun.used + size)

    def presented(self, initiators: Iterable[str]) -> list[dict[str, Any]]:
        """Return a row for every initiator and LUN that this initiator would find by a rescan."""
        return [row for initiator in initiators for svm in self.svms for row in self._presented_by(svm, initiator)]

    def _presented_by(self, svm: Svm, initiator: str) -> Iterator[dict[str, Any]]:
        for lun_map in svm.maps_seen_by([initiator.lower()]):
            ports = _ports(svm, initiator)
            if not ports or not svm.serves(lun_map.lun):
                continue
            yield {
                "naa": naa_of(lun_map.lun.serial),
                "serial": lun_map.lun.serial,
                "lun": lun_map.number,
                "size": lun_map.lun.size,
                "vendor": "NETAPP",
                "model": "LUN C-Mode",
                "revision": self.revision,
                "ports": ports,
                "initiator": initiator,
            }


def _ports(svm: Svm, initiator: str) -> list[dict[str, Any]]:
    if is_wwpn(initiator):
        return [{"kind": "fc", "wwpn": lif["wwpn"], "wwnn": lif["wwnn"]} for lif in svm.fc_lifs if svm.is_up(lif["wwpn"])]
    if not svm.iscsi_enabled:
        return []
    return [{"kind": "iscsi", "iqn": svm.iqn, "address": address, "port": ISCSI_PORT} for address in svm.portals if svm.is_up(address)]


def _load_svm(world: World) -> Svm:
    name = world["name"]
    root = Volume(f"{name}_root", identity("volume", f"{name}/{name}_root"), 1024**3, junction="/", is_root=True)
    volumes = [_load_volume(name, volume) for volume in world["volumes"]]
    svm = Svm(
        name, world.get("uuid") or identity("svm", name), world["iqn"], list(world["portals"]), list(world["nfs_lifs"]),
        list(world["fc_lifs"]), [root, *volumes], lif_nodes=dict(world.get("lif_nodes", {})),
        known_initiators=[initiator.lower() for initiator in world.get("initiators", [])],
    )  # fmt: skip
    rows = [(volume, row) for volume, entry in zip(volumes, world["volumes"]) for row in entry["luns"]]
    svm.luns = [_load_lun(name, volume, row) for volume, row in rows]
    svm.igroups = [_load_igroup(name, igroup) for igroup in world["igroups"]]
    luns = {lun.path: lun for lun in svm.luns}
    svm.maps = [
        LunMap(luns[row["lun"]], igroup, row["id"]) for igroup, entry in zip(svm.igroups, world["igroups"]) for row in entry["maps"]
    ]
    return svm


def _load_volume(svm: str, world: World) -> Volume:
    return Volume(world["name"], world.get("uuid") or identity("volume", f"{svm}/{world['name']}"), world["size"], world.get("junction"))


def _load_lun(svm: str, volume: Volume, world: World) -> Lun:
    os_type = world["os_type"]
    return Lun(
        volume, world["name"], world["size"], os_type, world["serial"], world.get("reserved", False), world.get("used", 0),
        os_type in SPACE_ALLOCATION_BY_DEFAULT, uuid=identity("lun", f"{svm}/{volume.name}/{world['name']}"), created=now(AGE_OF_THE_WORLD),
    )  # fmt: skip


def _load_igroup(svm: str, world: World) -> Igroup:
    members = {initiator.lower(): "" for initiator in world["initiators"]}
    return Igroup(world["name"], world["protocol"], world["os_type"], members, uuid=identity("igroup", f"{svm}/{world['name']}"))


def _canonical_svm(svm: Svm) -> dict[str, Any]:
    return {
        "name": svm.name,
        "volumes": [_canonical_volume(svm, volume) for volume in sorted(svm.volumes, key=lambda volume: volume.name)],
        "consistency_groups": sorted(group.name for group in svm.groups),
        "igroups": [_canonical_igroup(svm, igroup) for igroup in sorted(svm.igroups, key=lambda igroup: igroup.name)],
    }


def _canonical_volume(svm: Svm, volume: Volume) -> dict[str, Any]:
    luns = sorted((lun for lun in svm.luns if lun.volume is volume), key=lambda lun: lun.path)
    return {
        "name": volume.name,
        "size": volume.size,
        "snapshots": sorted(snapshot.name for snapshot in volume.snapshots),
        "luns": [
            {
                "name": lun.path, "size": lun.size, "os_type": lun.os_type, "serial": lun.serial, "reserved": lun.reserved,
                "space_allocation": lun.space_allocation, "comment": lun.comment, "enabled": lun.enabled, "used": lun.used,
            }
            for lun in luns
        ],
    }  # fmt: skip


def _canonical_igroup(svm: Svm, igroup: Igroup) -> dict[str, Any]:
    return {
        "name": igroup.name,
        "protocol": igroup.protocol,
        "os_type": igroup.os_type,
        "comment": igroup.comment,
        "initiators": sorted(igroup.members),
        "maps": sorted(({"lun": m.lun.path, "id": m.number} for m in svm.maps_in(igroup)), key=lambda row: row["id"]),
    }
