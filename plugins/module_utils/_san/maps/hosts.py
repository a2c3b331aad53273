# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The VMs of a storage map as hosts of an Ansible inventory, in groups of where they are and what they lie on."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.crossvisor.san.plugins.module_utils._san.maps.document import (
    MAPPINGS,
    UNRESOLVED,
    VIRTUAL_MACHINES,
    Document,
    Row,
    rows_of,
    text,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName

UNRESOLVED_GROUP = "crossvisor_unresolved"

_NO_WORD = re.compile(r"[^A-Za-z0-9_]")
_NO_HOST = re.compile(r"""[{}\[\],:;&!~*?|<>"'`\\/]""")
"""What a pattern of hosts, a template or a shell would read."""


@dataclass(frozen=True)
class Group:
    """A group by the name that people use, such as `volume_vol_prod`, and the one below it that is only this very thing."""

    short: str
    exact: str
    thing: tuple[str, ...]
    """What tells it from everything else of its kind."""


@dataclass(frozen=True)
class Machine:
    """A VM with what an inventory holds of it."""

    name: str
    """As the hypervisor has it."""
    id: str
    endpoint: str
    variables: Mapping[str, Any]
    groups: Sequence[Group]
    unresolved: bool


def machines(endpoint: str, document: Document) -> list[Machine]:
    """Every VM of the map of one endpoint, also those without a disk."""
    rows: dict[str, list[Row]] = defaultdict(list)
    for row in rows_of(document, MAPPINGS):
        rows[text(row, "vm_id")].append(row)
    return [_machine(endpoint, vm, rows[text(vm, "id")], document) for vm in rows_of(document, VIRTUAL_MACHINES)]


def _machine(endpoint: str, vm: Row, rows: Sequence[Row], document: Document) -> Machine:
    kind, address = text(document, "type"), text(document, "address")
    variables = {
        "endpoint": endpoint,
        "hypervisor_type": kind,
        "hypervisor": address,
        "cluster": text(vm, "cluster"),
        "host": text(vm, "host"),
        "vm_name": text(vm, "name"),
        "vm_id": text(vm, "id"),
        "vm_uuid": text(vm, "uuid"),
        "folder": text(vm, "folder"),
        "power": text(vm, "power"),
        "disks": [dict(row) for row in rows],
        "arrays": _each(rows, "array"),
        "svms": _each(rows, "svm"),
        "volumes": _each(rows, "volume"),
        "luns": _each(rows, "lun_path"),
        "naas": _each(rows, "naa"),
    }
    groups = dict.fromkeys([*_places(endpoint, kind, vm), *(group for row in rows for group in _storage(row))])
    return Machine(
        name=text(vm, "name"),
        id=text(vm, "id"),
        endpoint=endpoint,
        variables={f"crossvisor_{name}": value for name, value in variables.items()},
        groups=list(groups),
        unresolved=any(text(row, "status") == UNRESOLVED for row in rows),
    )


def _each(rows: Iterable[Row], column: str) -> list[str]:
    return sorted({text(row, column) for row in rows} - {""})


def _places(endpoint: str, kind: str, vm: Row) -> Iterator[Group]:
    yield _group("endpoint", endpoint)
    if kind:
        yield _group("hypervisor", kind)
    for where in ("cluster", "host"):
        if text(vm, where):
            yield _group(where, endpoint, text(vm, where))


def _storage(row: Row) -> Iterator[Group]:
    array, svm, volume, naa = (text(row, column) for column in ("array", "svm", "volume", "naa"))
    if array:
        yield _group("array", array)
    if svm:
        yield _group("svm", array, svm)
    if volume:
        yield _group("volume", array, svm, volume)
    if naa:
        leaf = text(row, "lun_path").rpartition("/")[2]
        exact = f"lun_{word(naa)}"
        yield Group(f"lun_{word(leaf)}" if leaf and not ScsiName.try_parse(leaf) else exact, exact, (naa,))


def _group(kind: str, *thing: str) -> Group:
    return Group(f"{kind}_{word(thing[-1])}", "_".join([kind, *map(word, thing)]), thing)


def word(name: str) -> str:
    """A name as part of the name of a group, which holds letters, digits and underscores."""
    return _NO_WORD.sub("_", name)


def host_name(name: str) -> str:
    """A name as that of a host, without what a pattern, a template or a terminal would take for something else."""
    plain = "".join("_" if unicodedata.category(character).startswith("C") else character for character in name)
    return _NO_HOST.sub("_", plain).strip().lstrip("-")


def names(wished: Sequence[str], found: Sequence[Machine]) -> list[str]:
    """A name for each VM, no two the same: as wished, and of those that are alike with the endpoint, or the VM's identifier too."""
    wishes = [wish or host_name(machine.id) for wish, machine in zip(wished, found)]
    by_endpoint = [f"{wish}_{host_name(machine.endpoint)}" for wish, machine in zip(wishes, found)]
    by_id = [f"{name}_{host_name(machine.id)}" for name, machine in zip(by_endpoint, found)]
    for longer in (by_endpoint, by_id, [f"{name}_{number}" for number, name in enumerate(by_id)]):
        many = Counter(wishes)
        wishes = [more if many[name] > 1 else name for name, more in zip(wishes, longer)]
    return wishes


def alike(groups: Iterable[Group]) -> dict[str, list[str]]:
    """The exact groups whose names several things share, because of what a group's name cannot hold, with those things."""
    things: dict[str, set[str]] = defaultdict(set)
    for group in groups:
        things[group.exact].add("/".join(group.thing))
    return {name: sorted(found) for name, found in sorted(things.items()) if len(found) > 1}
