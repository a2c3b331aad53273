# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One LUN as the hosts of a pool see it now.

XAPI tells of a LUN only what the pool has in use; whatever else a host sees, its drivers tell when they are asked, host by host.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import RemoteError
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.xen import estate as estates
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.xen import machines, probing, repositories
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.xen.estate import Estate
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.xen.probing import IscsiTarget, SeenLun
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import ScsiDevice
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.xapi import Record, XapiSession


def devices(session: XapiSession, hosts: Sequence[str], name: ScsiName) -> list[ScsiDevice]:
    """The LUN as the hosts (UUIDs) see it; a host that does not see it has no row."""
    seen = estates.read(session)
    known = {device.host: device for device in seen.devices() if device.name == name and not _passed_on(seen, name)}
    return [device for host in hosts for device in ([known[host]] if host in known else _asked(session, seen, host, name))]


def shown_by_target(session: XapiSession, seen: Estate, host: str, name: ScsiName) -> tuple[IscsiTarget, SeenLun] | None:
    """The LUN as a target of the pool's `iscsi` repositories shows it to a host (reference). A target that is silent shows nothing."""
    for target in _targets(seen, host):
        with contextlib.suppress(RemoteError):
            found = next((lun for lun in probing.iscsi(session, host, target) if lun.name == name), None)
            if found:
                return target, found
    return None


def shown_by_adapter(session: XapiSession, host: str, name: ScsiName) -> SeenLun | None:
    """The LUN as the adapters for Fibre Channel of a host (reference) show it."""
    with contextlib.suppress(RemoteError):
        return next((lun for lun in probing.fibre_channel(session, host).luns if lun.name == name), None)
    return None


def _asked(session: XapiSession, seen: Estate, host: str, name: ScsiName) -> Iterator[ScsiDevice]:
    """The LUN as a host's drivers tell it, no larger than the pool knows it: a LUN that has grown has to be scanned first."""
    ref = seen.host_ref(host)
    target = shown_by_target(session, seen, ref, name)
    lun = target[1] if target else shown_by_adapter(session, ref, name)
    if lun:
        sizes = [lun.size_bytes, *(machines.number(vdi["virtual_size"]) for _ref, vdi in seen.vdis_of(name))]
        yield ScsiDevice(host, machines.device(name), name, min(sizes), vendor=lun.vendor)
    elif (own := seen.own_repository(name)) and _carries(session, ref, own[1], name):
        yield ScsiDevice(host, machines.device(name), name, repositories.marked_size(own[1]))


def _carries(session: XapiSession, host: str, own: Record, name: ScsiName) -> bool:
    """Whether a host sees a LUN that its drivers leave out because the pool has a repository on it, plugged in there or not."""
    with contextlib.suppress(RemoteError):
        return own["uuid"] in [there.uuid for there in probing.repositories_on(session, host, probing.LVM_FC, {}, name)]
    return False


def _passed_on(seen: Estate, name: ScsiName) -> bool:
    """Whether a repository that passes LUNs on lists it, which was true of one host when it was scanned, and is asked anew of each."""
    return any(seen.sr[vdi["SR"]]["type"] in repositories.PASSING for _ref, vdi in seen.vdis_of(name))


def _targets(seen: Estate, host: str) -> list[IscsiTarget]:
    """The targets of the `iscsi` repositories that a host (reference) has plugged in."""
    plugged: list[Record] = [
        pbd
        for _ref, sr in seen.repositories_of(repositories.ISCSI)
        for pbd in seen.pbds(sr)
        if pbd["host"] == host and pbd["currently_attached"]
    ]
    found = [repositories.target(pbd["device_config"]) for pbd in plugged]
    return list(dict.fromkeys(target for target in found if target))
