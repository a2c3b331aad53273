# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The UUIDs under which a hypervisor's management may know this machine.

SMBIOS 2.6 (DSP0134 7.2.1) stores the first three fields of the system UUID with the low byte first; older firmware stored them as they are
written. Linux (drivers/firmware/dmi_scan.c) goes by the version that the firmware claims, and firmware does not always do what it claims:

- VMware's virtual hardware 13 and newer claims SMBIOS 2.7 but stores vCenter's `config.uuid` as it is written: a guest reads its bytes
  swapped. The serial number (`VMware-42 39 4f dd …`) holds the bytes in vCenter's order in any version.
- Hyper-V's generation 1 claims SMBIOS 2.3 but stores `BIOSGUID` with the low byte first: swapped again. Generation 2 is as it claims.

So whoever joins guests with VMs compares all of `candidates`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from uuid import UUID

_UNSET = (bytes(16), b"\xff" * 16)
_VMWARE_SERIAL = re.compile(r"VMware-((?:[0-9a-f]{2}[ -]?){16})", re.IGNORECASE)


def normalize(text: str | None) -> str:
    """The UUID in lower case with hyphens; empty if the text is none, or the all-0 or all-f one of firmware that has none."""
    try:
        value = UUID((text or "").strip())
    except ValueError:
        return ""
    return "" if value.bytes in _UNSET else str(value)


def swapped(uuid: str) -> str:
    """The same bytes under the other of the two readings. `uuid` is normalized."""
    return str(UUID(bytes_le=UUID(uuid).bytes))


def of_vmware_serial(serial: str | None) -> str:
    """The UUID in VMware's serial number, byte by byte as vCenter shows it; empty if it is another serial number."""
    found = _VMWARE_SERIAL.fullmatch((serial or "").strip())
    return normalize(re.sub("[ -]", "", found[1])) if found else ""


def candidates(uuids: Iterable[str]) -> tuple[str, ...]:
    """The normalized UUIDs as they are, best first, and after them their other readings; each once."""
    known = [uuid for uuid in uuids if uuid]
    return tuple(dict.fromkeys([*known, *map(swapped, known)]))
