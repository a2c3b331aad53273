# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Jobs: what a return value means, and how a job ends, in its own words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import OutcomeUnknown, RemoteError, TimedOut
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire import cim_job
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.cim import CimClient
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.cim_job import follow_job, perform
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.cim_types import CimClass, CimInstance
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.wsman import WsmanSession
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.wsman_envelope import Reference, resource_uri
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.wsman_transport import BASIC
from tests.unit.wsman import Answer, Endpoint, fault, instance, message, output

pytestmark = pytest.mark.slow

SERVICE = CimClass("root/virtualization/v2", "Msvm_VirtualSystemManagementService", ("Name",))
JOB = resource_uri("root/virtualization/v2", "Msvm_ConcreteJob")
JOB_REFERENCE = Reference(JOB, {"InstanceID": "J1"})
STARTED = (
    "<p:Job><a:Address>x</a:Address><a:ReferenceParameters>"
    f'<w:ResourceURI>{JOB}</w:ResourceURI><w:SelectorSet><w:Selector Name="InstanceID">J1</w:Selector></w:SelectorSet>'
    "</a:ReferenceParameters></p:Job><p:ReturnValue>4096</p:ReturnValue>"
)


@pytest.fixture
def client(windows: Endpoint) -> Iterator[CimClient]:
    session = WsmanSession(windows.connection, BASIC)
    yield CimClient(session)
    session.close()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cim_job, "_POLL_SHORTEST", 0.01)


def answered(inside: str) -> bytes:
    return output(SERVICE.uri, "AddResourceSettings", inside)


def job(state: int, **properties: str) -> bytes:
    return message(instance(JOB, {"InstanceID": "J1", "Caption": "Adding", "JobState": str(state), **properties}))


def add(client: CimClient, meanings: Mapping[int, str] = cim_job.RETURN_VALUES) -> CimInstance:
    return perform(client, SERVICE, "AddResourceSettings", {"Name": "vmms"}, timeout=5, meanings=meanings)


class TestAMethod:
    @pytest.mark.parametrize("inside", ["<p:ReturnValue>0</p:ReturnValue>", ""], ids=["0", "void"])
    def test_that_is_done_has_no_job(self, windows: Endpoint, client: CimClient, inside: str) -> None:
        windows.answer(answered(f"{inside}<p:Other>x</p:Other>"))
        assert add(client).text("Other") == "x"
        assert windows.actions == ["AddResourceSettings"]

    def test_that_starts_a_job_is_done_when_the_job_is(self, windows: Endpoint, client: CimClient) -> None:
        windows.answer(answered(STARTED), job(3), job(4), job(7))
        assert add(client).reference("Job") == JOB_REFERENCE
        assert windows.actions == ["AddResourceSettings", "Get", "Get", "Get"]
        assert b'<w:Selector Name="InstanceID">J1</w:Selector>' in windows.messages[-1]

    def test_that_starts_a_job_without_naming_it_is_not_taken_for_done(self, windows: Endpoint, client: CimClient) -> None:
        windows.answer(answered("<p:ReturnValue>4096</p:ReturnValue>"))
        with pytest.raises(OutcomeUnknown, match="AddResourceSettings started a job but did not say which"):
            add(client)

    def test_that_fails_says_what_its_return_value_means(self, windows: Endpoint, client: CimClient) -> None:
        windows.answer(answered("<p:ReturnValue>32775</p:ReturnValue>"))
        with pytest.raises(
            RemoteError, match=r"AddResourceSettings failed with return value 32775 \(invalid state for this operation\)"
        ) as caught:
            add(client)
        assert caught.value.code == "32775"

    def test_that_fails_in_its_own_way_has_its_own_meanings(self, windows: Endpoint, client: CimClient) -> None:
        windows.answer(answered("<p:ReturnValue>41000</p:ReturnValue>"))
        with pytest.raises(RemoteError, match=r"41000 \(the disk is not initialized\)"):
            add(client, {41000: "the disk is not initialized"})
        with pytest.raises(RemoteError, match=r"41000 \(not documented\)"):
            add(client)


class TestAJob:
    @pytest.mark.parametrize("state", [7, 32768])
    def test_that_is_completed_is_returned(self, windows: Endpoint, client: CimClient, state: int) -> None:
        windows.answer(job(2), job(state))
        assert follow_job(client, JOB_REFERENCE, 5).integer("JobState") == state

    @pytest.mark.parametrize("state", [8, 9, 10, 11])
    def test_that_failed_says_so_in_its_own_words(self, windows: Endpoint, client: CimClient, state: int) -> None:
        windows.answer(job(4), job(state, ErrorCode="32775", ErrorDescription="The disk\n is in use. "))
        with pytest.raises(RemoteError, match=rf"^The job 'Adding' failed in state {state}: The disk is in use$") as caught:
            follow_job(client, JOB_REFERENCE, 5)
        assert caught.value.code == "32775"

    def test_that_failed_with_only_a_summary_gives_that(self, windows: Endpoint, client: CimClient) -> None:
        windows.answer(job(10, ErrorSummaryDescription="In short."))
        with pytest.raises(RemoteError, match=r": In short$"):
            follow_job(client, JOB_REFERENCE, 5)

    def test_that_failed_without_a_word_says_that(self, windows: Endpoint, client: CimClient) -> None:
        windows.answer(job(10, Caption=""))
        with pytest.raises(RemoteError, match=r"^The job 'J1' failed in state 10: no reason was given$") as caught:
            follow_job(client, JOB_REFERENCE, 5)
        assert caught.value.code == ""

    def test_that_takes_too_long_goes_on(self, windows: Endpoint, client: CimClient) -> None:
        windows.answer(job(4, PercentComplete="40"))
        with pytest.raises(TimedOut, match=r"The job 'Adding' is at 40 % after 0\.05 s and goes on: look at it"):
            follow_job(client, JOB_REFERENCE, 0.05)

    def test_whose_state_was_lost_once_is_asked_again(self, windows: Endpoint, client: CimClient) -> None:
        windows.answer(Answer(drop=True), job(7))
        assert follow_job(client, JOB_REFERENCE, 5).integer("JobState") == 7

    def test_that_cannot_be_asked_any_more_may_be_done(self, windows: Endpoint, client: CimClient) -> None:
        windows.answer(job(4), Answer(drop=True))
        with pytest.raises(OutcomeUnknown, match=r"it cannot be asked how it ended: The hypervisor .* cannot be reached"):
            follow_job(client, JOB_REFERENCE, 5)

    @pytest.mark.parametrize("code", [2150858752, 2147749890])
    def test_that_is_gone_may_be_done(self, windows: Endpoint, client: CimClient, code: int) -> None:
        windows.answer(job(4), fault(code, "Not found."))
        with pytest.raises(OutcomeUnknown, match="A job was started but is gone"):
            follow_job(client, JOB_REFERENCE, 5)

    def test_that_may_not_be_asked_may_be_done_and_the_right_is_named(self, windows: Endpoint, client: CimClient) -> None:
        windows.answer(fault(5, "Access is denied.", "w:AccessDenied"))
        with pytest.raises(OutcomeUnknown, match="Remote Enable"):
            follow_job(client, JOB_REFERENCE, 5)

    def test_whose_question_is_refused_may_be_done(self, windows: Endpoint, client: CimClient) -> None:
        windows.answer(fault(2150859174, "Too many operations."))
        with pytest.raises(OutcomeUnknown, match="Too many operations"):
            follow_job(client, JOB_REFERENCE, 5)
