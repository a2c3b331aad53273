# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the modules read of the lab's pool of Xen hosts, over TLS and a real login, beside the world of the lab."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from tests.lab import world, xen_world
from tests.live.lab import XEN, XenLab
from tests.live.modules import ModuleRunner

HOSTS = [f"{host}.{xen_world.DOMAIN}" for host in xen_world.HOSTS]
CALLS_OF_A_MAP = 2 + 1 + 8 + (8 + 3) + 1
"""Who it is, the login, a call for each of eight classes; the same and one for each host, for initiators of nobody; the logout."""


def naa(lun: str) -> str:
    return world.naa_at(xen_world.lun_path(lun))


@dataclass(frozen=True)
class Map:
    """What the module tells of the whole pool, and how much it asks for that."""

    rows: Sequence[Mapping[str, Any]]
    calls: int


@pytest.fixture(scope="module")
def mapped(running_xen: XenLab, modules: ModuleRunner) -> Map:
    running_xen.reset()
    running_xen.count_again()
    found = modules.succeed("vm_storage_map", {"hypervisor": running_xen.hypervisor, "arrays": [running_xen.array]})
    return Map(found["mappings"], len(running_xen.requests(XEN)))


@pytest.mark.parametrize("machine", xen_world.HOSTS)
def test_any_host_of_the_pool_is_recognised_and_tells_the_pool(xen: XenLab, modules: ModuleRunner, machine: str) -> None:
    given = {**xen.host(machine), "type": "auto"}
    facts = modules.succeed("hypervisor_facts", {"hypervisor": given})["ansible_facts"]["crossvisor"]
    assert (facts["type"], facts["product"], facts["hosts"]) == ("xen", "XCP-ng", HOSTS)
    assert facts["clusters"] == [{"name": xen_world.POOL, "hosts": HOSTS}]
    assert {"iscsi", "lvmohba", "lvmoiscsi", "nfs", "udev"} <= set(facts["capabilities"]["storage_types"])


def test_the_initiators_of_all_hosts_are_told(xen: XenLab, modules: ModuleRunner) -> None:
    found = modules.succeed("hba_info", {"hypervisor": xen.hypervisor})
    ports = [hba for host in xen_world.HOSTS for hba in xen_world.hbas(host)]
    assert found["initiators_by_protocol"] == {
        "fc": sorted(hba["wwpn"] for hba in ports if "wwpn" in hba),
        "iscsi": sorted(hba["iqn"] for hba in ports if "iqn" in hba),
    }
    assert {hba["speed_gbit_s"] for host in found["hosts"] for hba in host["hbas"]} == {32.0, None}


def test_a_wrong_password_is_one_sentence(xen: XenLab, modules: ModuleRunner) -> None:
    said = modules.fail("vm_storage_map", {"hypervisor": {**xen.hypervisor, "password": "not this one"}})
    assert "hypervisor.username and hypervisor.password" in said
    assert "not this one" not in said


def test_a_host_whose_master_is_down_is_one_sentence(xen: XenLab, modules: ModuleRunner) -> None:
    xen.power("xen01", up=False)
    said = modules.fail("hypervisor_facts", {"hypervisor": {**xen.host("xen02"), "timeout": 2}})
    assert "is not the master of its pool and names 127.0.0.1 as it, which cannot be used" in said


def test_every_kind_of_repository_is_followed_down_to_what_it_lies_on(mapped: Map) -> None:
    found = {(row["vm_name"], row["unit"], row["naa"] or row["device"], row["status"]) for row in mapped.rows}
    assert {
        ("xendb01", 1, naa("xen_ledger"), "mapped"),
        ("xenraw01", 0, naa("xen_fc_sr"), "mapped"),
        ("xenudev01", 1, naa("xen_archive"), "mapped"),
        ("xenold01", 0, "/dev/disk/by-id/ata-LabDisk_xen01-part3", "local"),
    } <= found


def test_a_chain_of_images_has_a_row_for_each(mapped: Map) -> None:
    chain = [row for row in mapped.rows if row["vm_name"] == "xenchain01"]
    assert len(chain) == 3
    assert {(row["status"], row["volume"]) for row in chain} == {("mapped", xen_world.NFS_VOLUME)}


def test_a_map_costs_the_same_however_many_vms_there_are(mapped: Map) -> None:
    assert mapped.calls == CALLS_OF_A_MAP
