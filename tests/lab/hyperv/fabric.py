# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which LUNs the array shows to which initiators."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol
from urllib.parse import urlencode

from tests.lab.client import ask
from tests.lab.world import ISCSI_PORT, naa_of


class Fabric(Protocol):
    """What a rescan of initiators would find now."""

    def presented(self, initiators: Sequence[str]) -> list[dict[str, Any]]:
        """Return one row per initiator and LUN, as the array's control port does (README.md). Raises OSError."""

    def write(self, naa: str, size: int) -> None:
        """Tell the array that so many bytes were written to the LUN. Raises OSError."""


class ArrayControl:
    """Asks the control port of the running array."""

    def __init__(self, control_url: str) -> None:
        self._url = control_url.rstrip("/")

    def presented(self, initiators: Sequence[str]) -> list[dict[str, Any]]:
        """See Fabric."""
        if not initiators:
            return []
        rows: list[dict[str, Any]] = ask(self._url, "GET", f"/presented?{urlencode({'initiator': initiators}, doseq=True)}")
        return rows

    def write(self, naa: str, size: int) -> None:
        """See Fabric."""
        ask(self._url, "POST", f"/written?{urlencode({'naa': naa, 'bytes': size})}")


class WorldFabric:
    """Knows only what the world file says of the array: for a server without an array."""

    def __init__(self, array: Mapping[str, Any]) -> None:
        self.svms: list[Any] = list(array["svms"])
        self.written: dict[str, int] = {}
        """Bytes by LUN."""

    def presented(self, initiators: Sequence[str]) -> list[dict[str, Any]]:
        """See Fabric."""
        wanted = {name.lower() for name in initiators}
        return [
            _row(svm, lun, mapped["id"], initiator)
            for svm in self.svms
            for group in svm["igroups"]
            for initiator in group["initiators"]
            if initiator.lower() in wanted
            for mapped in group["maps"]
            for volume in svm["volumes"]
            for lun in volume["luns"]
            if f"/vol/{volume['name']}/{lun['name']}" == mapped["lun"]
        ]

    def write(self, naa: str, size: int) -> None:
        """See Fabric."""
        self.written[naa] = self.written.get(naa, 0) + size


def _row(svm: Mapping[str, Any], lun: Mapping[str, Any], number: int, initiator: str) -> dict[str, Any]:
    iscsi = [{"kind": "iscsi", "iqn": svm["iqn"], "address": address, "port": ISCSI_PORT} for address in svm["portals"]]
    fibre = [{"kind": "fc", "wwpn": lif["wwpn"], "wwnn": lif["wwnn"]} for lif in svm["fc_lifs"]]
    return {
        "naa": naa_of(lun["serial"]),
        "serial": lun["serial"],
        "lun": number,
        "size": lun["size"],
        "vendor": "NETAPP",
        "model": "LUN C-Mode",
        "revision": "9161",
        "ports": iscsi if initiator.startswith("iqn.") else fibre,
        "initiator": initiator,
    }
