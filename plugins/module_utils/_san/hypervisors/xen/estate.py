# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Everything that a pool knows of hosts, VMs and storage, in as many calls as there are classes, whatever the number of VMs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import Refused, RemoteError
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.xen import machines, repositories
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.xen.probing import IscsiTarget
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.xen.repositories import PASSING
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import (
    CONNECTED,
    DEVICE_OK,
    MAINTENANCE,
    UNREACHABLE,
    FileSystem,
    Host,
    Inventory,
    ScsiDevice,
    Use,
    VirtualMachine,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.xapi import NULL, Record, Records, XapiSession

_ROLES = {"default_SR": "default SR", "suspend_image_SR": "SR for suspended VMs", "crash_dump_SR": "SR for crash dumps"}
_ROLES_OF_A_HOST = {"suspend_image_sr": "SR for suspended VMs", "crash_dump_sr": "SR for crash dumps", "local_cache_sr": "SR for caches"}
_ROLES_OF_A_VM = {"suspend_SR": "SR for its suspended state"}
_CLASSES = ("pool", "host", "host_metrics", "VM", "VBD", "VDI", "SR", "PBD")


@dataclass(frozen=True)
class Estate:
    """The records of one look, by opaque reference."""

    pool: Record
    host: Records
    host_metrics: Records
    vm: Records
    vbd: Records
    vdi: Records
    sr: Records
    pbd: Records

    @cached_property
    def cluster(self) -> str:
        """What the pool is called: its name, or for one without a name its UUID."""
        return str(self.pool["name_label"] or self.pool["uuid"])

    @property
    def master(self) -> str:
        """The reference of the host that answers for the pool."""
        return str(self.pool["master"])

    @cached_property
    def hosts(self) -> list[Host]:
        """Every host without its adapters."""
        return [self._host(record) for record in self.host.values()]

    @cached_property
    def virtual_machines(self) -> list[VirtualMachine]:
        """Every VM and template; neither snapshots nor control domains."""
        return [self.machine(ref, record) for ref, record in self.vm.items() if machines.is_machine(record)]

    def machine(self, ref: str, record: Record) -> VirtualMachine:
        """One VM with its disks."""
        disks = [machines.disk(vbd, *self.behind(vbd), self.parents(vbd["VDI"])) for vbd in self.disks_of(ref) if vbd["VDI"] in self.vdi]
        return machines.machine(record, self._home(record), self.cluster, disks, [*map(machines.unit, self.drives_of(ref))])

    def drives_of(self, vm: str) -> list[Record]:
        """The VBDs of a VM (reference), disks and drives for media."""
        return [self.vbd[ref] for ref in self.vm[vm]["VBDs"] if ref in self.vbd]

    def disks_of(self, vm: str) -> list[Record]:
        """The VBDs of a VM (reference) that are disks, or have a LUN whatever they are."""
        return [vbd for vbd in self.drives_of(vm) if vbd["type"] == "Disk" or self._passes_on(vbd)]

    def users(self, vdi: Record) -> list[str]:
        """The names of the VMs that have a VDI in a drive."""
        vms = [self.vm.get(self.vbd[ref]["VM"]) for ref in vdi["VBDs"] if ref in self.vbd]
        return [str(vm["name_label"]) if vm else "that the pool does not tell yet" for vm in vms]

    def keepers(self, vdi: Record) -> list[Use]:
        """What keeps a state of its own on a VDI, which no drive tells of: suspended VMs, and the pool."""
        return [use for use, ref in self._states() if ref in self.vdi and self.vdi[ref]["uuid"] == vdi["uuid"]]

    def is_used(self, vdi: Record) -> bool:
        """Whether a VM has a VDI in a drive, or anything keeps a state on it."""
        return bool(self.users(vdi) or self.keepers(vdi))

    def refuse_kept(self, vdi: Record, name: ScsiName) -> None:
        """Raise `Refused` when anything keeps a state on the VDI of a LUN."""
        for use in self.keepers(vdi):
            raise Refused(f"LUN {name} is in use by {use.kind} {use.name} by now, which {use.how}: {use.way_out}.")

    def behind(self, vbd: Record) -> tuple[Record, Record, ScsiName | None]:
        """The VDI of a VBD, its repository, and the LUN that the VDI is, if it is one."""
        vdi = self.vdi[vbd["VDI"]]
        return vdi, self.sr[vdi["SR"]], self.lun(vdi)

    def lun(self, vdi: Record) -> ScsiName | None:
        """The LUN that a VDI is, or stands for; None for an image."""
        sr = self.sr.get(vdi["SR"])
        if sr is None:
            return None
        return repositories.passed_lun(sr, vdi) if sr["type"] in PASSING else self.own_lun(sr)

    def own_lun(self, sr: Record) -> ScsiName | None:
        """The LUN for which this collection made a repository; None for anybody else's, and for one that is used for more by now."""
        name = repositories.marked(sr)
        other = [lun for pbd in self.pbds(sr) for lun in repositories.names(pbd["device_config"]) if lun != name]
        volumes = [self.vdi[ref] for ref in sr["VDIs"]]
        only = not other and len(volumes) <= 1 and all(map(repositories.is_raw, volumes))
        return name if only and sr["type"] == repositories.LVM_FC else None

    def own_repository(self, name: ScsiName) -> tuple[str, Record] | None:
        """The repository that this collection made for a LUN, with its reference."""
        return next(((ref, sr) for ref, sr in self.sr.items() if self.own_lun(sr) == name), None)

    def targets(self, sr: Record) -> list[IscsiTarget]:
        """The iSCSI targets that the PBDs of a repository name."""
        found = (repositories.target(pbd["device_config"]) for pbd in self.pbds(sr))
        return [target for target in dict.fromkeys(found) if target]

    def own_targets(self) -> list[tuple[str, Record]]:
        """The repositories of iSCSI targets that this collection made and that are what they say, with their references."""
        return [
            (ref, sr)
            for ref, sr in self.repositories_of(repositories.ISCSI)
            if (iqn := repositories.marked_target(sr)) and all(target.iqn == iqn for target in self.targets(sr))
        ]

    def vdis_of(self, name: ScsiName) -> list[tuple[str, Record]]:
        """The VDIs that are the LUN, with their references."""
        return [(ref, vdi) for ref, vdi in self.vdi.items() if self.lun(vdi) == name]

    def repositories_of(self, kind: str) -> list[tuple[str, Record]]:
        """The repositories of a type, with their references."""
        return [(ref, sr) for ref, sr in self.sr.items() if sr["type"] == kind]

    def pbds(self, sr: Record) -> list[Record]:
        """How the hosts reach a repository."""
        return [self.pbd[ref] for ref in sr["PBDs"] if ref in self.pbd]

    def attached_hosts(self, sr: Record) -> list[str]:
        """The UUIDs of the hosts that have a repository plugged in."""
        there = [pbd["host"] for pbd in self.pbds(sr) if pbd["currently_attached"]]
        return [self.host[ref]["uuid"] for ref in there if ref in self.host]

    def without(self, sr: Record) -> list[str]:
        """The names of the hosts that are live and do not have a repository plugged in."""
        attached = self.attached_hosts(sr)
        return [host.name for host in self.hosts if host.state != UNREACHABLE and host.id not in attached]

    def can_be_unplugged(self, sr: Record) -> bool:
        """Whether every host that has a repository plugged in is live; one that is down keeps the pool from forgetting it."""
        return all(self.is_live(pbd["host"]) for pbd in self.pbds(sr) if pbd["currently_attached"])

    def is_live(self, ref: str) -> bool:
        """Whether a host (reference) is there and answers."""
        return ref in self.host and self._state(self.host[ref]) != UNREACHABLE

    def host_ref(self, uuid: str) -> str:
        """The reference of a host; the null reference for one that is gone."""
        return next((ref for ref, record in self.host.items() if record["uuid"] == uuid), NULL)

    def file_systems(self) -> list[FileSystem]:
        """The repositories that keep image files; neither those that pass LUNs on, nor what this collection made for a LUN."""
        return [self._file_system(sr) for sr in self.sr.values() if sr["type"] not in PASSING and self.own_lun(sr) is None]

    def devices(self) -> list[ScsiDevice]:
        """The LUNs that hosts have in use for the pool, and those that repositories which pass LUNs on list."""
        return [*self._devices_of_pbds(), *self._devices_of_vdis()]

    def uses(self) -> list[Use]:
        """What has a LUN otherwise than as a VM's disk or as a file system, and what nobody can look into."""
        return [
            *self._unknown_repositories(),
            *self._unknown_devices(),
            *self._other_holders(),
            *self._unknown_holders(),
            *self._kept_states(),
            *self._defaults(),
            *self._unknown_disks(),
        ]

    def parents(self, vdi: str) -> list[Record]:
        """The VDIs that an image is based on, nearest first (sm_config `vhd-parent` names them by UUID)."""
        by_uuid = self._by_uuid
        found: list[Record] = []
        parent = self.vdi[vdi]["sm_config"].get("vhd-parent", "")
        while parent in by_uuid and by_uuid[parent] not in found:
            found.append(by_uuid[parent])
            parent = found[-1]["sm_config"].get("vhd-parent", "")
        return [{**record, "SR": self.sr[record["SR"]]["uuid"]} for record in found]

    @cached_property
    def _by_uuid(self) -> Records:
        return {record["uuid"]: record for record in self.vdi.values()}

    def _home(self, vm: Record) -> str:
        """The UUID of the host where a VM runs, else where it would rather run, else of the master, which is where it is registered."""
        ref = next((ref for ref in (vm["resident_on"], vm["affinity"]) if ref in self.host), self.master)
        return str(self.host[ref]["uuid"]) if ref in self.host else ""

    def _host(self, record: Record) -> Host:
        software = record["software_version"]
        return Host(
            id=record["uuid"],
            name=record["name_label"] or record["hostname"],
            cluster=self.cluster,
            product=software.get("product_brand", "XAPI"),
            version=software.get("product_version", ""),
            uuid=record["uuid"],
            state=self._state(record),
        )

    def _state(self, record: Record) -> str:
        metrics = self.host_metrics.get(record["metrics"], {})
        if not metrics.get("live", False):
            return UNREACHABLE
        return CONNECTED if record["enabled"] else MAINTENANCE

    def _file_system(self, sr: Record) -> FileSystem:
        configs = [pbd["device_config"] for pbd in self.pbds(sr)]
        return FileSystem(
            id=sr["uuid"],
            name=sr["name_label"],
            kind=sr["type"],
            hosts=[self.host[pbd["host"]]["uuid"] for pbd in self.pbds(sr) if pbd["host"] in self.host],
            extents=self._extents(sr),
            remote=next(filter(None, map(repositories.remote, configs)), ""),
            size_bytes=machines.number(sr["physical_size"]),
        )

    def _extents(self, sr: Record) -> list[str]:
        """The devices that a repository lies on, by its PBDs and by what the driver has noted."""
        named = [extent for pbd in self.pbds(sr) for extent in repositories.scsi_ids(pbd["device_config"])]
        return list(dict.fromkeys([*named, *repositories.recorded_ids(sr)]))

    def _passes_on(self, vbd: Record) -> bool:
        vdi = self.vdi.get(vbd["VDI"])
        return vdi is not None and self.sr[vdi["SR"]]["type"] in PASSING

    def _devices_of_pbds(self) -> Iterator[ScsiDevice]:
        for sr in self.sr.values():
            for pbd in self.pbds(sr):
                if pbd["currently_attached"] and pbd["host"] in self.host:
                    for extent in repositories.scsi_ids(pbd["device_config"]):
                        host = self.host[pbd["host"]]["uuid"]
                        size = repositories.marked_size(sr) or machines.number(sr["physical_size"])
                        yield ScsiDevice(host, extent, ScsiName.try_parse(extent), size, state=DEVICE_OK)

    def _devices_of_vdis(self) -> Iterator[ScsiDevice]:
        for vdi in self.vdi.values():
            sr = self.sr.get(vdi["SR"])
            name = repositories.passed_lun(sr, vdi) if sr and sr["type"] in PASSING else None
            for host in self.attached_hosts(sr) if sr and name else ():
                yield ScsiDevice(host, machines.device(name), name, machines.number(vdi["virtual_size"]), state=DEVICE_OK)

    def _unknown_repositories(self) -> Iterator[Use]:
        for sr in self.sr.values():
            told = bool(self._extents(sr)) or sr["type"] in PASSING
            if repositories.may_lie_on_a_lun(sr) and not told and repositories.marked(sr) is None:
                how = f"is a storage repository of type {sr['type']} of which no PBD tells on which LUN it lies"
                lost = "plug it in on a host, or forget it if it is gone for good"
                yield Use("SR", sr["name_label"], sr["uuid"], how, way_out="look on its hosts where it lies" if sr["PBDs"] else lost)

    def _unknown_devices(self) -> Iterator[Use]:
        """Repositories on devices whose names are a host's own: a LUN may be called so."""
        for sr in self.sr.values():
            named = [extent for extent in self._extents(sr) if not repositories.tells_device(extent)]
            if repositories.may_lie_on_a_lun(sr) and named:
                how = f"is a storage repository on {', '.join(named)}, a name that does not tell which disk that is"
                yield Use("SR", sr["name_label"], sr["uuid"], how)

    def _unknown_holders(self) -> Iterator[Use]:
        """Drives with a LUN of VMs that came into being while the pool was read."""
        for vbd in self.vbd.values():
            vdi = self.vdi.get(vbd["VDI"]) if vbd["VM"] not in self.vm else None
            name = self.lun(vdi) if vdi else None
            if name:
                yield Use("VBD", vbd["uuid"], "", "is a drive with it of a VM that the pool does not tell yet", name)
            elif vdi and self._untold(vdi):
                yield Use("VBD", vbd["uuid"], "", f"is a drive of a VM that the pool does not tell yet, with {self._which(vdi)}")

    def _defaults(self) -> Iterator[Use]:
        """Repositories of this collection's that the pool, a host or a VM was told to use for something else."""
        yield from self._roles("pool", self.cluster, self.pool, _ROLES)
        for host in self.host.values():
            yield from self._roles("host", host["name_label"] or host["hostname"], host, _ROLES_OF_A_HOST)
        for vm in self.vm.values():
            yield from self._roles(machines.kind(vm), vm["name_label"], vm, _ROLES_OF_A_VM)

    def _roles(self, kind: str, owner: str, record: Record, roles: Mapping[str, str]) -> Iterator[Use]:
        for role, what in roles.items():
            sr = self.sr.get(str(record.get(role, NULL)))
            name = self.own_lun(sr) if sr else None
            if name:
                yield Use(kind, owner, record["uuid"], f"has its SR as {what}", name, way_out=f"name another SR as {what} first")

    def _other_holders(self) -> Iterator[Use]:
        """Snapshots and control domains that have a LUN as a disk."""
        for ref, vm in self.vm.items():
            if machines.is_machine(vm):
                continue
            for vbd in self.disks_of(ref):
                name = self.lun(self.vdi[vbd["VDI"]]) if vbd["VDI"] in self.vdi else None
                if name:
                    yield Use(machines.kind(vm), vm["name_label"], vm["uuid"], "has it as a disk", name)

    def _kept_states(self) -> Iterator[Use]:
        """What keeps a state on a LUN, or on what may be any: an image on a file system or a volume group is these repositories' claim."""
        for use, ref in self._states():
            vdi = self.vdi.get(ref)
            name = self.lun(vdi) if vdi else None
            if name:
                yield replace(use, lun=name)
            elif vdi is None:
                yield replace(use, how=f"{use.how.removesuffix(' it')} a VDI that the pool has forgotten")
            elif self._untold(vdi):
                yield replace(use, how=f"{use.how.removesuffix(' it')} {self._which(vdi)}")

    def _states(self) -> Iterator[tuple[Use, str]]:
        """What keeps a state of its own on a VDI, with the reference of that VDI.

        A suspended VM and a snapshot with memory (checkpoint) name it in `suspend_VDI` (xen-api, datamodel_vm.ml). The driver `hba` takes a
        whole LUN for it, as for any VDI that is created (sm, LUNperVDI.py). `redo_log_vdi` stays when the redo log is disabled (xen-api,
        xapi_pool.ml), so that it counts only while that or high availability, which uses it too, is not known to be disabled.
        """
        for vm in self.vm.values():
            way_out = f"resume {vm['name_label']} or shut it down first" if machines.is_machine(vm) else "delete the snapshot first"
            how = "keeps its suspended state on it"
            yield from self._state_of(Use(machines.kind(vm), vm["name_label"], vm["uuid"], how, way_out=way_out), vm.get("suspend_VDI"))
        pool = Use("pool", self.cluster, self.pool["uuid"], "keeps its redo log on it", way_out="disable the redo log of the pool first")
        if self.pool.get("redo_log_enabled", True) or self.pool.get("ha_enabled", True):
            yield from self._state_of(pool, self.pool.get("redo_log_vdi"))
        refs = {record["uuid"]: ref for ref, record in self.vdi.items()}
        how, way_out = "keeps the state of its high availability on it", "disable high availability first"
        for word in self.pool.get("ha_statefiles", ()):
            yield from self._state_of(replace(pool, how=how, way_out=way_out), refs.get(word, word))

    def forgotten(self) -> set[str]:
        """References of states whose VDI is not there, or was not there yet or any more when the VDIs were read."""
        return {ref for _use, ref in self._states()} - self.vdi.keys()

    @staticmethod
    def _state_of(use: Use, ref: object) -> Iterator[tuple[Use, str]]:
        if ref and ref != NULL:
            yield use, str(ref)

    def _unknown_disks(self) -> Iterator[Use]:
        """VMs, snapshots and control domains with a disk that is a LUN of which the driver does not tell which."""
        for ref, vm in self.vm.items():
            kind = machines.kind(vm)
            for vbd in self.disks_of(ref):
                vdi = self.vdi.get(vbd["VDI"])
                if vdi is None and vbd["currently_attached"]:
                    how = f"has the disk SCSI({machines.BUS}:{vbd['userdevice']}), whose VDI the pool has forgotten"
                    yield Use(kind, vm["name_label"], vm["uuid"], how)
                elif vdi and self._untold(vdi):
                    way_out = f"let the SR be scanned, or take the disk from the {kind}"
                    yield Use(kind, vm["name_label"], vm["uuid"], f"has the disk {self._which(vdi)}", way_out=way_out)

    def _untold(self, vdi: Record) -> bool:
        """Whether a VDI is a LUN of which the driver does not tell which."""
        return self.sr[vdi["SR"]]["type"] in PASSING and not repositories.is_optical(vdi) and self.lun(vdi) is None

    def _which(self, vdi: Record) -> str:
        return f"{vdi['name_label'] or vdi['uuid']} of SR {self.sr[vdi['SR']]['name_label']}, which does not tell its LUN"


def read(session: XapiSession) -> Estate:
    """One look at everything: a call for each class. Raises `RemoteError` for an endpoint without a pool.

    What came or went between two calls is read again, once; what refers to nothing even then is left out.
    """
    seen = _look(session)
    return seen if seen == _whole(seen) and not seen.forgotten() else _whole(_look(session))


def _look(session: XapiSession) -> Estate:
    pool, *others = (session.records(kind) for kind in _CLASSES)
    if not pool:
        raise RemoteError(f"The hypervisor {session.address} tells of no pool: check that its XAPI is up, then run this task again.")
    return Estate(next(iter(pool.values())), *others)


def _whole(seen: Estate) -> Estate:
    """The look without VDIs of no repository, connections of no host, and references to what is not there."""
    vdi = {ref: record for ref, record in seen.vdi.items() if record["SR"] in seen.sr}
    pbd = {ref: record for ref, record in seen.pbd.items() if record["SR"] in seen.sr}
    sr = {ref: {**record, "VDIs": _known(record["VDIs"], vdi), "PBDs": _known(record["PBDs"], pbd)} for ref, record in seen.sr.items()}
    return replace(seen, vdi=vdi, pbd=pbd, sr=sr)


def _known(refs: Iterable[str], records: Records) -> list[str]:
    return [ref for ref in refs if ref in records]


def inventory(session: XapiSession, devices: bool) -> Inventory:
    """Everything that the pool has."""
    estate = read(session)
    return Inventory(
        identity=estate.pool["uuid"],
        hosts=estate.hosts,
        virtual_machines=estate.virtual_machines,
        file_systems=estate.file_systems(),
        devices=estate.devices() if devices else (),
        uses=estate.uses(),
    )
