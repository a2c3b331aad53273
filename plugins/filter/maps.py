# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The filters `map_of_endpoints`, `merged_maps` and `who_uses`: storage maps joined, and what one says of a LUN, a volume or an array."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible.utils.display import Display

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import InvalidInput
from ansible_collections.crossvisor.san.plugins.module_utils._san.maps.answer import answer
from ansible_collections.crossvisor.san.plugins.module_utils._san.maps.document import checked, moment
from ansible_collections.crossvisor.san.plugins.module_utils._san.maps.merge import asked_twice, merged, of_results
from ansible_collections.crossvisor.san.plugins.module_utils._san.maps.table import columns_and_rows, csv_lines


def merged_maps(documents: object, expected: Sequence[str] = (), max_age: float = 0) -> dict[str, Any]:
    """One map of all."""
    try:
        if not isinstance(documents, Sequence) or isinstance(documents, str):
            raise InvalidInput("merged_maps takes a list of storage maps.")
        now = time.time()
        one = _warned(merged([checked(document) for document in documents], expected, float(max_age), now))
        return {**one, "generated": one["generated"] or moment(now)}
    except InvalidInput as error:
        raise AnsibleFilterError(str(error)) from None


def map_of_endpoints(results: object) -> dict[str, Any]:
    """One map of what the module told of several endpoints."""
    try:
        if not isinstance(results, Mapping) or not all(isinstance(result, Mapping) for result in results.values()):
            raise InvalidInput("map_of_endpoints takes a dictionary from the name of an endpoint to what vm_storage_map returned.")
        return _warned(of_results({str(name): checked(result) for name, result in results.items()}, time.time()))
    except InvalidInput as error:
        raise AnsibleFilterError(str(error)) from None


def _warned(document: dict[str, Any]) -> dict[str, Any]:
    for sentence in asked_twice(document):
        Display().warning(sentence)
    return document


def who_uses(document: object, what: str) -> dict[str, Any]:
    """The answer, a line each, and whether the map has what was asked for."""
    try:
        told = answer(checked(document), what)
        return {"found": told.found, "lines": list(told.lines)}
    except InvalidInput as error:
        raise AnsibleFilterError(str(error)) from None


def csv_of_map(document: object) -> str:
    """The rows as comma-separated values."""
    try:
        return "\n".join(csv_lines(checked(document)))
    except InvalidInput as error:
        raise AnsibleFilterError(str(error)) from None


def table_of_map(document: object) -> dict[str, list[Any]]:
    """The values of each row, and once what they are."""
    try:
        return columns_and_rows(checked(document))
    except InvalidInput as error:
        raise AnsibleFilterError(str(error)) from None


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {
            "csv_of_map": csv_of_map,
            "map_of_endpoints": map_of_endpoints,
            "merged_maps": merged_maps,
            "table_of_map": table_of_map,
            "who_uses": who_uses,
        }
