# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What tgtd is told, and what the portals change in passing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab import kvm_world, world
from tests.lab.ontap import operations, snapshots
from tests.lab.ontap.data_plane.plane import Account
from tests.lab.ontap.data_plane.portal import Pdu
from tests.lab.ontap.data_plane.tgt import LUN_IDS, Parameters, Tgt, TgtFailed
from tests.lab.ontap.data_plane.views import Views, views
from tests.lab.ontap.errors import OntapError
from tests.lab.ontap.state import Array, LunMap

GIB = 1024**3
SVM = {"svm.name": "svm_san"}
LOGIN = 0x43


class RecordingTgt(Tgt):
    """Holds what tgtd was told, without a tgtd."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.targets: dict[int, str] = {}
        self.units: dict[tuple[int, int], dict[str, str]] = {}
        self.accounts: dict[str, set[int]] = {}

    def add_target(self, tid: int, name: str, initiator: str) -> None:
        assert name.endswith(f":{initiator}")
        self.targets[tid] = initiator

    def remove_target(self, tid: int) -> None:
        del self.targets[tid]
        self.units = {key: unit for key, unit in self.units.items() if key[0] != tid}

    def add_unit(self, tid: int, lun: int, file: Path, identity: Parameters) -> None:
        assert (tid, lun) not in self.units
        self.units[tid, lun] = {"path": str(file), **dict(identity)}

    def remove_unit(self, tid: int, lun: int) -> None:
        del self.units[tid, lun]

    def set_unit(self, tid: int, lun: int, parameters: Parameters) -> None:
        self.units[tid, lun].update(parameters)

    def add_account(self, user: str, password: str) -> None:
        assert password
        self.accounts[user] = set()

    def remove_account(self, user: str) -> None:
        del self.accounts[user]

    def bind_account(self, tid: int, user: str) -> None:
        self.accounts[user].add(tid)

    def seen_by(self, initiator: str) -> dict[int, dict[str, str]]:
        return {lun: unit for (tid, lun), unit in self.units.items() if self.targets[tid] == initiator}


class BusyTgt(Tgt):
    """A tgtd whose disks work on a command for some of tgtadm's calls."""

    def __init__(self, directory: Path, calls: int, word: str = "this logical unit is still active") -> None:
        super().__init__(directory)
        self.left, self.word = calls, word
        self.told: list[tuple[str, ...]] = []

    def _tgtadm(self, operation: str, mode: str, *options: str) -> None:
        if self.left:
            self.left -= 1
            raise TgtFailed(f"tgtadm: {self.word}")
        self.told.append((operation, mode, *options))


class Lab:
    """An array with a recorded data plane."""

    def __init__(self, directory: Path) -> None:
        self.array = Array(world.build()["array"], LUN_IDS)
        self.tgt = RecordingTgt(directory)
        self.data = directory / "data"
        self.views = Views(self.array, self.tgt, self.data)
        self.views.follow()

    @property
    def seen(self) -> dict[int, dict[str, str]]:
        """What the KVM host sees."""
        return self.tgt.seen_by(kvm_world.IQN)

    def map(self, name: str, **number: int) -> LunMap:
        return operations.create_map(self.array, {**SVM, "lun.name": name, "igroup.name": kvm_world.GROUP, **number})


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


def test_every_iscsi_initiator_of_a_group_has_a_target_and_no_fibre_channel_port_has_one(lab: Lab) -> None:
    groups = [group for svm in lab.array.svms for group in svm.igroups]
    assert sorted(lab.tgt.targets.values()) == sorted({name for group in groups for name in group.initiators if name.startswith("iqn.")})


def test_a_disk_has_the_identity_of_its_lun(lab: Lab) -> None:
    path = kvm_world.lun_path("kvm_archive")
    unit = lab.seen[kvm_world.maps()[path]]
    assert unit["vendor_id"] == "NETAPP"
    assert unit["product_id"] == "LUN C-Mode"
    assert unit["scsi_sn"] == world.serial_of(path)
    assert unit["scsi_id"] == f"naa.{world.naa_at(path)}"
    assert Path(unit["path"]).stat().st_size == 4 * GIB


def test_a_map_comes_and_goes_under_the_lowest_free_id_from_one(lab: Lab) -> None:
    lun = operations.create_lun(lab.array, {**SVM, "name": "/vol/vol_kvm/new", "os_type": "linux", "space.size": GIB})
    lun_map = lab.map(lun.path)
    assert lun_map.number == 3
    lab.views.follow()
    assert lab.seen[3]["scsi_sn"] == lun.serial
    operations.delete_map(lab.array, lun.uuid, lun_map.igroup.uuid)
    lab.views.follow()
    assert 3 not in lab.seen


def test_what_works_on_a_command_is_removed_when_that_has_ended(tmp_path: Path) -> None:
    busy = BusyTgt(tmp_path, 2)
    busy.remove_target(7)
    busy.left = 2
    busy.remove_unit(8, 3)
    assert busy.told == [("delete", "target", "--tid", "7", "--force"), ("delete", "logicalunit", "--tid", "8", "--lun", "3")]
    with pytest.raises(TgtFailed, match="can't find the target"):
        BusyTgt(tmp_path, 1, "can't find the target").remove_target(7)


def test_a_reset_that_failed_is_gone_on_with_by_the_next(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    remove, targets = lab.tgt.remove_target, len(lab.tgt.targets)

    def fail_once(tid: int) -> None:
        if len(lab.tgt.targets) < targets:
            monkeypatch.setattr(lab.tgt, "remove_target", remove)
            raise TgtFailed("tgtadm: out of memory")
        remove(tid)

    monkeypatch.setattr(lab.tgt, "remove_target", fail_once)
    with pytest.raises(TgtFailed):
        lab.views.erase()
    lab.views.erase()
    assert len(lab.tgt.targets) == targets


@pytest.mark.parametrize("number", [0, 256, 4095])
def test_an_id_that_tgt_does_not_have_is_refused(lab: Lab, number: int) -> None:
    operations.create_lun(lab.array, {**SVM, "name": "/vol/vol_kvm/new", "os_type": "linux", "space.size": GIB})
    with pytest.raises(OntapError, match=r"1\.\.255"):
        lab.map("/vol/vol_kvm/new", logical_unit_number=number)


def test_a_lun_that_grows_is_opened_again_and_its_file_grows(lab: Lab) -> None:
    _svm, lun = next((svm, lun) for svm in lab.array.svms for lun in svm.luns if lun.path == kvm_world.lun_path("kvm_ledger"))
    operations.modify_lun(lab.array, lun.uuid, {"space.size": 5 * GIB})
    lab.views.follow()
    assert (lab.data / lun.uuid).stat().st_size == 5 * GIB
    assert lab.seen[2]["online"] == "1"


def test_a_lun_that_is_offline_is_not_online(lab: Lab) -> None:
    lun = next(lun for svm in lab.array.svms for lun in svm.luns if lun.path == kvm_world.lun_path("kvm_ledger"))
    operations.modify_lun(lab.array, lun.uuid, {"enabled": False})
    lab.views.follow()
    assert lab.seen[2]["online"] == "0"


def test_a_deleted_lun_leaves_no_data(lab: Lab) -> None:
    lun = next(lun for svm in lab.array.svms for lun in svm.luns if lun.path == kvm_world.lun_path("kvm_ledger"))
    operations.delete_lun(lab.array, lun.uuid, while_mapped=True)
    lab.views.follow()
    assert not (lab.data / lun.uuid).exists()
    assert sorted(lab.seen) == [1]


def test_a_snapshot_has_the_data_of_its_moment_and_gives_it_back(lab: Lab) -> None:
    _svm, lun = next((svm, lun) for svm in lab.array.svms for lun in svm.luns if lun.path == kvm_world.lun_path("kvm_ledger"))
    file, then = lab.data / lun.uuid, f"/vol/{lun.volume.name}/.snapshot/s1/{lun.base_name}"
    write(file, b"then")
    taken = snapshots.create(lab.array, lun.volume.uuid, {"name": "s1"})
    lab.views.follow()
    write(file, b"later")
    clone = operations.create_lun(lab.array, {**SVM, "name": "/vol/vol_kvm/clone", "clone.source.name": then})
    operations.modify_lun(lab.array, lun.uuid, {"clone.source.name": then})
    before = file.stat().st_ino
    lab.views.follow()
    assert [read(lab.data / key) for key in (lun.uuid, clone.uuid)] == [b"then\0", b"then\0"]
    assert (file.stat().st_ino, file.stat().st_size) == (before, lun.size)
    snapshots.delete(lab.array, lun.volume.uuid, taken.uuid)
    lab.views.follow()
    assert {file.name for file in lab.data.iterdir()} == {lun.uuid for svm in lab.array.svms for lun in svm.luns}


def write(file: Path, data: bytes) -> None:
    with file.open("r+b") as opened:
        opened.seek(GIB)
        opened.write(data)


def read(file: Path) -> bytes:
    with file.open("rb") as opened:
        opened.seek(GIB)
        return opened.read(5)


def test_a_target_daemon_that_was_started_again_is_told_the_same(lab: Lab, tmp_path: Path) -> None:
    lab.views.admit(kvm_world.IQN, Account("kvm01", "a secret"))
    before = (sorted(lab.tgt.targets.values()), lab.seen)
    lab.tgt.targets, lab.tgt.units, lab.tgt.accounts = {}, {}, {}
    lab.views.again()
    assert (sorted(lab.tgt.targets.values()), lab.seen) == before
    assert {lab.tgt.targets[tid] for tid in lab.tgt.accounts["kvm01"]} == {kvm_world.IQN}


def test_an_array_without_a_data_plane_keeps_lun_zero() -> None:
    array = Array(world.build()["array"])
    assert array.lun_ids[0] == 0
    assert all(0 not in view for view in views(array).values())


def test_a_pdu_with_another_text_keeps_its_header_and_tells_the_new_length() -> None:
    pdu = Pdu(bytes([LOGIN, 0x87, 0, 0, 0, 0, 0, 5]) + bytes(range(40)), b"A=b\0\0")
    changed = pdu.with_text([("InitiatorName", "iqn.2020-01.com.example:a"), ("TargetName", "iqn.2020-01.com.example:b")])
    assert changed.opcode == 0x03
    assert changed.keys() == {"InitiatorName": "iqn.2020-01.com.example:a", "TargetName": "iqn.2020-01.com.example:b"}
    encoded = changed.encoded()
    assert encoded[:5] == pdu.header[:5]
    assert int.from_bytes(encoded[5:8], "big") == len(changed.data)
    assert encoded[8:48] == pdu.header[8:]
    assert len(encoded) % 4 == 0


def test_a_luns_data_is_read_from_the_file_that_its_initiators_write_to(lab: Lab) -> None:
    lun = next(lun for svm in lab.array.svms for lun in svm.luns if lun.path == kvm_world.lun_path("kvm_ledger"))
    write(lab.data / lun.uuid, b"written")
    assert lab.views.read(lun.uuid, GIB - 2, 6) == b"\0\0writ"
