# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Storage pools as libvirt's XML says them (libvirt.org/formatstorage.html). Pure: nothing here talks to libvirt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.domain import Login, login_of, root_of

ISCSI_DIRECT = "iscsi-direct"
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
    )
