# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""CIM values in messages, as Windows writes them: whole instances, fragments, nulls, arrays, times, references and instances inside."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import InvalidInput, RemoteError
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire import cim_xml
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.cim_embedded import embed
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.cim_types import CimInstance, CimValue
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.wsman_envelope import Reference, element, read, resource_uri, written

URI = resource_uri("root/virtualization/v2", "Msvm_X")
NAMESPACES = (
    f'xmlns:p="{URI}" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns:cim="http://schemas.dmtf.org/wbem/wscim/1/common" '
    'xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing" xmlns:w="http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd"'
)
TYPES = {
    "Number": "uint32",
    "Roles": "string[]",
    "Codes": "uint16[]",
    "Flag": "boolean",
    "Since": "datetime",
    "Job": "reference",
    "Attributes": "object",
    "Attributes.PortWWN": "uint8[]",
    "Attributes.PortState": "uint32",
}
texts = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"))


def decoded(inside: str, name: str = "Msvm_X", attributes: str = 'xsi:type="p:Msvm_X_Type"') -> CimInstance:
    return cim_xml.decode(read(f"<p:{name} {attributes} {NAMESPACES}>{inside}</p:{name}>".encode()), TYPES)


def test_scalars_are_read_as_they_were_declared() -> None:
    instance = decoded("<p:Number>7</p:Number><p:Flag>false</p:Flag><p:Other> text </p:Other><p:Empty></p:Empty>")
    assert instance.class_name == "Msvm_X"
    assert instance.properties["Number"] == 7
    assert instance.properties["Flag"] is False
    assert instance.properties["Other"] == " text "
    assert instance.properties["Empty"] == ""


def test_the_class_is_the_one_of_the_instance_not_of_the_query() -> None:
    assert decoded("", name="Msvm_Derived", attributes='xsi:type="p:Msvm_Derived_Type"').class_name == "Msvm_Derived"
    assert decoded("", name="Msvm_X", attributes="").class_name == "Msvm_X"


def test_null_is_none_and_so_is_what_was_not_sent() -> None:
    instance = decoded('<p:Number xsi:nil="true"/><p:Roles xsi:nil="true"/>')
    assert instance.properties["Number"] is None
    assert instance.properties["Since"] is None
    assert instance.properties["Roles"] == ()


def test_an_array_is_repeated_elements_and_an_empty_one_is_left_out() -> None:
    instance = decoded("<p:Roles>b</p:Roles><p:Number>1</p:Number><p:Roles>a</p:Roles><p:Other>1</p:Other><p:Other>2</p:Other>")
    assert instance.texts("Roles") == ("b", "a")
    assert instance.properties["Codes"] == ()
    assert instance.properties["Other"] == ("1", "2")


def test_an_array_of_one_is_an_array() -> None:
    assert decoded("<p:Codes>1</p:Codes>").properties["Codes"] == (1,)


@pytest.mark.parametrize(
    ("inside", "moment"),
    [
        ("<cim:Datetime>2013-03-09T03:06:25Z</cim:Datetime>", datetime(2013, 3, 9, 3, 6, 25, tzinfo=timezone.utc)),
        ("<cim:Interval>P1DT0H0M2S</cim:Interval>", timedelta(days=1, seconds=2)),
        ("20130309030625.000000+000", datetime(2013, 3, 9, 3, 6, 25, tzinfo=timezone.utc)),
    ],
)
def test_a_moment_is_read_in_any_spelling(inside: str, moment: object) -> None:
    assert decoded(f"<p:Since>{inside}</p:Since>").properties["Since"] == moment


def test_a_reference_is_read_whether_declared_or_not() -> None:
    inside = (
        "<a:Address>http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous</a:Address><a:ReferenceParameters>"
        f'<w:ResourceURI>{URI}</w:ResourceURI><w:SelectorSet><w:Selector Name="InstanceID">A1</w:Selector></w:SelectorSet>'
        "</a:ReferenceParameters>"
    )
    instance = decoded(f"<p:Job>{inside}</p:Job><p:Other>{inside}</p:Other>")
    assert instance.reference("Job") == instance.reference("Other") == Reference(URI, {"InstanceID": "A1"})


def test_an_instance_inside_has_types_of_its_own() -> None:
    instance = decoded(
        '<p:Attributes xsi:type="p:MSFC_HBAPortAttributesResults_Type"><p:PortWWN>32</p:PortWWN><p:PortWWN>1</p:PortWWN>'
        "<p:PortState>2</p:PortState></p:Attributes>"
    )
    inner = instance.instance("Attributes")
    assert inner == CimInstance("MSFC_HBAPortAttributesResults", {"PortWWN": (32, 1), "PortState": 2})


def test_an_instance_inside_may_be_empty() -> None:
    assert decoded('<p:Attributes xsi:type="p:Y_Type"/>').instance("Attributes") == CimInstance("Y", {"PortWWN": (), "PortState": None})


def test_a_fragment_has_no_namespaces_and_the_class_that_was_asked_for() -> None:
    fragment = read(
        b'<w:XmlFragment xmlns:w="http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">'
        b'<Number>7</Number><Since><Datetime>2013-03-09T03:06:25Z</Datetime></Since><Roles>a</Roles><Flag xsi:nil="true"/></w:XmlFragment>'
    )
    instance = cim_xml.decode(fragment, TYPES, "Msvm_X")
    assert instance.class_name == "Msvm_X"
    assert (instance.integer("Number"), instance.texts("Roles"), instance.properties["Flag"]) == (7, ("a",), None)
    assert instance.moment("Since") == datetime(2013, 3, 9, 3, 6, 25, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("inside", "message"),
    [
        ("<p:Number>x</p:Number>", r"Msvm_X\.Number cannot be read: "),
        ("<p:Number>4294967296</p:Number>", r"Msvm_X\.Number cannot be read: 4294967296 is no uint32"),
        ("<p:Since><cim:Datetime>soon</cim:Datetime></p:Since>", r"Msvm_X\.Since cannot be read: 'soon' is no CIM datetime"),
        ("<p:Number>1</p:Number><p:Number>2</p:Number>", r"Msvm_X\.Number has 2 values instead of one"),
    ],
)
def test_a_value_that_does_not_fit_its_type_is_told(inside: str, message: str) -> None:
    with pytest.raises(RemoteError, match=message):
        decoded(inside)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (7, "uint32"),
        (True, "boolean"),
        (None, "string"),
        ("", "string"),
        (datetime(2026, 1, 2, 3, 4, 5, 6, timezone.utc), "datetime"),
        (timedelta(days=3, microseconds=1), "datetime"),
        (Reference(URI, {"Name": 'a"\\b', "Antecedent": Reference(URI, {"Name": "y"})}), "reference"),
        ((1, 2), "uint16[]"),
        ((), "uint16[]"),
        ((Reference(URI, {"Name": "a"}), Reference(URI)), "reference[]"),
        (CimInstance("Msvm_Y", {"A": "a", "B": CimInstance("Msvm_Z", {"C": ("c", "d")})}), "object"),
    ],
)
def test_what_is_sent_is_what_is_read(value: CimValue, kind: str) -> None:
    parent = element("X_INPUT", URI, children=cim_xml.encode("V", value, URI))
    assert cim_xml.decode(read(written(parent).encode()), {"V": kind}).properties["V"] == value


@given(texts)
def test_any_text_is_sent_as_it_is(text: str) -> None:
    parent = element("X_INPUT", URI, children=cim_xml.encode("V", text, URI))
    assert cim_xml.decode(read(written(parent).encode()), {"V": "string"}).text("V") == text


def test_a_reference_stands_directly_under_its_parameter() -> None:
    (parameter,) = cim_xml.encode("AffectedConfiguration", Reference(URI, {"InstanceID": "x"}), URI)
    assert [part.tag.rpartition("}")[2] for part in parameter] == ["Address", "ReferenceParameters"]


def test_an_embedded_instance_goes_into_a_cdata_section() -> None:
    (parameter,) = cim_xml.encode("ResourceSettings", (embed("X", {"A": "<]]>"}, {"A": "string"}),), URI)
    assert "<![CDATA[<INSTANCE CLASSNAME" in written(parameter)
    assert (parameter.text or "").startswith('<INSTANCE CLASSNAME="X">')


def test_an_instance_inside_names_its_class_in_its_own_namespace() -> None:
    (part,) = cim_xml.encode("PrivateProperties", CimInstance("MSCluster_Property_Resource", {"VmID": "1"}), URI)
    inner = resource_uri("root/virtualization/v2", "MSCluster_Property_Resource")
    prefix, _between, name = str(part.get("{http://www.w3.org/2001/XMLSchema-instance}type")).partition(":")
    assert (part.nsmap[prefix], name) == (inner, "MSCluster_Property_Resource_Type")
    assert part[0].tag == f"{{{inner}}}VmID"


def test_a_control_character_is_refused_before_it_is_sent() -> None:
    with pytest.raises(InvalidInput, match="of Name holds a control character"):
        cim_xml.encode("Name", "a\x01", URI)
