# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""lun_provision: how the options become a wish, and the report a result."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.base import (
    Change,
    CloneOrigin,
    LastLook,
    ProvisionWish,
    WithdrawWish,
    nobody_to_ask,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import RemoteError
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import Hba, Host, VirtualDisk, VirtualMachine
from ansible_collections.crossvisor.san.plugins.module_utils._san.plan import Plan
from tests.unit.modules.subject import opened, subject, undocumented
from tests.unit.ports import NAME, Act, MemoryArray, MemoryHypervisor, lun

LUN_PROVISION = subject("lun_provision")
CONNECTIONS = {"array": {"hostname": "ontap.example.com"}, "hypervisor": {"hostname": "vcenter.example.com"}}
PLACE = {"svm": "svm1", "volume": "v1", "name": "l1"}
INITIATOR = "iqn.2026-01.com.example:a"
KNOWN_HOST = Host("h1", "esx1", hbas=[Hba("vmhba1", "iscsi_software", "online", iqn=INITIATOR)])


def test_the_documentation_tells_the_options_that_there_are() -> None:
    assert LUN_PROVISION.documented_options == LUN_PROVISION.declared_options


@pytest.mark.parametrize("attribute", ["check_mode", "diff_mode", "idempotent"])
def test_it_promises_check_mode_difference_and_idempotence(attribute: str) -> None:
    assert LUN_PROVISION.declared["supports_check_mode"]
    assert LUN_PROVISION.documentation["attributes"][attribute]["support"] == "full"


def test_every_value_that_it_returns_is_documented() -> None:
    array = MemoryArray()
    with opened(array=array):
        result = LUN_PROVISION.succeed({**CONNECTIONS, **PLACE, "size": "1GiB", "initiators": [INITIATOR.upper()]})
    assert undocumented(result, LUN_PROVISION.documented_results) == []
    assert set(result) == set(LUN_PROVISION.documented_results)
    assert (result["created"], result["naa"], array.calls[-1]) == (True, NAME.naa, "close")


@pytest.mark.parametrize("state", ["present", "absent"])
def test_a_clone_is_told_by_its_origin(state: str) -> None:
    seen: list[CloneOrigin | None] = []

    class Noting(MemoryArray):
        def plan_provision(self, wish: ProvisionWish, last_look: LastLook = nobody_to_ask) -> Change:
            seen.append(wish.clone_of)
            return super().plan_provision(wish, last_look)

        def plan_withdraw(self, wish: WithdrawWish) -> Change:
            seen.append(wish.clone_of)
            return super().plan_withdraw(wish)

    with opened(MemoryHypervisor([KNOWN_HOST]), Noting(lun(NAME))):
        LUN_PROVISION.succeed({**CONNECTIONS, **PLACE, "state": state, "clone_of": {"lun": "l0", "snapshot": "s1"}})
    assert seen == [CloneOrigin("l0", "s1")]


def test_check_mode_creates_nothing() -> None:
    array = MemoryArray()
    with opened(array=array):
        result = LUN_PROVISION.run({**CONNECTIONS, **PLACE, "size": "1GiB"}, check=True)
    assert (result["changed"], result["naa"], array.lun) == (True, None, None)


def test_a_lun_is_withdrawn_when_its_hypervisor_knows_no_user() -> None:
    array, hypervisor = MemoryArray(lun(NAME)), MemoryHypervisor([KNOWN_HOST])
    with opened(hypervisor, array):
        result = LUN_PROVISION.succeed({**CONNECTIONS, "state": "absent", "naa": f"naa.{NAME.naa}", "delete": True})
    assert (result["actions"], array.lun) == (["unmap the LUN", "delete the LUN"], None)
    assert hypervisor.calls == ["inventory", "hosts", "in_service", "inventory", "close"]


@pytest.mark.parametrize(("wanted", "named"), [(PLACE, "svm1:/vol/v1/l1"), ({"naa": NAME.naa}, str(NAME))], ids=["place", "name"])
def test_a_lun_that_is_not_there_is_nothing_to_take_back_but_told(wanted: dict[str, str], named: str) -> None:
    with opened(MemoryHypervisor([KNOWN_HOST]), MemoryArray()):
        result = LUN_PROVISION.run({**CONNECTIONS, **wanted, "state": "absent", "delete": True})
    assert (result["changed"], result["naa"]) == (False, None)
    assert f"has no LUN {named}, so that there was nothing to take back" in str(result["warnings"])


def test_a_lun_that_is_there_is_taken_back_without_a_word() -> None:
    with opened(MemoryHypervisor([KNOWN_HOST]), MemoryArray(lun(NAME))):
        result = LUN_PROVISION.run({**CONNECTIONS, **PLACE, "state": "absent", "delete": True})
    assert result["changed"]
    assert "warnings" not in result


def test_a_lun_that_a_vm_uses_is_refused_by_its_name() -> None:
    user = VirtualMachine("vm-1", "app", disks=[VirtualDisk("1", "d", "passthrough", name=NAME)])
    with opened(MemoryHypervisor(machines=[user]), MemoryArray(lun(NAME))):
        assert "used by VM app (vm-1)" in LUN_PROVISION.fail({**CONNECTIONS, **PLACE, "state": "absent"})


class Failing(MemoryArray):
    """Takes back a mapping to a LUN that was there before."""

    def plan_provision(self, wish: ProvisionWish, last_look: LastLook = nobody_to_ask) -> Change:
        def fail() -> None:
            raise RemoteError("The array is out of order.")

        mapped = Act("map the LUN", False, lambda: None, lambda: last_look([lun(NAME)], made=False))
        return Change(Plan([mapped, Act("grow the LUN", False, fail)]), lambda: self.lun)


def test_what_a_failed_run_takes_back_the_hypervisor_is_asked_about() -> None:
    user = VirtualMachine("vm-1", "app", disks=[VirtualDisk("1", "d", "passthrough", name=NAME)])
    with opened(MemoryHypervisor(machines=[user]), Failing(lun(NAME))):
        told = LUN_PROVISION.fail({**CONNECTIONS, **PLACE, "initiators": [INITIATOR], "assume_unused": True, "targets": "never"})
    assert "left as it is: map the LUN (LUN naa." in told
    assert "is used by VM app (vm-1)" in told


@pytest.mark.parametrize(("word", "told"), [(False, "left as it is: map the LUN (nobody was named"), (True, "undone: map the LUN")])
def test_without_a_hypervisor_the_users_word_is_wanted_to_take_back(monkeypatch: pytest.MonkeyPatch, word: bool, told: str) -> None:
    monkeypatch.delenv("VMWARE_HOST", raising=False)
    options = {"array": CONNECTIONS["array"], **PLACE, "initiators": [INITIATOR], "assume_unused": word, "targets": "never"}
    with opened(array=Failing(lun(NAME))):
        assert told in LUN_PROVISION.fail(options)


def test_the_users_word_stands_for_the_hypervisors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VMWARE_HOST", raising=False)
    array = MemoryArray(lun(NAME))
    with opened(array=array):
        LUN_PROVISION.succeed({"array": CONNECTIONS["array"], **PLACE, "state": "absent", "delete": True, "assume_unused": True})
    assert array.lun is None


def test_the_users_word_does_not_stand_against_a_hypervisors() -> None:
    user = VirtualMachine("vm-1", "app", disks=[VirtualDisk("1", "d", "passthrough", name=NAME)])
    with opened(MemoryHypervisor([KNOWN_HOST], [user]), MemoryArray(lun(NAME))):
        assert "used by VM app (vm-1)" in LUN_PROVISION.fail({**CONNECTIONS, **PLACE, "state": "absent", "assume_unused": True})


def test_a_vm_that_is_about_to_lose_the_lun_is_named_in_check_mode_only() -> None:
    user = VirtualMachine("vm-1", "app", disks=[VirtualDisk("1", "d", "passthrough", name=NAME)])
    options = {**CONNECTIONS, **PLACE, "state": "absent", "vm": "app"}
    with opened(MemoryHypervisor([KNOWN_HOST], [user]), MemoryArray(lun(NAME))):
        assert "detach it, then leave vm out" in LUN_PROVISION.fail(options)
    with opened(MemoryHypervisor([KNOWN_HOST], [user]), MemoryArray(lun(NAME))):
        assert LUN_PROVISION.run(options, check=True)["changed"]


def test_without_either_nothing_is_withdrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VMWARE_HOST", raising=False)
    with opened():
        assert "assume_unused" in LUN_PROVISION.fail({"array": CONNECTIONS["array"], **PLACE, "state": "absent"})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "one of the following is required: name, naa"),
        ({"name": "l1"}, "parameters are required together: svm, volume, name"),
        ({**PLACE, "naa": NAME.naa}, "mutually exclusive: name|naa"),
        ({"naa": NAME.naa}, "to create or map one, give svm, volume and name"),
        ({**PLACE, "size": "much"}, "'much' is not a size"),
        ({**PLACE, "initiators": ["10:00:zz"]}, "'10:00:zz' is not a WWPN"),
    ],
)
def test_what_does_not_go_together_is_told(options: dict[str, Any], message: str) -> None:
    with opened():
        assert message in LUN_PROVISION.fail({"array": CONNECTIONS["array"], **options})
