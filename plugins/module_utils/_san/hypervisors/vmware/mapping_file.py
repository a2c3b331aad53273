# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The file that maps a LUN into a VM: where it may be created, whether it is there, and who else uses it.

Facts are of the vSphere Web Services API reference (Datastore, DatastoreCapability, HostDatastoreBrowser).
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

from ansible_collections.crossvisor.san.plugins.module_utils._san.entity_name import did_you_mean, unescaped
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import (
    NotFound,
    Refused,
    RemoteError,
    option,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.vmware import machines, properties, snapshots
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.vmware.changing import Observed, VmChange, datastore_of
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.vmware.tree import name_of
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import VirtualDisk, VirtualMachine
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.vim import VimSession
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.vim_xml import ObjectRecord, flag, text

with contextlib.suppress(ImportError):  # told by VimSession
    from pyVmomi import vim

_SPACE_BYTES = 1024**2
"""What a mapping file takes: one VMFS file block. That it seems as large as its LUN is not true."""
_NORMAL = "normal"
_PATHS = (
    "name",
    "summary.type",
    "summary.accessible",
    "summary.freeSpace",
    "summary.maintenanceMode",
    "capability.rawDiskMappingsSupported",
    "host",
)


@dataclass(frozen=True)
class MappingFile:
    """The file by which a LUN shall become a disk."""

    path: str
    """Its path, `[datastore]` to have its name chosen there, or empty for one in the VM's own directory."""
    datastore: str
    """Name of the datastore."""
    create: bool
    """Whether it has yet to be created; else it is another VM's, which shares it."""


@dataclass(frozen=True)
class Home:
    """A datastore of the VM's host as a place for mapping files."""

    name: str
    kind: str
    supported: bool
    """It can hold mapping files at all."""
    usable: bool
    """It is mounted, accessible and not in maintenance."""
    free_bytes: int
    spelling: str = ""
    """The name as the API writes it, with its escapes, which is how a path names it too."""

    @property
    def fit(self) -> bool:
        """A mapping file can be created there now."""
        return self.supported and self.usable and self.free_bytes >= _SPACE_BYTES

    def refuse_unless_fit(self, vm: str, others: str) -> None:
        """Raise `Refused`, saying what is wrong and which other datastores would do."""
        if not self.supported:
            state = f"is of type {self.kind}, which cannot hold the mapping file of a raw disk"
        elif not self.usable:
            state = "is not accessible from the host, or in maintenance"
        elif not self.fit:
            state = f"has only {self.free_bytes} bytes free, too few for a mapping file"
        else:
            return
        raise Refused(f"Datastore {self.name} for VM {vm} {state}: choose one of {others}, by {option('datastore')}.")


def new(session: VimSession, observed: Observed, wished: str | None) -> MappingFile:
    """A mapping file to be created on the wished datastore, by default in the VM's own directory.

    Raises `NotFound` when the VM's host does not mount it, `Refused` when it is unfit.
    """
    name = unescaped(wished or observed.home)
    homes = _homes(session, observed.vm.host)
    fit = ", ".join(sorted(home.name for home in homes if home.fit)) or "its host mounts none that would do"
    found = next((home for home in homes if home.name == name), None)
    if found is None:
        raise NotFound(
            f"The host of VM {observed.vm.name} mounts no datastore '{name}' for the mapping file: choose one of its own ({fit})"
            + did_you_mean([name], [home.name for home in homes])
        )
    found.refuse_unless_fit(observed.vm.name, fit)
    return MappingFile("" if name == observed.home else f"[{found.spelling}]", name, create=True)


def existing(session: VimSession, observed: Observed, owner: str, path: str) -> MappingFile:
    """The mapping file by which another VM has the LUN. Raises `Refused` when the VM's host does not mount its datastore."""
    name = datastore_of(path)
    if not any(home.name == name and home.usable for home in _homes(session, observed.vm.host)):
        raise Refused(
            f"The mapping file {path} of VM {owner} is on datastore {name}, which is not accessible from the host of VM "
            f"{observed.vm.name}: mount the datastore there, or move the VM to a host that has it."
        )
    return MappingFile(path, name, create=False)


def of_others(session: VimSession, observed: Observed, name: ScsiName) -> list[tuple[VirtualMachine, VirtualDisk]]:
    """Every other VM that has the LUN, with its disk; VMs that share a LUN share its mapping file."""
    everyone = map(machines.machine, session.retrieve({properties.VIRTUAL_MACHINE: properties.MACHINE}))
    return [(vm, disk) for vm in everyone if vm.id != observed.vm.id for disk in vm.disks if disk.name == name]


def exists(change: VmChange, path: str, datastore: str) -> bool:
    """Look whether the datastore (by id) holds the file `[datastore] directory/file`."""
    session = change.session
    folder, slash, file = path.rpartition("/")
    if not slash:
        folder, _space, file = path.rpartition(" ")
    browser = session.read(session.managed("Datastore", datastore), "browser")["browser"]
    try:
        found = session.wait(
            browser.SearchDatastore_Task(folder, vim.host.DatastoreBrowser.SearchSpec(matchPattern=[file])), change.timeout
        )
    except RemoteError as error:
        if error.code == "FileNotFound":
            return False
        raise
    return any(entry.path == file for entry in found.file)


def other_users(session: VimSession, observed: Observed, disk: VirtualDisk) -> list[str]:
    """Names of the other VMs that have a disk on the same mapping file, as nodes of a guest cluster do, or that may have one.

    Those count too that have it in a snapshot alone, which could not be gone back to without the file.
    """
    on_datastore = {"Datastore": ["vm"]}
    moids = {moid for record in session.retrieve(on_datastore, {"Datastore": [disk.file_system]}) for moid in record.texts("vm")}
    others = sorted(moids - {observed.vm.id})
    paths = {"VirtualMachine": (*properties.MACHINE, properties.SNAPSHOTS_OF_VM)}
    read = list(session.retrieve(paths, {"VirtualMachine": others})) if others else []
    hidden = {record.moid for record in read if machines.unreadable(record)}
    taken = snapshots.held(session, [machines.snapshots(machines.machine(record), record) for record in read])
    used = [one.taken.vm for one in taken if not one.told or _files(disk) & (_of_vm(one.taken.vm) | one.files) or one.taken.vm.id in hidden]
    return [vm.name for vm in used]


def _of_vm(vm: VirtualMachine) -> set[str]:
    return {file for disk in vm.disks for file in _files(disk)}


def _files(disk: VirtualDisk) -> set[str]:
    """The mapping file, and those of its snapshots."""
    return {disk.path, *(parent.path for parent in disk.parents)}


def _homes(session: VimSession, host: str) -> list[Home]:
    mounted = [
        moid for record in session.retrieve({"HostSystem": ["datastore"]}, {"HostSystem": [host]}) for moid in record.texts("datastore")
    ]
    return [_home(record, host) for record in session.retrieve({"Datastore": _PATHS}, {"Datastore": mounted})]


def _home(record: ObjectRecord, host: str) -> Home:
    mount = next((mount for mount in record.items("host") if text(mount, "key") == host), None)
    accessible = flag(mount, "mountInfo", "accessible") if text(mount, "mountInfo", "accessible") else record.flag("summary.accessible")
    maintenance = record.text("summary.maintenanceMode", _NORMAL)
    return Home(
        name=name_of(record),
        kind=record.text("summary.type"),
        supported=record.flag("capability.rawDiskMappingsSupported"),
        usable=accessible and maintenance == _NORMAL,
        free_bytes=record.integer("summary.freeSpace") or 0,
        spelling=record.text("name"),
    )
