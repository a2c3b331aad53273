# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The hypervisor that a module was given, by its option or the environment."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.crossvisor.san.plugins.module_utils._san.connection import HYPERVISOR, Connection, connection, connection_option
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors import pool
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.base import Hypervisor
from ansible_collections.crossvisor.san.plugins.module_utils._san.runtime import kept_secret


def hypervisor_option(**settings: Any) -> dict[str, Any]:
    """The argument spec of `hypervisor`."""
    return connection_option(HYPERVISOR, pool.TYPES, **settings)


def names_hypervisor(module: AnsibleModule) -> bool:
    """Tell whether a hypervisor's endpoint was named, by option or environment."""
    return pool.has_endpoint(connection(HYPERVISOR, module.params["hypervisor"]))


def open_hypervisor(module: AnsibleModule) -> Hypervisor:
    """Log in to the hypervisor that the module was given. Raises a `CrossvisorError`."""
    return open_given(module.params["hypervisor"], lambda complete: kept_secret(module, complete))


def open_given(params: Mapping[str, Any] | None, kept: Callable[[Connection], Connection]) -> Hypervisor:
    """Log in to the hypervisor that these options, or the environment, name; `kept` is told of the password before it is used.

    Raises a `CrossvisorError`.
    """
    given = connection(HYPERVISOR, params)
    if not pool.has_endpoint(given):
        given.required("hostname")
    descriptor, complete = pool.resolve(given)
    return descriptor.open(kept(complete))
