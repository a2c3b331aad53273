# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Taking a LUN out of use on hosts, and letting them forget it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from pyVmomi import vim

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import Refused, RemoteError, StepFailed
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.vmware import release, rescan
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from tests.unit import vsphere
from tests.unit.vsphere_inventory import Inventory, devices, raw_disk, refs, scsi_disk

NAA = "600a0980383030304f4b4f4c4e6f3175"
LUN = ScsiName(NAA)
UUID = f"0200000000{NAA}4c554e20432d"
LUNS = "config.storageDevice.scsiLun"


class Hosts(Inventory):
    """Hosts esx01, esx02, … with the LUN in these states."""

    def __init__(self, *states: str) -> None:
        super().__init__()
        self.ids = [
            self.add(
                "HostSystem",
                f"host-{number}",
                name=f"esx0{number}",
                configManager_storageSystem=vsphere.managed("HostStorageSystem", f"ss-{number}"),
            )
            for number in range(1, len(states) + 1)
        ]
        for host, state in zip(self.ids, states):
            self.set(host, state)

    def set(self, host: str, state: str) -> None:
        self.objects["HostSystem", host][LUNS] = vsphere.array("ScsiLun", [] if state == "none" else [scsi_disk(NAA, state)])

    def system(self, number: int) -> Any:
        return self.managed("HostStorageSystem", f"ss-{number}")


def refusal(fault: Any) -> RemoteError:
    error = RemoteError(fault.msg, type(fault)._wsdlName)
    error.__cause__ = fault
    return error


@dataclass
class Waiting:
    """Time that passes only while somebody sleeps, and what happens meanwhile."""

    now: float = 0.0
    events: list[tuple[float, Callable[[], None]]] = field(default_factory=list)

    def then(self, at: float, event: Callable[[], None]) -> None:
        self.events.append((at, event))

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        for _at, event in [due for due in self.events if due[0] <= self.now]:
            event()


def in_time(step: Any) -> Waiting:
    waiting = Waiting()
    step.clock, step.sleep = lambda: waiting.now, waiting.sleep
    return waiting


def detaching(hosts: Hosts) -> tuple[Any, Waiting]:
    (step,) = release.plan_release(hosts.session, hosts.ids, LUN).steps
    return step, in_time(step)


class TestRelease:
    @pytest.mark.parametrize(
        ("state", "done"), [("ok", False), ("off", True), ("none", True), ("lostCommunication", False), ("degraded", False)]
    )
    def test_a_host_is_done_when_the_lun_is_off_or_not_seen(self, state: str, done: bool) -> None:
        hosts = Hosts(state)
        (step,) = release.plan_release(hosts.session, hosts.ids, LUN).steps
        assert step.done() is done

    def test_hosts_are_observed_together(self) -> None:
        hosts = Hosts("ok", "ok", "off")
        assert len(release.plan_release(hosts.session, hosts.ids, LUN).pending()) == 2
        assert hosts.reads == 1

    def test_the_device_is_switched_off_by_its_uuid_and_shown(self) -> None:
        hosts = Hosts("ok")
        (step,) = release.plan_release(hosts.session, hosts.ids, LUN).steps
        step.do()
        assert hosts.system(1).calls == [("DetachScsiLun", UUID)]
        assert step.title == f"detach LUN {LUN} from host esx01"
        assert (step.before(), step.after()) == ({f"LUN {LUN}": {"esx01": "ok"}}, {f"LUN {LUN}": {"esx01": "off"}})

    def test_a_device_that_stays_on_is_not_verified(self) -> None:
        hosts = Hosts("ok")
        step, waited = detaching(hosts)
        with pytest.raises(RemoteError, match=f"LUN {LUN} is ok on host esx01 after it was detached"):
            step.verify()
        assert waited.now == pytest.approx(release._VIEW_SECONDS, abs=release._LONGEST_PAUSE)
        hosts.set("host-1", "off")
        step.verify()

    def test_a_view_that_lags_behind_the_host_is_waited_for(self) -> None:
        hosts = Hosts("ok")
        step, waited = detaching(hosts)
        waited.then(3.0, lambda: hosts.set("host-1", "off"))
        step.do()
        step.verify()
        assert 3.0 <= waited.now < release._VIEW_SECONDS

    def test_undo_switches_it_on_by_the_hosts_word_and_looks(self) -> None:
        hosts = Hosts("ok")
        step, waited = detaching(hosts)
        step.do()
        hosts.set("host-1", "off")
        waited.then(2.0, lambda: hosts.set("host-1", "ok"))
        step.undo()
        assert hosts.system(1).calls == [("DetachScsiLun", UUID), ("AttachScsiLun", UUID)]
        assert waited.now >= 2.0

    def test_undo_does_not_take_an_old_view_for_the_host(self) -> None:
        """A lost answer: the view still shows the device on, the host has it off."""
        hosts = Hosts("ok")
        step, _waited = detaching(hosts)
        step.undo()
        assert hosts.system(1).calls == [("AttachScsiLun", UUID)]

    def test_undo_of_what_did_not_happen_is_told_by_the_host(self) -> None:
        hosts = Hosts("ok")
        step, _waited = detaching(hosts)
        hosts.system(1).fails["AttachScsiLun"] = refusal(vim.fault.InvalidState(msg="Attached already."))
        step.undo()

    @pytest.mark.parametrize("state", ["off", "none"])
    def test_undo_is_not_told_while_the_device_is_not_on(self, state: str) -> None:
        hosts = Hosts("ok")
        step, _waited = detaching(hosts)
        step.do()
        hosts.set("host-1", state)
        with pytest.raises(RemoteError, match=f"LUN {LUN} is still (off|not there) on host esx01 after it was attached again"):
            step.undo()

    def test_a_device_that_somebody_else_has_switched_off_is_left_so(self) -> None:
        hosts = Hosts("ok")
        step, _waited = detaching(hosts)
        hosts.system(1).fails["DetachScsiLun"] = refusal(vim.fault.InvalidState(msg="Detached already."))
        step.do()
        hosts.set("host-1", "off")
        step.verify()
        step.undo()
        assert hosts.system(1).calls == [("DetachScsiLun", UUID)]

    def test_a_lun_in_use_is_refused_naming_its_users(self) -> None:
        hosts = Hosts("ok")
        hosts.objects["HostSystem", "host-1"].update(
            {"vm": refs("VirtualMachine", "vm-1", "vm-2"), "datastore": refs("Datastore", "datastore-1")}
        )
        hosts.add("VirtualMachine", "vm-1", name="db01", config_hardware_device=devices(raw_disk(NAA)))
        hosts.add("VirtualMachine", "vm-2", name="db02", config_hardware_device=devices())
        extent = vim.host.ScsiDisk.Partition(diskName=f"naa.{NAA}", partition=1)
        volume = vim.host.VmfsVolume(
            type="VMFS",
            name="ds",
            capacity=1,
            blockSizeMb=1,
            maxBlocks=1,
            majorVersion=6,
            version="6.82",
            uuid="x",
            extent=[extent],
            vmfsUpgradable=False,
        )
        hosts.add(
            "Datastore",
            "datastore-1",
            name="ds",
            info=vim.host.VmfsDatastoreInfo(name="ds", url="x", freeSpace=1, maxFileSize=1, vmfs=volume),
        )
        hosts.system(1).fails["DetachScsiLun"] = refusal(vim.fault.ResourceInUse(msg="In use."))
        (step,) = release.plan_release(hosts.session, hosts.ids, LUN).steps
        with pytest.raises(Refused, match=f"Host esx01 still uses LUN {LUN} for VM db01, datastore ds: remove it there first"):
            step.do()

    def test_another_refusal_is_told_as_what_it_is(self) -> None:
        hosts = Hosts("ok")
        hosts.system(1).fails["DetachScsiLun"] = refusal(vim.fault.HostConfigFault(msg="Boom."))
        (step,) = release.plan_release(hosts.session, hosts.ids, LUN).steps
        with pytest.raises(RemoteError, match=r"host esx01 could not change what it does with LUN .* \(HostConfigFault: Boom\)"):
            step.do()


class TestForget:
    @pytest.fixture(autouse=True)
    def rescanned(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        hosts: list[str] = []
        monkeypatch.setattr(rescan, "rescan_hbas", lambda _session, ids: hosts.extend(ids))
        return hosts

    def test_hosts_that_do_not_list_the_lun_have_nothing_to_forget(self) -> None:
        hosts = Hosts("none", "none")
        assert not release.plan_forget(hosts.session, hosts.ids, LUN).pending()

    def test_a_host_whose_loss_another_run_has_noticed_first_drops_what_it_remembers(self) -> None:
        hosts = Hosts("none", "none")
        hosts.system(2).fails["DeleteScsiLunState"] = refusal(vim.fault.HostConfigFault(msg="Not in the list."))
        ran = release.plan_forget(hosts.session, hosts.ids, LUN).run()
        assert [step.title for step in ran] == [f"forget LUN {LUN} on host esx01"]
        assert [hosts.system(number).calls for number in (1, 2)] == [[("DeleteScsiLunState", f"naa.{NAA}")]] * 2

    def test_a_host_that_refuses_to_forget_is_told(self) -> None:
        hosts = Hosts("none")
        hosts.system(1).fails["DeleteScsiLunState"] = refusal(vim.fault.NoPermission(msg="No."))
        with pytest.raises(StepFailed, match=f"forget LUN {LUN} on host esx01"):
            release.plan_forget(hosts.session, hosts.ids, LUN).run()

    def test_the_others_are_rescanned_together_and_drop_what_they_remember(self, rescanned: list[str]) -> None:
        hosts = Hosts("off", "none", "off")
        plan = release.plan_forget(hosts.session, hosts.ids, LUN)
        notice, *forget = plan.pending()
        assert notice.title == f"rescan esx01, esx03 for the loss of LUN {LUN}"
        notice.do()
        assert rescanned == ["host-1", "host-3"]
        for host in hosts.ids:
            hosts.set(host, "none")
        for step in forget:
            step.do()
            step.verify()
        assert [hosts.system(number).calls for number in (1, 3)] == [[("DeleteScsiLunState", f"naa.{NAA}")]] * 2

    def test_a_lun_in_service_is_not_forgotten_and_no_host_is_bothered(self, rescanned: list[str]) -> None:
        hosts = Hosts("ok", "off")
        with pytest.raises(Refused, match=f"LUN {LUN} is in service on esx01: release it"):
            release.plan_forget(hosts.session, hosts.ids, LUN).steps[0].do()
        assert rescanned == []

    @pytest.mark.parametrize(
        ("state", "message"),
        [
            ("off", "is still presented by the array to host esx01: unmap it there first; until then it stays off"),
            ("lostCommunication", "has no paths on host esx01 but is still listed as lost, so something there holds it open"),
        ],
    )
    def test_a_lun_that_is_still_there_is_not_forgotten(self, state: str, message: str) -> None:
        hosts = Hosts(state)
        forget = release.plan_forget(hosts.session, hosts.ids, LUN).steps[1]
        in_time(forget)
        with pytest.raises(Refused, match=message):
            forget.do()
        assert hosts.system(1).calls == []

    def test_a_view_that_still_lists_the_lun_is_waited_for(self) -> None:
        hosts = Hosts("off")
        forget = release.plan_forget(hosts.session, hosts.ids, LUN).steps[1]
        in_time(forget).then(1.0, lambda: hosts.set("host-1", "none"))
        forget.do()
        assert hosts.system(1).calls == [("DeleteScsiLunState", f"naa.{NAA}")]

    def test_a_host_that_remembers_nothing_is_done(self) -> None:
        hosts = Hosts("off")
        forget = release.plan_forget(hosts.session, hosts.ids, LUN).steps[1]
        hosts.set("host-1", "none")
        hosts.system(1).fails["DeleteScsiLunState"] = refusal(vim.fault.NotFound(msg="Not in the list."))
        forget.do()
        hosts.system(1).fails["DeleteScsiLunState"] = refusal(vim.fault.HostConfigFault(msg="Boom."))
        with pytest.raises(RemoteError, match="could not change what it does"):
            forget.do()

    def test_a_lost_answer_counts_when_the_host_has_nothing_to_forget_any_more(self) -> None:
        hosts = Hosts("off")
        forget = release.plan_forget(hosts.session, hosts.ids, LUN).steps[1]
        hosts.set("host-1", "none")
        hosts.system(1).fails["DeleteScsiLunState"] = refusal(vim.fault.HostConfigFault(msg="Not in the list."))
        assert forget.settled()


class TestInService:
    def test_it_is_off_or_gone_where_nothing_is_lost(self) -> None:
        hosts = Hosts("ok", "off", "none", "lostCommunication")
        found = release.in_service(hosts.session, hosts.ids, LUN)
        assert [(use.name, use.lun, use.doubt) for use in found] == [("esx01", LUN, False), ("esx04", LUN, False)]
        assert found[0].how == "has it in service (ok)"
        assert "release=true" in found[0].way_out
        assert hosts.reads == 1

    @pytest.mark.parametrize("state", ["disconnected", "notResponding"])
    def test_what_a_host_out_of_reach_shows_tells_nothing(self, state: str) -> None:
        hosts = Hosts("off")
        hosts.objects["HostSystem", "host-1"]["runtime.connectionState"] = state
        (use,) = release.in_service(hosts.session, hosts.ids, LUN)
        assert (use.lun, use.doubt, use.how) == (LUN, True, f"cannot be asked whether it has the LUN in service because it is {state}")

    def test_nor_does_a_host_whose_devices_may_not_be_read(self) -> None:
        hosts = Hosts("ok")
        del hosts.objects["HostSystem", "host-1"][LUNS]
        hosts.missing["HostSystem", "host-1"] = {"config": "Permission was denied"}
        (use,) = release.in_service(hosts.session, hosts.ids, LUN)
        assert (use.doubt, use.how) == (True, "cannot be asked whether it has the LUN in service because Permission was denied")

    def test_a_host_in_standby_cannot_be_asked_and_one_in_maintenance_can(self) -> None:
        hosts = Hosts("off", "off")
        hosts.objects["HostSystem", "host-1"]["runtime.powerState"] = "standBy"
        hosts.objects["HostSystem", "host-2"]["runtime.inMaintenanceMode"] = True
        (use,) = release.in_service(hosts.session, hosts.ids, LUN)
        assert (use.name, use.doubt, use.how) == (
            "esx01",
            True,
            "cannot be asked whether it has the LUN in service because it is in standby",
        )
