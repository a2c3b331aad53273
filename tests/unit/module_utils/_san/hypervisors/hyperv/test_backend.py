# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The backend as the services see it: the port, over a single host and over a cluster."""

from __future__ import annotations

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.connection import HYPERVISOR, Connection
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import Refused
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.base import DiskWish, Hypervisor
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv import backend
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import VirtualMachine
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from tests.lab.hyperv.running import Lab
from tests.unit import windows
from tests.unit.windows import Wire


def opened(lab: Lab, machine: str, wire: Wire, monkeypatch: pytest.MonkeyPatch) -> Hypervisor:
    """A login at a machine of the lab, as the pool makes it."""
    monkeypatch.setattr(backend, "Nodes", lambda to: windows.nodes(lab, str(to.hostname), wire))
    return backend.HyperV(Connection(role=HYPERVISOR, type="hyperv", hostname=machine, port=5986))


def test_logging_in_is_one_request_and_its_identity_none(monkeypatch: pytest.MonkeyPatch) -> None:
    wire = Wire()
    there = opened(Lab(), "hv01.lab", wire, monkeypatch)
    assert (there.type, there.address, len(wire.asked)) == ("hyperv", "hv01.lab", 1)


def test_a_lun_goes_into_a_vm_of_a_single_host_and_out_of_it_again(monkeypatch: pytest.MonkeyPatch) -> None:
    lab, wire = Lab(), Wire()
    name = ScsiName.parse(lab.map_lun("hv_hv01"))
    there = opened(lab, "hv01.lab", wire, monkeypatch)
    vm = next(vm for vm in there.inventory(devices=False).virtual_machines if vm.name == "hvapp01")
    there.rescan([vm.host], name)
    assert [device.host for device in there.devices([vm.host], name)] == ["HV01"]
    there.plan_attach(vm, DiskWish(name=name, timeout=5.0)).run()
    attached = there.attachment(vm, name)
    assert attached is not None
    assert (attached.disk.name, attached.guest_address) == (name, "SCSI(0:2)")
    there.plan_detach(vm, name, 5.0).run()
    assert there.attachment(vm, name) is None
    there.plan_release([vm.host], name).run()
    there.close()


def test_hosts_have_their_adapters_only_where_they_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    there = opened(Lab(), "hvc1n1.lab", Wire(), monkeypatch)
    assert all(host.hbas for host in there.hosts())
    assert not any(host.hbas for host in there.inventory(devices=False).hosts)
    assert there.about().clusters[0].name == "hvc1"


def test_a_guest_is_not_held_still_for_a_lun(monkeypatch: pytest.MonkeyPatch) -> None:
    there = opened(Lab(), "hv01.lab", Wire(), monkeypatch)
    with pytest.raises(Refused, match="VM app cannot be held still by Hyper-V, which does so only for a checkpoint of the VM"):
        there.agent(VirtualMachine("vm-1", "app"))
