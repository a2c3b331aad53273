# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the role snapshot takes back when the guest was not still: what this run has taken, and nothing of an earlier one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

JUDGE = Path(__file__).parents[3] / "roles" / "snapshot" / "tasks" / "judge.yml"

Evaluate = Callable[..., Any]


def deletion() -> dict[str, Any]:
    block = next(task["block"] for task in yaml.safe_load(JUDGE.read_text()) if "block" in task)
    return next(dict(task) for task in block if "crossvisor.san.lun_snapshot" in task)


def inner(template: str) -> str:
    return template.strip().removeprefix("{{").removesuffix("}}")


def snapshot(volume: str, mark: str | None) -> dict[str, Any]:
    return {"svm": "svm1", "volume": volume, "made_by": mark}


def lun(number: int, volume: str) -> dict[str, Any]:
    return {"naa": f"naa.600a0980{number}", "svm": "svm1", "volume": volume}


def test_only_what_bears_a_mark_that_was_not_there_before_is_deleted_each_by_its_mark(evaluate: Evaluate) -> None:
    task = deletion()
    known: dict[str, Any] = {
        "snapshot_look": {"snapshots": [snapshot("old", "run:1")], "luns": [lun(1, "old"), lun(2, "new"), lun(3, "new"), lun(4, "other")]},
        "snapshot_taken": {"snapshots": [snapshot("old", "run:1"), snapshot("new", "run:2"), snapshot("other", None)]},
    }
    known["snapshot_marks_before"] = evaluate(inner(task["vars"]["snapshot_marks_before"]), **known)
    assert list(evaluate(inner(task["loop"]), **known)) == ["run:2"]
    known["item"] = "run:2"
    known["snapshot_with_mark"] = list(evaluate(inner(task["vars"]["snapshot_with_mark"]), **known))
    texts = evaluate(inner(task["vars"]["snapshot_of_mark"]), **known)
    assert [json.loads(text) for text in texts] == [{"naa": "naa.600a09802"}, {"naa": "naa.600a09803"}]
    told = task["crossvisor.san.lun_snapshot"]
    assert (told["luns"], told["made_by"], told["state"]) == ("{{ snapshot_of_mark | map('from_json') }}", "{{ item }}", "absent")
