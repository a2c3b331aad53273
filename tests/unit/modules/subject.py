# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A module as a specification sees it: what it declares, what it documents, what it returns."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import Any, cast
from unittest import mock

import pytest
import yaml

from ansible_collections.crossvisor.san.plugins.module_utils._san.endpoints import arrays, hypervisors
from tests.unit.module_arguments import module_arguments
from tests.unit.ports import MemoryArray, MemoryHypervisor

_PLUGINS = "ansible_collections.crossvisor.san.plugins"
_FRAGMENTS = "crossvisor.san."
_ALWAYS_RETURNED = {"changed", "diff", "invocation"}
_TOLD = ("type", "required", "default", "choices", "aliases", "elements")
_UNTOLD: Mapping[str, Any] = {"type": "str", "required": False, "default": None, "choices": None, "aliases": None, "elements": None}


class _Declared(Exception):
    def __init__(self, declaration: Mapping[str, Any]) -> None:
        super().__init__()
        self.declaration = declaration


@dataclass(frozen=True)
class Subject:
    """One module of the collection."""

    module: ModuleType

    @property
    def declared(self) -> Mapping[str, Any]:
        """What it gives to AnsibleModule."""

        def declare(**declaration: Any) -> None:
            raise _Declared(declaration)

        with mock.patch.object(self.module, "AnsibleModule", declare), pytest.raises(_Declared) as told:
            self.module.main()
        return told.value.declaration

    @property
    def declared_options(self) -> dict[str, Any]:
        """Its options, as its argument spec has them."""
        return _comparable(self.declared["argument_spec"], "options")

    @property
    def documentation(self) -> dict[str, Any]:
        """Its documentation, completed from the fragments that it names."""
        own: dict[str, Any] = yaml.safe_load(self.module.DOCUMENTATION)
        for name in own["extends_documentation_fragment"]:
            fragment = _fragment(name.removeprefix(_FRAGMENTS))
            for part in ("options", "attributes"):
                own[part] = _merged(fragment.get(part, {}), own.get(part, {}))
        return own

    @property
    def documented_options(self) -> dict[str, Any]:
        """Its options, as its documentation has them."""
        return _comparable(self.documentation["options"], "suboptions")

    @property
    def documented_results(self) -> dict[str, Any]:
        """What it returns, by its documentation."""
        results: dict[str, Any] = yaml.safe_load(self.module.RETURN)
        return results

    def run(self, arguments: Mapping[str, Any], check: bool = False) -> dict[str, Any]:
        """What it returns."""
        with (
            module_arguments({**arguments, "_ansible_check_mode": check}),
            redirect_stdout(io.StringIO()) as said,
            pytest.raises(SystemExit),
        ):
            self.module.main()
        result: dict[str, Any] = json.loads(said.getvalue())
        return result

    def succeed(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """What it returns when it must not fail, without what every module does."""
        result = self.run(arguments)
        assert "failed" not in result, result["msg"]
        return {name: value for name, value in result.items() if name not in _ALWAYS_RETURNED}

    def fail(self, arguments: Mapping[str, Any]) -> str:
        """Why it failed."""
        result = self.run(arguments)
        assert result["failed"]
        message: str = result["msg"]
        return message


def subject(name: str) -> Subject:
    """The module of this name."""
    return Subject(import_module(f"{_PLUGINS}.modules.{name}"))


@contextmanager
def opened(hypervisor: MemoryHypervisor | None = None, array: MemoryArray | None = None) -> Iterator[None]:
    """Let modules that open an endpoint get these."""
    with mock.patch.object(hypervisors, "open_hypervisor", _opening(hypervisor)), mock.patch.object(arrays, "open_array", _opening(array)):
        yield


def undocumented(results: Mapping[str, Any], documented: Mapping[str, Any]) -> list[str]:
    """The paths of values that nobody has documented; what the documentation does not go into is passed over."""
    found = []
    for name, value in results.items():
        if name not in documented:
            found.append(name)
        elif "contains" in documented[name]:
            rows = value if isinstance(value, list) else [value]
            inner = {path for row in rows if row is not None for path in undocumented(row, documented[name]["contains"])}
            found.extend(f"{name}.{path}" for path in sorted(inner))
    return found


def _opening(port: Any) -> Callable[..., Any]:
    def open_port(*_arguments: Any) -> Any:
        assert port is not None, "the module opens an endpoint that it should not"
        return port

    return open_port


def _fragment(name: str) -> dict[str, Any]:
    file, _dot, part = name.partition(".")
    fragment = import_module(f"{_PLUGINS}.doc_fragments.{file}").ModuleDocFragment
    return cast("dict[str, Any]", yaml.safe_load(getattr(fragment, (part or "documentation").upper())))


def _merged(fragment: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    return {name: {**fragment.get(name, {}), **own.get(name, {})} for name in (*fragment, *own)}


def _comparable(options: Mapping[str, Any], inner: str) -> dict[str, Any]:
    return {
        name: {
            **{key: option.get(key, _UNTOLD[key]) for key in _TOLD},
            "inner": _comparable(option.get(inner) or {}, inner),
        }
        for name, option in options.items()
    }
