# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A drive letter or a harmless directory, and nothing else, comes through to a command line."""

from __future__ import annotations

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import InvalidInput
from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.windows.access_path import AccessPath, is_letter


@pytest.mark.parametrize("text", ["E", "e", "E:", "e:\\", " E: "])
def test_a_drive_letter_in_every_spelling(text: str) -> None:
    path = AccessPath.parse(text)
    assert (path.path, path.bare, path.drive, path.is_letter) == ("E:\\", "E:", "E:", True)


@pytest.mark.parametrize(
    ("text", "bare"),
    [
        ("C:\\mt1", "C:\\mt1"),
        ("c:\\mt1\\", "C:\\mt1"),
        ("D:\\SQL Data\\vol.01 (new)", "D:\\SQL Data\\vol.01 (new)"),
        ("C:\\Größe\\データ", "C:\\Größe\\データ"),
    ],
)
def test_a_directory(text: str, bare: str) -> None:
    path = AccessPath.parse(text)
    assert (path.path, path.bare, path.drive, path.is_letter) == (f"{bare}\\", bare, bare[:2], False)
    assert str(path) == bare


@pytest.mark.parametrize("text", ["", "EE:", "1:", "\\\\server\\share", "mt1", "C:mt1", "C:/mt1", "\\\\?\\Volume{1}\\", "Ä:", "?:\\x"])
def test_what_is_neither_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="is no place for a volume: write a drive letter such as E:, or a directory"):
        AccessPath.parse(text)


@pytest.mark.parametrize(
    "name",
    [
        'a" & del x',
        "a&b",
        "a|b",
        "a>b",
        "%TEMP%",
        "a^b",
        "a!b!",
        "a'b",
        "a`b",
        "a;b",
        "a\nb",
        "a\0b",
        "a*",
        "a?",
        "a:b",
        "..",
        ".",
        "a.",
        " a",
        "x\\\\y",
    ],
)
def test_what_a_command_line_or_windows_could_take_otherwise_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match=r"cannot be a mount point: .* is no plain name of a directory"):
        AccessPath.parse(f"C:\\{name}\\end")


@pytest.mark.parametrize("name", ["CON", "nul", "com1", "LPT9.txt", "aux.d"])
def test_names_of_devices_are_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match="Windows keeps the name"):
        AccessPath.parse(f"C:\\{name}")


def test_a_path_that_is_too_long_is_refused() -> None:
    assert AccessPath.parse("C:\\" + "a" * 243).path
    with pytest.raises(InvalidInput, match="more than 247 characters"):
        AccessPath.parse("C:\\" + "a" * 244)


def test_paths_are_compared_without_regard_to_case_and_end() -> None:
    path = AccessPath.parse("C:\\Mt1")
    assert path.among(["E:\\", "c:\\mt1"])
    assert path.among(["c:\\MT1\\"])
    assert not path.among(["C:\\mt10\\", "C:\\"])
    assert is_letter("E:\\")
    assert not is_letter("C:\\mt1\\")
