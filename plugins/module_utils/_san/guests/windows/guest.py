# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A Windows guest by its own WS-Management service."""

from __future__ import annotations

import time
from collections.abc import Callable

from ansible_collections.crossvisor.san.plugins.module_utils._san.connection import Connection
from ansible_collections.crossvisor.san.plugins.module_utils._san.detection.detect import Detection
from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.windows import facts
from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.windows.session import Session
from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.windows.xenbus import NOWHERE, Place
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.cim import CimClient
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.cim_login import open_client


class WindowsGuest:
    """A login, which happens with the first request. Every method raises only `CrossvisorError`s."""

    def __init__(self, client: CimClient, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep) -> None:
        self._client = client
        self._clock = clock
        self._sleep = sleep

    def session(self, name: ScsiName, timeout: float, place: Place = NOWHERE) -> Session:
        """What the guest shows of a LUN now, which on Xen is known by its place alone; `timeout` is in seconds."""
        return Session(self._client, name, timeout, place, self._clock, self._sleep)

    def detect(self) -> Detection:
        """What the guest knows of the hypervisor below it."""
        return facts.detect(self._client)

    def close(self) -> None:
        """Close the connection. Never raises."""
        self._client.session.close()


def open_guest(connection: Connection) -> WindowsGuest:
    """Prepare a login at the guest. Raises `MissingLibrary` or `InvalidInput`."""
    return WindowsGuest(open_client(connection))
