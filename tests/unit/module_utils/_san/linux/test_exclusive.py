# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether anything holds a block device."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import NoReturn

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.linux.exclusive import is_claimed


@pytest.mark.parametrize(("number", "claimed"), [(errno.EBUSY, True), (errno.ENXIO, False), (errno.ENODEV, False), (errno.EIO, False)])
def test_a_claim_shows_when_the_device_cannot_be_had_exclusively(monkeypatch: pytest.MonkeyPatch, number: int, claimed: bool) -> None:
    def refuse(_path: str, flags: int) -> NoReturn:
        assert flags == os.O_RDONLY | os.O_EXCL, "for reading: the end of a writer makes udev look again"
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "open", refuse)
    assert is_claimed("/dev/sdb") is claimed


def test_what_can_be_had_is_nobodys(tmp_path: Path) -> None:
    (tmp_path / "sdb").touch()
    assert not is_claimed(str(tmp_path / "sdb"))


def test_who_may_not_open_it_is_told_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_path: str, _flags: int) -> NoReturn:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(PermissionError):
        is_claimed("/dev/sdb")
