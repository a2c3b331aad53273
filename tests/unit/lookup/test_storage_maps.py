# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Storage maps are read from files, and a file that holds none is named."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Evaluate = Callable[..., Any]

READ = "query('crossvisor.san.storage_maps', *paths)"


def site(directory: Path, name: str, text: str = "") -> Path:
    file = directory / name / "storage_map.json"
    file.parent.mkdir(parents=True)
    file.write_text(text or json.dumps({"endpoints": [{"name": name}]}))
    return file


def test_files_and_directories_of_them_are_read(evaluate: Evaluate, tmp_path: Path) -> None:
    site(tmp_path / "sites", "b")
    site(tmp_path / "sites", "a/artifacts")
    (tmp_path / "sites" / "other.json").write_text("{}")
    paths = [str(tmp_path / "sites"), str(site(tmp_path, "c"))]
    assert [found["endpoints"][0]["name"] for found in evaluate(READ, paths=paths)] == ["a/artifacts", "b", "c"]


def test_a_directory_without_any_is_none(evaluate: Evaluate, tmp_path: Path) -> None:
    assert evaluate(READ, paths=[str(tmp_path)]) == []


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"mappings": [', "is cut off or no JSON"),
        ("[]", "holds no storage map. A storage map is a dictionary"),
        ("\x00", "is cut off or no JSON"),
    ],
)
def test_a_file_that_holds_none_is_named(evaluate: Evaluate, tmp_path: Path, text: str, told: str) -> None:
    file = site(tmp_path, "a", text)
    with pytest.raises(ValueError, match=told) as failure:
        evaluate(READ, paths=[str(tmp_path)])
    assert str(file) in str(failure.value)


def test_a_file_that_is_not_there_is_named(evaluate: Evaluate, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"absent\.json cannot be read: No such file or directory"):
        evaluate(READ, paths=[str(tmp_path / "absent.json")])
