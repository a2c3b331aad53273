# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Raw disks attached, changed, detached and released on the lab's vCenter, also when the change goes wrong half-way."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
import requests
from pyVmomi import vim

from ansible_collections.crossvisor.san.plugins.module_utils._san.connection import Connection
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import (
    CrossvisorError,
    InvalidInput,
    NotFound,
    Overtaken,
    Refused,
    RemoteError,
    StepFailed,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.base import DiskWish
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.vmware import attach, rdm, release
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.vmware.backend import VMware
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.vmware.changing import VmChange
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.vmware.faults import Subject
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import Slot, VirtualMachine
from ansible_collections.crossvisor.san.plugins.module_utils._san.plan import Plan, Step, carry_out
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from ansible_collections.crossvisor.san.plugins.module_utils._san.services import attach as services
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.attach import AttachRequest
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.storage_map.mapper import storage_map
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.vim import VimSession
from tests.lab import world
from tests.lab.launch import Endpoint, running_lab

SPARE_PATH = "/vol/vol_dev/spare"
SPARE = ScsiName(world.naa_at(SPARE_PATH))
SHARED_RDM = ScsiName(world.naa_at("/vol/vol_prod/shared_rdm"))
DATASTORE_LUN = ScsiName(world.naa_at("/vol/vol_prod/ds_single"))
TIMEOUT = 30.0

_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def control(endpoint: Endpoint, method: str, path: str, body: Any = None) -> Any:
    """One call of a server's control port (tests/lab/README.md)."""
    data = None if body is None else json.dumps(body).encode()
    with _direct.open(urllib.request.Request(f"{endpoint.control_url}{path}", data, method=method), timeout=30) as answer:
        return json.load(answer)


@dataclass
class San:
    """The lab as these tests use it: a vCenter, and the array that shows the spare LUN to the hosts of cluster prod."""

    vcenter: Endpoint
    array: Endpoint
    session: VimSession
    machines: dict[str, str] = field(default_factory=dict)
    hosts: dict[str, str] = field(default_factory=dict)

    def vm(self, name: str) -> VirtualMachine:
        return VirtualMachine(id=self.machines[name], name=name)

    def attach(self, vm: str, name: ScsiName = SPARE, **settings: Any) -> Plan:
        return attach.plan_attach(self.session, self.vm(vm), DiskWish(name, timeout=TIMEOUT, **settings))

    def detach(self, vm: str, name: ScsiName = SPARE) -> Plan:
        return attach.plan_detach(self.session, self.vm(vm), name, TIMEOUT)

    def prod(self) -> list[str]:
        return [self.hosts["esx01.lab"], self.hosts["esx02.lab"]]

    def rescan(self) -> None:
        found = self.session.retrieve({"HostSystem": ["configManager.storageSystem"]}, {"HostSystem": self.prod()})
        for system in [record.text("configManager.storageSystem") for record in found]:
            self.session.managed("HostStorageSystem", system).RescanAllHba()

    def managed(self, vm: str) -> Any:
        return self.session.managed("VirtualMachine", self.machines[vm])

    def state(self) -> Any:
        return control(self.vcenter, "GET", "/state")

    def disks(self, vm: str) -> list[dict[str, Any]]:
        (found,) = [row["disks"] for row in self.state()["vms"] if row["name"] == vm]
        return list(found)

    def raw_disk(self, vm: str, name: ScsiName = SPARE) -> dict[str, Any]:
        (found,) = [disk for disk in self.disks(vm) if disk.get("naa") == name.naa]
        return dict(found)

    def fail(self, method: str, action: dict[str, Any], times: int = 1) -> None:
        control(self.vcenter, "POST", "/faults", {"match": f"^{method} ", "times": times, "action": action})

    def asked(self) -> list[str]:
        return [request["method"] for request in control(self.vcenter, "GET", "/requests")["requests"]]

    def maps(self, method: str, path: str, **arguments: Any) -> requests.Response:
        return self.rest(method, f"/protocols/san/lun-maps{path}", **arguments)

    def rest(self, method: str, path: str, **arguments: Any) -> requests.Response:
        with requests.Session() as client:
            client.trust_env = False
            client.auth = (self.array.username, self.array.password)
            url = f"https://{self.array.hostname}:{self.array.port}/api{path}"
            answer = client.request(method, url, verify=self.array.ca_path, timeout=30, **arguments)
        assert answer.ok, answer.text
        return answer

    @property
    def connection(self) -> Connection:
        return self.connection_to(self.vcenter)

    @staticmethod
    def connection_to(there: Endpoint) -> Connection:
        return Connection("hypervisor", "vmware", there.hostname, there.port, there.username, there.password, ca_path=there.ca_path)

    def make_lun(self, name: str) -> ScsiName:
        """A LUN that the hosts of cluster prod may see."""
        path = f"/vol/vol_dev/{name}"
        body = {"svm": {"name": "svm_san"}, "name": path, "os_type": "vmware", "space": {"size": 1 << 30}}
        self.rest("POST", "/storage/luns", json=body)
        self.maps("POST", "", json={"svm": {"name": "svm_san"}, "lun": {"name": path}, "igroup": {"name": "esx_prod"}})
        (record,) = self.rest("GET", "/storage/luns", params={"name": path, "fields": "serial_number"}).json()["records"]
        return ScsiName.from_ontap_serial(record["serial_number"])

    def map_spare(self) -> None:
        self.maps("POST", "", json={"svm": {"name": "svm_san"}, "lun": {"name": SPARE_PATH}, "igroup": {"name": "esx_prod"}})

    def unmap_spare(self) -> None:
        (row,) = self.maps("GET", "", params={"lun.name": SPARE_PATH, "igroup.name": "esx_prod"}).json()["records"]
        self.maps("DELETE", f"/{row['lun']['uuid']}/{row['igroup']['uuid']}")


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Endpoint]]:
    with running_lab(["vcenter"], tmp_path_factory.mktemp("lab")) as endpoints:
        yield endpoints


@pytest.fixture
def san(servers: dict[str, Endpoint]) -> Iterator[San]:
    """A fresh lab whose prod hosts see the spare LUN."""
    vcenter, array = servers["vcenter"], servers["ontap"]
    control(array, "POST", "/reset")
    control(vcenter, "POST", "/reset")
    session = VimSession(San.connection_to(vcenter))
    lab = San(vcenter, array, session)
    for record in session.retrieve({"VirtualMachine": ["name"], "HostSystem": ["name"]}):
        (lab.machines if record.type == "VirtualMachine" else lab.hosts)[record.text("name")] = record.moid
    lab.map_spare()
    lab.rescan()
    yield lab
    control(vcenter, "DELETE", "/faults")
    session.close()


class Failing(Step):
    """A step after the one under test, which fails, so that the other is undone."""

    title = "fail"

    def done(self) -> bool:
        return False

    def do(self) -> None:
        raise RemoteError("it was told to")


def then_fail(plan: Plan) -> str:
    with pytest.raises(StepFailed) as failure:
        (plan + Plan([Failing()])).run()
    return str(failure.value)


class TestAttach:
    def test_the_lun_becomes_a_physical_disk_in_the_first_free_place_and_a_second_run_changes_nothing(self, san: San) -> None:
        assert carry_out(san.attach("app01"), check_mode=False).changed
        disk = san.raw_disk("app01")
        assert (disk["controller"], disk["unit"], disk["mode"], disk["sharing"]) == (1000, 1, "physicalMode", "sharingNone")
        assert disk["file"] == "[ds_single] app01/app01_1.vmdk"
        assert not carry_out(san.attach("app01"), check_mode=False).changed

    def test_check_mode_changes_nothing_and_tells_what_would_change(self, san: San) -> None:
        before = san.state()
        outcome = carry_out(san.attach("app01", slot=Slot(1, 3)), check_mode=True)
        assert san.state() == before
        assert outcome.actions == [f"attach LUN {SPARE} to VM app01 as SCSI(1:3)"]
        assert outcome.diff() == {
            "before": {"VM app01": {"SCSI(1:3)": None, "SCSI controller 1": None}},
            "after": {
                "VM app01": {
                    "SCSI(1:3)": {
                        "lun": str(SPARE),
                        "mapping_file_on": "ds_single",
                        "mode": "physical",
                        "disk_mode": "independent_persistent",
                        "sharing": "none",
                    },
                    "SCSI controller 1": "pvscsi",
                }
            },
        }

    def test_a_missing_controller_of_the_wished_type_is_added(self, san: San) -> None:
        san.attach("app01", slot=Slot(1, 3), controller_type="lsilogicsas").run()
        (vm,) = [row for row in san.state()["vms"] if row["name"] == "app01"]
        added = vm["controllers"][-1]
        assert (added["type"], added["bus"], added["sharing"]) == ("VirtualLsiLogicSASController", 1, "noSharing")
        assert (san.raw_disk("app01")["controller"], san.raw_disk("app01")["unit"]) == (added["key"], 3)

    def test_virtual_mode_with_its_disk_mode_on_another_datastore(self, san: San) -> None:
        san.attach("app01", mode="virtual", disk_mode="independent_nonpersistent", file_system="ds_span").run()
        disk = san.raw_disk("app01")
        assert (disk["mode"], disk["disk_mode"]) == ("virtualMode", "independent_nonpersistent")
        assert disk["file"].startswith("[ds_span] app01/")

    def test_a_vm_is_read_once_to_plan_and_once_before_and_after_the_change(self, san: San) -> None:
        control(san.vcenter, "DELETE", "/requests")
        plan = san.attach("app01")
        assert san.asked() == ["RetrievePropertiesEx"] * 3  # VM; datastores of its host; their properties
        control(san.vcenter, "DELETE", "/requests")
        plan.run()
        asked = san.asked()
        assert asked.count("ReconfigVM_Task") == 1
        assert asked.index("ReconfigVM_Task") == 2  # after the VM and the LUN on its host


class TestRefusals:
    @pytest.mark.parametrize(
        ("vm", "settings", "error", "message"),
        [
            ("app01", {"slot": Slot(0, 7)}, InvalidInput, r"SCSI\(0:7\) is the controller itself"),
            ("app01", {"slot": Slot(0, 0)}, Refused, r"SCSI\(0:0\) of VM app01 is taken by Hard disk 1 \(\[ds_single\] app01/app01.vmdk\)"),
            ("app01", {"slot": Slot(0, 65)}, InvalidInput, r"SCSI\(0:65\) does not exist on VM app01"),
            ("app01", {"disk_mode": "persistent"}, InvalidInput, "disk_mode persistent does not exist .* in physical mode"),
            ("app01", {"mode": "raw"}, InvalidInput, "mode raw does not exist for a raw disk on vSphere: choose one of physical, virtual"),
            ("app01", {"file_system": "ds_dev"}, NotFound, r"mounts no datastore 'ds_dev' .*\(ds_single, ds_span, local-esx01\)"),
            (
                "web01",
                {},
                Refused,
                "Datastore nfs01 for VM web01 is of type NFS, which cannot hold .*: choose one of ds_single, ds_span, local-esx01, by",
            ),
        ],
    )
    def test_a_wish_that_cannot_be_met(
        self, san: San, vm: str, settings: dict[str, Any], error: type[CrossvisorError], message: str
    ) -> None:
        before = san.state()
        with pytest.raises(error, match=message):
            san.attach(vm, **settings)
        assert san.state() == before

    def test_a_lun_that_the_host_of_the_vm_does_not_see(self, san: San) -> None:
        before = san.state()
        with pytest.raises(StepFailed, match=f"Host esx11.lab does not see LUN {SPARE}: check that the array maps it"):
            san.attach("dev01").run()
        assert san.state() == before

    def test_a_lun_under_a_datastore(self, san: San) -> None:
        before = san.state()
        with pytest.raises(StepFailed, match=r"does not accept LUN .* \(InvalidDeviceBacking: .*carries the datastore ds_single"):
            san.attach("app02", DATASTORE_LUN).run()
        assert san.state() == before

    def test_a_suspended_vm(self, san: San) -> None:
        san.session.wait(san.managed("app01").SuspendVM_Task(), TIMEOUT)
        with pytest.raises(Refused, match="VM app01 is suspended"):
            san.attach("app01")

    def test_a_template(self, san: San) -> None:
        san.managed("old01").MarkAsTemplate()
        with pytest.raises(Refused, match="VM old01 is a template"):
            san.attach("old01")

    def test_a_disk_is_never_moved_or_converted(self, san: San) -> None:
        with pytest.raises(Refused, match=r"VM db01 already, with place SCSI\(0:1\), not SCSI\(1:0\), mode physical, not virtual"):
            san.attach("db01", SHARED_RDM, slot=Slot(1, 0), mode="virtual")


class TestSettings:
    def test_settings_are_edited_in_place(self, san: San) -> None:
        san.attach("old01", mode="virtual").run()
        attached = san.raw_disk("old01")
        plan = san.attach("old01", sharing="multi_writer", disk_mode="independent_persistent")
        outcome = carry_out(plan, check_mode=False)
        assert outcome.actions == [f"set disk_mode independent_persistent, sharing multi_writer for LUN {SPARE} of VM old01"]
        changed = {"sharing": "sharingMultiWriter", "disk_mode": "independent_persistent"}
        assert san.raw_disk("old01") == {**attached, **changed}
        assert not san.attach("old01", sharing="multi_writer", disk_mode="independent_persistent").pending()

    def test_what_is_not_asked_for_stays_as_it_is(self, san: San) -> None:
        san.attach("old01", sharing="multi_writer").run()
        assert not san.attach("old01").pending()

    def test_an_edit_is_undone(self, san: San) -> None:
        san.attach("old01").run()
        before = san.state()
        assert "undone: set sharing multi_writer" in then_fail(san.attach("old01", sharing="multi_writer"))
        assert san.state() == before

    def test_a_running_vm_keeps_its_settings(self, san: San) -> None:
        before = san.state()
        with pytest.raises(
            StepFailed, match=r"VM db01 does not take this change in its power state \(InvalidPowerState: .*\): power it off"
        ):
            san.attach("db01", SHARED_RDM, sharing="multi_writer").run()
        assert san.state() == before


class TestSharing:
    def test_a_second_vm_uses_the_mapping_file_of_the_first_which_goes_with_the_last(self, san: San) -> None:
        san.attach("old01", sharing="multi_writer").run()
        san.attach("app02", sharing="multi_writer").run()
        file = san.raw_disk("old01")["file"]
        assert san.raw_disk("app02")["file"] == file
        plan = san.detach("old01")
        assert plan.pending()[0].title == f"detach LUN {SPARE} (SCSI(0:1)) from VM old01, keeping its mapping file for app02"
        plan.run()
        assert san.raw_disk("app02")["file"] == file
        san.detach("app02").run()
        assert "old01/old01_1.vmdk" not in san.state()["datastores"]["ds_single"]

    def test_undoing_the_second_leaves_the_file_to_the_first(self, san: San) -> None:
        san.attach("old01", sharing="multi_writer").run()
        before = san.state()
        then_fail(san.attach("app02", sharing="multi_writer"))
        assert san.state() == before

    def test_the_first_vm_has_to_share_it(self, san: San) -> None:
        with pytest.raises(Refused, match=f"VM db01 has LUN {SHARED_RDM} with sharing none: set sharing to multi_writer there first"):
            san.attach("app02", SHARED_RDM, sharing="multi_writer")

    def test_mode_and_datastore_are_those_of_the_first(self, san: San) -> None:
        san.attach("old01", sharing="multi_writer").run()
        with pytest.raises(Refused, match="which has mode physical, not virtual, datastore ds_single, not ds_span"):
            san.attach("app02", sharing="multi_writer", mode="virtual", file_system="ds_span")


def off(san: San, *names: str) -> None:
    for name in names:
        san.session.wait(san.managed(name).PowerOffVM_Task(), TIMEOUT)


def shared_controller(san: San, name: str) -> None:
    """What an administrator has prepared: SCSI controller 1 with physical bus sharing."""
    machine = san.vm(name)
    change = VmChange(san.session, machine, TIMEOUT)
    change.apply(change.observe(), [rdm.add_controller("lsilogicsas", 1, "physical")], Subject(lun="none", vm=name))


class TestGuestCluster:
    """Nodes app01 on esx01 and app02 on esx02."""

    @pytest.fixture
    def nodes(self, san: San) -> San:
        off(san, "app01", "app02")
        return san

    def test_both_nodes_get_the_lun_by_one_file_at_one_place_and_a_second_run_changes_nothing(self, nodes: San) -> None:
        for name in ("app01", "app02"):
            outcome = carry_out(nodes.attach(name, sharing="physical_bus"), check_mode=False)
            assert outcome.actions == [f"attach LUN {SPARE} to VM {name} as SCSI(1:0)"]
        for name in ("app01", "app02"):
            assert not carry_out(nodes.attach(name, sharing="physical_bus"), check_mode=False).changed
        assert nodes.raw_disk("app01")["file"] == nodes.raw_disk("app02")["file"]

    def test_both_nodes_start(self, nodes: San) -> None:
        for name in ("app01", "app02"):
            nodes.attach(name, sharing="physical_bus").run()
        for name in ("app01", "app02"):
            nodes.session.wait(nodes.managed(name).PowerOnVM_Task(), TIMEOUT)

    def test_nodes_that_run_get_it_on_the_controllers_that_they_have(self, san: San) -> None:
        for name in ("app01", "app02"):
            shared_controller(san, name)
            san.attach(name, sharing="physical_bus").run()
        assert san.raw_disk("app01")["file"] == san.raw_disk("app02")["file"]

    def test_the_mapping_file_goes_with_the_last_node(self, nodes: San) -> None:
        for name in ("app01", "app02"):
            nodes.attach(name, sharing="physical_bus").run()
        file = nodes.raw_disk("app02")["file"]
        nodes.detach("app01").run()
        assert nodes.raw_disk("app02")["file"] == file
        nodes.detach("app02").run()
        assert "app01/app01_1.vmdk" not in nodes.state()["datastores"]["ds_single"]

    @pytest.mark.parametrize("first", [[], ["app01"]])
    def test_undone_nothing_is_left_of_disk_controller_and_file(self, nodes: San, first: list[str]) -> None:
        for name in first:
            nodes.attach(name, sharing="physical_bus").run()
        before = nodes.state()
        then_fail(nodes.attach("app02", sharing="physical_bus"))
        assert nodes.state() == before

    def test_a_first_node_that_is_undone_leaves_its_file_to_a_second_that_came_meanwhile(self, nodes: San) -> None:
        class SecondNode(Failing):
            def do(self) -> None:
                nodes.attach("app02", sharing="physical_bus").run()
                raise RemoteError("it was told to")

        with pytest.raises(StepFailed, match="undone: attach LUN"):
            (nodes.attach("app01", sharing="physical_bus") + Plan([SecondNode()])).run()
        file = nodes.raw_disk("app02")["file"]
        assert "app01/app01_1.vmdk" in nodes.state()["datastores"]["ds_single"]
        assert file.endswith("app01/app01_1.vmdk")

    def test_a_detach_from_a_node_is_undone_as_it_was(self, nodes: San) -> None:
        for name in ("app01", "app02"):
            nodes.attach(name, sharing="physical_bus").run()
        before = nodes.state()
        then_fail(nodes.detach("app01"))
        assert nodes.state() == before

    def test_check_mode_changes_nothing_and_shows_disk_and_controller(self, nodes: San) -> None:
        before = nodes.state()
        outcome = carry_out(nodes.attach("app01", sharing="physical_bus"), check_mode=True)
        shown = outcome.after["VM app01"]
        assert (shown["SCSI(1:0)"]["sharing"], shown["SCSI controller 1"]) == ("physical_bus", "pvscsi, physical bus sharing")
        assert nodes.state() == before

    def test_a_running_vm_gets_no_shared_controller(self, san: San) -> None:
        before = san.state()
        with pytest.raises(
            Refused, match="VM app01 runs and needs another SCSI controller, with physical bus sharing, at bus 1: power it off"
        ):
            san.attach("app01", sharing="physical_bus")
        assert san.state() == before

    def test_a_vm_with_snapshots(self, nodes: San) -> None:
        nodes.session.wait(nodes.managed("app01").CreateSnapshot_Task("before the cluster", "", False, False), TIMEOUT)
        with pytest.raises(Refused, match="VM app01 has the snapshots before the cluster, with which it cannot share a SCSI bus"):
            nodes.attach("app01", sharing="physical_bus")

    def test_a_first_node_that_does_not_share_its_bus(self, nodes: San) -> None:
        nodes.attach("app01").run()
        with pytest.raises(
            Refused, match=r"VM app01 has LUN .* with sharing none: detach it there and attach it again with sharing physical_bus"
        ):
            nodes.attach("app02", sharing="physical_bus")

    def test_an_ordinary_disk_on_the_bus_of_a_cluster(self, nodes: San) -> None:
        shared_controller(nodes, "app01")
        with pytest.raises(Refused, match=r"SCSI controller 1 of VM app01 shares its bus with other VMs \(physical\)"):
            nodes.attach("app01", slot=Slot(1, 0))
        nodes.attach("app01").run()
        assert not carry_out(nodes.attach("app01", slot=Slot(0, 1)), check_mode=False).changed


class TestDetach:
    def test_the_disk_and_its_mapping_file_go_and_a_second_run_changes_nothing(self, san: San) -> None:
        before = san.state()
        san.attach("app01").run()
        assert carry_out(san.detach("app01"), check_mode=False).changed
        assert san.state() == before
        assert not carry_out(san.detach("app01"), check_mode=False).changed

    def test_a_controller_stays(self, san: San) -> None:
        san.attach("app01", slot=Slot(1, 3)).run()
        san.detach("app01").run()
        (vm,) = [row for row in san.state()["vms"] if row["name"] == "app01"]
        assert [controller["bus"] for controller in vm["controllers"]] == [0, 1]

    @pytest.mark.parametrize("settings", [{}, {"mode": "virtual", "disk_mode": "independent_persistent", "file_system": "ds_span"}])
    def test_undone_the_disk_is_as_it_was(self, san: San, settings: dict[str, Any]) -> None:
        san.attach("app01", **settings).run()
        before = san.state()
        assert "undone: detach LUN" in then_fail(san.detach("app01"))
        assert san.state() == before

    def test_undone_a_shared_disk_is_as_it_was(self, san: San) -> None:
        san.attach("old01", sharing="multi_writer").run()
        san.attach("app02", sharing="multi_writer").run()
        before = san.state()
        then_fail(san.detach("old01"))
        assert san.state() == before

    def test_a_lun_in_a_snapshot_is_refused(self, san: San) -> None:
        san.attach("app01", mode="virtual").run()
        san.session.wait(san.managed("app01").CreateSnapshot_Task("before the upgrade", "", False, False), TIMEOUT)
        with pytest.raises(Refused, match=f"LUN {SPARE} is part of the snapshots before the upgrade of VM app01"):
            san.detach("app01")

    def test_a_lun_that_only_a_snapshot_has_by_now_is_not_free(self, san: San) -> None:
        san.attach("app01", mode="virtual").run()
        san.session.wait(san.managed("app01").CreateSnapshot_Task("S2", "", False, False), TIMEOUT)
        take_away_as_the_vsphere_client_does(san, "app01")
        with closing(VMware(san.connection)) as vmware:
            (use,) = [use for use in vmware.inventory(devices=False).uses if use.lun == SPARE]
            assert (use.name, use.how) == ("app01", "has it in its snapshots S2")
            kept = rf"LUN {SPARE} is used by VM app01 \(.*\) has it in its snapshots S2 and will not be .*: remove these snapshots first"
            for vm in ("app01", "app02"):
                request = AttachRequest(vm, DiskWish(SPARE, timeout=TIMEOUT), assume_unused=True)
                with pytest.raises(Refused, match=kept):
                    services.attach(vmware, request, check_mode=False)
                with pytest.raises(Refused, match=kept):
                    services.detach(vmware, request, release=True, check_mode=False)
                for let_go in (services.release, services.forget):
                    with pytest.raises(Refused, match=kept):
                        let_go(vmware, request, check_mode=False)
            assert services.detach(vmware, request, release=False, check_mode=False).outcome.warnings == []
        nothing = san.detach("app01")
        assert (nothing.steps, list(nothing.warnings)) == (
            (),
            [f"LUN {SPARE} is part of the snapshots S2 of VM app01: remove these snapshots first."],
        )


def take_away_as_the_vsphere_client_does(san: San, vm: str) -> None:
    """Remove the disk from the VM and leave its files, whatever snapshots it has."""
    change = VmChange(san.session, san.vm(vm), TIMEOUT)
    now = change.observe()
    disk = now.disk_of(SPARE)
    assert disk is not None
    change.apply(now, [rdm.remove_disk(change.device(disk.key), False)], Subject(lun=str(SPARE), vm=vm))


CHANGES: list[tuple[str, Callable[[San], Plan]]] = [
    ("attach", lambda san: san.attach("app01", slot=Slot(2, 5))),
    ("edit", lambda san: san.attach("old01", SPARE, sharing="multi_writer")),
    ("detach", lambda san: san.detach("old01")),
]


@pytest.fixture(params=[change for _name, change in CHANGES], ids=[name for name, _change in CHANGES])
def change(request: pytest.FixtureRequest, san: San) -> Callable[[San], Plan]:
    """A change of a VM, in a lab that is ready for it."""
    made: Callable[[San], Plan] = request.param
    if made is not CHANGES[0][1]:
        san.attach("old01").run()
    return made


class TestFaults:
    @pytest.mark.parametrize(
        ("action", "message"),
        [
            ({"drop": "before"}, "answer to ReconfigVM_Task came"),
            ({"error": {"code": "TaskInProgress", "message": "Busy."}}, r"is busy with another task \(TaskInProgress: Busy\)"),
            ({"task_error": {"code": "ConcurrentAccess", "message": "Changed."}}, "was changed by somebody else in the meantime"),
            ({"task_error": {"code": "NoDiskSpace", "message": "Full."}}, r"has no room for the mapping file .*\(NoDiskSpace: Full\)"),
        ],
    )
    def test_a_change_that_fails_leaves_nothing(
        self, san: San, change: Callable[[San], Plan], action: dict[str, Any], message: str
    ) -> None:
        plan = change(san)
        before = san.state()
        san.fail("ReconfigVM_Task", action)
        with pytest.raises(StepFailed, match=message):
            plan.run()
        assert san.state() == before

    def test_a_change_whose_answer_is_lost_is_found_done(self, san: San, change: Callable[[San], Plan]) -> None:
        plan = change(san)
        san.fail("ReconfigVM_Task", {"drop": "after"})
        assert len(plan.run()) == 1
        assert not change(san).pending()

    def test_a_change_whose_task_cannot_be_watched_is_found_done(self, san: San) -> None:
        plan = san.attach("app01", slot=Slot(2, 5))
        to_the_task = len(["the VM", "the LUN on its host", "ReconfigVM_Task", "the task"])
        control(san.vcenter, "POST", "/faults", {"call": to_the_task, "times": 2, "action": {"drop": "before"}})
        assert len(plan.run()) == 1
        assert san.raw_disk("app01")["unit"] == 5

    def test_undone_after_a_lost_answer_nothing_is_left(self, san: San) -> None:
        before = san.state()
        san.fail("ReconfigVM_Task", {"drop": "after"})
        assert "undone: attach LUN" in then_fail(san.attach("app01", slot=Slot(2, 5)))
        assert san.state() == before

    def test_an_attach_is_undone_with_its_controller(self, san: San) -> None:
        before = san.state()
        assert "undone: attach LUN" in then_fail(san.attach("app01", slot=Slot(2, 5)))
        assert san.state() == before

    def test_a_controller_that_somebody_else_uses_by_then_stays(self, san: San) -> None:
        class Occupying(Failing):
            def do(self) -> None:
                san.attach("app01", SHARED_RDM, slot=Slot(2, 6)).run()
                super().do()

        san.detach("db01", SHARED_RDM).run()
        with pytest.raises(StepFailed):
            (san.attach("app01", slot=Slot(2, 5)) + Plan([Occupying()])).run()
        assert san.raw_disk("app01", SHARED_RDM)["unit"] == 6
        assert [disk for disk in san.disks("app01") if disk.get("naa") == SPARE.naa] == []

    def test_a_step_that_fails_and_cannot_be_undone_says_so(self, san: San) -> None:
        plan = san.attach("app01")

        class Breaking(Failing):
            def do(self) -> None:
                san.fail("ReconfigVM_Task", {"error": {"code": "TaskInProgress", "message": "Busy."}})
                super().do()

        with pytest.raises(StepFailed, match=r"could not be undone and is left as it is: attach LUN .* \(VM app01 is busy"):
            (plan + Plan([Breaking()])).run()

    def test_a_change_against_a_newer_configuration_is_refused(self, san: San) -> None:
        change = VmChange(san.session, san.vm("app01"), TIMEOUT)
        observed = change.observe()
        san.attach("app01").run()
        with pytest.raises(Overtaken, match="VM app01 was changed by somebody else in the meantime, so nothing was done"):
            change.apply(observed, [rdm.add_controller("pvscsi", 3)], Subject(lun=str(SPARE), vm="app01"))

    def test_a_place_that_was_taken_since_the_plan_is_refused(self, san: San) -> None:
        plan = san.attach("app01")
        san.detach("db01", SHARED_RDM).run()
        san.attach("app01", SHARED_RDM).run()
        before = san.state()
        with pytest.raises(StepFailed, match=r"SCSI\(0:1\) of VM app01 was changed by somebody else in the meantime: run this task again"):
            plan.run()
        assert san.state() == before


class TestRunsAtTheVerySameTime:
    """Whole attachments as the module does them, each over a session of its own."""

    LUNS = 4

    @pytest.fixture
    def luns(self, san: San) -> list[ScsiName]:
        made = [san.make_lun(f"at_once_{number}") for number in range(self.LUNS)]
        san.rescan()
        return made

    def test_all_get_their_lun_into_one_vm(self, san: San, luns: list[ScsiName]) -> None:
        together, ended = threading.Barrier(len(luns), timeout=600), dict[ScsiName, Any]()

        def run(name: ScsiName) -> None:
            with closing(VMware(san.connection)) as hypervisor:
                together.wait()
                try:
                    ended[name] = services.attach(
                        hypervisor, AttachRequest("app01", DiskWish(name, timeout=TIMEOUT)), False
                    ).outcome.changed
                except CrossvisorError as error:
                    ended[name] = str(error)

        runs = [threading.Thread(target=run, args=(name,), daemon=True) for name in luns]
        for one in runs:
            one.start()
        for one in runs:
            one.join()
        assert ended == dict.fromkeys(luns, True)
        places = [(disk["controller"], disk["unit"]) for disk in san.disks("app01")]
        assert len(set(places)) == len(places)
        assert {name.naa for name in luns} <= {disk.get("naa") for disk in san.disks("app01")}

    def test_whose_change_is_overtaken_is_planned_anew(self, san: San, luns: list[ScsiName]) -> None:
        san.fail("ReconfigVM_Task", {"task_error": {"code": "ConcurrentAccess", "message": "Changed."}}, times=2)
        pauses: list[float] = []
        with closing(VMware(san.connection)) as hypervisor:
            request = AttachRequest("app01", DiskWish(luns[0], timeout=TIMEOUT))
            assert services.attach(hypervisor, request, False, sleep=pauses.append).outcome.changed
        assert len(pauses) == 2


class TestRelease:
    def test_released_and_forgotten_the_lun_causes_no_loss_of_paths(self, san: San) -> None:
        assert carry_out(release.plan_release(san.session, san.prod(), SPARE), check_mode=False).changed
        assert not release.plan_release(san.session, san.prod(), SPARE).pending()
        with pytest.raises(StepFailed, match=rf"LUN {SPARE} is still presented by the array to host esx0[12]\.lab: unmap it there first"):
            release.plan_forget(san.session, san.prod(), SPARE).run()
        assert all(host["detached"] == [str(SPARE)] for name, host in san.state()["hosts"].items() if name in ("esx01.lab", "esx02.lab"))
        san.unmap_spare()
        assert carry_out(release.plan_forget(san.session, san.prod(), SPARE), check_mode=False).changed
        assert not release.plan_forget(san.session, san.prod(), SPARE).pending()
        assert all(host["detached"] == [] for host in san.state()["hosts"].values())
        assert control(san.vcenter, "GET", "/apd") == []

    def test_a_host_that_does_not_see_the_lun_has_nothing_to_release(self, san: San) -> None:
        assert not release.plan_release(san.session, [san.hosts["esx11.lab"]], SPARE).pending()

    def test_a_release_is_undone_on_every_host(self, san: San) -> None:
        before = san.state()
        then_fail(release.plan_release(san.session, san.prod(), SPARE))
        assert san.state() == before

    def test_a_vcenter_that_shows_what_its_hosts_did_a_little_later_is_waited_for(self, san: San) -> None:
        control(san.vcenter, "POST", "/lag?seconds=0.5")
        assert len(release.plan_release(san.session, san.prod(), SPARE).run()) == 2
        assert release.in_service(san.session, san.prod(), SPARE) == []

    def test_so_it_is_when_a_release_is_undone(self, san: San) -> None:
        control(san.vcenter, "POST", "/lag?seconds=0.5")
        before = san.state()
        assert "undone: detach LUN" in then_fail(release.plan_release(san.session, san.prod(), SPARE))
        assert san.state() == before

    def test_a_lost_answer_is_looked_up(self, san: San) -> None:
        san.fail("DetachScsiLun", {"drop": "after"})
        assert len(release.plan_release(san.session, san.prod(), SPARE).run()) == 2

    @pytest.mark.parametrize(("name", "user"), [(SHARED_RDM, "VM db01"), (DATASTORE_LUN, "datastore ds_single")])
    def test_a_lun_in_use_is_refused_naming_its_user(self, san: San, name: ScsiName, user: str) -> None:
        before = san.state()
        with pytest.raises(StepFailed, match=f"Host esx01.lab still uses LUN {name} for {user}: remove it there first"):
            release.plan_release(san.session, san.prod(), name).run()
        assert san.state() == before

    def test_a_lun_in_service_is_not_forgotten(self, san: San) -> None:
        with pytest.raises(StepFailed, match=r"is in service on esx01.lab, esx02.lab: release it"):
            release.plan_forget(san.session, san.prod(), SPARE).run()

    def test_detach_and_release_are_one_plan_that_is_undone_as_a_whole(self, san: San) -> None:
        san.attach("app01").run()
        before = san.state()
        then_fail(san.detach("app01") + release.plan_release(san.session, san.prod(), SPARE))
        assert san.state() == before


class TestPaths:
    @pytest.mark.parametrize("words", [["ok", "degraded"], ["degraded", "ok"], ["degraded"]])
    def test_a_lun_that_has_lost_some_of_its_paths_is_attached_released_and_in_service(self, san: San, words: list[str]) -> None:
        control(san.vcenter, "POST", "/link", {"host": "esx01.lab", "adapter": "vmhba2", "words": words})
        with closing(VMware(san.connection)) as vmware:
            request = AttachRequest("app01", DiskWish(SPARE, timeout=TIMEOUT))
            assert services.attach(vmware, request, check_mode=False).outcome.changed
            assert [device.state for device in vmware.devices(san.prod(), SPARE)] == ["ok", "ok"]
            assert [use.name for use in vmware.in_service(san.prod(), SPARE)] == ["esx01.lab", "esx02.lab"]
            services.detach(vmware, request, release=True, check_mode=False)
            assert vmware.in_service(san.prod(), SPARE) == []

    def test_a_lun_that_has_lost_all_of_them_is_told_with_its_state(self, san: San) -> None:
        for adapter in ("vmhba2", "vmhba3", "vmhba64"):
            with suppress(urllib.error.HTTPError):  # not every host has all of them
                control(san.vcenter, "POST", "/link", {"host": "esx01.lab", "adapter": adapter})
        with closing(VMware(san.connection)) as vmware, pytest.raises(StepFailed, match=r"does no I/O on esx01\.lab \(lost\)"):
            services.attach(vmware, AttachRequest("app01", DiskWish(SPARE, timeout=0.5, file_system="local-esx01")), check_mode=False)


class TestChains:
    def test_what_a_disk_is_based_on_is_told_with_its_own_datastore(self, san: San) -> None:
        app02 = san.managed("app02")
        san.session.wait(app02.CreateSnapshot_Task("one", "", False, False), TIMEOUT)
        elsewhere = vim.vm.ConfigSpec(
            files=vim.vm.FileInfo(snapshotDirectory="[nfs01] app02"),
            extraConfig=[vim.option.OptionValue(key="snapshot.redoNotWithParent", value="TRUE")],
        )
        san.session.wait(app02.ReconfigVM_Task(elsewhere), TIMEOUT)
        san.session.wait(app02.CreateSnapshot_Task("two", "", False, False), TIMEOUT)
        with closing(VMware(san.connection)) as vmware:
            found = vmware.inventory(devices=False)
            stores = {store.id: store.name for store in found.file_systems}
            (disk, _other) = next(vm.disks for vm in found.virtual_machines if vm.name == "app02")
            chain = [(disk.path, stores[disk.file_system]), *((file.path, stores[file.file_system]) for file in disk.parents)]
            rows = [row["path"] for row in storage_map(vmware, [], ["app02"]).mappings if row["disk"] == disk.label]
        assert chain == [
            ("[nfs01] app02/app02-000002.vmdk", "nfs01"),
            ("[ds_single] app02/app02-000001.vmdk", "ds_single"),
            ("[ds_single] app02/app02.vmdk", "ds_single"),
        ]
        assert rows == [path for path, _store in chain]
