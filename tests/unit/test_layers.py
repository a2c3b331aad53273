# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The plan of the house: imports run downwards, rooms that stand side by side do not know each other, and nothing runs in a circle.

`FLOORS` is the plan of docs/architecture.md, from the ground up. A new file belongs to the first room whose name it begins with.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from types import MappingProxyType

import pytest

PLUGINS = Path(__file__).resolve().parents[2] / "plugins"
PACKAGE = "ansible_collections.crossvisor.san.plugins."
PRIVATE = "module_utils._san."

FLOORS: tuple[tuple[str, ...], ...] = (
    ("errors",),
    ("ending", "progress", "deadline", "moment", "apart"),
    ("scsi_name", "initiator_name", "entity_name", "timestamps"),
    ("model", "connection", "storage_word"),
    ("plan", "wishes"),
    ("wire",),
    ("windows", "linux", "block_addresses", "observation"),
    ("detection",),
    ("hypervisors.base", "arrays.base"),
    ("hypervisors.attach_rules", "hypervisors.several", "arrays.ontap"),
    (
        "hypervisors.vmware",
        "hypervisors.hyperv",
        "hypervisors.kvm",
        "hypervisors.xen",
        "arrays.ontap_rest",
        "arrays.ontap_zapi",
        "guests.windows",
        "guests.linux",
    ),
    ("arrays.ontap_either",),
    ("hypervisors.pool", "arrays.pool", "guests.disks"),
    ("services", "maps"),
    ("runtime",),
    ("endpoints",),
)
"""Rooms on one floor stand side by side: none imports from another."""

OUTSIDE: Mapping[str, str] = {"action": "plugin_utils."}
"""What the controller loads may stand on: beside what is private, and the own folder."""

Imports = Mapping[str, frozenset[str]]


def dotted(path: Path) -> str:
    return ".".join(path.relative_to(PLUGINS).with_suffix("").parts)


def files() -> dict[str, Path]:
    return {dotted(path): path for path in PLUGINS.rglob("*.py")}


def imported(source: str, known: frozenset[str]) -> Iterator[str]:
    """The files of ours that a file imports, at its top, inside a function or for its types alone."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(PACKAGE):
            module = str(node.module)[len(PACKAGE) :]
            for name in node.names:
                whole = f"{module}.{name.name}"
                yield whole if whole in known else module
        elif isinstance(node, ast.Import):
            yield from (name.name[len(PACKAGE) :] for name in node.names if name.name.startswith(PACKAGE))


@functools.cache
def arrows() -> Imports:
    found = files()
    known = frozenset(found)
    return MappingProxyType({name: frozenset(imported(path.read_text(encoding="utf-8"), known)) for name, path in found.items()})


def room(name: str) -> tuple[int, str]:
    """The floor and the room of a file below module_utils/_san. Raises `LookupError` for one that the plan does not know."""
    inside = name.removeprefix(PRIVATE)
    for number, rooms in enumerate(FLOORS):
        for candidate in rooms:
            if inside == candidate or inside.startswith(f"{candidate}."):
                return number, candidate
    raise LookupError(f"{name} is in no room of the plan: add it to FLOORS and to docs/architecture.md")


def arrows_that_do_not_run_down(found: Imports) -> list[str]:
    wrong = []
    for source, targets in found.items():
        for target in targets:
            if not source.startswith(PRIVATE):
                folder = source.partition(".")[0]
                if not target.startswith((PRIVATE, f"{folder}.", OUTSIDE.get(folder, PRIVATE))):
                    wrong.append(f"{source} → {target}")
                continue
            if not target.startswith(PRIVATE):
                wrong.append(f"{source} → {target}")
                continue
            (upper, here), (lower, there) = room(source), room(target)
            if here != there and lower >= upper:
                wrong.append(f"{source} → {target}")
    return sorted(wrong)


def test_every_import_runs_downwards() -> None:
    assert arrows_that_do_not_run_down(arrows()) == []


def test_nothing_imports_itself_by_a_detour() -> None:
    try:
        tuple(TopologicalSorter({name: set(targets) - {name} for name, targets in arrows().items()}).static_order())
    except CycleError as circle:
        pytest.fail(f"These import each other in a circle: {' → '.join(circle.args[1])}")


def test_every_room_of_the_plan_is_lived_in() -> None:
    lived_in = {room(name)[1] for name in files() if name.startswith(PRIVATE)}
    assert lived_in == {candidate for rooms in FLOORS for candidate in rooms}


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("module_utils._san.plan", "module_utils._san.services.attach"),
        ("module_utils._san.guests.linux.usage", "module_utils._san.hypervisors.kvm.host"),
        ("module_utils._san.hypervisors.vmware.attach", "module_utils._san.hypervisors.hyperv.hardware"),
        ("module_utils._san.services.usage", "module_utils._san.endpoints.arrays"),
        ("module_utils._san.services.usage", "modules.ptd_attach"),
        ("modules.ptd_attach", "filter.spellings"),
        ("plugin_utils._child", "action.ptd_attach"),
        ("module_utils._san.runtime", "plugin_utils._child"),
    ],
)
def test_an_arrow_that_is_inserted_is_found(source: str, target: str) -> None:
    plan = {**arrows(), source: arrows()[source] | {target}}
    assert arrows_that_do_not_run_down(plan) == [f"{source} → {target}"]


def test_a_room_that_nobody_planned_is_refused() -> None:
    with pytest.raises(LookupError, match="is in no room of the plan"):
        room("module_utils._san.attic.box")
