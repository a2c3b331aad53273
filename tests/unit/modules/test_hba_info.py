# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""hba_info: adapters of hosts at an endpoint, or of this machine."""

from __future__ import annotations

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.model import Hba, Host, LunPath, Portal, VirtualMachine
from ansible_collections.crossvisor.san.plugins.module_utils._san.services import hbas
from tests.unit.modules.subject import opened, subject, undocumented
from tests.unit.ports import NAME, MemoryHypervisor

HBA_INFO = subject("hba_info")
ENDPOINT = {"hostname": "vcenter.example.com"}


@pytest.fixture
def hypervisor() -> MemoryHypervisor:
    path = LunPath(NAME, str(NAME), "20:01:00:a0:98:c0:ff:e1", "active", 3)
    fc = Hba("vmhba2", "fc", "online", port_wwn="10000090FA000001", paths=[path])
    iscsi = Hba("vmhba64", "iscsi_software", "online", iqn="iqn.1998-01.com.vmware:ESX2", portals=[Portal("192.0.2.11", 3260)])
    hosts = [Host("h1", "esx1", "prod", hbas=[fc]), Host("h2", "esx2", "dev", hbas=[iscsi])]
    return MemoryHypervisor(hosts, [VirtualMachine("vm-1", "app", host="h1", cluster="prod")])


def test_the_documentation_tells_the_options_that_there_are() -> None:
    assert HBA_INFO.documented_options == HBA_INFO.declared_options


def test_check_mode_is_no_different_because_it_only_reads() -> None:
    assert HBA_INFO.declared["supports_check_mode"]
    assert HBA_INFO.documentation["attributes"]["check_mode"]["support"] == "full"


def test_every_value_that_it_returns_is_documented(hypervisor: MemoryHypervisor) -> None:
    with opened(hypervisor):
        result = HBA_INFO.succeed({"hypervisor": ENDPOINT})
    assert undocumented(result, HBA_INFO.documented_results) == []
    assert set(result) == set(HBA_INFO.documented_results)


def test_initiators_come_in_the_spelling_of_the_array(hypervisor: MemoryHypervisor) -> None:
    with opened(hypervisor):
        result = HBA_INFO.succeed({"hypervisor": ENDPOINT})
    assert result["initiators"] == ["10:00:00:90:fa:00:00:01", "iqn.1998-01.com.vmware:esx2"]
    assert hypervisor.calls[-1] == "close"


@pytest.mark.parametrize(
    ("options", "initiators"),
    [
        ({"vm": "app"}, ["10:00:00:90:fa:00:00:01"]),
        ({"hosts": ["esx2"]}, ["iqn.1998-01.com.vmware:esx2"]),
        ({"clusters": ["prod"]}, ["10:00:00:90:fa:00:00:01"]),
        ({"kinds": ["fc"]}, ["10:00:00:90:fa:00:00:01"]),
    ],
)
def test_hosts_and_adapters_can_be_selected(hypervisor: MemoryHypervisor, options: dict[str, object], initiators: list[str]) -> None:
    with opened(hypervisor):
        assert HBA_INFO.succeed({"hypervisor": ENDPOINT, **options})["initiators"] == initiators


def test_without_an_endpoint_it_reads_this_machine(hypervisor: MemoryHypervisor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VMWARE_HOST", raising=False)
    monkeypatch.setattr(hbas, "local_host", lambda: hypervisor.host_list[1])
    with opened():
        assert [host["name"] for host in HBA_INFO.succeed({})["hosts"]] == ["esx2"]
