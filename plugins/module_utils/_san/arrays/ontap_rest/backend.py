# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""NetApp ONTAP over its REST interface, from 9.11.1 on: the port, put together from the files beside this one."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence

from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.base import (
    Change,
    LastLook,
    ProvisionWish,
    WithdrawWish,
    nobody_to_ask,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_rest import lookup, mirrors, provision, states, withdraw
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_rest.client import (
    EVERY_FIELD,
    OntapClient,
    Record,
    number_at,
    text_at,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.connection import Connection
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import MissingRight, RemoteError
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import ArrayAbout, Lun, Target, Use, Volume
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName

OLDEST = (9, 11, 1)
_TELLS_ASA_R2 = (9, 16, 1)


class OntapRest:
    """A connection to an ONTAP cluster, or to the management interface of one SVM. Sends nothing until it is asked something."""

    def __init__(
        self, connection: Connection, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._client = OntapClient(connection, clock, sleep)

    def about(self) -> ArrayAbout:
        """Who the array is; to the account of an SVM, which may not know, its address.

        Raises `RemoteError` when its ONTAP is too old, `Refused` when it is an ASA r2.
        """
        connection = self._client.connection
        try:
            version, name, uuid, disaggregated = self._client.read_one("/cluster", (EVERY_FIELD,), _identity)
            if disaggregated is None and version >= _TELLS_ASA_R2:
                disaggregated = _is_disaggregated(self._client.get("/cluster", ("version", "disaggregated")))
        except MissingRight:
            return _known_as(connection)
        text = ".".join(str(part) for part in version)
        if version < OLDEST:
            oldest = ".".join(str(part) for part in OLDEST)
            raise RemoteError(f"The array {connection} runs ONTAP {text}, and this collection needs {oldest} or later: upgrade the array.")
        if disaggregated:
            raise states.refusal_of_asa_r2(f"The array {connection}")
        return _known_as(connection, name, text, uuid)

    def luns(self, names: Sequence[ScsiName]) -> list[Lun]:
        """The named LUNs, as far as they live here, with their mappings."""
        serials = list(dict.fromkeys(name.ontap_serial for name in names if name.ontap_serial))
        found = [stored.lun for stored in lookup.luns_with_serials(self._client, serials)]
        if all(lookup.tells_initiators(lun) for lun in found):
            return found
        groups = lookup.members(self._client, {lun.svm for lun in found})
        return [lookup.with_initiators(lun, groups) for lun in found]

    def volumes(self) -> list[Volume]:
        """All volumes that have a junction path, with the NFS addresses of their SVM."""
        return lookup.exported_volumes(self._client)

    def targets(self, svm: str, kinds: Collection[str]) -> list[Target]:
        """The iSCSI target and the Fibre Channel ports of an SVM."""
        iscsi = lookup.iscsi_targets(self._client, svm) if "iscsi" in kinds else []
        return iscsi + (lookup.fc_targets(self._client, svm) if "fc" in kinds else [])

    def uses(self, lun: Lun) -> list[Use]:
        """The mirrors of the LUN that another array presents too."""
        return mirrors.uses_of(self._client, lun)

    def plan_provision(self, wish: ProvisionWish, last_look: LastLook = nobody_to_ask) -> Change:
        """Create, grow and map a LUN."""
        return provision.plan_provision(self._client, wish, last_look)

    def plan_withdraw(self, wish: WithdrawWish) -> Change:
        """Unmap and, if wished, delete a LUN."""
        return withdraw.plan_withdraw(self._client, wish)

    def close(self) -> None:
        """Close the connection; ONTAP keeps no session."""
        self._client.close()


def _known_as(connection: Connection, name: str = "", version: str = "", uuid: str = "") -> ArrayAbout:
    """The array as far as it tells who it is."""
    address = str(connection.hostname)
    return ArrayAbout(type=connection.type, name=name or address, address=address, version=version, uuid=uuid)


def _identity(cluster: Record) -> tuple[tuple[int, ...], str, str, bool | None]:
    """Version, name and UUID, and whether it is an ASA r2, which ONTAP tells from 9.16.1 on; the account of an SVM only by that name."""
    version = tuple(number_at(cluster, f"version.{part}") for part in ("generation", "major", "minor"))
    return version, text_at(cluster, "name", ""), text_at(cluster, "uuid", ""), _is_disaggregated(cluster)


def _is_disaggregated(cluster: Record) -> bool | None:
    told = cluster.get("disaggregated")
    return told if isinstance(told, bool) else None
