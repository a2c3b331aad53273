# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The arrays that a module was given, by its options or the environment."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.crossvisor.san.plugins.module_utils._san import wishes
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays import pool
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.base import Array, LunAddress
from ansible_collections.crossvisor.san.plugins.module_utils._san.connection import ARRAY, Connection, connection, connection_option
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import InvalidInput
from ansible_collections.crossvisor.san.plugins.module_utils._san.runtime import kept_secret
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.array_view import ArraySource


def array_option() -> dict[str, Any]:
    """The argument spec of `array`."""
    return connection_option(ARRAY, pool.TYPES)


def arrays_option() -> dict[str, Any]:
    """The argument spec of `arrays`."""
    return connection_option(ARRAY, pool.TYPES, type="list", elements="dict", default=[])


def luns_option() -> dict[str, Any]:
    """The argument spec of `luns`, each by its identity or by its place."""
    names = {"naa": {}, "serial": {}, "svm": {}, "volume": {}, "name": {"aliases": ["lun"]}}
    return {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {name: {"type": "str", **settings} for name, settings in names.items()},
        "required_together": [("svm", "volume", "name")],
        "required_one_of": [("naa", "serial", "name")],
        "mutually_exclusive": [("naa", "serial", "name")],
    }


def luns_named(rows: Sequence[Mapping[str, Any]]) -> list[LunAddress | ScsiName]:
    """The LUNs that such an option names, each once. Raises `InvalidInput`."""
    return list(dict.fromkeys(_lun_named(row) for row in rows))


def _lun_named(row: Mapping[str, Any]) -> LunAddress | ScsiName:
    if row.get("name"):
        return LunAddress(row["svm"], row["volume"], row["name"])
    return wishes.lun_name(row.get("naa"), row.get("serial"))


def names_array(module: AnsibleModule) -> bool:
    """Tell whether an array was named, by the option `array` or the environment."""
    return connection(ARRAY, module.params["array"]).hostname is not None


def open_array(module: AnsibleModule, params: Mapping[str, Any] | None) -> Array:
    """Open the array that these options, or the environment, name. Raises a `CrossvisorError`."""
    return open_given(params, lambda complete: kept_secret(module, complete))


def open_given(params: Mapping[str, Any] | None, kept: Callable[[Connection], Connection]) -> Array:
    """The same where there is no module; `kept` is told of the password before it is used."""
    descriptor, complete = pool.resolve(connection(ARRAY, params))
    return descriptor.open(kept(complete))


def array_sources(module: AnsibleModule) -> list[ArraySource]:
    """The arrays of the option `arrays`, else the one of the environment, else none; opened only when they are asked."""
    return sources(module.params["arrays"], lambda params: open_array(module, params))


def sources(listed: Sequence[Mapping[str, Any]], opened: Callable[[Mapping[str, Any]], Array]) -> list[ArraySource]:
    """The listed arrays, else the one of the environment, else none; each is `opened` only when it is asked."""
    if not listed and connection(ARRAY, None).hostname is None:
        return []
    return [_source(params, opened) for params in listed or [{}]]


def _source(params: Mapping[str, Any], opened: Callable[[Mapping[str, Any]], Array]) -> ArraySource:
    given = connection(ARRAY, params)
    if given.hostname is None:
        raise InvalidInput("An entry of arrays has no hostname: give the name or address of its management interface.")
    return ArraySource(str(given), lambda: opened(params))
