# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What XAPI's errors mean for a disk, and the way out of each.

The codes are of xen-api (ocaml/idl/datamodel_errors.ml) and, for SR_BACKEND_FAILURE_n, of sm (XE_SR_ERRORCODES.xml).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import Overtaken, RemoteError
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.xapi import XapiFailure

_BACKEND = "SR_BACKEND_FAILURE_"

OVERTAKEN = frozenset(
    {"DEVICE_ALREADY_EXISTS", "OTHER_OPERATION_IN_PROGRESS", "VM_BAD_POWER_STATE", "DEVICE_ALREADY_ATTACHED", "SR_DEVICE_IN_USE"}
)
"""What is no longer as the plan took it to be: whoever plans anew may succeed."""

MEANINGS: Mapping[str, tuple[str, str]] = {
    "DEVICE_ALREADY_EXISTS": ("that place was taken by somebody else in the meantime", "run this task again"),
    "DEVICE_ALREADY_ATTACHED": ("somebody else has plugged it in in the meantime", "run this task again"),
    "OTHER_OPERATION_IN_PROGRESS": ("XAPI is busy with another operation on it", "wait until that has ended, then run this task again"),
    "VM_BAD_POWER_STATE": ("the VM was turned on, off or into suspension in the meantime", "run this task again"),
    "VM_MISSING_PV_DRIVERS": (
        "the guest has no paravirtual drivers that take a disk while it runs",
        "install the guest's tools, or shut the VM down, then run this task again",
    ),
    "DEVICE_DETACH_REJECTED": ("the guest does not let go of the disk", "unmount it there, then run this task again"),
    "DEVICE_DETACH_TIMEOUT": ("the guest did not let go of the disk in time", "see what uses it there, then run this task again"),
    "VDI_IN_USE": ("the disk is in use by another VM or operation", "detach it there, or ask for sharing multi_writer"),
    "VDI_READONLY": ("the disk is read-only", "make the LUN writable on the array, then let its SR be scanned"),
    "INVALID_DEVICE": ("the VM has no place with that number", "name another unit, or none to have one chosen"),
    "HA_CONSTRAINT_VIOLATION_SR_NOT_SHARED": (
        "high availability protects the VM, which may have disks of shared SRs alone",
        "use an SR that all hosts of the pool share, or take the VM out of protection",
    ),
    "HA_OPERATION_WOULD_BREAK_FAILOVER_PLAN": (
        "high availability could no longer restart all protected VMs",
        "lower ha_host_failures_to_tolerate, or take the VM out of protection",
    ),
    "OPERATION_NOT_ALLOWED": ("XAPI does not allow it in this state", "see the SR and the VM in the pool's console"),
    "SR_UNKNOWN_DRIVER": ("the pool does not offer this type of SR", "see capabilities.storage_types of hypervisor_facts"),
    "SR_HAS_PBD": ("a host still has the SR plugged in", "unplug it there, then run this task again"),
    "SR_DEVICE_IN_USE": ("another SR of the pool has the target or LUN", "see which, then run this task again"),
    "SR_NOT_EMPTY": ("there is a volume on the SR", "see whose it is in the pool's console"),
    "SR_NOT_ATTACHED": ("the VM's host does not have the SR plugged in", "plug its PBD in there, then run this task again"),
    "HA_IS_ENABLED": ("high availability keeps its state there", "turn high availability off first, or keep its state elsewhere"),
    "HOST_OFFLINE": (
        "a host of the pool is down",
        "start it, or say that it is for good (xe host-declare-dead), then run this task again",
    ),
    "CANNOT_CONTACT_HOST": ("the master does not reach a host of the pool", "mend that, then run this task again"),
    "VDI_NOT_MANAGED": ("its SR does not manage the VDI", "let the SR be scanned, then run this task again"),
    f"{_BACKEND}44": ("the SR has no room left for it", "use a LUN that is larger than a few MiB"),
    f"{_BACKEND}46": ("the LUN is not there any more", "check that the array maps it to the initiators of all hosts of the pool"),
    f"{_BACKEND}47": ("the SR is not available", "repair its connection to the array, then run this task again"),
    f"{_BACKEND}67": ("the LUN's device did not appear on the host", "check zoning and paths, then run this task again"),
    f"{_BACKEND}68": ("the target refuses the login", "check that it allows the initiator of every host, and its CHAP secrets"),
    f"{_BACKEND}70": ("the host could not set its initiator name", "see the host's iSCSI configuration"),
    f"{_BACKEND}79": (
        "the pool's storage manager makes no volume of that size on LVM (2040 GiB are its most)",
        "use a smaller LUN, or one over iSCSI, which is given as it is",
    ),
    f"{_BACKEND}83": ("the target did not answer the discovery", "check the portal's address and firewalls"),
    f"{_BACKEND}141": ("the target cannot be reached", "check the portal's address and firewalls"),
}


@contextlib.contextmanager
def explained(what: str) -> Iterator[None]:
    """Tell an error of XAPI's as what it means for `what`, the beginning of a sentence: `LUN … was not attached to VM …`.

    Raises `Overtaken` for what may succeed when it is planned anew, else `RemoteError`.
    """
    try:
        yield
    except XapiFailure as failure:
        meaning, way_out = MEANINGS.get(failure.code, ("XAPI refuses it", "see the pool's log, then run this task again"))
        told = f"{what}, because {meaning} ({failure}): {way_out}."
        raise (Overtaken(told, failure.code) if failure.code in OVERTAKEN else RemoteError(told, failure.code)) from failure
