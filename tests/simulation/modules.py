# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The modules in this process: their own `main`, with their own argument specs, in front of the simulated systems."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

from tests.simulation.playbook import TaskFailed
from tests.simulation.stage import Stage

PACKAGE = "ansible_collections.crossvisor.san.plugins."
NAMES = ("hypervisor_facts", "hba_info", "lun_provision", "ptd_attach", "vm_storage_map")
_TYPES: Mapping[str, Any] = {
    "str": (str,),
    "int": (int,),
    "float": (float, int),
    "bool": (bool,),
    "list": (list, tuple),
    "dict": (dict,),
}


class Ended(SystemExit):
    """A module is through, with this result."""

    def __init__(self, result: Mapping[str, Any]) -> None:
        super().__init__(0)
        self.result = result


@dataclass
class Modules:
    """Runs modules for the actor at work. `open_array` and `open_hypervisor` take the name of an endpoint."""

    stage: Stage
    open_array: Callable[[str], Any]
    open_hypervisor: Callable[[str], Any]
    warnings: list[str] = field(default_factory=list)
    _given: tuple[Mapping[str, Any], bool] = ({}, False)

    def run(self, name: str, arguments: Mapping[str, Any], check_mode: bool) -> Mapping[str, Any]:
        """Run a module. Raises `TaskFailed` with what it says."""
        self._given = arguments, check_mode
        try:
            _module(name).main()
        except Ended as ended:
            return ended.result
        raise AssertionError(f"{name} ended without a result")

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Let modules find the simulated systems, and time pass on the stage's clock, while the block runs."""
        arrays = importlib.import_module(f"{PACKAGE}module_utils._san.endpoints.arrays")
        hypervisors = importlib.import_module(f"{PACKAGE}module_utils._san.endpoints.hypervisors")
        attach = importlib.import_module(f"{PACKAGE}module_utils._san.services.attach")
        runtime = importlib.import_module(f"{PACKAGE}module_utils._san.runtime")
        with ExitStack() as stack:
            patch: Callable[..., Any] = lambda *arguments: stack.enter_context(mock.patch.object(*arguments))  # noqa: E731
            patch(runtime, "_exit", _say)
            patch(arrays, "open_array", lambda module, params: self.open_array(params["hostname"]))
            patch(hypervisors, "open_hypervisor", lambda module: self.open_hypervisor(module.params["hypervisor"]["hostname"]))
            patch(hypervisors, "names_hypervisor", lambda module: module.params["hypervisor"] is not None)
            clock = {time.monotonic: self.stage.time, time.sleep: self.stage.sleep}
            for waiting in _waiting(attach):
                patch(
                    waiting, "__defaults__", tuple(clock.get(value, value) if callable(value) else value for value in waiting.__defaults__)
                )
            for name in NAMES:
                patch(_module(name), "AnsibleModule", self._stand_in)
            yield

    def _stand_in(self, argument_spec: Mapping[str, Any], **rules: Any) -> StandIn:
        arguments, check_mode = self._given
        return StandIn(_params(argument_spec, arguments), check_mode, self.warnings)


@dataclass
class StandIn:
    """What a module takes for its `AnsibleModule`."""

    params: Mapping[str, Any]
    check_mode: bool
    warnings: list[str]
    no_log_values: set[str] = field(default_factory=set)

    def warn(self, text: str) -> None:
        """Keep a warning."""
        self.warnings.append(text)

    def exit_json(self, **result: Any) -> None:
        """End well. Raises `Ended`."""
        raise Ended({"changed": False, **result})

    def fail_json(self, msg: str, **_more: Any) -> None:
        """End badly. Raises `TaskFailed`."""
        raise TaskFailed(msg)


def _say(module: StandIn, result: Mapping[str, Any], large: Mapping[str, Iterable[Any]]) -> None:
    """End with the whole result, which nobody here writes to a standard output that all actors share."""
    module.exit_json(**result, **{name: list(items) for name, items in large.items()})


def _waiting(module: Any) -> Iterator[Any]:
    """The functions of a module that take a clock, which is the machine's unless they are given another one."""
    for thing in vars(module).values():
        function = vars(thing).get("__init__") if isinstance(thing, type) else thing
        if {time.monotonic, time.sleep} & set(filter(callable, getattr(function, "__defaults__", None) or ())):
            yield function


def _module(name: str) -> Any:
    return importlib.import_module(f"{PACKAGE}modules.{name}")


def _params(spec: Mapping[str, Mapping[str, Any]], given: Mapping[str, Any]) -> dict[str, Any]:
    """All options, those that were not given by their default. An option or a type that the module does not take is a mistake of a role."""
    unknown = set(given) - set(spec)
    assert not unknown, f"unknown options: {', '.join(sorted(unknown))}"
    return {name: _param(name, option, given.get(name)) for name, option in spec.items()}


def _param(name: str, option: Mapping[str, Any], value: Any) -> Any:
    kind: str = option.get("type", "str")
    if value is None:
        assert not option.get("required"), f"{name} is required"
        return option.get("default")
    assert isinstance(value, _TYPES[kind]), f"{name}={value!r} is no {kind}"
    assert kind == "bool" or not isinstance(value, bool), f"{name}={value!r} is no {kind}"
    assert value in option.get("choices", [value]) or kind == "list", f"{name}={value!r} is none of {option.get('choices')}"
    return float(value) if kind == "float" else value
