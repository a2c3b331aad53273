# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""NetApp ONTAP over ZAPI, for releases whose REST interface does not do, and accounts that may not use it."""

from __future__ import annotations

import time
from collections.abc import Callable

from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.backend import OntapArray
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.faults import OntapRefusal, ReleaseTooOld
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_zapi import codes
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_zapi.client import ZapiClient
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_zapi.elements import Element, number_at, text_at
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_zapi.transport import ZapiTransport
from ansible_collections.crossvisor.san.plugins.module_utils._san.connection import Connection
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import MissingRight
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import ArrayAbout

OLDEST = (9, 8, 0)


class OntapZapi(OntapArray):
    """A connection by ZAPI."""

    def __init__(
        self, connection: Connection, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        super().__init__()
        self._client = ZapiClient(connection, clock, sleep)
        self._transport = ZapiTransport(self._client)

    def _who(self) -> ArrayAbout:
        version = self._client.one("system-get-version", _version)
        text = ".".join(str(part) for part in version)
        if version < OLDEST:
            oldest = ".".join(str(part) for part in OLDEST[:2])
            raise ReleaseTooOld(
                f"The array {self._client.connection} runs ONTAP {text}, and this collection needs {oldest} or later: upgrade the array."
            )
        try:
            name, uuid = self._client.one("cluster-identity-get", _identity)
        except MissingRight:
            return self._known_as(version=text)
        except OntapRefusal as error:
            if error.code != codes.API_NOT_FOUND:
                raise
            return self._known_as(version=text)
        return self._known_as(name, text, uuid)


def _version(answer: Element) -> tuple[int, ...]:
    return tuple(number_at(answer, f"version-tuple.system-version-tuple.{part}") for part in ("generation", "major", "minor"))


def _identity(answer: Element) -> tuple[str, str]:
    place = "attributes.cluster-identity-info"
    return text_at(answer, f"{place}.cluster-name"), text_at(answer, f"{place}.cluster-uuid")
