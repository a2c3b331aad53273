# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which steps make a LUN a disk of a VM as wished, for every state that the VM may be in."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import InvalidInput, NotFound, Overtaken, Refused
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.base import DiskWish
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.vmware import attach
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.vmware.disk_steps import AttachDisk, DetachDisk, EditDisk
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.vmware.guest_cluster import StillShared
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.vmware.mapping_file import MappingFile
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.vmware.rdm import Settings
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import Slot, VirtualMachine
from ansible_collections.crossvisor.san.plugins.module_utils._san.plan import Plan
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import PlannedLun, ScsiName
from tests.unit import vsphere
from tests.unit.vsphere_inventory import DEVICE, Inventory, devices, raw_disk, refs, snapshot_tree

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

    def node(self, moid: str, name: str, *disks: Any, bus: int = 1, sharing: str = "physicalSharing", **changes: Any) -> None:
        """A VM with a second controller, and disks on it."""
        second = DEVICE.ParaVirtualSCSIController(key=1001, busNumber=bus, sharedBus=sharing)
        self.machine(moid, name, (second, *disks), **changes)

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
    (step,) = plan.pending()
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
            (
                {"reservations": True},
                InvalidInput,
                "reservations does not exist for a raw disk .*: ask for sharing physical_bus for guest clus",
            ),
            ({"sharing": "all"}, InvalidInput, "sharing all does not exist for a raw disk on vSphere: choose one of none"),
            ({"disk_mode": "persistent"}, InvalidInput, "disk_mode persistent does not exist for LUN .* in physical mode"),
            ({"slot": Slot(0, 7)}, InvalidInput, "is the controller itself"),
            (
                {"file_system": "nfs"},
                Refused,
                r"Datastore nfs for VM db01 is of type NFS.*: choose one of big, ds, by datastore \(in a role",
            ),
            ({"file_system": "Bigg"}, NotFound, r"\(big, ds\); did you mean big\?$"),
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
        with pytest.raises(
            Refused,
            match=rf"{message}, which cannot be changed while it is attached: detach it \(state=absent, or the playbook remove_disk",
        ):
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

    def test_one_whose_sharing_vsphere_does_not_tell_shares_no_bus_either(self) -> None:
        with pytest.raises(Refused, match="sharing none, not physical_bus"):
            World(raw_disk(NAA, sharing=None)).plan(sharing="physical_bus")

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

    def test_each_vm_has_it_at_a_place_of_its_own_and_no_bus_is_shared(self) -> None:
        world = World(neighbour=(raw_disk(NAA, unit=4, fileName=OTHER_FILE, sharing="sharingMultiWriter"),))
        plan = world.plan(sharing="multi_writer", slot=Slot(1))
        step = sharing(plan)
        assert (str(step.place), step.place.shared) == ("SCSI(1:0)", "")
        assert list(plan.warnings) == []

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
        with pytest.raises(Refused, match=rf"shared with VM db02 only by the mapping file .*, which has {message}:"):
            World(neighbour=(self.SHARED,)).plan(sharing="multi_writer", **wish)


def node_disk(**backing: Any) -> Any:
    """The LUN as the first node has it: SCSI(1:4)."""
    return raw_disk(NAA, unit=4, controller=1001, **{"fileName": OTHER_FILE, **backing})


class TestGuestCluster:
    """VM db02 on esx02 is the first node, VM db01 on esx01 the second."""

    @pytest.fixture
    def world(self) -> World:
        world = World()
        world.node("vm-2", "db02", node_disk(), runtime_host=vsphere.managed("HostSystem", "host-2"))
        return world

    def test_the_first_node_gets_a_controller_that_shares_its_bus_and_creates_the_mapping_file(self) -> None:
        plan = World().plan(sharing="physical_bus")
        step = attaching(plan)
        assert (str(step.place), step.place.controller, step.place.shared) == ("SCSI(1:0)", None, "physical")
        assert (step.file.create, step.settings) == (True, Settings("physical", "independent_persistent", "physical_bus"))
        assert list(plan.warnings) == []

    def test_the_second_node_gets_it_by_the_mapping_file_and_at_the_place_of_the_first(self, world: World) -> None:
        plan = world.plan(sharing="physical_bus")
        step = attaching(plan)
        assert (str(step.place), step.place.controller, step.place.shared) == ("SCSI(1:4)", None, "physical")
        assert step.file == MappingFile(OTHER_FILE, "ds", create=False)
        assert step.settings.sharing == "physical_bus"
        assert list(plan.warnings) == []

    @pytest.mark.parametrize("power", ["poweredOff", "poweredOn"])
    def test_a_controller_that_is_there_and_shares_its_bus_is_used_also_by_a_vm_that_runs(self, world: World, power: str) -> None:
        world.node("vm-1", "db01", runtime_powerState=power)
        place = attaching(world.plan(sharing="physical_bus")).place
        assert place.controller is not None
        assert (str(place), place.controller.key) == ("SCSI(1:4)", "1001")

    def test_a_running_vm_gets_no_controller_that_shares_its_bus(self, world: World) -> None:
        world.machine("vm-1", "db01", (), runtime_powerState="poweredOn")
        with pytest.raises(Refused, match=r"VM db01 runs and needs another SCSI controller, .* at bus 1: power it off"):
            world.plan(sharing="physical_bus")

    def test_a_controller_that_does_not_share_its_bus_is_left_as_it_is(self, world: World) -> None:
        world.node("vm-1", "db01", sharing="noSharing")
        with pytest.raises(Refused, match="SCSI controller 1 of VM db01 does not share its bus physically"):
            world.plan(sharing="physical_bus")

    def test_another_place_is_given_when_asked_for_with_a_warning(self, world: World) -> None:
        plan = world.plan(sharing="physical_bus", slot=Slot(2, 9))
        assert str(attaching(plan).place) == "SCSI(2:9)"
        assert [text.partition(":")[0] for text in plan.warnings] == [f"LUN {LUN} is SCSI(1"]
        assert str(attaching(world.plan(sharing="physical_bus", slot=Slot(bus=2))).place) == "SCSI(2:0)"

    def test_an_asked_bus_keeps_the_unit_of_the_first_node(self, world: World) -> None:
        assert str(attaching(world.plan(sharing="physical_bus", slot=Slot(bus=1))).place) == "SCSI(1:4)"

    def test_nodes_on_one_host_are_told(self, world: World) -> None:
        world.node("vm-2", "db02", node_disk())
        (warning,) = world.plan(sharing="physical_bus").warnings
        assert "VMs db02 and db01" in warning
        assert "on the same host" in warning

    def test_a_vm_with_snapshots_shares_no_bus(self, world: World) -> None:
        world.machine(
            "vm-1", "db01", (), snapshot_rootSnapshotList=vsphere.array("VirtualMachineSnapshotTree", [snapshot_tree(1, "before")])
        )
        with pytest.raises(Refused, match="VM db01 has the snapshots before, with which it cannot share a SCSI bus"):
            world.plan(sharing="physical_bus")

    def test_virtual_mode_keeps_reservations_from_the_array(self) -> None:
        with pytest.raises(InvalidInput, match=r"sharing physical_bus does not go with mode virtual.*ask for mode physical"):
            World().plan(sharing="physical_bus", mode="virtual")

    def test_a_mapping_file_in_virtual_mode_cannot_be_shared_physically(self, world: World) -> None:
        world.node("vm-2", "db02", node_disk(compatibilityMode="virtualMode"))
        with pytest.raises(Refused, match=r"only by the mapping file .*mode virtual, not physical"):
            world.plan(sharing="physical_bus", mode="physical")
        with pytest.raises(Refused, match=r"only by the mapping file .*mode virtual, not physical"):
            world.plan(sharing="physical_bus")

    @pytest.mark.parametrize(
        ("bus", "sharing", "wished", "message"),
        [
            (
                "noSharing",
                "sharingNone",
                "physical_bus",
                "with sharing none: detach it there and attach it again with sharing phys",
            ),
            ("virtualSharing", "sharingNone", "physical_bus", "with sharing virtual_bus: detach it there"),
            ("noSharing", "sharingMultiWriter", "physical_bus", "with sharing multi_writer: detach it there"),
            ("physicalSharing", "sharingNone", "multi_writer", "with sharing physical_bus: detach it there and .* multi_writer"),
        ],
    )
    def test_every_node_has_to_share_alike(self, world: World, bus: str, sharing: str, wished: str, message: str) -> None:
        world.node("vm-3", "db03", node_disk(sharing=sharing), sharing=bus)
        if wished == "multi_writer":
            world.machine("vm-2", "db02", ())
        with pytest.raises(Refused, match=f"VM db03 has LUN {LUN} {message}"):
            world.plan(sharing=wished)

    def test_two_mapping_files_of_one_lun_are_refused(self, world: World) -> None:
        world.node("vm-3", "db03", node_disk(fileName="[ds] db03/db03_1.vmdk"))
        with pytest.raises(Refused, match=r"is mapped by several files .*db02/db02_1.vmdk, .*db03/db03_1.vmdk"):
            world.plan(sharing="physical_bus")

    def test_a_host_that_does_not_mount_the_datastore_of_the_mapping_file_is_told(self, world: World) -> None:
        world.node("vm-2", "db02", node_disk(fileName="[far] db02/db02_1.vmdk"))
        with pytest.raises(
            Refused, match=r"The mapping file .* of VM db02 is on datastore far, which is not accessible from the host of VM db01"
        ):
            world.plan(sharing="physical_bus")

    def test_what_is_attached_as_wished_is_done(self, world: World) -> None:
        world.node("vm-1", "db01", node_disk())
        assert editing(world.plan(sharing="physical_bus")).done()
        assert editing(world.plan()).done()

    @pytest.mark.parametrize(
        ("bus", "wished", "message"),
        [
            ("noSharing", "physical_bus", "sharing none, not physical_bus"),
            ("physicalSharing", "none", "sharing physical_bus, not none"),
            ("physicalSharing", "multi_writer", "sharing physical_bus, not multi_writer"),
        ],
    )
    def test_what_the_bus_shares_is_not_edited_in_place(self, world: World, bus: str, wished: str, message: str) -> None:
        world.node("vm-1", "db01", node_disk(), sharing=bus)
        with pytest.raises(Refused, match=f"{message}, which cannot be changed while it is attached"):
            world.plan(sharing=wished)


class TestLastLookAtWhoShares:
    @pytest.fixture
    def world(self) -> World:
        world = World()
        world.node("vm-2", "db02", node_disk())
        return world

    def look(self, world: World, **wish: Any) -> StillShared:
        guard = world.plan(sharing="physical_bus", **wish).steps[0]
        assert isinstance(guard, StillShared)
        return guard

    def test_nothing_changed(self, world: World) -> None:
        self.look(world).look()

    def test_the_first_node_has_let_go_of_it(self, world: World) -> None:
        guard = self.look(world)
        world.node("vm-2", "db02")
        with pytest.raises(Overtaken, match="were changed by somebody else in the meantime: run this task again"):
            guard.look()

    def test_another_node_has_created_a_mapping_file(self) -> None:
        world = World()
        guard = self.look(world)
        world.node("vm-2", "db02", node_disk())
        with pytest.raises(Overtaken, match="were changed by somebody else in the meantime: run this task again"):
            guard.look()

    def test_the_first_node_no_longer_shares_it(self, world: World) -> None:
        guard = self.look(world)
        world.node("vm-2", "db02", node_disk(), sharing="noSharing")
        with pytest.raises(Refused, match=r"VM db02 has LUN .* with sharing none"):
            guard.look()

    def test_the_vm_was_started(self, world: World) -> None:
        guard = self.look(world)
        world.machine("vm-1", "db01", (), runtime_powerState="poweredOn")
        with pytest.raises(Refused, match="VM db01 runs"):
            guard.look()


class TestDetach:
    def test_a_lun_that_the_vm_does_not_have_needs_no_step(self) -> None:
        plan = World().plan_detach()
        assert (plan.steps, list(plan.warnings)) == ((), [])

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
        world = World(
            raw_disk(NAA), snapshot_rootSnapshotList=vsphere.array("VirtualMachineSnapshotTree", [snapshot_tree(1, "before update")])
        )
        world.add("VirtualMachineSnapshot", "snapshot-1", config_hardware_device=devices(raw_disk(NAA)))
        with pytest.raises(Refused, match="is part of the snapshots before update of VM db01: remove these snapshots first"):
            world.plan_detach()

    @pytest.mark.parametrize(
        ("then", "warning"),
        [
            (
                {"config_hardware_device": devices(raw_disk(NAA))},
                f"LUN {LUN} is part of the snapshots S2 of VM db01: remove these snapshots",
            ),
            ({}, "The snapshots S2 of VM db01 cannot be read, so nobody can tell whether"),
        ],
    )
    def test_a_lun_that_only_a_snapshot_has_by_now_is_told_where_there_is_nothing_to_detach(
        self, then: dict[str, Any], warning: str
    ) -> None:
        """The VM was reverted to S1, from before it got the LUN."""
        tree = snapshot_tree(1, "S1", snapshot_tree(2, "S2"))
        world = World(snapshot_rootSnapshotList=vsphere.array("VirtualMachineSnapshotTree", [tree]))
        world.add("VirtualMachineSnapshot", "snapshot-1", config_hardware_device=devices())
        world.add("VirtualMachineSnapshot", "snapshot-2", **then)
        plan = world.plan_detach()
        assert plan.steps == ()
        (told,) = plan.warnings
        assert told.startswith(warning)

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


PLANNED = PlannedLun("svm:/vol/v/l")


def asked_before_it_is_made(world: World, **wish: Any) -> Plan:
    return attach.plan_attach(world.session, VirtualMachine(id="vm-1", name="db01"), DiskWish(PLANNED, **wish))


def test_a_lun_that_does_not_exist_yet_is_planned_with_place_controller_and_mapping_file() -> None:
    (step,) = asked_before_it_is_made(World(), ahead=[Slot(1), Slot()], slot=Slot(1), file_system="big").steps
    assert step.title == "attach LUN svm:/vol/v/l to VM db01 as SCSI(1:1)"
    assert step.after()["VM db01"]["SCSI(1:1)"]["mapping_file_on"] == "big"
    (alone,) = asked_before_it_is_made(
        World(config_hardware_device=vsphere.array("VirtualDevice", [DEVICE.VirtualIDEController(key=200, busNumber=0)]))
    ).steps
    assert alone.after()["VM db01"]["SCSI controller 0"] == "pvscsi"


def test_a_lun_that_does_not_exist_yet_is_refused_for_what_the_run_would_refuse() -> None:
    with pytest.raises(Refused, match="cannot hold the mapping file"):
        asked_before_it_is_made(World(), file_system="nfs")
    with pytest.raises(Refused, match="is suspended"):
        asked_before_it_is_made(World(runtime_powerState="suspended"))


def test_the_place_of_a_lun_that_goes_first_is_offered() -> None:
    taken = raw_disk(NAA)
    assert "SCSI(0:1)" in asked_before_it_is_made(World(taken), slot=Slot(0, 1), leaving=[LUN]).steps[0].title
    with pytest.raises(Refused, match=r"SCSI\(0:1\) of VM db01 is taken"):
        asked_before_it_is_made(World(taken), slot=Slot(0, 1))
