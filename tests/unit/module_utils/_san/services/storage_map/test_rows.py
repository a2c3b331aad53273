# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""No sum over rows counts a byte of a virtual disk twice."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.crossvisor.san.plugins.module_utils._san.model import (
    ArrayAbout,
    FileSystem,
    Host,
    ImageFile,
    VirtualDisk,
    VirtualMachine,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.storage_map.mapper import storage_map
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.storage_map.resources import EXPORT, LUN, Resource
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.storage_map.rows import place_of, shares
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.storage_map.where import Where
from tests.unit.ports import MemoryHypervisor, lun

NAMES = [ScsiName.from_ontap_serial(f"80Lab-aaaaa{number}") for number in range(6)]
ARRAYS = [ArrayAbout("ontap", name, f"{name}.example.com", "9.16.1") for name in ("a", "b")]

extents = st.lists(st.sampled_from([str(name) for name in NAMES] + ["mpx.vmhba0:C0:T0:L0"]), min_size=1, max_size=4)
sizes = st.integers(0, 1 << 50)


@given(sizes, st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(ARRAYS)), min_size=1, max_size=8))
def test_the_shares_of_what_lies_under_a_file_sum_up_to_its_size(size: int, under: Sequence[tuple[ScsiName, ArrayAbout]]) -> None:
    resources = [Resource(LUN, str(name), name, array=array) for name, array in under]
    told = shares(size, resources)
    assert sum(told) == size
    for number, resource in enumerate(resources):
        if resource.name in [before.name for before in resources[:number]]:
            assert told[number] == 0, "a LUN that several arrays have under one name is one"


@given(sizes, extents, st.lists(extents, max_size=3))
def test_the_shares_of_all_rows_of_a_disk_sum_up_to_its_size(size: int, own: list[str], below: list[list[str]]) -> None:
    stores = [FileSystem(f"ds-{number}", f"ds-{number}", "vmfs", ["h1"], lies) for number, lies in enumerate([own, *below])]
    parents = [ImageFile(f"base-{number}", f"ds-{number}") for number in range(1, len(stores))]
    disk = VirtualDisk("2000", "Hard disk 1", "image", size_bytes=size, path="top", file_system="ds-0", parents=parents)
    found = storage_map(MemoryHypervisor([Host("h1", "esx1")], [VirtualMachine("vm-1", "app", host="h1", disks=[disk])], stores), [])
    assert sum(row["share_bytes"] for row in found.mappings) == size
    assert {row["share_bytes"] for row in found.mappings if row["path"] != "top"} <= {0}


def test_a_disk_over_three_luns_gives_each_a_part_and_the_first_the_rest() -> None:
    assert shares(11, [Resource(LUN, str(name), name) for name in NAMES[:3]]) == [5, 3, 3]


def test_a_lun_is_known_by_its_name_and_what_has_none_by_what_it_is() -> None:
    one, mirror = (Resource(LUN, str(NAMES[0]), NAMES[0], array=array, svm="svm1", lun=lun(NAMES[0])) for array in ARRAYS)
    first, second = (Resource(EXPORT, f"nas:/vol{number}") for number in (1, 2))
    assert shares(9, [one, mirror, first, second]) == [3, 0, 3, 3]


def test_of_several_luns_the_one_that_is_asked_for_is_told_with_its_own_share() -> None:
    store = FileSystem("ds-0", "ds-0", "vmfs", ["h1"], [str(name) for name in NAMES[:3]])
    disk = VirtualDisk("2000", "Hard disk 1", "image", size_bytes=11, path="top", file_system="ds-0")
    hypervisor = MemoryHypervisor([Host("h1", "esx1")], [VirtualMachine("vm-1", "app", host="h1", disks=[disk])], [store])
    found = storage_map(hypervisor, [], where=Where(naa=NAMES[1].naa))
    assert [(row["naa"], row["share_bytes"]) for row in found.mappings] == [(NAMES[1].naa, 3)]


@pytest.mark.parametrize(
    ("disk", "place"),
    [
        (VirtualDisk("1", "d", "image", family="SCSI", bus=1), "SCSI 1"),
        (VirtualDisk("1", "d", "image", family="virtio"), "virtio"),
        (VirtualDisk("1", "d", "image"), ""),
    ],
)
def test_a_controller_is_told_in_the_platforms_words(disk: VirtualDisk, place: str) -> None:
    assert place_of(disk) == place
