# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Orders to a real kernel, claims and tools."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import NoReturn

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import CrossvisorError
from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.linux.kernel import Kernel
from ansible_collections.crossvisor.san.plugins.module_utils._san.linux.tree import Tree


def failing(number: int) -> object:
    def fail(*_arguments: object) -> NoReturn:
        raise OSError(number, os.strerror(number))

    return fail


def test_an_order_is_written(tmp_path: Path) -> None:
    scan = tmp_path / "scan"
    scan.touch()
    Kernel().order(str(scan), "- - 3")
    assert scan.read_text() == "- - 3"


@pytest.mark.parametrize(
    ("number", "told"),
    [
        (errno.EACCES, "Only root may write to /sys/scan: run the task with become: true"),
        (errno.EPERM, "Only root may write to /sys/scan: run the task with become: true"),
        (errno.EROFS, "The kernel refuses '- - -' in /sys/scan: Read-only file system"),
    ],
)
def test_an_order_that_is_refused(monkeypatch: pytest.MonkeyPatch, number: int, told: str) -> None:
    monkeypatch.setattr(os, "open", failing(number))
    with pytest.raises(CrossvisorError) as error:
        Kernel().order("/sys/scan", "- - -")
    assert str(error.value) == told


def test_a_device_that_is_gone_need_not_be_removed(tmp_path: Path) -> None:
    Kernel(Tree(tmp_path)).remove("/sys/block/sdb/device")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("number", "claimed"), [(errno.EBUSY, True), (errno.ENXIO, False), (errno.ENOENT, False)])
def test_a_claim_shows_when_the_device_cannot_be_had_exclusively(monkeypatch: pytest.MonkeyPatch, number: int, claimed: bool) -> None:
    monkeypatch.setattr(os, "open", failing(number))
    assert Kernel().is_claimed("/dev/sdb") is claimed


def test_a_device_that_nobody_claims(tmp_path: Path) -> None:
    device = tmp_path / "sdb"
    device.touch()
    assert not Kernel().is_claimed(str(device))
    assert Kernel().may_read(str(device))
    assert not Kernel().may_read(f"{device}1")


@pytest.mark.parametrize(
    ("number", "told"),
    [
        (errno.EACCES, "Only root may open /dev/sdb: run the task with become: true"),
        (errno.EINVAL, "/dev/sdb cannot be opened: Invalid argument"),
    ],
)
def test_a_claim_that_cannot_be_told(monkeypatch: pytest.MonkeyPatch, number: int, told: str) -> None:
    monkeypatch.setattr(os, "open", failing(number))
    with pytest.raises(CrossvisorError) as error:
        Kernel().is_claimed("/dev/sdb")
    assert str(error.value) == told


def test_a_flush_that_fails_is_told_but_not_that_of_a_device_which_is_gone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    no_device = tmp_path / "file"
    no_device.touch()
    with pytest.raises(CrossvisorError, match=r"The buffers of .*file cannot be written: Inappropriate ioctl for device"):
        Kernel().flush(str(no_device))
    monkeypatch.setattr(os, "open", failing(errno.ENXIO))
    Kernel().flush("/dev/sdb")


def test_a_tool_says_something_or_is_not_there_or_fails() -> None:
    kernel = Kernel()
    assert kernel.tool("echo", "a", "b") == "a b\n"
    assert kernel.tool("no-such-tool-anywhere") is None
    assert kernel.tool("false", accepted=(0, 1)) == ""
    with pytest.raises(CrossvisorError, match="'false' failed: it ended with 1"):
        kernel.tool("false")
    with pytest.raises(CrossvisorError, match=r"'ls /nowhere' failed: .*ls: cannot access '/nowhere'"):
        kernel.tool("ls", "/nowhere")
