# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which part of the map a user asks for: by where a VM runs, what lies under its disks, or where its guest has mounted them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property

from ansible_collections.crossvisor.san.plugins.module_utils._san.entity_name import did_you_mean
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import InvalidInput, NotFound
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.base import Wanted
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import Host, Inventory, VirtualMachine
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.array_view import ArraySource, ArrayView
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.selection import select_vms
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.storage_map.resources import (
    EXPORT,
    UNRESOLVED,
    Disk,
    Resource,
    Resources,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.storage_word import may_be_called

_HEX_SERIAL = re.compile("[0-9a-fA-F]{24}")
_PURE = "624a9370"
_TELLS: Mapping[str, str] = {"volume": "volume", "svm": "SVM", "array": "array", "lun_path": "LUN path", "naa": "LUN"}

_ANY = "storage"


@dataclass(frozen=True)
class Where:
    """What a user asks for; all that is not empty has to hold. Names are compared as they are written."""

    vm: str = ""
    """Identifier, UUID or name."""
    host: str = ""
    """Where the VM is: name or identifier."""
    cluster: str = ""
    lun_path: str = ""
    """`/vol/volume/lun`, also with `svm:` before it."""
    volume: str = ""
    svm: str = ""
    array: str = ""
    """Name or address."""
    naa: str = ""
    """The LUN in any spelling of its name or serial number."""
    mount: str = ""
    """Where the guest has mounted what lies on the disk."""
    storage: str = ""
    """What a person calls a LUN, a volume, an export, an SVM or an array: each of these that may be meant, and whatever may lie on it."""
    names: frozenset[ScsiName] = field(init=False)
    """The LUNs that `naa`, or else `storage`, may stand for, where that is the name of a LUN."""

    def __post_init__(self) -> None:
        """Raises `InvalidInput` when `naa` is no spelling of a LUN's name."""
        object.__setattr__(self, "storage", self.storage.strip())
        named = ScsiName.try_parse(self.storage)
        object.__setattr__(self, "names", lun_names(self.naa) if self.naa else frozenset({named} if named else ()))

    @property
    def is_given(self) -> bool:
        """Whether anything is asked for but everything."""
        return bool(self.by_storage or self.by_place)

    @property
    def tells_doubts(self) -> bool:
        """Whether what may lie there comes along as rows; else a warning names it."""
        return bool(self.storage)

    @property
    def is_one_lun(self) -> bool:
        """Whether that is a LUN, by its name or its path; the path of an export is no less sure to be no raw disk."""
        return bool(self.names or self.lun_path or self.storage.rpartition(":")[2].startswith("/"))

    @cached_property
    def by_storage(self) -> Sequence[str]:
        """Which of the words about storage are given."""
        return [word for word in (*_TELLS, _ANY) if getattr(self, word)]

    @property
    def only_luns(self) -> frozenset[ScsiName]:
        """The only LUNs that can be meant: it is asked for them by name, and by no other word about storage, which may stand for more."""
        return self.names if len(self.by_storage) == 1 else frozenset()

    @property
    def by_place(self) -> bool:
        """Whether it is asked for VMs, or for what their guests have."""
        return bool(self.vm or self.host or self.cluster or self.mount)

    def asked(self, arrays: Sequence[ArraySource]) -> Sequence[ArraySource]:
        """The arrays that may have it: the one that is named by its address, else all."""
        return [source for source in arrays if source.label == self.array] or arrays

    def machines(self, inventory: Inventory, machines: Sequence[VirtualMachine]) -> Sequence[VirtualMachine]:
        """Those VMs of an inventory. Raises `NotFound` for a VM, host or cluster that there is not."""
        if self.vm:
            wanted = {vm.id for vm in select_vms(inventory, [self.vm], [])}
            machines = [vm for vm in machines if vm.id in wanted]
        if self.host:
            hosts = _hosts(self.host, inventory.hosts)
            machines = [vm for vm in machines if vm.host in hosts]
        if self.cluster:
            machines = [vm for vm in machines if vm.cluster == self.cluster]
            _require("cluster", self.cluster, {host.cluster for host in inventory.hosts})
        return machines

    def is_under(self, resource: Resource) -> bool:
        """Whether a resource is what is asked for."""
        columns = resource.columns
        return (
            (not self.volume or columns["volume"] == self.volume)
            and (not self.svm or columns["svm"] == self.svm)
            and (not self.array or self.array in (columns["array"], columns["array_address"]))
            and (not self.lun_path or self.lun_path in _paths(resource))
            and (not self.names or resource.name in self.names)
            and (not self.storage or may_be_called(self.storage, columns))
        )

    def may_be(self, resource: Resource) -> bool:
        """Whether a resource that could not be followed down may be what is asked for. An export is no LUN."""
        if resource.status != UNRESOLVED or self.is_under(resource):
            return False
        if resource.kind == EXPORT:
            return not (self.names or self.lun_path)
        return not (self.names and resource.name) or resource.name in self.names

    def part(self, found: Disk) -> Disk | None:
        """What of a disk is asked for; None for nothing."""
        if self.mount and _place(self.mount) not in map(_place, found.disk.mounts):
            return None
        if not self.by_storage:
            return found
        files = [replace(file, kept=frozenset(resource.key for resource in file.under if self._keeps(resource))) for file in found.files]
        return replace(found, files=files) if any(file.kept for file in files) else None

    def _keeps(self, resource: Resource) -> bool:
        return self.is_under(resource) or (self.tells_doubts and self.may_be(resource))

    def require(self, resources: Iterable[Resource], mounts: Collection[str], answers: ArrayView) -> None:
        """Raises `NotFound` when a word stands for nothing that there is, with what is near; an array that was silent may have it."""
        there = list(resources)
        for word in (word for word in self.by_storage if word != _ANY):
            known = {spelled for resource in there for spelled in _spellings(resource, word)}
            if not (self.names & {resource.name for resource in there} if word == "naa" else getattr(self, word) in known):
                silent = f", but it may be where nobody could look: {'; '.join(answers.failures)}" if answers.failures else ""
                raise NotFound(f"{self._nothing(word)}{silent}{did_you_mean([getattr(self, word)], known)}")
        if self.mount:
            _require("mount point", self.mount, mounts)

    def _nothing(self, word: str) -> str:
        if word == "naa":
            read_as = " or ".join(map(str, sorted(self.names)))
            return f"No host of this hypervisor sees, and no VM has, the {_TELLS[word]} '{self.naa}', read as {read_as}"
        return f"There is no {_TELLS[word]} '{getattr(self, word)}' under anything that this hypervisor's hosts see"


EVERYWHERE = Where()
WORDS = tuple(word.name for word in fields(Where) if word.init)
"""What may be asked by."""


def lun_names(text: str) -> frozenset[ScsiName]:
    """The LUNs that a text may stand for: one for a name, several for a serial number, which makers share. Raises `InvalidInput`."""
    name = ScsiName.try_parse(text)
    if name:
        return frozenset({name})
    word = text.strip()
    pure = [ScsiName(_PURE + word.lower())] if _HEX_SERIAL.fullmatch(word) else []
    plain = bytes.fromhex(word).decode("latin-1") if pure else word
    try:
        return frozenset({*pure, ScsiName.from_ontap_serial(plain), ScsiName.from_7mode_serial(plain)})
    except InvalidInput:
        if pure:
            return frozenset(pure)
    raise InvalidInput(
        f"where.naa is {text!r:.100}, which is neither the name of a LUN (naa.<hex>, 0x<hex>, 3<hex>, wwn-0x<hex>, vml.02<hex>, bare hex) "
        "nor the serial number of one on NetApp (12 characters, or 24 hex digits) or Pure (24 hex digits)."
    )


def _spellings(resource: Resource, word: str) -> Sequence[str]:
    """What a user may write for a resource."""
    if word == "naa":
        return [str(resource.name), str(resource.columns["serial"])] if resource.name else []
    if word == "lun_path":
        return _paths(resource)
    if word == "array":
        return [resource.columns["array"], resource.columns["array_address"]]
    return [str(resource.columns[word])]


def _paths(resource: Resource) -> Sequence[str]:
    return (resource.lun.path, f"{resource.svm}:{resource.lun.path}") if resource.lun else ()


def _place(mount: str) -> str:
    """A mount point without what does not matter: a separator at its end, and case on Windows."""
    bare = mount.rstrip("/\\") or mount
    return bare.casefold() if "\\" in mount or bare.endswith(":") else bare


def _hosts(wanted: str, hosts: Sequence[Host]) -> set[str]:
    found = {host.id for host in hosts if wanted in (host.id, host.name)}
    if not found:
        _require("host", wanted, {host.name for host in hosts})
    return found


def _require(kind: str, wanted: str, known: Collection[str]) -> None:
    if _place(wanted) not in map(_place, known):
        raise NotFound(f"There is no {kind} '{wanted}' on this hypervisor{did_you_mean([wanted], known)}")


def holding(where: Where, below: Inventory, resources: Resources) -> Wanted:
    """The VMs with any disk that can be asked for.

    A file system of which nobody can tell whether it lies there may do so.
    What a file system lies on is no VM's own disk; every other LUN may be, also one that no host sees any more, as a volume may have.
    """
    on = {store for store, under in resources.on_file_system.items() if any(map(where.is_under, under))}
    covered = {resource.key for store in on for resource in resources.on_file_system[store]}
    seen = [resource for device in below.devices for resource in resources.of_device(device) if where.is_under(resource)]
    alone = [resource for resource in seen if resource.key not in covered]
    unclear = {store for store, under in resources.on_file_system.items() if any(map(where.may_be, under))}
    return Wanted(on | unclear, raw_disks=bool(alone) or not (where.is_one_lun and on))
