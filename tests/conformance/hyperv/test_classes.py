# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lab's classes and those that the client knows, against what two releases of Windows say of theirs.

Neither has to know everything; what either knows has to be there, under this name and of this type. `windows-classes.tsv` comes from
bindings that were generated from real machines, in the words of their language: a date is a string, a reference is what it leads to,
an enumeration has a name of its own. Of the private properties of a cluster, which are added as each resource type has them, it tells
nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.windows import classes as guest_classes
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv import classes as host_classes
from ansible_collections.crossvisor.san.plugins.module_utils._san.windows import storage_classes
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.cim_types import CimClass
from tests.lab.hyperv.installation import CLASSES, schema
from tests.lab.hyperv.mof import SCALARS, Element, Method, read_schema
from tests.lab.hyperv.mof import CimClass as LabClass

FACTS = Path(__file__).with_name("windows-classes.tsv")
NAMESPACES = {
    "cimv2": "root/cimv2",
    "storage": "root/microsoft/windows/storage",
    "wmi": "root/wmi",
    "virtualization": "root/virtualization/v2",
    "mscluster": "root/mscluster",
}
"""File of the lab's classes → the namespace that has them; root/default has StdRegProv as root/cimv2 has."""
PRIVATE = "MSCluster_Property"
"""The carrier of private properties."""
SAME = {"boolean": "bool", "datetime": "string", "char16": "byte", **{f"sint{bits}": f"int{bits}" for bits in (8, 16, 32, 64)}}
BUILT_IN = frozenset({"string", "bool", "byte", *(f"{sign}int{bits}" for sign in ("u", "") for bits in (8, 16, 32, 64))})

CLASS_PREFIXES = ("CIM_", "MSCluster_", "MSFC_", "MSFT_", "Msvm_", "Win32_")
"""What tells the name of a class from that of an enumeration."""


@dataclass(frozen=True)
class Fact:
    """A line of the facts."""

    name: str
    """As it is written there, of a class with its superclasses."""
    type: str

    @property
    def own(self) -> str:
        """The name of the property or method alone."""
        return self.name.partition(".")[2]

    @property
    def parameters(self) -> Mapping[str, tuple[str, str]]:
        """Of a method: name → direction and type."""
        parts = [part.split(" ") for part in self.type.strip("()").split(", ") if part]
        return {name: (direction, kind) for direction, name, kind in parts}


@cache
def facts() -> Mapping[tuple[str, str, str], Fact]:
    """By namespace, kind (`class`, `prop`, `method`) and name in lower case."""
    lines = [line.split("\t") for line in FACTS.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    rows = ((space, kind, name, (rest or [""])[0]) for space, kind, name, *rest in lines)
    return {(space, kind, name.partition("<")[0].lower()): Fact(name, told) for space, kind, name, told in rows}


def fits(mine: str, array: bool, real: str) -> bool:
    """Whether a type is the real one, in the words of the bindings."""
    if array != real.startswith("[]"):
        return False
    bare = real.removeprefix("[]")
    if mine not in SCALARS:
        return bare.startswith(CLASS_PREFIXES)
    return bare == SAME.get(mine, mine) or not (bare in BUILT_IN or bare.startswith(CLASS_PREFIXES) or mine == "boolean")


def in_lab(element: Element, real: str) -> bool:
    """Whether the lab's property or parameter is of the real type; an instance inside has to be of this very class."""
    return fits(element.type, element.array, real) and (not element.embedded or element.type == real.removeprefix("[]"))


def wrong_properties(space: str, lab: LabClass) -> Iterator[str]:
    for name, element in lab.properties.items():
        fact = facts().get((space, "prop", f"{lab.name}.{name}".lower()))
        if fact is None or fact.own != name or not in_lab(element, fact.type):
            yield f"{lab.name}.{name} is a {element.type}{'[]' * element.array}, on Windows {fact}"


def wrong_parameters(fact: Fact, method: Method) -> Iterator[str]:
    for element in method.parameters:
        direction, kind = fact.parameters.get(element.name, ("", ""))
        if direction not in element.qualifiers or len(element.qualifiers & {"in", "out"}) != 1 or not in_lab(element, kind):
            yield f"{fact.name} has no parameter {element.name} like that: {fact.type}"


def wrong_methods(space: str, lab: LabClass) -> Iterator[str]:
    for name, method in lab.methods.items():
        fact = facts().get((space, "method", f"{lab.name}.{name}".lower()))
        if fact is None or fact.own != name:
            yield f"{lab.name}.{name} is no method on Windows"
        else:
            yield from wrong_parameters(fact, method)


def wrong_ancestry(space: str, lab: LabClass) -> Iterator[str]:
    fact = facts().get((space, "class", lab.name.lower()))
    real = iter(fact.name.lower().split("<") if fact else ())
    if not all(ancestor in real for ancestor in lab.ancestry):
        yield f"{lab.name} descends from {lab.ancestry}, on Windows {fact}"


@pytest.mark.parametrize("file", sorted(NAMESPACES))
def test_what_the_lab_offers_is_there_on_windows(file: str) -> None:
    found = [lab for lab in schema(file).values() if lab.name != PRIVATE]
    checks = (wrong_ancestry, wrong_properties, wrong_methods)
    assert found
    assert [wrong for lab in found for check in checks for wrong in check(NAMESPACES[file], lab)] == []


def test_every_file_of_classes_is_compared() -> None:
    assert {file.stem for file in CLASSES.glob("*.mof")} == set(NAMESPACES)


def known() -> list[CimClass]:
    """Every class that the client knows."""
    modules = (storage_classes, host_classes, guest_classes)
    found = [value for module in modules for value in vars(module).values() if isinstance(value, CimClass)]
    return list({(known.namespace, known.name, tuple(known.types)): known for known in found}.values())


def owner_of(space: str, path: str, cim_class: CimClass) -> tuple[str, str]:
    """The class and name of a property, where it may be one of an instance inside: `Attributes.PortWWN`."""
    outer, _between, inner = path.partition(".")
    if not inner:
        return cim_class.name, outer
    return facts()[space, "prop", f"{cim_class.name}.{outer}".lower()].type, inner


def wrong_in_client(cim_class: CimClass) -> Iterator[str]:
    space = cim_class.namespace.lower()
    if (space, "class", cim_class.name.lower()) not in facts():
        yield f"{space} has no class {cim_class.name}"
        return
    for path, kind in {**dict.fromkeys(cim_class.keys, ""), **cim_class.types}.items():
        owner, name = owner_of(space, path, cim_class)
        fact = facts().get((space, "prop", f"{owner}.{name}".lower()))
        fitting = fact is not None and (not kind or fits(kind.removesuffix("[]"), kind.endswith("[]"), fact.type))
        if owner != PRIVATE and (fact is None or fact.name != f"{owner}.{name}" or not fitting):
            yield f"{cim_class.name}.{path} is a {kind or 'key'}, on Windows {fact}"


@pytest.mark.parametrize("cim_class", known(), ids=lambda cim_class: f"{cim_class.namespace}-{cim_class.name}")
def test_what_the_client_knows_is_there_on_windows(cim_class: CimClass) -> None:
    assert list(wrong_in_client(cim_class)) == []


@pytest.mark.parametrize(
    ("mine", "array", "real", "same"),
    [
        ("uint32", False, "uint32", True),
        ("uint16", True, "[]uint16", True),
        ("datetime", False, "string", True),
        ("uint16", False, "ConcreteJob_JobType", True),
        ("uint64", False, "uint32", False),
        ("uint16", False, "[]uint16", False),
        ("boolean", False, "uint8", False),
        ("uint16", False, "CIM_ManagedElement", False),
        ("reference", False, "CIM_ManagedElement", True),
        ("reference", False, "string", False),
    ],
)
def test_types_are_compared_in_the_words_of_the_bindings(mine: str, array: bool, real: str, same: bool) -> None:
    assert fits(mine, array, real) is same


def test_what_the_lab_invents_is_found(tmp_path: Path) -> None:
    text = """
        class CIM_LogicalDevice { [key] string DeviceID; };
        class CIM_ManagedElement { };
        class Msvm_DiskDrive : CIM_LogicalDevice { uint64 DriveNumber; string DiskIdentifier; };
        class Msvm_ConcreteJob : CIM_LogicalDevice { uint32 GetError([in] string Error, [out] string Reason); uint32 Forget(); };
    """
    (tmp_path / "invented.mof").write_text(text, encoding="utf-8")
    drive, job = list(read_schema(tmp_path / "invented.mof").values())[2:]
    space = NAMESPACES["virtualization"]
    assert [text.partition(" ")[0] for text in wrong_properties(space, drive)] == [
        "Msvm_DiskDrive.DriveNumber",
        "Msvm_DiskDrive.DiskIdentifier",
    ]
    assert list(wrong_ancestry(space, drive)) == []
    assert [text.partition(" descends")[0] for text in wrong_ancestry(space, job)] == ["Msvm_ConcreteJob"]
    assert [text.split(":")[0] for text in wrong_methods(space, job)] == [
        "Msvm_ConcreteJob.GetError has no parameter Error like that",
        "Msvm_ConcreteJob.GetError has no parameter Reason like that",
        "Msvm_ConcreteJob.Forget is no method on Windows",
    ]


def test_what_the_client_invents_is_found() -> None:
    invented = CimClass("root/MSCluster", "MSCluster_Resource", ("Name",), {"Name": "string", "InternalState": "string", "State": "string"})
    assert [text.partition(" ")[0] for text in wrong_in_client(invented)] == [
        "MSCluster_Resource.InternalState",
        "MSCluster_Resource.State",
    ]
