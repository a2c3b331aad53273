# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.lab.built import CannotPrepare, digest, kept, once, recipe, run


def test_what_was_made_is_not_made_again(tmp_path: Path) -> None:
    once(tmp_path / "image", lambda directory: (directory / "disk").touch())
    made = once(tmp_path / "image", lambda directory: (directory / "another").touch())
    assert [path.name for path in made.iterdir()] == ["disk"]


def test_what_could_not_be_made_to_its_end_is_not_there_and_is_made_from_nothing_again(tmp_path: Path) -> None:
    def fail(directory: Path) -> None:
        (directory / "half").touch()
        raise CannotPrepare("no space")

    with pytest.raises(CannotPrepare):
        once(tmp_path / "image", fail)
    assert not (tmp_path / "image").exists()
    assert list(once(tmp_path / "image", lambda _directory: None).iterdir()) == []


def test_every_file_and_its_place_count(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "hosts").write_text("san")
    before = digest(*recipe(tmp_path))
    (tmp_path / "etc" / "hosts").rename(tmp_path / "hosts")
    moved = digest(*recipe(tmp_path))
    (tmp_path / "hosts").write_text("kvm1")
    assert len({before, moved, digest(*recipe(tmp_path))}) == 3


def test_a_command_that_fails_is_told_with_the_end_of_what_it_said() -> None:
    with pytest.raises(CannotPrepare, match=r"^sh ended with 3: no mirror$"):
        run(["sh", "-c", "printf 'no mirror' >&2; exit 3"])


@pytest.mark.parametrize(
    ("environment", "place"),
    [
        ({"XDG_CACHE_HOME": "/var/cache"}, "/var/cache/crossvisor.san/kvm"),
        ({"XDG_CACHE_HOME": "cache"}, "/home/lab/.cache/crossvisor.san/kvm"),
        ({}, "/home/lab/.cache/crossvisor.san/kvm"),
    ],
)
def test_it_is_kept_where_caches_of_an_account_are(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], place: str) -> None:
    monkeypatch.setattr(Path, "home", lambda: Path("/home/lab"))
    assert kept("kvm", environment) == Path(place)


def test_what_nobody_has_used_for_days_goes_when_another_of_its_kind_is_made(tmp_path: Path) -> None:
    for name in ("image-old", "image-used", "suspended-old"):
        once(tmp_path / name, lambda _directory: None)
        os.utime(tmp_path / name, (0, 0))
    once(tmp_path / "image-used", lambda _directory: None)
    once(tmp_path / "image-new", lambda _directory: None)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["image-new", "image-used", "suspended-old"]
