# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Snapshots over ZAPI where it differs from REST: several requests for a change, names beside UUIDs, failures in answers that passed."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.faults import Fault, OntapRefusal
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.volumes import Place
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import MissingRight, Refused, StepFailed
from ansible_collections.crossvisor.san.plugins.module_utils._san.plan import carry_out
from tests.unit.ontap import SVM
from tests.unit.ontap_array import BenchInPlace
from tests.unit.ontap_provision import DROPPED_AFTER, DROPPED_BEFORE, NO_INTERFACE
from tests.unit.ontap_snapshots import LATER, A, names, remove, restoration, snapshot_wish, take, taken_by_hand, volume_of

DESCRIBE, RENAME = "ZAPI snapshot-modify-iter", "ZAPI snapshot-rename"


FAILURE = (
    "<snapshot-modify-iter-info><error-code>13001</error-code><error-message>The volume moves.</error-message></snapshot-modify-iter-info>"
)


def first(bench: BenchInPlace) -> Any:
    return volume_of(bench, "vol_prod").snapshots[0]


def answer(content: str) -> dict[str, Any]:
    return {"status": 200, "body": f'<netapp version="1.180"><results status="passed">{content}</results></netapp>'}


def listed(content: str) -> dict[str, Any]:
    told = f"<name>s1</name><snapshot-instance-uuid>u</snapshot-instance-uuid><volume>vol_prod</volume>{content}"
    return answer(f"<attributes-list><snapshot-info>{told}</snapshot-info></attributes-list><num-records>1</num-records>")


class TestALook:
    @pytest.mark.parametrize(
        ("content", "owners"),
        [
            ("<busy>false</busy>", ()),
            ("<busy>true</busy>", ("somebody whom the array does not name",)),
            ("<busy>true</busy><dependency>vclone, LUNs</dependency>", ("vclone", "LUNs")),
            ("<busy>false</busy><dependency>snapmirror</dependency>", ("snapmirror",)),
            (
                "<snapshot-owners-list><snapshot-owner><owner>volume_clone</owner></snapshot-owner></snapshot-owners-list>",
                ("volume_clone",),
            ),
        ],
    )
    def test_tells_who_needs_it_and_that_somebody_does_where_nobody_is_named(
        self, bench: BenchInPlace, content: str, owners: tuple[str, ...]
    ) -> None:
        bench.fail("ZAPI snapshot-get-iter", listed(content))
        (one,) = bench.backend().snapshots([A])
        assert one.owners == owners

    def test_tells_what_little_the_array_says(self, bench: BenchInPlace) -> None:
        bench.fail("ZAPI snapshot-get-iter", listed(""))
        (one,) = bench.backend().snapshots([A])
        assert (one.state, one.size_bytes, one.created, one.expires, one.owners) == ("", 0, "", "", ())
        bench.fail("ZAPI snapshot-get-iter", listed("<state>partial</state>"))
        assert [found.state for found in bench.backend().snapshots([A])] == ["partial"]

    def test_tells_times_as_they_are_written_elsewhere(self, bench: BenchInPlace) -> None:
        bench.fail(
            "ZAPI snapshot-get-iter", listed("<access-time>1767225600</access-time><expiry-time>3786912000</expiry-time><total>2</total>")
        )
        (one,) = bench.backend().snapshots([A])
        assert (one.created, one.expires, one.size_bytes) == ("2026-01-01T00:00:00+00:00", "2090-01-01T00:00:00+00:00", 2048)

    def test_of_what_the_array_could_not_read_is_refused(self, bench: BenchInPlace) -> None:
        volume_of(bench, "vol_prod").state = "offline"
        with pytest.raises(OntapRefusal, match=r"Volume vol_prod is offline .*error 13042\): bring its volume online"):
            bench.backend().snapshots([A])

    def test_is_not_troubled_by_another_volume_that_is_offline(self, bench: BenchInPlace) -> None:
        volume_of(bench, "vol_dev").state = "offline"
        assert bench.backend().snapshots([A]) == []

    def test_is_had_by_the_account_of_the_svm_too(self, bench: BenchInPlace) -> None:
        take(bench)
        bench.log_in(svm=SVM)
        assert not take(bench)[0].changed

    def test_without_the_right_is_told_with_the_call(self, bench: BenchInPlace) -> None:
        bench.log_in(denied=["snapshot-get-iter"])
        with pytest.raises(MissingRight, match="may not call snapshot-get-iter"):
            take(bench)


class TestAChange:
    def test_of_comment_and_name_takes_the_comment_back_where_the_name_is_refused(self, bench: BenchInPlace) -> None:
        take(bench, comment="old", label="daily")
        kept = first(bench).comment
        bench.fail(RENAME, NO_INTERFACE)
        with pytest.raises(StepFailed, match="A node has no interface"):
            take(bench, name="s2", old_name="s1", comment="new", label="")
        assert (first(bench).name, first(bench).comment, first(bench).label) == ("s1", kept, "daily")

    @pytest.mark.parametrize("request_", [DESCRIBE, RENAME])
    @pytest.mark.parametrize("fault", [DROPPED_BEFORE, DROPPED_AFTER])
    def test_whose_answer_is_lost_is_whole_or_taken_back(self, bench: BenchInPlace, request_: str, fault: dict[str, Any]) -> None:
        take(bench, comment="old")
        before = first(bench).name, first(bench).comment
        bench.fail(request_, fault)
        try:
            take(bench, name="s2", old_name="s1", comment="new")
        except StepFailed:
            assert (first(bench).name, first(bench).comment) == before
        else:
            assert (first(bench).name, first(bench).comment[-3:]) == ("s2", "new")

    def test_takes_a_label_away(self, bench: BenchInPlace) -> None:
        take(bench, label="daily")
        assert take(bench, label="")[0].changed
        assert first(bench).label == ""

    @pytest.mark.parametrize(
        ("content", "told"),
        [
            (
                f"<num-succeeded>0</num-succeeded><failure-list>{FAILURE}</failure-list>",
                r": The volume moves \(array .*, error 13001\)\.",
            ),
            ("<num-succeeded>0</num-succeeded>", "The snapshot of volume svm_san:vol_prod is not there any more"),
            ("", "The snapshot of volume svm_san:vol_prod is not there any more"),
        ],
    )
    def test_that_was_not_made_although_the_request_passed_is_told(self, bench: BenchInPlace, content: str, told: str) -> None:
        take(bench)
        bench.fail(DESCRIBE, answer(content))
        with pytest.raises(StepFailed, match=told):
            take(bench, label="daily")

    def test_is_of_the_same_snapshot_although_it_was_renamed_meanwhile(self, bench: BenchInPlace) -> None:
        take(bench)
        change = bench.backend().plan_snapshot(snapshot_wish(label="daily"))
        first(bench).name = "renamed"
        taken_by_hand(bench, "vol_prod")
        carry_out(change.plan, False)
        assert [(one.name, one.label) for one in volume_of(bench, "vol_prod").snapshots] == [("renamed", "daily"), ("s1", "")]

    def test_of_the_name_is_of_the_same_snapshot_too(self, bench: BenchInPlace) -> None:
        take(bench)
        change = bench.backend().plan_snapshot(snapshot_wish(name="s2", old_name="s1"))
        first(bench).name = "renamed"
        taken_by_hand(bench, "vol_prod")
        carry_out(change.plan, False)
        assert names(bench) == ["s2", "s1"]


class TestADeletion:
    def test_is_of_the_snapshot_that_was_looked_at_and_never_of_another_of_its_name(self, bench: BenchInPlace) -> None:
        take(bench)

        def replaced() -> None:
            first(bench).name = "renamed"
            taken_by_hand(bench, "vol_prod")

        bench.meanwhile("ZAPI snapshot-delete", replaced)
        remove(bench)
        assert names(bench) == ["renamed", "s1"], "the array is told the UUID beside the name"

    def test_of_one_that_is_gone_is_done(self, bench: BenchInPlace) -> None:
        transport = bench.backend()._transport
        with pytest.raises(OntapRefusal) as told:
            transport.delete_snapshot(Place(SVM, "vol_prod", "v"), "gone", 10)
        assert told.value.fault is Fault.NO_SNAPSHOT

    def test_of_one_that_is_busy_says_where_to_look(self, bench: BenchInPlace) -> None:
        take(bench)
        bench.meanwhile("ZAPI snapshot-delete", lambda: bench.server.array.own_snapshot("vol_prod", "s1", "volume_clone"))
        with pytest.raises(StepFailed, match=r"has not expired or is locked.*something needs the snapshot, or it has to be kept"):
            remove(bench)
        assert names(bench) == ["s1"]


class TestAnExpiry:
    def test_is_refused_before_anything_is_asked(self, bench: BenchInPlace) -> None:
        with bench.counted() as sent, pytest.raises(Refused, match=r"is asked over ZAPI, by which no snapshot .*array\.type=ontap"):
            take(bench, expires=LATER)
        assert sent == []

    def test_that_is_there_is_known(self, bench: BenchInPlace) -> None:
        take(bench)
        first(bench).expires = LATER
        (one,) = bench.backend().snapshots([A])
        assert one.expires == LATER


class TestARestoration:
    def test_is_of_the_snapshot_that_was_looked_at(self, bench: BenchInPlace) -> None:
        take(bench)
        plan = restoration(bench, assume_same_lun=True).plan

        def replaced() -> None:
            volume_of(bench, "vol_prod").snapshots.clear()
            taken_by_hand(bench, "vol_prod")

        bench.meanwhile("ZAPI snapshot-restore-file", replaced)
        with pytest.raises(StepFailed, match="Snapshot s1 holds no LUN"):
            carry_out(plan, False)
        assert bench.server.array.copies == []

    def test_needs_a_licence_which_is_told_by_its_name(self, bench: BenchInPlace) -> None:
        take(bench)
        bench.fail("ZAPI snapshot-restore-file", {"error": {"code": 13008, "message": "SnapRestore is not licensed"}})
        with pytest.raises(StepFailed, match="restorations SnapRestore"):
            carry_out(restoration(bench, assume_same_lun=True).plan, False)
