# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A datastore as a file system, out of the XML of DatastoreInfo and its subtypes."""

from __future__ import annotations

from collections.abc import Iterator

from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.vmware.tree import name_of
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import FileSystem, Use
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.vim_xml import Element, ObjectRecord, child, children, text, type_of

_INFO = "info"
_VMFS_INFO = "VmfsDatastoreInfo"
_KIND_OF_INFO = {
    _VMFS_INFO: "vmfs",
    "NasDatastoreInfo": "nfs",
    "VsanDatastoreInfo": "vsan",
    "VvolDatastoreInfo": "vvol",
    "PMemDatastoreInfo": "pmem",
    "LocalDatastoreInfo": "local",
}


def file_system(record: ObjectRecord) -> FileSystem:
    """A datastore: VMFS with its extents, NFS with `server:/path`, or one of the kinds that lie on no LUN."""
    info = record.properties.get(_INFO)
    return FileSystem(
        id=record.moid,
        name=name_of(record),
        kind=record.text("summary.type").lower() or _KIND_OF_INFO.get(type_of(info) if info is not None else "", "other"),
        hosts=list(_hosts(record)),
        extents=[text(extent, "diskName") for extent in children(info, "vmfs", "extent")],
        remote=_remote(child(info, "nas")),
        size_bytes=record.integer("summary.capacity") or 0,
        url=text(info, "url"),
    )


def unreadable(record: ObjectRecord) -> Use | None:
    """What a datastore is to a LUN when it does not tell where it lies: it may lie on any. None when it does tell, or lies on no LUN.

    VmfsDatastoreInfo.vmfs, which names the extents, may be missing while the datastore is not accessible.
    """
    info = record.properties.get(_INFO)
    if info is not None and (type_of(info) != _VMFS_INFO or children(info, "vmfs", "extent")):
        return None
    because = record.why_missing(_INFO) or ("it is not accessible" if info is not None else "its configuration is not there")
    return Use("datastore", name_of(record), record.moid, f"does not tell on which LUNs it lies because {because}")


def _hosts(record: ObjectRecord) -> Iterator[str]:
    """The hosts that can reach it now. HostMountInfo leaves `mounted` and `accessible` out where they are true."""
    for mount in record.items("host"):
        if all(text(mount, "mountInfo", word, default="true") in ("true", "1") for word in ("mounted", "accessible")):
            yield text(mount, "key")


def _remote(volume: Element | None) -> str:
    """`server:/path`; with several servers (NFS 4.1), the first, as they lead to the same export."""
    if volume is None:
        return ""
    servers = [text(volume, "remoteHost"), *(name.text or "" for name in children(volume, "remoteHostNames"))]
    server = next((name.split(",")[0].strip() for name in servers if name), "")
    return f"{f'[{server}]' if ':' in server else server}:{text(volume, 'remotePath')}"
