# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Steps on their own: what each promises before it acts, and what it looks at before it undoes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import Overtaken, Refused, RemoteError
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm import disk_steps, domain
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.changing import VmChange
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.disk_steps import AddController, AttachDisk, DetachDisk
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.places import Place
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import VirtualMachine
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.libvirt_session import CONFIG, LIVE
from tests.unit import libvirt
from tests.unit.iscsi_target import IscsiTarget, listening
from tests.unit.kvm_host import SAN_HOST
from tests.unit.libvirt import VIRTIO_SCSI, Connect, Domain, LibvirtError, domain_xml, uuid_of
from tests.unit.module_utils._san.linux.machines import plant
from tests.unit.ports import NAME, OTHER

EMPTY = domain_xml("app", "")
WITH_SCSI = domain_xml("app", VIRTIO_SCSI)
OCCUPANT = (
    "<disk type='file' device='disk'><source file='/a'/><target dev='sda' bus='scsi'/>"
    "<address type='drive' controller='0' bus='0' target='0' unit='0'/></disk>"
)


@pytest.fixture
def app() -> Domain:
    return Domain("app", EMPTY, EMPTY)


@pytest.fixture
def vm(app: Domain, tmp_path: Path) -> VmChange:
    return VmChange(libvirt.host(Connect([app]), tmp_path), VirtualMachine(uuid_of("app"), "app"), timeout=30)


def controller(vm: VmChange, parts: int = LIVE | CONFIG) -> AddController:
    return AddController(vm, Place(0, 0, "virtio-scsi", add=True), parts)


def indexes(xml: str) -> list[int]:
    return [found.index for found in domain.parse(xml).controllers]


def test_a_controller_is_added_and_taken_away_again(vm: VmChange, app: Domain) -> None:
    step = controller(vm)
    step.do()
    step.verify()
    assert (indexes(app.live), indexes(app.config)) == ([0], [0])
    step.undo()
    assert (indexes(app.live), indexes(app.config)) == ([], [])


def test_a_controller_that_is_missing_afterwards_is_told(vm: VmChange) -> None:
    with pytest.raises(RemoteError, match="VM app has no SCSI controller 0 after the change"):
        controller(vm).verify()


def test_a_controller_that_somebody_uses_meanwhile_stays(vm: VmChange, app: Domain) -> None:
    step = controller(vm)
    step.do()
    vm.host.session.attach(uuid_of("app"), OCCUPANT, LIVE | CONFIG)
    step.undo()
    assert (indexes(app.live), indexes(app.config)) == ([0], [0])


def test_a_controller_that_somebody_added_meanwhile_is_not_ours(vm: VmChange) -> None:
    controller(vm).do()
    with pytest.raises(Refused, match="was added to VM app by somebody else in the meantime"):
        controller(vm).do()


def test_a_change_is_told_before_and_after(vm: VmChange) -> None:
    step = controller(vm)
    assert step.before() == {"VM app": {"SCSI controller 0": None}}
    assert step.after() == {"VM app": {"SCSI controller 0": "virtio-scsi"}}


def test_a_controller_that_only_what_runs_has_is_not_ours_either(vm: VmChange) -> None:
    controller(vm, LIVE).do()
    with pytest.raises(Refused, match="by somebody else in the meantime"):
        controller(vm).do()


@pytest.mark.parametrize("where", ["on another controller", "on another bus", "nowhere yet"])
def test_a_disk_that_is_not_on_our_controller_does_not_keep_it(vm: VmChange, app: Domain, where: str) -> None:
    elsewhere = {
        "on another controller": OCCUPANT.replace("controller='0'", "controller='1'"),
        "on another bus": OCCUPANT.replace("bus='scsi'", "bus='ide'"),
        "nowhere yet": "<disk type='file' device='disk'><source file='/a'/><target dev='vda' bus='virtio'/></disk>",
    }[where]
    app.live = app.config = domain_xml("app", "<controller type='scsi' index='1' model='virtio-scsi'/>" + elsewhere)
    step = controller(vm)
    step.do()
    step.undo()
    assert (indexes(app.live), indexes(app.config)) == ([1], [1])


def test_a_disk_without_an_address_may_be_anywhere_so_that_the_controller_stays(vm: VmChange, app: Domain) -> None:
    step = controller(vm)
    step.do()
    unplaced = "<disk type='file' device='disk'><source file='/a'/><target dev='sda' bus='scsi'/></disk></devices>"
    app.live = app.live.replace("</devices>", unplaced)
    step.undo()
    assert (indexes(app.live), indexes(app.config)) == ([0], [])


# -- the disk itself


@pytest.fixture
def target() -> Iterator[IscsiTarget]:
    with listening(IscsiTarget({1: NAME, 7: OTHER})) as there:
        yield there


@pytest.fixture
def given(target: IscsiTarget, tmp_path: Path) -> tuple[Domain, AttachDisk]:
    """A running VM with a controller, and the step that gives it the LUN at SCSI(0:3), by a clock that only pauses move."""
    pauses: list[float] = []
    there = Domain("app", WITH_SCSI, WITH_SCSI)
    host = libvirt.host(Connect([there], [libvirt.san_pool(target)]), tmp_path)
    change = VmChange(host, VirtualMachine(uuid_of("app"), "app"), timeout=30, clock=lambda: sum(pauses), sleep=pauses.append)
    return there, AttachDisk(change, NAME, Place(0, 3, "virtio-scsi", add=False), LIVE | CONFIG, shareable=False)


def disks(xml: str) -> list[str]:
    return [f"{found.target} {found.address.unit if found.address else '-'}" for found in domain.parse(xml).disks]


def test_an_attached_disk_is_taken_away_again_from_both_parts(given: tuple[Domain, AttachDisk]) -> None:
    app, step = given
    step.do()
    step.verify()
    assert (disks(app.live), disks(app.config)) == (["sda 3"], ["sda 3"])
    step.undo()
    assert (disks(app.live), disks(app.config)) == ([], [])


NO_PATH = "internal error: unable to execute QEMU command 'device_add': cannot get SG_IO version number: Input/output error"


def silent(step: AttachDisk, monkeypatch: pytest.MonkeyPatch, times: int, said: str = NO_PATH) -> list[str]:
    """Let QEMU not get through to the LUN so many times; returns what was given to libvirt."""
    asked: list[str] = []
    attach = step.vm.host.session.attach

    def answer(uuid: str, device: str, targets: int) -> None:
        asked.append(device)
        if len(asked) <= times:
            raise RemoteError(said)
        attach(uuid, device, targets)

    monkeypatch.setattr(step.vm.host.session, "attach", answer)
    monkeypatch.setattr(disk_steps, "_AGAIN_SECONDS", 10.0)
    return asked


def test_a_lun_whose_last_path_goes_right_before_qemu_asks_is_given_once_one_is_back(
    given: tuple[Domain, AttachDisk], monkeypatch: pytest.MonkeyPatch
) -> None:
    app, step = given
    asked = silent(step, monkeypatch, times=2)
    step.do()
    assert (len(asked), disks(app.live), disks(app.config)) == (3, ["sda 3"], ["sda 3"])


def test_a_lun_that_never_answers_qemu_is_refused_with_its_words_and_not_given(
    given: tuple[Domain, AttachDisk], monkeypatch: pytest.MonkeyPatch
) -> None:
    app, step = given
    asked = silent(step, monkeypatch, times=1000)
    with pytest.raises(Refused, match=r"was not attached to VM app: no path .* does I/O for QEMU, see .*version number: Input/output"):
        step.do()
    assert (len(asked) > 1, disks(app.live), disks(app.config)) == (True, [], [])


def test_what_qemu_may_not_ask_is_not_asked_again(given: tuple[Domain, AttachDisk], monkeypatch: pytest.MonkeyPatch) -> None:
    _app, step = given
    asked = silent(step, monkeypatch, times=1000, said="cannot get SG_IO version number: Operation not permitted")
    with pytest.raises(RemoteError, match="Operation not permitted"):
        step.do()
    assert len(asked) == 1


def test_a_lun_that_one_part_has_nevertheless_is_not_given_again(given: tuple[Domain, AttachDisk], monkeypatch: pytest.MonkeyPatch) -> None:
    app, step = given
    attach, asked = step.vm.host.session.attach, []

    def half(uuid: str, device: str, _targets: int) -> None:
        asked.append(device)
        attach(uuid, device, CONFIG)
        raise RemoteError(NO_PATH)

    monkeypatch.setattr(step.vm.host.session, "attach", half)
    with pytest.raises(Refused, match="no path of the device does I/O"):
        step.do()
    step.undo()
    assert (len(asked), disks(app.live), disks(app.config)) == (1, [], [])


def test_what_is_undone_is_our_disk_at_our_place_and_no_other(given: tuple[Domain, AttachDisk], target: IscsiTarget) -> None:
    app, step = given
    step.do()
    noted = f"<alias name='ua-naa-{NAME.naa}'/>"
    moved = libvirt.network_lun(target, 1, dev="sdb", unit=5, alias=noted)
    other = libvirt.network_lun(target, 7, dev="sdc", unit=3)
    app.live, app.config = domain_xml("app", VIRTIO_SCSI + moved), domain_xml("app", VIRTIO_SCSI + other)
    step.undo()
    assert (disks(app.live), disks(app.config)) == (["sdb 5"], ["sdc 3"])


def test_a_disk_that_a_part_lacks_afterwards_is_told(given: tuple[Domain, AttachDisk]) -> None:
    app, step = given
    step.do()
    app.config = WITH_SCSI
    with pytest.raises(RemoteError, match=r"does not have LUN .* everywhere after the change"):
        step.verify()


def test_a_disk_that_libvirt_put_elsewhere_in_one_part_is_told(given: tuple[Domain, AttachDisk]) -> None:
    app, step = given
    step.do()
    app.config = app.config.replace('unit="3"', 'unit="4"')
    with pytest.raises(RemoteError, match=r"was attached to VM app elsewhere than at SCSI\(0:3\)"):
        step.verify()


def test_a_vm_that_was_turned_off_since_is_not_what_was_planned(given: tuple[Domain, AttachDisk]) -> None:
    app, step = given
    app.live = ""
    with pytest.raises(Refused, match="changed by somebody else in the meantime"):
        step.do()
    assert app.calls == []


def test_the_rest_of_a_disk_keeps_the_name_it_has_and_says_where_it_goes(given: tuple[Domain, AttachDisk]) -> None:
    app, step = given
    rest = [AttachDisk(step.vm, NAME, step.place, parts, False, "sdx") for parts in (LIVE, CONFIG)]
    assert [one.title for one in rest] == [
        f"attach LUN {NAME} to VM app that runs as SCSI(0:3)",
        f"attach LUN {NAME} to VM app as it starts next time as SCSI(0:3)",
    ]
    assert step.title == AttachDisk(step.vm, NAME, step.place, LIVE, False).title == f"attach LUN {NAME} to VM app as SCSI(0:3)"
    rest[1].do()
    assert (disks(app.live), disks(app.config)) == ([], ["sdx 3"])


def test_a_diff_of_a_disk_shows_place_and_source(given: tuple[Domain, AttachDisk]) -> None:
    app, step = given
    assert step.before() == {"VM app": {"SCSI(0:3)": None}}
    step.do()
    (disk,) = domain.parse(app.live).disks
    away = DetachDisk(step.vm, NAME, disk, LIVE | CONFIG)
    assert away.before() == {"VM app": {"sda": {"lun": str(NAME), "source": str(disk.source)}}}
    assert away.after() == {"VM app": {"sda": None}}


def test_a_detach_takes_the_same_source_under_the_same_name_only(given: tuple[Domain, AttachDisk], target: IscsiTarget) -> None:
    app, step = given
    step.do()
    (disk,) = domain.parse(app.live).disks
    app.config = domain_xml("app", VIRTIO_SCSI + libvirt.network_lun(target, 7, dev="sda", unit=3))
    app.live = domain_xml("app", VIRTIO_SCSI + libvirt.network_lun(target, 1, dev="sdb", unit=3) + libvirt.network_lun(target, 7, unit=4))
    DetachDisk(step.vm, NAME, disk, LIVE | CONFIG).do()
    assert (disks(app.live), disks(app.config)) == (["sdb 3", "sda 4"], ["sda 3"])


def test_a_disk_that_is_still_there_is_told(given: tuple[Domain, AttachDisk]) -> None:
    app, step = given
    step.do()
    (disk,) = domain.parse(app.live).disks
    with pytest.raises(RemoteError, match=r"VM app still has LUN .* after the change"):
        DetachDisk(step.vm, NAME, disk, LIVE | CONFIG).verify()


def test_of_a_lun_with_two_names_each_step_takes_one_and_the_last_leaves_none(
    given: tuple[Domain, AttachDisk], target: IscsiTarget
) -> None:
    app, step = given
    step.do()
    (disk,) = domain.parse(app.live).disks
    app.config = domain_xml("app", VIRTIO_SCSI + libvirt.network_lun(target, 1, dev="sdb", unit=5))
    first = DetachDisk(step.vm, NAME, disk, LIVE, alone=False, last=False)
    with pytest.raises(RemoteError, match="still has LUN"):
        first.verify()
    first.do()
    first.verify()
    assert (disks(app.live), disks(app.config)) == ([], ["sdb 5"])
    with pytest.raises(RemoteError, match="still has LUN"):
        DetachDisk(step.vm, NAME, disk, LIVE, alone=False).verify()


def test_a_detach_is_undone_only_where_the_disk_was_and_is_not(given: tuple[Domain, AttachDisk]) -> None:
    app, step = given
    step.do()
    (disk,) = domain.parse(app.live).disks
    app.config = WITH_SCSI
    app.calls.clear()
    DetachDisk(step.vm, NAME, disk, LIVE).undo()
    assert app.calls == []
    DetachDisk(step.vm, NAME, disk, LIVE | CONFIG).undo()
    assert app.calls == [f"attach disk {CONFIG}"]


def test_a_lun_that_answers_on_no_path_is_not_given_back(vm: VmChange, app: Domain, tmp_path: Path) -> None:
    app.live = app.config = WITH_SCSI
    plant(tmp_path, SAN_HOST)
    given = AttachDisk(vm, NAME, Place(0, 0, "virtio-scsi", add=True), LIVE | CONFIG, shareable=False)
    given.do()
    (disk,) = domain.parse(app.live).disks
    step = DetachDisk(vm, NAME, disk, LIVE | CONFIG)
    step.do()
    for path in ("7:0:0:1", "7:0:1:1"):
        next(tmp_path.rglob(f"{path}/block/*/size")).write_text("0")
    with pytest.raises(Refused, match=r"Host kvm01 has LUN .* by 2 paths \(sda, sdb\), and the array answers on none"):
        step.undo()
    assert domain.parse(app.live).disks == []


def test_a_controller_that_somebody_added_meanwhile_is_seen_before_libvirt_is_asked(
    vm: VmChange, app: Domain, monkeypatch: pytest.MonkeyPatch
) -> None:
    app.live = WITH_SCSI
    monkeypatch.setattr(vm.host.session, "attach", lambda *_asked: pytest.fail("libvirt was asked for a second controller"))
    with pytest.raises(Overtaken, match="by somebody else in the meantime"):
        controller(vm).do()


def test_a_controller_that_libvirt_refuses_was_not_added(vm: VmChange, app: Domain, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(_xml: str, _flags: int) -> int:
        raise LibvirtError("unexpected", 1)

    monkeypatch.setattr(app, "attachDeviceFlags", refused)
    with pytest.raises(RemoteError, match=r"SCSI controller 0 was not added to VM app: .*unexpected"):
        controller(vm).do()


def test_our_own_half_of_a_failed_attach_is_not_somebody_else(given: tuple[Domain, AttachDisk], monkeypatch: pytest.MonkeyPatch) -> None:
    app, step = given
    libvirts_own = app.attachDeviceFlags

    def half(xml: str, _flags: int) -> int:
        libvirts_own(xml, LIVE)
        raise LibvirtError("unexpected", 1)

    monkeypatch.setattr(app, "attachDeviceFlags", half)
    with pytest.raises(RemoteError, match="unexpected"):
        step.do()
    step.undo()
    assert (disks(app.live), disks(app.config)) == ([], [])


def test_what_a_step_notes_itself_nobody_hands_it() -> None:
    assert [noted.init for noted in fields(AttachDisk) if noted.name.startswith("_")] == [False]
