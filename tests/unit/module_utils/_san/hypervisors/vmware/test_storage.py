# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Adapters, paths and LUNs of a host, out of the XML of its storage."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyVmomi import vim

from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.vmware import properties, storage
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import Hba, LunPath, Portal, ScsiDevice
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from tests.unit import vsphere

HOST = vim.host
NAA = "600a098038304c61622d616161616131"
UUID = f"0200000000{NAA}4c554e20432d"
WWPN, WWNN = 0x10000090FA010002, 0x20000090FA010002
TARGET_WWPN = 0x200100A098C0FFE1
IQN = "iqn.1992-08.com.netapp:sn.6d1c:vs.3"


def signed(wwn: int) -> int:
    """As the API carries it: xsd:long."""
    return wwn - 2**64 if wwn >= 2**63 else wwn


def adapter(kind: Any, device: str = "vmhba2", **properties: Any) -> Any:
    return kind(**{"key": f"key-{device}", "device": device, "bus": 59, "status": "online", "model": "LPe32002 ", **properties})


def fibre_channel(kind: Any = HOST.FibreChannelHba, wwpn: int = WWPN, speed: int = 32, **properties: Any) -> Any:
    return adapter(kind, portWorldWideName=signed(wwpn), nodeWorldWideName=signed(WWNN), portType="fabric", speed=speed, **properties)


def fcoe() -> Any:
    link = HOST.FibreChannelOverEthernetHba.LinkInfo(vnportMac="00:50:56:00:00:01", fcfMac="00:50:56:00:00:02", vlanId=1)
    return fibre_channel(HOST.FibreChannelOverEthernetHba, underlyingNic="vmnic4", linkInfo=link, isSoftwareFcoe=True)


def iscsi(software: bool = True, **properties: Any) -> Any:
    off = {"isSoftwareBased": software, "networkBindingSupport": "optional", "iScsiName": "iqn.1998-01.com.vmware:ESX01"}
    nothing = {
        "discoveryCapabilities": HOST.InternetScsiHba.DiscoveryCapabilities(
            iSnsDiscoverySettable=False,
            slpDiscoverySettable=False,
            staticTargetDiscoverySettable=True,
            sendTargetsDiscoverySettable=True,
        ),
        "discoveryProperties": HOST.InternetScsiHba.DiscoveryProperties(
            iSnsDiscoveryEnabled=False, slpDiscoveryEnabled=False, staticTargetDiscoveryEnabled=True, sendTargetsDiscoveryEnabled=True
        ),
        "authenticationCapabilities": HOST.InternetScsiHba.AuthenticationCapabilities(
            chapAuthSettable=True, krb5AuthSettable=False, srpAuthSettable=False, spkmAuthSettable=False
        ),
        "authenticationProperties": HOST.InternetScsiHba.AuthenticationProperties(chapAuthEnabled=False),
        "ipCapabilities": HOST.InternetScsiHba.IPCapabilities(
            addressSettable=False, ipConfigurationMethodSettable=False, subnetMaskSettable=False, defaultGatewaySettable=False,
            primaryDnsServerAddressSettable=False, alternateDnsServerAddressSettable=False,
        ),
        "ipProperties": HOST.InternetScsiHba.IPProperties(dhcpConfigurationEnabled=False),
    }  # fmt: skip
    return adapter(HOST.InternetScsiHba, "vmhba64", **{**off, **nothing, **properties})


def hbas(*adapters: Any, **more: Any) -> list[Hba]:
    return storage.adapters(
        vsphere.record("HostSystem", "host-9", {properties.ADAPTERS: vsphere.array("HostHostBusAdapter", list(adapters)), **more})
    )


def test_a_fibre_channel_adapter_is_told_in_full() -> None:
    assert hbas(fibre_channel(driver="lpfc", pci="0000:3b:00.0")) == [
        Hba(
            name="vmhba2",
            kind="fc",
            status="online",
            driver="lpfc",
            model="LPe32002",
            pci="0000:3b:00.0",
            speed_gbit_s=32.0,
            node_wwn="20:00:00:90:fa:01:00:02",
            port_wwn="10:00:00:90:fa:01:00:02",
            portals=[],
            paths=[],
        )
    ]


@pytest.mark.parametrize(
    ("wwpn", "text"),
    [(0xC0500000000000FF, "c0:50:00:00:00:00:00:ff"), (0x50014380_37189EA0, "50:01:43:80:37:18:9e:a0"), (0, ""), (2**64 - 1, "")],
)
def test_world_wide_names_are_unsigned_and_complete_or_absent(wwpn: int, text: str) -> None:
    assert hbas(fibre_channel(wwpn=wwpn))[0].port_wwn == text


@pytest.mark.parametrize(
    ("raw", "gbit"), [(32, 32.0), (8, 8.0), (128, 128.0), (16 * 10**9, 16.0), (8_500_000_000, 8.5), (0, None), (-1, None)]
)
def test_speed_is_understood_in_gbit_and_in_bits(raw: int, gbit: float | None) -> None:
    assert hbas(fibre_channel(speed=raw))[0].speed_gbit_s == gbit


@pytest.mark.parametrize(
    ("hba", "kind"),
    [
        (fibre_channel(), "fc"),
        (fibre_channel(storageProtocol="nvme"), "nvme_fc"),
        (fcoe(), "fcoe"),
        (iscsi(software=True), "iscsi_software"),
        (iscsi(software=False, networkBindingSupport="required"), "iscsi_hardware"),
        (iscsi(software=False, networkBindingSupport="notsupported"), "iscsi_hardware"),
        (adapter(HOST.SerialAttachedHba, nodeWorldWideName="5001438037189ea0"), "sas"),
        (adapter(HOST.BlockHba), "block"),
        (adapter(HOST.TcpHba), "nvme_tcp"),
        (adapter(HOST.RdmaHba), "nvme_rdma"),
        (adapter(HOST.PcieHba), "other"),
        (adapter(HOST.ParallelScsiHba), "other"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_every_kind_of_adapter(hba: Any, kind: str) -> None:
    assert [found.kind for found in hbas(hba)] == [kind]


def test_a_sas_adapter_has_its_node_name_as_text() -> None:
    sas = hbas(adapter(HOST.SerialAttachedHba, nodeWorldWideName="5001438037189000"))[0]
    assert (sas.node_wwn, sas.port_wwn, sas.initiator) == ("50:01:43:80:37:18:90:00", "", None)


def test_an_iscsi_adapter_has_its_name_alias_speed_and_portals() -> None:
    target = HOST.InternetScsiHba
    hba = hbas(
        iscsi(
            iScsiAlias="esx01",
            currentSpeedMb=25000,
            configuredSendTarget=[target.SendTarget(address="192.0.2.11", port=3260), target.SendTarget(address="192.0.2.12")],
            configuredStaticTarget=[
                target.StaticTarget(address="192.0.2.12", port=3260, iScsiName=IQN),
                target.StaticTarget(address="2001:db8::1", port=860, iScsiName=IQN),
            ],
        )
    )[0]
    assert (hba.iqn, hba.alias, hba.speed_gbit_s) == ("iqn.1998-01.com.vmware:ESX01", "esx01", 25.0)
    assert hba.portals == [Portal("192.0.2.11"), Portal("192.0.2.12"), Portal("2001:db8::1", 860)]
    assert hba.initiator == "iqn.1998-01.com.vmware:ESX01"


@pytest.mark.parametrize(
    ("word", "status"), [("online", "online"), ("Offline", "offline"), ("unbound", "offline"), ("unknown", "unknown"), ("", "unknown")]
)
def test_statuses(word: str, status: str) -> None:
    assert hbas(fibre_channel(status=word))[0].status == status


def paths(unit_id: str, *rows: tuple[str, str, Any, str]) -> Any:
    """A LUN's paths: adapter, path name, transport, state."""
    return HOST.MultipathInfo(
        lun=[
            HOST.MultipathInfo.LogicalUnit(
                key="unit", id=unit_id, lun="key-lun", policy=HOST.MultipathInfo.LogicalUnitPolicy(policy="VMW_PSP_RR"),
                path=[
                    HOST.MultipathInfo.Path(key=name, name=name, pathState=state, lun="unit", adapter=f"key-{device}", transport=transport)
                    for device, name, transport, state in rows
                ],
            )
        ]
    )  # fmt: skip


def topology(device: str, transport: Any, number: int) -> Any:
    lun = HOST.ScsiTopology.Lun(key="l", lun=number, scsiLun="key-lun")
    target = HOST.ScsiTopology.Target(key="t", target=0, transport=transport, lun=[lun])
    return HOST.ScsiTopology(adapter=[HOST.ScsiTopology.Interface(key="i", adapter=f"key-{device}", target=[target])])


FC_TARGET = HOST.FibreChannelTargetTransport(portWorldWideName=TARGET_WWPN, nodeWorldWideName=TARGET_WWPN)
ISCSI_TARGET = HOST.InternetScsiTargetTransport(iScsiName=IQN, iScsiAlias="", address=["192.0.2.11:3260"])


@pytest.mark.parametrize(
    ("hba", "transport", "target"),
    [(fibre_channel(), FC_TARGET, "20:01:00:a0:98:c0:ff:e1"), (iscsi(), ISCSI_TARGET, IQN)],
    ids=["fc", "iscsi"],
)
def test_a_path_is_told_with_its_lun_target_and_number(hba: Any, transport: Any, target: str) -> None:
    rows = paths(UUID, (hba.device, f"fc.20:10-fc.20:20-naa.{NAA}", transport, "standby"))
    (found,) = hbas(hba, **{properties.MULTIPATH: rows, properties.TOPOLOGY: topology(hba.device, transport, 0)})
    assert found.paths == [LunPath(name=ScsiName(NAA), device=f"naa.{NAA}", target=target, state="standby", lun_id=0)]


def test_paths_belong_to_their_adapter_and_unknown_states_and_numbers_stay_unknown() -> None:
    rows = paths(
        UUID,
        ("vmhba2", f"a-naa.{NAA}", FC_TARGET, "active"),
        ("vmhba64", f"b-naa.{NAA}", ISCSI_TARGET, "dead"),
        ("vmhba9", "c", None, "weird"),
    )
    found = hbas(fibre_channel(), iscsi(), adapter(HOST.BlockHba, "vmhba9"), **{properties.MULTIPATH: rows})
    assert [[(path.state, path.lun_id) for path in hba.paths] for hba in found] == [
        [("active", None)],
        [("dead", None)],
        [("unknown", None)],
    ]
    assert found[2].paths[0] == LunPath(name=ScsiName(NAA), device=f"naa.{NAA}", target="", state="unknown")


@pytest.mark.parametrize(
    ("path", "device"),
    [
        ("sata.vmhba0-sata.0:0-t10.ATA_____Disk-1__-naa", "t10.ATA_____Disk-1__-naa"),
        ("usb.vmhba32-usb.0:0-mpx.vmhba32:C0:T0:L0", "mpx.vmhba32:C0:T0:L0"),
        ("vmhba0:C0:T0:L0", ""),
    ],
)
def test_a_local_disk_has_no_world_wide_name_but_its_device(path: str, device: str) -> None:
    rows = paths("0100000000", ("vmhba9", path, HOST.BlockAdapterTargetTransport(), "active"))
    (found,) = hbas(adapter(HOST.BlockHba, "vmhba9"), **{properties.MULTIPATH: rows})
    assert [(it.name, it.device) for it in found.paths] == [(None, device)]


def test_a_host_whose_storage_was_never_read_has_no_adapters() -> None:
    unreachable = vsphere.record("HostSystem", "host-9", {"name": "esx09"})
    assert storage.adapters(unreachable) == []
    assert storage.devices(unreachable) == []


def disk(name: str = f"naa.{NAA}", state: tuple[str, ...] = ("ok",), kind: Any = HOST.ScsiDisk, **more: Any) -> Any:
    uuid = more.pop("uuid", UUID)
    capacity = {"capacity": HOST.DiskDimensions.Lba(blockSize=512, block=2**31), "devicePath": f"/vmfs/devices/disks/{name}"}
    return kind(
        deviceName=f"/vmfs/devices/disks/{name}",
        deviceType="disk",
        key=more.pop("key", f"key-{uuid}"),
        uuid=uuid,
        canonicalName=name,
        vendor="NETAPP  ",
        model="LUN C-Mode      ",
        operationalState=list(state),
        descriptor=[HOST.ScsiLun.Descriptor(quality="highQuality", id=word) for word in (name, f"vml.02000a0000{NAA}4c554e20432d", uuid)],
        **{"lunType": "disk", **(capacity if kind is HOST.ScsiDisk else {}), **more},
    )


def devices(*luns: Any, **more: Any) -> list[ScsiDevice]:
    return storage.devices(vsphere.record("HostSystem", "host-9", {properties.LUNS: vsphere.array("ScsiLun", list(luns)), **more}))


def test_a_lun_has_live_and_dead_paths_and_others_are_neither() -> None:
    states = ("active", "standby", "dead", "disabled", "unknown", "dead")
    rows = [("vmhba2", f"vmhba2:C0:T{number}:L3", FC_TARGET, state) for number, state in enumerate(states)]
    (found,) = devices(disk(key="key-lun"), **{properties.MULTIPATH: paths(UUID, *rows)})
    assert (found.paths_live, found.paths_dead) == (2, 2)


def test_the_paths_of_a_lun_are_unknown_where_multipathing_is_not_told_of_it() -> None:
    other = paths(UUID, ("vmhba2", "vmhba2:C0:T0:L3", FC_TARGET, "active"))
    for told in ({}, {properties.MULTIPATH: other}):
        (found,) = devices(disk(), **told)
        assert (found.paths_live, found.paths_dead) == (None, None)


@pytest.mark.parametrize(("told", "local"), [({"localDisk": True}, True), ({"localDisk": False}, False), ({}, False)])
def test_a_disk_that_the_host_calls_local_is_local(told: dict[str, Any], local: bool) -> None:
    assert devices(disk(**told))[0].local is local


def test_a_lun_is_told_with_size_maker_and_its_other_names() -> None:
    assert devices(disk()) == [
        ScsiDevice(
            host="host-9",
            device=f"naa.{NAA}",
            name=ScsiName(NAA),
            size_bytes=2**40,
            vendor="NETAPP",
            product="LUN C-Mode",
            state="ok",
            aliases=[f"vml.02000a0000{NAA}4c554e20432d", UUID, f"/vmfs/devices/disks/naa.{NAA}"],
        )
    ]


@pytest.mark.parametrize(
    ("words", "state"),
    [
        (("ok",), "ok"),
        (("ok", "degraded"), "ok"),
        (("degraded", "ok"), "ok"),
        (("degraded",), "ok"),
        (("off",), "off"),
        (("degraded", "off"), "off"),
        (("lostCommunication",), "lost"),
        (("ok", "lostCommunication"), "ok, lost"),
        (("lostCommunication", "timeout"), "lost, timeout"),
        (("degraded", "error"), "degraded, error"),
        (("quiesced",), "quiesced"),
        (("unknownState",), "unknownState"),
    ],
)
def test_all_words_of_a_state_count_whichever_comes_first(words: tuple[str, ...], state: str) -> None:
    (found,) = devices(disk(state=words))
    assert (found.state, found.degraded) == (state, "degraded" in words)


STATES = ("unknownState", "ok", "error", "off", "quiesced", "degraded", "lostCommunication", "timeout")


@given(st.lists(st.sampled_from(STATES), min_size=1, unique=True), st.randoms())
def test_no_order_of_the_words_changes_what_may_be_done_with_a_lun(words: list[str], random: Random) -> None:
    shuffled = list(words)
    random.shuffle(shuffled)
    states = {devices(disk(state=tuple(given)))[0].state for given in (words, shuffled)}
    assert len({state if state in ("ok", "off") else "neither" for state in states}) == 1


def test_what_is_no_disk_is_left_out() -> None:
    assert devices(disk(kind=HOST.ScsiLun, lunType="cdrom"), disk(kind=HOST.ScsiLun, lunType="enclosure")) == []


@pytest.mark.parametrize(
    ("name", "uuid", "naa"), [("t10.ATA", UUID, NAA), ("t10.ATA", "0100000000", None), (f"NAA.{NAA.upper()}", "x", NAA)]
)
def test_a_luns_name_is_its_canonical_name_or_else_in_its_uuid(name: str, uuid: str, naa: str | None) -> None:
    assert devices(disk(name, uuid=uuid))[0].name == (ScsiName(naa) if naa else None)


def test_the_uuid_by_which_a_host_is_told_of_a_lun() -> None:
    record = vsphere.record("HostSystem", "host-9", {properties.LUNS: vsphere.array("ScsiLun", [disk("t10.ATA", uuid="0100"), disk()])})
    assert storage.lun_uuid(record, ScsiName(NAA)) == UUID
    assert storage.lun_uuid(record, ScsiName("6" + "0" * 31)) == ""
