# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""VHDX images on a KVM host: read by pieces, by the host's own program."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

from ansible_collections.crossvisor.san.plugins.module_utils._san.block_addresses.extents import Span
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm import hard_disk_files
from ansible_collections.crossvisor.san.plugins.module_utils._san.linux import block_probe
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import DATA
from tests.unit.hard_disk_files import MIB, PRESENT, REGIONS, Block, Vhdx


def files(*paths: Path) -> dict[str, Any]:
    """What the probe tells of files, but for their ranges, which not every file system has."""
    told = block_probe.answer({"pieces": [[str(path), 0, 1] for path in paths]})["pieces"]
    return {
        str(path): {"error": piece["error"], "stamp": piece["stamp"], "size": path.stat().st_size if path.exists() else 0, "changed": False}
        for path, piece in zip(paths, told)
    }


def probed(**question: Any) -> dict[str, Any]:
    return block_probe.answer(question)


def test_several_images_are_read_in_as_many_questions_as_one(tmp_path: Path) -> None:
    one, two, open_ = tmp_path / "one.vhdx", tmp_path / "two.vhdx", tmp_path / "open.vhdx"
    one.write_bytes(Vhdx(2 * MIB, blocks={1: Block(PRESENT, b"x")}).made())
    two.write_bytes(Vhdx(MIB).made())
    open_.write_bytes(Vhdx(MIB, log=uuid.UUID(int=1)).made())
    questions: list[int] = []

    def ask(**question: Any) -> dict[str, Any]:
        questions.append(len(question["pieces"]))
        return probed(**question)

    paths = [str(path) for path in (one, two, open_)]
    found = hard_disk_files.tables(ask, files(one, two, open_), [*paths, paths[0]])
    assert found[str(one)] == [Span(MIB, MIB, DATA, str(one), REGIONS)]
    assert found[str(two)] == []
    assert "is not empty" in str(found[str(open_)])
    assert questions == [9, 4, 2, 6, 2]


def test_a_file_that_is_written_to_while_it_is_read_is_marked(tmp_path: Path) -> None:
    image = tmp_path / "one.vhdx"
    image.write_bytes(Vhdx(MIB).made())
    told = files(image)

    def ask(**question: Any) -> dict[str, Any]:
        with image.open("ab") as written:
            written.write(b"more")
        return probed(**question)

    hard_disk_files.tables(ask, told, [str(image)])
    assert told[str(image)]["changed"] is True
    other = files(image)
    hard_disk_files.tables(probed, other, [str(image)])
    assert other[str(image)]["changed"] is False


def test_a_file_that_went_away_is_refused_with_the_hosts_reason_and_one_that_was_never_there_is_not_asked_about(tmp_path: Path) -> None:
    image = tmp_path / "one.vhdx"
    image.write_bytes(Vhdx(MIB).made())
    told = files(image)
    image.unlink()
    found = hard_disk_files.tables(probed, told, [str(image), "/nowhere.vhdx"])
    assert found == {str(image): f"{image} cannot be read on the host: No such file or directory"}
    assert hard_disk_files.tables(probed, files(image), [str(image)]) == {}
