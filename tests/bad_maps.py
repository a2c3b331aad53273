# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Storage maps of estates in which something is wrong, as the services make them: what every form of the map has to bear."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import AuthenticationFailed, ConnectionFailed, CrossvisorError
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.base import Homes
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.vmware.estate import Estate
from ansible_collections.crossvisor.san.plugins.module_utils._san.maps.merge import of_results
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import (
    UNREACHABLE,
    ArrayAbout,
    FileSystem,
    Host,
    Inventory,
    ScsiDevice,
    Use,
    VirtualDisk,
    VirtualMachine,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.array_view import ArraySource
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.storage_map.mapper import storage_map
from tests.report_map import Document
from tests.unit import vsphere
from tests.unit.ports import NAME, MemoryArray, MemoryHypervisor, lun

FOREIGN = ScsiName("60002ac0000000000000000000000001")
STORES = [FileSystem("ds-1", "gold", "vmfs", ["h1"], [str(NAME)])]
SEEN = [ScsiDevice("h1", str(NAME), NAME, 1 << 30), ScsiDevice("h1", str(FOREIGN), FOREIGN, 1 << 30)]
SIZE = 5 << 30
NOW = 1_795_891_200.0
NAMES = (
    "quotes \" and ' and \\",
    "two\nlines",
    "</script><script>alert(1)</script>",
    "\u202eright to left \u05e9\u05e8\u05ea",
    "x" * 500,
    "=1+1",
)


@dataclass(frozen=True)
class Bad:
    """A map of which something is wrong, and what it has to say of that."""

    results: Callable[[], Mapping[str, Any]]
    """What the module returns, by endpoint."""
    rows: Sequence[tuple[str, str]]
    """VM and status of each row."""
    says: str
    """What stands in a row's reason, in an endpoint's, or in a warning."""

    @property
    def document(self) -> Document:
        return of_results(self.results(), NOW)


@dataclass
class OtherArray(MemoryArray):
    """Another array, by its own word."""

    def about(self) -> ArrayAbout:
        return replace(super().about(), name="lab2", address="ontap2.example.com", uuid="2")


@dataclass
class Ended(MemoryHypervisor):
    """One whose session ends while it is read."""

    def inventory(self, devices: bool = True, images: bool = False, only: Homes | None = None, at_once: bool = False) -> Inventory:
        raise AuthenticationFailed("The session at hv.example.com has ended: run this task again.")


def image(label: str = "Hard disk 1") -> VirtualDisk:
    return VirtualDisk("2000", label, "image", size_bytes=SIZE, path="[gold] app/app.vmdk", file_system="ds-1")


def machine(name: str = "app", *disks: VirtualDisk, **other: Any) -> VirtualMachine:
    return VirtualMachine(f"vm-{name}", name, host="h1", cluster="prod", disks=disks or (image(),), **other)


def hypervisor(*machines: VirtualMachine, **other: Any) -> MemoryHypervisor:
    return MemoryHypervisor([Host("h1", "esx1", "prod")], list(machines), STORES, SEEN, **other)


def told(asked: MemoryHypervisor, *arrays: MemoryArray | CrossvisorError) -> dict[str, Any]:
    """What the module returns of one endpoint."""

    def opened(array: MemoryArray | CrossvisorError) -> MemoryArray:
        if isinstance(array, CrossvisorError):
            raise array
        return array

    sources = [ArraySource(f"array{number}", lambda array=array: opened(array)) for number, array in enumerate(arrays, 1)]  # type: ignore[misc]
    try:
        found = storage_map(asked, sources, endpoint="vc01")
    except CrossvisorError as error:
        return {"failed": True, "msg": str(error)}
    forms = {name: list(form) for name, form in found.forms.items()}
    return {"endpoint": {**asdict(found.endpoint), "warnings": found.warnings}, **forms}


def of_one(asked: Callable[[], MemoryHypervisor], *arrays: MemoryArray | CrossvisorError) -> Callable[[], Mapping[str, Any]]:
    return lambda: {"vc01": told(asked(), *arrays)}


def from_vcenter(properties: Mapping[str, Any], missing: Mapping[str, str]) -> MemoryHypervisor:
    """A VM beside one that is as it should be, by what vCenter answers of it."""
    estate = Estate([vsphere.record("VirtualMachine", "vm-lost", properties, missing)])
    return hypervisor(machine(), *estate.virtual_machines, uses=estate.uses, warnings=estate.missing)


def node_is_silent() -> MemoryHypervisor:
    silent = Host("h2", "hv02", "prod", state=UNREACHABLE)
    reason = "Host hv02 cannot be asked: it did not answer within 60 s."
    doubt = Use("host", "hv02", "h2", "did not answer within 60 s")
    found = hypervisor(machine(), warnings=[reason], uses=[doubt])
    return replace(found, host_list=[*found.host_list, silent])


ALL_IS_WELL = ("app", "mapped")
HERE = MemoryArray(lun(NAME))

BAD: Mapping[str, Bad] = {
    "an array that does not answer": Bad(
        of_one(lambda: hypervisor(machine()), ConnectionFailed("no route to array1")), [("app", "unresolved")], "no route to array1"
    ),
    "one of two arrays that does not answer": Bad(
        of_one(lambda: hypervisor(machine()), HERE, ConnectionFailed("no route to array2")), [ALL_IS_WELL], "no route to array2"
    ),
    "a node that does not answer": Bad(of_one(node_is_silent, HERE), [ALL_IS_WELL], "Host hv02 cannot be asked"),
    "an endpoint that does not answer": Bad(
        lambda: {"vc01": told(hypervisor(machine()), HERE), "vc02": {"failed": True, "msg": "The hypervisor vc02 cannot be reached."}},
        [ALL_IS_WELL],
        "The hypervisor vc02 cannot be reached",
    ),
    "a foreign array": Bad(
        of_one(lambda: hypervisor(machine("app", VirtualDisk("1", "Disk", "passthrough", device=str(FOREIGN), size_bytes=SIZE))), HERE),
        [("app", "unresolved")],
        "HPE 3PAR",
    ),
    "one serial on two arrays": Bad(
        of_one(lambda: hypervisor(machine()), HERE, OtherArray(replace(lun(NAME), id="uuid-2"))), [ALL_IS_WELL, ALL_IS_WELL], "mirror"
    ),
    "a session that expires while it is read": Bad(
        of_one(lambda: Ended(machines=[machine()]), HERE), [], "The session at hv.example.com has ended"
    ),
    "a VM that is deleted while it is read": Bad(
        of_one(lambda: from_vcenter({}, {"name": "it has already been deleted", "config": "it has already been deleted"}), HERE),
        [ALL_IS_WELL, ("vm-lost", "unresolved")],
        "it has already been deleted",
    ),
    "a VM without a configuration": Bad(
        of_one(lambda: from_vcenter({"name": "new", "runtime.connectionState": "connected"}, {}), HERE),
        [ALL_IS_WELL, ("new", "unresolved")],
        "its configuration is not there",
    ),
    "an inaccessible VM": Bad(
        of_one(lambda: from_vcenter({"name": "lost", "runtime.connectionState": "inaccessible"}, {}), HERE),
        [ALL_IS_WELL, ("lost", "unresolved")],
        "it is inaccessible",
    ),
    "a VM that may not be read": Bad(
        of_one(lambda: from_vcenter({"name": "secret", "runtime.connectionState": "connected"}, {"config": "NoPermission"}), HERE),
        [ALL_IS_WELL, ("secret", "unresolved")],
        "NoPermission",
    ),
    "names that are none": Bad(
        of_one(lambda: hypervisor(*(machine(name) for name in NAMES), warnings=["said </script>"]), HERE),
        [(name, "mapped") for name in NAMES],
        "</script>",
    ),
}
"""By what is wrong."""
