# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Of LUNs in several volumes ZAPI takes no snapshot of one moment that would tell whose it is: each on its own, or none."""

from __future__ import annotations

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.faults import Fault, OntapRefusal
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.volumes import ConsistencyGroup, Taken
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import Refused
from tests.unit.ontap_array import BenchInPlace
from tests.unit.ontap_snapshots import A, B, names, remove, take

GROUP = ConsistencyGroup("g", "g", frozenset())


def test_they_are_refused_before_anything_is_taken_with_the_way_out(bench: BenchInPlace) -> None:
    with pytest.raises(Refused, match=r"offers no consistency groups, which ONTAP has by REST .*each volume on its own with each=true"):
        take(bench, A, B)
    assert (names(bench), names(bench, "vol_dev")) == ([], [])


def test_each_on_its_own_is_taken_known_again_and_deleted(bench: BenchInPlace) -> None:
    assert take(bench, A, B, each=True)[0].changed
    assert not take(bench, A, B, each=True)[0].changed
    assert (names(bench), names(bench, "vol_dev")) == (["s1"], ["s1"])
    assert remove(bench, A, B)[0].changed
    assert (names(bench), names(bench, "vol_dev")) == ([], [])


def test_nothing_about_groups_is_sent(bench: BenchInPlace) -> None:
    transport, taken = bench.backend()._transport, Taken("t", "t", "", True)
    calls = (
        lambda: transport.consistency_groups("svm_san"),
        lambda: transport.taken_by(GROUP),
        lambda: transport.make_consistency_group("svm_san", "g", ["vol_prod"], 10),
        lambda: transport.take_together(GROUP, "s1", {}, 10),
        lambda: transport.delete_together(GROUP, taken, 10),
        lambda: transport.forget_consistency_group(GROUP, 10),
    )
    with bench.counted() as sent:
        for call in calls:
            with pytest.raises(OntapRefusal) as told:
                call()
            assert told.value.fault is Fault.NO_SUCH_CALL
    assert sent == []
