# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which images a qcow2 image is based on, by its header (docs/interop/qcow2.txt of QEMU)."""

from __future__ import annotations

import json
import posixpath
from typing import Any

from ansible_collections.crossvisor.san.plugins.module_utils._san.linux.tree import Tree

_MAGIC = b"QFI\xfb"
_HEADER = 20
_LONGEST_NAME = 1023
_DEEPEST = 64
_LOCAL = frozenset({"file", "host_device"})


def chain(tree: Tree, path: str) -> list[str]:
    """The paths of the images below an image, nearest first; ends where one cannot be read or is no file of the host."""
    found: list[str] = []
    below = _based_on(tree, path)
    while below and below not in found and len(found) < _DEEPEST:
        found.append(below)
        below = _based_on(tree, below) if below.startswith("/") else ""
    return found


def _based_on(tree: Tree, path: str) -> str:
    header = tree.piece(path, 0, _HEADER) or b""
    if header[:4] != _MAGIC:
        return ""
    offset, length = int.from_bytes(header[8:16], "big"), int.from_bytes(header[16:20], "big")
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
    below = (_filename(options.get(key)) for key in ("file", "data-file"))
    own = options.get("filename", options.get("file.filename", ""))
    return next(filter(None, below), "") or (own if isinstance(own, str) else "")
