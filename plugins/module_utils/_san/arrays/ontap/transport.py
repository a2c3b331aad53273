# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What plans, undo and checks ask of an ONTAP, whichever of its interfaces carries it.

Every failure is a `CrossvisorError`: a refusal is an `OntapRefusal`, a change whose answer was lost an `OutcomeUnknown`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol

from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.base import CloneOrigin, LunAddress
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.groups import Group
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.luns import StoredLun
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.mirrors import Mirror
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.volumes import ConsistencyGroup, Place, Taken
from ansible_collections.crossvisor.san.plugins.module_utils._san.connection import Connection
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import Lun, LunMapping, Snapshot, Target, Volume

MOST_READ = 15 << 16
"""Bytes that one request may read: ONTAP's limit is 1 MB, which this is not beyond in either of its meanings."""


class Transport(Protocol):
    """One session with one ONTAP cluster or SVM. `timeout` is in seconds, for a change that the array goes on with after its answer."""

    keeps_remarks: bool
    """Whether igroups and their members keep a comment, by which what this run made is known again, and take several members at once."""

    keeps_expiry: bool
    """Whether a snapshot can be told until when it is kept."""

    @property
    def connection(self) -> Connection:
        """The endpoint, for messages."""

    def wait_for(self, observe: Callable[[], bool], timeout: float) -> bool:
        """Look until there is something to see or the time is over; tell which."""

    def lun_at(self, address: LunAddress) -> StoredLun | None:
        """The LUN at this place; who is in its igroups may not be told."""

    def lun_of(self, uuid: str) -> StoredLun | None:
        """The LUN with this UUID, whatever its path is by now."""

    def luns_at(self, svm: str, paths: Sequence[str]) -> list[Lun]:
        """The LUNs at these paths, as far as they are there."""

    def luns_with_serials(self, serials: Sequence[str]) -> list[StoredLun]:
        """The LUNs with these serial numbers."""

    def groups_of(self, svm: str) -> list[Group]:
        """Every igroup of an SVM with its members and its LUNs."""

    def groups_by_svm(self) -> list[tuple[str, Group]]:
        """Every igroup of the array, as `groups_of`, each after the SVM that it is in."""

    def group_named(self, svm: str, name: str) -> Group | None:
        """One igroup, as `groups_of`."""

    def members(self, svms: Collection[str]) -> list[Group]:
        """Every igroup of these SVMs with its members, without its LUNs."""

    def volume_state(self, svm: str, volume: str) -> str | None:
        """The state of a volume, None where there is no such volume."""

    def svm_names(self) -> list[str]:
        """All SVMs. Raises `MissingRight` where the account may not know."""

    def volume_names(self, svm: str) -> list[str]:
        """The volumes of an SVM."""

    def lun_paths(self, svm: str, volume: str) -> list[str]:
        """The LUNs of a volume."""

    def exported_volumes(self) -> list[Volume]:
        """The volumes that are mounted in an SVM's name space, with the SVM's NFS addresses."""

    def iscsi_targets(self, svm: str) -> list[Target]:
        """The iSCSI target of an SVM with the portals that are up, none when it has no iSCSI service."""

    def fc_targets(self, svm: str) -> list[Target]:
        """The Fibre Channel ports of an SVM that serve SCSI."""

    def mirrors(self) -> list[Mirror]:
        """The relationships that begin or end here."""

    def volume_id(self, svm: str, volume: str) -> str | None:
        """The UUID of a volume, None where there is no such volume."""

    def snapshots_of(self, place: Place, names: Collection[str]) -> list[Snapshot]:
        """The snapshots of a volume, of these names, or all if none is given."""

    def consistency_groups(self, svm: str, name: str = "") -> list[ConsistencyGroup]:
        """The consistency groups of an SVM, or of all where it is empty, of this name or of any, without what they have taken.

        Where the interface keeps none, those that this session has made.
        """

    def taken_by(self, group: ConsistencyGroup) -> list[Taken]:
        """What a consistency group has taken."""

    def create_lun(self, address: LunAddress, size_bytes: int, os_type: str, thin: bool, comment: str, timeout: float) -> None:
        """Create a LUN."""

    def clone_lun(self, address: LunAddress, origin: CloneOrigin, thin: bool, comment: str, timeout: float) -> None:
        """Create a LUN as a clone of one in a snapshot of its volume."""

    def restore_lun(self, lun: Lun, snapshot: Snapshot, comment: str, timeout: float) -> None:
        """Give a LUN the data that it has in a snapshot and, where the interface takes one with it, this comment."""

    def comment_lun(self, lun: Lun, comment: str, timeout: float) -> None:
        """Set the comment of a LUN."""

    def grow_lun(self, lun: Lun, size_bytes: int, timeout: float) -> None:
        """Make a LUN larger."""

    def delete_lun(self, lun: Lun, timeout: float) -> None:
        """Delete a LUN that is mapped nowhere."""

    def read_lun(self, lun: Lun, offset: int, length: int) -> bytes:
        """A part of a LUN's data, of `MOST_READ` bytes at most. Raises `Refused` where the interface shows nobody any."""

    def map_lun(self, lun: Lun, group: str, lun_id: int | None, timeout: float) -> None:
        """Map a LUN to an igroup, under the lowest free id if none is given."""

    def unmap_lun(self, lun: Lun, mapping: LunMapping, timeout: float) -> None:
        """Unmap a LUN from an igroup."""

    def create_group(self, svm: str, group: Group, timeout: float) -> None:
        """Create an igroup with its initiators and, where the array keeps them, the comments."""

    def delete_group(self, svm: str, group: Group, timeout: float) -> None:
        """Delete an igroup to which no LUN is mapped."""

    def add_initiators(self, svm: str, group: Group, names: Sequence[str], remark: str, timeout: float) -> None:
        """Add initiators to an igroup, with this comment on each where the array keeps it."""

    def remove_initiator(self, svm: str, group: Group, name: str, timeout: float) -> None:
        """Take an initiator out of an igroup, mapped or not."""

    def take_snapshot(self, place: Place, name: str, texts: Mapping[str, str], timeout: float) -> None:
        """Take a snapshot of a volume, with `comment`, `expiry_time` and `snapmirror_label` as far as they are given."""

    def change_snapshot(self, place: Place, snapshot: Snapshot, texts: Mapping[str, str], timeout: float) -> None:
        """Change the same of a snapshot, or its `name`."""

    def delete_snapshot(self, place: Place, snapshot_id: str, timeout: float) -> None:
        """Delete a snapshot."""

    def make_consistency_group(self, svm: str, name: str, volumes: Sequence[str], timeout: float) -> None:
        """Make a consistency group of volumes that are there."""

    def take_together(self, group: ConsistencyGroup, name: str, texts: Mapping[str, str], timeout: float) -> None:
        """Take a snapshot of all volumes of a group at one moment, with `comment` and `snapmirror_label`."""

    def delete_together(self, group: ConsistencyGroup, taken: Taken, timeout: float) -> None:
        """Delete what a group has taken."""

    def forget_consistency_group(self, group: ConsistencyGroup, timeout: float) -> None:
        """Forget a group; its volumes and their snapshots stay."""

    def close(self) -> None:
        """Close the connection. Never raises."""
