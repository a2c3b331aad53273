# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an image file tells of itself, asked once a file."""

from __future__ import annotations

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import AuthenticationFailed
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.images import LONGEST_CHAIN, Image, ImageReader, follow
from tests.lab.hyperv.running import Lab
from tests.lab.hyperv_world import GIB
from tests.unit.windows import Wire, client, refusing

LEAF, MIDDLE, BASE = (f"E:\\VMs\\hvchain01\\{name}" for name in ("leaf.avhdx", "middle.avhdx", "base.vhdx"))
METHOD = "GetVirtualHardDiskSettingData"


def test_a_file_tells_its_size_its_parent_and_that_it_is_thin() -> None:
    reader = ImageReader(client(Lab(), "hv01.lab"), "hv01.lab")
    assert reader.read(LEAF) == Image(40 * GIB, MIDDLE, thin=True)
    assert reader.read(BASE) == Image(40 * GIB, "", thin=True)


def test_a_chain_is_followed_and_each_file_asked_once_whatever_its_spelling() -> None:
    wire = Wire()
    reader = ImageReader(client(Lab(), "hv01.lab", wire), "hv01.lab")
    assert reader.chain(LEAF) == [MIDDLE, BASE]
    assert reader.chain(LEAF.upper()) == [MIDDLE, BASE]
    assert wire.count(METHOD) == 3


def test_a_file_that_cannot_be_read_is_a_sentence_and_not_an_error() -> None:
    reader = ImageReader(client(Lab(), "hv01.lab"), "hv01.lab")
    assert reader.read("E:\\gone.vhdx") is None
    assert reader.chain("E:\\gone.vhdx") == []
    assert reader.failures == [
        f"The image file E:\\gone.vhdx cannot be read on host hv01.lab: {METHOD} failed with return value 32768 (failed)."
    ]


def test_missing_rights_are_an_error() -> None:
    wire = Wire(before={1: refusing(AuthenticationFailed("not allowed"))})
    with pytest.raises(AuthenticationFailed):
        ImageReader(client(Lab(), "hv01.lab", wire), "hv01.lab").read(LEAF)


@pytest.mark.parametrize(
    ("parents", "chain"), [({"a": "b", "b": "A"}, ["b"]), ({"a": "a"}, []), ({"a": "b", "b": "c", "c": "b"}, ["b", "c"])]
)
def test_files_that_name_each_other_end(parents: dict[str, str], chain: list[str]) -> None:
    assert follow("a", lambda file: parents.get(file, "")) == chain


def test_a_chain_without_an_end_is_cut() -> None:
    assert len(follow("0", lambda file: str(int(file) + 1))) == LONGEST_CHAIN
