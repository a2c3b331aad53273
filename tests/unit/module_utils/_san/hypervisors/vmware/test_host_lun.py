# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One LUN on several hosts."""

from __future__ import annotations

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import NotFound, Refused
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.vmware import host_lun
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from tests.unit import vsphere
from tests.unit.vsphere_inventory import Inventory, scsi_disk

NAA = "600a0980383030304f4b4f4c4e6f3175"
OTHER = "600a0980383030304f4b4f4c4e6f3176"
LUN = ScsiName(NAA)


def inventory(**states: str) -> Inventory:
    """Hosts by name, with the LUN in this state; `none` for a host that does not have it."""
    there = Inventory()
    for number, (name, state) in enumerate(states.items(), start=1):
        luns = [scsi_disk(OTHER), *([] if state == "none" else [scsi_disk(NAA, state)])]
        there.add(
            "HostSystem",
            f"host-{number}",
            name=name,
            configManager_storageSystem=vsphere.managed("HostStorageSystem", f"ss-{number}"),
            config_storageDevice_scsiLun=vsphere.array("ScsiLun", luns),
        )
    return there


def test_the_lun_is_found_by_identity_on_every_host_in_one_request() -> None:
    there = inventory(esx01="ok", esx02="off", esx03="none")
    found = host_lun.observe(there.session, ["host-3", "host-1", "host-2"], LUN)
    assert [(lun.host_name, lun.state) for lun in found] == [("esx03", "not there"), ("esx01", "ok"), ("esx02", "off")]
    assert there.reads == 1


def test_it_has_what_a_new_disk_and_the_storage_system_need() -> None:
    (lun,) = host_lun.observe(inventory(esx01="ok").session, ["host-1"], LUN)
    assert (lun.uuid, lun.device_name, lun.size_bytes, lun.storage_system_id) == (
        f"0200000000{NAA}4c554e20432d",
        f"/vmfs/devices/disks/naa.{NAA}",
        5 * 1024**3,
        "ss-1",
    )


def test_no_hosts_cost_no_request() -> None:
    there = inventory(esx01="ok")
    assert host_lun.observe(there.session, [], LUN) == []
    assert there.reads == 0


def test_a_host_that_is_gone_is_an_error() -> None:
    with pytest.raises(NotFound, match="The hosts host-9 are no longer in the inventory"):
        host_lun.observe(inventory(esx01="ok").session, ["host-1", "host-9"], LUN)


def test_a_lun_in_service_can_be_used() -> None:
    assert host_lun.in_service(inventory(esx01="ok").session, "host-1", LUN).state == "ok"


@pytest.mark.parametrize(
    ("state", "error", "message"),
    [
        ("none", NotFound, "Host esx01 does not see LUN naa.600a"),
        ("off", Refused, "is off on host esx01: attach the device there"),
        ("lostCommunication", Refused, "is lost on host esx01"),
    ],
)
def test_any_other_is_refused_naming_host_and_lun(state: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        host_lun.in_service(inventory(esx01=state).session, "host-1", LUN)
