# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lab's ZAPI: strict where ONTAP is, and the same array that REST shows."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import pytest

from tests.lab import world
from tests.lab.ontap.state import REST, ZAPI, Array
from tests.lab.ontap.zapi.api import Zapi, signature_of

GIB = 1024**3
LUN = "/vol/vol_prod/ds_single"


@pytest.fixture
def array() -> Array:
    return Array(world.build()["array"])


def request(api: str, inner: str = "", svm: str = "svm_san") -> bytes:
    vfiler = f' vfiler="{svm}"' if svm else ""
    return f'<netapp xmlns="http://www.netapp.com/filer/admin" version="1.110"{vfiler}><{api}>{inner}</{api}></netapp>'.encode()


def call(array: Array, api: str, inner: str = "", svm: str = "svm_san", **action: Any) -> ElementTree.Element:
    """The results, without names of namespaces."""
    text = Zapi(array).answer(request(api, inner, svm), action).decode().replace(' xmlns="http://www.netapp.com/filer/admin"', "")
    results = ElementTree.fromstring(text).find("results")
    assert results is not None
    return results


def refused(array: Array, api: str, inner: str = "", svm: str = "svm_san", **action: Any) -> tuple[str | None, str]:
    results = call(array, api, inner, svm, **action)
    assert results.get("status") == "failed"
    return results.get("errno"), str(results.get("reason"))


class TestInput:
    @pytest.mark.parametrize(
        ("api", "inner", "number", "reason"),
        [
            ("lun-bogus", "", "13005", "Unable to find API: lun-bogus"),
            ("lun-resize", f"<path>{LUN}</path>", "13115", 'Missing input "size" of "lun-resize"'),
            (
                "lun-resize",
                f"<path>{LUN}</path><size>1GB</size>",
                "13115",
                'Invalid value specified for "size" element within "lun-resize": "1GB"',
            ),
            (
                "lun-map",
                f"<path>{LUN}</path><initiator-group>g</initiator-group><lun-id/>",
                "13115",
                '"lun-id" element within "lun-map": ""',
            ),
            ("lun-destroy", f"<path>{LUN}</path><force/>", "13115", '"force" element within "lun-destroy": ""'),
            ("lun-destroy", f"<path>{LUN}</path><sure>true</sure>", "13115", 'Invalid element "sure" within "lun-destroy"'),
            ("lun-get-iter", "<query><lun-info><colour>red</colour></lun-info></query>", "13115", 'Invalid element "colour" within'),
            ("lun-get-iter", "<query><volume-info/></query>", "13115", 'Invalid element "volume-info" within "query"'),
            ("lun-get-iter", "<tag>bogus</tag>", "13115", 'Invalid value specified for "tag"'),
            ("lun-get-iter", "<max-records>many</max-records>", "13115", 'Invalid value specified for "max-records"'),
        ],
    )
    def test_that_is_wrong_is_refused(self, array: Array, api: str, inner: str, number: str, reason: str) -> None:
        before = array.canonical()
        told = refused(array, api, inner)
        assert told[0] == number
        assert reason in told[1]
        assert array.canonical() == before

    @pytest.mark.parametrize("raw", [b"", b"<netapp/>", b"<netapp version='1'><a/></netapp>", b"not xml"])
    def test_that_is_no_request_is_refused(self, array: Array, raw: bytes) -> None:
        assert b'errno="13115"' in Zapi(array).answer(raw, {})
        assert signature_of(raw) == ""

    def test_that_is_for_no_svm_or_one_that_is_not_there(self, array: Array) -> None:
        inner = f"<path>{LUN}</path>"
        assert refused(array, "lun-destroy", inner, svm="") == ("13001", "Vserver API missing vserver parameter.")
        assert refused(array, "lun-destroy", inner, svm="svm_none") == ("15698", "Specified vserver not found")

    def test_that_the_role_does_not_allow(self, array: Array) -> None:
        array.admit(denied=["lun-destroy"])
        assert refused(array, "lun-destroy", f"<path>{LUN}</path>")[0] == "13003"
        array.admit(svm="svm_dr")
        assert refused(array, "lun-get-iter")[0] == "13003"
        assert refused(array, "cluster-identity-get", svm="")[0] == "13005"


class TestAListing:
    def test_comes_in_pages_of_twenty_unless_said_otherwise(self, array: Array) -> None:
        svm = array.svms[0]
        for number in range(25):
            call(array, "lun-create-by-size", f"<path>/vol/vol_prod/l{number}</path><size>{GIB}</size><ostype>linux</ostype>")
        first = call(array, "lun-get-iter")
        assert (first.findtext("num-records"), first.findtext("next-tag") is not None) == ("20", True)
        escaped = str(first.findtext("next-tag")).replace("<", "&lt;").replace(">", "&gt;")
        rest = call(array, "lun-get-iter", f"<tag>{escaped}</tag><max-records>500</max-records>")
        assert int(str(rest.findtext("num-records"))) == len(svm.luns) - 20
        assert rest.findtext("next-tag") is None

    def test_of_nothing_has_no_list(self, array: Array) -> None:
        none = call(array, "lun-get-iter", "<query><lun-info><path>/vol/none/none</path></lun-info></query>")
        assert (none.findtext("num-records"), none.find("attributes-list")) == ("0", None)

    def test_takes_alternatives_and_wildcards_and_tells_only_what_is_desired(self, array: Array) -> None:
        query = "<query><lun-info><path>/vol/vol_prod/ds_*|/vol/vol_dev/spare</path></lun-info></query>"
        desired = "<desired-attributes><lun-info><path/></lun-info></desired-attributes>"
        rows = call(array, "lun-get-iter", query + desired).findall("attributes-list/lun-info")
        assert {child.tag for row in rows for child in row} == {"path"}
        assert "/vol/vol_dev/spare" in {row.findtext("path") for row in rows}

    def test_is_of_all_svms_unless_it_is_tunnelled(self, array: Array) -> None:
        def svms(svm: str) -> set[str | None]:
            rows = call(array, "igroup-get-iter", "<max-records>500</max-records>", svm).findall("attributes-list/initiator-group-info")
            return {row.findtext("vserver") for row in rows}

        assert svms("svm_san") == {"svm_san"}
        assert "svm_san" in svms("")


class TestALun:
    def test_that_is_mapped_is_destroyed_only_while_it_is_offline_or_by_force(self, array: Array) -> None:
        inner = f"<path>{LUN}</path>"
        assert refused(array, "lun-destroy", inner)[0] == "9013"
        assert call(array, "lun-offline", inner).get("status") == "passed"
        assert refused(array, "lun-offline", inner)[0] == "9014"
        assert call(array, "lun-destroy", inner).get("status") == "passed"
        assert refused(array, "lun-destroy", inner)[0] == "15661"

    def test_is_reserved_and_of_no_system_unless_said_otherwise(self, array: Array) -> None:
        inner = f"<path>/vol/vol_prod/new</path><size>{GIB}</size>"
        assert refused(array, "lun-create-by-size", inner)[0] == "13115", "the lab knows no LUNs of type image"
        call(array, "lun-create-by-size", inner + "<ostype>linux</ostype>")
        (lun,) = [one for one in array.svms[0].luns if one.path == "/vol/vol_prod/new"]
        assert lun.reserved


def test_a_fault_that_is_asked_for_has_the_number_of_zapi(array: Array) -> None:
    assert refused(array, "lun-get-iter", error={"code": 5374242, "message": "exists"}) == ("9012", "exists")
    assert refused(array, "lun-get-iter", error={"code": 393271, "message": "takeover"}) == ("393271", "takeover")


def test_zapi_is_gone_in_9_18_and_either_interface_can_be_switched_off(array: Array) -> None:
    assert array.serves_interface(ZAPI)
    array.become("9.18.1")
    assert (array.serves_interface(ZAPI), array.serves_interface(REST)) == (False, True)
    array.switch(REST, on=False)
    assert not array.serves_interface(REST)
    with pytest.raises(ValueError, match="is no interface"):
        array.switch("ssh", on=False)


def test_a_request_is_logged_by_its_api_and_what_it_is_about() -> None:
    assert signature_of(request("lun-get-iter", "<query><lun-info><uuid>u</uuid></lun-info></query>")) == "lun-get-iter?uuid=u"
    assert signature_of(request("lun-map", "<path>/vol/v/l</path><lun-id>0</lun-id>")) == "lun-map?path=/vol/v/l&lun-id=0"
