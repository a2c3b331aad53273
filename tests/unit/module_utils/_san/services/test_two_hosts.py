# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One LUN that two hosts see which no endpoint manages together: whoever uses it on either is found before anything is done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.base import WithdrawWish
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import Ambiguous, ConnectionFailed, NotFound, Refused, StepFailed
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.base import DiskWish, Hypervisor
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.several import Endpoint, Several
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import Given, Hba, Host, ScsiDevice, VirtualDisk, VirtualMachine
from ansible_collections.crossvisor.san.plugins.module_utils._san.plan import Plan
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from ansible_collections.crossvisor.san.plugins.module_utils._san.services import attach, hbas, provision
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.attach import AttachRequest, FoundByName
from tests.unit.ports import ADDRESS, NAME, Act, MemoryArray, MemoryHypervisor, lun

REQUEST = AttachRequest("app", DiskWish(NAME, timeout=5))
DISK = VirtualDisk("sda", "sda", "passthrough", name=NAME)
INITIATORS = ("iqn.2026-01.com.example:kvm1", "iqn.2026-01.com.example:kvm2")


def kvm(number: int, *machines: VirtualMachine) -> MemoryHypervisor:
    """A host that sees the LUN, with these VMs."""
    host = Host(f"h{number}", f"kvm{number}", hbas=[Hba("iscsi_tcp", "iscsi_software", "online", iqn=INITIATORS[number - 1])])
    there = [replace(vm, host=host.id) for vm in machines]
    return MemoryHypervisor([host], there, seen=[ScsiDevice(host.id, str(NAME), NAME, 1 << 30)], address=f"kvm{number}")


def vm(name: str, *disks: VirtualDisk, power: str = "on") -> VirtualMachine:
    return VirtualMachine(f"uuid-{name}", name, uuid=f"uuid-{name}", power=power, disks=disks)


def silent() -> Hypervisor:
    raise ConnectionFailed("Nothing answers at kvm2.")


def both(one: MemoryHypervisor, two: MemoryHypervisor) -> Several:
    return Several([Endpoint("kvm1", lambda: one), Endpoint("kvm2", lambda: two)])


def one_of_two(one: MemoryHypervisor) -> Several:
    return Several([Endpoint("kvm1", lambda: one), Endpoint("kvm2", silent)])


@pytest.fixture
def here() -> MemoryHypervisor:
    return kvm(1, vm("app"))


class TestAnAttach:
    def test_is_refused_while_a_vm_of_the_other_host_has_the_lun(self, here: MemoryHypervisor) -> None:
        with pytest.raises(Refused, match=r"is used by VM db \(uuid-db\) and will not be given to VM app"):
            attach.attach(both(here, kvm(2, vm("db", DISK))), REQUEST, check_mode=False)
        assert list(here.machines[0].disks) == []

    def test_is_done_where_the_other_host_uses_nothing_of_it(self, here: MemoryHypervisor) -> None:
        report = attach.attach(both(here, kvm(2, vm("db"))), REQUEST, check_mode=False)
        assert (report.hosts, report.attachment is not None) == (["kvm1", "kvm2"], True)

    def test_waits_until_both_hosts_see_the_lun(self, here: MemoryHypervisor) -> None:
        two = kvm(2)
        two.seen, two.presented = [], {"h2": 1}
        attach.attach(both(here, two), REQUEST, check_mode=False)
        assert (here.rescans, two.rescans) == ([], [("h2",)])

    def test_does_not_wait_for_a_host_to_which_the_vm_shall_not_move(self, here: MemoryHypervisor) -> None:
        two = kvm(2)
        two.seen = []
        assert attach.attach(both(here, two), replace(REQUEST, ignore_hosts=["kvm2"]), check_mode=False).attachment

    def test_still_sees_the_users_on_a_host_that_is_ignored(self, here: MemoryHypervisor) -> None:
        with pytest.raises(Refused, match="used by VM db"):
            attach.attach(both(here, kvm(2, vm("db", DISK))), replace(REQUEST, ignore_hosts=["kvm2"]), check_mode=False)

    def test_asks_the_other_host_again_right_before_it_acts(self, here: MemoryHypervisor) -> None:
        two = kvm(2, vm("db"))
        two.meanwhile = {2: lambda: two.give("db", NAME)}
        with pytest.raises(Exception, match="used by VM db"):
            attach.attach(both(here, two), REQUEST, check_mode=False)
        assert list(here.machines[0].disks) == []

    def test_to_a_vm_of_the_second_host_looks_at_the_first_too(self) -> None:
        with pytest.raises(Refused, match="used by VM db"):
            attach.attach(both(kvm(1, vm("db", DISK)), kvm(2, vm("app"))), REQUEST, check_mode=False)

    def test_shares_the_lun_where_that_is_asked_for(self, here: MemoryHypervisor) -> None:
        wish = replace(REQUEST.wish, sharing="multi_writer")
        assert attach.attach(both(here, kvm(2, vm("db", DISK))), replace(REQUEST, wish=wish), check_mode=False).attachment

    def test_is_refused_while_the_other_host_does_not_answer(self, here: MemoryHypervisor) -> None:
        with pytest.raises(
            Refused, match=r"nobody can tell whether it is used \(host kvm2 could not be asked \(Nothing answers at kvm2\)\)"
        ):
            attach.attach(one_of_two(here), REQUEST, check_mode=False)

    def test_takes_the_users_word_for_what_does_not_answer(self, here: MemoryHypervisor) -> None:
        assert attach.attach(one_of_two(here), replace(REQUEST, ignore_hosts=["kvm2"]), check_mode=False).attachment

    def test_wants_a_host_named_that_cannot_look_for_the_lun(self, here: MemoryHypervisor) -> None:
        with pytest.raises(Refused, match=r"The hosts kvm2 are not connected.*name them in ignore_hosts"):
            attach.attach(one_of_two(here), replace(REQUEST, assume_unused=True), check_mode=False)

    def test_takes_that_word_for_a_silent_endpoint_that_is_no_place_for_the_vm(self, here: MemoryHypervisor) -> None:
        here.host_list = [*here.host_list, Host("h9", "kvm9")]
        assert attach.attach(one_of_two(here), replace(REQUEST, ignore_hosts=["kvm2"]), check_mode=False).attachment

    def test_to_a_vm_that_may_be_on_the_silent_host_tells_that(self, here: MemoryHypervisor) -> None:
        with pytest.raises(NotFound, match="and kvm2 did not answer"):
            attach.attach(one_of_two(here), replace(REQUEST, vm="db"), check_mode=False)

    def test_does_not_take_an_initiator_of_the_other_host_for_a_strangers(self, here: MemoryHypervisor) -> None:
        request = replace(REQUEST, other_initiators=[INITIATORS[1].upper()])
        assert attach.attach(both(here, kvm(2)), request, check_mode=False).attachment

    def test_is_refused_while_somebody_who_was_not_asked_sees_the_lun(self, here: MemoryHypervisor) -> None:
        request = replace(REQUEST, other_initiators=[*INITIATORS, "iqn.2026-01.com.example:kvm3"])
        with pytest.raises(Refused, match=r"initiator iqn\.2026-01\.com\.example:kvm3 belongs to no host that was asked") as refused:
            attach.attach(both(here, kvm(2)), request, check_mode=False)
        assert INITIATORS[1] not in str(refused.value)

    def test_waits_until_a_vm_has_moved(self, here: MemoryHypervisor) -> None:
        with pytest.raises(Ambiguous, match="runs on several hosts at once"):
            attach.attach(both(here, kvm(2, vm("app", power="suspended"))), REQUEST, check_mode=False)


PATH = Given("wwn", "by one path (sda)", "by its own adapters")
MAP = Given("mpath", "by multipath device mpatha", "by multipath", best=True)
COMING = replace(PATH, refusal="Host kvm2 has no multipath device of it yet: see why.", by_one_path=True, passing=True)
HARMLESS = VirtualMachine("uuid-web", "web", uuid="uuid-web", power="on")


@dataclass
class Naming(MemoryHypervisor):
    """A host that gives the LUN to VMs in one way after the other, look by look, and stays at the last."""

    ways: list[Given] = field(default_factory=list)
    looks: int = 0

    def devices(self, hosts: Sequence[str], name: ScsiName) -> list[ScsiDevice]:
        self.looks += 1
        way = self.ways[min(self.looks, len(self.ways)) - 1]
        return [replace(device, given=way) for device in super().devices(hosts, name)]


def naming(number: int, machine: VirtualMachine, *ways: Given) -> Naming:
    host = Host(f"h{number}", f"kvm{number}")
    seen = [ScsiDevice(host.id, str(NAME), NAME, 1 << 30)]
    return Naming([host], [replace(machine, host=host.id)], seen=seen, address=f"kvm{number}", ways=list(ways))


def asking(single_path: str) -> AttachRequest:
    return replace(REQUEST, wish=replace(REQUEST.wish, single_path=single_path))


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long was waited, by a clock that goes on then alone."""
    waited: list[float] = []
    monkeypatch.setattr(attach, "FoundByName", partial(FoundByName, clock=lambda: sum(waited), sleep=waited.append))
    return waited


class TestANameThatIsNoNameOnTheOtherHost:
    @pytest.mark.parametrize("check_mode", [False, True])
    @pytest.mark.parametrize(("ours", "theirs"), [(MAP, PATH), (PATH, MAP)])
    def test_is_given_to_no_vm_and_nothing_is_done(self, ours: Given, theirs: Given, check_mode: bool) -> None:
        one, two = naming(1, vm("app"), ours), naming(2, HARMLESS, theirs)
        with pytest.raises(Refused, match=r"^Host kvm2 has LUN .* and host kvm1 .*ignore_hosts=kvm2"):
            attach.attach(both(one, two), REQUEST, check_mode)
        assert (list(one.machines[0].disks), one.rescans, two.rescans) == ([], [], [])

    def test_is_noticed_before_the_attach_where_the_host_has_to_look_for_the_lun_first(self) -> None:
        one, two = naming(1, vm("app"), MAP), naming(2, HARMLESS, PATH)
        two.seen, two.presented = [], {"h2": 1}
        assert attach.attach(both(one, two), REQUEST, check_mode=True).outcome.warnings == []
        with pytest.raises(StepFailed, match=rf"^Could not give LUN {NAME} to VM app: Host kvm2 has LUN .* by one path \(sda\) and "):
            attach.attach(both(one, two), REQUEST, check_mode=False)
        assert (list(one.machines[0].disks), two.rescans) == ([], [("h2",)])

    def test_is_given_where_that_host_is_left_out(self) -> None:
        one, two = naming(1, vm("app"), MAP), naming(2, HARMLESS, PATH)
        report = attach.attach(both(one, two), replace(REQUEST, ignore_hosts=["kvm2"]), check_mode=False)
        assert (report.attachment is not None, list(report.outcome.warnings)) == (True, [])

    def test_is_given_with_a_warning_by_the_users_word(self) -> None:
        one, two = naming(1, vm("app"), MAP), naming(2, HARMLESS, PATH)
        two.seen, two.presented = [], {"h2": 1}
        report = attach.attach(both(one, two), asking("allow"), check_mode=False)
        (warning,) = report.outcome.warnings
        assert (report.attachment is not None, warning.startswith(f"Host kvm2 has LUN {NAME} by one path (sda)")) == (True, True)

    def test_is_a_warning_where_the_vm_has_the_lun_already(self) -> None:
        one, two = naming(1, vm("app", DISK), MAP), naming(2, HARMLESS, PATH)
        report = attach.attach(both(one, two), REQUEST, check_mode=False)
        assert (report.outcome.changed, len(report.outcome.warnings)) == (False, 1)

    def test_is_not_put_in_the_place_of_one_path(self, monkeypatch: pytest.MonkeyPatch) -> None:
        one, two = naming(1, vm("app", DISK), MAP), naming(2, HARMLESS, PATH)
        monkeypatch.setattr(one, "plan_attach", lambda _vm, _wish: Plan([Act("mend it", False, lambda: pytest.fail("it was mended"))]))
        with pytest.raises(Refused, match="Host kvm2 has LUN"):
            attach.attach(both(one, two), asking("mend"), check_mode=False)

    @pytest.mark.parametrize("check_mode", [False, True])
    def test_is_waited_for_while_somebody_makes_it(self, pauses: list[float], check_mode: bool) -> None:
        one, two = naming(1, vm("app"), MAP), naming(2, HARMLESS, COMING, COMING, MAP)
        assert list(attach.attach(both(one, two), REQUEST, check_mode).outcome.warnings) == []
        assert pauses == [1.0, 1.0]

    def test_is_waited_for_on_the_vms_own_host_too(self, pauses: list[float]) -> None:
        one, two = naming(1, vm("app"), COMING, MAP), naming(2, HARMLESS, PATH)
        with pytest.raises(StepFailed, match=r"by one path \(sda\) and host kvm1 by multipath device mpatha"):
            attach.attach(both(one, two), REQUEST, check_mode=False)
        assert (pauses, list(one.machines[0].disks)) == ([1.0], [])

    def test_is_waited_for_a_minute(self, pauses: list[float]) -> None:
        one, two = naming(1, vm("app"), MAP), naming(2, HARMLESS, COMING)
        with pytest.raises(StepFailed, match=r"Host kvm2 has no multipath device of it yet: see why, or leave host kvm2, .*=kvm2"):
            attach.attach(both(one, two), REQUEST, check_mode=False)
        assert (sum(pauses), list(one.machines[0].disks)) == (60, [])


def test_hosts_that_give_a_lun_by_one_name_are_asked_no_more_than_whether_they_see_it() -> None:
    """When it is planned, and right after the attach; one that has to look for it, once more after it has."""
    one, two = naming(1, vm("app"), MAP), naming(2, HARMLESS, MAP)
    attach.attach(both(one, two), REQUEST, check_mode=False)
    assert (one.looks, two.looks) == (2, 2)
    one, two = naming(1, vm("app"), MAP), naming(2, HARMLESS, MAP)
    two.seen, two.presented = [], {"h2": 1}
    attach.attach(both(one, two), REQUEST, check_mode=False)
    assert (one.looks, two.looks) == (3, 3)


class TestADetach:
    def test_of_a_vm_that_has_moved_leaves_no_host_a_disk_or_a_device(self) -> None:
        source, target = kvm(1, vm("app", DISK, power="off")), kvm(2, vm("app", DISK))
        report = attach.detach(both(source, target), REQUEST, release=True, check_mode=False)
        assert [list(host.machines[0].disks) for host in (source, target)] == [[], []]
        assert (source.seen, target.seen) == ([], [])
        assert sorted(report.hosts) == ["kvm1", "kvm2"]
        assert [action.split()[0] for action in report.outcome.actions] == ["detach", "detach", "release", "release"]

    def test_is_not_followed_by_a_release_while_another_vm_has_the_lun_on_the_other_host(self) -> None:
        source, target = kvm(1, vm("app", DISK)), kvm(2, vm("db", DISK))
        with pytest.raises(Refused, match="is used by VM db"):
            attach.detach(both(source, target), REQUEST, release=True, check_mode=False)
        assert len(source.machines[0].disks) == 1

    def test_is_not_followed_by_a_release_while_the_other_host_is_silent(self) -> None:
        source = kvm(1, vm("app", DISK))
        with pytest.raises(Refused, match="host kvm2 could not be asked"):
            attach.detach(one_of_two(source), REQUEST, release=True, check_mode=False)
        assert (len(source.machines[0].disks), len(source.seen)) == (1, 1)

    def test_lets_every_host_forget_the_lun(self) -> None:
        one, two = kvm(1, vm("app")), kvm(2)
        attach.forget(both(one, two), REQUEST, check_mode=False)
        assert (one.seen, two.seen) == ([], [])


class TestAWithdrawal:
    @pytest.mark.parametrize("delete", [False, True], ids=["unmap", "delete"])
    def test_is_refused_while_a_vm_of_the_other_host_has_the_lun(self, here: MemoryHypervisor, delete: bool) -> None:
        array = MemoryArray(lun(NAME, initiators=INITIATORS))
        with pytest.raises(Refused, match="used by VM db"):
            self.withdraw(array, both(here, kvm(2, vm("db", DISK))), delete)
        assert array.lun is not None
        assert array.lun.mappings

    def test_knows_the_initiators_of_both(self, here: MemoryHypervisor) -> None:
        array = MemoryArray(lun(NAME, initiators=INITIATORS))
        self.withdraw(array, both(here, kvm(2)), delete=True)
        assert array.lun is None

    def test_is_refused_while_the_other_host_does_not_answer(self, here: MemoryHypervisor) -> None:
        array = MemoryArray(lun(NAME, initiators=INITIATORS[:1]))
        with pytest.raises(Refused, match="host kvm2 could not be asked"):
            self.withdraw(array, one_of_two(here), delete=True)
        assert array.lun is not None

    def test_takes_the_users_word_for_what_does_not_answer(self, here: MemoryHypervisor) -> None:
        array = MemoryArray(lun(NAME, initiators=INITIATORS))
        self.withdraw(array, one_of_two(here), delete=True, assume_unused=True)
        assert array.lun is None

    def withdraw(self, array: MemoryArray, asked: Several, delete: bool, assume_unused: bool = False) -> None:
        provision.withdraw(array, WithdrawWish(ADDRESS, delete=delete), lambda: asked, check_mode=False, assume_unused=assume_unused)


@pytest.mark.parametrize("name", [None, "app"])
def test_the_initiators_of_both_hosts_are_told_at_once(here: MemoryHypervisor, name: str | None) -> None:
    found = hbas.report(hbas.hosts_of_endpoint(both(here, kvm(2)), hbas.HostSelection(vm=name)), [])
    assert found["initiators_by_protocol"]["iscsi"] == sorted(INITIATORS)


def test_a_host_whose_initiators_nobody_told_is_a_warning(here: MemoryHypervisor) -> None:
    found = hbas.report(hbas.hosts_of_endpoint(one_of_two(here), hbas.HostSelection()), [])
    assert ([host["state"] for host in found["hosts"]], found["warnings"]) == (
        ["connected", "unreachable"],
        ["Host kvm2 could not be asked (Nothing answers at kvm2)."],
    )
