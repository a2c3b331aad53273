# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One LUN as ESXi hosts have it now, and what their storage systems need to be told of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import NotFound, Refused
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.vmware import properties, storage
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.vmware.tree import name_of
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import DEVICE_OK, ScsiDevice
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.vim import VimSession
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.vim_xml import ObjectRecord

GONE = "not there"
_PATHS = ("name", "runtime.connectionState", properties.STORAGE_SYSTEM, properties.LUNS)
_DEVICES = "/vmfs/devices/disks/"


@dataclass(frozen=True)
class HostLun:
    """A LUN on one host; without a `uuid` when the host does not have it."""

    session: VimSession
    host: str
    host_name: str
    storage_system_id: str
    uuid: str = ""
    device: str = ""
    """Its canonical name, `naa.600a…`."""
    size_bytes: int = 0
    state: str = GONE
    """`ok`, `off` (detached), `lost`, vSphere's own words, or `not there`."""

    @property
    def device_name(self) -> str:
        """The path of the device on the host (HostDevice.deviceName)."""
        return f"{_DEVICES}{self.device}"

    @property
    def storage_system(self) -> Any:
        """The host's HostStorageSystem, for calls."""
        return self.session.managed("HostStorageSystem", self.storage_system_id)


def observe(session: VimSession, hosts: Sequence[str], name: ScsiName) -> list[HostLun]:
    """The LUN on each of the hosts (ids), in their order, in one request.

    Raises `NotFound` for a host that is gone, `Refused` for one whose devices cannot be read.
    """
    wanted = {properties.HOST: list(hosts)}
    found = (
        {record.moid: _host_lun(session, record, name) for record in session.retrieve({properties.HOST: _PATHS}, wanted)} if hosts else {}
    )
    missing = [host for host in hosts if host not in found]
    if missing:
        raise NotFound(f"The hosts {', '.join(missing)} are no longer in the inventory: run this task again.")
    return [found[host] for host in hosts]


def devices(session: VimSession, hosts: Sequence[str], name: ScsiName) -> list[ScsiDevice]:
    """The LUN as the hosts (ids) see it, in one request; a host that does not see it has no row.

    Raises `Refused` for a host whose devices cannot be read.
    """
    found: list[ScsiDevice] = []
    for record in session.retrieve({properties.HOST: _PATHS}, {properties.HOST: list(hosts)}):
        refuse_unless_readable(record)
        found.extend(device for device in storage.devices(record) if device.name == name)
    return found


def in_service(session: VimSession, host: str, name: ScsiName) -> HostLun:
    """The LUN on one host, to be used there.

    Raises `NotFound` when the host does not see it, `Refused` when it is detached or has no paths.
    """
    (lun,) = observe(session, [host], name)
    if lun.state == GONE:
        raise NotFound(
            f"Host {lun.host_name} does not see LUN {name}: "
            "check that the array maps it to the initiators of that host, then run this task again."
        )
    if lun.state != DEVICE_OK:
        raise Refused(
            f"LUN {name} is {lun.state} on host {lun.host_name}: attach the device there, or repair its paths, then run this task again."
        )
    return lun


def refuse_unless_readable(record: ObjectRecord) -> None:
    """Raise `Refused` when the devices of a host were not told: that is not to be mistaken for a host that does not see a LUN."""
    why = storage.unreadable(record)
    if why:
        raise Refused(
            f"The devices of host {name_of(record)} cannot be read because {why}, so nobody can tell whether it sees the "
            "LUN: reconnect it, or give the account the right to read its configuration."
        )


def _host_lun(session: VimSession, record: ObjectRecord, name: ScsiName) -> HostLun:
    refuse_unless_readable(record)
    absent = HostLun(session, record.moid, name_of(record), record.text(properties.STORAGE_SYSTEM))
    device = next((device for device in storage.devices(record) if device.name == name), None)
    if device is None:
        return absent
    return replace(absent, uuid=storage.lun_uuid(record, name), device=device.device, size_bytes=device.size_bytes, state=device.state)
