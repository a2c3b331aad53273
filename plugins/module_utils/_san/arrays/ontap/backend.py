# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The port for NetApp ONTAP, put together from the files beside this one; what carries it is the transport's.

The files that make plans are loaded by who wants a plan.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence

from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.base import (
    Change,
    LastLook,
    LunAddress,
    ProvisionWish,
    Restoration,
    RestoreWish,
    SnapshotChange,
    SnapshotRemoval,
    SnapshotWish,
    WithdrawWish,
    nobody_to_ask,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap import mirrors
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.luns import tells_initiators, with_initiators
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.transport import MOST_READ, Transport
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import RemoteError
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import ArrayAbout, Lun, Snapshot, Target, Use, Volume
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName


class OntapArray(ABC):
    """A connection to an ONTAP cluster, or to the management interface of one SVM. Sends nothing until it is asked something."""

    _transport: Transport

    def __init__(self) -> None:
        self._about: ArrayAbout | None = None

    def about(self) -> ArrayAbout:
        """Who the array is, which is asked once; to the account of an SVM, which may not know, its address.

        Raises `ReleaseTooOld`, and `Refused` when it is an ASA r2.
        """
        if self._about is None:
            self._about = self._who()
        return self._about

    @abstractmethod
    def _who(self) -> ArrayAbout:
        """Ask who the array is."""

    def luns(self, names: Sequence[ScsiName]) -> list[Lun]:
        """The named LUNs, as far as they live here, with their mappings."""
        serials = list(dict.fromkeys(name.ontap_serial for name in names if name.ontap_serial))
        found = [stored.lun for stored in self._transport.luns_with_serials(serials)]
        if all(tells_initiators(lun) for lun in found):
            return found
        groups = self._transport.members({lun.svm for lun in found})
        return [with_initiators(lun, groups) for lun in found]

    def volumes(self) -> list[Volume]:
        """All volumes that have a junction path, with the NFS addresses of their SVM."""
        return self._transport.exported_volumes()

    def targets(self, svm: str, kinds: Collection[str]) -> list[Target]:
        """The iSCSI target and the Fibre Channel ports of an SVM."""
        iscsi = self._transport.iscsi_targets(svm) if "iscsi" in kinds else []
        return iscsi + (self._transport.fc_targets(svm) if "fc" in kinds else [])

    def uses(self, lun: Lun) -> list[Use]:
        """The mirrors of the LUN that another array presents too."""
        return mirrors.uses_of(self._transport.mirrors, lun)

    def read(self, lun: Lun, offset: int, length: int) -> bytes:
        """A part of the LUN's data, in as many requests as that takes."""
        parts = []
        for begin in range(offset, offset + length, MOST_READ):
            wanted = min(MOST_READ, offset + length - begin)
            part = self._transport.read_lun(lun, begin, wanted)
            if len(part) != wanted:
                raise RemoteError(f"The array {self._transport.connection} gave {len(part)} bytes of LUN {lun.path} in place of {wanted}.")
            parts.append(part)
        return b"".join(parts)

    def plan_provision(self, wish: ProvisionWish, last_look: LastLook = nobody_to_ask) -> Change:
        """Create, grow and map a LUN."""
        from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap import provision

        return provision.plan_provision(self._transport, wish, last_look)

    def plan_withdraw(self, wish: WithdrawWish) -> Change:
        """Unmap and, if wished, delete a LUN."""
        from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap import withdraw

        return withdraw.plan_withdraw(self._transport, wish)

    def snapshots(self, luns: Sequence[LunAddress | ScsiName], name: str = "") -> list[Snapshot]:
        """The snapshots of the volumes of these LUNs."""
        from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap import snapshots

        return snapshots.listing(self._transport, luns, name)

    def plan_snapshot(self, wish: SnapshotWish) -> SnapshotChange:
        """Take, rename or change a snapshot."""
        from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap import snapshots

        return snapshots.plan_snapshot(self._transport, wish)

    def plan_snapshot_removal(self, wish: SnapshotRemoval) -> SnapshotChange:
        """Delete a snapshot."""
        from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap import snapshots

        return snapshots.plan_removal(self._transport, wish)

    def plan_restore(self, wish: RestoreWish) -> Restoration:
        """Restore one LUN in place."""
        from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap import restore

        return restore.plan_restore(self._transport, wish)

    def close(self) -> None:
        """Close the connection; ONTAP keeps no session."""
        self._transport.close()

    def _known_as(self, name: str = "", version: str = "", uuid: str = "") -> ArrayAbout:
        """The array as far as it tells who it is."""
        address = str(self._transport.connection.hostname)
        return ArrayAbout(type="ontap", name=name or address, address=address, version=version, uuid=uuid)
