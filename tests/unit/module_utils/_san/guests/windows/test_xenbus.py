# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A LUN in a Windows guest on Xen: taken by its place and size, and by nothing less.

The guest is the lab's, with the disks that Xen's drivers would show it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import Ambiguous, InvalidInput, NotFound, Refused
from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.windows.xenbus import NOWHERE, Place, on_xen
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import Slot
from ansible_collections.crossvisor.san.plugins.module_utils._san.services import guest_volume
from ansible_collections.crossvisor.san.plugins.module_utils._san.windows.disks import HostDisk
from tests.lab.hyperv.machines import Unit
from tests.lab.hyperv.vms import Attachment
from tests.unit.windows_guest import GIB, Bench

SIZE = 5 * GIB


class XenBench(Bench):
    """The guest win01 as one on Xen: a disk's unit is its target, and nothing tells a LUN's name."""

    shown: dict[str, Any]
    """What the drivers show otherwise of the LUN than they should."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.shown = {}
        unit_of = self.lab.estate._guest_unit

        def as_xen_shows_it(attachment: Attachment) -> Unit:
            unit = unit_of(attachment)
            names: dict[str, Any] = {
                "vendor": "XENSRC",
                "model": "PVDISK",
                "unique_id": f"XENSRC  {unit.lun:08}",
                "serial": f"{unit.lun:04}",
            }
            own = replace(unit, **names, target=unit.lun, lun=0, adapter=0)
            return replace(own, **self.shown) if unit.key == self.name.naa else own

        self.lab.estate._guest_unit = as_xen_shows_it  # type: ignore[method-assign]

    @property
    def unit(self) -> int:
        """The device number of the LUN."""
        self.see()
        return self.disk.unit.target

    def at(self, unit: int | None = None, size: int = SIZE) -> Place:
        """A place of the guest, the LUN's own without a number."""
        return Place(Slot(0, self.unit if unit is None else unit), size)


@pytest.fixture
def bench() -> XenBench:
    return XenBench()


def test_the_disk_in_the_place_becomes_the_volume_and_goes_again(bench: XenBench) -> None:
    place = bench.at()
    made = bench.present(place=place)
    assert made.layout
    assert made.layout.access_paths == ("E:\\",)
    assert not bench.present(place=place).outcome.changed
    assert guest_volume.absent(bench.guest, bench.name, 1.0, check_mode=False, place=place).outcome.changed
    assert bench.disk.offline


def test_one_of_another_size_is_left_alone(bench: XenBench) -> None:
    with pytest.raises(Refused, match=rf"has {SIZE} bytes, not the {SIZE + 1} of LUN {bench.name}, and was left alone"):
        bench.present(place=bench.at(size=SIZE + 1))


def test_one_in_another_place_is_not_taken_though_its_size_fits(bench: XenBench) -> None:
    with pytest.raises(NotFound, match="does not show LUN"):
        bench.present(place=bench.at(9))


def test_one_that_says_that_it_is_in_another_place_is_left_alone(bench: XenBench) -> None:
    bench.shown = {"serial": "0009"}
    with pytest.raises(Refused, match="has the serial number 0009, that of another place"):
        bench.present(place=bench.at())


@pytest.mark.parametrize("serial", ["", "68fe3b06-eac1-39", "80Lab-aaaaa1"])
def test_a_serial_number_of_the_hosts_storage_driver_says_nothing_of_the_place(bench: XenBench, serial: str) -> None:
    bench.shown = {"serial": serial}
    assert bench.present(place=bench.at()).outcome.changed


def test_a_disk_of_another_vendor_in_the_place_is_not_taken(bench: XenBench) -> None:
    bench.shown = {"vendor": "QEMU", "model": "HARDDISK"}
    with pytest.raises(NotFound, match="does not show LUN"):
        bench.present(place=bench.at())


def test_of_two_disks_in_one_place_none_is_taken(bench: XenBench) -> None:
    boot = next(disk for disk in bench.machine.disks if disk.key != bench.name.naa).unit
    bench.see()
    second = next(disk for disk in bench.machine.disks if disk.key != bench.name.naa)
    second.unit = replace(boot, vendor="XENSRC", model="PVDISK", target=bench.disk.unit.target, lun=0, adapter=7)
    second.boot = True  # a rescan leaves it
    with pytest.raises(Ambiguous, match="are both SCSI"):
        bench.guest.session(bench.name, 1.0, Place(Slot(0, bench.disk.unit.target), SIZE))


def test_a_place_without_a_size_is_not_enough(bench: XenBench) -> None:
    with pytest.raises(InvalidInput, match="known there by its place and size alone: give size_bytes beside address"):
        bench.present(place=bench.at(size=0))


@pytest.mark.parametrize("verb", ["present", "absent"])
def test_without_a_place_nothing_is_waited_for_or_taken_for_gone(bench: XenBench, verb: str) -> None:
    bench.see()
    with pytest.raises(Refused, match="give its address and size_bytes, as ptd_attach returns them"):
        bench.present() if verb == "present" else bench.absent()


@pytest.mark.parametrize(("slot", "known"), [(Slot(0, 3), True), (Slot(0), False), (Slot(1, 3), False), (Slot(), False)])
def test_only_a_place_on_the_one_bus_is_one(slot: Slot, known: bool) -> None:
    assert Place(slot, SIZE).known is known


def test_one_disk_of_xens_drivers_is_enough_to_be_on_xen() -> None:
    emulated, own = HostDisk(0, None, SIZE, "a", vendor="QEMU"), HostDisk(1, None, SIZE, "b", vendor="XENSRC")
    assert (on_xen([emulated, own]), on_xen([emulated])) == (True, False)


def test_a_guest_that_is_told_names_does_not_look_at_places(monkeypatch: pytest.MonkeyPatch) -> None:
    other = Bench()
    assert guest_volume.present(other.guest, other.wish(place=Place(Slot(0, 9), 1)), check_mode=False).outcome.changed
    assert not any("Win32_DiskDrive" in asked for asked in other.wire.asked)
    assert not NOWHERE.known
