# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Object paths: reading and writing are inverse, and two spellings of one object are the same object."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.cim_path import ObjectPath, parse_path
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.wsman_envelope import Reference, resource_uri

V2 = "root/virtualization/v2"
DRIVE = (
    r'\\HV1\root\virtualization\v2:Msvm_DiskDrive.CreationClassName="Msvm_DiskDrive",'
    r'DeviceID="Microsoft:353B3BE8-310C-4cf4-839E-4E1B14616136\\1",SystemName="HV1"'
)

names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True)
texts = st.one_of(st.text(st.characters(exclude_categories=["Cs"])), st.text(st.sampled_from('"\\,=.:{}@/ a'), max_size=12))
paths = st.builds(
    ObjectPath,
    names,
    st.dictionaries(names, st.one_of(texts, st.integers(), st.booleans()), max_size=3),
    st.sampled_from(["", "root", "root/MSCluster", V2]),
    st.sampled_from([".", "HV1", "hv1.example.com"]),
)


@given(paths)
def test_reading_a_written_path_gives_the_path(path: ObjectPath) -> None:
    expected = path if path.namespace else replace(path, host=".")
    assert parse_path(str(path)) == expected


def test_a_path_as_windows_writes_it() -> None:
    path = parse_path(DRIVE)
    assert path.class_name == "Msvm_DiskDrive"
    assert path.namespace == V2
    assert path.host == "HV1"
    assert path.keys["DeviceID"] == r"Microsoft:353B3BE8-310C-4cf4-839E-4E1B14616136\1"
    assert str(path) == DRIVE


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("Win32_OperatingSystem=@", ObjectPath("Win32_OperatingSystem")),
        ("Win32_OperatingSystem", ObjectPath("Win32_OperatingSystem")),
        (r"root\cimv2:Win32_Volume", ObjectPath("Win32_Volume", {}, "root/cimv2")),
        ('//./root/cimv2:Win32_Volume.DeviceID="v"', ObjectPath("Win32_Volume", {"DeviceID": "v"}, "root/cimv2")),
        ("X.A=-7,B=false", ObjectPath("X", {"A": -7, "B": False})),
        (r'X.A="a:b\\c:d"', ObjectPath("X", {"A": r"a:b\c:d"})),
    ],
)
def test_other_spellings(text: str, path: ObjectPath) -> None:
    assert parse_path(text) == path


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "C:",
        r"\\HV1",
        r"C:\vm\disk.vhdx",
        'X.A="',
        'X.A="a"b',
        'X.A="a",',
        "X.A=a",
        'X.A="a",A="b"',
        "X.",
        'X="a"',
        'X.A="a" , B=2',
        r"\\?\mpio#disk",
    ],
)
def test_what_is_no_path_is_told(text: str) -> None:
    with pytest.raises(ValueError, match="no WMI object path"):
        parse_path(text)


@given(names, st.dictionaries(names, texts, max_size=3), st.sampled_from([V2, "root/MSCluster"]))
def test_a_reference_says_what_the_path_says(class_name: str, keys: dict[str, str], namespace: str) -> None:
    path = ObjectPath(class_name, dict(keys), namespace, "HV1")
    assert path.reference() == Reference(resource_uri(namespace, class_name), keys)


def test_a_key_that_is_no_text_is_a_selector_of_text() -> None:
    assert ObjectPath("X", {"Number": 3, "Flag": True}, "root").reference().selectors == {"Number": "3", "Flag": "true"}
