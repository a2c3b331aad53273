# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ansible in this process, as far as the roles use it: their own YAML is run, task by task, so that what is tried is what is shipped.

Whatever is not understood here is an error, never skipped. Variables come in Ansible's order of precedence: what an include passes, then
facts and registered results, then a task's own, then those of the role. A template that is one expression keeps its value's type.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.filter.core import dict_to_list_of_dict_key_value_elements, regex_replace
from ansible.plugins.test import core as tests
from jinja2 import Environment, StrictUndefined
from jinja2.runtime import Context
from jinja2.utils import missing

ROLE = "crossvisor.san."
_GENERATORS = ("map", "select", "reject", "selectattr", "rejectattr", "unique")
KEYWORDS = frozenset(
    {
        *("name", "when", "register", "vars", "block", "rescue", "check_mode", "changed_when", "failed_when", "diff"),
        *("become", "delegate_to", "connection"),
    }
)
OMIT = object()

Task = Mapping[str, Any]
Run = Callable[[str, Mapping[str, Any], bool], Mapping[str, Any]]
"""Runs a module by its name, with its arguments, in check mode or not. Raises `TaskFailed`."""
Replaced = Callable[["Scope"], None]
"""Stands for a role that is not run as it is written."""

_ONE_EXPRESSION = re.compile(r"\s*\{\{(?P<expression>(?:(?!\}\}|\{\{).)*)\}\}\s*", re.DOTALL)


class TaskFailed(Exception):
    """A task has failed, in the words of `msg`."""


class _Lazy(Context):
    """Looks names up where the task is, and templates what it finds there only when it is needed."""

    def resolve_or_missing(self, key: str) -> Any:
        scope = self.parent["scope__"]
        found = scope.find(key)
        return super().resolve_or_missing(key) if found is missing else found


def _listed(made: Callable[..., Any]) -> Callable[..., Any]:
    """A filter whose result is a list, as Ansible's are."""

    @functools.wraps(made)
    def listed(*arguments: Any, **options: Any) -> list[Any]:
        return list(made(*arguments, **options))

    return listed


def _environment() -> Environment:
    environment = Environment(undefined=StrictUndefined, autoescape=False)
    environment.context_class = _Lazy
    environment.filters.update({name: _listed(environment.filters[name]) for name in _GENERATORS})
    environment.filters.update(regex_replace=regex_replace, bool=boolean, dict2items=dict_to_list_of_dict_key_value_elements, zip=zip)
    environment.tests.update(truthy=tests.truthy, falsy=tests.falsy, changed=tests.changed, skipped=tests.skipped)
    return environment


_ENVIRONMENT = _environment()


@functools.cache
def _expression(text: str) -> Callable[..., Any]:
    return _ENVIRONMENT.compile_expression(text, undefined_to_none=False)


@functools.cache
def _template(text: str) -> Callable[..., Any]:
    match = _ONE_EXPRESSION.fullmatch(text)
    return _expression(match["expression"].strip()) if match else _ENVIRONMENT.from_string(text).render


@functools.cache
def _tasks(path: Path) -> Sequence[Task]:
    return tuple(yaml.safe_load(path.read_text()) or ())


@functools.cache
def _variables(path: Path) -> Mapping[str, Any]:
    return dict(yaml.safe_load(path.read_text()) or {}) if path.exists() else {}


@dataclass
class Scope:
    """The variables that a task sees, the nearest first."""

    layers: Sequence[Mapping[str, Any]]
    _open: set[str] = field(default_factory=set)

    @property
    def facts(self) -> dict[str, Any]:
        """What tasks have registered and set, which stands behind the extra variables."""
        facts = self.layers[1]
        assert isinstance(facts, dict)
        return facts

    def find(self, name: str) -> Any:
        """The variable's value, or jinja's `missing`."""
        if name == "omit":
            return OMIT
        for layer in self.layers:
            if name in layer:
                return self.valued(layer[name])
        return missing

    def valued(self, value: Any) -> Any:
        """The value with its templates filled in."""
        if isinstance(value, str):
            return _template(value)({"scope__": self}) if "{{" in value else value
        if isinstance(value, dict):
            return {key: self.valued(item) for key, item in value.items()}
        return [self.valued(item) for item in value] if isinstance(value, list) else value

    def holds(self, conditions: Any) -> bool:
        """Whether all conditions of a `when` or a `that` are true."""
        listed = conditions if isinstance(conditions, list) else [conditions]
        return all(bool(_expression(text)({"scope__": self})) if isinstance(text, str) else text for text in listed)


@dataclass
class Playbook:
    """One run of a playbook against the systems that `run` reaches."""

    root: Path
    """Of the collection whose roles and playbooks are run."""
    run: Run
    replaced: Mapping[str, Replaced]
    files: Mapping[str, Path] = field(default_factory=dict)
    """What is read instead of a file of the collection."""
    check_mode: bool = False
    facts: dict[str, Any] = field(default_factory=dict)
    changed: bool = False
    """Whether a module of this run has changed something."""

    def play(self, name: str, variables: Mapping[str, Any]) -> Mapping[str, Any]:
        """Run a playbook with extra variables and return the facts that it has set. Raises `TaskFailed`."""
        (play,) = _tasks(self.root / "playbooks" / f"{name}.yml")
        for task in play["tasks"]:
            module = _module(task)
            if module == "import_role":
                self._role(task[_key(task)]["name"], [variables, self.facts], task.get("vars", {}))
            elif module == "validate_argument_spec":
                _require(task[_key(task)]["argument_spec"], variables)
            elif module == "assert":
                self._do(self.root, task, Scope([variables, self.facts, play["vars"]]))
            elif module not in ("set_stats", "debug"):
                raise AssertionError(f"a playbook's task {module} is not known here")
        return self.facts

    def _role(self, name: str, outer: Sequence[Mapping[str, Any]], parameters: Mapping[str, Any]) -> None:
        short = name.removeprefix(ROLE)
        home = self.root / "roles" / short
        inner = {"ansible_check_mode": self.check_mode, **_variables(home / "vars/main.yml")}
        layers = [*outer, parameters, inner, _variables(home / "defaults/main.yml")]
        if short in self.replaced:
            self.replaced[short](Scope(layers))
        else:
            self._tasks(home, "main.yml", layers)

    def _tasks(self, home: Path, file: str, layers: Sequence[Mapping[str, Any]]) -> None:
        path = home / "tasks" / file
        for task in _tasks(self.files.get(str(path.relative_to(self.root)), path)):
            self._task(home, task, layers)

    def _task(self, home: Path, task: Task, layers: Sequence[Mapping[str, Any]]) -> None:
        scope = Scope([*layers[:2], task["vars"], *layers[2:]] if "vars" in task and _module(task) != "include_role" else layers)
        if "when" in task and not scope.holds(task["when"]):
            self._register(task, {"changed": False, "skipped": True})
        elif "block" in task:
            self._block(home, task, scope.layers)
        else:
            self._register(task, self._do(home, task, scope))

    def _block(self, home: Path, task: Task, layers: Sequence[Mapping[str, Any]]) -> None:
        try:
            for inner in task["block"]:
                self._task(home, inner, layers)
        except TaskFailed as failed:
            if "rescue" not in task:
                raise
            self.facts["ansible_failed_result"] = {"msg": str(failed), "failed": True}
            for inner in task["rescue"]:
                self._task(home, inner, layers)

    def _do(self, home: Path, task: Task, scope: Scope) -> Mapping[str, Any]:
        module, arguments = _module(task), task[_key(task)]
        if module == "set_fact":
            self.facts.update({name: scope.valued(value) for name, value in arguments.items()})
        elif module == "assert":
            if not scope.holds(arguments["that"]):
                raise TaskFailed(scope.valued(arguments["fail_msg"]))
        elif module == "fail":
            raise TaskFailed(scope.valued(arguments["msg"]))
        elif module in ("include_tasks", "import_tasks"):
            self._tasks(home, scope.valued(arguments), scope.layers)
        elif module == "include_role":
            self._role(arguments["name"], scope.layers, {name: scope.valued(value) for name, value in task.get("vars", {}).items()})
        elif _key(task).startswith(ROLE):
            return self._run(task, module, scope.valued(arguments), scope)
        else:
            raise AssertionError(f"the module {_key(task)} is not known here")
        return {"changed": False}

    def _run(self, task: Task, module: str, arguments: Mapping[str, Any], scope: Scope) -> Mapping[str, Any]:
        given = {name: value for name, value in arguments.items() if value is not OMIT}
        result = dict(self.run(module, given, bool(scope.valued(task.get("check_mode", self.check_mode)))))
        if "changed_when" in task:
            self._register(task, result)
            result["changed"] = scope.holds(task["changed_when"])
        self.changed = self.changed or bool(result["changed"])
        return result

    def _register(self, task: Task, result: Mapping[str, Any]) -> None:
        if "register" in task:
            self.facts[task["register"]] = result


def _key(task: Task) -> str:
    (key,) = _module_keys(task)
    return key


def _require(options: Mapping[str, Mapping[str, Any]], variables: Mapping[str, Any]) -> None:
    missing = [name for name, option in options.items() if option.get("required") and name not in variables]
    if missing:
        raise TaskFailed(f"missing required arguments: {', '.join(missing)}")


def _module(task: Task) -> str:
    return "block" if "block" in task else _key(task).rpartition(".")[2]


def _module_keys(task: Task) -> Iterator[str]:
    yield from (key for key in task if key not in KEYWORDS)
