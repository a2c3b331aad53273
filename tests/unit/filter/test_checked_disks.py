# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A playbook gets a guest's disks completed, and everything that is wrong with them as sentences."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

pytestmark = pytest.mark.slow

DOCUMENTED = yaml.safe_load((Path(__file__).parents[3] / "plugins" / "filter" / "checked_disks.yml").read_text())
CHECKED = "disks | crossvisor.san.checked_disks('app01', system, 'svm_san', 'vol_prod')"

Evaluate = Callable[..., Any]
Render = Callable[..., str]


def test_the_documented_sample_is_what_the_filter_returns(evaluate: Evaluate) -> None:
    contains = DOCUMENTED["RETURN"]["_value"]["contains"]
    found = evaluate(CHECKED, system="linux", disks=[{"name": "data", "size": "100GiB", "mount": "/srv/data"}])
    assert found == {key: field["sample"] for key, field in contains.items()}


def test_the_documented_example_works(render: Render) -> None:
    (task,) = yaml.safe_load(DOCUMENTED["EXAMPLES"])
    assert render(task["ansible.builtin.debug"]["msg"], **task["vars"]) == "['app01_data', 'app01_log']"


def test_every_problem_is_handed_to_the_playbook(evaluate: Evaluate) -> None:
    found = evaluate(CHECKED, system="windows", disks=[{"name": "data", "mount": "/srv"}, {"name": "log", "size": "much"}])
    assert found["disks"] == []
    assert [problem.partition(":")[0] for problem in found["problems"]] == ["disk 'data'", "disk 'log'"]


def test_a_system_that_is_none_is_one_sentence(evaluate: Evaluate) -> None:
    with pytest.raises(ValueError, match="'aix' is no system of a guest: say linux or windows") as failure:
        evaluate(CHECKED, system="aix", disks=[])
    assert "Traceback" not in str(failure.value)
