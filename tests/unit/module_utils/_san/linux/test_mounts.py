# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Mount tables and swap, as the kernel writes them (proc(5))."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.crossvisor.san.plugins.module_utils._san.linux.mounts import (
    Mount,
    Swap,
    mounts,
    named_device,
    parse_mounts,
    swaps,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.linux.tree import Tree
from tests.unit.kvm_host import MOUNTS
from tests.unit.module_utils._san.linux.machines import Link, plant

_TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)
_WORD = st.from_regex("[a-z][a-z0-9_.:=]{0,7}", fullmatch=True)
_OPTIONAL = st.lists(st.from_regex("(shared|master|propagate_from):[0-9]{1,3}|unbindable", fullmatch=True), max_size=4)
_MOUNTS = st.builds(
    Mount, place=_TEXT.map("/{}".format), device=st.from_regex("[0-9]{1,3}:[0-9]{1,6}", fullmatch=True), kind=_WORD, source=_TEXT
)


def escaped(text: str, marks: str) -> str:
    """A field as a kernel writes it that escapes these characters (fs/proc_namespace.c)."""
    return "".join(f"\\{ord(letter):03o}" if letter in marks else letter for letter in text)


def line(mount: Mount, root: str, optional: list[str], marks: str) -> str:
    kind, source, root, place = (escaped(text, marks) for text in (mount.kind, mount.source, root, mount.place))
    return " ".join(["36", "25", mount.device, root, place, "rw,relatime", *optional, f"- {kind} {source} rw,seclabel"])


@pytest.mark.parametrize("marks", [" \t\n\\", " \t\n\\#"], ids=["older kernels", "newer ones"])
@given(st.lists(st.tuples(_MOUNTS, _TEXT.map("/{}".format), _OPTIONAL), max_size=4))
def test_every_table_that_the_kernel_writes_is_read_as_it_was_meant(marks: str, rows: list[tuple[Mount, str, list[str]]]) -> None:
    text = "".join(f"{line(*row, marks)}\n" for row in rows)
    assert parse_mounts(text) == [mount for mount, _root, _optional in rows]


@given(st.text())
def test_what_is_no_table_never_fails(text: str) -> None:
    parse_mounts(text)


def test_a_table_with_an_escape() -> None:
    assert parse_mounts(MOUNTS)[-1] == Mount("/srv/with space", "0:51", "tmpfs", "tmpfs")


@pytest.mark.parametrize(
    "text", ["nonsense\n1 2 3", "36 25 8:1 / /data rw xfs /dev/sdb1 rw", "36 25 8:1 / /data rw -", "- - - - - - xfs /dev/sdb1 rw"]
)
def test_what_is_no_line_of_a_table_is_left_out(text: str) -> None:
    assert parse_mounts(text) == []


@pytest.mark.parametrize("letter", ["\u00a0", "\u2028", "\x0b", "\x85", "\r"])
def test_what_only_unicode_takes_for_a_space_or_a_line_end_is_part_of_a_name(letter: str) -> None:
    (found,) = parse_mounts(f"36 25 8:1 / /my{letter}data rw - xfs /dev/sdb1 rw")
    assert found == Mount(f"/my{letter}data", "8:1", "xfs", "/dev/sdb1")


def test_a_source_may_be_empty() -> None:
    assert parse_mounts("36 25 0:51 / /tmp rw - tmpfs  rw") == [Mount("/tmp", "0:51", "tmpfs", "")]


def test_a_bind_mount_and_a_subvolume_are_mounts_of_their_device() -> None:
    text = "36 25 8:1 /home /srv/home rw shared:1 master:2 - xfs /dev/sdb1 rw\n37 25 0:47 /@root / rw - btrfs /dev/sdc rw,subvol=/@root"
    assert parse_mounts(text) == [Mount("/srv/home", "8:1", "xfs", "/dev/sdb1"), Mount("/", "0:47", "btrfs", "/dev/sdc")]


def test_a_mount_that_only_this_process_or_only_the_first_one_sees_is_one(tmp_path: Path) -> None:
    tables = {
        f"/proc/{who}/mountinfo": f"36 25 8:{number} / /{who} rw - xfs /dev/sdb{number} rw" for who, number in (("1", 1), ("self", 2))
    }
    assert [mount.place for mount in mounts(Tree(plant(tmp_path, tables)))] == ["/self", "/1"]


def test_this_machines_own_table_is_read_to_its_end() -> None:
    with Path("/proc/self/mountinfo").open(encoding="utf-8") as table:
        assert len(mounts(Tree(Path("/")))) >= len(table.read().strip().split("\n"))


@pytest.mark.parametrize(
    ("source", "device"), [("/dev/disk/by-id/a", "/dev/dm-3"), ("/dev/dm-3", "/dev/dm-3"), ("/dev/gone", ""), ("/etc", ""), ("", "")]
)
def test_a_device_that_a_mount_names_is_followed_to_its_node(tmp_path: Path, source: str, device: str) -> None:
    tree = Tree(plant(tmp_path, {"/dev/dm-3": "", "/dev/disk/by-id/a": Link("../../dm-3"), "/etc/passwd": ""}))
    assert named_device(tree, Mount("/data", "0:47", "btrfs", source)) == device


def test_swap_is_read_in_its_columns_and_with_its_escapes(tmp_path: Path) -> None:
    rows = ("Filename\t\t\t\tType\t\tSize\tUsed\tPriority", "/dev/dm-1      partition\t8\t0\t-2", "/my\\040swap file\t\t8\t0\t-3")
    tree = Tree(plant(tmp_path, {"/proc/swaps": "\n".join(rows)}))
    assert swaps(tree) == [Swap("/dev/dm-1", "partition"), Swap("/my swap", "file")]


def test_a_machine_without_tables_has_nothing_mounted(tmp_path: Path) -> None:
    tree = Tree(plant(tmp_path, {"/proc/version": "Linux"}))
    assert (mounts(tree), swaps(tree), tree.unreadable) == ([], [], {})
