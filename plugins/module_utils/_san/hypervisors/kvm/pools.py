# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Storage pools as libvirt's XML says them (libvirt.org/formatstorage.html). Pure: nothing here talks to libvirt.

A volume of an iSCSI pool is called `unit:0:0:N`, N being the LUN's number in libiscsi's words, and in Linux' (libvirt,
storage_backend_iscsi_direct.c, storage_util.c).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.domain import (
    DIRECT,
    ISCSI,
    QEMU_INITIATOR,
    Login,
    Source,
    login_of,
    root_of,
)

ISCSI_DIRECT = "iscsi-direct"
_UNIT = re.compile(r"unit:0:0:(\d{1,5})")
_IN_A_DIRECTORY = frozenset({"dir", "fs", "netfs", "logical"})
_WITHOUT_LUNS = frozenset({"rbd", "sheepdog", "gluster", "vstorage", "zfs"})
_ISCSI = frozenset({ISCSI, ISCSI_DIRECT})
_NETWORK = frozenset({"netfs", "gluster"})


@dataclass(frozen=True)
class Pool:
    """A storage pool of a host."""

    name: str
    uuid: str
    type: str
    """`dir`, `fs`, `netfs`, `logical`, `disk`, `iscsi`, `iscsi-direct`, `scsi`, `mpath`, …"""
    path: str
    """Where its volumes appear on the host."""
    devices: Sequence[str]
    """Devices of the host under it."""
    group: str
    """Name of the volume group of a logical pool."""
    remote: str
    """`server:/path` of a network file system."""
    login: Login | None
    """Of an iscsi-direct pool: how QEMU's own initiator reaches a target."""
    volumes_login: Login | None = None
    """The same for a disk that is a volume of the pool, also of an iscsi pool whose LUNs the host has as devices."""

    @property
    def has_luns(self) -> bool:
        """Whether a volume of it may be a LUN, or lie on one."""
        return self.type not in _WITHOUT_LUNS

    def place_of(self, volume: str) -> str:
        """Where a volume is whenever the pool runs, by its definition; empty where that does not tell."""
        return f"{self.path.rstrip('/')}/{volume}" if self.path and self.type in _IN_A_DIRECTORY else ""

    def network_source(self, volume: str, mode: str) -> Source | None:
        """What QEMU takes a volume for that it reaches by its own initiator; None for every other one."""
        unit = _UNIT.fullmatch(volume)
        if not unit or not self.volumes_login or (self.type != ISCSI_DIRECT and mode != DIRECT):
            return None
        number = int(unit[1])
        return Source("network", protocol=ISCSI, name=f"{self.volumes_login.target}/{number}", login=self.volumes_login, lun_id=number)


def parse(xml: str) -> Pool:
    """The pool."""
    root = root_of(xml)
    kind, source = root.get("type", ""), root.find("source")
    devices = [element.get("path", "") for element in source.iterfind("device")] if source is not None else []
    remote = ""
    if source is not None and kind in _NETWORK:
        host, directory = source.find("host"), source.find("dir")
        if host is not None and directory is not None:
            remote = f"{host.get('name', '')}:{directory.get('path', '')}"
    direct = source is not None and kind == ISCSI_DIRECT and devices
    return Pool(
        name=root.findtext("name", ""),
        uuid=root.findtext("uuid", ""),
        type=kind,
        path=root.findtext("target/path", ""),
        devices=[] if direct else devices,
        group=root.findtext("source/name", "") if kind == "logical" else "",
        remote=remote,
        login=login_of(source, devices[0]) if direct and source is not None else None,
        volumes_login=login_of(source, devices[0], QEMU_INITIATOR) if source is not None and kind in _ISCSI and devices else None,
    )
