# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""NetApp ONTAP over its REST interface, from 9.11.1 on."""

from __future__ import annotations

import time
from collections.abc import Callable

from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap import states
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.backend import OntapArray
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.faults import ReleaseTooOld
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_rest.client import (
    EVERY_FIELD,
    OntapClient,
    Record,
    number_at,
    text_at,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_rest.transport import RestTransport
from ansible_collections.crossvisor.san.plugins.module_utils._san.connection import Connection
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import MissingRight
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import ArrayAbout

OLDEST = (9, 11, 1)
_TELLS_ASA_R2 = (9, 16, 1)


class OntapRest(OntapArray):
    """A connection by REST."""

    def __init__(
        self, connection: Connection, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        super().__init__()
        self._client = OntapClient(connection, clock, sleep)
        self._transport = RestTransport(self._client)

    def _who(self) -> ArrayAbout:
        connection = self._client.connection
        try:
            version, name, uuid, disaggregated = self._client.read_one("/cluster", (EVERY_FIELD,), _identity)
            if disaggregated is None and version >= _TELLS_ASA_R2:
                disaggregated = _is_disaggregated(self._client.get("/cluster", ("version", "disaggregated")))
        except MissingRight:
            return self._known_as()
        text = ".".join(str(part) for part in version)
        if version < OLDEST:
            oldest = ".".join(str(part) for part in OLDEST)
            raise ReleaseTooOld(
                f"The array {connection} runs ONTAP {text}, and this collection needs {oldest} or later: upgrade the array, or ask it by "
                "ZAPI (array.type=ontap_zapi)."
            )
        if disaggregated:
            raise states.refusal_of_asa_r2(f"The array {connection}")
        return self._known_as(name, text, uuid)


def _identity(cluster: Record) -> tuple[tuple[int, ...], str, str, bool | None]:
    """Version, name and UUID, and whether it is an ASA r2, which ONTAP tells from 9.16.1 on; the account of an SVM only by that name."""
    version = tuple(number_at(cluster, f"version.{part}") for part in ("generation", "major", "minor"))
    return version, text_at(cluster, "name", ""), text_at(cluster, "uuid", ""), _is_disaggregated(cluster)


def _is_disaggregated(cluster: Record) -> bool | None:
    told = cluster.get("disaggregated")
    return told if isinstance(told, bool) else None
