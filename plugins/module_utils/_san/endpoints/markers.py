# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The markers that a module was given, as another module has returned them in a guest, and where they shall be looked for."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import InvalidInput
from ansible_collections.crossvisor.san.plugins.module_utils._san.observation.capture import ISCSI_PORT
from ansible_collections.crossvisor.san.plugins.module_utils._san.observation.layers import Written
from ansible_collections.crossvisor.san.plugins.module_utils._san.observation.markers import SECTOR, Markers
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.observation import GuestPiece, Lost, Wish

Given = Mapping[str, Any]


def search_option() -> dict[str, Any]:
    """The argument spec of `search`."""
    return {
        "type": "dict",
        "default": {},
        "options": {
            "luns": {"type": "list", "elements": "str", "default": []},
            "captures": {"type": "list", "elements": "path", "default": []},
            "ports": {"type": "list", "elements": "int", "default": [ISCSI_PORT]},
            "bytes": {"type": "int", "default": 0},
            "seconds": {"type": "float", "default": 1800.0},
        },
    }


def wish(params: Given, ranges: Sequence[tuple[int, int]]) -> Wish:
    """What a task asks for by its options `vm`, `disk`, `markers`, `guest_device` and `search`. Raises `InvalidInput`."""
    search = {"luns": [], "captures": [], "ports": [ISCSI_PORT], "bytes": 0, "seconds": 1800.0, **params["search"]}
    if search["captures"] and search["luns"]:
        raise InvalidInput("search.luns and search.captures are two ways to look: give one of them.")
    for name in ("bytes", "seconds"):
        if not 0 <= search[name] < math.inf:
            raise InvalidInput(f"search.{name}={search[name]:g} is less than nothing, or no number: leave it out for no limit.")
    given = params["markers"]
    try:
        markers = Markers(bytes.fromhex(given["magic"]), int(given["block_bytes"]))
        pieces = [_piece(row, markers.length) for row in given["written"]]
        lost = [Lost(int(row["number"]), str(row["reason"])) for row in given.get("unplaced", [])]
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidInput(
            f"markers is not what guest_block_markers returns ({type(error).__name__}: {error}): give the registered result as it is."
        ) from None
    return Wish(
        params["vm"],
        markers,
        pieces,
        lost,
        params["disk"],
        ranges,
        params["guest_device"],
        [_lun(word) for word in search["luns"]],
        search["captures"],
        search["ports"],
        search["bytes"],
        search["seconds"],
    )


def _piece(row: Given, longest: int) -> GuestPiece:
    number, within, length, offset = (int(row[name]) for name in ("number", "within", "length", "virtual_offset"))
    if min(number, within, offset) < 0 or length <= 0 or within + length > longest or (within | length | offset) % SECTOR:
        raise ValueError(f"marker {number} with {length} bytes at {offset}")
    written = Written(number, offset, length, row.get("submitted"), row.get("completed"), within, str(row["device"]))
    return GuestPiece(written, str(row["naa"]), int(row["disk_bytes"]))


def _lun(word: str) -> ScsiName:
    name = ScsiName.try_parse(word)
    if name is None:
        raise InvalidInput(f"search.luns has '{word:.100}', which is no name of a LUN: give its NAA name.")
    return name
