# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which properties of the inventory are read: narrow paths, because whole `config` or `runtime` objects cost ten times as much.

Types and paths are of the vSphere Web Services API reference. Each mapping is API type → property paths, as `VimSession.retrieve` takes it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

Paths = Mapping[str, Sequence[str]]

CLUSTER = "ClusterComputeResource"
COMPUTE_RESOURCE = "ComputeResource"
DATASTORE = "Datastore"
HOST = "HostSystem"
VIRTUAL_APP = "VirtualApp"
VIRTUAL_MACHINE = "VirtualMachine"

DEVICES_OF_VM = "config.hardware.device"
MACHINE = (
    "name",
    "parent",
    "parentVApp",
    "runtime.host",
    "runtime.powerState",
    "runtime.connectionState",
    "config.uuid",
    "config.instanceUuid",
    "config.template",
    DEVICES_OF_VM,
)

SNAPSHOTS_OF_VM = "snapshot.rootSnapshotList"
"""The snapshots of a VM as a tree; a VM without any has no such property."""
SNAPSHOT = "VirtualMachineSnapshot"

GUEST_DISKS = "guest.disk"
"""The guest's file systems, by VMware Tools; each tells from vSphere 7.0 on which virtual disks it lies on."""

STORAGE_SYSTEM = "configManager.storageSystem"
LUNS = "config.storageDevice.scsiLun"
ADAPTERS = "config.storageDevice.hostBusAdapter"
MULTIPATH = "config.storageDevice.multipathInfo"
TOPOLOGY = "config.storageDevice.scsiTopology"
HOST_POWER = "runtime.powerState"
IN_STANDBY = "standBy"
"""HostSystemPowerState: by a person or by DPM; what vCenter shows of such a host is what it was."""
HOST_IDENTITY = (
    "name",
    "parent",
    "summary.hardware.uuid",
    "summary.config.product.name",
    "summary.config.product.version",
    "runtime.connectionState",
    "runtime.inMaintenanceMode",
    HOST_POWER,
)
COREDUMPS = "config.activeDiagnosticPartition"
HOST_ADAPTERS = (ADAPTERS, MULTIPATH, TOPOLOGY)

DATASTORE_INFO = ("name", "info", "host", "summary.type", "summary.capacity")

VMS_OF_DATASTORE = "vm"
"""The VMs that have any file there."""

TREE: Paths = {
    COMPUTE_RESOURCE: ("name", "parent"),
    "Folder": ("name", "parent"),
    "Datacenter": ("name", "parent"),
    VIRTUAL_APP: ("name", "parentFolder", "parentVApp"),
}
HOSTS: Paths = {**TREE, HOST: HOST_IDENTITY}
INVENTORY: Paths = {
    **TREE,
    HOST: (*HOST_IDENTITY, COREDUMPS),
    VIRTUAL_MACHINE: (*MACHINE, SNAPSHOTS_OF_VM),
    DATASTORE: DATASTORE_INFO,
}
INVENTORY_WITH_LUNS: Paths = {
    **INVENTORY,
    HOST: (*INVENTORY[HOST], LUNS, ADAPTERS, MULTIPATH),
    VIRTUAL_MACHINE: (*INVENTORY[VIRTUAL_MACHINE], GUEST_DISKS),
}
