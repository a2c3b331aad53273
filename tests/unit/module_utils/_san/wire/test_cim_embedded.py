# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Embedded instances: the text that a method takes, with everything that could break out of it inside it."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import InvalidInput
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.cim_embedded import embed, parse_embedded
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.cim_types import CimInstance, CimValue
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.wsman_envelope import cdata_element, read, written

TYPES = {
    "Parent": "string",
    "HostResource": "string[]",
    "ResourceType": "uint16",
    "Ports": "sint64[]",
    "Enabled": "boolean",
    "Since": "datetime",
}
xml_texts = st.one_of(
    st.text(st.characters(exclude_categories=["Cs", "Cc"], include_characters="\t\n\r", exclude_characters="\ufffe\uffff")),
    st.text(st.sampled_from("]><&\"'![CDATA\r\n"), max_size=20),
)
instances = st.fixed_dictionaries(
    {},
    optional={
        "Parent": st.none() | xml_texts,
        "HostResource": st.none() | st.lists(xml_texts, max_size=3).map(tuple),
        "ResourceType": st.none() | st.integers(0, 65535),
        "Ports": st.none() | st.lists(st.integers(-(2**63), 2**63 - 1), max_size=3).map(tuple),
        "Enabled": st.none() | st.booleans(),
        "Since": st.none() | st.datetimes(timezones=st.just(timezone.utc)),
    },
)


@given(instances)
def test_what_is_embedded_is_read_back(properties: dict[str, object]) -> None:
    text = embed("Msvm_X", properties, TYPES)  # type: ignore[arg-type]
    assert parse_embedded(text) == CimInstance("Msvm_X", properties)  # type: ignore[arg-type]


@given(instances)
def test_no_value_ends_the_cdata_section_around_it(properties: dict[str, object]) -> None:
    text = embed("Msvm_X", properties, TYPES)  # type: ignore[arg-type]
    assert "]]>" not in text
    message = written(cdata_element("ResourceSettings", "urn:x", text))
    assert message.count("<![CDATA[") == 1
    assert read(message.encode()).text == text


def test_the_text_is_that_of_cim_xml() -> None:
    properties: dict[str, CimValue] = {
        "Parent": 'a<"]]>',
        "HostResource": ("x", "y"),
        "ResourceType": 17,
        "Ports": None,
        "Enabled": True,
        "Since": None,
    }
    assert embed("Msvm_ResourceAllocationSettingData", properties, TYPES) == (
        '<INSTANCE CLASSNAME="Msvm_ResourceAllocationSettingData">'
        '<PROPERTY NAME="Parent" TYPE="string"><VALUE>a&lt;"]]&gt;</VALUE></PROPERTY>'
        '<PROPERTY.ARRAY NAME="HostResource" TYPE="string"><VALUE.ARRAY><VALUE>x</VALUE><VALUE>y</VALUE></VALUE.ARRAY></PROPERTY.ARRAY>'
        '<PROPERTY NAME="ResourceType" TYPE="uint16"><VALUE>17</VALUE></PROPERTY>'
        '<PROPERTY.ARRAY NAME="Ports" TYPE="sint64"/>'
        '<PROPERTY NAME="Enabled" TYPE="boolean"><VALUE>TRUE</VALUE></PROPERTY>'
        '<PROPERTY NAME="Since" TYPE="datetime"/>'
        "</INSTANCE>"
    )


def test_one_value_stands_for_an_array_of_one() -> None:
    assert parse_embedded(embed("X", {"HostResource": "x"}, TYPES)).texts("HostResource") == ("x",)


def test_a_point_in_time_is_written_in_cims_own_way() -> None:
    assert "<VALUE>20260102000000.000000+000</VALUE>" in embed("X", {"Since": datetime(2026, 1, 2, tzinfo=timezone.utc)}, TYPES)


@pytest.mark.parametrize(
    ("properties", "error"), [({"Other": "x"}, KeyError), ({"ResourceType": 65536}, ValueError), ({"Parent": "a\0b"}, InvalidInput)]
)
def test_what_cannot_be_written_is_refused(properties: dict[str, object], error: type[Exception]) -> None:
    with pytest.raises(error):
        embed("X", properties, TYPES)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<INSTANCE",
        "<CLASS/>",
        '<!DOCTYPE x [<!ENTITY e "v">]><INSTANCE CLASSNAME="X"><PROPERTY NAME="A" TYPE="string"><VALUE>&e;</VALUE></PROPERTY></INSTANCE>',
        '<INSTANCE CLASSNAME="X"><PROPERTY NAME="A" TYPE="uint8"><VALUE>256</VALUE></PROPERTY></INSTANCE>',
    ],
)
def test_what_is_no_instance_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_embedded(text)
