# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Attach and detach: in what runs and in what starts next time, with nothing that libvirt would add on its own, undone when it fails."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import (
    CrossvisorError,
    InvalidInput,
    Refused,
    RemoteError,
    StepFailed,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.base import DiskWish
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm import attach, domain
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.domain import Disk, DriveAddress
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.host import KvmHost
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import Slot, VirtualMachine
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import PlannedLun, ScsiName
from tests.unit import libvirt
from tests.unit.iscsi_target import IscsiTarget, listening
from tests.unit.kvm_host import SAN_HOST, path
from tests.unit.libvirt import (
    BY_IO_ERROR,
    BY_MIGRATION,
    BY_USER,
    ROOT_PORT,
    VIRTIO_SCSI,
    Connect,
    Domain,
    LibvirtError,
    domain_xml,
    uuid_of,
)
from tests.unit.module_utils._san.linux.machines import plant
from tests.unit.ports import NAME, OTHER

pytestmark = pytest.mark.slow

PCIE = "<controller type='pci' index='0' model='pcie-root'/>"
WITH_SCSI = domain_xml("app", VIRTIO_SCSI)
WITH_A_PORT = domain_xml("app", PCIE + ROOT_PORT.format(1))
DISK_ON_THE_PORT = (
    "<disk type='file' device='disk'><source file='/a'/><target dev='vda' bus='virtio'/><address type='pci' bus='0x01' slot='0x00'/></disk>"
)
CROWDED = domain_xml("app", PCIE + ROOT_PORT.format(1) + DISK_ON_THE_PORT)


@pytest.fixture
def target() -> Iterator[IscsiTarget]:
    with listening(IscsiTarget({1: NAME, 7: OTHER})) as there:
        yield there


@pytest.fixture
def app() -> Domain:
    """A VM that runs and is persistent."""
    return Domain("app", WITH_SCSI, WITH_SCSI)


@pytest.fixture
def host(target: IscsiTarget, app: Domain, tmp_path: Path) -> KvmHost:
    return libvirt.host(Connect([app], [libvirt.san_pool(target)]), tmp_path)


VM = VirtualMachine(uuid_of("app"), "app")
SAVED = r"VM app is saved to disk with the devices that it had: start it, or discard .* first \(virsh managedsave-remove app\)"


def wish(**settings: object) -> DiskWish:
    return DiskWish(**{"name": NAME, "timeout": 30.0, **settings})  # type: ignore[arg-type]


def disks(xml: str) -> list[Disk]:
    return list(domain.parse(xml).disks)


def test_a_lun_is_passed_through_at_an_explicit_address_in_both_parts(host: KvmHost, app: Domain) -> None:
    attach.plan_attach(host, VM, wish()).run()
    for part in (app.live, app.config):
        (disk,) = disks(part)
        assert (disk.device, disk.target, disk.address, disk.recorded_name) == ("lun", "sda", DriveAddress(0, 0, 0), NAME)
        assert disk.source is not None
        assert (disk.source.lun_id, disk.shareable) == (1, False)


BY_ONE_PATH = domain_xml(
    "app",
    f"{VIRTIO_SCSI}<disk type='block' device='lun'><driver name='qemu' type='raw'/><source dev='/dev/disk/by-id/{NAME.wwn}'/>"
    f"<target dev='sdb' bus='scsi'/><alias name='ua-naa-{NAME.naa}'/>"
    "<address type='drive' controller='0' bus='0' target='0' unit='3'/></disk>",
)


@pytest.fixture
def single(app: Domain, tmp_path: Path) -> KvmHost:
    """A host with multipath, and a VM that has the LUN by one path."""
    app.live = app.config = BY_ONE_PATH
    app.sizes = {"sdb": 1 << 30}
    return libvirt.host(Connect([app]), plant(tmp_path, SAN_HOST))


def test_a_disk_by_one_path_is_told(single: KvmHost) -> None:
    plan = attach.plan_attach(single, VM, wish())
    assert plan.pending() == []
    (warning,) = plan.warnings
    assert warning.startswith(f"VM app has LUN {NAME} by the name of a single path, /dev/disk/by-id/{NAME.wwn}, and stops when")
    assert "single_path=mend" in warning
    assert attach.plan_attach(single, VM, wish(single_path="allow")).warnings == []


def test_a_disk_by_one_path_is_mended_at_its_place_when_that_is_asked_for(single: KvmHost, app: Domain) -> None:
    app.mounted = [("/snap/core/1", "loop0", "squashfs", [])]
    plan = attach.plan_attach(single, VM, wish(single_path="mend"))
    assert [step.title for step in plan.pending()] == [f"detach LUN {NAME} (sdb) from VM app", f"attach LUN {NAME} to VM app as SCSI(0:3)"]
    plan.run()
    for part in (app.live, app.config):
        (disk,) = disks(part)
        assert disk.source is not None
        assert (disk.source.path, disk.target) == (f"/dev/disk/by-id/dm-uuid-mpath-{NAME.wwid}", "sdb")
    assert attach.plan_attach(single, VM, wish(single_path="mend")).pending() == []


def test_a_disk_that_cannot_be_attached_anew_is_put_back(single: KvmHost, app: Domain) -> None:
    app.mounted = []
    app.refusal = LibvirtError("internal error: Could not open '/dev/dm-0'", 1)
    with pytest.raises(StepFailed, match=r"QEMU cannot open the device.*undone: detach LUN"):
        attach.plan_attach(single, VM, wish(single_path="mend")).run()
    assert [disk.source.path for part in (app.live, app.config) for disk in disks(part) if disk.source] == [
        f"/dev/disk/by-id/{NAME.wwn}"
    ] * 2


@pytest.mark.parametrize(
    ("mounted", "words"),
    [
        (None, "VM app is not off, and no guest agent tells whether LUN .* is mounted there"),
        ([("/data", "sda", "xfs", ["sdb"])], "is mounted in VM app at /data"),
        ([("/data", "sda", "xfs", [])], "its guest agent does not tell on which disk /data lies, which may be LUN"),
    ],
)
def test_a_disk_that_is_or_may_be_mounted_is_not_taken_away(
    single: KvmHost, app: Domain, mounted: list[tuple[str, str, str, list[str]]] | None, words: str
) -> None:
    app.mounted = mounted
    with pytest.raises(Refused, match=words):
        attach.plan_attach(single, VM, wish(single_path="mend"))


def test_a_disk_by_one_path_is_not_taken_away_before_there_is_a_multipath_device(single: KvmHost, app: Domain, tmp_path: Path) -> None:
    app.mounted = []
    (tmp_path / "sys/devices/virtual/block/dm-0/dm/uuid").write_text("LVM-x")
    with pytest.raises(Refused, match=r"2 paths .* no multipath device of it, because multipathd does not run there"):
        attach.plan_attach(single, VM, wish(single_path="mend"))


MAPPER, LINK = "/dev/mapper/mpatha", f"/dev/disk/by-id/dm-uuid-mpath-{NAME.wwid}"
ONE_PATH = f"/dev/disk/by-id/{NAME.wwn}"


def with_lun(device: str, target: str = "sdb", unit: int = 3) -> str:
    moved = BY_ONE_PATH.replace(ONE_PATH, device).replace("dev='sdb'", f"dev='{target}'")
    return moved.replace("unit='3'", f"unit='{unit}'")


def sources(app: Domain) -> list[list[str]]:
    return [[str(disk.source) for disk in disks(part)] for part in (app.live, app.config)]


def test_a_lun_that_both_parts_have_is_not_missing_in_either_whatever_it_is_called(single: KvmHost, app: Domain) -> None:
    app.live, app.config = with_lun(MAPPER), with_lun(LINK)
    plan = attach.plan_attach(single, VM, wish())
    assert (plan.pending(), plan.warnings) == ([], [])


@pytest.mark.parametrize("then", [with_lun(LINK, unit=4), with_lun(LINK, "sdc")], ids=["place", "name"])
def test_a_lun_that_is_elsewhere_at_the_next_start_is_told(single: KvmHost, app: Domain, then: str) -> None:
    app.live, app.config = with_lun(LINK), then
    (there,) = disks(then)
    assert there.address is not None
    plan = attach.plan_attach(single, VM, wish())
    (warning,) = plan.warnings
    other = f"{there.target} at SCSI(0:{there.address.unit})"
    assert plan.pending() == []
    assert f"as sdb at SCSI(0:3) while it runs and as {other} when it starts next time: power it off and on if" in warning


def test_a_lun_is_taken_from_both_parts_whatever_it_is_called(single: KvmHost, app: Domain) -> None:
    app.live, app.config = with_lun(MAPPER), with_lun(LINK, "sdc", 4)
    assert [step.title for step in attach.plan_detach(single, VM, NAME, 5).run()] == [
        f"detach LUN {NAME} (sdb) from VM app that runs",
        f"detach LUN {NAME} (sdc) from VM app as it starts next time",
    ]
    assert (sources(app), app.calls) == ([[], []], ["detach disk 1", "detach disk 2"]), "each part once, and nothing is given back"


def test_a_lun_that_one_part_still_has_was_not_taken(single: KvmHost, app: Domain) -> None:
    app.live, app.config = with_lun(MAPPER), with_lun(LINK)
    first, last = attach.plan_detach(single, VM, NAME, 5).steps
    first.do()
    first.verify()
    with pytest.raises(RemoteError, match="still has LUN"):
        last.verify()


def test_a_single_path_in_one_part_is_told_and_mended_there_alone(single: KvmHost, app: Domain) -> None:
    app.live, app.config = with_lun(LINK), with_lun(ONE_PATH)
    app.mounted = [("/data", "sda", "xfs", ["sdb"])]
    (warning,) = attach.plan_attach(single, VM, wish()).warnings
    assert f"by the name of a single path, {ONE_PATH}" in warning
    assert [step.title for step in attach.plan_attach(single, VM, wish(single_path="mend")).run()] == [
        f"detach LUN {NAME} (sdb) from VM app as it starts next time",
        f"attach LUN {NAME} to VM app as it starts next time as SCSI(0:3)",
    ]
    assert (sources(app), app.calls) == ([[LINK], [LINK]], ["detach disk 2", "attach disk 2"]), "what is mounted stays"


def test_two_single_paths_are_mended_one_after_the_other(single: KvmHost, app: Domain) -> None:
    app.live, app.config, app.mounted = with_lun(ONE_PATH), with_lun("/dev/sda", "sdc", 4), []
    attach.plan_attach(single, VM, wish(single_path="mend")).run()
    assert sources(app) == [[LINK], [LINK]]
    assert [(disk.target, disk.address) for part in (app.live, app.config) for disk in disks(part)] == [
        ("sdb", DriveAddress(0, 0, 3)),
        ("sdc", DriveAddress(0, 0, 4)),
    ]


def test_a_single_path_in_what_runs_is_mended_only_while_it_is_not_mounted(single: KvmHost, app: Domain) -> None:
    app.live, app.config, app.mounted = with_lun(ONE_PATH), with_lun(LINK), [("/data", "sda", "xfs", ["sdb"])]
    with pytest.raises(Refused, match="is mounted in VM app at /data"):
        attach.plan_attach(single, VM, wish(single_path="mend"))


def give_number_to(root: Path, name: ScsiName, *addresses: str) -> None:
    """Let the host have another LUN by these paths, of which multipath takes no notice."""
    for address in addresses:
        told = path(address, "sdq", "8:0", name.naa).items()
        plant(root, {file: content for file, content in told if file.endswith(("/vpd_pg83", "/wwid"))})


@pytest.mark.parametrize("strangers", [["7:0:1:1"], ["7:0:0:1", "7:0:1:1"]], ids=["one", "all"])
def test_a_lun_some_of_whose_paths_are_another_by_now_is_neither_given_nor_taken(
    single: KvmHost, app: Domain, tmp_path: Path, strangers: list[str]
) -> None:
    app.live = app.config = with_lun(MAPPER)
    give_number_to(tmp_path, OTHER, *strangers)
    words = rf"mpatha of LUN {NAME} on host kvm01 has .*sdb, which is another LUN by now: take it out there"
    with pytest.raises(Refused, match=words):
        attach.plan_attach(single, VM, wish())
    with pytest.raises(Refused, match=words):
        attach.plan_detach(single, VM, NAME, 5)


def test_a_lun_that_all_paths_of_the_device_are_by_now_is_what_the_vm_has(single: KvmHost, app: Domain, tmp_path: Path) -> None:
    app.live = app.config = with_lun(MAPPER)
    give_number_to(tmp_path, OTHER, "7:0:0:1", "7:0:1:1")
    assert len(attach.plan_detach(single, VM, OTHER, 5).pending()) == 1


def test_a_vm_that_runs_is_told_how_large_a_lun_is_that_has_grown(single: KvmHost, app: Domain) -> None:
    app.sizes, app.resizable = {"sdb": 1 << 29}, {"sdb": 1 << 30}
    plan = attach.plan_attach(single, VM, wish(single_path="allow"))
    assert [step.title for step in plan.pending()] == [f"tell VM app the new size of LUN {NAME} (sdb)"]
    assert plan.pending()[0].before() == {"VM app": {"size of sdb": 1 << 29}}
    plan.run()
    assert (app.calls, app.sizes) == ([f"resize sdb {1 << 30} 1"], {"sdb": 1 << 30})


def test_what_a_lun_is_going_to_grow_to_is_in_the_plan(single: KvmHost) -> None:
    (step,) = attach.plan_attach(single, VM, wish(size_bytes=1 << 31)).pending()
    assert step.after() == {"VM app": {"size of sdb": 1 << 31}}


def test_a_vm_that_cannot_be_told_the_size_is_named_with_the_way_out(single: KvmHost, app: Domain) -> None:
    app.sizes = {"sdb": 1 << 29}
    with pytest.raises(
        StepFailed, match=r"VM app still runs with the old size of LUN .*, 536870912 bytes in place of 1073741824 .*power it off and on"
    ):
        attach.plan_attach(single, VM, wish()).run()


def test_a_vm_that_is_off_is_told_nothing(single: KvmHost, app: Domain) -> None:
    app.live = ""
    assert attach.plan_attach(single, VM, wish(size_bytes=1 << 31)).pending() == []


def test_a_second_run_has_nothing_to_do(host: KvmHost) -> None:
    attach.plan_attach(host, VM, wish()).run()
    assert attach.plan_attach(host, VM, wish()).pending() == []


def test_a_vm_that_is_off_gets_it_for_the_next_start(host: KvmHost, app: Domain) -> None:
    app.live = ""
    attach.plan_attach(host, VM, wish()).run()
    assert (app.calls, len(disks(app.config))) == (["attach disk 2"], 1)


def test_a_transient_vm_gets_it_while_it_runs(host: KvmHost, app: Domain) -> None:
    app.config = ""
    attach.plan_attach(host, VM, wish()).run()
    assert (app.calls, len(disks(app.live))) == (["attach disk 1"], 1)


def test_what_an_interrupted_run_left_out_is_added_at_the_same_place(host: KvmHost, app: Domain) -> None:
    attach.plan_attach(host, VM, wish(slot=Slot(0, 5))).run()
    app.config = WITH_SCSI
    (step,) = attach.plan_attach(host, VM, wish()).pending()
    assert step.title == f"attach LUN {NAME} to VM app as it starts next time as SCSI(0:5)"
    step.do()
    step.verify()
    assert [disk.address for disk in disks(app.config)] == [DriveAddress(0, 0, 5)]


def test_a_missing_controller_is_added_first(host: KvmHost, app: Domain) -> None:
    app.live = app.config = WITH_A_PORT
    plan = attach.plan_attach(host, VM, wish())
    assert [step.title for step in plan.run()] == [
        "add SCSI controller 0 (virtio-scsi) to VM app",
        f"attach LUN {NAME} to VM app as SCSI(0:0)",
    ]
    assert [controller.model for controller in domain.parse(app.config).controllers] == ["virtio-scsi"]


def test_a_controller_of_a_failed_attach_is_taken_away_again(host: KvmHost, app: Domain) -> None:
    app.live = app.config = WITH_A_PORT
    app.refusal = LibvirtError("internal error: unable to execute QEMU command: LOGICAL_UNIT_NOT_SUPPORTED(0x2500)", 1)
    with pytest.raises(StepFailed, match=r"no longer shows it under the number.*; undone: add SCSI controller 0"):
        attach.plan_attach(host, VM, wish()).run()
    assert [list(domain.parse(part).controllers) for part in (app.live, app.config)] == [[], []]


def test_a_running_vm_without_a_free_port_is_refused_before_anything_changes(host: KvmHost, app: Domain) -> None:
    app.live = app.config = CROWDED
    with pytest.raises(Refused, match=r"VM app runs without a usable SCSI controller and without a free PCI Express port"):
        attach.plan_attach(host, VM, wish())
    assert app.calls == []


def test_a_vm_that_is_off_needs_no_free_port(host: KvmHost, app: Domain) -> None:
    app.live, app.config = "", CROWDED
    assert len(attach.plan_attach(host, VM, wish()).run()) == 2


def test_a_lun_that_is_attached_elsewhere_is_not_moved(host: KvmHost) -> None:
    attach.plan_attach(host, VM, wish()).run()
    with pytest.raises(Refused, match=r"with place SCSI\(0:0\), not SCSI\(0:3\), which cannot be changed while it is attached"):
        attach.plan_attach(host, VM, wish(slot=Slot(0, 3)))


def test_sharing_is_the_disks_own_property(host: KvmHost, app: Domain) -> None:
    attach.plan_attach(host, VM, wish(sharing="multi_writer")).run()
    assert disks(app.config)[0].shareable
    with pytest.raises(Refused, match="with sharing multi_writer, not none"):
        attach.plan_attach(host, VM, wish(sharing="none"))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"mode": "virtual"}, "mode virtual does not exist for a LUN that KVM passes through: ask for physical, or leave it out"),
        ({"disk_mode": "persistent"}, "disk_mode persistent does not exist.*leave it out"),
        ({"sharing": "physical_bus"}, "sharing physical_bus does not exist.*: choose one of none, multi_writer, or leave it out"),
        ({"file_system": "ds1"}, "datastore ds1 does not exist"),
        ({"controller_type": "buslogic"}, "'buslogic' is not a SCSI controller"),
    ],
)
def test_a_setting_of_another_platform_is_refused(host: KvmHost, settings: dict[str, str], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        attach.plan_attach(host, VM, wish(**settings))


def test_a_vm_with_a_managed_save_image_is_refused(host: KvmHost, app: Domain) -> None:
    app.live, app.saved = "", True
    with pytest.raises(Refused, match=SAVED):
        attach.plan_attach(host, VM, wish())


@pytest.mark.parametrize("has_it", ["both", "only the image", "perhaps the image"])
def test_a_lun_with_which_a_saved_vm_goes_on_is_not_detached_from_what_starts_next_time(host: KvmHost, app: Domain, has_it: str) -> None:
    attach.plan_attach(host, VM, wish()).run()
    app.live, app.saved, app.image = "", True, None if has_it == "perhaps the image" else app.live
    app.config = app.config if has_it == "both" else WITH_SCSI
    with pytest.raises(Refused, match=SAVED):
        attach.plan_detach(host, VM, NAME, 5)


def test_a_lun_that_neither_configuration_nor_managed_save_image_has_is_detached_already(host: KvmHost, app: Domain) -> None:
    app.live, app.saved = "", True
    assert attach.plan_detach(host, VM, NAME, 5).pending() == []


@pytest.mark.parametrize("change", ["attach", "detach"])
def test_a_vm_that_was_saved_since_the_plan_is_not_changed(host: KvmHost, app: Domain, change: str) -> None:
    app.live = ""
    plan = attach.plan_attach(host, VM, wish())
    if change == "detach":
        plan.run()
        plan = attach.plan_detach(host, VM, NAME, 5)
    app.saved, before = True, app.config
    with pytest.raises(StepFailed, match=SAVED):
        plan.run()
    assert app.config == before


def test_a_lun_that_nobody_shows_is_told_with_what_the_targets_say(host: KvmHost, target: IscsiTarget, app: Domain) -> None:
    plan = attach.plan_attach(host, VM, wish())
    target.initiators.clear()
    with pytest.raises(StepFailed, match=r"Host kvm01 does not see LUN .*does not let initiator .* in \(status 515\)"):
        plan.run()
    assert app.calls == []


def test_a_place_that_was_taken_since_the_plan_is_refused(host: KvmHost, app: Domain, target: IscsiTarget) -> None:
    plan = attach.plan_attach(host, VM, wish())
    app.live = app.config = domain_xml("app", VIRTIO_SCSI + libvirt.network_lun(target, 7))
    with pytest.raises(StepFailed, match="VM app was changed by somebody else in the meantime") as failure:
        plan.run()
    assert failure.value.overtaken


@pytest.mark.parametrize(
    "occupant",
    [
        "<target dev='sdz' bus='scsi'/><address type='drive' controller='0' bus='0' target='0' unit='0'/>",
        "<target dev='sda' bus='scsi'/><address type='drive' controller='0' bus='0' target='0' unit='5'/>",
    ],
    ids=["place", "name"],
)
def test_a_place_or_name_that_is_taken_at_the_last_moment_is_planned_anew(
    host: KvmHost, app: Domain, occupant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = attach.plan_attach(host, VM, wish())
    libvirts_own = app.attachDeviceFlags

    def overtaken(xml: str, flags: int) -> int:
        app.live = app.config = domain_xml("app", f"{VIRTIO_SCSI}<disk type='file' device='disk'><source file='/a'/>{occupant}</disk>")
        return libvirts_own(xml, flags)

    monkeypatch.setattr(app, "attachDeviceFlags", overtaken)
    with pytest.raises(StepFailed, match="VM app was changed by somebody else in the meantime") as failure:
        plan.run()
    assert failure.value.overtaken
    monkeypatch.undo()
    attach.plan_attach(host, VM, wish()).run()
    assert len(disks(app.live)) == len(disks(app.config)) == 2


def test_a_controller_that_came_at_the_last_moment_is_planned_anew(host: KvmHost, app: Domain, monkeypatch: pytest.MonkeyPatch) -> None:
    app.live = app.config = WITH_A_PORT
    plan = attach.plan_attach(host, VM, wish())
    libvirts_own = app.attachDeviceFlags

    def overtaken(xml: str, flags: int) -> int:
        app.live = app.config = domain_xml("app", PCIE + ROOT_PORT.format(1) + VIRTIO_SCSI)
        return libvirts_own(xml, flags)

    monkeypatch.setattr(app, "attachDeviceFlags", overtaken)
    with pytest.raises(StepFailed, match="SCSI controller 0 was added to VM app by somebody else") as failure:
        plan.run()
    assert failure.value.overtaken


def test_a_refusal_for_another_reason_is_told_as_it_is(host: KvmHost, app: Domain) -> None:
    app.refusal = LibvirtError("unexpected", 1)
    with pytest.raises(StepFailed, match="unexpected") as failure:
        attach.plan_attach(host, VM, wish()).run()
    assert not failure.value.overtaken


def test_detach_waits_until_the_guest_has_let_go_then_forgets_it(host: KvmHost, app: Domain) -> None:
    attach.plan_attach(host, VM, wish()).run()
    app.calls.clear()
    attach.plan_detach(host, VM, NAME, 5).run()
    assert app.calls == ["detach disk 1", "detach disk 2"]
    assert (disks(app.live), disks(app.config)) == ([], [])


def test_a_guest_that_does_not_let_go_keeps_the_disk_in_both_parts(host: KvmHost, app: Domain) -> None:
    attach.plan_attach(host, VM, wish()).run()
    app.holds_on = True
    with pytest.raises(StepFailed, match=r"LUN .* is still in VM app after 0\.3 s, because the guest does not let go"):
        attach.plan_detach(host, VM, NAME, 0.3).run()
    assert (len(disks(app.live)), len(disks(app.config))) == (1, 1)


def test_a_mounted_lun_is_not_taken_away(host: KvmHost, app: Domain) -> None:
    attach.plan_attach(host, VM, wish()).run()
    app.mounted = [("/srv/data", "sda1", "ext4", ["sda"]), ("/", "vda1", "ext4", ["vda"])]
    with pytest.raises(Refused, match=r"LUN .* is mounted in VM app at /srv/data: unmount it there first"):
        attach.plan_detach(host, VM, NAME, 5)


def with_agent(app: Domain, state: str) -> None:
    """As libvirt tells whether a guest agent has its channel open."""
    channel = f"<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0' state='{state}'/></channel></devices>"
    app.live = app.live.replace("</devices>", channel)


def test_an_agent_that_answers_late_is_waited_for(host: KvmHost, app: Domain) -> None:
    attach.plan_attach(host, VM, wish()).run()
    app.mounted, app.late = [("/srv/data", "sda1", "ext4", ["sda"])], 25
    with pytest.raises(Refused, match=r"LUN .* is mounted in VM app at /srv/data: unmount it there first"):
        attach.plan_detach(host, VM, NAME, 5)


def test_where_an_agent_runs_and_does_not_answer_nobody_knows_what_is_mounted(host: KvmHost, app: Domain) -> None:
    attach.plan_attach(host, VM, wish()).run()
    with_agent(app, "connected")
    app.mounted, app.late = [], 3600
    with pytest.raises(
        Refused, match=r"The guest agent of VM app did not answer within 30 s, so that nobody can tell whether LUN .* is mounted"
    ):
        attach.plan_detach(host, VM, NAME, 5)
    assert len(disks(app.live)) == 1


def test_a_guest_whose_agent_does_not_run_is_not_asked(host: KvmHost, app: Domain) -> None:
    attach.plan_attach(host, VM, wish()).run()
    with_agent(app, "disconnected")
    app.mounted = None
    attach.plan_detach(host, VM, NAME, 5).run()
    assert disks(app.live) == []


def test_a_mount_that_came_after_the_plan_is_seen_too(host: KvmHost, app: Domain) -> None:
    attach.plan_attach(host, VM, wish()).run()
    plan = attach.plan_detach(host, VM, NAME, 5)
    app.mounted = [("/srv/data", "sda1", "ext4", ["sda"])]
    with pytest.raises(StepFailed, match="is mounted in VM app"):
        plan.run()
    assert len(disks(app.live)) == 1


SUSPENDED = r"VM app is suspended, so that nobody can tell whether LUN .* is mounted there: resume it, or power it off first"


@pytest.mark.parametrize(
    ("reason", "asked"),
    [
        (BY_USER, (1, 0)),
        (BY_USER, (0, 1)),
        (BY_USER, (-1, -1)),
        (BY_IO_ERROR, (7, 3)),
        (BY_MIGRATION, (0, 0)),
    ],
    ids=["it has read", "it has written", "QEMU does not tell", "its disk failed", "it was restored, and nobody counted before"],
)
def test_a_lun_that_a_suspended_guest_may_have_mounted_is_not_taken_away(
    host: KvmHost, app: Domain, reason: int, asked: tuple[int, int]
) -> None:
    attach.plan_attach(host, VM, wish()).run()
    plan = attach.plan_detach(host, VM, NAME, 5)
    app.paused, app.asked = reason, {"sda": asked}
    with pytest.raises(Refused, match=SUSPENDED):
        attach.plan_detach(host, VM, NAME, 5)
    with pytest.raises(StepFailed, match=SUSPENDED):
        plan.run()
    assert len(disks(app.live)) == 1


def test_a_lun_that_a_guest_which_was_started_paused_has_never_used_is_taken_away(host: KvmHost, app: Domain) -> None:
    app.paused = BY_USER
    attach.plan_attach(host, VM, wish()).run()
    attach.plan_detach(host, VM, NAME, 5).run()
    assert (disks(app.live), disks(app.config)) == ([], [])


def test_a_lun_that_a_suspended_vm_has_at_its_next_start_alone_is_taken_away(host: KvmHost, app: Domain) -> None:
    attach.plan_attach(host, VM, wish()).run()
    app.live, app.paused = WITH_SCSI, BY_MIGRATION
    attach.plan_detach(host, VM, NAME, 5).run()
    assert disks(app.config) == []


def test_detaching_what_is_not_there_is_done(host: KvmHost) -> None:
    assert attach.plan_detach(host, VM, NAME, 5).pending() == []


def test_a_disk_is_known_by_what_its_target_shows_now_not_by_what_was_noted(host: KvmHost, target: IscsiTarget) -> None:
    attach.plan_attach(host, VM, wish()).run()
    target.luns[1] = OTHER
    assert attach.plan_detach(host, VM, NAME, 5).pending() == []
    assert len(attach.plan_detach(host, VM, OTHER, 5).pending()) == 1


def test_a_disk_whose_lun_the_array_has_unmapped_is_known_by_what_was_noted(host: KvmHost, target: IscsiTarget, app: Domain) -> None:
    attach.plan_attach(host, VM, wish()).run()
    target.initiators.clear()
    attach.plan_detach(host, VM, NAME, 5).run()
    assert disks(app.live) == []


def test_a_detach_is_undone_as_it_was(host: KvmHost, app: Domain) -> None:
    attach.plan_attach(host, VM, wish(slot=Slot(0, 9))).run()
    (step,) = attach.plan_detach(host, VM, NAME, 5).run()
    step.undo()
    assert [disk.address for part in (app.live, app.config) for disk in disks(part)] == [DriveAddress(0, 0, 9)] * 2


def test_everything_is_told_before_it_is_done(host: KvmHost, app: Domain) -> None:
    before = app.live
    plan = attach.plan_attach(host, VM, wish())
    assert [step.after() for step in plan.pending()] == [{"VM app": {"SCSI(0:0)": {"lun": str(NAME), "shareable": False}}}]
    assert app.live == before


def test_every_refusal_is_one_of_ours(host: KvmHost, app: Domain) -> None:
    app.refusal = LibvirtError("unexpected", 1)
    with pytest.raises(
        CrossvisorError, match="was not attached to VM app: libvirt at qemu:///system could not attach the device: unexpected"
    ):
        attach.plan_attach(host, VM, wish()).run()


# -- a disk that is there already


PVSCSI = "<controller type='scsi' index='1' model='vmpvscsi'/>"


def as_virtio(text: str) -> str:
    """The same LUN on virtio-blk, which has no place on a SCSI controller."""
    return re.sub(r"<address type='drive'[^>]*/>", "", text).replace("bus='scsi'", "bus='virtio'").replace("sda", "vdb")


def test_an_unshared_disk_is_not_called_shared(host: KvmHost) -> None:
    attach.plan_attach(host, VM, wish()).run()
    with pytest.raises(Refused, match="with sharing none, not multi_writer"):
        attach.plan_attach(host, VM, wish(sharing="multi_writer"))
    assert attach.plan_attach(host, VM, wish(sharing="none")).pending() == []


def test_a_disk_is_where_its_own_controller_counts_it(host: KvmHost, app: Domain) -> None:
    app.live = app.config = domain_xml("app", VIRTIO_SCSI + PVSCSI)
    attach.plan_attach(host, VM, wish(slot=Slot(1, 9))).run()
    assert [disk.address for disk in disks(app.live)] == [DriveAddress(1, 9, 0)]
    assert attach.plan_attach(host, VM, wish(slot=Slot(1, 9))).pending() == []
    with pytest.raises(Refused, match=r"with place SCSI\(1:9\), not SCSI\(1:0\)"):
        attach.plan_attach(host, VM, wish(slot=Slot(1, 0)))


@pytest.mark.parametrize("parts", ["both", "what runs"])
def test_a_lun_that_somebody_gave_as_another_kind_of_disk_is_left_as_it_is(
    host: KvmHost, app: Domain, target: IscsiTarget, parts: str
) -> None:
    given = domain_xml("app", VIRTIO_SCSI + as_virtio(libvirt.network_lun(target, 1)))
    app.live, app.config = given, given if parts == "both" else WITH_SCSI
    assert attach.plan_attach(host, VM, wish()).pending() == []


def test_what_starts_next_time_gets_the_controller_that_it_lacks(host: KvmHost, app: Domain) -> None:
    attach.plan_attach(host, VM, wish()).run()
    app.config = domain_xml("app", "")
    app.calls.clear()
    assert [step.title for step in attach.plan_attach(host, VM, wish()).run()] == [
        "add SCSI controller 0 (virtio-scsi) to VM app",
        f"attach LUN {NAME} to VM app as it starts next time as SCSI(0:0)",
    ]
    assert [call.split()[-1] for call in app.calls] == ["2", "2"], "what runs is not touched"


def test_a_running_vm_without_a_free_port_may_lack_a_controller_at_its_next_start(host: KvmHost, app: Domain) -> None:
    devices = PCIE + ROOT_PORT.format(1) + DISK_ON_THE_PORT
    app.live = app.config = domain_xml("app", devices + VIRTIO_SCSI)
    attach.plan_attach(host, VM, wish()).run()
    app.config = domain_xml("app", devices)
    assert len(attach.plan_attach(host, VM, wish()).run()) == 2


def test_a_vm_without_pci_express_needs_no_port(host: KvmHost, app: Domain) -> None:
    app.live = app.config = domain_xml("app", "")
    assert len(attach.plan_attach(host, VM, wish()).run()) == 2


def test_a_vm_that_runs_otherwise_than_it_starts_gets_a_controller_that_is_the_same_in_both(host: KvmHost, app: Domain) -> None:
    app.config = domain_xml("app", "")
    attach.plan_attach(host, VM, wish()).run()
    assert [disk.address for part in (app.live, app.config) for disk in disks(part)] == [DriveAddress(1, 0, 0)] * 2


def test_what_runs_gets_the_disk_on_the_controller_that_it_has(host: KvmHost, app: Domain) -> None:
    attach.plan_attach(host, VM, wish()).run()
    app.live = WITH_SCSI
    assert [step.title for step in attach.plan_attach(host, VM, wish()).run()] == [f"attach LUN {NAME} to VM app that runs as SCSI(0:0)"]
    assert len(disks(app.live)) == 1


def test_a_sata_disk_is_not_on_the_scsi_controller_of_its_number(host: KvmHost, app: Domain, target: IscsiTarget) -> None:
    app.live = domain_xml("app", VIRTIO_SCSI + libvirt.network_lun(target, 1).replace("bus='scsi'", "bus='sata'"))
    assert attach.plan_attach(host, VM, wish()).pending() == []


def test_a_scsi_disk_without_an_address_is_left_as_it_is(host: KvmHost, app: Domain, target: IscsiTarget) -> None:
    app.live = domain_xml("app", VIRTIO_SCSI + re.sub(r"<address [^>]*/>", "", libvirt.network_lun(target, 1)))
    assert attach.plan_attach(host, VM, wish()).pending() == []


def test_a_disk_that_no_unit_names_is_left_as_it_is(host: KvmHost, app: Domain, target: IscsiTarget) -> None:
    app.live = domain_xml("app", VIRTIO_SCSI + libvirt.network_lun(target, 1).replace("target='0'", "target='1'"))
    assert disks(app.live)[0].address == DriveAddress(0, 1, 0)
    assert attach.plan_attach(host, VM, wish()).pending() == []


PLANNED = PlannedLun("svm:/vol/v/l")


def test_a_lun_that_does_not_exist_yet_is_planned_with_place_and_controller(host: KvmHost, app: Domain) -> None:
    app.live = app.config = domain_xml("app", "")
    titles = [step.title for step in attach.plan_attach(host, VM, wish(name=PLANNED)).pending()]
    assert titles == ["add SCSI controller 0 (virtio-scsi) to VM app", "attach LUN svm:/vol/v/l to VM app as SCSI(0:0)"]
    second = attach.plan_attach(host, VM, wish(name=PLANNED, ahead=[Slot()])).pending()
    assert [step.title for step in second] == ["attach LUN svm:/vol/v/l to VM app as SCSI(0:1)"]


def test_a_lun_that_does_not_exist_yet_is_refused_for_what_the_run_would_refuse(host: KvmHost, app: Domain) -> None:
    app.live = app.config = CROWDED
    for ahead in ([], [Slot()]):
        with pytest.raises(Refused, match="without a free PCI Express port"):
            attach.plan_attach(host, VM, wish(name=PLANNED, ahead=ahead))


def test_the_place_of_a_lun_that_goes_first_is_offered(host: KvmHost) -> None:
    attach.plan_attach(host, VM, wish()).run()
    there = wish(name=PLANNED, slot=Slot(0, 0))
    with pytest.raises(Refused, match=r"SCSI\(0:0\) of VM app is taken"):
        attach.plan_attach(host, VM, there)
    (step,) = attach.plan_attach(host, VM, replace(there, leaving=[NAME])).steps
    assert step.title == "attach LUN svm:/vol/v/l to VM app as SCSI(0:0)"
