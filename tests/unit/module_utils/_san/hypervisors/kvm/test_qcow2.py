# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The chain of images below an image, by the headers that qemu-img writes."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.qcow2 import chain
from ansible_collections.crossvisor.san.plugins.module_utils._san.linux.tree import Tree


@pytest.fixture
def images(tmp_path: Path) -> Path:
    (tmp_path / "images").mkdir()
    return tmp_path / "images"


def qcow2(file: Path, backing: str = "") -> None:
    """An image with the header of QEMU's docs/interop/qcow2.txt, version 3, and its backing file's name behind it."""
    offset = 0x200 if backing else 0
    header = b"QFI\xfb" + (3).to_bytes(4, "big") + offset.to_bytes(8, "big") + len(backing).to_bytes(4, "big")
    file.write_bytes(header.ljust(0x200, b"\0") + backing.encode())


def below(root: Path) -> list[str]:
    return chain(Tree(root), "/images/top.qcow2")


def test_a_chain_is_followed_to_the_base(images: Path) -> None:
    qcow2(images / "top.qcow2", "middle.qcow2")
    qcow2(images / "middle.qcow2", "/images/base.img")
    (images / "base.img").write_bytes(bytes(1024))
    assert below(images.parent) == ["/images/middle.qcow2", "/images/base.img"]


def test_an_image_on_its_own_has_nothing_below(images: Path) -> None:
    qcow2(images / "top.qcow2")
    assert below(images.parent) == []


@pytest.mark.parametrize("name", ["nbd://192.0.2.1/export", 'json:{"driver":"raw"}'])
def test_what_is_no_file_of_the_host_ends_the_chain(images: Path, name: str) -> None:
    qcow2(images / "top.qcow2", name)
    assert below(images.parent) == [name]


def test_an_image_that_cannot_be_read_ends_the_chain(images: Path) -> None:
    qcow2(images / "top.qcow2", "gone.qcow2")
    assert below(images.parent) == ["/images/gone.qcow2"]


def test_a_chain_that_goes_round_in_circles_ends(images: Path) -> None:
    qcow2(images / "top.qcow2", "middle.qcow2")
    qcow2(images / "middle.qcow2", "middle.qcow2")
    assert below(images.parent) == ["/images/middle.qcow2"]


def test_a_raw_image_has_no_header_to_believe(images: Path) -> None:
    (images / "top.qcow2").write_bytes(b"QFI" + bytes(100))
    assert below(images.parent) == []


def test_a_name_of_absurd_length_is_not_believed(images: Path) -> None:
    header = b"QFI\xfb" + (3).to_bytes(4, "big") + (0x200).to_bytes(8, "big") + (1 << 20).to_bytes(4, "big")
    (images / "top.qcow2").write_bytes(header)
    assert below(images.parent) == []
