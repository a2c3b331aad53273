# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the benchmark concludes from what it measured."""

from __future__ import annotations

import pytest

from tests.bench.report import COUNT, RATIO, TIME, Findings, Promise, Ratio, as_json, as_text, exit_code

KEPT_COUNT, BROKEN_COUNT = Promise("requests", COUNT, 3, 3), Promise("requests", COUNT, 4, 3)
KEPT_RATIO, BROKEN_RATIO = Promise("wall", RATIO, 0.5, 1), Promise("wall", RATIO, 1.01, 1)
BROKEN_TIME = Promise("rows", TIME, 1001, 1000)


@pytest.fixture
def findings() -> Findings:
    found = Findings("reads", ["a note"])
    found.add("ours", "CPU", 0.5, "s")
    found.add("ours", "requests", 12)
    found.add("peer", "CPU", 2.0, "s")
    return found


@pytest.mark.parametrize(
    ("promises", "strict", "code"),
    [
        ([KEPT_COUNT, KEPT_RATIO], True, 0),
        ([BROKEN_RATIO], False, 0),
        ([BROKEN_RATIO], True, 1),
        ([BROKEN_TIME], False, 0),
        ([BROKEN_TIME], True, 1),
        ([KEPT_COUNT, BROKEN_COUNT], False, 1),
    ],
)
def test_only_a_broken_count_fails_unless_strict(promises: list[Promise], strict: bool, code: int) -> None:
    assert exit_code(promises, strict) == code


def test_a_ratio_is_of_two_figures_of_the_same_run_and_noted_once(findings: Findings) -> None:
    assert [findings.compare("ours", "peer", "CPU") for _turn in range(2)] == [0.25, 0.25]
    assert findings.ratios == [Ratio("ours", "peer", "CPU", 0.25)]


def test_the_table_has_a_line_for_each_case_and_a_verdict_for_each_promise(findings: Findings) -> None:
    findings.promise("CPU", RATIO, findings.compare("ours", "peer", "CPU"), 1)
    findings.promise("requests", COUNT, 12, 3)
    assert [line.split() for line in as_text(findings).splitlines() if line.strip()] == [
        ["reads"],
        ["a", "note"],
        ["CPU", "s", "requests"],
        ["ours", "0.5", "12"],
        ["peer", "2"],
        ["ratio", "CPU"],
        ["ours", ":", "peer", "0.25"],
        ["promise", "measured", "at", "most"],
        ["CPU", "0.25", "1", "KEPT"],
        ["requests", "12", "3", "BROKEN"],
    ]


def test_the_record_holds_every_figure_with_its_unit_and_every_promise_with_its_verdict(findings: Findings) -> None:
    findings.promise("requests", COUNT, 12, 3)
    record = as_json({"cores": 2}, 5, [findings])
    assert record["subjects"][0]["figures"][0] == {"case": "ours", "quantity": "CPU", "value": 0.5, "unit": "s"}
    assert record["promises"] == [{"promise": "requests", "kind": "count", "measured": 12, "bound": 3, "kept": False}]
    assert (record["machine"], record["rounds"]) == ({"cores": 2}, 5)
