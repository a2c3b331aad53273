# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Snapshots, clones of LUNs in them and restorations are refused over ZAPI in one sentence, and nothing is done."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.base import CloneOrigin
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.volumes import ConsistencyGroup, Place, Taken
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_zapi.transport import ZapiTransport
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import Refused
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import Snapshot
from tests.unit.ontap import wish
from tests.unit.ontap_array import BenchInPlace
from tests.unit.ontap_snapshots import A, B, remove, restoration, take

TOLD = r"Snapshots are not known over ZAPI, by which array 127\.0\.0\.1:443 is asked: ask it by REST \(array\.type=ontap\), which needs"
PLACE = Place("svm_san", "vol_prod", "v")
GROUP, TAKEN, ONE = ConsistencyGroup("g", "g", frozenset()), Taken("t", "t", "", True), Snapshot("s", "s", "svm_san", "vol_prod")


@pytest.mark.parametrize(
    "work",
    [
        lambda bench: bench.backend().snapshots([A]),
        take,
        lambda bench: take(bench, A, B),
        lambda bench: take(bench, A, B, each=True),
        remove,
        lambda bench: remove(bench, A, B),
        restoration,
        lambda bench: bench.provision(wish(size_bytes=None, clone_of=CloneOrigin("ds_single", "s1"))),
    ],
    ids=["list", "take", "take of several volumes", "take each", "delete", "delete of several volumes", "restore", "clone"],
)
def test_what_a_user_asks_for_is_one_sentence_and_leaves_all_as_it_is(bench: BenchInPlace, work: Callable[[BenchInPlace], object]) -> None:
    before = bench.state()
    with pytest.raises(Refused, match=TOLD):
        work(bench)
    assert bench.state() == before


@pytest.mark.parametrize(
    "call",
    [
        lambda transport: transport.volume_id("svm_san", "vol_prod"),
        lambda transport: transport.consistency_groups("svm_san"),
        lambda transport: transport.taken_by(GROUP),
        lambda transport: transport.clone_lun(A, "/vol/v/.snapshot/s/l", True, "", 1),
        lambda transport: transport.restore_lun(None, "/vol/v/.snapshot/s/l", "", 1),
        lambda transport: transport.comment_lun(None, "", 1),
        lambda transport: transport.take_snapshot(PLACE, "s", {}, 1),
        lambda transport: transport.change_snapshot(PLACE, ONE, {}, 1),
        lambda transport: transport.delete_snapshot(PLACE, "s", 1),
        lambda transport: transport.make_consistency_group("svm_san", "g", ["v"], 1),
        lambda transport: transport.take_together(GROUP, "s", {}, 1),
        lambda transport: transport.delete_together(GROUP, TAKEN, 1),
        lambda transport: transport.forget_consistency_group(GROUP, 1),
    ],
)
def test_what_a_plan_could_do_is_not_done_either(bench: BenchInPlace, call: Callable[[ZapiTransport], object]) -> None:
    transport = bench.backend()._transport
    assert isinstance(transport, ZapiTransport)
    with bench.counted() as sent, pytest.raises(Refused, match=TOLD):
        call(transport)
    assert sent == []
