# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Faults happen exactly when they were asked for."""

from __future__ import annotations

import pytest

from tests.lab.control import BadFault, Faults, RequestLog


def test_a_fault_by_call_hits_that_request_only() -> None:
    faults = Faults()
    faults.add({"call": 3, "action": {"status": 503}})
    assert [bool(faults.take("GET /x")) for _turn in range(5)] == [False, False, True, False, False]


def test_a_fault_by_match_hits_as_often_as_asked() -> None:
    faults = Faults()
    faults.add({"match": r"^POST /api/storage", "times": 2, "action": {"drop": "after"}})
    asked = ["GET /api/storage", "POST /api/storage/luns", "POST /api/cluster", "POST /api/storage/luns", "POST /api/storage/luns"]
    assert [bool(faults.take(signature)) for signature in asked] == [False, True, False, True, False]


def test_forgotten_faults_do_not_happen() -> None:
    faults = Faults()
    faults.add({"call": 1, "action": {"status": 503}})
    faults.clear()
    assert not faults.take("GET /x")


@pytest.mark.parametrize(
    "spec",
    [
        {"action": {"status": 503}},
        {"call": 1, "match": "x", "action": {"status": 503}},
        {"call": 0, "action": {"status": 503}},
        {"call": 1, "action": {"explode": True}},
        {"call": 1},
        {"match": "(", "action": {"status": 503}},
        {"call": 1, "when": "later", "action": {"status": 503}},
    ],
)
def test_a_fault_that_means_nothing_is_refused(spec: dict[str, object]) -> None:
    with pytest.raises(BadFault):
        Faults().add(spec)


def test_the_log_counts_since_it_was_cleared() -> None:
    log = RequestLog()
    log.add("GET", "/a", 200)
    log.clear()
    log.add("POST", "/b", 201)
    assert log.report() == {"total": 1, "requests": [{"n": 1, "method": "POST", "path": "/b", "status": 201}]}
