# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Make ESXi hosts find a LUN."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import CrossvisorError, RemoteError
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.vmware import host_lun, properties
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.vmware.faults import Subject, explained
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.vmware.tree import name_of
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import DEVICE_OFF
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.vim import VimSession

_AT_ONCE = 8
"""Rescans take up to a minute each and load the array; a cluster of 32 hosts is done in four rounds."""
_ATTACHED_ALREADY = "InvalidState"


def rescan(session: VimSession, hosts: Sequence[str], name: ScsiName) -> None:
    """Rescan the hosts (ids), then attach the LUN where it is detached. Raises what `rescan_hbas` raises."""
    rescan_hbas(session, hosts)
    for lun in host_lun.observe(session, hosts, name):
        if lun.state == DEVICE_OFF:
            _attach(lun, name)


def rescan_hbas(session: VimSession, hosts: Sequence[str]) -> None:
    """Rescan all HBAs of the hosts (ids), several hosts at once.

    A host that fails does not hold up the others. Raises the error of the first that failed, after all have ended.
    """
    failures = _rescan_each(session, hosts)
    if failures:
        raise failures[0]


def _rescan_each(session: VimSession, hosts: Sequence[str]) -> list[CrossvisorError]:
    """The calls share the session: each takes a connection of its own."""
    paths = ("name", properties.STORAGE_SYSTEM)
    found = session.retrieve({properties.HOST: paths}, {properties.HOST: hosts})
    systems = [(name_of(record), record.text(properties.STORAGE_SYSTEM)) for record in found]

    def rescan_one(host_name: str, system: str) -> CrossvisorError | None:
        try:
            with session.calling(f"rescan the HBAs of host {host_name}"):
                session.managed("HostStorageSystem", system).RescanAllHba()
        except CrossvisorError as error:
            return error
        return None

    with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
        outcomes = pool.map(lambda host: rescan_one(*host), systems)
        return [error for error in outcomes if error is not None]


def _attach(lun: host_lun.HostLun, name: ScsiName) -> None:
    """Take the LUN back into service on its host, unless somebody else just did."""
    try:
        with explained(Subject(lun=str(name), host=lun.host_name)):
            lun.storage_system.AttachScsiLun(lun.uuid)
    except RemoteError as error:
        if error.code != _ATTACHED_ALREADY:
            raise
