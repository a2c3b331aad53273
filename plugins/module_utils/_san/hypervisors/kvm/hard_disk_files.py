# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""VHDX images on a KVM host, by their own tables: qemu-img knows where their blocks are and does not tell (tried with QEMU 7.2)."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from ansible_collections.crossvisor.san.plugins.module_utils._san.block_addresses.extents import Span
from ansible_collections.crossvisor.san.plugins.module_utils._san.block_addresses.hard_disk_files import vhdx
from ansible_collections.crossvisor.san.plugins.module_utils._san.block_addresses.hard_disk_files.image import composed
from ansible_collections.crossvisor.san.plugins.module_utils._san.block_addresses.hard_disk_files.reading import (
    NotTold,
    Place,
    read_together,
)

FORMAT = "vhdx"


class Ask(Protocol):
    """A question to the host's `linux.block_probe`."""

    def __call__(self, *, pieces: Sequence[Sequence[Any]]) -> Mapping[str, Any]: ...


def tables(ask: Ask, files: Mapping[str, Any], paths: Iterable[str]) -> dict[str, Sequence[Span] | str]:
    """The ranges of each of these images, or why nobody can tell them; a file that changes meanwhile is marked in `files`.

    QEMU opens no VHDX image that is based on another one, so that none here has a parent.
    """

    def read(places: Sequence[tuple[str, Place]]) -> list[bytes | NotTold]:
        told = ask(pieces=[[path, *place] for path, place in places])["pieces"]
        for (path, _place), piece in zip(places, told):
            files[path]["changed"] = files[path]["changed"] or piece["stamp"] != files[path]["stamp"]
        return [_bytes(path, piece) for (path, _place), piece in zip(places, told)]

    readable = [path for path in dict.fromkeys(paths) if path in files and not files[path]["error"]]
    found = read_together({path: vhdx.image(path, files[path]["size"]) for path in readable}, read)
    return {path: str(image) if isinstance(image, NotTold) else composed([image]) for path, image in found.items()}


def _bytes(path: str, piece: Mapping[str, str]) -> bytes | NotTold:
    if piece["error"]:
        return NotTold(f"{path} cannot be read on the host: {piece['error']}")
    return base64.b64decode(piece["data"])
