# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""ptd_attach: three states of a LUN and a VM."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.model import Hba, Host, ScsiDevice, VirtualDisk, VirtualMachine
from tests.unit.modules.subject import opened, subject, undocumented
from tests.unit.ports import NAME, MemoryArray, MemoryHypervisor, lun

PTD_ATTACH = subject("ptd_attach")
DISK = {"hypervisor": {"hostname": "vcenter.example.com"}, "vm": "app", "naa": f"naa.{NAME.naa}", "timeout": 0}


@pytest.fixture
def hypervisor() -> MemoryHypervisor:
    """A VM without the LUN, on a host that sees it."""
    return MemoryHypervisor(
        [Host("h1", "esx1", "prod")],
        [VirtualMachine("vm-1", "app", host="h1", cluster="prod")],
        seen=[ScsiDevice("h1", str(NAME), NAME, 1 << 30)],
    )


def test_the_documentation_tells_the_options_that_there_are() -> None:
    assert PTD_ATTACH.documented_options == PTD_ATTACH.declared_options


@pytest.mark.parametrize("attribute", ["check_mode", "diff_mode", "idempotent"])
def test_it_promises_check_mode_difference_and_idempotence(attribute: str) -> None:
    assert PTD_ATTACH.declared["supports_check_mode"]
    assert PTD_ATTACH.documentation["attributes"][attribute]["support"] == "full"


def test_every_value_that_it_returns_is_documented(hypervisor: MemoryHypervisor) -> None:
    with opened(hypervisor):
        result = PTD_ATTACH.succeed(DISK)
    assert undocumented(result, PTD_ATTACH.documented_results) == []
    assert set(result) == set(PTD_ATTACH.documented_results)
    assert (result["disk"]["guest_address"], result["naa"], hypervisor.calls[-1]) == ("SCSI(0:1)", NAME.naa, "close")


def test_check_mode_attaches_nothing(hypervisor: MemoryHypervisor) -> None:
    with opened(hypervisor):
        result = PTD_ATTACH.run(DISK, check=True)
    assert (result["changed"], result["disk"], hypervisor.machines[0].disks) == (True, None, ())


def test_a_serial_number_names_the_lun_as_well(hypervisor: MemoryHypervisor) -> None:
    named = {name: value for name, value in DISK.items() if name != "naa"}
    with opened(hypervisor):
        assert PTD_ATTACH.succeed({**named, "serial": NAME.serial})["naa"] == NAME.naa


def test_absent_takes_the_disk_and_release_the_device(hypervisor: MemoryHypervisor) -> None:
    hypervisor.machines = [
        VirtualMachine("vm-1", "app", host="h1", cluster="prod", disks=[VirtualDisk("1", "d", "passthrough", name=NAME)])
    ]
    with opened(hypervisor):
        result = PTD_ATTACH.succeed({**DISK, "state": "absent", "release": True})
    assert [action.split()[0] for action in result["actions"]] == ["detach", "release"]
    assert (result["disk"], hypervisor.seen) == (None, [])


def test_forgotten_leaves_the_vm_alone(hypervisor: MemoryHypervisor) -> None:
    with opened(hypervisor):
        result = PTD_ATTACH.succeed({**DISK, "state": "forgotten"})
    assert [action.split()[0] for action in result["actions"]] == ["forget"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"naa": "naa.6"}, "'naa.6' is not the NAA name of a LUN"),
        ({"serial": NAME.serial}, "mutually exclusive: naa|serial"),
        ({"place": "first"}, "'first' is not a place"),
        ({"mode": "raw"}, "value of mode must be one of: physical, virtual"),
        ({"planned_disks": [{"state": "absent"}]}, "state is absent but all of the following are missing: naa"),
    ],
)
def test_what_means_nothing_is_told_before_anybody_is_asked(options: dict[str, Any], message: str) -> None:
    with opened():
        assert message in PTD_ATTACH.fail({**DISK, **options})


PLANNED = {**{name: value for name, value in DISK.items() if name != "naa"}, "planned_lun": "svm:/vol/v/l"}


def test_a_lun_that_does_not_exist_yet_can_be_asked_about(hypervisor: MemoryHypervisor) -> None:
    others = [{"naa": NAME.naa, "place": "SCSI(0:1)"}, {"naa": "", "place": ""}, {"naa": NAME.naa, "state": "absent"}]
    with opened(hypervisor):
        result = PTD_ATTACH.run({**PLANNED, "planned_disks": others}, check=True)
    assert (result["changed"], result["naa"]) == (True, None)
    assert result["actions"] == ["rescan esx1 for LUN svm:/vol/v/l", "attach LUN svm:/vol/v/l to VM app"]


@pytest.mark.parametrize(
    ("options", "option"),
    [
        (PLANNED, "planned_lun"),
        ({**DISK, "planned_disks": [{"place": "SCSI(0:1)"}]}, "planned_disks"),
        ({**PLANNED, "state": "absent", "_ansible_check_mode": True}, "planned_lun"),
    ],
)
def test_what_is_only_planned_is_asked_about_and_never_done(options: dict[str, Any], option: str) -> None:
    checked = {name: value for name, value in options.items() if name != "_ansible_check_mode"}
    with opened():
        result = PTD_ATTACH.run(checked, check="_ansible_check_mode" in options)
    assert f"{option} only tells in check mode" in result["msg"]


def test_the_array_is_asked_only_where_hosts_do_not_see_the_lun(hypervisor: MemoryHypervisor) -> None:
    array = MemoryArray(lun(NAME, initiators=[]))
    named = {**DISK, "array": {"hostname": "ontap.example.com"}}
    with opened(hypervisor, array):
        PTD_ATTACH.succeed(named)
    assert array.calls == []


def test_the_array_s_word_ends_the_wait(hypervisor: MemoryHypervisor) -> None:
    hypervisor.seen = []
    hypervisor.host_list = [Host("h1", "esx1", "prod", hbas=[Hba("vmhba1", "iscsi_software", "online", iqn="iqn.2026-01.com.example:h1")])]
    array = MemoryArray(lun(NAME, initiators=[]))
    with opened(hypervisor, array):
        message = PTD_ATTACH.fail({**DISK, "timeout": 3600, "array": {"hostname": "ontap.example.com"}})
    assert "is mapped to no initiator of esx1 on array ontap.example.com" in message
    assert array.calls == ["about", "luns", "close"]
