# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""ONTAP's conventions: what is sent, how pages and jobs are followed, and the one sentence for every refusal."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.faults import ChangeUnfinished, InterfaceMissing
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.query import literal
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_rest.client import (
    OntapClient,
    Record,
    Unexpected,
    entries_at,
    in_chunks,
    number_at,
    segment,
    text_at,
    value_at,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import (
    AuthenticationFailed,
    ConnectionFailed,
    OutcomeUnknown,
    RemoteError,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.https import HttpsSession
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.limits import MOST_EMPTY_PAGES
from tests.unit.ontap import PASSWORD, USERNAME, Endpoint, Reply, error, job, records

SERIALS = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=12, max_size=12)
DEEP = '{"records": ' + "[" * 200_000 + "]" * 200_000 + "}"
JOB = Reply(202, {"job": {"uuid": "job-1"}})


@dataclass
class Clock:
    now: float = 0.0

    def time(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def client(array: Endpoint) -> OntapClient:
    clock = Clock()
    return OntapClient(array.connection, clock.time, clock.sleep, page_size=2)


def test_a_request_logs_in_and_asks_for_json(client: OntapClient, array: Endpoint) -> None:
    array.answer(Reply(body={"version": {}}))
    client.get("/cluster", ("version",))
    (asked,) = array.asked
    assert asked.headers["Accept"] == "application/json"
    assert asked.headers["Authorization"] == f"Basic {b64encode(f'{USERNAME}:{PASSWORD}'.encode()).decode()}"
    assert (asked.body, asked.headers.get("Content-Type")) == (None, None)


def test_a_client_that_is_closed_keeps_no_connection(client: OntapClient, array: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[object] = []

    def close(session: HttpsSession) -> None:
        closed.append(session)

    monkeypatch.setattr(HttpsSession, "close", close)
    client.close()
    assert closed == [client._http]


class TestAQueryValue:
    @pytest.mark.parametrize("operator", ["*", "|", "!", "<", ">", '"', ".."])
    def test_has_no_operators(self, operator: str) -> None:
        assert literal(f"80Lab{operator}aaaa") == "80Lab*aaaa"

    @pytest.mark.parametrize("plain", ["/vol/vol_prod/lun-1.x", "svm{1}", "80L@b#$%&+,-=~[]", "iqn.1998-01.com.vmware:esx01"])
    def test_stays_as_it_is_without_operators(self, plain: str) -> None:
        assert literal(plain) == plain

    @given(SERIALS)
    def test_matches_at_least_what_it_stands_for(self, serial: str) -> None:
        remaining = serial
        for part in literal(serial).split("*"):
            assert part in remaining
            remaining = remaining[remaining.index(part) + len(part) :]

    @given(st.lists(SERIALS, max_size=300))
    def test_of_many_is_cut_into_chunks_that_fit_and_lose_none(self, serials: list[str]) -> None:
        chunks = in_chunks(serials)
        assert [serial for chunk in chunks for serial in chunk] == serials
        assert all(len(quote("|".join(map(literal, chunk)), safe="")) <= 3000 for chunk in chunks)

    def test_of_many_is_cut_into_as_few_chunks_as_hold_them(self) -> None:
        assert in_chunks(["a/"] * 3, limit=14) == [["a/", "a/"], ["a/"]], "a slash and what parts two values are three octets each"
        assert in_chunks(["a/"] * 2, limit=13) == [["a/"], ["a/"]]
        assert in_chunks(["", ""]) == [["", ""]]
        assert [len(chunk) for chunk in in_chunks(["a"] * 1501)] == [750, 750, 1]

    def test_of_a_few_is_one_chunk(self) -> None:
        assert in_chunks(["a", "b"]) == [["a", "b"]]
        assert in_chunks([]) == []

    @pytest.mark.parametrize("value", ["a/b", "a b", "a?b#c", "10:00:00:90:fa:00:91:0a", "ü%"])
    def test_in_a_path_is_one_segment(self, value: str) -> None:
        assert not set("/?# :") & set(segment(value))


class TestRecords:
    def test_are_asked_for_by_escaped_filters_and_fields(self, client: OntapClient, array: Endpoint) -> None:
        array.answer(records())
        assert client.records("/storage/luns", ("name", "space.size"), {"svm.name": ["a&b=c"], "serial_number": ["x|y", "z"]}) == []
        (asked,) = array.asked
        assert (asked.method, asked.path) == ("GET", "/api/storage/luns")
        assert asked.query == {"svm.name": "a&b=c", "serial_number": "x*y|z", "fields": "name,space.size", "max_records": "2"}

    def test_are_checked_again_here(self, client: OntapClient, array: Endpoint) -> None:
        wanted = {"serial_number": "a*bcdefghijk", "name": "wanted"}
        array.answer(records(wanted, {"serial_number": "axbcdefghijk", "name": "stranger"}, {"name": "without"}))
        assert client.records("/storage/luns", ("name",), {"serial_number": ["a*bcdefghijk"]}) == [wanted]

    def test_come_in_pages_of_a_thousand_unless_it_is_said_otherwise(self, array: Endpoint) -> None:
        array.answer(records())
        OntapClient(array.connection).records("/storage/luns", (), {"name": ["/vol/a b"]})
        (asked,) = array.asked
        assert asked.target == "/api/storage/luns?name=%2Fvol%2Fa%20b&fields=&max_records=1000"

    def test_match_by_any_item_of_a_list(self, client: OntapClient, array: Endpoint) -> None:
        lif = {"services": ["data_core", "data_nfs"]}
        array.answer(records(lif, {"services": ["data_core"]}))
        assert client.records("/network/ip/interfaces", (), {"services": ["data_nfs"]}) == [lif]

    def test_of_all_pages_are_fetched_by_the_links_as_they_come(self, client: OntapClient, array: Endpoint) -> None:
        following = "/api/storage/luns?start.uuid=2&fields=name%2Csvm.name&max_records=2"
        array.answer(records({"n": 1}, next_href=following), records(next_href=following), records({"n": 2}))
        assert client.records("/storage/luns", (), {}) == [{"n": 1}, {"n": 2}]
        assert [asked.target for asked in array.asked[1:]] == [following, following]

    def test_in_a_circle_are_given_up(self, client: OntapClient, array: Endpoint) -> None:
        first, second = (f"/api/storage/luns?start.uuid={number}" for number in (1, 2))
        array.answer(records({"n": 1}, next_href=first), records({"n": 2}, next_href=second), records({"n": 3}, next_href=first))
        with pytest.raises(ConnectionFailed, match=r"The array 127\.0\.0\.1:\d+ lists /storage/luns in a circle, .*: check that array"):
            client.records("/storage/luns", (), {})

    def test_of_a_page_that_leads_to_itself_are_given_up(self, client: OntapClient, array: Endpoint) -> None:
        array.answer(*[records({"n": 1}, next_href="/api/storage/luns?start.uuid=1")] * 2)
        with pytest.raises(ConnectionFailed, match="in a circle"):
            client.records("/storage/luns", (), {})

    def test_that_never_come_are_given_up(self, client: OntapClient, array: Endpoint) -> None:
        array.answer(*[records(next_href="/api/storage/luns?start.uuid=1")] * MOST_EMPTY_PAGES)
        with pytest.raises(ConnectionFailed, match="lists /storage/luns in 10 empty pages, one after the other"):
            client.records("/storage/luns", (), {})

    @pytest.mark.parametrize("href", [7, ["/api/x"], {"href": "/api/x"}])
    def test_whose_link_is_none_are_not_fetched(self, client: OntapClient, array: Endpoint, href: object) -> None:
        array.answer(records(next_href=href))  # type: ignore[arg-type]
        with pytest.raises(ConnectionFailed, match="does not answer as ONTAP"):
            client.records("/storage/luns", (), {})

    @pytest.mark.parametrize("href", ["https://elsewhere/api/x", "@elsewhere/api", "//elsewhere/api"])
    def test_are_never_fetched_from_elsewhere(self, client: OntapClient, array: Endpoint, href: str) -> None:
        array.answer(records(next_href=href))
        with pytest.raises(ConnectionFailed, match="does not answer as ONTAP"):
            client.records("/storage/luns", (), {})
        assert len(array.asked) == 1


class TestTheWrongProduct:
    @pytest.mark.parametrize(
        "reply",
        [
            Reply(text="<html>Welcome</html>", headers={"Content-Type": "text/html"}),
            Reply(404, text="<html>Not Found</html>", headers={"Content-Type": "text/html"}),
            Reply(404, {"detail": "Not Found"}),
            Reply(200, {"status": "ok"}),
            Reply(200, ["records"]),
            Reply(400, {"error": "bad request"}),
            Reply(200, {"records": ["a", "b"]}),
            Reply(200, {"records": {}}),
            Reply(300, {"records": []}),
            Reply(text=DEEP),
            Reply(400, text=DEEP),
        ],
        ids=[
            "page",
            "no such page",
            "other error",
            "other object",
            "list",
            "other refusal",
            "texts",
            "no list",
            "not done",
            "deep",
            "deep refusal",
        ],
    )
    def test_is_told_from_ontap(self, client: OntapClient, array: Endpoint, reply: Reply) -> None:
        array.answer(reply)
        with pytest.raises(ConnectionFailed, match=r"The endpoint 127\.0\.0\.1:\d+ does not answer as ONTAP \(.+\): check array\.hostname"):
            client.records("/storage/luns", (), {})
        assert len(array.asked) == 1

    def test_is_told_by_what_it_sends(self, client: OntapClient, array: Endpoint) -> None:
        array.answer(Reply(404, text="<html/>", headers={"Content-Type": "text/html"}))
        with pytest.raises(ConnectionFailed, match=r"\(GET /api/cluster gave HTTP 404 with text/html\)"):
            client.get("/cluster", ("version",))

    def test_is_told_by_a_missing_field(self, client: OntapClient, array: Endpoint) -> None:
        array.answer(*[Reply(200, {"name": "x", "uuid": "y"})] * 3)
        with pytest.raises(ConnectionFailed, match=r"\(GET /api/cluster gave no version\)"):
            client.get("/cluster", ("version", "name"))
        assert client.get("/cluster", ("name", "version"))["uuid"] == "y"
        assert client.get("/cluster", ("*",))["uuid"] == "y"

    def test_is_told_by_records_that_cannot_be_read(self, client: OntapClient, array: Endpoint) -> None:
        array.answer(records({"size": "x"}))
        with pytest.raises(ConnectionFailed, match=r"as ONTAP \(GET /api/storage/luns gave a record whose size is 'x'\)"):
            client.read("/storage/luns", ("size",), {}, lambda record: number_at(record, "size"))

    def test_is_told_by_an_object_that_cannot_be_read(self, client: OntapClient, array: Endpoint) -> None:
        array.answer(Reply(body={"size": "x"}))
        with pytest.raises(ConnectionFailed, match=r"as ONTAP \(GET /api/storage/luns/1 gave a record whose size is 'x'\)"):
            client.read_one("/storage/luns/1", ("size",), lambda record: number_at(record, "size"))

    def test_is_no_refusal_of_a_write_that_it_says_was_done(self, client: OntapClient, array: Endpoint) -> None:
        array.answer(Reply(text=DEEP))
        with pytest.raises(OutcomeUnknown, match=r"answered POST /api/storage/luns with HTTP 200, which does not tell"):
            client.post("/storage/luns", {}, 10)


class TestARefusal:
    def test_carries_ontaps_code_and_words_and_the_way_out(self, client: OntapClient, array: Endpoint) -> None:
        array.answer(error(400, "917927", "The specified volume was not found."))
        with pytest.raises(RemoteError) as told:
            client.post("/storage/luns", {}, 10)
        assert told.value.code == "917927"
        assert str(told.value) == (
            f"The specified volume was not found (array {array.connection}, error 917927): correct the name of the volume, or create it."
        )

    @pytest.mark.parametrize(
        ("said", "told"),
        [
            ("No room..", "No room (array"),
            ("", "no reason given (array"),
            (f"{'a ' * 499}bcd", f"{'a ' * 499}… (array"),
            (f"{'a ' * 499}bc", f"{'a ' * 499}bc (array"),
        ],
        ids=["full stops", "nothing", "more than a thousand characters", "a thousand characters"],
    )
    def test_is_told_in_one_sentence(self, client: OntapClient, array: Endpoint, said: str, told: str) -> None:
        array.answer(error(400, "1", said))
        with pytest.raises(RemoteError) as raised:
            client.post("/storage/luns", {}, 10)
        assert str(raised.value) == f"{told} {array.connection}, error 1)."

    def test_goes_by_the_code_and_not_by_the_status(self, client: OntapClient, array: Endpoint) -> None:
        array.answer(error(500, "5374242", "A LUN already exists."))
        with pytest.raises(RemoteError, match="run the task again"):
            client.post("/storage/luns", {}, 10)

    @pytest.mark.parametrize(
        "reply", [error(401, "6691623", "User is not authorized."), Reply(401, text="<html/>")], ids=["by ontap", "by a gateway"]
    )
    def test_of_the_user_names_user_and_array_and_no_password(self, client: OntapClient, array: Endpoint, reply: Reply) -> None:
        array.answer(reply)
        with pytest.raises(AuthenticationFailed, match=r"The array 127\.0\.0\.1:\d+ refuses user admin: check array\.username") as told:
            client.get("/cluster", ("version",))
        assert PASSWORD not in str(told.value)

    @pytest.mark.parametrize("reply", [error(403, "6", "not authorized"), error(400, "6", "not authorized"), Reply(403, text="no")])
    def test_of_the_right_names_what_is_not_allowed(self, client: OntapClient, array: Endpoint, reply: Reply) -> None:
        array.answer(reply)
        with pytest.raises(AuthenticationFailed, match=r"User admin may not DELETE /api/storage/luns/1 on array .*rest-role"):
            client.delete("/storage/luns/1", 10, allow_delete_while_mapped="false")


class TestADisturbance:
    def test_of_a_read_is_an_array_to_wait_for(self, client: OntapClient, array: Endpoint) -> None:
        array.answer(Reply(503, text="busy"))
        with pytest.raises(ConnectionFailed, match=r"answers GET /api/cluster with HTTP 503: wait"):
            client.get("/cluster", ("version",))

    @pytest.mark.parametrize(("status", "kind"), [(503, InterfaceMissing), (502, ConnectionFailed), (500, ConnectionFailed)])
    def test_may_be_that_rest_is_switched_off(self, client: OntapClient, array: Endpoint, status: int, kind: type[Exception]) -> None:
        array.answer(Reply(status, text="busy"))
        with pytest.raises(ConnectionFailed) as told:
            client.get("/cluster", ("version",))
        assert type(told.value) is kind

    @pytest.mark.parametrize("status", [500, 502, 503, 504])
    def test_of_a_write_leaves_its_outcome_unknown(self, client: OntapClient, array: Endpoint, status: int) -> None:
        array.answer(Reply(status, text="<html>gateway</html>"))
        with pytest.raises(OutcomeUnknown, match=rf"answered PATCH /api/storage/luns/1 with HTTP {status}, which does not tell"):
            client.patch("/storage/luns/1", {"comment": "x"}, 10)


class TestAWrite:
    def test_sends_its_body_and_asks_for_a_prompt_answer(self, client: OntapClient, array: Endpoint) -> None:
        array.answer(Reply(201, {"records": [{"uuid": "1"}], "num_records": 1}))
        assert client.post("/storage/luns", {"name": "/vol/v/l"}, 10) == [{"uuid": "1"}]
        (asked,) = array.asked
        assert (asked.body, asked.query["return_records"], asked.query["return_timeout"]) == ({"name": "/vol/v/l"}, "true", "2")

    def test_may_be_answered_by_nothing(self, client: OntapClient, array: Endpoint) -> None:
        array.answer(Reply(200, text=""))
        client.delete("/storage/luns/1", 10)


class TestAJob:
    @pytest.mark.parametrize("status", [202, 200, 201])
    def test_is_followed_to_its_end_whatever_status_brought_it(self, client: OntapClient, array: Endpoint, status: int) -> None:
        array.answer(Reply(status, JOB.body), job("queued"), job("running"), job("paused"), job("success"))
        assert client.post("/storage/luns", {}, 60) == []
        assert {asked.path for asked in array.asked[1:]} == {"/api/cluster/jobs/job-1"}

    @pytest.mark.parametrize(
        "failed",
        [job("failure", message="No room", code=28), job("failure", error={"message": "No room", "code": "28"}, message="failed", code=28)],
        ids=["by number", "by error object"],
    )
    def test_that_fails_is_a_refusal(self, client: OntapClient, array: Endpoint, failed: Reply) -> None:
        array.answer(JOB, failed)
        with pytest.raises(RemoteError, match=r"No room .*error 28") as told:
            client.post("/storage/luns", {}, 60)
        assert told.value.code == "28"

    def test_is_looked_at_less_and_less_often_until_its_time_is_over(self, array: Endpoint) -> None:
        clock, pauses = Clock(), list[float]()

        def sleep(seconds: float) -> None:
            pauses.append(seconds)
            clock.sleep(seconds)

        client = OntapClient(array.connection, clock.time, sleep)
        assert not client.wait_for(lambda: False, 17.7)
        assert pauses == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0, 5.0])

    def test_is_not_waited_for_once_its_time_is_over(self, array: Endpoint) -> None:
        client = OntapClient(array.connection, lambda: 0.0, lambda _seconds: pytest.fail("it waits"))
        assert not client.wait_for(lambda: False, 0.0)
        assert client.wait_for(lambda: True, 0.0)

    def test_that_does_not_end_is_named(self, client: OntapClient, array: Endpoint) -> None:
        array.answer(JOB, *[job("running")] * 6)
        with pytest.raises(ChangeUnfinished, match=r"Job job-1 of array .* \(POST /api/storage/luns\) is still running after 3 s"):
            client.post("/storage/luns", {}, 3)

    @pytest.mark.parametrize("lost", [error(404, "4", "entry doesn't exist"), Reply(503, text="busy")], ids=["forgotten", "array away"])
    def test_that_cannot_be_followed_leaves_the_outcome_unknown(self, client: OntapClient, array: Endpoint, lost: Reply) -> None:
        array.answer(JOB, lost)
        with pytest.raises(ChangeUnfinished, match="was started, but cannot be followed"):
            client.delete("/storage/luns/1", 60)

    def test_that_fails_without_words_is_a_refusal(self, client: OntapClient, array: Endpoint) -> None:
        array.answer(JOB, job("failure", error="broken", message=["x"], code={}))
        with pytest.raises(RemoteError, match=r"no reason given .*error a dict"):
            client.post("/storage/luns", {}, 60)


class TestAValue:
    record: Record = MappingProxyType(
        {"name": "x", "size": 1, "yes": True, "list": [{"n": 1}], "deep": [[[]]], "mixed": [{}, 1], "null": None}
    )

    def test_is_of_its_type(self) -> None:
        assert (text_at(self.record, "name"), number_at(self.record, "size")) == ("x", 1)
        assert entries_at(self.record, "list") == [{"n": 1}]

    def test_may_have_a_default(self) -> None:
        assert number_at(self.record, "size", 0) == 1
        assert (text_at(self.record, "null", ""), number_at(self.record, "name.size", 0), entries_at(self.record, "none")) == ("", 0, [])

    @pytest.mark.parametrize(
        ("read", "path", "text"),
        [
            (text_at, "none", "a record without none"),
            (text_at, "size", "a record whose size is 1"),
            (text_at, "list", "a record whose list is a list"),
            (number_at, "null", "a record without null"),
            (number_at, "name", "a record whose name is 'x'"),
            (number_at, "yes", "a record whose yes is True"),
            (entries_at, "name", "a record whose name is 'x'"),
            (entries_at, "deep", "a record whose deep is a list"),
            (entries_at, "mixed", "a record whose mixed is a list"),
        ],
    )
    def test_of_another_type_is_told(self, read: Callable[[Record, str], object], path: str, text: str) -> None:
        with pytest.raises(Unexpected, match=f"^{text}$"):
            read(self.record, path)


def test_a_dotted_path_leads_into_a_record_or_nowhere() -> None:
    record = {"space": {"size": 1}, "name": "x"}
    assert [value_at(record, path) for path in ("space.size", "space.used", "name.first", "svm.name")] == [1, None, None, None]


FORM = Reply(
    text='--b\r\nContent-Disposition: form-data; name="data"\r\n\r\nbytes\r\n--b--\r\n',
    headers={"Content-Type": "multipart/form-data; boundary=b"},
)


class TestData:
    def test_are_the_entry_of_a_form_that_is_asked_for(self, client: OntapClient, array: Endpoint) -> None:
        array.answer(FORM)
        assert client.data("/storage/luns/u1", {"data.offset": "4096", "data.size": "5"}) == b"bytes"
        (asked,) = array.asked
        assert (asked.headers["Accept"], asked.query) == ("multipart/form-data", {"data.offset": "4096", "data.size": "5"})

    def test_that_are_refused_carry_ontaps_words(self, client: OntapClient, array: Endpoint) -> None:
        array.answer(error(400, "262197", "The value is invalid."))
        with pytest.raises(RemoteError, match="The value is invalid"):
            client.data("/storage/luns/u1", {})

    @pytest.mark.parametrize("reply", [Reply(body={"uuid": "u1"}), Reply(text="--b", headers=FORM.headers)])
    def test_in_another_shape_are_told_from_ontaps(self, client: OntapClient, array: Endpoint, reply: Reply) -> None:
        array.answer(reply)
        with pytest.raises(ConnectionFailed, match=r"GET /api/storage/luns/u1 gave (content|a form)"):
            client.data("/storage/luns/u1", {})
