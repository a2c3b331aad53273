# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A VM gets a LUN by a name that is one on every KVM host to which it may move, whatever either of them has of the LUN."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.connection import HYPERVISOR, Connection
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import Refused
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.base import DiskWish
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm import domain
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.backend import Kvm
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.several import Endpoint, Several
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.attach import AttachReport, AttachRequest, attach
from tests.unit import libvirt
from tests.unit.iscsi_target import IscsiTarget, listening
from tests.unit.kvm_host import SAN_HOST, path
from tests.unit.libvirt import VIRTIO_SCSI, Connect, Domain, Pool, domain_xml, uuid_of
from tests.unit.module_utils._san.linux.machines import Link, Machine, plant
from tests.unit.ports import NAME

pytestmark = pytest.mark.slow

LINK = f"/dev/disk/by-id/dm-uuid-mpath-{NAME.wwid}"
PATHS = [path("7:0:0:1", "sda", "8:0", NAME.naa), path("7:0:1:1", "sdb", "8:16", NAME.naa)]
TO_PATH: Machine = {f"/dev/disk/by-id/{NAME.wwn}": Link("../../sda")}
UNGROUPED: Machine = {
    **{file: content for file, content in SAN_HOST.items() if "dm-0" not in file and "mpath" not in file and "7:0:1:1" not in file},
    **PATHS[0],
    **TO_PATH,
}
"""A host without multipathd, which has the LUN by one path and no way to another."""
BARE: Machine = {**UNGROUPED, **PATHS[1]}
"""The same with two paths."""
NOTHING: Machine = {file: content for file, content in SAN_HOST.items() if "7:0:" not in file and "dm-0" not in file}
Host = Callable[..., Kvm]


@pytest.fixture
def app() -> Domain:
    """A VM of the first host."""
    xml = domain_xml("app", VIRTIO_SCSI)
    return Domain("app", xml, xml)


@pytest.fixture
def target() -> Iterator[IscsiTarget]:
    with listening(IscsiTarget({7: NAME})) as there:
        yield there


def kvm(root: Path, name: str, files: Machine, *machines: Domain, pool: Pool | None = None) -> Kvm:
    connect = Connect([*machines], [pool] if pool else [], hostname=name, uuid=uuid_of(name[1:]))
    return Kvm(Connection(HYPERVISOR), libvirt.host(connect, plant(root / name, files)))


def given(one: Kvm, two: Kvm, single_path: str = "refuse", check_mode: bool = False) -> AttachReport:
    there = Several([Endpoint("kvm01", partial(_itself, one)), Endpoint("kvm02", partial(_itself, two))])
    return attach(there, AttachRequest("app", DiskWish(NAME, timeout=5, single_path=single_path)), check_mode)


def names(vm: Domain) -> list[str]:
    """By which the VM has LUNs, in what runs."""
    return [str(disk.source) for disk in domain.parse(vm.live).disks]


def _itself(host: Kvm) -> Kvm:
    return host


def test_a_lun_that_both_have_by_multipath_is_given(tmp_path: Path, app: Domain) -> None:
    report = given(kvm(tmp_path, "kvm01", SAN_HOST, app), kvm(tmp_path, "kvm02", SAN_HOST))
    assert (names(app), list(report.outcome.warnings)) == ([LINK], [])


@pytest.mark.parametrize("check_mode", [False, True])
def test_a_host_without_multipathd_has_no_device_of_that_name(tmp_path: Path, app: Domain, check_mode: bool) -> None:
    told = r"^Host kvm02 has LUN .* by 2 paths \(sda, sdb\) and no multipath device .* start it \(systemctl start .*ignore_hosts=kvm02"
    with pytest.raises(Refused, match=told):
        given(kvm(tmp_path, "kvm01", SAN_HOST, app), kvm(tmp_path, "kvm02", BARE), check_mode=check_mode)
    assert names(app) == []


def test_by_the_users_word_it_is_given_and_told(tmp_path: Path, app: Domain) -> None:
    report = given(kvm(tmp_path, "kvm01", SAN_HOST, app), kvm(tmp_path, "kvm02", BARE), single_path="allow")
    (warning,) = report.outcome.warnings
    assert warning.startswith(f"Host kvm02 has LUN {NAME} by 2 paths (sda, sdb) and host kvm01 by multipath device mpatha")
    assert names(app) == [LINK]


def test_one_paths_name_is_not_given_where_the_other_host_has_multipath(tmp_path: Path, app: Domain) -> None:
    told = r"^Host kvm02 has LUN .* by multipath device mpatha and host kvm01 by one path \(sda\).* let host kvm01 have it by .*multipath"
    with pytest.raises(Refused, match=told):
        given(kvm(tmp_path, "kvm01", UNGROUPED, app), kvm(tmp_path, "kvm02", SAN_HOST))
    assert names(app) == []


@pytest.mark.parametrize("single_path", ["refuse", "allow"])
def test_two_hosts_with_one_path_each_have_one_name(tmp_path: Path, app: Domain, single_path: str) -> None:
    report = given(kvm(tmp_path, "kvm01", UNGROUPED, app), kvm(tmp_path, "kvm02", UNGROUPED), single_path)
    assert (names(app), list(report.outcome.warnings)) == ([f"/dev/disk/by-id/{NAME.wwn}"], [])


def test_a_host_that_has_it_through_a_pool_alone_has_no_such_device(tmp_path: Path, app: Domain, target: IscsiTarget) -> None:
    two = kvm(tmp_path, "kvm02", NOTHING, pool=libvirt.san_pool(target))
    told = r"^Host kvm02 has LUN .* over QEMU's own iSCSI initiator \(.* and host kvm01 by multipath .* let host kvm02 have it by its own"
    with pytest.raises(Refused, match=told):
        given(kvm(tmp_path, "kvm01", SAN_HOST, app), two)
    assert names(app) == []


def test_a_lun_that_both_reach_through_pools_is_given_whatever_else_the_other_host_has(
    tmp_path: Path, app: Domain, target: IscsiTarget
) -> None:
    pool = libvirt.san_pool(target)
    report = given(kvm(tmp_path, "kvm01", NOTHING, app, pool=pool), kvm(tmp_path, "kvm02", SAN_HOST, pool=pool))
    assert (len(names(app)), list(report.outcome.warnings)) == (1, [])


def test_the_targets_of_pools_are_asked_no_more_than_before(tmp_path: Path, app: Domain, target: IscsiTarget) -> None:
    """For a plan: once at each host."""
    pool = libvirt.san_pool(target)
    given(kvm(tmp_path, "kvm01", NOTHING, app, pool=pool), kvm(tmp_path, "kvm02", NOTHING, pool=pool), check_mode=True)
    assert target.logouts == 2


def test_a_vm_that_has_it_already_is_told_of(tmp_path: Path, app: Domain) -> None:
    given(kvm(tmp_path, "kvm01", SAN_HOST, app), kvm(tmp_path, "kvm02", SAN_HOST))
    report = given(kvm(tmp_path / "later", "kvm01", SAN_HOST, app), kvm(tmp_path / "later", "kvm02", BARE))
    (warning,) = report.outcome.warnings
    assert (report.outcome.changed, warning.startswith("Host kvm02 has LUN")) == (False, True)
