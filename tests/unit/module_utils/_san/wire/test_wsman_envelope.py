# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Messages: what is asked, as the schemas want it, and what an answer says, whatever it holds."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import InvalidInput
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire import wsman_envelope
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.wsman_envelope import (
    ADDRESSING,
    ENUMERATE,
    ENUMERATION,
    GET,
    SOAP,
    WSMAN,
    Reference,
    Request,
    Selector,
    element,
    envelope,
    namespace_of,
    page_of,
    parse,
    parse_reference,
    read,
    reference_parts,
    resource_uri,
    written,
)

URI = "http://schemas.microsoft.com/wbem/wsman/1/wmi/root/virtualization/v2/Msvm_ComputerSystem"
xml_texts = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"))
selectors: st.SearchStrategy[dict[str, Selector]] = st.recursive(
    st.dictionaries(st.from_regex(r"[A-Z][a-z]{1,5}", fullmatch=True), xml_texts, max_size=3),
    lambda inner: st.dictionaries(
        st.from_regex(r"[A-Z][a-z]{1,5}", fullmatch=True), inner.map(lambda keys: Reference(URI, keys)), max_size=2
    ),
    max_leaves=4,
)


def header(message: bytes, name: str, namespace: str) -> str | None:
    return parse(message).findtext(f"{{{SOAP}}}Header/{{{namespace}}}{name}")


def message_of(body: str) -> bytes:
    return f'<s:Envelope xmlns:s="{SOAP}" xmlns:n="{ENUMERATION}" xmlns:w="{WSMAN}"><s:Body>{body}</s:Body></s:Envelope>'.encode()


@pytest.mark.parametrize("namespace", ["root/virtualization/v2", r"root\virtualization\v2", "/root/virtualization/v2/"])
def test_a_class_has_one_uri_however_its_namespace_is_written(namespace: str) -> None:
    assert resource_uri(namespace, "Msvm_ComputerSystem") == URI


def test_a_uri_tells_its_namespace() -> None:
    assert namespace_of(URI) == "root/virtualization/v2"
    assert namespace_of(resource_uri("root/MSCluster")) == "root/MSCluster"
    assert namespace_of("http://schemas.microsoft.com/wbem/wsman/1/config") == ""


def test_a_request_is_named_after_its_class_or_its_query() -> None:
    assert Request(GET, Reference(URI)).name == "Get Msvm_ComputerSystem"
    query = Request(ENUMERATE, Reference(resource_uri("root/cimv2")), query="SELECT * FROM Win32_Volume")
    assert query.name == "Enumerate SELECT * FROM Win32_Volume"
    assert Request(f"{URI}/RequestStateChange", Reference(URI)).name == "RequestStateChange Msvm_ComputerSystem"


def test_a_long_query_is_cut_short_in_a_name() -> None:
    name = Request(ENUMERATE, Reference(resource_uri("root/cimv2")), query="SELECT * FROM X WHERE " + " OR ".join(["A = 1"] * 1000)).name
    assert len(name) < 220
    assert name.endswith("…")


def test_every_header_that_windows_wants_is_there() -> None:
    request = Request(GET, Reference(URI, {"Name": "a"}))
    message = envelope(request, "https://hv1:5986/wsman", 512000, 54.0)
    assert header(message, "To", ADDRESSING) == "https://hv1:5986/wsman"
    assert header(message, "Action", ADDRESSING) == GET
    assert header(message, "MessageID", ADDRESSING) == request.message_id
    assert header(message, "ResourceURI", WSMAN) == URI
    assert header(message, "MaxEnvelopeSize", WSMAN) == "512000"
    assert header(message, "OperationTimeout", WSMAN) == "PT54.000S"
    root = parse(message)
    assert root.findtext(f".//{{{ADDRESSING}}}ReplyTo/{{{ADDRESSING}}}Address") == f"{ADDRESSING}/role/anonymous"
    languages = [item.get("{http://www.w3.org/XML/1998/namespace}lang") for item in root.iter() if str(item.tag).endswith("Locale")]
    assert languages == ["en-US", "en-US"]
    understood = {str(item.tag).rpartition("}")[2] for item in root.iter() if item.get(f"{{{SOAP}}}mustUnderstand") == "true"}
    assert understood == {"Address", "ResourceURI", "Action", "MaxEnvelopeSize"}


def test_every_request_has_an_id_of_its_own() -> None:
    first, second = Request(GET, Reference(URI)), Request(GET, Reference(URI))
    assert re.fullmatch(r"uuid:[0-9a-f-]{36}", first.message_id)
    assert first.message_id != second.message_id


@given(selectors)
def test_a_reference_is_read_as_it_was_written(keys: dict[str, Selector]) -> None:
    reference = Reference(URI, keys)
    assert parse_reference(read(written(element("Job", URI, children=reference_parts(reference))).encode())) == reference


def test_an_element_without_a_reference_holds_none() -> None:
    assert parse_reference(element("Job", URI, "text")) is None


def test_an_enumeration_asks_for_the_first_items_at_once() -> None:
    body = wsman_envelope.enumerate_body(100, 'SELECT * FROM X WHERE A = "<&"')
    assert [str(part.tag) for part in body] == [f"{{{WSMAN}}}OptimizeEnumeration", f"{{{WSMAN}}}MaxElements", f"{{{WSMAN}}}Filter"]
    assert body[1].text == "100"
    assert body[2].text == 'SELECT * FROM X WHERE A = "<&"'
    assert body[2].get("Dialect") == "http://schemas.microsoft.com/wbem/wsman/1/WQL"


def test_an_enumeration_of_a_class_has_no_filter() -> None:
    assert len(wsman_envelope.enumerate_body(1, None)) == 2


def test_a_control_character_is_refused() -> None:
    with pytest.raises(InvalidInput, match="'a\\\\x00' of Filter holds a control character"):
        wsman_envelope.enumerate_body(1, "a\0")


@pytest.mark.parametrize(
    ("inside", "values", "context"),
    [
        ("<w:Items><X>1</X><X>2</X></w:Items><n:EnumerationContext>c1</n:EnumerationContext>", ["1", "2"], "c1"),
        ("<n:Items><X>1</X></n:Items><n:EnumerationContext> c2 </n:EnumerationContext>", ["1"], "c2"),
        ("<n:Items><X>1</X></n:Items><n:EndOfSequence/>", ["1"], ""),
        ("<n:EnumerationContext>c3</n:EnumerationContext><w:Items><X>1</X></w:Items><w:EndOfSequence/>", ["1"], ""),
        ("<n:EnumerationContext/>", [], ""),
        ("<w:Items/><n:EnumerationContext>c4</n:EnumerationContext>", [], "c4"),
    ],
)
def test_a_page_has_items_and_perhaps_a_next_one(inside: str, values: list[str], context: str) -> None:
    content = wsman_envelope.content_of(parse(message_of(f"<n:PullResponse>{inside}</n:PullResponse>")))
    assert content is not None
    items, following = page_of(content)
    assert ([item.text for item in items], following) == (values, context)


def test_an_answer_tells_which_message_it_answers() -> None:
    header_of = f'<s:Header xmlns:a="{ADDRESSING}"><a:RelatesTo> uuid:1 </a:RelatesTo></s:Header>'
    root = parse(f'<s:Envelope xmlns:s="{SOAP}">{header_of}<s:Body/></s:Envelope>'.encode())
    assert wsman_envelope.relates_to(root) == "uuid:1"
    assert wsman_envelope.content_of(root) is None
    assert wsman_envelope.relates_to(parse(message_of(""))) == ""


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"not xml",
        b"<html><body/></html>",
        b'<Envelope xmlns="http://schemas.xmlsoap.org/soap/envelope/"><Body/></Envelope>',
        f'<s:Envelope xmlns:s="{SOAP}"/>'.encode(),
        message_of("<a>")[:-20],
    ],
    ids=["empty", "text", "html", "SOAP 1.1", "no body", "torn"],
)
def test_what_is_no_envelope_is_told(message: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse(message)


@pytest.mark.parametrize(
    "declaration",
    [
        '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]>',
        '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>',
        '<!DOCTYPE x SYSTEM "http://127.0.0.1:1/x.dtd">',
    ],
)
def test_no_document_type_is_taken_and_no_file_read(declaration: str) -> None:
    with pytest.raises(ValueError, match="document type declaration"):
        parse(declaration.encode() + message_of("<a>x</a>"))


def test_an_entity_that_nothing_declared_is_not_xml() -> None:
    with pytest.raises(ValueError, match="Entity 'a' not defined"):
        parse(message_of("<x>&a;</x>"))


def test_comments_do_not_count_as_content() -> None:
    content = wsman_envelope.content_of(parse(message_of("<!-- a --><X>1</X>")))
    assert content is not None
    assert content.text == "1"
