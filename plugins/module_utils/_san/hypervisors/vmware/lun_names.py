# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which LUNs the raw disks of VMs are, also where only a host knows the name."""

from __future__ import annotations

from collections.abc import Sequence

from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.vmware import properties, storage
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.vmware.estate import (
    any_nameless,
    nameless_hosts,
    of_unknown_luns,
    with_names,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import ScsiDevice, Use, VirtualMachine
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.vim import VimSession


def looked_up(
    session: VimSession, virtual_machines: Sequence[VirtualMachine], devices: Sequence[ScsiDevice] = ()
) -> tuple[list[VirtualMachine], list[Use]]:
    """The VMs with the names of their LUNs, and what has a LUN that nobody knows.

    Most raw disks carry the name; for the rest, the hosts' devices are looked up once, unless they are there already.
    """
    if not any_nameless(virtual_machines):
        return list(virtual_machines), []
    seen = devices or _devices(session, nameless_hosts(virtual_machines))
    named = with_names(virtual_machines, seen)
    return named, of_unknown_luns(named, seen)


def _devices(session: VimSession, hosts: set[str]) -> list[ScsiDevice]:
    read = session.retrieve({properties.HOST: [properties.LUNS]}, {properties.HOST: list(hosts)}) if hosts else ()
    return [device for record in read for device in storage.devices(record)]
