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
TARGETS_LISTED = "SR_BACKEND_FAILURE_96"
_WITH_METADATA = {"metadata": "true"}
"""Let a driver for LVM tell the names of the repositories that it finds."""


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
class CarriedRepository:
    """A storage repository on a LUN, with what was written there of its name (sm, lvutil.srlist_toxml)."""

    uuid: str
    label: str = ""
    description: str = ""

    def __str__(self) -> str:
        return f"{self.uuid} ({self.label})" if self.label else self.uuid


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


def iscsi(session: XapiSession, host: str, target: IscsiTarget, config: Mapping[str, str] | None = None) -> list[SeenLun]:
    """What a target shows a host (reference), for whom `config` may log in. Raises `RemoteError` when it does not, or does not answer."""
    return [_lun(lun) for lun in _listing(session, host, LVM_ISCSI, config or target.device_config).iter("LUN")]


def targets(session: XapiSession, host: str, config: Mapping[str, str]) -> list[IscsiTarget]:
    """The targets behind an address, as a host (reference) finds them. Raises `RemoteError`.

    Without `targetIQN` a driver for iSCSI ends with SR_BACKEND_FAILURE_96, whose third detail lists them, and `*` for all.
    """
    root = _listing(session, host, LVM_ISCSI, config, TARGETS_LISTED)
    names = dict.fromkeys(words(item, "TargetIQN") for item in root.iter("TGT"))
    return [IscsiTarget(config["target"], config.get("port", ""), iqn) for iqn in names if iqn not in ("", "*")]


def repositories_on(session: XapiSession, host: str, kind: str, config: Mapping[str, str], name: ScsiName) -> list[CarriedRepository]:
    """The storage repositories that a LUN carries, whichever pool made them. Raises `RemoteError`."""
    found = str(session.read("SR.probe", host, {**config, "SCSIid": name.xapi}, kind, _WITH_METADATA))
    return [_carried(item) for item in _document(found).iter("SR")] if found.strip() else []


def _listing(session: XapiSession, host: str, kind: str, config: Mapping[str, str], listed: str = LISTED) -> Element:
    try:
        told = str(session.read("SR.probe", host, dict(config), kind, {}))
    except XapiFailure as failure:
        if failure.code != listed:
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


def _carried(element: Element) -> CarriedRepository:
    return CarriedRepository(*(words(element, tag) for tag in ("UUID", "name_label", "name_description")))


def _number(text: str) -> int | None:
    with contextlib.suppress(ValueError):
        return int(text)
    return None
