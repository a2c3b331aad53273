# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What libvirt and QEMU say when a change of a VM fails, in terms of the LUN and the VM. The words are those of libvirt 9.0, QEMU 7.2."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import Refused, RemoteError

_SILENT = "cannot get sg_io version number"
_FORBIDDEN = "operation not permitted"
_KNOWN = (
    (
        "0x2500",
        "the target no longer shows it under the number at which it was found: check the array's mappings, then run this task again",
    ),
    ("target not found(515)", "the target does not let the initiator in: map the LUN to that initiator on the array"),
    ("authentication failed(513)", "the target refuses the CHAP login: check user name and libvirt's iSCSI secret"),
    (
        "no more available pci slots",
        "the VM has no free PCI Express port for a controller: power it off, or add pcie-root-ports to it first",
    ),
    ("could not open '/dev", "QEMU cannot open the device: check the permissions of libvirt's QEMU user on it"),
    ("scsi-block", "QEMU cannot pass the device through: it is no SCSI disk of the host, or the host's kernel forbids SCSI commands to it"),
    ("timed out waiting for disk to be removed", "the guest has not let go of it"),
)


class Unanswered(Refused):
    """The device did not answer QEMU, and nothing was changed: it may as soon as one of its paths does I/O."""


@contextlib.contextmanager
def explained(subject: str) -> Iterator[None]:
    """Name the subject and the way out when libvirt refuses; `subject` is a clause: `LUN x was not attached to VM y`."""
    try:
        yield
    except RemoteError as error:
        said = str(error)
        if _SILENT in said.lower() and _FORBIDDEN not in said.lower():
            raise Unanswered(f"{subject}: no path of the device does I/O for QEMU, see there what its paths lack. ({said})") from error
        reason = next((reason for words, reason in _KNOWN if words in said.lower()), None)
        if reason:
            raise Refused(f"{subject}: {reason}. ({said})") from error
        raise RemoteError(f"{subject}: {said}", error.code) from error
