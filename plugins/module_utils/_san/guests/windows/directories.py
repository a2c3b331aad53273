# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Directories for mount points. WMI has no method that makes one, so that `cmd.exe` does, with paths that `AccessPath` has checked.

`Win32_Directory.Delete` is not used: it removes whatever is inside, `rmdir` does not.
"""

from __future__ import annotations

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import RemoteError
from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.windows import classes
from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.windows.access_path import AccessPath
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire import wql
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.cim import RETURN_VALUE, CimClient


def exists(client: CimClient, path: AccessPath) -> bool:
    """Tell whether there is such a directory."""
    return any(client.query(classes.DIRECTORY, wql.equals("Name", path.bare), ("Name",)))


def is_empty(client: CimClient, path: AccessPath) -> bool:
    """Tell whether nothing is in a directory."""
    inside = wql.all_of([wql.equals("Drive", path.drive), wql.equals("Path", path.path[2:])])
    return not any(True for kind in (classes.DATA_FILE, classes.DIRECTORY) for _found in client.query(kind, inside, ("Name",)))


def make(client: CimClient, path: AccessPath) -> None:
    """Start to make a directory and those above it. Raises `RemoteError`, and what `CimClient.call` raises."""
    _run(client, "mkdir", path)


def remove(client: CimClient, path: AccessPath) -> None:
    """Start to remove a directory if it is empty."""
    _run(client, "rmdir", path)


def _run(client: CimClient, command: str, path: AccessPath) -> None:
    answer = client.call(classes.PROCESS, "Create", None, {"CommandLine": f'cmd.exe /c {command} "{path.bare}"'})
    value = answer.integer(RETURN_VALUE) or 0
    if value:
        raise RemoteError(f"Windows does not start {command} for {path} (Win32_Process.Create returned {value}).", str(value))
