# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What qemu-img tells of a chain of images, as QEMU 7.2 prints it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.crossvisor.san.plugins.module_utils._san.block_addresses.extents import Span
from ansible_collections.crossvisor.san.plugins.module_utils._san.block_addresses.qemu_image import spans
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import DATA, HOLE, NO_ADDRESS, UNWRITTEN

TOP: dict[str, Any] = {"filename": "/srv/top.qcow2", "format": "qcow2", "format-specific": {"data": {"corrupt": False}}}
BASE: dict[str, Any] = {"filename": "/srv/base.raw", "format": "raw"}


def vmdk(made: str, *parts: tuple[str, int, str]) -> dict[str, Any]:
    """A VMDK of a type, in parts: file, bytes and kind of each."""
    told = [{"filename": file, "virtual-size": size, "format": kind} for file, size, kind in parts]
    return {"filename": "/srv/a.vmdk", "format": "vmdk", "format-specific": {"data": {"create-type": made, "extents": told}}}


VMDK = vmdk("twoGbMaxExtentSparse", ("/srv/a-s001.vmdk", 131072, "SPARSE"), ("/srv/a-s002.vmdk", 65536, "SPARSE"))


def entry(**told: Any) -> dict[str, Any]:
    return {"start": 0, "length": 65536, "depth": 0, "present": True, "zero": False, "data": True, **told}


def only(member: dict[str, Any], **told: Any) -> Span:
    (span,) = spans([member, BASE], [entry(**told)])
    return span


def test_each_range_is_in_the_file_of_its_depth() -> None:
    found = [*spans([TOP, BASE], [entry(offset=327680), entry(start=65536, depth=1, offset=65536)])]
    assert found == [Span(0, 65536, DATA, "/srv/top.qcow2", 327680), Span(65536, 65536, DATA, "/srv/base.raw", 65536)]


def test_what_is_in_no_file_is_a_hole() -> None:
    assert only(TOP, present=False, zero=True, data=False).state == HOLE
    assert only(TOP, zero=True, data=False).state == HOLE


def test_a_cluster_that_is_reserved_and_reads_as_zeros_is_unwritten() -> None:
    assert only(TOP, zero=True, data=False, offset=327680) == Span(0, 65536, UNWRITTEN, "/srv/top.qcow2", 327680)


def test_an_offset_of_an_image_with_a_data_file_is_one_in_that_file() -> None:
    member = {**TOP, "format-specific": {"data": {"data-file": "/srv/data.raw"}}}
    assert only(member, offset=65536).below == "/srv/data.raw"


@pytest.mark.parametrize(
    ("member", "told", "reason"),
    [
        (TOP, {}, "/srv/top.qcow2 holds it compressed or encrypted"),
        (TOP, {"offset": 1, "compressed": True}, "/srv/top.qcow2 holds it compressed or encrypted"),
        ({**TOP, "encrypted": True}, {"offset": 1}, "is encrypted"),
        ({**TOP, "format-specific": {"data": {"encrypt": {"format": "luks"}}}}, {"offset": 1}, "is encrypted"),
        ({**TOP, "format-specific": {"data": {"corrupt": True}}}, {"offset": 1}, "marked as corrupt"),
        (
            {**TOP, "format": "vmdk", "format-specific": {"data": {"create-type": "streamOptimized"}}},
            {"offset": 1},
            "of type streamOptimized",
        ),
        (VMDK, {"start": 65536, "length": 131072, "offset": 1}, "/srv/a.vmdk has it in several files, or in none"),
        (VMDK, {"start": 196608, "offset": 1}, "/srv/a.vmdk has it in several files, or in none"),
        (vmdk("vmfsSparse", ("/srv/b", 65536, "VMFSSPARSE")), {"offset": 1}, "of type vmfsSparse"),
        (vmdk("twoGbMaxExtentFlat", ("/srv/b", 65536, "FLAT"), ("/srv/c", 65536, "SESPARSE")), {"offset": 1}, "of type twoGbMaxExtentFlat"),
        (vmdk("monolithicFlat"), {"offset": 1}, "of type monolithicFlat"),
        (vmdk("monolithicFlat", ("nbd://x", 65536, "FLAT")), {"offset": 1}, "nbd://x, which is no file"),
        ({**TOP, "format": "vhdx"}, {"offset": 1}, "format vhdx"),
        ({**TOP, "format": "luks"}, {"offset": 1}, "format luks"),
        ({**TOP, "filename": "json:{}"}, {"offset": 1}, "is no file of the host"),
        ({**TOP, "format-specific": {"data": {"data-file": "nbd://x"}}}, {"offset": 1}, "nbd://x, which is no file"),
        (TOP, {"offset": 1, "depth": 2}, "files that qemu-img does not name"),
    ],
)
def test_an_address_that_would_be_wrong_is_none(member: dict[str, Any], told: dict[str, Any], reason: str) -> None:
    span = only(member, **told)
    assert (span.state, span.below) == (NO_ADDRESS, "")
    assert reason in span.reason


def test_a_sparse_vmdk_of_one_file_is_read() -> None:
    assert only({**TOP, "format": "vmdk", "format-specific": {"data": {"create-type": "monolithicSparse"}}}, offset=65536).state == DATA


def test_an_offset_of_a_vmdk_in_several_files_is_one_in_the_part_that_the_range_is_in() -> None:
    found = [*spans([VMDK], [entry(offset=7, start=start) for start in (0, 65536, 131072)])]
    assert [span.below for span in found] == ["/srv/a-s001.vmdk", "/srv/a-s001.vmdk", "/srv/a-s002.vmdk"]
    assert {span.offset for span in found} == {7}


@given(st.lists(st.integers(1, 9), min_size=1, max_size=8), st.data())
def test_each_range_of_a_vmdk_is_in_the_one_part_that_has_all_of_it_or_refused(sizes: list[int], data: st.DataObject) -> None:
    member = vmdk("twoGbMaxExtentFlat", *((f"/srv/{number}", size, "FLAT") for number, size in enumerate(sizes)))
    part_of = [f"/srv/{number}" for number, size in enumerate(sizes) for _byte in range(size)]
    start = data.draw(st.integers(0, len(part_of) + 1))
    length = data.draw(st.integers(1, 12))
    (span,) = spans([member], [entry(start=start, length=length, offset=3)])
    inside = {*part_of[start : start + length]} if start + length <= len(part_of) else set()
    assert (span.state, span.below) == ((DATA, *inside) if len(inside) == 1 else (NO_ADDRESS, ""))
