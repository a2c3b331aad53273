# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A session: pages, early ends, methods, and what is made of answers that are late, foreign, refused or too large."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from dataclasses import replace

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.ending import Ended
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import (
    AuthenticationFailed,
    ConnectionFailed,
    OutcomeUnknown,
    RemoteError,
    TimedOut,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire import limits, wsman_envelope, wsman_fault
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.wsman import WsmanSession
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.wsman_envelope import Element, element, resource_uri
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.wsman_transport import NTLM
from tests.unit.wsman import Answer, Endpoint, fault, instance, message, output, page

pytestmark = pytest.mark.slow

V2 = "root/virtualization/v2"
VM = resource_uri(V2, "Msvm_ComputerSystem")
LOST = Answer(drop=True)
TOO_LARGE_TO_ASK_FOR = fault(2150858823, "The maximum envelope size in the request is too large.", "w:EncodingLimit")
LATE = fault(2150858793, "The operation timed out.", "w:TimedOut")


@pytest.fixture
def session(windows: Endpoint) -> Iterator[WsmanSession]:
    opened = WsmanSession(windows.connection, NTLM)
    yield opened
    opened.close()


def names(items: Iterator[Element]) -> list[str]:
    return [item[0].text or "" for item in items]


def vms(*elements: str) -> str:
    return "".join(instance(VM, {"ElementName": name}) for name in elements)


def asked(windows: Endpoint, pattern: str) -> list[str]:
    found = [re.search(pattern, text.decode()) for text in windows.messages]
    return [match[1] if match else "" for match in found]


class TestEnumerate:
    def test_of_one_page_is_one_request(self, windows: Endpoint, session: WsmanSession) -> None:
        windows.answer(page(vms("a", "b")))
        assert names(session.enumerate(VM)) == ["a", "b"]
        assert windows.actions == ["Enumerate"]

    def test_pulls_until_the_context_is_gone(self, windows: Endpoint, session: WsmanSession) -> None:
        pages = [page(vms("a"), "c1"), page("", "c2", "PullResponse"), page(vms("b", "c"), response="PullResponse")]
        windows.answer(*pages)
        assert names(session.enumerate(VM, max_elements=10)) == ["a", "b", "c"]
        assert windows.actions == ["Enumerate", "Pull", "Pull"]
        assert asked(windows, "EnumerationContext>([^<]+)<") == ["", "c1", "c2"]
        assert asked(windows, r"MaxElements>(\d+)<") == ["10"] * 3
        assert windows.connections == 1

    def test_that_is_given_up_early_tells_the_service(self, windows: Endpoint, session: WsmanSession) -> None:
        windows.answer(page(vms("a", "b"), "c1"), message(""))
        items = session.enumerate(VM)
        assert next(items)[0].text == "a"
        items.close()  # type: ignore[attr-defined]
        assert windows.actions == ["Enumerate", "Release"]
        assert asked(windows, "EnumerationContext>([^<]+)<") == ["", "c1"]

    def test_that_is_cut_by_the_end_of_the_run_tells_the_service(self, windows: Endpoint, session: WsmanSession) -> None:
        windows.answer(page(vms("a", "b"), "c1"), message(""))
        items = session.enumerate(VM)
        next(items)
        with pytest.raises(Ended):
            items.throw(Ended(signal.SIGTERM))  # type: ignore[attr-defined]
        assert windows.actions == ["Enumerate", "Release"]

    def test_without_end_is_given_up(self, windows: Endpoint, session: WsmanSession, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(limits, "MOST_PAGES", 5)
        windows.answer(page(vms("a"), "c1"), page(vms("a"), "c1", "PullResponse"))
        with pytest.raises(ConnectionFailed, match=r"The hypervisor .* lists Msvm_ComputerSystem in more than 5 pages: check that"):
            list(session.enumerate(VM))
        assert windows.actions == ["Enumerate", *["Pull"] * 4]

    def test_without_items_is_given_up(self, windows: Endpoint, session: WsmanSession) -> None:
        windows.answer(page("", "c1"), page("", "c1", "PullResponse"))
        with pytest.raises(ConnectionFailed, match=r"lists Msvm_ComputerSystem in 10 empty pages"):
            list(session.enumerate(VM))

    def test_that_is_given_up_on_its_last_page_has_nothing_to_tell(self, windows: Endpoint, session: WsmanSession) -> None:
        windows.answer(page(vms("a", "b")))
        items = session.enumerate(VM)
        next(items)
        items.close()  # type: ignore[attr-defined]
        assert windows.actions == ["Enumerate"]

    def test_that_cannot_be_given_up_is_left_to_the_service(self, windows: Endpoint, session: WsmanSession) -> None:
        windows.answer(page(vms("a", "b"), "c1"), fault(2150858843, "No such context."))
        items = session.enumerate(VM)
        next(items)
        items.close()  # type: ignore[attr-defined]
        assert windows.actions == ["Enumerate", "Release"]

    def test_of_a_query_goes_to_its_namespace(self, windows: Endpoint, session: WsmanSession) -> None:
        windows.answer(page(vms("a")))
        wql = 'SELECT * FROM Msvm_ComputerSystem WHERE ElementName = "a&b"'
        assert names(session.query(V2, wql)) == ["a"]
        assert asked(windows, "<w:ResourceURI[^>]*>([^<]*)<") == [f"http://schemas.microsoft.com/wbem/wsman/1/wmi/{V2}/*"]
        assert asked(windows, "<w:Filter[^>]*>([^<]*)<") == [wql.replace("&", "&amp;")]

    def test_that_lost_its_first_page_is_made_once_more(self, windows: Endpoint, session: WsmanSession) -> None:
        windows.answer(LOST, page(vms("a")))
        assert names(session.enumerate(VM)) == ["a"]
        assert windows.actions == ["Enumerate", "Enumerate"]

    def test_that_lost_a_later_page_fails_rather_than_skip_it(self, windows: Endpoint, session: WsmanSession) -> None:
        windows.answer(page(vms("a"), "c1"), LOST, page(vms("c"), response="PullResponse"))
        with pytest.raises(ConnectionFailed, match="cannot be reached"):
            names(session.enumerate(VM))
        assert windows.actions == ["Enumerate", "Pull"]


class TestOneInstance:
    selectors = {"CreationClassName": "Msvm_ComputerSystem", "Name": 'a"\\b'}  # noqa: RUF012 (read only)

    def test_is_read_by_its_keys(self, windows: Endpoint, session: WsmanSession) -> None:
        windows.answer(message(instance(VM, {"ElementName": "vm1"})))
        assert session.get(VM, self.selectors)[0].text == "vm1"
        sent = wsman_envelope.parse(windows.messages[0])
        found = {str(item.get("Name")): item.text for item in sent.iterfind(".//{*}SelectorSet/{*}Selector")}
        assert found == self.selectors

    def test_that_is_not_there_has_a_code_for_it(self, windows: Endpoint, session: WsmanSession) -> None:
        windows.answer(fault(2150858752, "The resource is not there.", "a:DestinationUnreachable"))
        with pytest.raises(RemoteError) as caught:
            session.get(VM, self.selectors)
        assert caught.value.code in wsman_fault.MISSING


class TestInvoke:
    def call(self, session: WsmanSession, **settings: object) -> Element:
        parameters = [element("RequestedState", VM, "2")]
        return session.invoke(VM, {"Name": "x"}, "RequestStateChange", parameters, **settings)  # type: ignore[arg-type]

    def test_sends_its_parameters_and_returns_its_outputs(self, windows: Endpoint, session: WsmanSession) -> None:
        windows.answer(output(VM, "RequestStateChange", "<p:ReturnValue>0</p:ReturnValue>"))
        assert self.call(session)[0].text == "0"
        sent = wsman_envelope.content_of(wsman_envelope.parse(windows.messages[0]))
        assert sent is not None
        assert sent.tag == f"{{{VM}}}RequestStateChange_INPUT"
        assert [(part.tag, part.text) for part in sent] == [(f"{{{VM}}}RequestedState", "2")]
        assert asked(windows, "<a:Action[^>]*>([^<]*)<") == [f"{VM}/RequestStateChange"]

    def test_that_was_lost_is_never_repeated(self, windows: Endpoint, session: WsmanSession) -> None:
        windows.answer(LOST, output(VM, "RequestStateChange", ""))
        with pytest.raises(OutcomeUnknown, match="No answer to RequestStateChange Msvm_ComputerSystem came"):
            self.call(session)
        assert windows.actions == ["RequestStateChange"]

    def test_that_only_reads_is_repeated(self, windows: Endpoint, session: WsmanSession) -> None:
        windows.answer(LOST, output(VM, "RequestStateChange", ""))
        assert len(self.call(session, repeatable=True)) == 0
        assert windows.actions == ["RequestStateChange"] * 2

    def test_that_answers_for_another_method_is_no_answer(self, windows: Endpoint, session: WsmanSession) -> None:
        windows.answer(output(VM, "Other", ""))
        with pytest.raises(OutcomeUnknown, match="Other_OUTPUT instead of RequestStateChange_OUTPUT"):
            self.call(session)

    def test_with_an_empty_answer_is_no_answer(self, windows: Endpoint, session: WsmanSession) -> None:
        windows.answer(message(""))
        with pytest.raises(OutcomeUnknown, match="an empty body"):
            self.call(session)

    def test_has_a_time_limit_of_its_own(self, windows: Endpoint, session: WsmanSession) -> None:
        windows.answer(output(VM, "RequestStateChange", ""))
        self.call(session, timeout=100.0)
        self.call(session)
        assert asked(windows, "OperationTimeout>([^<]*)<") == ["PT90.000S", "PT27.000S"]

    def test_that_takes_the_service_too_long_may_go_on(self, windows: Endpoint, session: WsmanSession) -> None:
        windows.answer(LATE)
        with pytest.raises(OutcomeUnknown, match="did not finish RequestStateChange Msvm_ComputerSystem in time, so that it may go on"):
            self.call(session)


class TestAForeignAnswer:
    """An answer to another message, or no message at all: after a change, nobody knows what was done."""

    foreign = message(instance(VM, {"ElementName": "a"}), relates_to="uuid:other")

    def test_to_another_message_is_not_taken(self, windows: Endpoint, session: WsmanSession) -> None:
        windows.answer(self.foreign)
        with pytest.raises(ConnectionFailed, match="it answers message 'uuid:other', not the one that was sent"):
            session.get(VM, {})
        with pytest.raises(OutcomeUnknown, match="uuid:other"):
            session.invoke(VM, {}, "X")

    def test_that_does_not_say_which_message_it_answers_is_not_taken(self, windows: Endpoint, session: WsmanSession) -> None:
        windows.answer(message(instance(VM, {"ElementName": "a"}), relates_to=""))
        with pytest.raises(ConnectionFailed, match="it answers message ''"):
            session.get(VM, {})

    def test_whose_id_is_written_in_capitals_is_taken(
        self, windows: Endpoint, session: WsmanSession, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("uuid.uuid4", lambda: "abc")
        windows.answer(message(instance(VM, {"ElementName": "a"}), relates_to="UUID:ABC"))
        assert session.get(VM, {})[0].text == "a"

    def test_a_fault_that_answers_no_message_is_taken(self, windows: Endpoint, session: WsmanSession) -> None:
        windows.answer(Answer(fault(2150858752, "No.").replace(b"(id)", b""), 500))
        with pytest.raises(RemoteError, match="No"):
            session.get(VM, {})

    def test_a_fault_to_another_message_is_not_taken(self, windows: Endpoint, session: WsmanSession) -> None:
        windows.answer(Answer(fault(2150858752, "No.").replace(b"(id)", b"uuid:other"), 500))
        with pytest.raises(OutcomeUnknown, match="uuid:other"):
            session.invoke(VM, {}, "X")

    @pytest.mark.parametrize("body", [b"<html>Welcome</html>", b"", b"\xff\xfe\x00", b'<!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>'])
    def test_that_is_no_soap_is_not_taken(self, windows: Endpoint, session: WsmanSession, body: bytes) -> None:
        windows.answer(body)
        with pytest.raises(ConnectionFailed, match=r"is not WS-Management \(.+\): check that hypervisor\.hostname"):
            session.get(VM, {})
        with pytest.raises(OutcomeUnknown, match=r"to X Msvm_ComputerSystem cannot be read"):
            session.invoke(VM, {}, "X")


class TestAFault:
    def test_of_a_read_that_takes_too_long_names_the_option(self, windows: Endpoint, session: WsmanSession) -> None:
        windows.answer(LATE)
        with pytest.raises(TimedOut, match=r"raise hypervisor\.timeout"):
            session.get(VM, {})

    def test_of_access_names_the_namespace(self, windows: Endpoint, session: WsmanSession) -> None:
        windows.answer(fault(5, "Access is denied.", "w:AccessDenied"))
        with pytest.raises(AuthenticationFailed, match=rf"may not use the namespace {V2} at"):
            names(session.query(V2, "SELECT * FROM Msvm_ComputerSystem"))


class TestEnvelopeSize:
    def test_is_the_default_of_windows(self, windows: Endpoint, session: WsmanSession) -> None:
        windows.answer(page(""))
        names(session.enumerate(VM))
        assert asked(windows, r"MaxEnvelopeSize[^>]*>(\d+)<") == ["512000"]

    def test_that_is_refused_is_asked_for_smaller_from_then_on(self, windows: Endpoint, session: WsmanSession) -> None:
        windows.answer(TOO_LARGE_TO_ASK_FOR, output(VM, "X", ""))
        session.invoke(VM, {}, "X", [element("A", VM, "1")])
        session.invoke(VM, {}, "X", [element("A", VM, "1")])
        assert asked(windows, r"MaxEnvelopeSize[^>]*>(\d+)<") == ["512000", "153600", "153600"]
        assert asked(windows, "A>([^<]*)<") == ["1", "1", "1"]

    def test_that_is_refused_even_smaller_is_told(self, windows: Endpoint, session: WsmanSession) -> None:
        windows.answer(TOO_LARGE_TO_ASK_FOR)
        with pytest.raises(RemoteError, match="raise MaxEnvelopeSizekb of its WinRM service"):
            session.get(VM, {})
        assert len(windows.messages) == 2


def test_a_session_works_over_encrypted_http(windows_http: Endpoint) -> None:
    windows_http.answer(page(vms("a"), "c1"), page(vms("ü"), response="PullResponse"), fault(5, "Access is denied.", "w:AccessDenied"))
    session = WsmanSession(windows_http.connection, NTLM, scheme="http")
    assert names(session.enumerate(VM)) == ["a", "ü"]
    with pytest.raises(AuthenticationFailed, match="Access is denied"):
        session.invoke(VM, {}, "X")
    session.close()
    assert windows_http.connections == 1
    assert asked(windows_http, "<a:To>([^<]*)<") == [f"http://127.0.0.1:{windows_http.connection.port}/wsman"] * 3


def test_a_closed_session_logs_in_again(windows: Endpoint, session: WsmanSession) -> None:
    windows.answer(page(vms("a")))
    assert names(session.enumerate(VM)) == ["a"]
    session.close()
    assert names(session.enumerate(VM)) == ["a"]
    assert windows.connections == 2


def test_a_session_says_where_it_leads(windows: Endpoint) -> None:
    connection = replace(windows.connection, hostname="hv1")
    assert WsmanSession(connection, NTLM).connection is connection
