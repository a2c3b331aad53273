# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rescans of several hosts at once, and LUNs that come back into service."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pyVmomi import vim

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import AuthenticationFailed, NotFound, OutcomeUnknown, RemoteError
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.vmware.rescan import rescan
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.vim import VimSession
from tests.unit import vsphere
from tests.unit.vsphere import Answer, Endpoint

pytestmark = pytest.mark.slow

NAME = ScsiName("600a098038304c61622d616161616131")
UUID = f"0200000000{NAME.naa}4c554e20432d"


@pytest.fixture
def session(endpoint: Endpoint) -> Iterator[VimSession]:
    endpoint.answer("RescanAllHba", vsphere.reply("RescanAllHba"))
    endpoint.answer("AttachScsiLun", vsphere.reply("AttachScsiLun"))
    opened = VimSession(endpoint.connection)
    endpoint.calls.clear()
    endpoint.bodies.clear()
    yield opened
    opened.close()


def host(number: int, state: str | None = None) -> Any:
    """A host that sees the LUN in this state, or not at all."""
    disk = vim.host.ScsiDisk(
        deviceName=f"/vmfs/devices/disks/{NAME}",
        deviceType="disk",
        uuid=UUID,
        canonicalName=str(NAME),
        lunType="disk",
        vendor="NETAPP",
        model="LUN C-Mode",
        operationalState=[state or "ok"],
        capacity=vim.host.DiskDimensions.Lba(blockSize=512, block=1),
        devicePath="",
    )
    luns = {"config.storageDevice.scsiLun": vsphere.array("ScsiLun", [disk] if state else [])}
    system = {"configManager.storageSystem": vsphere.managed("HostStorageSystem", f"storage-{number}")}
    return vsphere.contents("HostSystem", f"host-{number}", {"name": f"esx0{number}.lab", **system, **luns})


def asked(endpoint: Endpoint, method: str) -> list[bytes]:
    return sorted(body for call, body in zip(endpoint.calls, endpoint.bodies) if call == method)


def test_every_host_is_rescanned_once(session: VimSession, endpoint: Endpoint) -> None:
    endpoint.answer("RetrievePropertiesEx", vsphere.page([host(number, "ok") for number in (1, 2, 3)]))
    rescan(session, ["host-1", "host-2", "host-3"], NAME)
    bodies = asked(endpoint, "RescanAllHba")
    assert [f">storage-{number}<".encode() in body for number, body in enumerate(bodies, start=1)] == [True, True, True]
    assert "AttachScsiLun" not in endpoint.calls


def test_hosts_are_rescanned_at_the_same_time(session: VimSession, endpoint: Endpoint) -> None:
    endpoint.answer("RetrievePropertiesEx", vsphere.page([host(number) for number in range(1, 7)]))
    endpoint.answer("RescanAllHba", Answer(vsphere.reply("RescanAllHba"), delay=0.3))
    rescan(session, [f"host-{number}" for number in range(1, 7)], NAME)
    assert endpoint.most_at_once > 1


def test_a_detached_lun_is_attached_on_the_hosts_where_it_is_off(session: VimSession, endpoint: Endpoint) -> None:
    endpoint.answer("RetrievePropertiesEx", vsphere.page([host(1, "off"), host(2, "ok"), host(3)]))
    rescan(session, ["host-1", "host-2", "host-3"], NAME)
    (body,) = asked(endpoint, "AttachScsiLun")
    assert b">storage-1<" in body
    assert f">{UUID}<".encode() in body


def test_somebody_else_attaching_it_first_is_no_error(session: VimSession, endpoint: Endpoint) -> None:
    endpoint.answer("RetrievePropertiesEx", vsphere.page([host(1, "off")]))
    endpoint.answer("AttachScsiLun", vsphere.fault(vim.fault.InvalidState(msg="The device is already attached.")))
    rescan(session, ["host-1"], NAME)
    assert "AttachScsiLun" in endpoint.calls


def test_a_host_that_refuses_the_attaching_is_named(session: VimSession, endpoint: Endpoint) -> None:
    endpoint.answer("RetrievePropertiesEx", vsphere.page([host(1, "off")]))
    endpoint.answer("AttachScsiLun", vsphere.fault(vim.fault.HostConfigFault(msg="Unable to attach.")))
    with pytest.raises(RemoteError, match=r"esx01\.lab .*Unable to attach"):
        rescan(session, ["host-1"], NAME)


def test_a_host_that_fails_is_named_and_holds_up_no_other(session: VimSession, endpoint: Endpoint) -> None:
    endpoint.answer("RetrievePropertiesEx", vsphere.page([host(1)]), vsphere.page([host(1)]))
    endpoint.answer("RescanAllHba", vsphere.fault(vim.fault.HostConfigFault(msg="No such adapter.")))
    with pytest.raises(RemoteError, match=r"Could not rescan the HBAs of host esx01\.lab: .*No such adapter"):
        rescan(session, ["host-1"], NAME)


def test_all_hosts_are_asked_even_when_the_first_fails(session: VimSession, endpoint: Endpoint) -> None:
    endpoint.answer("RetrievePropertiesEx", vsphere.page([host(number) for number in (1, 2, 3)]))
    endpoint.answer("RescanAllHba", vsphere.fault(vim.fault.HostConfigFault(msg="No such adapter.")))
    with pytest.raises(RemoteError):
        rescan(session, ["host-1", "host-2", "host-3"], NAME)
    assert endpoint.calls.count("RescanAllHba") == 3


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (Answer(drop=True), OutcomeUnknown),
        (
            vsphere.fault(vim.fault.NoPermission(msg="x", object=vim.HostSystem("host-1"), privilegeId="Host.Config.Storage")),
            AuthenticationFailed,
        ),
    ],
    ids=["lost answer", "no privilege"],
)
def test_other_failures_keep_their_kind(session: VimSession, endpoint: Endpoint, answer: Any, kind: type[Exception]) -> None:
    endpoint.answer("RetrievePropertiesEx", vsphere.page([host(1)]))
    endpoint.answer("Fetch", vsphere.reply("Fetch", "esx01.lab"))
    endpoint.answer("RescanAllHba", answer)
    with pytest.raises(kind):
        rescan(session, ["host-1"], NAME)


def test_a_host_that_left_the_inventory_is_told(session: VimSession, endpoint: Endpoint) -> None:
    endpoint.answer("RetrievePropertiesEx", vsphere.page([]))
    with pytest.raises(NotFound, match="host-1 are no longer in the inventory"):
        rescan(session, ["host-1"], NAME)
