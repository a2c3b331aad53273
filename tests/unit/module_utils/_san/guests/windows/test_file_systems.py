# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What Windows lets a file system have."""

from __future__ import annotations

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import InvalidInput
from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.windows.file_systems import (
    ALLOCATION_UNITS,
    NTFS,
    REFS,
    check_fits,
    check_label,
    check_unit,
)
from tests.lab.hyperv.providers.storage.volumes import UNITS

TIB = 1024**4


@pytest.mark.parametrize("size", ALLOCATION_UNITS[NTFS])
def test_units_of_ntfs(size: int) -> None:
    check_unit(NTFS, size)


@pytest.mark.parametrize("size", [4096, 65536])
def test_units_of_refs(size: int) -> None:
    check_unit(REFS, size)


@pytest.mark.parametrize(("file_system", "size"), [(NTFS, 0), (NTFS, 1000), (NTFS, 4194304), (REFS, 8192), (REFS, 512), (NTFS, -4096)])
def test_a_unit_that_windows_does_not_know_is_refused_with_those_that_it_knows(file_system: str, size: int) -> None:
    with pytest.raises(InvalidInput, match=rf"{file_system} has no allocation unit of {size} bytes: choose one of .*4096, "):
        check_unit(file_system, size)


def test_the_lab_and_the_collection_agree() -> None:
    assert {name.upper(): set(units) for name, units in ALLOCATION_UNITS.items()} == UNITS


def test_ntfs_counts_its_units_in_32_bits() -> None:
    check_fits(NTFS, 4096, 15 * TIB)
    check_fits(NTFS, None, 100 * TIB)
    check_fits(REFS, 4096, 100 * TIB)
    with pytest.raises(InvalidInput, match=r"NTFS cannot divide \d+ bytes into allocation units of 4096 bytes: choose 8192 or more\."):
        check_fits(NTFS, 4096, 17 * TIB)


def test_labels() -> None:
    check_label("")
    check_label("x" * 32)
    for label in ("x" * 33, "a\nb", "a\0"):
        with pytest.raises(InvalidInput, match="cannot be the label of a volume"):
            check_label(label)
