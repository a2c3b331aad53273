# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which steps make a LUN a disk of a VM as wished, for every state that the VM may be in."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import InvalidInput, NotFound, Refused
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.base import DiskWish
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.vmware import attach
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.vmware.disk_steps import AttachDisk, DetachDisk, EditDisk
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.vmware.guest_cluster import StillShared
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.vmware.mapping_file import MappingFile
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.vmware.rdm import Settings
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import Slot, VirtualMachine
from ansible_collections.crossvisor.san.plugins.module_utils._san.plan import Plan
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from tests.unit import vsphere
from tests.unit.module_utils._san.hypervisors.vmware.test_snapshots import tree
from tests.unit.vsphere_inventory import DEVICE, Inventory, devices, raw_disk, refs

NAA = "600a0980383030304f4b4f4c4e6f3175"
LUN = ScsiName(NAA)
OTHER_FILE = "[ds] db02/db02_1.vmdk"


class World(Inventory):
    """VM db01 on a host that mounts ds (VMFS, its home), big (VMFS) and nfs; VM db02 is its neighbour."""

    def __init__(self, *disks: Any, neighbour: tuple[Any, ...] = (), **changes: Any) -> None:
        super().__init__()
        self.machine("vm-1", "db01", disks, **changes)
        self.machine("vm-2", "db02", neighbour)
        self.add("HostSystem", "host-1", name="esx01", datastore=refs("Datastore", "datastore-1", "datastore-2", "datastore-3"))
        self.datastore("datastore-1", "ds")
        self.datastore("datastore-2", "big")
        self.datastore("datastore-3", "nfs", kind="NFS", supported=False)
        self.objects["Datastore", "datastore-1"]["vm"] = refs("VirtualMachine", "vm-1", "vm-2")

    def machine(self, moid: str, name: str, disks: tuple[Any, ...], **changes: Any) -> None:
        properties = {
            "name": name,
            "runtime_host": vsphere.managed("HostSystem", "host-1"),
            "runtime_powerState": "poweredOff",
            "runtime_connectionState": "connected",
            "config_changeVersion": "7",
            "config_version": "vmx-19",
            "config_template": False,
            "config_files_vmPathName": f"[ds] {name}/{name}.vmx",
            "config_hardware_device": devices(*disks),
        }
        self.add("VirtualMachine", moid, **{**properties, **changes})

    def datastore(self, moid: str, name: str, kind: str = "VMFS", supported: bool = True) -> None:
        self.add(
            "Datastore",
            moid,
            name=name,
            summary_type=kind,
            summary_accessible=True,
            summary_freeSpace=1024**3,
            capability_rawDiskMappingsSupported=supported,
        )

    def plan(self, **wish: Any) -> Plan:
        return attach.plan_attach(self.session, VirtualMachine(id="vm-1", name="db01"), DiskWish(LUN, **wish))

    def plan_detach(self) -> Plan:
        return attach.plan_detach(self.session, VirtualMachine(id="vm-1", name="db01"), LUN, 30.0)


def sharing(plan: Plan) -> AttachDisk:
    """The attachment, which follows another look at those that share the LUN."""
    unchanged, step = plan.steps
    assert isinstance(unchanged, StillShared)
    return attaching(Plan([step]))


def attaching(plan: Plan) -> AttachDisk:
    (step,) = plan.steps
    assert isinstance(step, AttachDisk)
    assert not step.done()
    return step


def editing(plan: Plan) -> EditDisk:
    (step,) = plan.steps
    assert isinstance(step, EditDisk)
    return step


class TestNewDisk:
    def test_by_default_it_is_physical_in_the_first_free_place_with_its_mapping_file_beside_the_vm(self) -> None:
        step = attaching(World().plan())
        assert (str(step.place), step.settings) == ("SCSI(0:0)", Settings("physical", "independent_persistent", "none"))
        assert step.file == MappingFile("", "ds", create=True)

    def test_a_virtual_one_takes_part_in_snapshots_by_default(self) -> None:
        assert attaching(World().plan(mode="virtual")).settings.disk_mode == "persistent"

    def test_a_mapping_file_elsewhere_gets_its_name_there(self) -> None:
        assert attaching(World().plan(file_system="big")).file == MappingFile("[big]", "big", create=True)

    def test_a_disk_of_another_lun_is_not_in_the_way(self) -> None:
        other = raw_disk("600a0980383030304f4b4f4c4e6f3176", unit=0)
        assert str(attaching(World(other).plan()).place) == "SCSI(0:1)"

    @pytest.mark.parametrize(
        ("wish", "error", "message"),
        [
            ({"mode": "thin"}, InvalidInput, "mode thin does not exist for a raw disk on vSphere: choose one of physical, virtual"),
            ({"disk_mode": "append"}, InvalidInput, "disk_mode append does not exist for a raw disk on vSphere: choose one of persistent"),
            ({"sharing": "all"}, InvalidInput, "sharing all does not exist for a raw disk on vSphere: choose one of none"),
            ({"disk_mode": "persistent"}, InvalidInput, "disk_mode persistent does not exist for LUN .* in physical mode"),
            ({"slot": Slot(0, 7)}, InvalidInput, "is the controller itself"),
            ({"file_system": "nfs"}, Refused, r"Datastore nfs for VM db01 is of type NFS.*\(big, ds\)"),
            ({"file_system": "tape"}, NotFound, r"mounts no datastore 'tape' .*\(big, ds\)"),
        ],
    )
    def test_what_cannot_be_is_told(self, wish: dict[str, Any], error: type[Exception], message: str) -> None:
        with pytest.raises(error, match=message):
            World().plan(**wish)

    def test_a_template_is_refused(self) -> None:
        with pytest.raises(Refused, match="is a template"):
            World(config_template=True).plan()

    def test_a_raw_disk_without_a_lun_might_be_this_one(self) -> None:
        with pytest.raises(Refused, match="nobody can tell"):
            World(raw_disk(NAA, lunUuid="", deviceName="")).plan()

    def test_a_vm_that_is_gone_is_told(self) -> None:
        with pytest.raises(NotFound, match=r"VM db01 \(vm-1\) no longer exists"):
            attach.plan_attach(Inventory().session, VirtualMachine(id="vm-1", name="db01"), DiskWish(LUN))


class TestExistingDisk:
    @pytest.mark.parametrize(
        "wish",
        [
            {},
            {"slot": Slot(0, 1), "mode": "physical", "sharing": "none", "file_system": "ds"},
            {"slot": Slot(bus=0)},
            {"disk_mode": "independent_persistent"},
            {"controller_type": "lsilogic"},
        ],
    )
    def test_what_is_as_wished_or_not_asked_for_is_done(self, wish: dict[str, Any]) -> None:
        assert editing(World(raw_disk(NAA)).plan(**wish)).done()

    def test_it_is_done_on_a_vm_that_could_not_be_changed(self) -> None:
        assert editing(World(raw_disk(NAA), config_template=True).plan()).done()

    @pytest.mark.parametrize(
        ("wish", "message"),
        [
            ({"slot": Slot(0, 2)}, r"place SCSI\(0:1\), not SCSI\(0:2\)"),
            ({"slot": Slot(bus=1)}, r"place SCSI\(0:1\), not SCSI\(1:1\)"),
            ({"mode": "virtual"}, "mode physical, not virtual"),
            ({"file_system": "big"}, "datastore ds, not big"),
        ],
    )
    def test_what_is_fixed_at_the_attaching_is_refused_with_the_way_out(self, wish: dict[str, Any], message: str) -> None:
        with pytest.raises(Refused, match=rf"{message}, which cannot be changed while it is attached: detach it \(state=absent\)"):
            World(raw_disk(NAA)).plan(**wish)

    def test_sharing_and_disk_mode_are_edited(self) -> None:
        virtual = raw_disk(NAA, compatibilityMode="virtualMode", diskMode="persistent")
        step = editing(World(virtual).plan(sharing="multi_writer", disk_mode="independent_persistent"))
        assert (step.sharing, step.disk_mode) == ("multi_writer", "independent_persistent")

    def test_a_disk_in_physical_mode_has_no_disk_mode_to_edit(self) -> None:
        with pytest.raises(InvalidInput, match="in physical mode"):
            World(raw_disk(NAA)).plan(disk_mode="persistent")

    def test_a_virtual_one_is_changed_only_where_it_differs(self) -> None:
        virtual = raw_disk(NAA, compatibilityMode="virtualMode", diskMode="persistent", sharing="sharingMultiWriter")
        step = editing(World(virtual).plan(disk_mode="persistent", sharing="none"))
        assert (step.disk_mode, step.sharing) == (None, "none")
        assert editing(World(virtual).plan(disk_mode="persistent", sharing="multi_writer")).done()

    def test_one_in_physical_mode_keeps_the_disk_mode_that_it_has(self) -> None:
        step = editing(World(raw_disk(NAA, diskMode="persistent")).plan(disk_mode="independent_persistent"))
        assert step.disk_mode is None

    def test_one_whose_sharing_vsphere_does_not_tell_is_not_shared(self) -> None:
        assert editing(World(raw_disk(NAA, sharing=None)).plan(sharing="none")).done()

    def test_an_edit_of_a_suspended_vm_is_refused(self) -> None:
        with pytest.raises(Refused, match="is suspended"):
            World(raw_disk(NAA), runtime_powerState="suspended").plan(sharing="multi_writer")


class TestSharedDisk:
    SHARED = raw_disk(NAA, fileName=OTHER_FILE, sharing="sharingMultiWriter", compatibilityMode="virtualMode", diskMode="persistent")

    def test_it_is_attached_by_the_mapping_file_of_the_first_vm_and_in_its_mode(self) -> None:
        step = sharing(World(neighbour=(self.SHARED,)).plan(sharing="multi_writer", disk_mode="independent_persistent"))
        assert step.file == MappingFile(OTHER_FILE, "ds", create=False)
        assert step.settings == Settings("virtual", "independent_persistent", "multi_writer")

    def test_the_first_vm_to_share_creates_the_mapping_file(self) -> None:
        assert sharing(World().plan(sharing="multi_writer")).file.create

    def test_a_physical_one_has_no_disk_mode_for_the_second_vm_either(self) -> None:
        shared = raw_disk(NAA, fileName=OTHER_FILE, sharing="sharingMultiWriter")
        with pytest.raises(InvalidInput, match="in physical mode"):
            World(neighbour=(shared,)).plan(sharing="multi_writer", disk_mode="persistent")

    def test_a_vm_of_which_vsphere_tells_no_sharing_does_not_share_it(self) -> None:
        with pytest.raises(Refused, match=f"VM db02 has LUN {LUN} with sharing none: set"):
            World(neighbour=(raw_disk(NAA, fileName=OTHER_FILE, sharing=None),)).plan(sharing="multi_writer")

    def test_a_vm_that_does_not_share_it_is_named(self) -> None:
        with pytest.raises(Refused, match=f"VM db02 has LUN {LUN} with sharing none: set sharing to multi_writer there first"):
            World(neighbour=(raw_disk(NAA, fileName=OTHER_FILE),)).plan(sharing="multi_writer")

    @pytest.mark.parametrize(
        ("wish", "message"), [({"mode": "physical"}, "mode virtual, not physical"), ({"file_system": "big"}, "datastore ds, not big")]
    )
    def test_what_the_mapping_file_fixes_is_told(self, wish: dict[str, Any], message: str) -> None:
        with pytest.raises(Refused, match=rf"shared with VM db02 only by the mapping file .*{message}"):
            World(neighbour=(self.SHARED,)).plan(sharing="multi_writer", **wish)


class TestDetach:
    def test_a_lun_that_the_vm_does_not_have_needs_no_step(self) -> None:
        assert World().plan_detach().steps == ()

    def test_a_raw_disk_without_a_lun_might_be_this_one(self) -> None:
        with pytest.raises(Refused, match="nobody can tell"):
            World(raw_disk(NAA, lunUuid="", deviceName="")).plan_detach()

    @pytest.mark.parametrize(("neighbour", "users"), [((), []), ((raw_disk(NAA),), ["db02"]), ((raw_disk(NAA, fileName=OTHER_FILE),), [])])
    def test_who_uses_the_same_mapping_file_is_known(self, neighbour: tuple[Any, ...], users: list[str]) -> None:
        (step,) = World(raw_disk(NAA), neighbour=neighbour).plan_detach().steps
        assert isinstance(step, DetachDisk)
        assert (str(step.place), step.other_users) == ("SCSI(0:1)", users)

    def test_a_suspended_vm_is_refused(self) -> None:
        with pytest.raises(Refused, match="is suspended"):
            World(raw_disk(NAA), runtime_powerState="suspended").plan_detach()

    def test_a_lun_that_a_snapshot_holds_is_not_taken_away(self) -> None:
        world = World(raw_disk(NAA), snapshot_rootSnapshotList=vsphere.array("VirtualMachineSnapshotTree", [tree(1, "before update")]))
        world.add("VirtualMachineSnapshot", "snapshot-1", config_hardware_device=devices(raw_disk(NAA)))
        with pytest.raises(Refused, match="is part of the snapshots before update of VM db01: remove these snapshots first"):
            world.plan_detach()

    def test_it_is_taken_from_the_controller_it_is_on(self) -> None:
        both = vsphere.array(
            "VirtualDevice",
            [
                DEVICE.ParaVirtualSCSIController(key=1000, busNumber=0, sharedBus="noSharing"),
                DEVICE.ParaVirtualSCSIController(key=1001, busNumber=1, sharedBus="noSharing"),
                raw_disk(NAA, unit=0, controller=1001),
            ],
        )
        (step,) = World(config_hardware_device=both).plan_detach().steps
        assert isinstance(step, DetachDisk)
        assert str(step.place) == "SCSI(1:0)"
