# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The file systems that a volume is given, and what Windows lets them have.

Source: `FORMAT` of Microsoft's command reference, "Cluster size recommendations for ReFS and NTFS", and `MSFT_Volume.Format`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import InvalidInput

NTFS = "NTFS"
REFS = "ReFS"
ALLOCATION_UNITS: Mapping[str, tuple[int, ...]] = MappingProxyType(
    {NTFS: tuple(2**power for power in range(9, 22)), REFS: (4 * 1024, 64 * 1024)}
)
"""Sizes of an allocation unit in bytes. Those of NTFS above 64 KiB need Windows Server 2019 or Windows 10 1709."""
_MOST_UNITS = 2**32 - 1
"""Allocation units of an NTFS volume."""
_LONGEST_LABEL = 32


def check_unit(file_system: str, size: int) -> None:
    """Raise `InvalidInput` for an allocation unit that the file system does not have."""
    known = ALLOCATION_UNITS[file_system]
    if size not in known:
        raise InvalidInput(f"{file_system} has no allocation unit of {size} bytes: choose one of {', '.join(str(unit) for unit in known)}.")


def check_fits(file_system: str, unit: int | None, disk_bytes: int) -> None:
    """Raise `InvalidInput` for an NTFS volume that would have more allocation units than there can be."""
    if file_system == NTFS and unit and disk_bytes // unit > _MOST_UNITS:
        large = next((known for known in ALLOCATION_UNITS[NTFS] if disk_bytes // known <= _MOST_UNITS), ALLOCATION_UNITS[NTFS][-1])
        raise InvalidInput(f"NTFS cannot divide {disk_bytes} bytes into allocation units of {unit} bytes: choose {large} or more.")


def check_label(label: str) -> None:
    """Raise `InvalidInput` for a label that a volume cannot have."""
    if len(label) > _LONGEST_LABEL or not label.isprintable():
        raise InvalidInput(f"{label!r} cannot be the label of a volume: it may have at most {_LONGEST_LABEL} printable characters.")
