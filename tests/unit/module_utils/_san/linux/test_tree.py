# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A tree of files never fails, and never leads out of itself."""

from __future__ import annotations

import os
from pathlib import Path
from threading import Thread

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.linux.tree import Tree
from tests.unit.module_utils._san.linux.machines import Link, plant


def test_text_comes_without_what_is_around_it(tmp_path: Path) -> None:
    assert Tree(plant(tmp_path, {"/sys/a": b" QEMU \n", "/proc/b": b"linux,kvm\0"})).text("/sys/a") == "QEMU"
    assert Tree(tmp_path).text("/proc/b") == "linux,kvm"


def test_a_file_that_comes_in_pieces_as_the_tables_of_procfs_do_is_read_to_its_end(tmp_path: Path) -> None:
    table = bytes(range(256)) * 4096  # more than a pipe holds, so that one read cannot give it
    os.mkfifo(tmp_path / "table")
    writer = Thread(target=(tmp_path / "table").write_bytes, args=(table,), daemon=True)
    writer.start()
    assert Tree(tmp_path).content("/table") == table
    writer.join()


@pytest.mark.skipif(not Path("/proc/sys/kernel/osrelease").exists(), reason="this is no Linux")
def test_a_kernel_that_has_no_memory_for_a_long_read_is_asked_for_less() -> None:
    tree = Tree(Path("/"))
    assert tree.text("/proc/sys/kernel/osrelease") == os.uname().release
    assert tree.unreadable == {}


def test_bytes_that_are_no_text_are_still_read(tmp_path: Path) -> None:
    assert Tree(plant(tmp_path, {"/a": b"\xff\xfeA"})).text("/a") == "\ufffd\ufffdA"


def test_what_is_absent_is_none_and_no_complaint(tmp_path: Path) -> None:
    tree = Tree(plant(tmp_path, {"/file": "x"}))
    assert (tree.text("/a"), tree.content("/file/below"), tree.piece("/a", 0, 1), tree.exists("/a")) == (None, None, None, False)
    assert (tree.children("/a"), tree.real("/a")) == ([], "")
    assert tree.unreadable == {}


def test_what_refuses_to_be_read_is_noted(tmp_path: Path) -> None:
    tree = Tree(plant(tmp_path, {"/directory/file": "x"}))
    assert tree.text("/directory") is None
    assert tree.unreadable == {"/directory": "Is a directory"}


def test_names_come_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    tree = Tree(plant(tmp_path, {f"/d/{name}": "" for name in ("host10", "host2", "0:0:1:0", "host", "2", "a1b10", "a1b9")}))
    assert tree.children("/d") == ["0:0:1:0", "2", "a1b9", "a1b10", "host", "host2", "host10"]


def test_links_are_followed_within_the_tree(tmp_path: Path) -> None:
    tree = Tree(plant(tmp_path, {"/sys/devices/x/host7/id": "7", "/sys/class/h/host7": Link("../../devices/x/host7")}))
    assert tree.real("/sys/class/h/host7") == "/sys/devices/x/host7"
    assert tree.text("/sys/class/h/host7/id") == "7"


@pytest.mark.parametrize("target", ["../secret", "/etc/hostname"])
def test_links_out_of_the_tree_are_not_followed(tmp_path: Path, target: str) -> None:
    plant(tmp_path, {"/secret": "hidden"})
    tree = Tree(plant(tmp_path / "root", {"/link": Link(target)}))
    assert (tree.text("/link"), tree.exists("/link"), tree.real("/link"), tree.children("/link")) == (None, False, "", [])
    assert tree.unreadable == {"/link": f"Leads outside {tmp_path / 'root'}"}


def test_a_path_cannot_climb_out_of_the_tree(tmp_path: Path) -> None:
    plant(tmp_path, {"/secret": "hidden"})
    assert Tree(plant(tmp_path / "root", {"/a": ""})).text("/../secret") is None


def test_a_loop_of_links_is_noted(tmp_path: Path) -> None:
    root = plant(tmp_path, {"/loop": Link("loop")})
    for look, nothing in ((Tree.text, None), (Tree.exists, False), (Tree.children, []), (Tree.real, "")):
        tree = Tree(root)
        assert look(tree, "/loop") == nothing
        assert tree.unreadable == {"/loop": "Too many levels of symbolic links"}


def test_a_loop_of_links_is_no_way_out_of_the_tree(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("of somebody else")
    links = {"/loop": Link("loop"), "/out": Link("../secret"), "/way": Link("loop/../out")}
    tree = Tree(plant(tmp_path / "root", links))
    assert tree.text("/way") is None
    assert tree.unreadable == {"/way": "Too many levels of symbolic links"}


def test_a_name_that_no_file_can_have_is_noted(tmp_path: Path) -> None:
    tree = Tree(plant(tmp_path, {}))
    assert tree.text("/a\0b") is None
    assert tree.unreadable == {"/a\0b": "No file has a NUL in its name"}


def test_a_piece_is_read_at_its_offset(tmp_path: Path) -> None:
    assert Tree(plant(tmp_path, {"/device": b"0123456789"})).piece("/device", 4, 3) == b"456"


def test_a_link_is_told_as_it_is_without_following_it(tmp_path: Path) -> None:
    tree = Tree(plant(tmp_path, {"/proc/7/fd/3": Link("socket:[123]"), "/proc/7/comm": "bash"}))
    assert (tree.link("/proc/7/fd/3"), tree.link("/proc/7/comm"), tree.link("/proc/8/exe")) == ("socket:[123]", "", "")
    assert tree.unreadable == {}
