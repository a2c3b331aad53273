# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reading the registry of a Windows machine through WMI's registry provider `StdRegProv`."""

from __future__ import annotations

from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.windows import classes
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.cim import RETURN_VALUE, CimClient

_LOCAL_MACHINE = 0x80000002


def text_of(client: CimClient, key: str, value: str) -> str:
    """The text of a value below `HKEY_LOCAL_MACHINE`; empty when there is no such key or value, or it may not be read."""
    answer = client.call(
        classes.REGISTRY,
        "GetStringValue",
        None,
        {"hDefKey": _LOCAL_MACHINE, "sSubKeyName": key, "sValueName": value},
        outputs={"sValue": "string"},
        repeatable=True,
    )
    return "" if answer.integer(RETURN_VALUE) else answer.text("sValue")
