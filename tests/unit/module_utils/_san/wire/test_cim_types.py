# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""CIM values in Python: each type holds what it can hold, and a property is read as what it was declared."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.cim_path import ObjectPath
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.cim_types import CimClass, CimInstance, format_scalar, parse_scalar
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.wsman_envelope import Reference

NOON = datetime(2026, 1, 2, 12, tzinfo=timezone.utc)
DISK = CimClass("root/Microsoft/Windows/Storage", "MSFT_Disk", ("ObjectId",), {"ObjectId": "string", "Number": "uint32", "Path": "string"})
RANGES = {
    "uint8": (0, 255),
    "uint16": (0, 65535),
    "uint32": (0, 4294967295),
    "uint64": (0, 18446744073709551615),
    "sint8": (-128, 127),
    "sint16": (-32768, 32767),
    "sint32": (-2147483648, 2147483647),
    "sint64": (-9223372036854775808, 9223372036854775807),
}


@pytest.mark.parametrize("kind", RANGES)
class TestAnInteger:
    def test_holds_its_whole_range(self, kind: str) -> None:
        for number in RANGES[kind]:
            assert parse_scalar(kind, str(number)) == number
            assert format_scalar(kind, number) == str(number)

    def test_holds_nothing_beyond(self, kind: str) -> None:
        lowest, highest = RANGES[kind]
        for number in (lowest - 1, highest + 1):
            with pytest.raises(ValueError, match=f"is no {kind}"):
                parse_scalar(kind, str(number))
            with pytest.raises(ValueError, match=f"is no {kind}"):
                format_scalar(kind, number)


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("uint32", " 0x10 ", 16),
        ("boolean", "TRUE", True),
        ("boolean", " false\n", False),
        ("boolean", "1", True),
        ("string", " a ", " a "),
        ("char16", "x", "x"),
        ("real64", "1.5e3", 1500.0),
        ("datetime", "2026-01-02T12:00:00Z", NOON),
    ],
)
def test_spellings_of_values(kind: str, text: str, value: object) -> None:
    assert parse_scalar(kind, text) == value


@pytest.mark.parametrize(
    ("kind", "text"),
    [("uint32", ""), ("uint32", "1.5"), ("boolean", "yes"), ("real32", "x"), ("datetime", "x"), ("uint", "1"), ("object", "x")],
)
def test_text_that_is_no_value_of_the_type_is_refused(kind: str, text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_scalar(kind, text)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("uint32", True),
        ("uint32", "1"),
        ("boolean", 1),
        ("string", 1),
        ("datetime", "x"),
        ("real32", "1"),
        ("reference", "x"),
        ("uint8", None),
    ],
)
def test_a_value_of_another_type_is_not_written(kind: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"is no {kind}"):
        format_scalar(kind, value)


@given(st.floats(allow_nan=False))
def test_a_real_number_is_read_back(number: float) -> None:
    assert parse_scalar("real64", format_scalar("real64", number)) == number


class TestAnInstance:
    inner = CimInstance("Inner", {})
    target = Reference("uri", {"Name": "x"})
    instance = CimInstance(
        "X",
        {
            "Text": "a",
            "Number": 7,
            "Flag": True,
            "Time": NOON,
            "Span": timedelta(hours=1),
            "Ref": target,
            "Object": inner,
            "Texts": ("a", "b"),
            "Numbers": (1, 2),
            "Objects": (inner,),
            "One": "a",
            "Null": None,
        },
    )

    def test_gives_each_property_as_its_type(self) -> None:
        it = self.instance
        assert (it.text("Text"), it.integer("Number"), it.flag("Flag")) == ("a", 7, True)
        assert (it.moment("Time"), it.interval("Span")) == (NOON, timedelta(hours=1))
        assert (it.reference("Ref"), it.instance("Object")) == (self.target, self.inner)
        assert (it.texts("Texts"), it.integers("Numbers")) == (("a", "b"), (1, 2))
        assert it.instances("Objects") == (self.inner,)

    def test_takes_one_undeclared_value_for_an_array_of_one(self) -> None:
        assert self.instance.texts("One") == ("a",)

    @pytest.mark.parametrize("name", ["Null", "Missing"])
    def test_has_a_default_for_what_is_null_or_missing(self, name: str) -> None:
        it = self.instance
        assert (it.text(name), it.text(name, "?"), it.integer(name), it.flag(name)) == ("", "?", None, False)
        assert (it.moment(name), it.interval(name), it.reference(name), it.instance(name)) == (None, None, None, None)
        assert (it.texts(name), it.integers(name), it.instances(name)) == ((), (), ())

    def test_does_not_give_one_type_as_another(self) -> None:
        with pytest.raises(TypeError, match=r"X\.Text holds 'a', which is no int: declare its type"):
            self.instance.integer("Text")
        with pytest.raises(TypeError, match=r"X\.Flag holds True, which is no int"):
            self.instance.integer("Flag")
        with pytest.raises(TypeError, match=r"X\.Numbers holds 1, which is no str"):
            self.instance.texts("Numbers")


class TestAClass:
    def test_has_a_resource(self) -> None:
        assert DISK.uri == "http://schemas.microsoft.com/wbem/wsman/1/wmi/root/Microsoft/Windows/Storage/MSFT_Disk"

    def test_projects_what_is_declared_without_the_insides_of_objects(self) -> None:
        adapter = CimClass(
            "root/WMI", "MSFC_FibrePortHBAAttributes", (), {"Attributes": "object", "Attributes.PortWWN": "uint8[]", "Active": "boolean"}
        )
        assert adapter.columns == ("Attributes", "Active")

    def test_names_an_instance_by_its_keys(self) -> None:
        expected = ObjectPath("MSFT_Disk", {"ObjectId": "a"}, DISK.namespace, "HV1")
        assert DISK.path({"ObjectId": "a", "Number": 1}, "HV1") == expected
        assert DISK.reference({"ObjectId": "a"}) == Reference(DISK.uri, {"ObjectId": "a"})

    def test_names_an_instance_by_its_own_class(self) -> None:
        assert DISK.path(CimInstance("MSFT_ClusterDisk", {"ObjectId": "a"})).class_name == "MSFT_ClusterDisk"

    def test_does_not_guess_a_key(self) -> None:
        with pytest.raises(KeyError, match="ObjectId"):
            DISK.path({"Number": 1})
