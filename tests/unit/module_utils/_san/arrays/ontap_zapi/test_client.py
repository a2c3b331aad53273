# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""ZAPI's conventions against the lab's array: pages, queries, and each way in which an answer is none."""

from __future__ import annotations

from typing import Any

import pytest
from lxml import etree
from netapp_lib.api.zapi.zapi import NaElement

from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.faults import InterfaceMissing, OntapRefusal
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_zapi import client as client_module
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_zapi.backend import OntapZapi
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_zapi.client import ZapiClient
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_zapi.elements import Element, Unexpected, text_at
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import (
    AuthenticationFailed,
    ConnectionFailed,
    CrossvisorError,
    MissingRight,
    OutcomeUnknown,
)
from tests.unit.ontap import SVM
from tests.unit.ontap_array import BenchInPlace

PASSWORD = "s3cret"


def client_of(bench: BenchInPlace) -> ZapiClient:
    backend = bench.backend()
    assert isinstance(backend, OntapZapi)
    return backend._client


def paths(client: ZapiClient, **match: list[str]) -> list[str]:
    query = {name.replace("_", "-"): values for name, values in match.items()}
    return client.read("lun-get-iter", "lun-info", ("path", "vserver"), query, lambda element: text_at(element, "path"))


class TestAListing:
    def test_comes_in_pages_that_are_all_read(self, bench: BenchInPlace) -> None:
        whole = paths(client_of(bench))
        small = client_of(bench)
        small._page_size = 3
        with bench.counted() as sent:
            assert paths(small) == whole
        assert len(sent) == -(-len(whole) // 3)

    def test_holds_what_matches_exactly_and_nothing_that_a_wildcard_found(self, bench: BenchInPlace) -> None:
        for name in ("a.b", "axb"):
            bench.lun(f"/vol/vol_prod/{name}")
        assert paths(client_of(bench), path=["/vol/vol_prod/a*b", "/vol/vol_prod/a.b"]) == ["/vol/vol_prod/a.b"]

    def test_is_narrowed_by_the_array(self, bench: BenchInPlace) -> None:
        client = client_of(bench)
        client._page_size = 3
        (wanted, *_others) = paths(client, vserver=[SVM])
        with bench.counted() as sent:
            assert paths(client, path=[wanted]) == [wanted]
        assert len(sent) == 1

    def test_of_one_svm_holds_nothing_of_others(self, bench: BenchInPlace) -> None:
        client = client_of(bench)
        told = client.read("lun-get-iter", "lun-info", ("vserver",), {}, lambda element: text_at(element, "vserver"), svm=SVM)
        assert set(told) == {SVM} != set(client.read("lun-get-iter", "lun-info", ("vserver",), {}, lambda row: text_at(row, "vserver")))

    def test_of_many_values_is_asked_for_in_parts(self, bench: BenchInPlace) -> None:
        known = paths(client_of(bench), vserver=[SVM])
        first, *others = known
        wanted = [first, *(f"/vol/none/{number}" for number in range(client_module._ALTERNATIVES)), *others]
        with bench.counted() as sent:
            assert sorted(paths(client_of(bench), path=wanted, vserver=[SVM])) == sorted(known)
        assert len(sent) == 2

    def test_of_no_values_is_not_asked_for(self, bench: BenchInPlace) -> None:
        with bench.counted() as sent:
            assert paths(client_of(bench), path=[]) == []
        assert sent == []

    def test_that_lost_its_connection_is_asked_for_once_more(self, bench: BenchInPlace) -> None:
        bench.fail("ZAPI lun-get-iter", {"drop": "after"})
        assert paths(client_of(bench))

    def test_that_leaves_out_what_could_not_be_read_is_none(self, bench: BenchInPlace) -> None:
        error = "<volume-error><errno>{}</errno><name>v1</name><reason>{}</reason></volume-error>"
        for number, reason, told in [("13130", "Volume is busy.", "Volume is busy"), ("", "", "no reason given")]:
            results = f"<num-records>0</num-records><volume-errors>{error.format(number, reason)}</volume-errors>"
            bench.fail("ZAPI lun-get-iter", passed(results))
            with pytest.raises(OntapRefusal, match=rf"^{told} \(array .*, error {number}\)") as failure:
                paths(client_of(bench))
            assert failure.value.code == number

    def test_whose_pages_lead_back_to_themselves_is_left(self, bench: BenchInPlace, monkeypatch: pytest.MonkeyPatch) -> None:
        client, endless = client_of(bench), NaElement(etree.fromstring("<results><attributes-list/><next-tag>again</next-tag></results>"))
        monkeypatch.setattr(client._server, "ask", lambda *_request: endless)
        with pytest.raises(ConnectionFailed, match="lun-get-iter"):
            paths(client)

    def test_that_is_not_as_documented_is_not_ontaps(self, bench: BenchInPlace) -> None:
        def surprised(_element: Element) -> str:
            raise Unexpected("a record without path")

        with pytest.raises(InterfaceMissing, match=r"does not answer as ONTAP \(lun-get-iter gave a record without path\): check array"):
            client_of(bench).read("lun-get-iter", "lun-info", ("path",), {}, surprised)


def passed(results: str) -> dict[str, Any]:
    """An answer that says of itself that it is good."""
    return {"status": 200, "body": f"<netapp><results status='passed'>{results}</results></netapp>"}


def test_one_answer_is_asked_for_once_more_where_the_connection_was_lost(bench: BenchInPlace) -> None:
    bench.fail("ZAPI system-get-version", {"drop": "after"})
    assert "9.16.1" in client_of(bench).one("system-get-version", lambda answer: text_at(answer, "version"))


def test_a_change_is_made_in_the_svm_that_is_named(bench: BenchInPlace) -> None:
    client_of(bench).change("lun-create-by-size", SVM, CREATE)
    assert CREATE["path"] in paths(client_of(bench), vserver=[SVM])


@pytest.mark.parametrize("seen", [True, False])
def test_it_is_looked_until_there_is_something_to_see_or_the_time_is_over(bench: BenchInPlace, seen: bool) -> None:
    pauses: list[float] = []
    client = ZapiClient(client_of(bench).connection, lambda: sum(pauses), pauses.append)
    looks = iter([False, seen])
    assert client.wait_for(lambda: next(looks, False), 5.0) is seen
    assert (sum(pauses) < 5.0) is seen


CREATE: dict[str, Any] = {"path": "/vol/vol_prod/new", "size": 1024**3, "ostype": "linux"}


class TestAFailure:
    @pytest.mark.parametrize(
        ("action", "kind", "told"),
        [
            ({"status": 401}, AuthenticationFailed, r"refuses user admin: check array\.username and array\.password, .* over ontapi"),
            ({"status": 403}, MissingRight, r"User admin may not call lun-get-iter on array .*: give its role that command"),
            (
                {"status": 404},
                InterfaceMissing,
                r"does not serve ZAPI \(lun-get-iter gave HTTP 404\): switch it on .*=ontap for",
            ),
            ({"status": 503}, InterfaceMissing, r"does not serve ZAPI \(lun-get-iter gave HTTP 503\)"),
            ({"status": 500}, ConnectionFailed, r"answers lun-get-iter with HTTP 500: wait"),
            ({"status": 502}, ConnectionFailed, r"answers lun-get-iter with HTTP 502: wait until it is in order, then try again"),
            ({"status": 405}, InterfaceMissing, r"does not answer as ONTAP \(lun-get-iter gave HTTP 405\): check"),
            ({"status": 200, "body": "<html>"}, InterfaceMissing, r"does not answer as ONTAP \(the answer to lun-get-iter is no XML\)"),
            ({"status": 200, "body": "<netapp/>"}, InterfaceMissing, r"\(the answer to lun-get-iter has no results\)"),
            (
                {"status": 200, "body": "<!DOCTYPE n [<!ENTITY e 'x'>]><netapp><results status='passed'>&e;</results></netapp>"},
                InterfaceMissing,
                r"\(the answer to lun-get-iter declares entities\)",
            ),
            (
                {"status": 200, "body": "<netapp><results status='failed'/></netapp>"},
                OntapRefusal,
                r"^no reason given \(array .*, error ESTATUSFAILED\)",
            ),
            ({"error": {"code": 6, "message": "Insufficient privileges"}}, MissingRight, "may not call lun-get-iter"),
            ({"error": {"code": 393271, "message": "100% in takeover."}}, OntapRefusal, r"^100% in takeover \(array .*, error 393271\)\.$"),
            ({"error": {"code": 393271, "message": "No space left on it."}}, OntapRefusal, r"^No space left on it \(.*393271\): .*\w\.$"),
            ({"error": {"code": 13002, "message": "Not logged in"}}, AuthenticationFailed, "refuses user admin: check array"),
            ({"error": {"code": 393271, "message": f"{'word ' * 300}end"}}, OntapRefusal, r"^word [word ]*word … \(array"),
        ],
    )
    def test_of_a_read_is_one_sentence(self, bench: BenchInPlace, action: dict[str, Any], kind: type[Exception], told: str) -> None:
        bench.fail("ZAPI lun-get-iter", action)
        with pytest.raises(kind, match=told) as failure:
            paths(client_of(bench))
        assert PASSWORD not in str(failure.value)

    @pytest.mark.parametrize(
        ("action", "kind"),
        [
            ({"status": 500}, OutcomeUnknown),
            ({"status": 503}, OutcomeUnknown),
            ({"status": 200, "body": "<html>"}, OutcomeUnknown),
            ({"drop": "after"}, OutcomeUnknown),
            ({"status": 404}, InterfaceMissing),
            ({"error": {"code": 393271, "message": "The node is in takeover."}}, OntapRefusal),
        ],
    )
    def test_of_a_change_leaves_open_whether_it_was_done_where_nobody_can_know(
        self, bench: BenchInPlace, action: dict[str, Any], kind: type[CrossvisorError]
    ) -> None:
        bench.fail("ZAPI lun-create-by-size", action)
        with bench.counted() as sent, pytest.raises(kind):
            client_of(bench).change("lun-create-by-size", SVM, CREATE)
        assert len(sent) == 1, "a change is not sent again"

    def test_of_an_api_that_is_not_there_keeps_its_number(self, bench: BenchInPlace) -> None:
        with pytest.raises(OntapRefusal) as told:
            client_of(bench).change("lun-bogus", SVM, {})
        assert told.value.code == "13005"
