# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Numbers, names and sizes of sysfs, and one LUN from its paths."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.crossvisor.san.plugins.module_utils._san.linux.scsi import iqn, lun_number, scsi_devices, speed_gbit_s, wwn
from ansible_collections.crossvisor.san.plugins.module_utils._san.linux.tree import Tree
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from tests.unit.kvm_host import PORT, SAN_HOST
from tests.unit.module_utils._san.linux.machines import Machine, plant, scsi_disk
from tests.unit.ports import NAME

NAA = "600a0980524c4974612b44687143566b"
FIRST_TARGET = "/sys/devices/pci0000:3a/0000:3b:00.0/host7/rport-7:0-2/target7:0:0"
SECOND_TARGET = "/sys/devices/pci0000:3a/0000:3b:00.1/host8/rport-8:0-2/target8:0:0"
TWO_PATHS: Machine = {
    **scsi_disk("7:0:0:1", "sdb", FIRST_TARGET, NAA),
    **scsi_disk("8:0:0:1", "sdc", SECOND_TARGET, NAA, state="transport-offline"),
    f"{FIRST_TARGET}/7:0:0:1/block/sdb/holders/dm-3": "",
    f"{SECOND_TARGET}/8:0:0:1/block/sdc/holders/dm-3": "",
    "/sys/block/dm-3/dm/name": "mpathb",
    "/sys/block/dm-3/dm/uuid": f"mpath-3{NAA}",
    f"{FIRST_TARGET}/7:0:0:1/block/sdb/holders/dm-4": "",
    "/sys/block/dm-4/dm/name": "vg-data",
    "/sys/block/dm-4/dm/uuid": "LVM-Zx8cXk3T",
}


def test_a_lun_is_one_device_however_many_paths_lead_to_it(tmp_path: Path) -> None:
    (device,) = scsi_devices(Tree(plant(tmp_path, TWO_PATHS)), "db01")
    assert (device.host, device.device, device.name) == ("db01", f"/dev/disk/by-id/wwn-0x{NAA}", ScsiName(NAA))
    assert (device.size_bytes, device.vendor, device.product, device.state) == (1 << 30, "NETAPP", "LUN C-Mode", "ok")
    assert device.aliases == ["/dev/sdb", "/dev/sdc", "/dev/mapper/mpathb"]
    assert (device.paths_live, device.paths_dead, device.local) == (1, 1, False)


@pytest.mark.parametrize("bus", ["ata1", "usb2"])
def test_a_disk_below_a_bus_that_is_no_san_is_local_though_it_has_a_name(tmp_path: Path, bus: str) -> None:
    place = f"/sys/devices/pci0000:00/0000:00:1f.2/{bus}/host0/target0:0:0"
    (device,) = scsi_devices(Tree(plant(tmp_path, scsi_disk("0:0:0:0", "sda", place))), "db01")
    assert device.local


def test_a_lun_is_lost_when_its_last_path_is(tmp_path: Path) -> None:
    gone = {f"{FIRST_TARGET}/7:0:0:1/state": "offline"}
    (device,) = scsi_devices(Tree(plant(tmp_path, TWO_PATHS, gone)), "db01")
    assert (device.state, device.paths_live, device.paths_dead) == ("lost", 0, 2)


@pytest.mark.parametrize(("access", "state"), [("active/optimized", "lost"), ("active/non-optimized", "lost"), ("standby", "ok")])
def test_a_path_that_runs_and_has_no_size_leads_to_no_lun_any_more_unless_it_stands_by(tmp_path: Path, access: str, state: str) -> None:
    unmapped = {f"{FIRST_TARGET}/7:0:0:1/block/sdb/size": "0", f"{FIRST_TARGET}/7:0:0:1/access_state": access}
    (device,) = scsi_devices(Tree(plant(tmp_path, TWO_PATHS, unmapped)), "db01")
    assert device.state == state


def test_disks_without_a_name_are_not_taken_for_one(tmp_path: Path) -> None:
    disks = {**scsi_disk("0:0:0:0", "sda", FIRST_TARGET), **scsi_disk("0:0:1:0", "sdb", SECOND_TARGET)}
    assert [(device.device, device.name) for device in scsi_devices(Tree(plant(tmp_path, disks)), "db01")] == [
        ("/dev/sda", None),
        ("/dev/sdb", None),
    ]


@pytest.mark.parametrize(
    ("text", "speed"),
    [
        ("16 Gbit", 16.0),
        ("12.0 Gbit", 12.0),
        ("25 Gbps", 25.0),
        ("100 Mbps", 0.1),
        ("unknown", None),
        ("Unknown", None),
        ("Not Negotiated", None),
        ("", None),
        (None, None),
    ],
)
def test_a_speed(text: str | None, speed: float | None) -> None:
    assert speed_gbit_s(text) == speed


@pytest.mark.parametrize(("linux", "array"), [(0, 0), (1, 1), (255, 255), (0x4100, 256), (0x4FFF, 4095), (0xC101, 0xC101)])
def test_a_lun_number_without_its_addressing_method(linux: int, array: int) -> None:
    assert lun_number(linux) == array


@pytest.mark.parametrize(
    ("text", "name"), [("0x21000024FF123456", "21:00:00:24:ff:12:34:56"), ("0x0000000000000000", ""), ("", ""), (None, "")]
)
def test_a_wwn(text: str | None, name: str) -> None:
    assert wwn(text) == name


@given(st.text())
def test_what_a_driver_prints_never_makes_it_fail(text: str) -> None:
    speed = speed_gbit_s(text)
    assert speed is None or speed >= 0
    assert wwn(text) == wwn(wwn(text))
    assert iqn(text) == iqn(iqn(text))


@given(st.floats(min_value=0, max_value=999_999), st.sampled_from(["Gbit", "Gbps", "gb/s"]))
def test_a_speed_is_read_as_it_is_written(number: float, unit: str) -> None:
    assert speed_gbit_s(f"{number:.3f} {unit}") == float(f"{number:.3f}")


def test_the_size_of_a_lun_is_what_can_be_used_of_it(tmp_path: Path) -> None:
    tree = Tree(plant(tmp_path, SAN_HOST))
    paths = ("0/target7:0:0/7:0:0:1/block/sda", "1/target7:0:1/7:0:1:1/block/sdb")
    sizes = [tmp_path / f"{PORT}/rport-7:0-{path}/size".lstrip("/") for path in paths]

    def size() -> int:
        return next(device.size_bytes for device in scsi_devices(tree, "h") if device.name == NAME)

    for file in sizes:
        file.write_text("4194304")
    assert size() == 1 << 30, "multipath's device has not grown with its paths"
    (tmp_path / "sys/devices/virtual/block/dm-0/size").write_text("4194304")
    assert size() == 2 << 30
    (tmp_path / "sys/devices/virtual/block/dm-0/dm/uuid").write_text("LVM-x")
    sizes[1].write_text("2097152")
    assert size() == 1 << 30, "one path has not been asked again"
