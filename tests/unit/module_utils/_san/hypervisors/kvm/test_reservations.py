# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Persistent reservations of a guest cluster: a setting of the disk, with a helper of libvirt's, on virtio-scsi alone."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from lxml import etree

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import InvalidInput, Refused, StepFailed
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.base import DiskWish
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm import attach, changing, domain
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.host import KvmHost
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import Slot, VirtualDisk, VirtualMachine
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from tests.unit import libvirt
from tests.unit.iscsi_target import IscsiTarget, listening
from tests.unit.kvm_host import MULTIPATHD, SAN_HOST
from tests.unit.libvirt import ROOT_PORT, VIRTIO_SCSI, Connect, Domain, domain_xml, uuid_of
from tests.unit.module_utils._san.linux.machines import Machine, plant
from tests.unit.ports import NAME

pytestmark = pytest.mark.slow

VM = VirtualMachine(uuid_of("app"), "app")
PCIE = "<controller type='pci' index='0' model='pcie-root'/>" + ROOT_PORT.format(1)
WITH_PVSCSI = domain_xml("app", PCIE + "<controller type='scsi' index='0' model='vmpvscsi'/>")
ELSEWHERE = ScsiName.from_ontap_serial("80Lab-aaaaa7")
"""A LUN that the host does not have as a device."""


@pytest.fixture
def app() -> Domain:
    """A VM that runs and is persistent."""
    xml = domain_xml("app", VIRTIO_SCSI)
    return Domain("app", xml, xml)


@pytest.fixture
def host(app: Domain, tmp_path: Path) -> KvmHost:
    """A host that has the LUN by multipath."""
    return libvirt.host(Connect([app]), plant(tmp_path, SAN_HOST))


def wish(reservations: bool | None = True, **settings: object) -> DiskWish:
    return DiskWish(**{"name": NAME, "timeout": 30.0, "reservations": reservations, **settings})  # type: ignore[arg-type]


def disk_of(host: KvmHost) -> VirtualDisk:
    seen = changing.observe(host, VM.id)
    (found,) = seen.disks_of(NAME)
    assert found.source is not None
    return seen.view.disk(seen.pair, found, found.source)


def test_libvirt_is_asked_to_start_the_helper_that_sends_them(host: KvmHost, app: Domain) -> None:
    (step,) = attach.plan_attach(host, VM, wish(sharing="multi_writer")).run()
    for part in (app.live, app.config):
        (found,) = etree.fromstring(part).iterfind("devices/disk")
        assert [dict(element.attrib) for element in found.iterfind("source/reservations")] == [{"managed": "yes"}]
    assert step.after() == {"VM app": {"SCSI(0:0)": {"lun": str(NAME), "shareable": True, "reservations": True}}}
    assert disk_of(host).reservations is True


@pytest.mark.parametrize("word", [None, False])
def test_a_disk_has_none_unless_that_is_asked_for(host: KvmHost, app: Domain, word: bool | None) -> None:
    attach.plan_attach(host, VM, wish(word)).run()
    assert "reservations" not in app.live + app.config
    assert disk_of(host).reservations is False


@pytest.mark.parametrize("word", [None, True])
def test_a_second_run_has_nothing_to_do(host: KvmHost, word: bool | None) -> None:
    attach.plan_attach(host, VM, wish()).run()
    assert list(attach.plan_attach(host, VM, wish(word)).pending()) == []


@pytest.mark.parametrize("has", [True, False])
def test_they_are_never_changed_while_the_disk_is_attached(host: KvmHost, has: bool) -> None:
    attach.plan_attach(host, VM, wish(has)).run()
    with pytest.raises(Refused, match=f"with reservations {has}, not {not has}, which cannot be changed while it is attached"):
        attach.plan_attach(host, VM, wish(not has))


def test_what_an_interrupted_run_left_out_is_added_with_them(host: KvmHost, app: Domain) -> None:
    before = app.config
    attach.plan_attach(host, VM, wish()).run()
    app.config = before
    attach.plan_attach(host, VM, wish(None)).run()
    assert [disk.reservations for disk in domain.parse(app.config).disks] == [True]


def test_a_disk_that_is_given_back_by_multipath_keeps_them(host: KvmHost, app: Domain) -> None:
    attach.plan_attach(host, VM, wish()).run()
    app.live, app.config = "", app.config.replace(f"dm-uuid-mpath-{NAME.wwid}", NAME.wwn)
    attach.plan_attach(host, VM, wish(None, single_path="mend")).run()
    (mended,) = domain.parse(app.config).disks
    assert (str(mended.source), mended.reservations) == (f"/dev/disk/by-id/dm-uuid-mpath-{NAME.wwid}", True)


def test_those_of_a_helper_that_somebody_else_runs_count_too() -> None:
    (found,) = domain.parse(
        domain_xml(
            "app",
            "<disk type='block' device='lun'><source dev='/dev/sda'><reservations managed='no'>"
            "<source type='unix' path='/run/pr.sock' mode='client'/></reservations></source><target dev='sda' bus='scsi'/></disk>",
        )
    ).disks
    assert (found.reservations, list(found.backing)) == (True, [])


def test_another_controller_is_left_alone_for_one_that_passes_them_on(host: KvmHost, app: Domain) -> None:
    app.live = app.config = WITH_PVSCSI
    plan = attach.plan_attach(host, VM, wish())
    assert [step.title for step in plan.pending()] == [
        "add SCSI controller 1 (virtio-scsi) to VM app",
        f"attach LUN {NAME} to VM app as SCSI(1:0)",
    ]


def test_a_named_controller_of_another_type_is_refused(host: KvmHost, app: Domain) -> None:
    app.live = app.config = WITH_PVSCSI
    with pytest.raises(Refused, match="SCSI controller 0 of VM app is a pvscsi, and reservations need virtio-scsi: name another bus"):
        attach.plan_attach(host, VM, wish(slot=Slot(0)))


def test_a_wish_for_another_controller_contradicts_them(host: KvmHost) -> None:
    with pytest.raises(InvalidInput, match="reservations need a virtio-scsi controller, not pvscsi: leave controller_type out"):
        attach.plan_attach(host, VM, wish(controller_type="pvscsi"))
    assert len(attach.plan_attach(host, VM, wish(controller_type="virtio-scsi")).pending()) == 1


def test_qemus_own_initiator_needs_no_helper(app: Domain, tmp_path: Path) -> None:
    with listening(IscsiTarget({7: ELSEWHERE})) as target:
        host = libvirt.host(Connect([app], [libvirt.san_pool(target)]), plant(tmp_path, SAN_HOST))
        with pytest.raises(
            StepFailed, match=r"reaches VM app over QEMU's own iSCSI initiator, which sends .* itself: leave reservations out"
        ):
            attach.plan_attach(host, VM, wish(name=ELSEWHERE)).run()
        attach.plan_attach(host, VM, wish(None, name=ELSEWHERE)).run()
    assert len(domain.parse(app.live).disks) == 1


class TestAHelperThatMayKnowNoMultipath:
    """Of QEMU's `qemu-pr-helper`, Debian's is built without the library by which it registers a key on every path."""

    @pytest.mark.parametrize(
        ("helper", "told"),
        [
            ({"/usr/bin/qemu-pr-helper": b"\x7fELF\0libc.so.6\0"}, "and it was not: use one that is"),
            ({}, "and nobody can tell whether it was: use one that is"),
            ({"/usr/bin/qemu-pr-helper": b"\x7fELF\0libmpathpersist.so.0\0"}, ""),
            ({"/usr/libexec/qemu-pr-helper": b"\x7fELF\0libmpathpersist.so.0\0"}, ""),
        ],
    )
    def test_is_told_in_one_sentence_when_the_disk_comes_and_while_it_is_there(
        self, host: KvmHost, tmp_path: Path, helper: Machine, told: str
    ) -> None:
        plant(tmp_path, helper)
        coming = attach.plan_attach(host, VM, wish())
        coming.run()
        for plan in (coming, attach.plan_attach(host, VM, wish(None))):
            assert len(plan.warnings) == bool(told)
            assert all(told in sentence and "on one path alone" in sentence for sentence in plan.warnings)

    def test_is_not_told_of_a_disk_without_reservations(self, host: KvmHost) -> None:
        plan = attach.plan_attach(host, VM, wish(None))
        plan.run()
        assert [*plan.warnings, *attach.plan_attach(host, VM, wish(None)).warnings] == []

    def test_is_not_told_where_nobody_groups_paths(self, app: Domain, tmp_path: Path) -> None:
        host = libvirt.host(Connect([app]), plant(tmp_path, {"/proc/1/comm": "init"}))
        assert attach.plan_attach(host, VM, wish()).warnings == []

    def test_is_told_of_a_lun_that_is_still_to_come_where_multipathd_waits_for_it(self, app: Domain, tmp_path: Path) -> None:
        host = libvirt.host(Connect([app]), plant(tmp_path, MULTIPATHD))
        (told,) = attach.plan_attach(host, VM, wish()).warnings
        assert f"The reservations of LUN {NAME} may reach the array on one path alone, because host kvm01 has it by multipath" in told


def test_a_setting_that_libvirt_dropped_is_told(host: KvmHost, app: Domain, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = host.session.attach

    def forgetful(uuid: str, device: str, targets: int) -> None:
        kept(uuid, re.sub("<reservations[^>]*>", "", device), targets)

    monkeypatch.setattr(host.session, "attach", forgetful)
    with pytest.raises(StepFailed, match="libvirt did not keep reservations True of LUN"):
        attach.plan_attach(host, VM, wish()).run()
    assert domain.parse(app.live).disks == []
