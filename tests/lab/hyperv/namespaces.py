# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A CIM namespace of one machine: its classes, who provides their instances and methods, and the graph of its associations."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from tests.lab.hyperv.cim import Instance, ObjectPath, Row, Value
from tests.lab.hyperv.faults import WBEM_E_PROVIDER_NOT_CAPABLE, ProviderFault, not_found, refuse
from tests.lab.hyperv.mof import CimClass, Method, Schema
from tests.lab.hyperv.wql import Select, Walk


@dataclass(frozen=True)
class Call:
    """One invocation; ``instance`` is None for a static method."""

    instance: Instance | None
    arguments: Mapping[str, Value]

    def key(self, name: str) -> str:
        """Return a property of the instance as text."""
        assert self.instance is not None
        return str(self.instance.get(name))

    def text(self, name: str) -> str:
        """Return an argument as text, empty when it was not given."""
        value = self.arguments.get(name)
        return "" if value is None else str(value)

    def number(self, name: str, default: int = 0) -> int:
        """Return an argument as a number."""
        value = self.arguments.get(name)
        return value if isinstance(value, int) else default

    def flag(self, name: str) -> bool:
        """Return whether a boolean argument is true."""
        return self.arguments.get(name) is True

    def list(self, name: str) -> list[object]:
        """Return an array argument."""
        value = self.arguments.get(name)
        return list(value) if isinstance(value, (list, tuple)) else []


Source = Callable[[], Iterable[Row]]
Handler = Callable[[Call], Mapping[str, Value]]
Putter = Callable[[Instance, Mapping[str, Value]], None]


@dataclass
class Provider:
    """What one part of a machine adds to a namespace, by the names of classes (and methods)."""

    sources: dict[str, Source] = field(default_factory=dict)
    methods: dict[tuple[str, str], Handler] = field(default_factory=dict)
    puts: dict[str, Putter] = field(default_factory=dict)


class Namespace:
    """The classes of a namespace with their providers."""

    def __init__(self, name: str, schema: Schema, providers: Iterable[Provider], server: str = "") -> None:
        self.name = name
        self.server = server
        self.schema = schema
        self._sources: dict[str, Source] = {}
        self._methods: dict[tuple[str, str], Handler] = {}
        self._puts: dict[str, Putter] = {}
        for provider in providers:
            self._sources |= {_known(schema, owner).name: source for owner, source in provider.sources.items()}
            self._puts |= {_known(schema, owner).name: put for owner, put in provider.puts.items()}
            self._methods |= {
                (_known(schema, owner).name, _method(schema, owner, name).name): handler
                for (owner, name), handler in provider.methods.items()
            }

    def cim_class(self, name: str) -> CimClass | None:
        """Return the class of this name, in whatever case."""
        return self.schema.get(name.lower())

    def instances(self, cim_class: CimClass) -> Iterator[Instance]:
        """Yield the instances of the class and of those derived from it."""
        for owner, source in self._sources.items():
            known = self.schema[owner.lower()]
            if known.is_a(cim_class.name):
                yield from (Instance(known, row, self.server) for row in source())

    def find(self, path: ObjectPath) -> Instance:
        """Return the instance at the path; raises WsmanFault when class or keys are wrong, ProviderFault when there is none."""
        cim_class = self.cim_class(path.class_name)
        if cim_class is None:
            raise refuse("DestinationUnreachable")
        check_keys(cim_class, path)
        found = next((instance for instance in self.instances(cim_class) if instance.path.identity == path.identity), None)
        if found is None:
            raise not_found(path)
        return found

    def handler(self, cim_class: CimClass, method: Method) -> Handler:
        """Return who does the method of the class; raises ProviderFault when nobody does."""
        owner: CimClass | None = cim_class
        while owner is not None:
            if (owner.name, method.name) in self._methods:
                return self._methods[owner.name, method.name]
            owner = owner.base
        raise ProviderFault(
            WBEM_E_PROVIDER_NOT_CAPABLE, f"Provider is not capable of the attempted operation: {cim_class.name}.{method.name}. "
        )

    def putter(self, cim_class: CimClass) -> Putter:
        """Return who writes instances of the class; raises ProviderFault when nobody does."""
        if cim_class.name not in self._puts:
            raise ProviderFault(
                WBEM_E_PROVIDER_NOT_CAPABLE, f"Provider is not capable of the attempted operation: {cim_class.name} is read-only. "
            )
        return self._puts[cim_class.name]

    def select(self, query: Select) -> list[Instance]:
        """Return what a SELECT finds; raises WsmanFault when there is no such class, WqlError when the query does not fit it."""
        cim_class = self.cim_class(query.class_name)
        if cim_class is None:
            raise refuse("DestinationUnreachable")
        predicate = query.bind(cim_class)
        return [instance for instance in self.instances(cim_class) if predicate(instance)]

    def walk(self, walk: Walk) -> list[Instance]:
        """Return what an ASSOCIATORS OF or REFERENCES OF finds."""
        source = self.find(walk.source).path
        links = self._links(source, walk)
        if walk.references:
            return [link for link, _second, _third in links]
        ends = dict.fromkeys(
            (path.class_name, path.identity)
            for link, role, _third in links
            for name, path in _references(link)
            if name != role and (not walk.result_role or name.lower() == walk.result_role.lower())
        )
        classes = {name for name, _second in ends}
        found = {
            (instance.path.class_name, instance.path.identity): instance
            for name in classes
            for instance in self.instances(self.schema[name.lower()])
        }
        wanted = [found[end] for end in ends if end in found]
        return [instance for instance in wanted if not walk.result or instance.cim_class.is_a(walk.result)]

    def _links(self, source: ObjectPath, walk: Walk) -> list[tuple[Instance, str, ObjectPath]]:
        filtered = walk.result if walk.references else walk.association
        if (filtered and (known := self.cim_class(filtered)) is None) or (filtered and known is not None and not known.association):
            raise refuse("DestinationUnreachable")
        classes = [name for name in self._sources if _is_link(self.schema[name.lower()], filtered)]
        links = (Instance(self.schema[name.lower()], row, self.server) for name in classes for row in self._sources[name]())
        return [
            (link, role, path)
            for link in links
            for role, path in _references(link)
            if path.identity == source.identity
            and path.class_name.lower() == source.class_name.lower()
            and (not walk.role or role.lower() == walk.role.lower())
        ]


def check_keys(cim_class: CimClass, path: ObjectPath) -> None:
    """Raise WsmanFault unless the path has exactly the keys of the class."""
    given, wanted = {name.lower() for name, _second in path.keys}, {key.lower() for key in cim_class.keys}
    if missing := wanted - given:
        raise refuse("InsufficientSelectors", f"Missing: {', '.join(sorted(missing))}. ")
    if unknown := given - wanted:
        raise refuse("UnexpectedSelectors", f"Unknown: {', '.join(sorted(unknown))}. ")


def _known(schema: Schema, name: str) -> CimClass:
    return schema[name.lower()]


def _method(schema: Schema, owner: str, name: str) -> Method:
    method = _known(schema, owner).method(name)
    if method is None:
        raise KeyError(f"{owner} has no method {name}")
    return method


def _is_link(cim_class: CimClass, filtered: str) -> bool:
    return cim_class.association and (not filtered or cim_class.is_a(filtered))


def _references(link: Instance) -> Iterator[tuple[str, ObjectPath]]:
    for name, value in link.values.items():
        if isinstance(value, ObjectPath):
            yield name, value
