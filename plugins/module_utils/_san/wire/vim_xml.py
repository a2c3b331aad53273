# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reading the replies of vSphere's property collector as a stream, one object at a time.

A reply may hold thousands of objects; each is handed out as soon as it is complete, and its memory is given back once the next is there.
"""

from __future__ import annotations

import re
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, cast

from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.limits import LARGEST_RECORD, Excess, in_units

try:
    from lxml import etree

    LXML_IMPORT_ERROR: str | None = None
except ImportError:
    LXML_IMPORT_ERROR = traceback.format_exc()

if TYPE_CHECKING:
    Element = etree._Element
else:
    Element = Any

Trim = Callable[[bytes], bytes]
"""What of a record, as it came, is to be parsed; nothing where all of it is of no use."""

VIM_NAMESPACE = "urn:vim25"
_VIM = f"{{{VIM_NAMESPACE}}}"
_PREFIX = len(_VIM)
_XSI_TYPE = "{http://www.w3.org/2001/XMLSchema-instance}type"
_OBJECTS = f"{_VIM}objects"
_OBJECT = f"{_VIM}obj"
_PROPERTY = f"{_VIM}propSet"
_NAME = f"{_VIM}name"
_VALUE = f"{_VIM}val"
_MISSING = f"{_VIM}missingSet"
_TOKEN = f"{_VIM}token"
_RETURN_VALUE = f"{_VIM}returnval"
_BEGIN_OF_RECORD, _OPEN_RECORD, _END_OF_RECORD = b"<objects>", b"<objects", b"</objects>"
_LAST_IN_RECORD = (b"</propSet>", b"</missingSet>", b"</obj>")
"""What stands before the end of a record, and never before that of something within it that has the same name."""
_MARKUP = b"<!"
"""Comments and CDATA, in which tags are text."""
_MOID = re.compile(rb"\s*<obj [^<>]*>([\w-]+)</obj>")
_PIECE = 1 << 18
_TRUE = frozenset({"true", "1"})


class Source(Protocol):
    """What a reply is read from."""

    def read(self, size: int, /) -> bytes:
        """At most so many bytes, or a few more; none at the end."""


def child(element: Element | None, *names: str) -> Element | None:
    """The element at the end of a path of names; None when any of them is missing."""
    for name in names:
        if element is None:
            return None
        element = next(element.iterchildren(_VIM + name), None)
    return element


def parts(element: Element | None) -> dict[str, Element]:
    """The children of an object by their names, in one pass: for objects of which many properties are read."""
    return {} if element is None else {part.tag[_PREFIX:]: part for part in element}


def children(element: Element | None, *names: str) -> list[Element]:
    """The items of an array: every element with the last name, under the path of the names before it. Without a name: all children."""
    parent = child(element, *names[:-1])
    if parent is None:
        return []
    return parent.findall(_VIM + names[-1]) if names else list(parent)


def text(element: Element | None, *names: str, default: str = "") -> str:
    """The text at the end of a path of names."""
    found = child(element, *names)
    return default if found is None or found.text is None else found.text


def integer(element: Element | None, *names: str) -> int | None:
    """The number at the end of a path of names; None when it is missing or no number."""
    try:
        return int(text(element, *names))
    except ValueError:
        return None


def flag(element: Element | None, *names: str) -> bool:
    """The xsd:boolean at the end of a path of names; missing is false."""
    return text(element, *names).strip() in _TRUE


def type_of(element: Element) -> str:
    """The `xsi:type` of an element without its prefix, such as `VirtualDisk`; empty when it carries none."""
    return str(element.get(_XSI_TYPE, "")).rpartition(":")[2]


@dataclass(frozen=True)
class ObjectRecord:
    """Properties of one managed object. A property that is unset is absent; one that could not be read is in `missing`."""

    type: str
    """The object's own type, which may be a subtype of the one asked for."""
    moid: str
    properties: Mapping[str, Element] = field(default_factory=dict)
    """Property path → its `val` element; valid until the next record is taken."""
    missing: Mapping[str, str] = field(default_factory=dict)
    """Property path → why it could not be read (ObjectContent.missingSet): the fault's message, or its type, such as `NoPermission`."""

    def text(self, path: str, default: str = "") -> str:
        """The text of a property; for a reference to a managed object this is its id."""
        found = self.properties.get(path)
        return default if found is None else found.text or default

    def why_missing(self, path: str) -> str:
        """Why a property, or what it lies in, could not be read; empty when that was not told."""
        return next((why for hidden, why in self.missing.items() if path == hidden or path.startswith(f"{hidden}.")), "")

    def integer(self, path: str) -> int | None:
        """The number in a property, or None."""
        return integer(self.properties.get(path))

    def flag(self, path: str) -> bool:
        """The boolean in a property; missing is false."""
        return flag(self.properties.get(path))

    def items(self, path: str) -> list[Element]:
        """The items of an array property; missing is empty."""
        return children(self.properties.get(path))

    def texts(self, path: str) -> list[str]:
        """The items of an array of strings, or of references to managed objects."""
        return [item.text or "" for item in self.items(path)]


class ReplyStream:
    """One page of a RetrievePropertiesEx or ContinueRetrievePropertiesEx reply; iterate it once, then read `token`."""

    def __init__(self, source: Source, trim: Trim | None = None) -> None:
        """`trim`: what of each record is to be parsed; all, if it is not given."""
        self._sieve = _Sieve(source, trim) if trim else None
        self._source = _Portion(self._sieve or source)
        self._parsed = 0
        self.token = ""
        """For the next page; empty on the last."""

    @property
    def count(self) -> int:
        """Records so far, also those that were of no use."""
        return self._parsed + (self._sieve.dropped if self._sieve else 0)

    def __iter__(self) -> Iterator[ObjectRecord]:
        """Raises whatever reading the source raises, `Excess` for a record that is too large, and `SyntaxError` for what is no reply."""
        events = etree.iterparse(
            cast(Any, self._source),
            events=("end",),
            tag=(_OBJECTS, _TOKEN),
            resolve_entities=False,
            no_network=True,
            load_dtd=False,
        )
        for _event, element in events:
            if not self._parsed:
                _refuse_doctype(element)
            parent = element.getparent()
            if parent is None or parent.tag != _RETURN_VALUE:
                continue
            if element.tag == _TOKEN:
                self.token = element.text or ""
                continue
            yield _record(element)
            self._parsed += 1
            self._source.begin()
            _forget_before(element, parent)


class _Sieve:
    """A source with what of its records is of use. What does not look as vSphere writes it stays, so that nothing is lost."""

    def __init__(self, source: Source, trim: Trim) -> None:
        self._source = source
        self._trim = trim
        self._rest = b""
        self.dropped = 0
        """Records so far."""

    def read(self, size: int) -> bytes:
        """What comes next, also more than `size`; empty at the end."""
        while piece := self._source.read(max(size, _PIECE)):
            *records, self._rest = (self._rest + piece).split(_END_OF_RECORD)
            left = b"".join(map(self._sifted, records))
            if len(self._rest) > LARGEST_RECORD:
                left, self._rest = left + self._rest, b""
            if left:
                return left
        left, self._rest = self._rest, b""
        return left

    def _sifted(self, piece: bytes) -> bytes:
        """What was read up to the end of a record, without what of the record is of no use."""
        before, begin, record = piece.partition(_BEGIN_OF_RECORD)
        if not begin or not record.endswith(_LAST_IN_RECORD) or _OPEN_RECORD in before or _has_markup(piece):
            return piece + _END_OF_RECORD
        used = self._trim(record)
        if used:
            return before + begin + used + _END_OF_RECORD
        self.dropped += 1
        return before


def _has_markup(piece: bytes) -> bool:
    """Whether there are comments or CDATA, by the one of their characters that is rare."""
    return _MARKUP[-1:] in piece and _MARKUP in piece


class _Portion:
    """A source of which no more is read at a time than one record may have."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._count = 0

    def begin(self) -> None:
        """A new record begins."""
        self._count = 0

    def read(self, size: int) -> bytes:
        piece = self._source.read(size)
        self._count += len(piece)
        if self._count > LARGEST_RECORD:
            raise Excess(f"answers with a record of more than {in_units(LARGEST_RECORD)}")
        return piece


def _forget_before(element: Element, parent: Element) -> None:
    """Give back the memory of what came before. Nobody holds any of it by now: what is held takes lxml five times as long to let go."""
    while (before := element.getprevious()) is not None:
        before.clear()
        parent.remove(before)


def _refuse_doctype(element: Element) -> None:
    docinfo: Any = element.getroottree().docinfo  # whose stubs lack the doctype
    if docinfo.doctype:
        raise SyntaxError("a document type declaration")


def moid_in(record: bytes) -> str:
    """The id of the object that a record as it came is about; empty where that does not look as vSphere writes it."""
    found = _MOID.match(record)
    return found[1].decode() if found else ""


def _record(objects: Element) -> ObjectRecord:
    kind = moid = ""
    properties: dict[str, Element] = {}
    missing: dict[str, str] = {}
    for item in objects:
        tag = item.tag
        if tag == _PROPERTY:
            name, value = "", None
            for part in item:
                if part.tag == _VALUE:
                    value = part
                elif part.tag == _NAME:
                    name = part.text or ""
            if value is not None:
                properties[name] = value
        elif tag == _OBJECT:
            kind, moid = str(item.get("type", "")), item.text or ""
        elif tag == _MISSING:
            missing[text(item, "path")] = _reason(child(item, "fault"))
    return ObjectRecord(kind, moid, properties, missing)


def _reason(fault: Element | None) -> str:
    """What a LocalizedMethodFault says, without an end of a sentence."""
    kind = child(fault, "fault")
    return text(fault, "localizedMessage").strip().rstrip(".") or (type_of(kind) if kind is not None else "")
