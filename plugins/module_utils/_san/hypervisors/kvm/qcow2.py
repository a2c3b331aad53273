# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a qcow2 image's data lies on beside itself, by its header (docs/interop/qcow2.txt of QEMU)."""

from __future__ import annotations

import json
import posixpath
from typing import Any

from ansible_collections.crossvisor.san.plugins.module_utils._san.linux.tree import Tree

_MAGIC = b"QFI\xfb"
_HEADER = 104
_LONGEST_NAME = 1023
_DEEPEST = 64
_DATA_FILE = 0x44415441
"""Type of the header extension that names an external data file."""
_MOST_EXTENSIONS = 32
_LOCAL = frozenset({"file", "host_device"})


def chain(tree: Tree, path: str) -> list[str]:
    """The paths of everything below an image, nearest first: data files, and the images that it is based on with theirs.

    Ends where an image cannot be read or is no file of the host.
    """
    found: list[str] = []
    image, seen = path, {path}
    while image.startswith("/") and len(seen) <= _DEEPEST:
        header = tree.piece(image, 0, _HEADER) or b""
        below = _based_on(tree, image, header)
        found.extend(name for name in (_data_file(tree, image, header), below) if name and name not in found)
        image = "" if below in seen else below
        seen.add(below)
    return found


def _based_on(tree: Tree, path: str, header: bytes) -> str:
    return _name(tree, path, _number(header, 8, 8), _number(header, 16, 4)) if header[:4] == _MAGIC else ""


def _data_file(tree: Tree, path: str, header: bytes) -> str:
    """What a header of version 3 says in its extensions, which begin where it ends."""
    at = _number(header, 100, 4) if header[:4] == _MAGIC and _number(header, 4, 4) > 2 else 0
    for _extension in range(_MOST_EXTENSIONS if at else 0):
        extension = tree.piece(path, at, 8) or b""
        kind, length = _number(extension, 0, 4), _number(extension, 4, 4)
        if kind == _DATA_FILE:
            return _name(tree, path, at + 8, length)
        if not kind:
            break
        at += 8 + (length + 7) // 8 * 8
    return ""


def _number(header: bytes, at: int, length: int) -> int:
    return int.from_bytes(header[at : at + length], "big")


def _name(tree: Tree, path: str, offset: int, length: int) -> str:
    if not offset or not 0 < length <= _LONGEST_NAME:
        return ""
    name = _host_path((tree.piece(path, offset, length) or b"").decode("utf-8", "replace"))
    relative = name and not name.startswith("/") and ":" not in name.partition("/")[0]
    return posixpath.normpath(posixpath.join(posixpath.dirname(path), name)) if relative else name


def _host_path(name: str) -> str:
    """The file or device in QEMU's longer spellings of a name (docs/system/images of QEMU): `json:{…}`, `file:…`, `host_device:…`."""
    if name.startswith("json:"):
        try:
            return _filename(json.loads(name[len("json:") :])) or name
        except (ValueError, RecursionError):
            return name
    protocol, _colon, path = name.partition(":")
    return path if protocol in _LOCAL and path.startswith("/") else name


def _filename(options: Any) -> str:
    """The file name at the bottom of a tree of block drivers' options."""
    if not isinstance(options, dict):
        return ""
    own = options.get("filename", options.get("file.filename", ""))
    return _filename(options.get("file")) or (own if isinstance(own, str) else "")
