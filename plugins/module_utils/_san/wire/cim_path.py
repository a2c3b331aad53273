# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""WMI object paths, such as `\\\\HOST\\root\\virtualization\\v2:Msvm_DiskDrive.DeviceID="Microsoft:1\\\\2"`.

Grammar of "Describing a WMI Object Path" in Microsoft's WMI reference. Replies over WS-Management carry no `__PATH`, so that paths are
built from keys; those inside properties (`Parent`, `HostResource`) are read. Paths that WMI writes differently may mean one object.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Union

from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.wsman_envelope import Reference, resource_uri

Key = Union[str, int, bool]

_LOCAL = "."
_PREFIX = re.compile(r"(?:[\\/]{2}(?P<host>[^\\/:]+)[\\/])?(?P<namespace>[^:\"]*?):(?=[A-Za-z_])")
_CLASS = re.compile(r"[A-Za-z_]\w*")
_KEY = re.compile(
    r'(?P<name>[A-Za-z_]\w*)\s*=\s*(?:"(?P<text>(?:[^"\\]|\\.)*)"|(?P<bare>[+-]?\d+|TRUE|FALSE))(?P<more>,)?', re.DOTALL | re.IGNORECASE
)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


@dataclass(frozen=True)
class ObjectPath:
    """One instance: its class, its keys and where it lives. Without keys: the class itself, or its only instance."""

    class_name: str
    keys: Mapping[str, Key] = field(default_factory=dict)
    namespace: str = ""
    """With forward slashes, such as `root/virtualization/v2`; empty in a relative path."""
    host: str = _LOCAL

    def __str__(self) -> str:
        """The path in full, as WMI writes `__PATH`; a path without a namespace stays relative."""
        if not self.namespace:
            return self.relative()
        backslashed = self.namespace.replace("/", "\\")
        return f"\\\\{self.host}\\{backslashed}:{self.relative()}"

    def relative(self) -> str:
        """The class and keys, as WMI writes `__RELPATH`."""
        if not self.keys:
            return self.class_name
        return f"{self.class_name}.{','.join(f'{name}={_written(value)}' for name, value in self.keys.items())}"

    def reference(self) -> Reference:
        """The endpoint reference to this object. The host is dropped: a reference means the host that is asked."""
        return Reference(resource_uri(self.namespace, self.class_name), {name: _selector(value) for name, value in self.keys.items()})


def parse_path(text: str) -> ObjectPath:
    """Read a path, full or relative, with either kind of slash. Raises `ValueError` when it is none."""
    prefix = _PREFIX.match(text)
    start = prefix.end() if prefix else 0
    named = _CLASS.match(text, start)
    if named is None:
        raise ValueError(f"'{text}' is no WMI object path")
    return ObjectPath(
        class_name=named[0],
        keys=_keys(text, named.end()),
        namespace=prefix["namespace"].strip("\\/").replace("\\", "/") if prefix else "",
        host=(prefix["host"] or _LOCAL) if prefix else _LOCAL,
    )


def _keys(text: str, position: int) -> dict[str, Key]:
    rest = text[position:]
    if rest in ("", "=@"):
        return {}
    if not rest.startswith("."):
        raise ValueError(f"'{text}' is no WMI object path")
    keys: dict[str, Key] = {}
    position += 1
    while True:
        found = _KEY.match(text, position)
        if found is None or found["name"] in keys:
            raise ValueError(f"'{text}' is no WMI object path")
        keys[found["name"]] = _ESCAPED.sub(r"\1", found["text"]) if found["text"] is not None else _bare(found["bare"])
        position = found.end()
        if not found["more"]:
            break
    if position != len(text):
        raise ValueError(f"'{text}' is no WMI object path")
    return keys


def _bare(text: str) -> Key:
    return text.upper() == "TRUE" if text.upper() in ("TRUE", "FALSE") else int(text)


def _written(value: Key) -> str:
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, int):
        return str(value)
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _selector(value: Key) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
