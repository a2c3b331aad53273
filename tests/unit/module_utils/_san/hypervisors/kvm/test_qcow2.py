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


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("host_device:/dev/sdc", "/dev/sdc"),
        ('json:{"driver":"raw","file":{"driver":"host_device","filename":"/dev/sdc"}}', "/dev/sdc"),
        ('json:{"file.driver":"file","file.filename":"/base.img"}', "/base.img"),
        ('json:{"driver":"qcow2","file":{"driver":"nbd"}}', 'json:{"driver":"qcow2","file":{"driver":"nbd"}}'),
        ("json:{", "json:{"),
        ("json:[" * 150, "json:[" * 150),
    ],
)
def test_qemus_longer_spellings_lead_to_the_path(images: Path, name: str, path: str) -> None:
    qcow2(images / "top.qcow2", name)
    assert below(images.parent) == [path]


def extension(kind: int, content: bytes) -> bytes:
    return kind.to_bytes(4, "big") + len(content).to_bytes(4, "big") + content.ljust((len(content) + 7) // 8 * 8, b"\0")


def test_an_external_data_file_is_below_too(images: Path) -> None:
    backing = b"base.img"
    offset = 0x200
    header = b"QFI\xfb" + (3).to_bytes(4, "big") + offset.to_bytes(8, "big") + len(backing).to_bytes(4, "big")
    header = header.ljust(100, b"\0") + (112).to_bytes(4, "big")
    extensions = extension(0xE2792ACA, b"qcow2") + extension(0x44415441, b"/dev/sdc") + bytes(8)
    (images / "top.qcow2").write_bytes((header.ljust(112, b"\0") + extensions).ljust(offset, b"\0") + backing)
    assert below(images.parent) == ["/dev/sdc", "/images/base.img"]


def test_extensions_without_an_end_are_not_followed_for_ever(images: Path) -> None:
    header = (b"QFI\xfb" + (3).to_bytes(4, "big")).ljust(100, b"\0") + (104).to_bytes(4, "big")
    (images / "top.qcow2").write_bytes(header + extension(1, b"") * 10000)
    assert below(images.parent) == []


def test_a_raw_image_has_no_header_to_believe(images: Path) -> None:
    (images / "top.qcow2").write_bytes(b"QFI" + bytes(100))
    assert below(images.parent) == []


def test_a_name_of_absurd_length_is_not_believed(images: Path) -> None:
    header = b"QFI\xfb" + (3).to_bytes(4, "big") + (0x200).to_bytes(8, "big") + (1 << 20).to_bytes(4, "big")
    (images / "top.qcow2").write_bytes(header)
    assert below(images.parent) == []
