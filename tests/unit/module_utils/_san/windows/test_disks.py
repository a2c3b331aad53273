# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Disks are found by the LUN that they show, whatever their numbers."""

from __future__ import annotations

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import Refused
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from ansible_collections.crossvisor.san.plugins.module_utils._san.windows import disks
from tests.lab import world
from tests.lab.hyperv.running import Lab
from tests.lab.hyperv_world import GIB, lun_path
from tests.unit.windows import Wire, client

DATA, RAW = ScsiName(world.naa_at(lun_path("hv01_data"))), ScsiName(world.naa_at(lun_path("hv01_raw")))


@pytest.fixture
def lab() -> Lab:
    return Lab()


def test_every_disk_of_the_host_is_read_in_one_enumeration(lab: Lab) -> None:
    wire = Wire()
    found = disks.disks_of(client(lab, "hv01.lab", wire))
    assert {disk.name for disk in found} == {None, DATA, RAW}
    assert len(wire.asked) == 1


def test_a_lun_with_a_file_system(lab: Lab) -> None:
    disk = disks.find(client(lab, "hv01.lab"), DATA, "hv01.lab")
    assert disk is not None
    assert (disk.size_bytes, disk.style, disk.offline, disk.boot, disk.clustered) == (200 * GIB, disks.GPT, False, False, False)
    assert (disk.vendor, disk.product, disk.bus, disk.state) == ("NETAPP", "LUN C-Mode", disks.FIBRE_CHANNEL_BUS, "ok")
    assert disk.device == f"\\\\.\\PHYSICALDRIVE{disk.number}"
    assert disk.guid.startswith("{")
    assert disk.signature is None
    assert disk.multipath


def test_a_raw_disk_has_neither_guid_nor_signature_and_is_no_fault_while_offline(lab: Lab) -> None:
    disk = disks.find(client(lab, "hv01.lab"), RAW, "hv01.lab")
    assert disk is not None
    assert (disk.style, disk.guid, disk.signature, disk.offline, disk.state) == (disks.RAW, "", None, True, "ok")


def test_a_local_disk_has_no_name_of_a_lun(lab: Lab) -> None:
    (local,) = (disk for disk in disks.disks_of(client(lab, "hv01.lab")) if disk.name is None)
    assert local.boot
    assert not local.multipath


def test_a_clusters_disk_says_so(lab: Lab) -> None:
    disk = disks.find(client(lab, "hvc1n1.lab"), ScsiName(world.naa_at(lun_path("hvc1_csv"))), "hvc1n1.lab")
    assert disk is not None
    assert disk.clustered


def test_a_lun_that_the_host_does_not_see(lab: Lab) -> None:
    assert disks.find(client(lab, "hvc1n1.lab"), DATA, "hvc1n1.lab") is None


def test_a_number_is_forgotten_at_a_boot_and_the_lun_is_found_again(lab: Lab) -> None:
    host = client(lab, "hv01.lab")
    before = disks.find(host, DATA, "hv01.lab")
    lab.estate.machines["hv01.lab"].renumber()
    after = disks.find(host, DATA, "hv01.lab")
    assert before is not None
    assert after is not None
    assert before.number != after.number
    assert (before.name, before.guid) == (after.name, after.guid)


def test_one_lun_as_two_disks_is_refused_by_name_and_numbers(lab: Lab) -> None:
    machine = lab.estate.machines["hv01.lab"]
    machine.mpio = False
    lab.estate.rescan(machine)
    with pytest.raises(Refused, match=r"Host hv01\.lab shows LUN naa\.\w+ as disks \d+ and \d+.*MPIO"):
        disks.find(client(lab, "hv01.lab"), DATA, "hv01.lab")
