# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the vSphere API's faults mean for a raw disk, and the way out of each.

When which fault is thrown is told by the vSphere Web Services API reference (ReconfigVM_Task, DetachScsiLun, AttachScsiLun,
DeleteScsiLunState).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import (
    Overtaken,
    RemoteError,
    option,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.vim_stub import fault_message


@dataclass(frozen=True)
class Subject:
    """The objects of a change, as a person knows them."""

    lun: str
    vm: str = "(any)"
    host: str = "(unknown)"
    datastore: str = "(unknown)"


_ELSEWHERE = f"name another one in {option('datastore')}"
_SEE_HOST = "look at the host's recent tasks and its vmkernel.log, then run this task again"

MEANINGS: Mapping[str, tuple[str, str]] = {
    "TaskInProgress": ("VM {vm} is busy with another task", "wait until that has ended, then run this task again"),
    "ConcurrentAccess": ("VM {vm} was changed by somebody else in the meantime, so nothing was done", "run this task again"),
    "InvalidPowerState": ("VM {vm} does not take this change in its power state", "power it off, then run this task again"),
    "InvalidState": (
        "the state of host {host} or of VM {vm} forbids this",
        "bring it back to normal operation, then run this task again",
    ),
    "DeviceHotPlugNotSupported": ("VM {vm} does not take this device while it runs", "power it off, then run this task again"),
    "DeviceUnsupportedForVmVersion": (
        "the virtual hardware of VM {vm} is too old for this device",
        "upgrade it, or choose another controller_type",
    ),
    "TooManyDevices": ("the controller has no room left in VM {vm}", "name another bus, or detach a disk that is no longer needed"),
    "InvalidController": ("VM {vm} no longer has the controller that was chosen", "run this task again"),
    "InvalidDeviceSpec": (
        "VM {vm} does not take LUN {lun} at that place",
        "look whether something else sits there by now, then run this task again",
    ),
    "InvalidDeviceOperation": ("the disk of LUN {lun} is no longer as it was read from VM {vm}", "run this task again"),
    "InvalidDeviceBacking": (
        "host {host} does not accept LUN {lun} as a raw disk of VM {vm}",
        "check that neither a datastore nor another VM uses it, and that the host sees it after a rescan",
    ),
    "CannotAccessVmDevice": ("host {host} cannot reach what backs a device of VM {vm}", "check the paths of LUN {lun} on that host"),
    "RawDiskNotSupported": ("host {host} does not support raw disks for VM {vm}", "move the VM to a host that does"),
    "RDMNotSupported": ("host {host} does not support raw device mappings for VM {vm}", "move the VM to a host that does"),
    "PhysCompatRDMNotSupported": ("host {host} does not support raw device mappings in physical mode", "ask for mode virtual"),
    "RDMPointsToInaccessibleDisk": (
        "host {host} cannot reach LUN {lun}",
        "check that the array maps it to the host's initiators, and rescan",
    ),
    "RDMNotSupportedOnDatastore": ("datastore {datastore} cannot hold mapping files of raw disks", f"{_ELSEWHERE} that is VMFS"),
    "LargeRDMNotSupportedOnDatastore": (
        "datastore {datastore} cannot hold the mapping file of a LUN this large",
        f"{_ELSEWHERE} with VMFS 5 or newer",
    ),
    "VirtualDiskModeNotSupported": ("VM {vm} does not support this disk_mode", "choose another, or leave it out"),
    "MultiWriterNotSupported": (
        "VM {vm} cannot share LUN {lun} with other writers as it is",
        "remove its snapshots and power it off first",
    ),
    "SharedBusControllerNotSupported": (
        "VM {vm} cannot have this on a controller that shares its bus",
        "name a bus whose controller does not",
    ),
    "SnapshotFault": ("the snapshots of VM {vm} stand in the way", "remove them, then run this task again"),
    "NoDiskSpace": ("datastore {datastore} has no room for the mapping file of LUN {lun}", f"free some space there, or {_ELSEWHERE}"),
    "FileAlreadyExists": (
        "the mapping file for LUN {lun} exists on datastore {datastore} already",
        f"remove it if it belongs to nothing, or {_ELSEWHERE}",
    ),
    "FileLocked": (
        "a file of VM {vm} is locked by another process or host",
        "wait for backups and migrations to end, then run this task again",
    ),
    "FileFault": ("a file of VM {vm} cannot be used", f"check datastore {{datastore}}, or {_ELSEWHERE}"),
    "InvalidDatastore": ("datastore {datastore} cannot be used for VM {vm}", f"check that it is mounted and accessible, or {_ELSEWHERE}"),
    "HostNotConnected": ("host {host} is not connected to vCenter", "reconnect it, then run this task again"),
    "HostCommunication": ("vCenter cannot talk to host {host}", "bring the host back, then run this task again"),
    "HostConfigFault": ("host {host} could not change what it does with LUN {lun}", _SEE_HOST),
    "ResourceInUse": ("host {host} still uses LUN {lun}", "detach it from every VM, and unmount and remove datastores on it, first"),
    "NotFound": ("host {host} does not know LUN {lun} any more", "run this task again"),
    "RestrictedVersion": (
        "the licence of host {host} does not allow changes through the API",
        "license the host, or go through its vCenter",
    ),
    "Timedout": ("host {host} or vCenter did not finish in time", _SEE_HOST),
    "RequestCanceled": ("somebody cancelled the task", "run this task again"),
    "VmConfigFault": ("VM {vm} does not take this configuration with LUN {lun}", "change what the message names, then run this task again"),
}
"""Type of a fault → what it means, and the way out. A fault that is missing here is told by the nearest type that it extends."""

OVERTAKEN = frozenset({"TaskInProgress", "ConcurrentAccess", "InvalidController"})
"""Those by which vSphere does nothing because somebody else is changing, or has changed, the VM."""


@contextlib.contextmanager
def explained(subject: Subject) -> Iterator[None]:
    """Turn the refusals of calls made inside into one sentence about the subject, with its way out."""
    try:
        yield
    except RemoteError as error:
        raise explain(error, subject) from error


def explain(error: RemoteError, subject: Subject) -> RemoteError | Overtaken:
    """The refusal in terms of the subject, as `Overtaken` where planning anew may help; as it is, when nothing better is known."""
    fault = error.__cause__
    ancestry = [str(kind._wsdlName) for kind in type(fault).__mro__ if hasattr(kind, "_wsdlName")] or [error.code]
    known = next((name for name in ancestry if name in MEANINGS), None)
    if known is None:
        return error
    state, way_out = (part.format_map(asdict(subject)) for part in MEANINGS[known])
    reason = fault_message(fault) if hasattr(fault, "faultMessage") else str(error)
    told = Overtaken if known in OVERTAKEN else RemoteError
    return told(f"{state} ({error.code}: {reason.rstrip('.')}): {way_out}.", error.code)
