# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a host does with a disk, and when it gives one to a VM."""

from __future__ import annotations

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import Refused, RemoteError
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv import host_lun
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from ansible_collections.crossvisor.san.plugins.module_utils._san.windows import disks, storage_call, storage_classes
from ansible_collections.crossvisor.san.plugins.module_utils._san.windows.disks import HostDisk
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.cim import CimClient
from tests.lab import world
from tests.lab.hyperv import media
from tests.lab.hyperv.running import Lab
from tests.lab.hyperv_world import lun_path
from tests.unit.hyperv_host import DATA, HOST, HOST_ID, RAW, SPARE, HyperVHost
from tests.unit.windows import client, waiting


@pytest.fixture
def host() -> HyperVHost:
    found = HyperVHost()
    found.see_spare()
    return found


@pytest.fixture
def login(host: HyperVHost) -> CimClient:
    return host.nodes.client(HOST_ID)


def disk_of(login: CimClient, name: ScsiName) -> HostDisk:
    found = disks.find(login, name, HOST)
    assert found is not None
    return found


def test_a_disk_goes_offline_and_online(host: HyperVHost, login: CimClient) -> None:
    host_lun.bring_online(login, disk_of(login, SPARE))
    assert not host.disk(SPARE).offline
    host_lun.take_offline(login, disk_of(login, SPARE))
    assert host.disk(SPARE).offline


def test_a_refusal_is_told_in_the_hosts_own_words(host: HyperVHost, login: CimClient) -> None:
    with pytest.raises(RemoteError, match=r"hv01\.lab:5986 refused Online of MSFT_Disk \(40001\): Access denied") as caught:
        host_lun.bring_online(login, disk_of(login, RAW))
    assert caught.value.code == "40001"


def test_a_method_with_parameters_is_called_in_the_same_way(host: HyperVHost, login: CimClient) -> None:
    keys = {"ObjectId": disk_of(login, SPARE).object_id}
    storage_call.call(login, storage_classes.DISK, "SetAttributes", keys, {"IsReadOnly": False})
    assert not host.disk(SPARE).read_only


def test_volumes_are_named_by_letter_or_mount_point_and_by_their_own_name_only_without(host: HyperVHost, login: CimClient) -> None:
    medium = media.formatted(SPARE.naa, 2**30, "NTFS", "new")
    host.lab.estate.media[SPARE.naa] = medium
    host.disk(SPARE).offline = False
    assert host_lun.access_paths(login, disk_of(login, SPARE)) == [medium.partitions[-1].volume_path]
    medium.partitions[-1].access[HOST] = ["C:\\mt\\"]
    assert host_lun.access_paths(login, disk_of(login, SPARE)) == ["C:\\mt\\"]


def test_the_disk_that_the_host_runs_from_is_refused(login: CimClient) -> None:
    boot = next(disk for disk in disks.disks_of(login) if disk.boot)
    with pytest.raises(Refused, match=r"Host hv01\.lab runs from disk 0"):
        host_lun.refuse_if_mounted(login, boot, HOST, "given to a VM")


def test_a_raw_disk_that_is_online_has_nothing_mounted(host: HyperVHost, login: CimClient) -> None:
    host.disk(SPARE).offline = False
    host_lun.refuse_if_mounted(login, disk_of(login, SPARE), HOST, "given to a VM")


@pytest.mark.parametrize("style", [media.GPT, media.MBR])
def test_a_dynamic_disk_that_is_online_is_refused_whatever_is_mounted(host: HyperVHost, login: CimClient, style: int) -> None:
    host.lab.estate.medium(SPARE.naa).make_dynamic(style, 2**30)
    host_lun.refuse_if_mounted(login, disk_of(login, SPARE), HOST, "given to a VM")
    host.disk(SPARE).offline = False
    with pytest.raises(Refused, match=r"Host hv01\.lab has LUN .* online as dynamic disk \d+, .*so it will not be given to a VM: remove"):
        host_lun.refuse_if_mounted(login, disk_of(login, SPARE), HOST, "given to a VM")


def test_what_is_given_is_the_drive_with_the_disks_number(host: HyperVHost, login: CimClient) -> None:
    disk, drive = host_lun.to_give(login, SPARE, HOST, host.waiting())
    assert (disk.name, disk.number) == (SPARE, host.disk(SPARE).number)
    assert str(drive.keys["DeviceID"]).endswith(f"\\{disk.number}")
    assert drive.host == HOST_ID


def test_hyper_v_is_waited_for_where_it_offers_a_disk_only_some_seconds_after_it_went_offline(host: HyperVHost, login: CimClient) -> None:
    host.disk(SPARE).offline = False
    host.lab.estate.timeline.seconds = 60.0
    host_lun.take_offline(login, disk_of(login, SPARE))
    assert host_lun.drive(login, disk_of(login, SPARE)) is None
    disk, _drive = host_lun.to_give(login, SPARE, HOST, host.waiting())
    assert disk.name == SPARE


def test_a_disk_that_comes_online_while_hyper_v_is_waited_for_is_not_given(host: HyperVHost, login: CimClient) -> None:
    host.disk(SPARE).noticed = False
    with pytest.raises(Refused, match="is online on host"):
        host_lun.to_give(login, SPARE, HOST, waiting(meanwhile=lambda: setattr(host.disk(SPARE), "offline", False)))


def test_a_disk_that_hyper_v_never_offers_is_refused_in_the_end(host: HyperVHost, login: CimClient) -> None:
    host.disk(SPARE).noticed = False
    with pytest.raises(Refused, match=r"does not offer LUN .* to VMs after 30 s: see in Disk Management what holds it"):
        host_lun.to_give(login, SPARE, HOST, waiting())


@pytest.mark.parametrize(
    ("name", "says"), [(DATA, r"in use as disk \d+ with E:\\"), (ScsiName(world.naa_of("NoSuchLun000")), "does not see LUN")]
)
def test_what_the_host_cannot_give_is_refused(login: CimClient, name: ScsiName, says: str) -> None:
    with pytest.raises(Refused, match=says):
        host_lun.to_give(login, name, HOST, waiting())


def test_a_disk_of_the_cluster_is_given_only_by_the_node_that_owns_it() -> None:
    lab, witness = Lab(), ScsiName(world.naa_at(lun_path("hvc1_csv")))
    with pytest.raises(Refused, match="another node of the cluster owns it"):
        host_lun.to_give(client(lab, "hvc1n2.lab"), witness, "hvc1n2.lab", waiting())
