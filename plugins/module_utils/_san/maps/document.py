# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The storage map as it stands in `storage_map.json`: what the files beside this one read, make and join."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import InvalidInput

MAPPINGS = "mappings"
VIRTUAL_MACHINES = "virtual_machines"
STORAGE_RESOURCES = "storage_resources"
PARTS = (MAPPINGS, VIRTUAL_MACHINES, STORAGE_RESOURCES)
ENDPOINTS = "endpoints"
SUPERSEDED = "superseded"
"""Of a merge: when endpoints were read whose maps do not count."""

OK = "ok"
STALE = "stale"
MISSING = "missing"
UNRESOLVED = "unresolved"

Row = Mapping[str, Any]
Document = Mapping[str, Any]
Identity = tuple[str, str, str]
"""Name in the inventory, type and address of an endpoint: several may stand behind one address."""

_TIME = "%Y-%m-%dT%H:%M:%SZ"


def checked(document: object) -> Document:
    """The document, whose parts are lists of dictionaries wherever they are there. Raises `InvalidInput` for anything else."""
    if not isinstance(document, Mapping):
        raise InvalidInput("A storage map is a dictionary, as vm_storage_map returns it and storage_map.json holds it.")
    for part in (*PARTS, ENDPOINTS, SUPERSEDED):
        rows = document.get(part, [])
        if not isinstance(rows, Sequence) or isinstance(rows, str) or not all(isinstance(row, Mapping) for row in rows):
            raise InvalidInput(f"{part} of a storage map is a list of dictionaries, as vm_storage_map returns it.")
    return document


def rows_of(document: Document, part: str) -> Sequence[Row]:
    """The rows of one part, none where it was not gathered."""
    rows: Sequence[Row] = document.get(part, [])
    return rows


def text(row: Row, column: str) -> str:
    """A cell as text, empty where it is unknown."""
    value = row.get(column)
    return "" if value is None else str(value)


def number(row: Row, column: str) -> int | None:
    """A cell as a whole number, None where it is none."""
    value = row.get(column)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def endpoint_of(row: Row) -> str:
    """The inventory's name of the endpoint that told the row, else its address."""
    return text(row, "endpoint") or text(row, "hypervisor")


def identity_of(row: Row) -> Identity:
    """Which endpoint told the row."""
    return endpoint_of(row), text(row, "hypervisor_type"), text(row, "hypervisor")


def endpoints_of(document: Document) -> list[Row]:
    """The endpoints that the document lists, and those that only its rows name."""
    listed = list(rows_of(document, ENDPOINTS))
    known = {(text(endpoint, "name"), text(endpoint, "type"), text(endpoint, "address")) for endpoint in listed}
    told: dict[Identity, Row] = {}
    for row in (row for part in PARTS for row in rows_of(document, part)):
        name, kind, address = identity = identity_of(row)
        if identity not in known and (name or address):
            told[identity] = {
                "name": name,
                "type": kind,
                "address": address,
                "observed": text(row, "observed"),
                "status": OK,
                "reason": "",
                "warnings": [],
            }
    return [*listed, *told.values()]


def seconds(moment: str) -> float | None:
    """A moment as the map writes it, in seconds since 1970; None for what is none."""
    try:
        return datetime.strptime(moment, _TIME).replace(tzinfo=timezone.utc).timestamp()
    except ValueError:
        return None


def moment(of: float) -> str:
    """Seconds since 1970 as the map writes a moment."""
    return datetime.fromtimestamp(of, tz=timezone.utc).strftime(_TIME)


def oldest_first(rows: Iterable[Row]) -> list[Row]:
    """The rows in the order in which they were observed, so that what is taken last is newest."""
    return sorted(rows, key=lambda row: text(row, "observed"))
