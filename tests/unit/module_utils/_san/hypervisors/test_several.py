# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Several endpoints as one hypervisor: nobody's use is overlooked, a VM that has moved is one VM, and silence is no answer."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import (
    AuthenticationFailed,
    ConnectionFailed,
    CrossvisorError,
    Refused,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.base import DiskWish, Homes, Hypervisor
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.several import Endpoint, Several
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import (
    FileSystem,
    Hba,
    Host,
    Inventory,
    ScsiDevice,
    Use,
    VirtualDisk,
    VirtualMachine,
)
from tests.unit.module_utils._san.services.test_guest_freeze import PlayedAgent
from tests.unit.ports import NAME, OTHER, MemoryHypervisor

UUID = "64623031-0000-4000-8000-000000000001"


def disk(name: object = NAME) -> VirtualDisk:
    return VirtualDisk("sda", "sda", "passthrough", name=name)  # type: ignore[arg-type]


def kvm(number: int, *machines: VirtualMachine) -> MemoryHypervisor:
    """A host with these VMs, which sees the LUN."""
    host = Host(f"h{number}", f"kvm{number}", hbas=[Hba("host7", "fc", "online", port_wwn=f"21:00:00:00:00:00:00:0{number}")])
    there = [replace(vm, host=host.id) for vm in machines]
    return MemoryHypervisor([host], there, seen=[ScsiDevice(host.id, "/dev/sda", NAME, 1 << 30)], address=f"kvm{number}.example.com")


def db01(power: str = "on", *disks: VirtualDisk) -> VirtualMachine:
    return VirtualMachine(UUID, "db01", uuid=UUID, power=power, disks=disks)


@dataclass
class Lost(MemoryHypervisor):
    """An endpoint whose connection breaks."""

    gone: bool = False

    def inventory(self, devices: bool = True, images: bool = False, only: Homes | None = None, at_once: bool = False) -> Inventory:
        if self.gone:
            raise ConnectionFailed("The connection was lost.")
        return super().inventory(devices, images, only, at_once)


def several(*hypervisors: Hypervisor) -> Several:
    return Several([Endpoint(found.address, lambda found=found: found) for found in hypervisors])  # type: ignore[misc]


def silent(name: str, error: CrossvisorError | None = None) -> Endpoint:
    def log_in() -> Hypervisor:
        raise error or ConnectionFailed(f"libvirt cannot be reached at {name}.")

    return Endpoint(name, log_in)


def vm_of(there: Several) -> VirtualMachine:
    (found,) = there.inventory(devices=False).virtual_machines
    return found


class TestWhatAllHave:
    def test_hosts_vms_and_devices_of_all_are_told(self) -> None:
        there = several(kvm(1, db01()), kvm(2, VirtualMachine("b", "app", uuid="b")))
        seen = there.inventory()
        assert [host.name for host in seen.hosts] == [host.name for host in there.hosts()] == ["kvm1", "kvm2"]
        assert [vm.name for vm in seen.virtual_machines] == ["db01", "app"]
        assert [device.host for device in seen.devices] == ["h1", "h2"]

    def test_a_guest_is_held_still_by_the_host_on_which_it_runs(self) -> None:
        stopped, running = kvm(1, db01("off")), kvm(2, db01())
        running.guest_agent = PlayedAgent()
        there = several(stopped, running)
        assert there.agent(vm_of(there)) is running.guest_agent

    def test_what_one_warns_of_and_knows_of_uses_is_told(self) -> None:
        one, two = kvm(1), kvm(2)
        two.warnings, two.uses = ["A target is silent."], [Use("host", "kvm2", "h2", "has it in RAID md0", NAME)]
        seen = several(one, two).inventory()
        assert (seen.warnings, [use.name for use in seen.uses]) == (["A target is silent."], ["kvm2"])

    def test_the_first_says_who_it_is(self) -> None:
        there = several(kvm(1), kvm(2))
        assert (there.type, there.about().address, there.address) == (
            "memory",
            "kvm1.example.com",
            "kvm1.example.com, kvm2.example.com",
        )

    def test_one_host_by_two_names_is_one_host(self) -> None:
        again = kvm(1, db01())
        again.address = "192.0.2.1"
        seen = several(kvm(1, db01()), again).inventory()
        assert (len(seen.hosts), len(seen.virtual_machines), len(seen.devices)) == (1, 1, 1)
        assert seen.warnings == ["Endpoint 192.0.2.1 shows host kvm1, which another endpoint shows already, and is left out: name it once."]

    def test_another_host_of_the_same_identifier_and_name_is_known_by_its_initiators(self) -> None:
        clone = kvm(1)
        clone.host_list = [replace(clone.host_list[0], hbas=[Hba("host7", "fc", "online", port_wwn="21:00:00:00:00:00:00:99")])]
        clone.address = "clone.example.com"
        there = several(kvm(1), clone)
        for look in (there.hosts, there.inventory):
            with pytest.raises(Refused, match="Host kvm1 and another host kvm1 have the same identifier, h1: give each KVM host"):
                look()

    @pytest.mark.parametrize(
        ("more", "told"),
        [
            ({"machines": [VirtualMachine("b", "app", uuid="b")]}, "VM app"),
            ({"machines": [db01("on", disk())]}, f"LUN {NAME}"),
            ({"uses": [Use("host", "kvm1", "h1", "has it in RAID md0", NAME)]}, f"LUN {NAME}"),
            (
                {"file_systems": [FileSystem("f", "data", "xfs", ["h1"], extents=["/dev/disk/by-id/wwn-0x1"])]},
                "device /dev/disk/by-id/wwn-0x1",
            ),
        ],
    )
    def test_what_a_host_has_that_seems_to_be_another_once_more_is_not_left_out(self, more: dict[str, object], told: str) -> None:
        clone = kvm(1, db01())
        clone.address = "clone.example.com"
        for attribute, value in more.items():
            setattr(clone, attribute, value)
        with pytest.raises(
            Refused, match=rf"^Endpoint clone.example.com says to be host kvm1 \(h1\), as another .* has {told}, which that"
        ):
            several(kvm(1, db01()), clone).inventory()

    def test_two_hosts_with_one_identifier_cannot_be_told_apart(self) -> None:
        other = kvm(1)
        other.host_list, other.address = [Host("h1", "kvm2")], "kvm2.example.com"
        with pytest.raises(Refused, match=r"Host kvm2 and host kvm1 have the same identifier, h1: give each KVM host one of its own"):
            several(kvm(1), other).inventory()

    def test_two_vms_with_one_identifier_are_not_taken_for_one(self) -> None:
        one, two = kvm(1, VirtualMachine("vm-12", "app", uuid="a")), kvm(2, VirtualMachine("vm-12", "db", uuid="b"))
        with pytest.raises(Refused, match=r"VM app at kvm1.example.com and VM db at kvm2.example.com have the same identifier, vm-12"):
            several(one, two).inventory()

    def test_an_endpoint_that_tells_no_host_still_tells_its_vms(self) -> None:
        hostless = kvm(2, VirtualMachine("b", "app", uuid="b"))
        hostless.host_list = []
        assert [vm.name for vm in several(kvm(1), hostless).inventory().virtual_machines] == ["app"]

    def test_vms_of_different_platforms_are_never_one(self) -> None:
        one, two = kvm(1, db01()), kvm(2, db01("off"))
        two.type = "other"
        with pytest.raises(Refused, match="have the same identifier"):
            several(one, two).inventory()


class TestWhatIsDone:
    def test_goes_to_the_hosts_that_are_meant(self) -> None:
        one, two = kvm(1), kvm(2)
        there = several(one, two)
        there.inventory()
        there.rescan(["h2"], NAME)
        assert (one.rescans, two.rescans) == ([], [("h2",)])
        assert [device.host for device in there.devices(["h1", "h2"], NAME)] == ["h1", "h2"]
        assert [device.host for device in there.devices(["h1"], NAME)] == ["h1"]

    @pytest.mark.parametrize("verb", ["release", "forget"])
    def test_no_host_keeps_a_device(self, verb: str) -> None:
        one, two = kvm(1), kvm(2)
        there = several(one, two)
        there.inventory()
        plan = {"release": there.plan_release, "forget": there.plan_forget}[verb](["h1", "h2"], NAME)
        assert [step.title for step in plan.run()] == [f"{verb} LUN {NAME} on h1", f"{verb} LUN {NAME} on h2"]
        assert (one.seen, two.seen) == ([], [])

    def test_hosts_that_would_lose_paths_are_asked_about_each_at_its_own(self) -> None:
        one, two = kvm(1), kvm(2)
        one.serving = two.serving = [Use("host", "kvm1", "h1", "x", NAME), Use("host", "kvm2", "h2", "x", NAME)]
        there = several(one, two)
        there.hosts()
        assert [use.id for use in there.in_service(["h1", "h2"], NAME)] == ["h1", "h2"]
        assert [use.id for use in there.in_service(["h2"], NAME)] == ["h2"]

    def test_a_vm_gets_a_lun_where_it_is(self) -> None:
        one, two = kvm(1), kvm(2, db01())
        there = several(one, two)
        there.plan_attach(vm_of(there), DiskWish(NAME)).run()
        assert there.attachment(vm_of(there), NAME) is not None
        assert [len(found.disks) for found in two.machines] == [1]

    def test_what_hosts_need_to_see_its_lun_is_asked_where_it_is(self) -> None:
        one, two = kvm(1), kvm(2, db01())
        there = several(one, two)
        there.plan_reach(vm_of(there), DiskWish(NAME))
        assert ("plan_reach" in one.calls, "plan_reach" in two.calls) == (False, True)

    def test_all_are_logged_out(self) -> None:
        one, two = kvm(1), kvm(2)
        there = several(one, two)
        there.inventory()
        there.close()
        assert (one.calls[-1], two.calls[-1]) == ("close", "close")


class TestAVmThatHasMoved:
    """Its first host has kept its definition, with the LUN."""

    @pytest.fixture
    def source(self) -> MemoryHypervisor:
        return kvm(1, db01("off", disk()))

    def test_is_one_vm_on_the_host_where_it_runs(self, source: MemoryHypervisor) -> None:
        there = several(source, kvm(2, db01("on", disk())))
        found = vm_of(there)
        assert (found.host, found.power, len(found.disks)) == ("h2", "on", 1)

    @pytest.mark.parametrize("power", ["on", "suspended"])
    def test_gets_a_lun_where_it_runs(self, power: str) -> None:
        one, two = kvm(1, db01("off")), kvm(2, db01(power))
        there = several(one, two)
        there.plan_attach(vm_of(there), DiskWish(NAME)).run()
        assert [[len(vm.disks) for vm in host.machines] for host in (one, two)] == [[0], [1]]

    def test_loses_a_lun_everywhere(self, source: MemoryHypervisor) -> None:
        target = kvm(2, db01("on", disk()))
        there = several(source, target)
        assert [step.title for step in there.plan_detach(vm_of(there), NAME, 1).run()] == [
            f"detach LUN {NAME} from VM db01",
            f"detach LUN {NAME} from VM db01 as it is defined on host kvm1",
        ]
        assert [list(host.machines[0].disks) for host in (source, target)] == [[], []]

    def test_has_a_lun_that_only_the_old_definition_names(self, source: MemoryHypervisor) -> None:
        there = several(source, kvm(2, db01("on", disk(OTHER))))
        assert [found.name for found in vm_of(there).disks] == [OTHER, NAME]

    def test_that_runs_nowhere_gets_nothing_because_nobody_knows_where_it_will_start(self) -> None:
        there = several(kvm(1, db01("off")), kvm(2, db01("off")))
        with pytest.raises(Refused, match=r"VM db01 runs nowhere and is defined on kvm1, kvm2"):
            there.plan_attach(vm_of(there), DiskWish(NAME))

    def test_that_is_off_on_its_only_host_gets_a_lun(self) -> None:
        there = several(kvm(1, db01("off")), kvm(2))
        assert len(there.plan_attach(vm_of(there), DiskWish(NAME)).run()) == 1

    def test_that_runs_twice_is_no_one_vm(self) -> None:
        there = several(kvm(1, db01("on")), kvm(2, db01("suspended")))
        assert [vm.host for vm in there.inventory().virtual_machines] == ["h1", "h2"]


class TestWhereAVmMayMove:
    def test_is_to_every_endpoint_that_is_one_host_and_to_what_does_not_answer(self) -> None:
        one, two = kvm(1, db01()), kvm(2)
        there = Several([Endpoint("kvm1", lambda: one), Endpoint("kvm2", lambda: two), silent("kvm3")])
        assert vm_of(there).peers == ["h2", "kvm3"]

    @pytest.mark.parametrize("other", ["another platform", "a manager of several hosts"])
    def test_is_not_to_what_cannot_take_it(self, other: str) -> None:
        two = kvm(2)
        two.type, two.host_list = (
            ("other", two.host_list) if other == "another platform" else (two.type, [Host("h2", "a"), Host("h3", "b")])
        )
        assert vm_of(several(kvm(1, db01()), two)).peers == []

    def test_is_told_by_the_manager_of_several_hosts_alone(self) -> None:
        one = kvm(1, db01())
        one.host_list = [Host("h1", "kvm1"), Host("h9", "kvm9")]
        assert vm_of(several(one, kvm(2))).peers == ()


class TestSilence:
    def test_is_a_host_of_which_nobody_can_tell(self) -> None:
        one = kvm(1)
        there = Several([Endpoint("kvm1", lambda: one), silent("kvm2")])
        seen = there.inventory()
        assert [(host.name, host.state) for host in seen.hosts] == [("kvm1", "connected"), ("kvm2", "unreachable")]
        (use,) = seen.uses
        assert (use.kind, use.name, use.lun, use.how) == ("host", "kvm2", None, "could not be asked (libvirt cannot be reached at kvm2)")
        assert seen.warnings == list(there.hosts()[1].warnings) == ["Host kvm2 could not be asked (libvirt cannot be reached at kvm2)."]
        assert seen.silent == ["kvm2"]

    def test_lasts(self) -> None:
        asked: list[str] = []
        error = ConnectionFailed("It is down.")

        def log_in() -> Hypervisor:
            asked.append("kvm2")
            raise error

        there = Several([Endpoint("kvm1", lambda: kvm(1)), Endpoint("kvm2", log_in)])
        there.inventory()
        there.inventory()
        assert asked == ["kvm2"]

    def test_that_begins_between_two_looks_is_told(self) -> None:
        lost = Lost(address="kvm2.example.com")
        there = several(kvm(1), lost)
        assert there.inventory().silent == []
        lost.gone = True
        assert there.inventory().silent == ["kvm2.example.com"]

    def test_of_all_is_a_failure(self) -> None:
        with pytest.raises(ConnectionFailed, match=r"reached at kvm1; libvirt cannot be reached at kvm2"):
            Several([silent("kvm1"), silent("kvm2")]).inventory()

    def test_is_not_a_login_that_is_refused(self) -> None:
        there = Several([Endpoint("kvm1", lambda: kvm(1)), silent("kvm2", AuthenticationFailed("The password is wrong."))])
        with pytest.raises(AuthenticationFailed, match="The password is wrong"):
            there.inventory()
