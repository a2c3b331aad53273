# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The data plane of one array by tgtd: started, told of every change, killed and started again."""

from __future__ import annotations

from pathlib import Path

from tests.lab.ontap.data_plane.plane import Account, checked
from tests.lab.ontap.data_plane.portal import Backend, Portals, Service
from tests.lab.ontap.data_plane.tgt import Tgt
from tests.lab.ontap.data_plane.views import Views
from tests.lab.ontap.state import Array
from tests.lab.ports import LISTEN


class TgtPlane:
    """tgtd and the portals before it, with the LUNs' data in ``directory``, which nothing else uses."""

    def __init__(self, array: Array, directory: Path) -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._array = array
        self._tgt = Tgt(directory)
        self._views = Views(array, self._tgt, directory / "data")
        services = [Service(svm.iqn, svm.portals) for svm in array.svms]
        self._portals = Portals(services, Backend(lambda: (LISTEN, self._tgt.port), self._views.target))

    def start(self) -> None:
        """Offer the array's LUNs, empty; raises TgtFailed and OSError."""
        self._portals.start()
        self._tgt.start()
        with self._array.lock:
            self._views.erase()

    def stop(self) -> None:
        """End everything."""
        self._portals.stop()
        self._tgt.stop()

    def follow(self) -> None:
        """Offer what the array says after a change; while tgtd is down there is nothing to do."""
        if self._tgt.runs:
            with self._array.lock:
                self._views.follow()

    def reset(self) -> None:
        """Offer what the array says, without any data."""
        self.switch("running")
        with self._array.lock:
            self._views.erase()

    def admit(self, initiator: str, account: Account | None) -> None:
        """Want CHAP of an initiator at its next login, or want none."""
        with self._array.lock:
            self._views.admit(initiator, account)

    def read(self, uuid: str, offset: int, size: int) -> bytes:
        """Return a part of a LUN's data, from the file that tgtd writes to."""
        return self._views.read(uuid, offset, size)

    def switch(self, state: str) -> None:
        """Kill tgtd, or start it again on the data that it left; raises ValueError for another state."""
        if checked(state) == "killed":
            self._tgt.kill()
        elif not self._tgt.runs:
            self._tgt.start()
            with self._array.lock:
                self._views.again()
