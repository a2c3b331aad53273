# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A LUN for initiators, and what is asked before it is taken away."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.base import (
    Change,
    LastLook,
    ProvisionWish,
    WithdrawWish,
    nobody_to_ask,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import InvalidInput, Refused, RemoteError, StepFailed
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import (
    Hba,
    Host,
    Lun,
    LunMapping,
    Portal,
    ScsiDevice,
    Target,
    Use,
    VirtualDisk,
    VirtualMachine,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.plan import Plan
from ansible_collections.crossvisor.san.plugins.module_utils._san.services import provision
from tests.unit.ports import ADDRESS, NAME, Act, MemoryArray, MemoryHypervisor, lun

WISH = ProvisionWish(ADDRESS, 1 << 30, "linux", ["iqn.2026-01.com.example:a"])


def test_initiators_are_spelled_as_the_array_wants_each_once() -> None:
    given = ["IQN.2026-01.com.Example:A", "iqn.2026-01.com.example:a", "10000090FA000001"]
    assert provision.normalized(given) == ["iqn.2026-01.com.example:a", "10:00:00:90:fa:00:00:01"]
    with pytest.raises(InvalidInput, match="10:00:zz"):
        provision.normalized(["10:00:zz"])


def test_a_new_lun_is_reported_whole() -> None:
    result = provision.provision(MemoryArray(), WISH, provision.CHANGED, check_mode=False).result(WISH.initiators)
    assert result["changed"]
    assert result["created"]
    assert result["mapped"]
    assert result["naa"] == NAME.naa
    assert result["lun_id"] == 3
    assert result["igroups"] == [{"name": "g1", "uuid": "id-g1", "lun_id": 3, "initiators": WISH.initiators}]
    assert result["targets"] == [
        {"kind": "iscsi", "name": "iscsi.svm1", "portals": [{"address": "192.0.2.11", "port": 3260}], "enabled": True}
    ]
    assert result["array"]["name"] == "lab"


@pytest.mark.parametrize(("when", "asked"), [(provision.ALWAYS, True), (provision.CHANGED, False), (provision.NEVER, False)])
def test_targets_of_an_unchanged_lun_are_looked_up_only_when_always_wished(when: str, asked: bool) -> None:
    array = MemoryArray(lun(NAME))
    result = provision.provision(array, WISH, when, check_mode=False).result(WISH.initiators)
    assert not result["changed"]
    assert not result["created"]
    assert not result["mapped"]
    assert ("targets" in array.calls) == asked
    assert (result["targets"] is not None) == asked


@pytest.mark.parametrize(("before", "first"), [(None, True), ((), True), (("iqn.2026-01.com.example:other",), False)])
def test_a_lun_that_others_see_already_is_not_mapped_for_the_first_time(before: Sequence[str] | None, first: bool) -> None:
    class Widening(MemoryArray):
        def plan_provision(self, wish: ProvisionWish, last_look: LastLook = nobody_to_ask) -> Change:
            def widen() -> None:
                self.lun = lun(NAME, initiators=[*(before or ()), *wish.initiators])

            return Change(Plan([Act("map the LUN", False, widen)]), lambda: self.lun)

    array = Widening(None if before is None else lun(NAME, initiators=before))
    result = provision.provision(array, WISH, provision.NEVER, check_mode=False).result(WISH.initiators)
    assert (result["mapped"], result["first_mapped"]) == (True, first)


WWPN = "10:00:00:90:fa:00:00:01"
IN_SERVICE = Target("iscsi", "iqn.a", [Portal("192.0.2.11")])


@pytest.mark.parametrize(
    ("initiators", "targets", "sentence"),
    [
        (WISH.initiators, [], "SVM svm1 has no iSCSI target, so that hosts cannot see LUN svm1:/vol/v1/l1 that way: start the SVM"),
        (WISH.initiators, [replace(IN_SERVICE, enabled=False)], "SVM svm1 has its iSCSI target iqn.a out of service"),
        (WISH.initiators, [replace(IN_SERVICE, portals=())], "SVM svm1 has no network interface up for its iSCSI target iqn.a"),
        ([WWPN], [], "SVM svm1 has no Fibre Channel port"),
        ([WWPN], [Target("fc", "20:01", enabled=False)], "SVM svm1 has its Fibre Channel port 20:01 out of service"),
        ([WWPN, *WISH.initiators], [], "SVM svm1 has no Fibre Channel port and no iSCSI target"),
    ],
)
def test_nothing_is_done_where_no_target_serves_the_initiators(initiators: Sequence[str], targets: list[Target], sentence: str) -> None:
    array = MemoryArray(served_by=targets)
    with pytest.raises(Refused, match=sentence):
        provision.provision(array, replace(WISH, initiators=initiators), provision.CHANGED, check_mode=False)
    assert array.lun is None


def test_a_protocol_without_a_target_is_a_warning_where_another_one_serves() -> None:
    array = MemoryArray(served_by=[IN_SERVICE])
    result = provision.provision(array, replace(WISH, initiators=[WWPN, *WISH.initiators]), provision.CHANGED, check_mode=False).result([])
    assert [sentence.partition(", so")[0] for sentence in result["warnings"]] == ["SVM svm1 has no Fibre Channel port"]
    assert array.lun is not None


def test_targets_that_are_not_looked_up_refuse_nothing() -> None:
    array = MemoryArray(served_by=[])
    assert provision.provision(array, WISH, provision.NEVER, check_mode=False).outcome.changed


@pytest.mark.parametrize("state", ["online", "offline"])
def test_the_state_of_a_lun_is_reported_as_the_array_tells_it(state: str) -> None:
    array = MemoryArray(replace(lun(NAME), state=state))
    assert provision.provision(array, WISH, provision.NEVER, check_mode=False).result([])["state"] == state


@pytest.mark.parametrize("used", [0, 4096, None])
def test_how_much_is_on_a_lun_is_reported_as_the_array_tells_it(used: int | None) -> None:
    array = MemoryArray(replace(lun(NAME), used_bytes=used))
    assert provision.provision(array, WISH, provision.NEVER, check_mode=False).result(WISH.initiators)["used_bytes"] == used


def test_check_mode_knows_no_identity_of_a_lun_that_is_not_there() -> None:
    result = provision.provision(MemoryArray(), WISH, provision.NEVER, check_mode=True).result(WISH.initiators)
    assert result["changed"]
    assert result["naa"] is None
    assert not result["created"]


def test_the_number_is_the_one_that_the_initiators_see() -> None:
    several = replace(lun(NAME), mappings=[LunMapping("g1", "1", 3, ["iqn.2026-01.com.example:A"]), LunMapping("g2", "2", 7, ["iqn.x:b"])])
    result = provision.provision(MemoryArray(several), WISH, provision.NEVER, check_mode=False).result(WISH.initiators)
    assert result["lun_id"] == 3


def test_a_lun_that_a_vm_uses_is_not_unmapped() -> None:
    array = MemoryArray(lun(NAME))
    hypervisor = MemoryHypervisor(machines=[VirtualMachine("vm-1", "app", disks=[VirtualDisk("1", "d", "passthrough", name=NAME)])])
    with pytest.raises(Refused, match=r"used by VM app \(vm-1\) and will not be deleted"):
        provision.withdraw(array, WithdrawWish(NAME, delete=True), lambda: hypervisor, check_mode=False)
    assert array.lun is not None
    assert hypervisor.calls[-1] == "close"


KNOWN_HOST = Host("h1", "esx1", hbas=[Hba("vmhba1", "iscsi_software", "online", iqn="iqn.2026-01.com.example:a")])


def a_host(**settings: Any) -> MemoryHypervisor:
    return MemoryHypervisor([KNOWN_HOST], [VirtualMachine("vm-1", "app", host="h1")], **settings)


def test_a_lun_that_initiators_of_nobody_who_was_asked_see_stays() -> None:
    array = MemoryArray(lun(NAME, initiators=["iqn.2026-01.com.example:a", "iqn.2026-01.com.example:stranger"]))
    with pytest.raises(Refused, match=r"nobody can tell whether .* \(initiator iqn.2026-01.com.example:stranger of igroup g1"):
        provision.withdraw(array, WithdrawWish(NAME, delete=True), a_host, check_mode=False)
    assert array.lun is not None
    report = provision.withdraw(array, WithdrawWish(NAME, delete=True), a_host, check_mode=False, assume_unused=True)
    assert "stranger" in report.outcome.warnings[0]
    assert array.lun is None


MIRROR = Use("SnapMirror relationship", "of svm1:/cg/app with svm2:/cg/app", "r-1", "presents it there too", NAME)
NOT_TOLD = replace(MIRROR, lun=None, how="does not tell whether it has it")


@pytest.mark.parametrize("ask", [a_host, None], ids=["hypervisor", "vouched"])
def test_a_lun_that_another_array_presents_too_is_not_deleted_whatever_is_vouched(ask: Any) -> None:
    array = MemoryArray(lun(NAME), mirrors=[MIRROR])
    with pytest.raises(
        Refused, match=r"is used by SnapMirror relationship of svm1:/cg/app with svm2:/cg/app \(r-1\) presents it there too"
    ):
        provision.withdraw(array, WithdrawWish(NAME, delete=True), ask, check_mode=False, assume_unused=True)
    assert array.lun == lun(NAME)


@pytest.mark.parametrize("ask", [a_host, None], ids=["hypervisor", "vouched"])
def test_a_lun_of_which_nobody_can_tell_whether_it_is_mirrored_is_deleted_only_on_the_users_word(ask: Any) -> None:
    array = MemoryArray(lun(NAME), mirrors=[NOT_TOLD])
    wish = WithdrawWish(NAME, delete=True)
    with pytest.raises(Refused, match=r"nobody can tell whether it is used \(SnapMirror .* does not tell whether it has it\)"):
        provision.withdraw(array, wish, ask, check_mode=False)
    assert array.lun == lun(NAME)
    report = provision.withdraw(array, wish, ask, check_mode=False, assume_unused=True)
    assert "svm2:/cg/app" in report.outcome.warnings[0]
    assert array.lun is None


def test_a_mirror_that_was_made_meanwhile_keeps_the_lun() -> None:
    class Late(MemoryArray):
        def uses(self, lun: Lun) -> list[Use]:
            found = super().uses(lun)
            return found if self.calls.count("uses") > 1 else []

    array = Late(lun(NAME), mirrors=[MIRROR])
    with pytest.raises(StepFailed, match=r"presents it there too.*undone: unmap the LUN"):
        provision.withdraw(array, WithdrawWish(NAME, delete=True), a_host, check_mode=False)
    assert array.lun == lun(NAME)


def test_a_mirrored_lun_is_unmapped_here_without_a_question_about_there() -> None:
    array = MemoryArray(lun(NAME), mirrors=[MIRROR])
    assert provision.withdraw(array, WithdrawWish(NAME), a_host, check_mode=False).outcome.changed
    assert "uses" not in array.calls


def test_users_are_asked_again_right_before_the_deletion() -> None:
    array, hypervisor = MemoryArray(lun(NAME)), a_host()
    hypervisor.meanwhile[2] = lambda: hypervisor.give("app", NAME)
    with pytest.raises(StepFailed, match=r"is used by VM app \(vm-1\) and will not be deleted.*; undone: unmap the LUN"):
        provision.withdraw(array, WithdrawWish(NAME, delete=True), lambda: hypervisor, check_mode=False)
    assert array.lun == lun(NAME)
    assert hypervisor.calls[-1] == "close"


def test_a_lun_that_somebody_got_while_it_was_unmapped_is_mapped_again() -> None:
    array, hypervisor = MemoryArray(lun(NAME)), a_host()
    hypervisor.meanwhile[2] = lambda: hypervisor.give("app", NAME)
    with pytest.raises(StepFailed, match="undone: unmap the LUN"):
        provision.withdraw(array, WithdrawWish(NAME), lambda: hypervisor, check_mode=False)
    assert array.lun == lun(NAME)


def fail() -> None:
    raise RemoteError("The array is out of order.")


@dataclass
class Failing(MemoryArray):
    """Maps the LUN and fails at the next step, so that the mapping is to be taken back."""

    made: bool = False
    mappings: Sequence[LunMapping] = tuple(lun(NAME).mappings)

    def plan_provision(self, wish: ProvisionWish, last_look: LastLook = nobody_to_ask) -> Change:
        def take_back() -> None:
            last_look([replace(lun(NAME), mappings=self.mappings)], made=self.made)
            self.calls.append("taken back")

        steps = [Act("map the LUN", False, lambda: None, take_back), Act("grow the LUN", False, fail)]
        return Change(Plan(steps), lambda: self.lun)


def failing(made: bool) -> Failing:
    array = Failing(lun(NAME))
    array.made = made
    return array


UNREADABLE = Use("VM", "broken", "vm-9", "is inaccessible")


class TestWhatIsTakenBackWhenAStepFails:
    def run(self, array: Failing, ask: Callable[[], MemoryHypervisor] | None, assume_unused: bool = False) -> str:
        with pytest.raises(StepFailed) as failed:
            provision.provision(array, WISH, provision.NEVER, check_mode=False, open_hypervisor=ask, assume_unused=assume_unused)
        assert ("taken back" in array.calls) == ("undone: map the LUN" in str(failed.value))
        return str(failed.value)

    def test_is_a_mapping_by_which_nobody_has_the_lun(self) -> None:
        hypervisor = a_host()
        assert "undone: map the LUN" in self.run(Failing(lun(NAME)), lambda: hypervisor)
        assert hypervisor.calls == ["inventory", "close"]
        assert hypervisor.decisions == 1

    @pytest.mark.parametrize("made", [False, True])
    @pytest.mark.parametrize("assume_unused", [False, True])
    def test_is_none_by_which_a_vm_has_it_whoever_made_it_and_whatever_is_vouched(self, made: bool, assume_unused: bool) -> None:
        hypervisor = a_host()
        hypervisor.give("app", NAME)
        told = self.run(failing(made), lambda: hypervisor, assume_unused)
        assert "left as it is: map the LUN (LUN naa." in told
        assert "is used by VM app (vm-1) and will not be taken back: detach it there first" in told

    @pytest.mark.parametrize(("made", "assume_unused", "taken"), [(False, False, False), (True, False, True), (False, True, True)])
    def test_is_a_mapping_of_which_nobody_can_tell_only_where_the_run_made_the_lun_or_the_user_vouches(
        self, made: bool, assume_unused: bool, taken: bool
    ) -> None:
        told = self.run(failing(made), lambda: a_host(uses=[UNREADABLE]), assume_unused)
        assert ("undone: " in told, "nobody can tell whether it is used (VM broken (vm-9) is inaccessible)" in told) == (taken, not taken)

    @pytest.mark.parametrize(("made", "assume_unused", "taken"), [(False, False, False), (True, False, True), (False, True, True)])
    def test_is_the_same_where_there_is_no_hypervisor_to_ask(self, made: bool, assume_unused: bool, taken: bool) -> None:
        told = self.run(failing(made), None, assume_unused)
        assert ("undone: " in told, "nobody was named who knows whether LUN naa." in told) == (taken, not taken)

    @pytest.mark.parametrize("state", ["ok", "off"])
    def test_is_no_lun_that_hosts_were_shown_meanwhile_because_by_its_name_they_forget_it(self, state: str) -> None:
        hypervisor = a_host(seen=[ScsiDevice("h1", str(NAME), NAME, 1 << 30, state=state)])
        array = failing(made=True)
        array.mappings = ()
        told = self.run(array, lambda: hypervisor)
        assert "left as it is: map the LUN (LUN naa." in told
        assert "has been shown to esx1 meanwhile, and stays: run this task again" in told

    def test_is_nothing_while_the_hypervisor_does_not_answer(self) -> None:
        def down() -> MemoryHypervisor:
            raise RemoteError("The hypervisor is down.")

        assert "left as it is: map the LUN (The hypervisor is down)" in self.run(Failing(lun(NAME)), down)


def test_a_hypervisor_is_not_logged_in_to_where_nothing_is_taken_back() -> None:
    assert provision.provision(MemoryArray(), WISH, provision.NEVER, check_mode=False, open_hypervisor=fail).outcome.changed  # type: ignore[arg-type]


def test_check_mode_tells_whether_a_lun_could_go_once_its_vm_has_let_go_of_it() -> None:
    array, hypervisor = MemoryArray(lun(NAME)), a_host()
    hypervisor.machines.append(VirtualMachine("vm-2", "db", host="h1"))
    hypervisor.give("app", NAME)
    wish = WithdrawWish(NAME, delete=True)
    assert provision.withdraw(array, wish, lambda: hypervisor, check_mode=True, leaving_vm="app").outcome.changed
    hypervisor.give("db", NAME)
    with pytest.raises(Refused, match=r"used by VM db \(vm-2\) and will"):
        provision.withdraw(array, wish, lambda: hypervisor, check_mode=True, leaving_vm="app")


def test_an_unused_lun_is_withdrawn_and_a_second_run_does_not_even_ask() -> None:
    array, hypervisor = MemoryArray(lun(NAME)), a_host()
    assert provision.withdraw(array, WithdrawWish(NAME), lambda: hypervisor, check_mode=False).outcome.changed
    asked = len(hypervisor.calls)
    assert not provision.withdraw(array, WithdrawWish(NAME), lambda: hypervisor, check_mode=False).outcome.changed
    assert len(hypervisor.calls) == asked


ARRAY = {"type": "ontap", "name": "lab", "address": "ontap.example.com", "version": "9.16.1", "uuid": ""}


def test_everything_that_a_module_returns_of_a_lun() -> None:
    result = provision.provision(MemoryArray(), WISH, provision.NEVER, check_mode=False).result(WISH.initiators)
    assert result == {
        "changed": True,
        "actions": [f"create LUN {ADDRESS}"],
        "diff": {"before": {}, "after": {}},
        "warnings": [],
        "created": True,
        "made_by": "run:1",
        "mapped": True,
        "first_mapped": True,
        "path": "/vol/v1/l1",
        "uuid": "uuid-1",
        "serial": NAME.serial,
        "naa": NAME.naa,
        "size_bytes": 1 << 30,
        "used_bytes": None,
        "other_initiators": [],
        "state": "online",
        "create_time": None,
        "svm": "svm1",
        "volume": "v1",
        "lun_id": 3,
        "igroups": [{"name": "g1", "uuid": "id-g1", "lun_id": 3, "initiators": WISH.initiators}],
        "targets": None,
        "array": ARRAY,
    }


def test_everything_that_a_module_returns_of_a_lun_that_is_not_there() -> None:
    result = provision.provision(MemoryArray(), WISH, provision.NEVER, check_mode=True).result(WISH.initiators)
    known = ("made_by", "path", "uuid", "serial", "naa", "size_bytes", "used_bytes", "state", "create_time", "svm", "volume")
    nothing = (*known, "lun_id", "targets")
    assert {name: result[name] for name in nothing} == dict.fromkeys(nothing)
    assert (result["igroups"], result["first_mapped"]) == ([], False)


def test_when_a_lun_was_created_is_told_where_the_array_does() -> None:
    array = MemoryArray(replace(lun(NAME), created="2026-11-29T07:00:00+00:00"))
    result = provision.provision(array, WISH, provision.NEVER, check_mode=False).result(WISH.initiators)
    assert result["create_time"] == "2026-11-29T07:00:00+00:00"


def test_a_lun_that_was_there_was_made_by_no_run_of_ours() -> None:
    assert provision.provision(MemoryArray(lun(NAME)), WISH, provision.NEVER, check_mode=False).made_by is None


def test_a_lun_that_nobody_saw_before_and_nobody_sees_now_was_not_mapped() -> None:
    report = provision.provision(MemoryArray(lun(NAME, initiators=())), WISH, provision.NEVER, check_mode=False)
    assert (report.mapped, report.first_mapped) == (False, False)


def test_the_number_is_none_where_there_is_not_one() -> None:
    several = replace(lun(NAME), mappings=[LunMapping("g1", "1", 3, ["iqn.x:a"]), LunMapping("g2", "2", 7, ["iqn.x:b"])])

    def number(*initiators: str) -> object:
        return provision.provision(MemoryArray(several), WISH, provision.NEVER, check_mode=False).result(initiators)["lun_id"]

    assert (number("iqn.x:b"), number("iqn.x:a", "iqn.x:b"), number(), number("iqn.x:c")) == (7, None, None, None)
    one = MemoryArray(lun(NAME))
    assert provision.provision(one, WISH, provision.NEVER, check_mode=False).result([])["lun_id"] == 3


def test_targets_of_a_changed_lun_are_looked_up_when_changes_are_worth_it() -> None:
    words = {"always": True, "changed": True, "never": False}
    for word, asked in words.items():
        array = MemoryArray()
        provision.provision(array, WISH, word, check_mode=False)
        assert ("targets" in array.calls) == asked, word


def test_what_is_withdrawn_was_neither_created_nor_mapped() -> None:
    result = provision.withdraw(MemoryArray(lun(NAME)), WithdrawWish(NAME), None, check_mode=False).result([])
    assert [result[name] for name in ("created", "mapped", "first_mapped")] == [False, False, False]


def test_the_word_for_what_is_not_done_is_the_right_one() -> None:
    hypervisor = a_host()
    hypervisor.give("app", NAME)
    with pytest.raises(Refused, match="will not be unmapped"):
        provision.withdraw(MemoryArray(lun(NAME)), WithdrawWish(NAME), lambda: hypervisor, check_mode=False)


def test_only_whom_the_lun_is_taken_from_has_to_be_known() -> None:
    """A mapping that stays is nobody's loss."""

    class Keeping(MemoryArray):
        def plan_withdraw(self, wish: WithdrawWish) -> Change:
            change = super().plan_withdraw(wish)
            return replace(change, leaving=change.leaving[:1])

    stays = LunMapping("g2", "id-g2", 3, ["iqn.2026-01.com.example:stranger"])
    array = Keeping(replace(lun(NAME), mappings=[*lun(NAME).mappings, stays]))
    hypervisor = a_host()
    assert provision.withdraw(array, WithdrawWish(NAME), lambda: hypervisor, check_mode=False).outcome.changed
    assert hypervisor.device_reads == 0


def test_after_it_was_unmapped_nobody_is_asked_who_its_initiators_are() -> None:
    array, hypervisor = MemoryArray(lun(NAME)), a_host()
    provision.withdraw(array, WithdrawWish(NAME, delete=True), lambda: hypervisor, check_mode=False)
    assert (hypervisor.calls.count("hosts"), hypervisor.calls.count("inventory"), hypervisor.calls[-1]) == (1, 2, "close")


def test_an_adapter_without_an_initiator_is_nobody() -> None:
    hypervisor = a_host()
    hypervisor.host_list = [replace(KNOWN_HOST, hbas=[*KNOWN_HOST.hbas, Hba("vmhba0", "sas", "online")])]
    with pytest.raises(Refused, match="initiator  of igroup g1 belongs to no host"):
        provision.withdraw(MemoryArray(lun(NAME, initiators=[""])), WithdrawWish(NAME, delete=True), lambda: hypervisor, check_mode=False)


@pytest.mark.parametrize("there", [None, replace(lun(NAME), mappings=())], ids=["gone", "unmapped"])
def test_where_nothing_is_to_be_done_no_hypervisor_is_opened(there: Any) -> None:
    def opened() -> MemoryHypervisor:
        raise AssertionError("a hypervisor was asked")

    assert not provision.withdraw(MemoryArray(there), WithdrawWish(NAME), opened, check_mode=False).outcome.changed


def test_who_else_sees_the_lun_is_told() -> None:
    array = MemoryArray(lun(NAME, initiators=["iqn.2026-01.com.example:A", "iqn.2026-01.com.example:other"]))
    result = provision.provision(array, WISH, provision.NEVER, check_mode=False).result(WISH.initiators)
    assert result["other_initiators"] == ["iqn.2026-01.com.example:other"]


SERVING = Use("host", "esx1", "h1", "has it in service (ok)", NAME, way_out="let the hosts go of it first")


@pytest.mark.parametrize("delete", [True, False])
def test_a_lun_that_a_host_has_in_service_is_not_taken_from_it(delete: bool) -> None:
    array, hypervisor = MemoryArray(lun(NAME)), MemoryHypervisor([KNOWN_HOST], serving=[SERVING])
    with pytest.raises(Refused, match=r"used by host esx1 \(h1\) has it in service \(ok\) and .*: let the hosts go of it first"):
        provision.withdraw(array, WithdrawWish(NAME, delete=delete), lambda: hypervisor, check_mode=False, assume_unused=True)
    assert array.lun is not None


def test_a_host_that_cannot_be_asked_whether_it_has_a_lun_in_service_takes_the_users_word() -> None:
    silent = replace(SERVING, how="cannot be asked whether it has the LUN in service because it is disconnected", doubt=True)
    array, hypervisor = MemoryArray(lun(NAME)), MemoryHypervisor([KNOWN_HOST], serving=[silent])
    with pytest.raises(Refused, match=r"nobody can tell whether it is used \(host esx1 \(h1\) cannot be asked .* it is disconnected\)"):
        provision.withdraw(array, WithdrawWish(NAME, delete=True), lambda: hypervisor, check_mode=False)
    assert array.lun is not None
    told = provision.withdraw(array, WithdrawWish(NAME, delete=True), lambda: hypervisor, check_mode=False, assume_unused=True)
    assert array.lun is None
    assert "assume_unused vouches" in told.outcome.warnings[0]


def test_only_hosts_to_which_the_array_shows_the_lun_are_asked_and_none_about_a_vm_that_lets_go_first() -> None:
    stranger = Host("h2", "esx2", hbas=[Hba("vmhba1", "iscsi_software", "online", iqn="iqn.2026-01.com.example:z")])
    elsewhere = MemoryHypervisor([KNOWN_HOST, stranger], serving=[replace(SERVING, id="h2", name="esx2")])
    assert provision.withdraw(MemoryArray(lun(NAME)), WithdrawWish(NAME), lambda: elsewhere, check_mode=True).outcome.changed
    app = VirtualMachine("vm-1", "app", disks=[VirtualDisk("1", "d", "passthrough", name=NAME)])
    leaving = MemoryHypervisor([KNOWN_HOST], machines=[app], serving=[SERVING])
    told = provision.withdraw(MemoryArray(lun(NAME)), WithdrawWish(NAME), lambda: leaving, check_mode=True, leaving_vm="app")
    assert told.outcome.changed


@pytest.mark.parametrize("leaving", ["", "app"])
def test_a_lun_that_snapshots_of_a_vm_have_is_not_withdrawn_whatever_is_vouched(leaving: str) -> None:
    kept = Use("VM", "app", "vm-1", "has it in its snapshots S2", NAME, way_out="remove these snapshots first", in_snapshots=True)
    array, hypervisor = MemoryArray(lun(NAME)), a_host(uses=[kept])
    for delete in (True, False):
        with pytest.raises(Refused, match=r"used by VM app \(vm-1\) has it in its snapshots S2 and .*: remove these snapshots first"):
            provision.withdraw(
                array, WithdrawWish(NAME, delete=delete), lambda: hypervisor, check_mode=True, assume_unused=True, leaving_vm=leaving
            )
    assert array.lun is not None


def test_a_vm_that_uses_the_lun_is_told_before_the_hosts_that_serve_it() -> None:
    app = VirtualMachine("vm-1", "app", disks=[VirtualDisk("1", "d", "passthrough", name=NAME)])
    hypervisor = MemoryHypervisor([KNOWN_HOST], machines=[app], serving=[SERVING])
    with pytest.raises(Refused, match="detach it there first"):
        provision.withdraw(MemoryArray(lun(NAME)), WithdrawWish(NAME), lambda: hypervisor, check_mode=False)
    assert "in_service" not in hypervisor.calls


def test_an_svm_whose_only_enabled_target_has_no_interface_lacks_the_interface() -> None:
    targets = [replace(IN_SERVICE, portals=()), replace(IN_SERVICE, name="iqn.b", enabled=False)]
    with pytest.raises(Refused, match=r"SVM svm1 has no network interface up for its iSCSI target iqn\.a, iqn\.b"):
        provision.provision(MemoryArray(served_by=targets), WISH, provision.CHANGED, check_mode=False)


def test_the_hypervisor_is_logged_in_to_once_however_often_it_is_asked() -> None:
    opened: list[MemoryHypervisor] = []

    def log_in() -> MemoryHypervisor:
        opened.append(a_host())
        return opened[-1]

    provision.withdraw(MemoryArray(lun(NAME)), WithdrawWish(NAME, delete=True), log_in, check_mode=False)
    assert [hypervisor.calls.count("close") for hypervisor in opened] == [1]


def test_what_a_gone_lun_has_left_on_its_array_is_removed_without_a_question() -> None:
    class Leaving(MemoryArray):
        def plan_withdraw(self, wish: WithdrawWish) -> Change:
            return Change(Plan([Act("delete igroup g1", False, lambda: None)]), lambda: None)

    def opened() -> MemoryHypervisor:
        raise AssertionError("a hypervisor was asked")

    assert provision.withdraw(Leaving(), WithdrawWish(NAME), opened, check_mode=False).outcome.actions == ["delete igroup g1"]


def test_when_targets_are_looked_up_is_said_in_the_words_of_the_modules() -> None:
    assert (provision.ALWAYS, provision.CHANGED, provision.NEVER) == ("always", "changed", "never")
