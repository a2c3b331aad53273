# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A mount point, a label and mount options come through in one spelling, or are refused before a command line or fstab sees them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import InvalidInput
from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.linux import volume

MIB = 1 << 20


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("/srv/data", "/srv/data"),
        ("//srv//./data/", "/srv/data"),
        ("/var/log/app", "/var/log/app"),
        ("/srv/two words", "/srv/two words"),
        ("/srv/größe", "/srv/größe"),
        ("/usr/local/data", "/usr/local/data"),
    ],
)
def test_a_mount_point_has_one_spelling(text: str, path: str) -> None:
    assert volume.mount_point(text) == path


@pytest.mark.parametrize(
    "text", ["srv", "E:", "", "/srv/../etc", "/srv/a\nb", "/srv/a#b", "/srv/ a", "/srv/a\tb", "/srv/$(id)", "/srv/a\\b"]
)
def test_what_is_no_plain_path_is_no_mount_point(text: str) -> None:
    with pytest.raises(InvalidInput, match="is no mount point"):
        volume.mount_point(text)


@pytest.mark.parametrize(
    "text", ["/", "//", "/usr/", "/etc", "/usr/bin", "/lib64", "/dev/shm", "/proc/1", "/var", "/boot", "/root", "/./sbin"]
)
def test_nothing_is_mounted_over_what_linux_runs_from(text: str) -> None:
    with pytest.raises(InvalidInput, match="because Linux runs from it"):
        volume.mount_point(text)


@given(st.text(alphabet="/.a b\n#", max_size=12))
def test_a_mount_point_is_a_fixed_point_and_one_field(text: str) -> None:
    try:
        path = volume.mount_point(text)
    except InvalidInput:
        return
    assert volume.mount_point(path) == path
    assert path.startswith("/")
    assert not {"\n", "\t", "#"} & set(path)


@pytest.mark.parametrize(("file_system", "longest"), [("xfs", 12), ("ext4", 16), ("btrfs", 255), ("swap", 15)])
def test_a_label_may_be_as_long_as_the_file_system_lets_it(file_system: str, longest: int) -> None:
    volume.check_label(file_system, "a" * longest)
    with pytest.raises(InvalidInput, match=f"at most {longest} letters"):
        volume.check_label(file_system, "a" * (longest + 1))


@given(st.text(max_size=12))
def test_a_label_is_one_word_and_no_option(label: str) -> None:
    try:
        volume.check_label("xfs", label)
    except InvalidInput:
        return
    assert label.split() == [label]
    assert not label.startswith("-")
    assert label.isascii()


@pytest.mark.parametrize("label", ["", "two words", "-f", "a\n", "größe", "a;b", "$a"])
def test_a_label_that_a_tool_could_take_for_something_else_is_refused(label: str) -> None:
    with pytest.raises(InvalidInput, match="cannot be the label of ext4"):
        volume.check_label("ext4", label)


def test_a_lun_is_large_enough_for_its_file_system() -> None:
    volume.check_size("xfs", 302 * MIB)
    with pytest.raises(InvalidInput, match="too few for xfs: give the LUN 302 MiB or more"):
        volume.check_size("xfs", 302 * MIB - 1)


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("noatime", "noatime"),
        ("noatime, nodev,noatime", "noatime,nodev"),
        ("x-systemd.requires=app.service", "x-systemd.requires=app.service"),
        ('context="system_u:object_r:t:s0"', 'context="system_u:object_r:t:s0"'),
    ],
)
def test_mount_options_are_listed_once(text: str, options: str) -> None:
    assert volume.mount_options(text) == options


@pytest.mark.parametrize("text", ["no atime", "noatime,,nodev", "noatime #", "a\tb", "a\n/dev/sda / ext4"])
def test_what_is_no_option_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="are no mount options"):
        volume.mount_options(text)


@pytest.mark.parametrize("text", ["ro,rw", "atime,noatime", "nodev,suid,dev", "exec,noexec"])
def test_options_that_exclude_each_other_are_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="exclude each other"):
        volume.mount_options(text)


@given(st.text(alphabet="anod,= #\t\n", max_size=10))
def test_mount_options_are_one_field_of_fstab(text: str) -> None:
    try:
        options = volume.mount_options(text)
    except InvalidInput:
        return
    assert options.split() == [options]
    assert "#" not in options


@pytest.mark.parametrize(("group", "name"), [("vg_data", "lv-data"), ("snapshot", "_x"), ("a" * 63, "b" * 63), ("+", "9")])
def test_a_logical_volume_may_be_called_what_lvm_allows(group: str, name: str) -> None:
    volume.check_logical_volume(group, name)


@pytest.mark.parametrize(
    ("group", "name", "reason"),
    [
        ("", "lv", "'' cannot be the name of a volume group"),
        ("-vg", "lv", "'-vg' cannot be the name of a volume group"),
        ("..", "lv", "'..' cannot be the name of a volume group"),
        ("vg", ".", "'.' cannot be the name of a logical volume"),
        ("vg", "a b", "'a b' cannot be the name of a logical volume"),
        ("vg", "a\n", "cannot be the name of a logical volume"),
        ("vg", "snapshot1", "because LVM keeps such names for itself"),
        ("vg", "a_tmeta", "because LVM keeps such names for itself"),
        ("a" * 64, "b" * 63, "is too long for the kernel, which allows 127 characters"),
        ("-".join("a" * 32), "b" * 33, "is too long for the kernel"),
    ],
)
def test_a_logical_volume_is_called_nothing_else(group: str, name: str, reason: str) -> None:
    with pytest.raises(InvalidInput, match=re.escape(reason)):
        volume.check_logical_volume(group, name)


@given(st.text(max_size=12), st.text(max_size=12))
def test_the_names_of_lvm_are_one_word_and_no_option(group: str, name: str) -> None:
    try:
        volume.check_logical_volume(group, name)
    except InvalidInput:
        return
    for word in (group, name):
        assert word.isascii()
        assert word.split() == [word]
        assert not word.startswith("-")
        assert "/" not in word
