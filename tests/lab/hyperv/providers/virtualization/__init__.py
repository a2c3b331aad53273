# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

r"""root\virtualization\v2: VMs, their settings and devices, and the services that change them."""

from __future__ import annotations

from tests.lab.hyperv.estate import Estate
from tests.lab.hyperv.machines import Machine
from tests.lab.hyperv.mof import Schema
from tests.lab.hyperv.namespaces import Provider
from tests.lab.hyperv.providers.virtualization.devices import Devices
from tests.lab.hyperv.providers.virtualization.images import Images
from tests.lab.hyperv.providers.virtualization.jobs import Jobs
from tests.lab.hyperv.providers.virtualization.management import Management
from tests.lab.hyperv.providers.virtualization.paths import Paths
from tests.lab.hyperv.providers.virtualization.systems import KVP_GUID, SHUTDOWN_GUID, Systems


def provider(estate: Estate, machine: Machine, schema: Schema) -> Provider:
    """Return what provides the namespace of the host."""
    paths = Paths(estate, machine)
    systems, devices, jobs = Systems(paths), Devices(paths), Jobs(paths)
    management, images = Management(paths, schema), Images(paths)
    return Provider(
        {
            "Msvm_ComputerSystem": systems.systems,
            "Msvm_VirtualSystemSettingData": systems.settings,
            "Msvm_ResourceAllocationSettingData": devices.resources,
            "Msvm_StorageAllocationSettingData": devices.virtual_disks,
            "Msvm_DiskDrive": devices.drives,
            "Msvm_ConcreteJob": jobs.instances,
            "Msvm_VirtualSystemManagementService": systems.management_service,
            "Msvm_ImageManagementService": systems.image_service,
            "Msvm_KvpExchangeComponent": lambda: systems.components("Msvm_KvpExchangeComponent", KVP_GUID),
            "Msvm_ShutdownComponent": lambda: systems.components("Msvm_ShutdownComponent", SHUTDOWN_GUID),
            "Msvm_SettingsDefineState": systems.settings_of_systems,
            "Msvm_SnapshotOfVirtualSystem": systems.snapshots_of_systems,
            "Msvm_VirtualSystemSettingDataComponent": devices.components_of_settings,
            "Msvm_AffectedJobElement": jobs.jobs_of_systems,
            "Msvm_SystemDevice": systems.devices_of_systems,
        },
        {
            ("Msvm_VirtualSystemManagementService", "AddResourceSettings"): management.add,
            ("Msvm_VirtualSystemManagementService", "ModifyResourceSettings"): management.modify,
            ("Msvm_VirtualSystemManagementService", "RemoveResourceSettings"): management.remove,
            ("Msvm_ImageManagementService", "GetVirtualHardDiskSettingData"): images.describe,
            ("Msvm_ComputerSystem", "RequestStateChange"): systems.change_state,
            ("Msvm_ConcreteJob", "GetError"): jobs.error,
            ("Msvm_ConcreteJob", "GetErrorEx"): jobs.errors,
        },
    )
