# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""When a module runs in the worker, and when as Ansible runs any; that both are equal is told by tests/conformance/ansible."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from ansible import constants
from ansible.plugins.action import ActionBase

from ansible_collections.crossvisor.san.plugins.plugin_utils import _in_process
from ansible_collections.crossvisor.san.plugins.plugin_utils._in_process import SWITCH, InProcessAction, preload
from ansible_collections.crossvisor.san.plugins.plugin_utils._payload import built, encoded

PLUGINS = Path(_in_process.__file__).parents[1]
OWN = {"ansible_python_interpreter": sys.executable}


def action(environment: Mapping[str, str] | None = None, **of_the_task: Any) -> InProcessAction:
    """The action of a task on this machine; names of the connection begin with `connection_`."""
    connection = {"transport": "local", "become": None, "_shell": SimpleNamespace(tmpdir=None, env_prefix=lambda **_: "")}
    connection.update({name[11:]: of_the_task.pop(name) for name in list(of_the_task) if name.startswith("connection_")})
    task = SimpleNamespace(environment=[dict(environment or {})], **{"delegate_to": None, "async_val": 0, "collections": [], **of_the_task})
    templar = SimpleNamespace(template=lambda value: value)
    return InProcessAction(task, SimpleNamespace(**connection), None, None, templar, None)


def is_the_same(of: InProcessAction, variables: Mapping[str, Any] | None = None) -> bool:
    return of._is_the_same_here(OWN if variables is None else variables)


def test_here_with_the_own_python_as_the_same_user_it_is_the_same() -> None:
    assert is_the_same(action())
    assert is_the_same(action(environment={"ONTAP_PASSWORD": "secret", "HTTPS_PROXY": "http://proxy:3128"}))


@pytest.mark.parametrize(
    "of",
    [
        {"connection_transport": "ssh"},
        {"connection_become": object()},
        {"environment": {"PYTHONPATH": "/opt/lib"}},
        {"environment": {"LD_LIBRARY_PATH": "/opt/lib"}},
    ],
)
def test_elsewhere_as_somebody_else_or_with_other_libraries_it_is_not(of: dict[str, Any]) -> None:
    assert not is_the_same(action(**of))


@pytest.mark.parametrize("variables", [{}, {"ansible_python_interpreter": "/usr/libexec/platform-python"}])
def test_with_another_python_it_is_not(variables: dict[str, str]) -> None:
    assert not is_the_same(action(), variables)


def test_the_python_of_whom_a_task_is_delegated_to_counts() -> None:
    delegated = {"ansible_delegated_vars": {"app01": {"ansible_python_interpreter": "/usr/libexec/platform-python"}}}
    assert not is_the_same(action(delegate_to="app01"), {**OWN, **delegated})
    assert not is_the_same(action(delegate_to="app02"), {**OWN, **delegated})
    assert is_the_same(action(delegate_to="app01"), {"ansible_delegated_vars": {"app01": OWN}})


@pytest.mark.parametrize("value", ["false", "False", "no", "0", "off"])
def test_whoever_switches_it_off_gets_the_usual_way(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv(SWITCH, value)
    assert not is_the_same(action())


def test_whoever_wants_to_keep_what_was_packed_gets_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "DEFAULT_KEEP_REMOTE_FILES", True)
    assert not is_the_same(action())


def test_a_task_in_the_background_is_left_to_ansible(monkeypatch: pytest.MonkeyPatch) -> None:
    in_background = action(async_val=30)
    asked: list[bool] = []
    monkeypatch.setattr(ActionBase, "run", lambda *_: {})

    def execute(_self: InProcessAction, wrap_async: bool, **_options: Any) -> dict[str, Any]:
        asked.append(wrap_async)
        return {}

    monkeypatch.setattr(InProcessAction, "_execute_module", execute)
    in_background.run(None, dict(OWN))
    assert (asked, in_background._in_process) == ([True], False)


def test_commands_that_start_no_module_are_left_to_ansible(monkeypatch: pytest.MonkeyPatch) -> None:
    here = action()
    here._in_process, here._payload = True, b"{}"
    monkeypatch.setattr(ActionBase, "_low_level_execute_command", lambda _self, cmd, **_: {"rc": 0, "stdout": cmd})
    assert here._low_level_execute_command("echo ~")["stdout"] == "echo ~"


def test_arguments_are_handed_over_as_json() -> None:
    payload = encoded({"size": "1GiB", "_ansible_check_mode": True})
    assert json.loads(payload) == {"ANSIBLE_MODULE_ARGS": {"size": "1GiB", "_ansible_check_mode": True}}
    assert payload in _flat(built(payload, "/m.py"))


def test_what_cannot_be_imported_is_no_reason_to_fail() -> None:
    preload("ansible_collections.crossvisor.san.plugins.action.not_a_module")


def test_there_is_an_action_for_each_module_of_the_group_and_for_no_other() -> None:
    group = yaml.safe_load((PLUGINS.parent / "meta/runtime.yml").read_text())["action_groups"]["all"]
    assert sorted(file.stem for file in (PLUGINS / "action").glob("*.py")) == sorted(group)


@pytest.mark.parametrize("name", [file.stem for file in sorted((PLUGINS / "action").glob("*.py"))])
def test_an_action_is_named_as_the_module_that_it_runs(name: str) -> None:
    found = import_module(f"ansible_collections.crossvisor.san.plugins.action.{name}").ActionModule
    assert issubclass(found, InProcessAction)
    assert callable(import_module(f"ansible_collections.crossvisor.san.plugins.modules.{_in_process._leaf(found.__module__)}").main)


def _flat(values: Any) -> list[Any]:
    """What ansible-core 2.18 has as a tuple, and later ones as an object and the path."""
    return [inner for value in values for inner in (value, getattr(value, "b_module_data", None))]
