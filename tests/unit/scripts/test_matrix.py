# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is claimed of ansible-core and Python is what is tested, wherever it is written down."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from scripts import run_tiers

ROOT = Path(__file__).resolve().parents[3]
MATRIX: dict[str, Any] = yaml.safe_load((ROOT / ".github" / "workflows" / "test.yml").read_text())["jobs"]["versions"]["strategy"]["matrix"]
OLDEST, NEWEST = MATRIX["core"][0], MATRIX["core"][-1]


def script(name: str) -> str:
    return (ROOT / "scripts" / name).read_text()


def test_the_oldest_ansible_core_that_is_claimed_is_the_first_of_the_matrix() -> None:
    claimed = yaml.safe_load((ROOT / "meta" / "runtime.yml").read_text())["requires_ansible"]
    assert claimed == f">={OLDEST}.0"
    assert f"ansible-core {OLDEST} or later" in (ROOT / "README.md").read_text()


def test_the_tier_runs_both_ends_of_the_matrix() -> None:
    assert re.findall(r"^ +on_first (\S+)", script("tiers/cores"), re.MULTILINE) == [OLDEST, NEWEST]


def test_the_floor_is_the_oldest_ansible_core_on_the_oldest_python() -> None:
    assert f"\non_core {OLDEST} {MATRIX['python'][0]}\n" in script("tiers/floor")


def test_there_is_an_environment_for_each_ansible_core_of_the_matrix() -> None:
    assert re.findall(r"\b2\.\d+(?=[|)])", script("venv")) == MATRIX["core"]


def test_the_python_of_the_floor_is_the_one_that_the_linter_minds() -> None:
    wanted = MATRIX["python"][0].replace(".", "")
    assert f'target-version = "py{wanted}"' in (ROOT / "pyproject.toml").read_text()


def test_every_tier_is_run_where_the_repository_is_hosted_and_told_of() -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "test.yml").read_text())["jobs"]
    hosted = [*workflow["tier"]["strategy"]["matrix"]["tier"], "floor", "cores"]
    told = re.findall(r"^\| `([\w-]+)` \|", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE)
    assert sorted(hosted) == sorted(told) == sorted(run_tiers.TIERS)
    assert workflow["long"]["steps"][-1]["run"] == "make long"
