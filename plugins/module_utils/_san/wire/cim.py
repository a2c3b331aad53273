# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""WMI over a WS-Management session: declared classes in, typed instances out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from ansible_collections.crossvisor.san.plugins.module_utils._san.wire import cim_xml, wql, wsman
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.cim_path import Key, ObjectPath
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.cim_types import CimClass, CimInstance, CimValue, Types
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.wql import Condition
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.wsman_envelope import Reference

RETURN_VALUE = "ReturnValue"
Keys = Mapping[str, Key]


class CimClient:
    """Reads and changes WMI objects. Every method raises the `CrossvisorError`s of `WsmanSession`."""

    def __init__(self, session: wsman.WsmanSession) -> None:
        self.session = session

    def query(self, cim_class: CimClass, where: Condition | None = None, columns: Sequence[str] = ()) -> Iterator[CimInstance]:
        """Instances of a class and its subclasses: whole ones, or of each only these columns, which makes the answers smaller.

        A projected instance does not tell whether it is of a subclass.
        """
        statement = wql.select(cim_class.name, columns, where)
        types = {name: kind for name, kind in cim_class.types.items() if not columns or name.partition(".")[0] in columns}
        for item in self.session.query(cim_class.namespace, statement):
            yield cim_xml.decode(item, types, cim_class.name)

    def associators(self, path: ObjectPath, result: CimClass, association: str | None = None) -> Iterator[CimInstance]:
        """The instances of a class at the other end of an object's associations, of one class of association or of any."""
        for item in self.session.query(path.namespace, wql.associators_of(path, association, result.name)):
            yield cim_xml.decode(item, result.types, result.name)

    def get(self, cim_class: CimClass, keys: Keys | CimInstance) -> CimInstance:
        """One instance. Raises `RemoteError` with a code in `wsman_fault.MISSING` when there is none."""
        return self.follow(cim_class.reference(keys), cim_class.types)

    def follow(self, reference: Reference, types: Types) -> CimInstance:
        """The instance that a reference means, with the types of its properties."""
        return cim_xml.decode(self.session.get(reference.resource_uri, reference.selectors), types)

    def call(
        self,
        cim_class: CimClass,
        method: str,
        keys: Keys | CimInstance | None = None,
        parameters: Mapping[str, CimValue] | None = None,
        *,
        outputs: Types | None = None,
        repeatable: bool = False,
        timeout: float | None = None,
    ) -> CimInstance:
        """Call a method of an instance, or without keys a static one, and return its outputs, `ReturnValue` among them.

        A parameter that is None is sent as null. `outputs` declares the types of output parameters. `repeatable` is for methods that
        only read; the answer of any other, when lost, raises `OutcomeUnknown`. What a return value means is told by `cim_job.perform`.
        """
        reference = Reference(cim_class.uri) if keys is None else cim_class.reference(keys)
        uri = reference.resource_uri
        elements = [part for name, value in (parameters or {}).items() for part in cim_xml.encode(name, value, uri)]
        answer = self.session.invoke(uri, reference.selectors, method, elements, repeatable=repeatable, timeout=timeout)
        return cim_xml.decode(answer, {RETURN_VALUE: "uint32", **(outputs or {})})
