# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What AWX does with the data of awx/: it renders a credential into environment variables and files, and hands survey answers to a job."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import yaml
from jinja2.sandbox import ImmutableSandboxedEnvironment

DATA = Path(__file__).resolve().parents[2] / "awx"


class _Loader(yaml.SafeLoader):
    """YAML with Ansible's tag for text that is no template."""


def _as_it_is(loader: yaml.SafeLoader, node: yaml.Node) -> Any:
    assert isinstance(node, yaml.ScalarNode)
    return loader.construct_scalar(node)


_Loader.add_constructor("!unsafe", _as_it_is)


def objects(kind: str) -> list[dict[str, Any]]:
    """The objects of one kind, such as `templates`, by the variables `controller_<kind>` of awx/."""
    return [made for file in sorted(DATA.glob("*.yml")) for made in content(file).get(f"controller_{kind}", [])]


@cache
def content(file: Path) -> dict[str, Any]:
    """The variables of a file of awx/."""
    return dict(yaml.load(file.read_text(), _Loader))


def named(kind: str, name: str) -> dict[str, Any]:
    """The object of one kind that has this name."""
    (found,) = (made for made in objects(kind) if made["name"] == name)
    return found


def environment(credential_type: str, given: Mapping[str, Any], directory: Path) -> dict[str, str]:
    """The environment variables of a job that has a credential with these inputs; the files that they name are in the directory.

    As in AWX's `CredentialType.inject_credential`: an input that was not given is undefined, a boolean false, and a variable is injected
    even if it is empty.
    """
    definition = named("credential_types", credential_type)
    flags = {field["id"]: False for field in definition["inputs"]["fields"] if field["type"] == "boolean"}
    known: dict[str, Any] = {**flags, **given}
    names: dict[str, str] = {}
    for label, template in definition["injectors"]["file"].items():
        path = directory / f"{credential_type}-{label}"
        _write_secretly(path, rendered(template, known))
        names[label.partition(".")[2]] = str(path)
    known["tower"] = SimpleNamespace(filename=SimpleNamespace(**names))
    return {variable: rendered(template, known) for variable, template in definition["injectors"]["env"].items()}


def rendered(template: str, known: Mapping[str, Any], **settings: Any) -> str:
    """A template of an injector, filled in."""
    return ImmutableSandboxedEnvironment(**settings).from_string(template).render(**known)


def _write_secretly(path: Path, text: str) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)


def questions(template: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The questions of a template's or workflow's survey."""
    return list(template["survey_spec"]["spec"])


def answers(template: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """The variables of a job that was started with these answers: those of its own survey, and the defaults of what was left out."""
    defaults = {question["variable"]: question["default"] for question in questions(template) if "default" in question}
    asked = {question["variable"] for question in questions(template)}
    return {**defaults, **{variable: answer for variable, answer in given.items() if variable in asked}}


def in_order(workflow: Mapping[str, Any]) -> Iterator[str]:
    """The names of the job templates of a workflow in which every node succeeds, parents first."""
    nodes = {node["identifier"]: node for node in workflow["workflow_nodes"]}
    children = {name: [child["identifier"] for child in node["related"].get("success_nodes", [])] for name, node in nodes.items()}
    waiting = [name for name in nodes if name not in _all(children.values())]
    while waiting:
        name = waiting.pop(0)
        yield nodes[name]["unified_job_template"]["name"]
        waiting += children[name]


def _all(lists: Iterable[list[str]]) -> set[str]:
    return {name for names in lists for name in names}
