# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Replies of the property collector, read as a stream."""

from __future__ import annotations

import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree
from pyVmomi import vim

from ansible_collections.crossvisor.san.plugins.module_utils._san.wire import vim_xml
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.limits import Excess
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.vim_xml import (
    ObjectRecord,
    ReplyStream,
    child,
    children,
    flag,
    integer,
    moid_in,
    text,
    type_of,
)
from tests.unit import vsphere


def records(reply: bytes) -> list[ObjectRecord]:
    return list(ReplyStream(io.BytesIO(reply)))


def test_every_object_comes_with_its_type_id_and_properties() -> None:
    vm = vsphere.contents("VirtualMachine", "vm-42", {"name": "db01", "runtime.host": vsphere.managed("HostSystem", "host-9")})
    cluster = vsphere.contents("ClusterComputeResource", "domain-c7", {"name": "prod"})
    found = [(it.type, it.moid, {path: it.text(path) for path in it.properties}) for it in records(vsphere.page([vm, cluster]))]
    assert found == [
        ("VirtualMachine", "vm-42", {"name": "db01", "runtime.host": "host-9"}),
        ("ClusterComputeResource", "domain-c7", {"name": "prod"}),
    ]


def test_the_token_of_the_next_page_is_known_after_the_last_object_and_empty_on_the_last_page() -> None:
    folder = vsphere.contents("Folder", "group-v3", {"name": "vm"})
    first, last = (ReplyStream(io.BytesIO(vsphere.page([folder], token))) for token in ("7", None))
    assert [len(list(page)) for page in (first, last)] == [1, 1]
    assert (first.token, last.token) == ("7", "")


def test_a_reply_without_a_result_has_no_objects() -> None:
    assert records(vsphere.page([])) == []


def test_an_absent_property_reads_as_empty() -> None:
    nothing = vsphere.record("VirtualMachine", "vm-1", {})
    assert (nothing.text("name", "?"), nothing.integer("n"), nothing.flag("f"), nothing.items("i"), nothing.texts("t")) == (
        "?",
        None,
        False,
        [],
        [],
    )


def test_a_property_that_may_not_be_read_is_absent_and_says_why() -> None:
    reply = vsphere.page([vsphere.contents("VirtualMachine", "vm-1", {"name": "a"}, {"config.hardware": "Permission was denied."})])
    missing = (
        b"<missingSet><path>config.uuid</path><fault><fault xsi:type='NoPermission'/><localizedMessage/></fault></missingSet></objects>"
    )
    (found,) = records(reply.replace(b"</objects>", missing))
    assert set(found.properties) == {"name"}
    assert found.missing == {"config.hardware": "Permission was denied", "config.uuid": "NoPermission"}


def test_arrays_and_their_items_are_read_by_path() -> None:
    extents = [vim.host.ScsiDisk.Partition(diskName=f"naa.{number}", partition=number) for number in (1, 2)]
    volume = vim.host.VmfsVolume(
        name="ds", type="VMFS", capacity=5, majorVersion=6, uuid="u", version="6.82", maxBlocks=1, blockSizeMb=1, extent=extents
    )
    found = vsphere.record("Datastore", "datastore-1", {"info": vim.host.VmfsDatastoreInfo(name="ds", url="", vmfs=volume)})
    info = found.properties["info"]
    assert type_of(info) == "VmfsDatastoreInfo"
    assert [(text(it, "diskName"), integer(it, "partition")) for it in children(info, "vmfs", "extent")] == [("naa.1", 1), ("naa.2", 2)]
    assert child(info, "vmfs", "no", "such") is None
    assert integer(info, "name") is None
    assert text(info, "nas", default="-") == "-"
    assert not flag(info, "vmfs", "local")


def test_booleans_of_both_spellings_are_understood() -> None:
    element = etree.fromstring('<v xmlns="urn:vim25"><a>1</a><b>true</b><c>0</c><d>false</d></v>')
    assert [flag(element, name) for name in "abcd"] == [True, True, False, False]


def test_an_element_named_objects_inside_a_value_is_no_object() -> None:
    reply = vsphere.page([vsphere.contents("VirtualMachine", "vm-1", {"name": "a"})])
    (found,) = records(reply.replace(b"</val>", b"<objects><obj type='Folder'>x</obj></objects><token>5</token></val>"))
    assert (found.moid, found.text("name")) == ("vm-1", "a")


def test_values_longer_than_the_parsers_buffers_arrive_whole() -> None:
    long = "x" * 300_000 + "&<>" + "ü" * 1000
    assert vsphere.record("VirtualMachine", "vm-1", {"config.annotation": long}).text("config.annotation") == long


def test_a_reply_that_declares_entities_is_none() -> None:
    reply = vsphere.page([vsphere.contents("VirtualMachine", "vm-1", {"name": "PLACE"})])
    hostile = reply.replace(b"?>", b'?><!DOCTYPE e [<!ENTITY leak SYSTEM "file:///etc/hostname">]>', 1).replace(b"PLACE", b"&leak;")
    with pytest.raises(SyntaxError, match="a document type declaration"):
        records(hostile)


def test_memory_of_an_object_is_given_back_when_the_next_one_is_there() -> None:
    objects = [vsphere.contents("VirtualMachine", f"vm-{number}", {"name": "n"}) for number in range(50)]
    stream = ReplyStream(io.BytesIO(vsphere.page(objects)))
    *_others, last = stream
    left = last.properties["name"].getroottree().getroot()
    assert len(list(left.iter("{urn:vim25}objects"))) <= 1


def test_a_reply_that_breaks_off_is_an_error() -> None:
    reply = vsphere.page([vsphere.contents("VirtualMachine", "vm-1", {"name": "a"})])
    with pytest.raises(etree.XMLSyntaxError):
        records(reply[:-40])


class Slowly:
    """Gives no more than so many bytes at a time."""

    def __init__(self, reply: bytes, most: int) -> None:
        self._reply = io.BytesIO(reply)
        self._most = most

    def read(self, size: int, /) -> bytes:
        return self._reply.read(min(size, self._most))


@given(st.lists(st.tuples(st.booleans(), st.text("a<>&!]objects/", max_size=12)), max_size=8), st.integers(1, 400))
def test_records_that_are_not_kept_are_left_out_and_nothing_else_however_the_reply_comes(told: list[tuple[bool, str]], most: int) -> None:
    objects = [
        vsphere.contents("VirtualMachine", f"vm-{number}", {"name": f"{name} {'wanted' if kept else 'useless'}"})
        for number, (kept, name) in enumerate(told)
    ]
    page = ReplyStream(Slowly(vsphere.page(objects, "7"), most), lambda record: record if b"wanted" in record else b"")
    found = [record.moid for record in page]
    assert found == [f"vm-{number}" for number, (kept, _name) in enumerate(told) if kept]
    assert page.count == len(told), "an empty page is one without records, not one of which none was kept"
    assert page.token == ("7" if told else "")


def test_the_id_of_an_object_is_known_before_its_record_is_parsed() -> None:
    seen: list[str] = []

    def trim(record: bytes) -> bytes:
        seen.append(moid_in(record))
        return b""

    folder = vsphere.contents("Folder", "group-v3", {"name": "vm", "parent": vsphere.managed("Folder", "group-d1")})
    assert list(ReplyStream(io.BytesIO(vsphere.page([folder])), trim)) == []
    assert seen == ["group-v3"]


@pytest.mark.parametrize(
    "record",
    [
        b"<objects ><obj type='VirtualMachine'>vm-1</obj></objects>",
        b"<objects><!-- </objects> --><obj type='VirtualMachine'>vm-1</obj></objects>",
        b"<objects><obj type='VirtualMachine'>vm-1</obj><propSet><name>a</name><val><objects>b</objects></val></propSet></objects>",
    ],
)
def test_what_does_not_look_as_vsphere_writes_it_is_kept(record: bytes) -> None:
    (whole,) = [vsphere.page([vsphere.contents("VirtualMachine", "vm-1", {})])]
    reply = re.sub(b"<objects>.*</objects>", lambda _found: record, whole, flags=re.DOTALL)
    assert [found.moid for found in ReplyStream(io.BytesIO(reply), lambda _record: b"")] == ["vm-1"]
    assert moid_in(b"<obj>vm-1</obj>") == ""


def test_a_record_that_is_too_large_is_refused_though_nobody_wants_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vim_xml, "LARGEST_RECORD", 1 << 17)
    large = vsphere.page([vsphere.contents("VirtualMachine", "vm-1", {"name": "x" * (1 << 18)})])
    with pytest.raises(Excess, match="a record of more than"):
        list(ReplyStream(Slowly(large, 1 << 12), lambda _record: b""))
