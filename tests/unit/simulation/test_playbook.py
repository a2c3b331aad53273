# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.simulation.playbook import Playbook, Scope, TaskFailed

Call = tuple[str, Mapping[str, Any], bool]


@dataclass
class Recorder:
    """Modules that do nothing; one of them fails."""

    failing: str = ""
    calls: list[Call] = field(default_factory=list)

    def run(self, name: str, arguments: Mapping[str, Any], check_mode: bool) -> Mapping[str, Any]:
        self.calls.append((name, arguments, check_mode))
        if name == self.failing:
            raise TaskFailed("It is broken.")
        return {"changed": True, "answer": 42}


def role(root: Path, tasks: Sequence[Mapping[str, Any]], defaults: Mapping[str, Any] | None = None) -> Path:
    """A collection with one role and one playbook."""
    for directory in ("playbooks", "roles/small/tasks", "roles/small/defaults"):
        (root / directory).mkdir(parents=True)
    task = {"ansible.builtin.import_role": {"name": "crossvisor.san.small"}, "vars": {"given": "{{ extra | default('nothing') }}"}}
    (root / "playbooks/play.yml").write_text(yaml.safe_dump([{"hosts": "localhost", "tasks": [task]}]))
    (root / "roles/small/tasks/main.yml").write_text(yaml.safe_dump(list(tasks)))
    (root / "roles/small/defaults/main.yml").write_text(yaml.safe_dump(dict(defaults or {})))
    return root


def played(
    root: Path, tasks: Sequence[Mapping[str, Any]], extra: Mapping[str, Any] | None = None, failing: str = "", **options: Any
) -> list[Call]:
    """The modules that were run, with their arguments."""
    recorder = Recorder(failing)
    playbook = Playbook(role(root, tasks, options.get("defaults")), recorder.run, options.get("replaced", {}))
    playbook.play("play", extra or {})
    return recorder.calls


def test_arguments_keep_their_types_and_omitted_ones_go(tmp_path: Path) -> None:
    arguments = {
        "number": "{{ 1 + 1 }}",
        "text": "{{ given }}!",
        "gone": "{{ absent | default(omit) }}",
        "list": ["{{ [1] | map('string') }}"],
    }
    calls = played(tmp_path, [{"crossvisor.san.thing": arguments}], {"extra": "much"})
    assert calls == [("thing", {"number": 2, "text": "much!", "list": [["1"]]}, False)]


def test_a_default_is_templated_when_it_is_needed(tmp_path: Path) -> None:
    tasks: list[dict[str, Any]] = [{"ansible.builtin.set_fact": {"size": 3}}, {"crossvisor.san.thing": {"double": "{{ twice }}"}}]
    assert played(tmp_path, tasks, defaults={"twice": "{{ size * 2 }}"}) == [("thing", {"double": 6}, False)]


def test_what_was_registered_and_what_is_not_done_is_known_afterwards(tmp_path: Path) -> None:
    tasks: list[dict[str, Any]] = [
        {"crossvisor.san.thing": {}, "register": "first", "check_mode": True},
        {"crossvisor.san.other": {}, "register": "second", "when": "first.answer > 50"},
        {"crossvisor.san.thing": {"never": "{{ nobody.knows }}"}, "when": False},
        {"crossvisor.san.thing": {"answer": "{{ first.answer }}"}, "when": ["second.skipped", "first is changed"]},
    ]
    assert played(tmp_path, tasks) == [("thing", {}, True), ("thing", {"answer": 42}, False)]


def test_a_rescue_runs_with_the_reason_and_the_failure_ends_there(tmp_path: Path) -> None:
    block = {
        "block": [{"crossvisor.san.thing": {}}, {"crossvisor.san.never": {}}],
        "rescue": [{"crossvisor.san.other": {"why": "{{ ansible_failed_result.msg | regex_replace('[.]$', '') }}"}}],
    }
    assert [call[:2] for call in played(tmp_path, [block], failing="thing")] == [("thing", {}), ("other", {"why": "It is broken"})]


def test_a_failure_in_a_rescue_passes(tmp_path: Path) -> None:
    block = {"block": [{"crossvisor.san.thing": {}}], "rescue": [{"ansible.builtin.fail": {"msg": "{{ given }} is left."}}]}
    with pytest.raises(TaskFailed, match=r"^nothing is left\.$"):
        played(tmp_path, [block], failing="thing")


def test_an_assertion_fails_in_its_own_words(tmp_path: Path) -> None:
    with pytest.raises(TaskFailed, match=r"^no, nothing$"):
        played(tmp_path, [{"ansible.builtin.assert": {"that": "given | length > 10", "fail_msg": "no, {{ given }}", "quiet": True}}])


def test_a_role_may_be_replaced_and_is_given_its_variables(tmp_path: Path) -> None:
    seen: list[Any] = []

    def replaced(scope: Scope) -> None:
        seen.extend([scope.find("told"), scope.find("given")])

    task = {"ansible.builtin.include_role": {"name": "crossvisor.san.guest"}, "vars": {"told": "{{ given }}?"}}
    assert played(tmp_path, [task], replaced={"guest": replaced}) == []
    assert seen == ["nothing?", "nothing"]


@pytest.mark.parametrize("task", [{"ansible.builtin.shell": "ls"}, {"crossvisor.san.thing": {}, "loop": [1]}], ids=["module", "keyword"])
def test_what_is_not_understood_is_an_error(tmp_path: Path, task: dict[str, Any]) -> None:
    with pytest.raises((AssertionError, ValueError)):
        played(tmp_path, [task])
