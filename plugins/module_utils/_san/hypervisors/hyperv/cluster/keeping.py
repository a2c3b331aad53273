# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The two changes of a disk resource that could take its VM along: going offline, and moving to another group. Nothing else makes them.

A cluster stops what depends on a resource, and moves whatever a dependency binds to it, without asking back. So both are refused while
anything is bound to the disk, or when the VM's own resources are not as the plan found them; after both the caller looks at those again
(`ClusteredVm.refuse_if_harmed`).
"""

from __future__ import annotations

from collections.abc import Iterable

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import Refused
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.cluster import calls
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.cluster.resources import OFFLINE, ClusterResource
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.cluster.vm import ClusteredVm, Observed


def stop(there: ClusteredVm, resource: ClusterResource) -> None:
    """Ask a resource to go offline. Raises `Refused` when something depends on it, which would be stopped too, or the VM is harmed."""
    if resource.state == OFFLINE:
        return
    bound = there.update_needs().state.bound_to(resource)
    if bound:
        raise Refused(
            f"Resource '{resource.name}' will not be taken offline, because {quoted(bound)} would be stopped too: "
            "remove the dependency first."
        )
    there.refuse_if_harmed()
    calls.take_offline(there.client, resource.name, there.timeout)


def take_offline(there: ClusteredVm, resource: ClusterResource) -> None:
    """Take a resource offline and wait until it is. Raises what `stop` raises."""
    stop(there, resource)
    there.wait_for(lambda now: _is_stopped(now, resource.name), f"taking resource '{resource.name}' offline")
    there.refuse_if_harmed()


def move(there: ClusteredVm, resource: ClusterResource, group: str) -> None:
    """Put a resource into another group, by the dependencies that were seen last.

    Raises `Refused` when something would move along. The VM's own resources may, if that brings them back into their group.
    """
    home = there.unharmed.role
    refuse_if_bound(there.seen, resource, home.own if group.lower() == home.group.name.lower() else ())
    calls.move_resource(there.client, resource.name, group)


def refuse_if_bound(now: Observed, resource: ClusterResource, allowed: Iterable[str] = ()) -> None:
    """Raise `Refused` when a dependency binds anything else than what is allowed to a disk resource that is to be moved or deleted."""
    bound = [name for name in now.state.bound_to(resource) if name not in allowed]
    if bound:
        raise Refused(
            f"A dependency in the cluster binds {quoted(bound)} to resource '{resource.name}', so that it would go along: "
            "remove that dependency first."
        )


def quoted(names: Iterable[str]) -> str:
    """Names as a sentence has them."""
    return ", ".join(f"'{name}'" for name in names)


def _is_stopped(now: Observed, resource: str) -> bool:
    found = now.state.resource(resource)
    return found is not None and found.stopped
