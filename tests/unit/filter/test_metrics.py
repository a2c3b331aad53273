# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A playbook turns a storage map into metrics."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.crossvisor.san.plugins.filter.metrics import FilterModule

DOCUMENTED = yaml.safe_load((Path(__file__).parents[3] / "plugins" / "filter" / "metrics.yml").read_text())
ROW = {"hypervisor": "vc.example.com", "vm_name": "app", "vm_id": "vm-1", "disk": "Hard disk 1", "status": "mapped"}

Evaluate = Callable[..., Any]
Render = Callable[..., str]


def test_a_map_becomes_metrics(render: Render) -> None:
    text = render("{{ map | crossvisor.san.metrics }}", map={"mappings": [ROW]})
    assert '\ncrossvisor_disk_unresolved{endpoint="vc.example.com",vm="app",vm_id="vm-1",disk="Hard disk 1"} 0\n' in text


@pytest.mark.parametrize("map_", [[], "map", {"mappings": "rows"}, {"mappings": ["row"]}, {"endpoints": {}}])
def test_what_is_no_map_is_refused_in_one_sentence(evaluate: Evaluate, map_: Any) -> None:
    with pytest.raises(ValueError, match="storage map is a") as failure:
        evaluate("map | crossvisor.san.metrics", map=map_)
    assert "Traceback" not in str(failure.value)


def test_the_documented_example_works(render: Render) -> None:
    (task,) = yaml.safe_load(DOCUMENTED["EXAMPLES"])
    assert render(task["ansible.builtin.copy"]["content"], map={"mappings": [ROW]}).startswith("# HELP ")


def test_the_filter_is_documented() -> None:
    assert [DOCUMENTED["DOCUMENTATION"]["name"]] == list(FilterModule().filters())
