# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""All Windows machines of the lab as one state, built from the world; every server of a machine works on it under ``lock``."""

from __future__ import annotations

import hashlib
import threading
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from tests.lab.hyperv import clusters, vms
from tests.lab.hyperv.clusters import Cluster, Group, Resource
from tests.lab.hyperv.fabric import Fabric
from tests.lab.hyperv.machines import ABSENT, DISABLED, RUNNING, SAS, SATA, STOPPED, Disk, Machine, Unit, iscsi_targets, lun_units
from tests.lab.hyperv.media import RAW, Medium, formatted
from tests.lab.hyperv.programs import Files
from tests.lab.hyperv.timeline import Timeline
from tests.lab.hyperv.vms import Attachment, Vm

PENDING_SECONDS = 0.05
LUN_VENDOR = "NETAPP"
JOB_RUNNING, JOB_COMPLETED, JOB_FAILED = 4, 7, 10


class Refused(Exception):
    """What the control port cannot do, in one sentence."""


@dataclass(frozen=True)
class JobError(Exception):
    """Why a job of the virtual machine management service failed."""

    code: int
    message: str


@dataclass(eq=False)
class Job:
    """A job on one host."""

    host: str
    caption: str
    vm: str = ""
    """Id of the VM that it changes."""
    state: int = JOB_RUNNING
    code: int = 0
    message: str = ""
    id: str = field(default_factory=lambda: str(uuid.uuid4()).upper())
    started: datetime = field(default_factory=lambda: datetime.now(timezone.utc))


class Estate:
    """Machines, media, VMs and clusters."""

    def __init__(self, world: Mapping[str, Any], fabric: Fabric, pending_seconds: float = PENDING_SECONDS) -> None:
        self.lock = threading.RLock()
        self.timeline = Timeline(pending_seconds)
        self.job_error: JobError | None = None
        """How the next job ends, when a fault says so."""
        self._world = world
        self._fabric = fabric
        self.machines: dict[str, Machine] = {}
        self.media: dict[str, Medium] = {}
        self.vms: dict[str, Vm] = {}
        self.clusters: dict[str, Cluster] = {}
        self.jobs: dict[str, Job] = {}
        self.files: dict[str, Files] = {}
        """What the machines have in files, as far as a test has put it there."""
        self.reset()

    def reset(self) -> None:
        """Go back to the world. Raises OSError when the array does not answer."""
        self.timeline.reset()
        self.job_error = None
        self.jobs = {}
        self.files = {row["name"]: Files() for row in self._world["machines"]}
        self.machines = {row["name"]: _machine(row) for row in self._world["machines"]}
        self.media = {}
        self.vms = {row["id"]: vms.from_world(row) for row in self._world["vms"]}
        self.clusters = {}
        for row in self._world["machines"]:
            self._attach_local_disks(row)
        for row in self._world["machines"]:
            self._mount_luns(row)
        for row in self._world["clusters"]:
            self._form(row)
        for machine in self.machines.values():
            if machine.role == "guest":
                self._boot_guest(machine)

    # -- machines and disks

    def medium(self, key: str) -> Medium:
        """Return what lies on the disk of this key; nothing, if nobody has written to it yet."""
        return self.media.setdefault(key, Medium(key))

    def rescan(self, machine: Machine) -> list[Disk]:
        """Let the machine look for disks and return the new ones. Raises OSError when the array does not answer."""
        if machine.role == "guest":
            return machine.discover(self._guest_units(machine))
        rows = self._fabric.presented(machine.initiators)
        machine.targets = iscsi_targets(rows)
        return machine.discover(lun_units(machine, rows))

    def notice_later(self, disk: Disk) -> None:
        """Let Hyper-V find out after a while that the disk is offline."""
        disk.noticed = False
        self.timeline.later(lambda: setattr(disk, "noticed", disk.offline))

    def wrote(self, disk: Disk, size: int) -> None:
        """Tell the array how much was written to a disk that is a LUN. Raises OSError when it does not answer."""
        if disk.unit.vendor == LUN_VENDOR:
            self._fabric.write(disk.key, size)

    def clustered(self, machine: Machine, disk: Disk) -> tuple[Cluster, Resource] | None:
        """Return the cluster resource that the disk is, as seen from this machine."""
        cluster = self.clusters.get(machine.cluster or "")
        if cluster is None:
            return None
        resource = self.disk_resource(cluster, disk.key)
        return (cluster, resource) if resource else None

    def disk_resource(self, cluster: Cluster, key: str) -> Resource | None:
        """Return the disk resource of the cluster whose identifier is on the medium."""
        medium = self.medium(key)
        if medium.style == RAW:
            return None
        for resource in cluster.resources.values():
            if resource.type == clusters.PHYSICAL_DISK and _identifies(resource, medium):
                return resource
        return None

    def is_offline(self, machine: Machine, disk: Disk) -> bool:
        """Return whether the machine does not use the disk: a disk of the cluster is in use only by its owner, for a file system."""
        found = self.clustered(machine, disk)
        if found is None:
            return disk.offline
        cluster, resource = found  # pylint: disable=unpacking-non-sequence
        has_volume = any(partition.file_system for partition in self.medium(disk.key).partitions)
        return not (has_volume and resource.state == clusters.ONLINE and cluster.owner(resource) == machine.name)

    def in_passthrough_pool(self, machine: Machine, disk: Disk) -> bool:
        """Return whether the host could give the disk to a VM: offline for a while, or a disk of the cluster that this node owns."""
        if disk.boot:
            return False
        found = self.clustered(machine, disk)
        if found is None:
            return disk.offline and disk.noticed
        cluster, resource = found  # pylint: disable=unpacking-non-sequence
        return not resource.shared_volume and not resource.core and cluster.owner(resource) == machine.name

    # -- virtual machines

    def vms_on(self, machine: Machine) -> list[Vm]:
        """Return the VMs of the host."""
        return [vm for vm in self.vms.values() if vm.host == machine.name]

    def user_of(self, naa: str) -> Vm | None:
        """Return the VM that has the disk."""
        return next((vm for vm in self.vms.values() if naa in vm.raw_disks), None)

    def unplug(self, vm: Vm, medium: str) -> None:
        """Let the guest of the VM lose a disk, as it does at once."""
        for guest in self.machines.values():
            if guest.vm == vm.name:
                guest.disks = [disk for disk in guest.disks if disk.key != medium]

    def start_job(self, vm: Vm, caption: str, work: Callable[[], None]) -> Job:
        """Return a job that does the work on the VM's host after a while; JobError from it becomes its failure."""
        job, injected, self.job_error = Job(vm.host, caption, vm.id), self.job_error, None
        self.jobs[job.id] = job

        def run() -> None:
            try:
                if injected:
                    raise injected  # pylint: disable=raising-bad-type
                work()
                job.state = JOB_COMPLETED
            except JobError as error:
                job.state, job.code, job.message = JOB_FAILED, error.code, error.message

        self.timeline.later(run)
        return job

    # -- clusters

    def cluster_of(self, machine: Machine) -> Cluster:
        """Return the machine's cluster; raises KeyError when it has none."""
        return self.clusters[machine.cluster or ""]

    def vm_of(self, resource: Resource) -> Vm | None:
        """Return the VM that the resource or its configuration is."""
        return self.vms.get(str(resource.private.get("VmID", "")).upper())

    def vm_of_group(self, cluster: Cluster, group: Group) -> Vm | None:
        """Return the VM of a group."""
        found = (self.vm_of(resource) for resource in cluster.members(group))
        return next((vm for vm in found if vm), None)

    def why_not_on(self, cluster: Cluster, group: Group, node: str) -> str:
        """Return why the group cannot run on the node, or nothing."""
        vm = self.vm_of_group(cluster, group)
        for naa in sorted(vm.raw_disks) if vm else ():
            resource = self.disk_resource(cluster, naa)
            if resource is None or resource.group != group.name:
                return f"the pass-through disk {naa} of '{group.name}' is no resource of its group"
        if vm and vm.cluster_knows != vm.raw_disks:
            return f"the configuration of '{vm.name}' in the cluster is not up to date with its disks"
        blocked = (self.why_not_start(cluster, resource, node) for resource in cluster.members(group))
        return next((reason for reason in blocked if reason), "")

    def why_not_start(self, cluster: Cluster, resource: Resource, node: str) -> str:
        """Return why the resource cannot be online on the node, or nothing."""
        if resource.type != clusters.PHYSICAL_DISK:
            return ""
        if "DiskIdType" not in resource.private:
            return f"the disk resource '{resource.name}' names no disk"
        machine = self.machines[node]
        seen = any(_identifies(resource, self.medium(disk.key)) for disk in machine.disks if self.medium(disk.key).style != RAW)
        return "" if seen else f"the disk of '{resource.name}' is not visible on {node}"

    # -- the control port

    def reboot(self, name: str) -> None:
        """Boot a machine anew: it meets its disks in another order."""
        machine = self._machine(name)
        self.timeline.settle(everything=True)
        self.rescan(machine)
        machine.renumber()

    def set_power(self, name: str, up: bool) -> None:
        """Take a machine from the network, or bring it back; a cluster moves its groups to another node where it can."""
        machine = self._machine(name)
        machine.up = up
        self._evacuate(machine)

    def set_cluster_service(self, name: str, state: str) -> None:
        """Start or stop the service of a node, or install and remove it on a host that is no node."""
        machine = self._machine(name)
        if state not in ((STOPPED, RUNNING) if machine.cluster else (ABSENT, DISABLED)):
            raise Refused(f"the cluster service of {name} cannot be {state}")
        machine.cluster_service = state
        self._evacuate(machine)

    def _evacuate(self, machine: Machine) -> None:
        if machine.takes_part or machine.cluster is None:
            return
        cluster = self.clusters[machine.cluster]
        for group in [group for group in cluster.groups.values() if group.owner == machine.name]:
            heirs = [node for node in cluster.nodes if self.machines[node].takes_part and not self.why_not_on(cluster, group, node)]
            if heirs:
                cluster.move_group(group, heirs[0], lambda _: "")
        self.timeline.settle(everything=True)

    def set_multipath(self, name: str, on: bool) -> None:
        """Install or remove MPIO, effective at the next rescan."""
        self._machine(name).mpio = on

    def fail_over(self, vm_name: str, node: str) -> dict[str, object]:
        """Move the group of a VM to another node, to the end; raises Refused with the cluster's own words."""
        self.timeline.settle(everything=True)
        vm = next((vm for vm in self.vms.values() if vm.name == vm_name and vm.highly_available), None)
        if vm is None:
            raise Refused(f"no cluster has a VM {vm_name}")
        cluster = self.cluster_of(self.machines[vm.host])
        group = cluster.group(vm_name)
        cluster.move_group(group, node, lambda target: self.why_not_on(cluster, group, target))
        self.timeline.settle(everything=True)
        return {"vm": vm_name, "host": vm.host, "state": cluster.group_state(group)}

    def canonical(self) -> dict[str, object]:
        """Return everything that lasts, without what chance has chosen; what was pending has then happened.

        What is on a LUN belongs to it while some machine shows the LUN; how much there is, the array tells.
        """
        self.timeline.settle(everything=True)
        shown = {disk.key for machine in self.machines.values() for disk in machine.disks}
        return {
            "machines": {name: self._canonical_machine(machine) for name, machine in sorted(self.machines.items())},
            "media": {key: medium.canonical() for key, medium in sorted(self.media.items()) if medium.style != RAW and key in shown},
            "vms": {vm.name: vm.canonical() for vm in sorted(self.vms.values(), key=lambda vm: vm.name)},
            "clusters": {name: cluster.canonical() for name, cluster in sorted(self.clusters.items())},
        }

    def controls(self) -> list[dict[str, object]]:
        """Return every control code that was sent to a resource, by whomever."""
        return [entry for cluster in self.clusters.values() for entry in cluster.controls]

    # -- building

    def _canonical_machine(self, machine: Machine) -> dict[str, object]:
        rows = [
            {"disk": disk.unit.path_id, "size": disk.unit.size, "offline": self.is_offline(machine, disk), "read_only": disk.read_only}
            for disk in machine.disks
        ]
        disks = sorted(rows, key=lambda row: str(row["disk"]))
        return {"up": machine.up, "disks": disks, "directories": sorted(machine.directories)}

    def _machine(self, name: str) -> Machine:
        if name not in self.machines:
            raise Refused(f"the lab has no machine {name}; it has {', '.join(self.machines)}")
        return self.machines[name]

    def _attach_local_disks(self, row: Mapping[str, Any]) -> None:
        machine = self.machines[row["name"]]
        for number, local in enumerate(row["local_disks"]):
            key = f"local:{machine.name}:{number}"
            digest = hashlib.sha256(key.encode()).hexdigest().upper()
            unit = Unit(key, key, f"500A0751{digest[:8]}", digest[:14], "ATA", "LabDisk SSD", SATA, local["size"])
            self._seed(
                machine, Disk(number, unit, offline=False, read_only=False, boot=number == 0), "NTFS", local["label"], local["paths"]
            )

    def _mount_luns(self, row: Mapping[str, Any]) -> None:
        machine = self.machines[row["name"]]
        if machine.role == "guest":
            return
        self.rescan(machine)
        for lun in row["luns"]:
            for disk in machine.disks_of(lun["naa"]):
                disk.offline = disk.read_only = False
                self._format(machine, disk, lun["format"]["file_system"], lun["format"]["label"], lun["format"]["paths"])

    def _seed(self, machine: Machine, disk: Disk, file_system: str, label: str, paths: Iterable[str]) -> None:
        machine.disks.append(disk)
        self._format(machine, disk, file_system, label, paths)

    def _format(self, machine: Machine, disk: Disk, file_system: str, label: str, paths: Iterable[str]) -> None:
        if disk.key not in self.media:
            self.media[disk.key] = formatted(disk.key, disk.unit.size, file_system, label)
        for partition in self.media[disk.key].volumes():
            partition.access[machine.name] = list(paths)

    def _form(self, row: Mapping[str, Any]) -> None:
        cluster = Cluster(
            row["name"],
            list(row["nodes"]),
            self.timeline,
            lambda node: self.machines[node].takes_part,
            self.why_not_start,
            self._resource_changed,
        )
        self.clusters[row["name"]] = cluster
        first = row["nodes"][0]
        cluster.groups[clusters.CORE_GROUP] = Group(clusters.CORE_GROUP, clusters.TYPE_CORE, first, core=True)
        cluster.groups[clusters.AVAILABLE_STORAGE] = Group(clusters.AVAILABLE_STORAGE, clusters.TYPE_STORAGE, row["nodes"][-1], core=True)
        cluster.resources["Cluster Name"] = Resource("Cluster Name", "Network Name", clusters.CORE_GROUP, clusters.ONLINE, core=True)
        self._add_disk(cluster, row["witness"]["resource"], row["witness"]["naa"], clusters.CORE_GROUP, core=True, label="Witness")
        for csv in row["csvs"]:
            group = f"csv-{row['name']}-{csv['resource'].rpartition(' ')[2]}"
            cluster.groups[group] = Group(group, clusters.TYPE_CSV, csv["owner"])
            self._add_disk(cluster, csv["resource"], csv["naa"], group, volume=csv["volume"], label=csv["volume"].rpartition("\\")[2])
        for vm in self.vms.values():
            if vm.highly_available and self.machines[vm.host].cluster == cluster.name:
                self._add_vm(cluster, vm)

    def _add_disk(self, cluster: Cluster, name: str, naa: str, group: str, *, label: str, volume: str = "", core: bool = False) -> None:
        for node in cluster.nodes:
            for disk in self.machines[node].disks_of(naa):
                self._format(self.machines[node], disk, "CSVFS" if volume else "NTFS", label, [volume + "\\"] if volume else [])
        medium = self.medium(naa)
        private: dict[str, Any] = {"DiskIdType": clusters.DISK_BY_GUID, "DiskIdGuid": medium.guid}
        cluster.resources[name] = Resource(name, clusters.PHYSICAL_DISK, group, clusters.ONLINE, private, [], core, volume)

    def _add_vm(self, cluster: Cluster, vm: Vm) -> None:
        cluster.groups[vm.name] = Group(vm.name, clusters.TYPE_VM, vm.host, online=vm.running)
        state = clusters.ONLINE if vm.running else clusters.OFFLINE
        configuration = f"Virtual Machine Configuration {vm.name}"
        for name, kind, needs, now in (
            (configuration, clusters.VM_CONFIGURATION, [], clusters.ONLINE),
            (f"Virtual Machine {vm.name}", clusters.VIRTUAL_MACHINE, [configuration], state),
        ):
            cluster.resources[name] = Resource(name, kind, vm.name, now, {"VmID": vm.id.lower()}, needs)

    def _resource_changed(self, cluster: Cluster, resource: Resource, online: bool) -> None:
        vm = self.vm_of(resource)
        if vm is None:
            return
        vm.host = cluster.owner(resource)
        if resource.type == clusters.VIRTUAL_MACHINE:
            vm.power = "on" if online else "off"

    def _boot_guest(self, machine: Machine) -> None:
        self.rescan(machine)
        for disk in machine.disks:
            first = disk.unit.lun == 0
            disk.boot = first
            disk.offline = disk.read_only = not first
            if first:
                self._format(machine, disk, "NTFS", "Windows", ["C:\\"])

    def _guest_units(self, machine: Machine) -> list[Unit]:
        vm = next((vm for vm in self.vms.values() if vm.name == machine.vm), None)
        found = [self._guest_unit(attachment) for attachment in vm.attachments if attachment.kind != vms.DVD] if vm else []
        return sorted(found, key=lambda unit: (unit.adapter, unit.lun))

    def _guest_unit(self, attachment: Attachment) -> Unit:
        key, place = attachment.medium, attachment.controller
        path_id = f"{key}@{place.kind}{place.number}:{attachment.slot}"
        if attachment.kind == vms.RAW_DISK:
            lun = self._lun(attachment.naa)
            if lun:
                return Unit(key, path_id, lun.unique_id, lun.serial, lun.vendor, lun.model, SAS, lun.size, place.number, 0, attachment.slot)
        digest = hashlib.sha256(key.encode()).hexdigest()
        unique = f"60022480{digest[:24]}".upper()
        return Unit(key, path_id, unique, "", "Msft", "Virtual Disk", SAS, attachment.size, place.number, 0, attachment.slot)

    def _lun(self, naa: str) -> Unit | None:
        """Return the LUN as the host of the VM that has it sees it."""
        vm = self.user_of(naa)
        disks = self.machines[vm.host].disks_of(naa) if vm else []
        return disks[0].unit if disks else None


def _machine(row: Mapping[str, Any]) -> Machine:
    return Machine(
        row["name"],
        row["role"],
        row["cluster"],
        row["uuid"],
        row["manufacturer"],
        row["model"],
        row["mpio"],
        row["hbas"],
        row.get("vm"),
        RUNNING if row["cluster"] else ABSENT,
    )


def _identifies(resource: Resource, medium: Medium) -> bool:
    if resource.private.get("DiskIdType") == clusters.DISK_BY_GUID:
        return bool(medium.guid) and str(resource.private.get("DiskIdGuid", "")).lower() == medium.guid.lower()
    return bool(medium.signature) and resource.private.get("DiskSignature") == medium.signature
