# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A guest on Xen, whose disks tell no name: the LUN is the disk in its place, if that has its size, and nothing is guessed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import Ambiguous, InvalidInput, Refused, TimedOut
from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.linux import xenbus
from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.linux.address import ANYWHERE, Address
from ansible_collections.crossvisor.san.plugins.module_utils._san.linux.tree import Tree
from tests.unit.module_utils._san.guests.linux.guest import GIB, UDEV, PlayedKernel
from tests.unit.module_utils._san.guests.linux.test_rescan import LUN, Hours, device, work
from tests.unit.module_utils._san.linux import machines
from tests.unit.module_utils._san.linux.machines import Link, plant

SECOND = Address.parse("SCSI(0:1)")
SYSTEM, DATA = 51712, 51728


def disk(number: int, block: str, size_bytes: int = GIB) -> Mapping[str, str | bytes | Link | None]:
    """The files of a disk on the bus."""
    path = f"/sys/devices/vbd-{number}"
    return {
        f"/sys/bus/xen/devices/vbd-{number}": Link(f"../../../devices/vbd-{number}"),
        f"{path}/devtype": "vbd",
        f"{path}/block/{block}/size": str(size_bytes // 512),
        f"{path}/block/{block}/dev": f"202:{number & 0xFF}",
        f"/sys/class/block/{block}": Link(f"../../devices/vbd-{number}/block/{block}"),
        f"/dev/{block}": "",
    }


def test_a_disk_of_a_real_guest_is_found_in_its_place(tmp_path: Path) -> None:
    tree = Tree(plant(tmp_path, machines.XEN_PV_GUEST))
    assert xenbus.has_disks(tree)
    found = xenbus.disk_at(tree, 0, LUN.name, 3 * GIB)
    assert found
    assert (found.block, found.path) == ("xvda", "/sys/devices/vbd-51712")
    assert xenbus.disk_at(tree, 1, LUN.name, 3 * GIB) is None


def guest(root: Path, *disks: Mapping[str, str | bytes | Link | None]) -> PlayedKernel:
    kernel = PlayedKernel(root)
    kernel.add(UDEV, disk(SYSTEM, "xvda", 8 * GIB), *disks)
    return kernel


@pytest.mark.parametrize(
    ("unit", "numbers"),
    [
        (0, [51712, 768]),
        (1, [51728, 832]),
        (2, [51744, 5632]),
        (3, [51760, 5696]),
        (4, [51776]),
        (15, [51952]),
        (16, [268439552]),
        (254, [268500480]),
    ],
)
def test_the_bus_numbers_a_disk_by_its_place(unit: int, numbers: list[int]) -> None:
    assert xenbus.numbers(unit) == numbers


@pytest.mark.parametrize("number", [51728, 832])
def test_the_disk_in_the_place_is_the_lun_and_no_order_is_given(tmp_path: Path, number: int) -> None:
    kernel = guest(tmp_path, disk(number, "xvdb"))
    report = work(kernel, address=SECOND, size_bytes=GIB).present(check_mode=False)
    result = report.result()
    assert (device(report), result["changed"], result["disk"]["size_bytes"], result["disk"]["by_id"]) == ("/dev/xvdb", False, GIB, "")
    assert kernel.orders == []


def test_a_disk_that_is_being_plugged_in_is_waited_for(tmp_path: Path) -> None:
    kernel, hours = guest(tmp_path), Hours()
    hours.events.append(lambda: kernel.add(disk(DATA, "xvdb")))
    report = work(kernel, hours, address=SECOND, size_bytes=GIB).present(check_mode=False)
    assert report.result()["actions"] == ["see /dev/xvdb"]
    assert kernel.orders == []


def test_a_disk_that_never_comes_is_told(tmp_path: Path) -> None:
    with pytest.raises(TimedOut, match=r"is not visible within 30 s as SCSI\(0:1\), where the guest has no disk"):
        work(guest(tmp_path), address=SECOND, size_bytes=GIB).present(check_mode=False)


def test_a_disk_that_is_not_there_yet_is_promised_in_check_mode(tmp_path: Path) -> None:
    report = work(guest(tmp_path), address=SECOND, size_bytes=GIB).present(check_mode=True)
    assert (report.disk, report.actions) == (None, ["see SCSI(0:1)"])


def test_a_disk_of_another_size_is_left_alone(tmp_path: Path) -> None:
    kernel = guest(tmp_path, disk(DATA, "xvdb", 2 * GIB))
    with pytest.raises(Refused, match=rf"/dev/xvdb, which is SCSI\(0:1\) of this guest, has {2 * GIB} bytes, not the {GIB} of LUN"):
        work(kernel, address=SECOND, size_bytes=GIB).present(check_mode=False)


def test_without_its_size_no_disk_is_taken(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="give size_bytes beside address"):
        work(guest(tmp_path, disk(DATA, "xvdb")), address=SECOND).gathered()


def test_without_its_place_no_disk_is_taken(tmp_path: Path) -> None:
    assert work(guest(tmp_path, disk(DATA, "xvdb")), address=ANYWHERE, size_bytes=GIB).gathered().disk is None


def test_two_disks_in_one_place_are_told(tmp_path: Path) -> None:
    kernel = guest(tmp_path, disk(DATA, "xvdb"), disk(832, "xvdc"))
    with pytest.raises(Ambiguous, match=r"/dev/xvdb and /dev/xvdc are both SCSI\(0:1\)"):
        work(kernel, address=SECOND, size_bytes=GIB).gathered()


def test_a_disk_that_tells_the_luns_name_goes_before_one_in_a_place(tmp_path: Path) -> None:
    kernel = guest(tmp_path, disk(DATA, "xvdb", 2 * GIB))
    kernel.show(LUN)
    assert device(work(kernel, address=SECOND, size_bytes=GIB).gathered()) == "/dev/sdb"


def test_letting_go_writes_what_is_cached_and_leaves_the_end_to_the_hypervisor(tmp_path: Path) -> None:
    kernel = guest(tmp_path, disk(DATA, "xvdb"))
    report = work(kernel, address=SECOND, size_bytes=GIB).absent(check_mode=False)
    assert (report.actions, kernel.flushed, kernel.orders) == (["flush /dev/xvdb"], ["/dev/xvdb"], [])


def test_a_disk_that_is_mounted_is_not_let_go_of(tmp_path: Path) -> None:
    kernel = guest(tmp_path, disk(DATA, "xvdb"))
    kernel.add({"/proc/self/mountinfo": f"36 1 202:{DATA & 0xFF} / /srv rw - xfs /dev/xvdb rw\n"})
    with pytest.raises(Refused, match=r"is in use and stays: .*/srv"):
        work(kernel, address=SECOND, size_bytes=GIB).absent(check_mode=False)
