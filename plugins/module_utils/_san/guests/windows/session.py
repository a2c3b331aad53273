# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One LUN on one Windows guest: what is there now, and a fresh look whenever something may have changed."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import NotFound, Refused
from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.windows import classes, xenbus
from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.windows.layout import Layout, Storage, observe
from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.windows.xenbus import NOWHERE, Place
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from ansible_collections.crossvisor.san.plugins.module_utils._san.windows import storage_cache, storage_call
from ansible_collections.crossvisor.san.plugins.module_utils._san.windows.storage_classes import DISK
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.cim import CimClient
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.cim_types import CimInstance, CimValue, Types

_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 10.0
_ARRIVAL = 5.0
"""Seconds within which Windows mounts a volume that has just come online or into being, or a command has done its work."""
_ARRIVAL_PAUSE = 0.2


class Session:
    """The guest and the LUN that a plan is about. Every method raises only `CrossvisorError`s."""

    def __init__(
        self,
        client: CimClient,
        name: ScsiName,
        timeout: float,
        place: Place = NOWHERE,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.client = client
        self.name = name
        self.timeout = timeout
        self.place = place
        self.guest = str(client.session.connection.hostname)
        self._clock = clock
        self._sleep = sleep
        self.storage = Storage(self.guest, (), (), ())
        self.look()

    def look(self) -> Layout | None:
        """Read what is there now; None when the guest does not show the LUN."""
        seen = observe(self.client, self.guest)
        self.storage = replace(seen, disks=xenbus.named(self.client, seen.disks, self.name, self.place))
        return self.storage.layout(self.name)

    @property
    def found(self) -> Layout | None:
        """The LUN as it was at the last look."""
        return self.storage.layout(self.name)

    @property
    def layout(self) -> Layout:
        """The LUN as it was at the last look. Raises `NotFound` when the guest does not show it."""
        found = self.found
        if found is None:
            raise NotFound(f"The guest {self.guest} does not show LUN {self.name}; {self._shown()}: {self._way_out()}.")
        return found

    def rescan(self) -> None:
        """Let the guest look for new, grown and removed disks, until it shows the LUN.

        Raises `NotFound` when it does not in time, `Refused` when it never will.
        """
        deadline = self._clock() + self.timeout
        pause = _FIRST_PAUSE
        while True:
            storage_cache.refresh(self.client, repeatable=True, timeout=self.timeout, sleep=self._sleep)
            if self.look() is not None:
                return
            self.refuse_unknown_place()
            if self._clock() >= deadline:
                raise NotFound(
                    f"The guest {self.guest} does not show LUN {self.name} {self.timeout:g} s after it began to look; {self._shown()}: "
                    f"{self._way_out()}."
                )
            self._sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def refuse_unknown_place(self) -> None:
        """Raise `Refused` for a guest whose disks are Xen's, which bear no name, where no place is known: to wait would be in vain."""
        if xenbus.on_xen(self.storage.disks) and not self.place.known:
            raise Refused(
                f"The guest {self.guest} has disks of Xen, which does not tell Windows the name of a LUN, so that LUN {self.name} cannot "
                "be told from other disks: give its address and size_bytes, as ptd_attach returns them."
            )

    def await_volume(self, ready: Callable[[Layout], bool]) -> Layout:
        """Look until the layout is as it should be, or for a few seconds: Windows mounts volumes on its own time."""

        def look_again() -> bool:
            self.look()
            return ready(self.layout)

        self.wait_until(look_again)
        return self.layout

    def wait_until(self, reached: Callable[[], bool]) -> bool:
        """Ask again and again for the few seconds that Windows may take for what it has accepted; tell whether it came to be."""
        deadline = self._clock() + _ARRIVAL
        while not reached():
            if self._clock() >= deadline:
                return False
            self._sleep(_ARRIVAL_PAUSE)
        return True

    def on_disk(self, method: str, parameters: Mapping[str, CimValue] | None = None) -> CimInstance:
        """Call a method of the LUN's `MSFT_Disk`. Raises `RemoteError` for a return value that is no success."""
        return storage_call.call(self.client, DISK, method, {"ObjectId": self.layout.disk.object_id}, parameters, timeout=self.timeout)

    def on_partition(
        self,
        method: str,
        object_id: str,
        parameters: Mapping[str, CimValue] | None = None,
        *,
        outputs: Types | None = None,
        repeatable: bool = False,
    ) -> CimInstance:
        """Call a method of an `MSFT_Partition`. Raises `RemoteError` for a return value that is no success."""
        return storage_call.call(
            self.client,
            classes.PARTITION,
            method,
            {"ObjectId": object_id},
            parameters,
            outputs=outputs,
            repeatable=repeatable,
            timeout=self.timeout,
        )

    def on_volume(self, method: str, object_id: str, parameters: Mapping[str, CimValue]) -> CimInstance:
        """Call a method of an `MSFT_Volume`. Raises `RemoteError` for a return value that is no success."""
        return storage_call.call(self.client, classes.VOLUME, method, {"ObjectId": object_id}, parameters, timeout=self.timeout)

    def disk_in_words(self) -> str:
        """The disk, as messages call it."""
        found = self.found
        return f"disk {found.disk.number} ({self.name}) of {self.guest}" if found else f"LUN {self.name} on {self.guest}"

    def _shown(self) -> str:
        seen = [f"disk {disk.number} is {disk.name or disk.product or 'local'}" for disk in self.storage.disks]
        return f"it shows: {', '.join(seen)}" if seen else "it shows no disk at all"

    @staticmethod
    def _way_out() -> str:
        return "check that the LUN is attached to this VM (ptd_attach) and that guest.hostname is the VM's own"
