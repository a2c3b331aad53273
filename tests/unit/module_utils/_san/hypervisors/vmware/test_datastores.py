# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Datastores of every kind as file systems."""

from __future__ import annotations

from typing import Any

import pytest
from pyVmomi import vim

from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.vmware.datastores import file_system
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import FileSystem
from tests.unit import vsphere

URL = "ds:///vmfs/volumes/66f0-1/"


def datastore(info: Any, kind: str | None = None, **properties: Any) -> FileSystem:
    values = {"name": "ds%2f1", "info": info, **({"summary.type": kind} if kind else {}), **properties}
    return file_system(vsphere.record("Datastore", "datastore-5", values))


def vmfs(*disks: str) -> Any:
    extents = [vim.host.ScsiDisk.Partition(diskName=name, partition=1) for name in disks]
    volume = {
        "type": "VMFS",
        "name": "ds",
        "capacity": 1,
        "majorVersion": 6,
        "uuid": "u",
        "version": "6.82",
        "maxBlocks": 1,
        "blockSizeMb": 1,
    }
    return vim.host.VmfsDatastoreInfo(name="ds", url=URL, vmfs=vim.host.VmfsVolume(extent=extents, **volume))


def nfs(host: str, path: str, names: list[str] | None = None) -> Any:
    volume = vim.host.NasVolume(type="NFS", name="nfs", capacity=1, remoteHost=host, remotePath=path, remoteHostNames=names or [])
    return vim.host.NasDatastoreInfo(name="nfs", url=URL, nas=volume)


def mounts(**hosts: Any) -> Any:
    rows = [
        vim.Datastore.HostMount(
            key=vsphere.managed("HostSystem", host.replace("_", "-")), mountInfo=vim.host.MountInfo(accessMode="readWrite", **state)
        )
        for host, state in hosts.items()
    ]
    return vsphere.array("DatastoreHostMount", rows)


def test_a_vmfs_datastore_has_all_its_extents_in_order() -> None:
    assert datastore(vmfs("naa.600b", "naa.600a"), "VMFS", **{"summary.capacity": 2**41}) == FileSystem(
        id="datastore-5", name="ds/1", kind="vmfs", hosts=[], extents=["naa.600b", "naa.600a"], size_bytes=2**41, url=URL
    )


@pytest.mark.parametrize(
    ("host", "names", "remote"),
    [
        ("192.0.2.21", [], "192.0.2.21:/vol_nfs"),
        ("192.0.2.21", ["192.0.2.21"], "192.0.2.21:/vol_nfs"),
        ("192.0.2.21,192.0.2.22", ["192.0.2.21", "192.0.2.22"], "192.0.2.21:/vol_nfs"),
        ("", ["filer.lab", "filer2.lab"], "filer.lab:/vol_nfs"),
        ("2001:db8::21", [], "[2001:db8::21]:/vol_nfs"),
    ],
)
def test_an_nfs_datastore_is_its_first_server_and_path(host: str, names: list[str], remote: str) -> None:
    found = datastore(nfs(host, "/vol_nfs", names), "NFS41")
    assert (found.kind, found.remote, found.extents) == ("nfs41", remote, [])


@pytest.mark.parametrize(
    ("info", "kind"),
    [
        (vmfs("naa.600a"), "vmfs"),
        (nfs("a", "/b"), "nfs"),
        (vim.host.VsanDatastoreInfo(name="v", url=URL, membershipUuid="m"), "vsan"),
        (vim.host.LocalDatastoreInfo(name="l", url=URL), "local"),
        (vim.Datastore.Info(name="x", url=URL), "other"),
    ],
)
def test_without_a_summary_the_kind_is_told_by_the_details(info: Any, kind: str) -> None:
    assert datastore(info).kind == kind


@pytest.mark.parametrize("kind", ["vsan", "VVOL", "PMEM"])
def test_datastores_that_lie_on_no_lun_have_neither_extents_nor_remote(kind: str) -> None:
    found = datastore(vim.Datastore.Info(name="x", url=URL), kind)
    assert (found.kind, found.extents, found.remote) == (kind.lower(), [], "")


def test_only_hosts_that_can_reach_it_now_are_its_hosts() -> None:
    reach = mounts(
        host_1={}, host_2={"mounted": True, "accessible": True}, host_3={"mounted": True, "accessible": False}, host_4={"mounted": False}
    )
    assert datastore(vmfs("naa.600a"), "VMFS", host=reach).hosts == ["host-1", "host-2"]


def test_a_datastore_whose_details_may_not_be_read_keeps_its_name() -> None:
    found = file_system(vsphere.record("Datastore", "datastore-6", {"name": "secret"}))
    assert found == FileSystem(id="datastore-6", name="secret", kind="other", hosts=[], extents=[])
