# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The initiators of a host, and what is told of them where Windows tells less."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import AuthenticationFailed, RemoteError
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv import hbas
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import Hba, Portal
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire import wsman_fault
from tests.lab import world
from tests.lab.hyperv.running import Lab
from tests.lab.hyperv_world import LUNS, initiators, lun_path
from tests.unit.windows import Wire, client, refusing

ADAPTERS, PORTS, PORTALS = 1, 2, 3
"""Numbers of the requests for Fibre Channel adapters and ports, and for iSCSI portals; initiators are number 0."""


@pytest.fixture
def lab() -> Lab:
    return Lab()


def hbas_of(lab: Lab, wire: Wire | None = None) -> list[Hba]:
    return list(adapters_of(lab, wire).hbas)


def adapters_of(lab: Lab, wire: Wire | None = None) -> hbas.Adapters:
    return hbas.adapters_of(client(lab, "hv01.lab", wire))


def change(lab: Lab, number: int, **properties: Any) -> None:
    """Give one adapter of the host other properties."""
    machine = lab.estate.machines["hv01.lab"]
    machine.hbas = [{**hba, **properties} if index == number else hba for index, hba in enumerate(machine.hbas)]


def test_the_initiators_are_those_that_the_array_knows(lab: Lab) -> None:
    assert [hba.initiator for hba in hbas_of(lab)] == initiators(["hv01"])


def test_a_fibre_channel_port_with_what_its_driver_tells(lab: Lab) -> None:
    port = hbas_of(lab)[1]
    assert (port.kind, port.status, port.speed_gbit_s) == ("fc", "online", 32.0)
    assert (port.port_wwn, port.node_wwn) == ("10:00:00:10:9b:01:00:01", "20:00:00:10:9b:01:00:01")
    assert (port.driver, port.model) == ("elxfc 14.0.639.18", "LPe35002-M2 (firmware 14.0.499.30)")


def test_a_port_without_a_link_is_offline_and_has_no_speed(lab: Lab) -> None:
    change(lab, 0, status="offline")
    down, up, _iscsi = hbas_of(lab)
    assert (down.status, down.speed_gbit_s, up.status) == ("offline", None, "online")


@pytest.mark.parametrize("speed", [1, 2, 4, 8, 10, 16, 32])
def test_speeds_are_told_in_gbit_s(lab: Lab, speed: int) -> None:
    change(lab, 0, speed=speed)
    assert hbas_of(lab)[0].speed_gbit_s == speed


def test_a_speed_that_is_not_defined_for_windows_is_not_guessed(lab: Lab) -> None:
    change(lab, 0, speed=64)
    assert hbas_of(lab)[0].speed_gbit_s is None


def test_the_software_initiator_with_portals_and_sessions(lab: Lab) -> None:
    iscsi = hbas_of(lab)[2]
    assert (iscsi.kind, iscsi.status, iscsi.iqn) == ("iscsi_software", "online", "iqn.1991-05.com.microsoft:hv01.lab")
    assert iscsi.portals == [Portal("192.0.2.11", 3260), Portal("192.0.2.12", 3260)]
    mapped = {ScsiName(world.naa_at(lun_path(lun))) for lun in LUNS if lun.startswith("hv01_")}
    assert {path.name for path in iscsi.paths} == mapped
    assert {path.state for path in iscsi.paths} == {"active"}
    assert all(path.target.startswith("iqn.1992-08.com.netapp:") for path in iscsi.paths)


def test_a_host_is_asked_a_fixed_number_of_times(lab: Lab) -> None:
    wire = Wire()
    hbas_of(lab, wire)
    assert wire.count("Enumerate") == len(wire.asked) == 7


@pytest.mark.parametrize("code", [wsman_fault.INVALID_CLASS, wsman_fault.INVALID_NAMESPACE, hbas.NOT_SUPPORTED])
def test_without_a_driver_that_tells_more_the_ports_remain(lab: Lab, code: str) -> None:
    refuse = refusing(RemoteError("no such class", code))
    port = hbas_of(lab, Wire(before={ADAPTERS: refuse, PORTS: refuse}))[0]
    assert (port.port_wwn, port.status, port.speed_gbit_s, port.model) == ("10:00:00:10:9b:01:00:00", "online", None, "")


def test_missing_rights_in_the_drivers_namespace_are_an_error(lab: Lab) -> None:
    refuse = refusing(AuthenticationFailed("The user LAB\\svc may not use the namespace root/WMI at hv01.lab."))
    with pytest.raises(AuthenticationFailed, match="namespace root/WMI"):
        hbas_of(lab, Wire(before={ADAPTERS: refuse}))


def test_another_failure_is_not_taken_for_a_missing_class(lab: Lab) -> None:
    with pytest.raises(RemoteError, match="quota"):
        hbas_of(lab, Wire(before={PORTALS: refusing(RemoteError("quota violation", "0x8004106C"))}))


def without_iscsi(lab: Lab) -> None:
    """Let the host have Fibre Channel alone."""
    machine = lab.estate.machines["hv01.lab"]
    machine.hbas = [hba for hba in machine.hbas if hba["kind"] == "fc"]


def test_a_host_whose_iscsi_service_does_not_run_keeps_its_fibre_channel_ports_and_says_what_is_missing(lab: Lab) -> None:
    without_iscsi(lab)
    found = adapters_of(lab)
    assert [hba.kind for hba in found.hbas] == ["fc", "fc"]
    (reason,) = found.untold
    assert "MSFT_iSCSITargetPortal (0x80041001): Generic failure." in reason


@pytest.mark.parametrize("number", [PORTALS, PORTALS + 1, PORTALS + 2])
@pytest.mark.parametrize("code", sorted(hbas.ISCSI_SILENT))
def test_so_does_one_whose_iscsi_adapter_is_not_explained(lab: Lab, number: int, code: str) -> None:
    found = adapters_of(lab, Wire(before={number: refusing(RemoteError("the service is stopped", code))}))
    assert [(hba.kind, list(hba.portals), list(hba.paths)) for hba in found.hbas][2] == ("iscsi_software", [], [])
    assert found.untold == ["the service is stopped"]


@pytest.mark.parametrize("code", [wsman_fault.INVALID_CLASS, hbas.NOT_SUPPORTED])
def test_classes_that_are_not_there_are_missed_only_where_there_is_an_iscsi_adapter(lab: Lab, code: str) -> None:
    absent = Wire(before={PORTALS: refusing(RemoteError("no such class", code))})
    assert adapters_of(lab, absent).untold == ["no such class"]
    without_iscsi(lab)
    assert adapters_of(lab, Wire(before=dict(absent.before))).untold == []
