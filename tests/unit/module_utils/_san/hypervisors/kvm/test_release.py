# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A LUN goes out of use on a host: multipath first, then every path."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import RemoteError, StepFailed
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm import release
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.host import KvmHost
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from tests.unit import libvirt
from tests.unit.kvm_host import PORT, SAN_HOST
from tests.unit.libvirt import Connect
from tests.unit.module_utils._san.linux.machines import plant
from tests.unit.ports import NAME, OTHER


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


def test_a_map_that_has_lost_all_its_paths_goes_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pathless = {path: content for path, content in SAN_HOST.items() if not any(part in path for part in ("7:0:0:1", "7:0:1:1", "slaves"))}
    host = libvirt.host(Connect(), plant(tmp_path, pathless))
    ran: list[list[str]] = []
    monkeypatch.setattr(host.access, "run", lambda command, _patience: ran.append(list(command)))
    with pytest.raises(StepFailed, match=r"Host kvm01 still has LUN .* \(/dev/mapper/mpatha\) after its devices were removed"):
        release.plan_release(host, NAME).run()
    assert ran == [["multipath", "-f", "mpatha"]]


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
