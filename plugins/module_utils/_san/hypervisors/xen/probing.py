# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the storage drivers of one host see, by `SR.probe`: they answer with an error that carries XML.

Facts are of the sources of sm (devscan.py, BaseISCSI.py, LVHDoHBASR.py, LVHDoISCSISR.py): a probe without SCSIid rescans the
adapters, or logs in to the target, and ends with SR_BACKEND_FAILURE_107, whose third detail lists the LUNs; it leaves out every LUN that a
PBD of the pool names. With SCSIid it returns the storage repositories that the LUN carries.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import RemoteError
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire import xapi_xml
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.xapi import XapiFailure, XapiSession
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.xapi_xml import Element, words

LVM_FC, LVM_ISCSI = "lvmohba", "lvmoiscsi"
LISTED = "SR_BACKEND_FAILURE_107"


@dataclass(frozen=True)
class SeenLun:
    """A LUN that a driver lists."""

    name: ScsiName | None
    size_bytes: int
    path: str = ""
    vendor: str = ""
    number: int | None = None
    adapter: str = ""
    """The number of the adapter that has the LUN's first path, over Fibre Channel."""


@dataclass(frozen=True)
class HbaListing:
    """What a host's driver for Fibre Channel tells: LUNs that nobody in the pool has, and the adapters."""

    luns: Sequence[SeenLun] = ()
    adapters: Sequence[Element] = ()


@dataclass(frozen=True)
class IscsiTarget:
    """A target as a PBD names it."""

    address: str
    port: str
    iqn: str

    @property
    def device_config(self) -> Mapping[str, str]:
        """What a driver is told of it. A CHAP secret is the PBD's own business, and is never read."""
        return {"target": self.address, "targetIQN": self.iqn, **({"port": self.port} if self.port else {})}


def fibre_channel(session: XapiSession, host: str) -> HbaListing:
    """What a host (reference) sees over its adapters, after they looked. Raises `RemoteError` when the driver tells something else."""
    root = _listing(session, host, LVM_FC, {})
    return HbaListing([_lun(device) for device in root.iter("BlockDevice")], list(root.iter("Adapter")))


def iscsi(session: XapiSession, host: str, target: IscsiTarget) -> list[SeenLun]:
    """What a target shows a host (reference). Raises `RemoteError` when it does not let the host in, or does not answer."""
    return [_lun(lun) for lun in _listing(session, host, LVM_ISCSI, target.device_config).iter("LUN")]


def repositories_on(session: XapiSession, host: str, kind: str, config: Mapping[str, str], name: ScsiName) -> list[str]:
    """The UUIDs of the storage repositories that a LUN carries, whichever pool made them. Raises `RemoteError`."""
    found = session.read("SR.probe", host, {**config, "SCSIid": name.xapi}, kind, {})
    return [words(item, "UUID") for item in _document(str(found)).iter("SR")] if str(found).strip() else []


def _listing(session: XapiSession, host: str, kind: str, config: Mapping[str, str]) -> Element:
    try:
        told = str(session.read("SR.probe", host, dict(config), kind, {}))
    except XapiFailure as failure:
        if failure.code != LISTED:
            raise
        told = failure.details[2] if len(failure.details) > 2 else ""
    return _document(told)


def _document(text: str) -> Element:
    try:
        return xapi_xml.document(text)
    except ValueError as error:
        raise RemoteError(f"The storage driver did not answer as it should ({error}): look at /var/log/SMlog of that host.") from error


def _lun(element: Element) -> SeenLun:
    return SeenLun(
        name=ScsiName.try_parse(words(element, "SCSIid")),
        size_bytes=_number(words(element, "size")) or 0,
        path=words(element, "path"),
        vendor=words(element, "vendor"),
        number=_number(words(element, "LUNid") or words(element, "lun")),
        adapter=words(element, "adapter"),
    )


def _number(text: str) -> int | None:
    with contextlib.suppress(ValueError):
        return int(text)
    return None
