# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What every module's `main` shares: the endpoints that it was given, and the one place where errors become messages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.crossvisor.san.plugins.module_utils import connection
from ansible_collections.crossvisor.san.plugins.module_utils.arrays import pool as arrays
from ansible_collections.crossvisor.san.plugins.module_utils.arrays.base import Array
from ansible_collections.crossvisor.san.plugins.module_utils.connection import Connection
from ansible_collections.crossvisor.san.plugins.module_utils.errors import CrossvisorError, InvalidInput
from ansible_collections.crossvisor.san.plugins.module_utils.hypervisors import pool as hypervisors
from ansible_collections.crossvisor.san.plugins.module_utils.hypervisors.base import Hypervisor
from ansible_collections.crossvisor.san.plugins.module_utils.services.array_view import ArraySource


def hypervisor_option(**settings: Any) -> dict[str, Any]:
    """The argument spec of `hypervisor`."""
    return connection.connection_option(connection.HYPERVISOR, hypervisors.TYPES, **settings)


def array_option(**settings: Any) -> dict[str, Any]:
    """The argument spec of `array`, or of `arrays` with `type="list", elements="dict"`."""
    return connection.connection_option(connection.ARRAY, arrays.TYPES, **settings)


def run(module: AnsibleModule, action: Callable[[], Mapping[str, Any]]) -> None:
    """Do a module's work and return its result; a foreseeable failure is told in its one sentence."""
    try:
        module.exit_json(**action())
    except CrossvisorError as error:
        module.fail_json(msg=f"{str(error).rstrip('.')}.")


def names_hypervisor(module: AnsibleModule) -> bool:
    """Tell whether a hypervisor's endpoint was named, by option or environment."""
    return hypervisors.has_endpoint(connection.connection(connection.HYPERVISOR, module.params["hypervisor"]))


def open_hypervisor(module: AnsibleModule) -> Hypervisor:
    """Log in to the hypervisor that the module was given. Raises a `CrossvisorError`."""
    given = connection.connection(connection.HYPERVISOR, module.params["hypervisor"])
    if not hypervisors.has_endpoint(given):
        given.required("hostname")
    _descriptor, complete = hypervisors.resolve(given)
    return hypervisors.open_hypervisor(_kept_secret(module, complete))


def open_array(module: AnsibleModule, params: Mapping[str, Any] | None) -> Array:
    """Open the array that these options, or the environment, name. Raises a `CrossvisorError`."""
    _descriptor, complete = arrays.resolve(connection.connection(connection.ARRAY, params))
    return arrays.open_array(_kept_secret(module, complete))


def array_sources(module: AnsibleModule) -> list[ArraySource]:
    """The arrays of the option `arrays`, else the one of the environment, else none; opened only when they are asked."""
    listed: list[Mapping[str, Any]] = module.params["arrays"]
    if not listed and connection.connection(connection.ARRAY, None).hostname is None:
        return []
    return [_source(module, params) for params in listed or [{}]]


def _source(module: AnsibleModule, params: Mapping[str, Any]) -> ArraySource:
    given = connection.connection(connection.ARRAY, params)
    if given.hostname is None:
        raise InvalidInput("An entry of arrays has no hostname: give the name or address of its management interface.")
    return ArraySource(str(given), lambda: open_array(module, params))


def _kept_secret(module: AnsibleModule, complete: Connection) -> Connection:
    if complete.password:
        module.no_log_values.add(complete.password)
    return complete
