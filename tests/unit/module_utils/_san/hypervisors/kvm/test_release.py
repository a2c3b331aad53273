# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A LUN goes out of use on a host: multipath first, then every path."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san import deadline, moment
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import OutcomeUnknown, Refused, RemoteError, StepFailed
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm import release
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.host import KvmHost
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from tests.unit import libvirt
from tests.unit.kvm_host import MULTIPATHD, PATHLESS, PORT, SAN_HOST
from tests.unit.libvirt import Connect
from tests.unit.module_utils._san.linux.machines import naa_page, plant
from tests.unit.ports import NAME, OTHER

pytestmark = pytest.mark.slow

THIRD = ScsiName.from_ontap_serial("80Lab-aaaaa7")


@pytest.fixture
def host(tmp_path: Path) -> KvmHost:
    return libvirt.host(Connect(), plant(tmp_path, SAN_HOST))


def delete(root: Path, path: str) -> Path:
    return root / f"{PORT}/rport-7:0-{path}/delete".lstrip("/")


def test_a_lun_that_the_host_does_not_have_leaves_nothing_to_do(host: KvmHost) -> None:
    assert release.plan_release(host, ScsiName.from_ontap_serial("80Lab-aaaaa7")).pending() == []


def test_every_path_is_deleted_after_multipath(host: KvmHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[list[str]] = []
    monkeypatch.setattr(host.access, "run", lambda command, _patience: ran.append(list(command)))
    (step,) = release.plan_release(host, NAME).pending()
    assert step.title == f"remove the devices of LUN {NAME} from host kvm01"
    step.do()
    assert ran == [["multipath", "-f", "mpatha"]]
    assert [delete(tmp_path, path).read_text() for path in ("0/target7:0:0/7:0:0:1", "1/target7:0:1/7:0:1:1")] == ["1", "1"]


def test_what_is_deleted_rests_on_nothing_that_was_seen_before(host: KvmHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (step,) = release.plan_release(host, NAME).pending()
    looks: list[object | None] = []

    def root() -> Path:
        looks.append(moment.now())
        return tmp_path

    monkeypatch.setattr(host.access, "run", lambda _command, _patience: None)
    monkeypatch.setattr(host.access, "root", root)
    step.do()
    assert looks[0] is not None


def test_a_map_that_has_lost_all_its_paths_goes_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    host = libvirt.host(Connect(), plant(tmp_path, PATHLESS))
    ran: list[list[str]] = []
    monkeypatch.setattr(host.access, "run", lambda command, _patience: ran.append(list(command)))
    with pytest.raises(StepFailed, match=r"Host kvm01 still has LUN .* \(/dev/mapper/mpatha\) after its devices were removed"):
        release.plan_release(host, NAME).run()
    assert ran == [["dmsetup", "message", "mpatha", "0", "fail_if_no_path"], ["multipath", "-R", "10", "-f", "mpatha"]]


def test_who_waits_for_a_map_without_paths_is_let_go_and_waits_again_if_it_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    host = libvirt.host(Connect(), plant(tmp_path, PATHLESS, MULTIPATHD))
    ran: list[list[str]] = []

    def run(command: list[str], _patience: float) -> None:
        ran.append(command)
        if command[0] == "multipath":
            raise RemoteError("map in use")

    monkeypatch.setattr(host.access, "run", run)
    (step,) = release.plan_release(host, NAME).pending()
    with pytest.raises(RemoteError, match="map in use"):
        step.do()
    assert ran == [
        ["multipathd", "disablequeueing", "map", "mpatha"],
        ["multipath", "-R", "10", "-f", "mpatha"],
        ["multipathd", "restorequeueing", "map", "mpatha"],
    ]


def renumbered(root: Path, address: str, now: ScsiName) -> None:
    """The kernel gave the name of a device to another."""
    (root / f"{PORT}/rport-7:0-{address.split(':')[2]}/target{address.rpartition(':')[0]}/{address}/vpd_pg83".lstrip("/")).write_bytes(
        naa_page(now.naa)
    )


def test_a_device_that_is_another_lun_by_now_is_not_removed(host: KvmHost, tmp_path: Path) -> None:
    (step,) = release.plan_release(host, OTHER).pending()
    renumbered(tmp_path, "7:0:0:2", THIRD)
    step.do()
    step.verify()
    assert not delete(tmp_path, "0/target7:0:0/7:0:0:2").exists()


def test_what_is_left_half_removed_is_looked_for_again(host: KvmHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (step,) = release.plan_release(host, NAME).pending()
    monkeypatch.setattr(host.access, "run", lambda *_words: (tmp_path / "sys/devices/virtual/block/dm-0/dm/uuid").write_text(""))
    delete(tmp_path, "0/target7:0:0/7:0:0:1").mkdir()
    with pytest.raises(OutcomeUnknown, match="/sys/block/sda/device/delete cannot be written"):
        step.do()


def test_a_multipath_device_that_is_open_is_a_refusal_after_which_nothing_is_looked_for(
    host: KvmHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_command: object, _patience: float) -> None:
        raise RemoteError("multipath -f mpatha failed: map in use")

    monkeypatch.setattr(host.access, "run", refuse)
    (step,) = release.plan_release(host, NAME).pending()
    with pytest.raises(RemoteError, match="map in use"):
        step.do()


def test_an_undone_release_ends_when_a_vm_can_have_the_lun_by_its_multipath_device_again(
    host: KvmHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deadline, "left", lambda _seconds, _what: 0.0)
    plant(tmp_path, MULTIPATHD)
    (step,) = release.plan_release(host, NAME).pending()
    step.undo()
    renumbered(tmp_path, "7:0:1:1", THIRD)
    with pytest.raises(Refused, match="sdb, which is another LUN by now"):
        step.undo()


def test_a_device_that_stays_is_told_and_looked_for_again(host: KvmHost, tmp_path: Path) -> None:
    plan = release.plan_release(host, OTHER)
    with pytest.raises(StepFailed, match=r"Host kvm01 still has LUN .*: something there holds it open"):
        plan.run()
    assert (tmp_path / f"{PORT}/scsi_host/host7/scan".lstrip("/")).read_text() == "- - -"


def test_a_host_whose_files_may_not_be_written_is_told(host: KvmHost, tmp_path: Path) -> None:
    delete(tmp_path, "0/target7:0:0/7:0:0:2").mkdir()
    (step,) = release.plan_release(host, OTHER).pending()
    with pytest.raises(RemoteError, match="/sys/block/sdc/device/delete cannot be written on the KVM host: Is a directory"):
        step.do()
