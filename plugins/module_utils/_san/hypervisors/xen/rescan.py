# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Make the pool look for LUNs: the drivers scan their targets; adapters for Fibre Channel look whenever they are probed."""

from __future__ import annotations

from collections.abc import Iterable

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import OutcomeUnknown, TimedOut
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.xen import estate as estates
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.xen import repositories
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.xen.faults import explained
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.xapi import Record, XapiSession


def rescan(session: XapiSession) -> None:
    """Scan every repository that passes on the LUNs of an iSCSI target. Raises `TimedOut` when one does not end."""
    scan(session, estates.read(session).repositories_of(repositories.ISCSI), session.connection.timeout)


def scan(session: XapiSession, found: Iterable[tuple[str, Record]], timeout: float) -> None:
    """Scan repositories, each within `timeout` seconds. Raises `TimedOut` or `RemoteError`."""
    for ref, sr in found:
        try:
            with explained(f"SR {sr['name_label']} was not scanned"):
                session.change("SR.scan", ref, timeout=timeout)
        except OutcomeUnknown as lost:
            raise TimedOut(
                f"The scan of SR {sr['name_label']} did not end within {max(timeout, session.connection.timeout):g} s: "
                "look for a dead path or target on the pool's hosts, or raise hypervisor.timeout."
            ) from lost
