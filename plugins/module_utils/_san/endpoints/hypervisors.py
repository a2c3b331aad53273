# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The hypervisor that a module was given, by its option or the environment."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.crossvisor.san.plugins.module_utils._san.connection import HYPERVISOR, Connection, connection, connection_option
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import InvalidInput
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors import pool
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.base import Hypervisor
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.several import Endpoint, Several
from ansible_collections.crossvisor.san.plugins.module_utils._san.runtime import kept_secret


def hypervisor_option(**settings: Any) -> dict[str, Any]:
    """The argument spec of `hypervisor`."""
    return connection_option(HYPERVISOR, pool.TYPES, **settings)


def hypervisors_option() -> dict[str, Any]:
    """The argument spec of `hypervisors`, for what is asked of several."""
    return hypervisor_option(type="list", elements="dict", default=[])


def names_hypervisor(module: AnsibleModule) -> bool:
    """Tell whether a hypervisor's endpoint was named, by option or environment."""
    return bool(module.params.get("hypervisors")) or _names_one(module)


def open_hypervisor(module: AnsibleModule) -> Hypervisor:
    """Log in to the hypervisor that the module was given, or stand for the several that it was given. Raises a `CrossvisorError`."""

    def kept(complete: Connection) -> Connection:
        return kept_secret(module, complete)

    listed = module.params.get("hypervisors") or []
    if not listed:
        return open_given(module.params["hypervisor"], kept)
    beside = [_endpoint(params, kept) for params in listed]
    first = [_first(module.params["hypervisor"], kept)] if _names_one(module) else []
    return Several([*{endpoint.name: endpoint for endpoint in (*first, *beside)}.values()])


def open_given(params: Mapping[str, Any] | None, kept: Callable[[Connection], Connection]) -> Hypervisor:
    """Log in to the hypervisor that these options, or the environment, name; `kept` is told of the password before it is used.

    Raises a `CrossvisorError`.
    """
    given = connection(HYPERVISOR, params)
    if not pool.has_endpoint(given):
        given.required("hostname")
    descriptor, complete = pool.resolve(given)
    return descriptor.open(kept(complete))


def _names_one(module: AnsibleModule) -> bool:
    return pool.has_endpoint(connection(HYPERVISOR, module.params["hypervisor"]))


def _first(params: Mapping[str, Any] | None, kept: Callable[[Connection], Connection]) -> Endpoint:
    given = connection(HYPERVISOR, params)
    name = str(given) if given.uri or given.hostname else str(pool.resolve(given)[1])
    return Endpoint(name, partial(open_given, params, kept))


def _endpoint(params: Mapping[str, Any], kept: Callable[[Connection], Connection]) -> Endpoint:
    """An entry of `hypervisors`. Nothing of the environment completes it, which is for another endpoint, and another's password."""
    given = connection(HYPERVISOR, params, environ={})
    if not (given.uri or given.hostname):
        raise InvalidInput("An entry of hypervisors names no endpoint: give its hostname, or its uri.")

    def log_in() -> Hypervisor:
        descriptor, complete = pool.resolve(given, environ={})
        return descriptor.open(kept(complete))

    return Endpoint(str(given), log_in)
