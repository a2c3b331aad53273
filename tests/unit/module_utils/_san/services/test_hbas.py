# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The initiators of the hosts that a LUN has to reach, in the array's spelling."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import InvalidInput
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import Hba, Host, LunPath, VirtualMachine, VirtualPort
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.hbas import (
    HostSelection,
    hosts_of_endpoint,
    report,
    this_machine,
)
from tests.unit.ports import NAME, MemoryHypervisor

FC = Hba(
    "vmhba2", "fc", "online", port_wwn="10:00:00:90:FA:00:00:01", paths=[LunPath(NAME, str(NAME), "20:01:00:a0:98:00:00:01", "active", 3)]
)
ISCSI = Hba("vmhba64", "iscsi_software", "online", iqn="iqn.1998-01.com.VMware:esx1")
SAS = Hba("vmhba0", "sas", "online")
HOSTS = [Host("h1", "esx1", "prod", hbas=[FC, ISCSI, SAS]), Host("h2", "esx2", "prod", hbas=[FC]), Host("h3", "esx3", "dev", hbas=[ISCSI])]


def test_initiators_are_listed_once_in_the_arrays_spelling() -> None:
    found = report(HOSTS, [])
    assert found["initiators"] == ["10:00:00:90:fa:00:00:01", "iqn.1998-01.com.vmware:esx1"]
    assert found["initiators_by_protocol"] == {"fc": ["10:00:00:90:fa:00:00:01"], "iscsi": ["iqn.1998-01.com.vmware:esx1"]}


def test_only_adapters_of_the_wished_kinds_count() -> None:
    found = report(HOSTS, ["fc"])
    assert found["initiators"] == ["10:00:00:90:fa:00:00:01"]
    assert [[hba["name"] for hba in host["hbas"]] for host in found["hosts"]] == [["vmhba2"], ["vmhba2"], []]


def test_an_adapter_tells_its_initiator_and_the_paths_of_its_luns() -> None:
    fc, _iscsi, sas = report(HOSTS[:1], [])["hosts"][0]["hbas"]
    assert fc["initiator"] == "10:00:00:90:fa:00:00:01"
    assert fc["paths"] == [{"naa": NAME.naa, "device": str(NAME), "target": "20:01:00:a0:98:00:00:01", "state": "active", "lun_id": 3}]
    assert sas["initiator"] is None


def test_a_virtual_port_is_told_and_is_no_initiator_of_the_host() -> None:
    carrier = replace(FC, vports_max=254, vports=[VirtualPort("host12", "online", port_wwn="50:01:a4:aa:aa:aa:aa:01")])
    found = report([Host("h1", "esx1", hbas=[carrier])], [])
    assert found["initiators"] == [found["hosts"][0]["hbas"][0]["initiator"]]
    assert (found["hosts"][0]["hbas"][0]["vports_max"], found["hosts"][0]["hbas"][0]["vports"]) == (
        254,
        [{"name": "host12", "status": "online", "node_wwn": "", "port_wwn": "50:01:a4:aa:aa:aa:aa:01"}],
    )


@pytest.mark.parametrize("name", ["00:00:00:00:00:00:00:00", "iqn.2026_01.foreign name"])
def test_a_name_that_no_array_takes_is_no_initiator_and_no_failure(name: str) -> None:
    odd = Hba("vmhba9", "fc", "offline", port_wwn=name) if ":" in name else Hba("vmhba9", "iscsi_software", "offline", iqn=name)
    found = report([Host("h1", "esx1", hbas=[odd])], [])
    assert found["initiators"] == []
    assert found["hosts"][0]["hbas"][0]["initiator"] is None


def test_a_vm_stands_for_every_host_that_can_run_it() -> None:
    endpoint = MemoryHypervisor(host_list=HOSTS, machines=[VirtualMachine("vm-1", "app", host="h2", cluster="prod")])
    assert [host.name for host in hosts_of_endpoint(endpoint, HostSelection(vm="app"))] == ["esx1", "esx2"]
    assert [host.name for host in hosts_of_endpoint(endpoint, HostSelection(clusters=["dev"]))] == ["esx3"]


def test_a_selection_without_an_endpoint_is_a_mistake() -> None:
    with pytest.raises(InvalidInput, match=r"hypervisor\.hostname"):
        this_machine(HostSelection(vm="app"))


@pytest.mark.parametrize("selection", [HostSelection(hosts=["x"]), HostSelection(clusters=["x"]), HostSelection(vm="x")])
def test_whatever_was_selected_is_at_an_endpoint(selection: HostSelection) -> None:
    with pytest.raises(InvalidInput, match="select at an endpoint, but none is set"):
        this_machine(selection)


def test_without_a_selection_this_machine_is_read() -> None:
    (here,) = this_machine(HostSelection())
    assert here.name


def test_a_vm_is_looked_up_without_the_hosts_devices() -> None:
    hypervisor = MemoryHypervisor(HOSTS, [VirtualMachine("vm-1", "app", host="h3")])
    assert [host.id for host in hosts_of_endpoint(hypervisor, HostSelection(vm="app"))] == ["h3"]
    assert hypervisor.device_reads == 0


def test_what_a_host_does_not_tell_is_a_warning_of_the_report_and_no_fact_of_the_host() -> None:
    found = report([Host("h1", "esx1", warnings=["esx1 hides vmhba3"]), Host("h2", "esx2", warnings=["esx2 hides vmhba4"])], [])
    assert found["warnings"] == ["esx1 hides vmhba3", "esx2 hides vmhba4"]
    assert [(host["name"], "warnings" in host) for host in found["hosts"]] == [("esx1", False), ("esx2", False)]
