# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A machine lists the adapters through which it reaches a SAN, in the spelling of arrays, with the paths of their LUNs."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.crossvisor.san.plugins.module_utils._san.linux.hbas import hbas, parse_initiator_name
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import Hba, Portal, VirtualPort
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from tests.unit.module_utils._san.linux.machines import (
    BARE_METAL,
    Link,
    Machine,
    member,
    naa_page,
    pci_function,
    plant,
    scsi_disk,
    scsi_host,
)

NAA = "600a0980524c4974612b44687143566b"
OTHER_NAA = "600a0980524c4974612b44687143566c"

QLOGIC = "pci0000:3a/0000:3a:00.0/0000:3b:00.0"
QLOGIC_HOST = f"/sys/devices/{QLOGIC}/host7"
QLOGIC_TARGET = f"{QLOGIC_HOST}/rport-7:0-2/target7:0:0"
FC_PORT: Machine = {
    **pci_function(QLOGIC, "qla2xxx", "0x1077", "0x1077"),
    **scsi_host(7, QLOGIC, proc_name="qla2xxx", model_name="QLE2672", model_desc="QLogic 16Gb FC Dual-port HCA"),
    **member(
        "fc_host",
        "host7",
        QLOGIC_HOST,
        port_name="0x21000024ff123456",
        node_name="0x20000024ff123456",
        port_state="Online",
        port_type="NPort (fabric via point-to-point)",
        speed="16 Gbit",
        symbolic_name="QLE2672 FW:v8.07.00 DVR:v10.02.00.106-k",
    ),
    **member("fc_remote_ports", "rport-7:0-2", f"{QLOGIC_HOST}/rport-7:0-2", port_name="0x201300a098a1b2c3", port_state="Online"),
    **scsi_disk("7:0:0:1", "sdb", QLOGIC_TARGET, NAA, access_state="active/optimized"),
    **scsi_disk("7:0:0:16640", "sdc", QLOGIC_TARGET, OTHER_NAA, access_state="standby"),
    **scsi_disk("7:0:0:0", "", QLOGIC_TARGET, type="12"),
}

EMULEX = "pci0000:5d/0000:5d:02.0/0000:5e:00.1"
CONVERGED: Machine = {
    **pci_function(EMULEX, "lpfc", "0x10df", "0x10df"),
    **scsi_host(8, EMULEX, proc_name="lpfc", modelname="OCe14102-UM", protocol="fcoe"),
    **member(
        "fc_host",
        "host8",
        f"/sys/devices/{EMULEX}/host8",
        port_name="0x10000090fa123456",
        node_name="0x20000090fa123456",
        port_state="Linkdown",
        speed="unknown",
        symbolic_name="Emulex OCe14102-UM FV11.1.183.23 DV11.2.0.6",
    ),
}

ISCSI_HOST = "/sys/devices/platform/host9"
SESSION = f"{ISCSI_HOST}/session1"
INITIATOR_FILE: Machine = {
    "/etc/iscsi/initiatorname.iscsi": (
        "## DO NOT EDIT OR REMOVE THIS FILE!\n\n  InitiatorName = iqn.1993-08.org.debian:01:DB01a7  \n#InitiatorAlias=x"
    )
}
SOFTWARE_ISCSI: Machine = {
    **INITIATOR_FILE,
    "/sys/class/iscsi_transport/tcp/handle": "18446744072641314816",
    "/var/lib/iscsi/send_targets/192.0.2.11,3260/st_config": "",
    **scsi_host(9, "platform", proc_name="iscsi_tcp"),
    **member("iscsi_host", "host9", ISCSI_HOST, initiatorname="iqn.1993-08.org.debian:01:db01a7", port_speed="Unknown"),
    **member(
        "iscsi_session",
        "session1",
        SESSION,
        targetname="iqn.1992-08.com.netapp:sn.4ee1:vs.3",
        initiatorname="iqn.1993-08.org.debian:01:db01a7",
        state="LOGGED_IN",
    ),
    **member(
        "iscsi_connection",
        "connection1:0",
        f"{SESSION}/connection1:0",
        persistent_address="192.0.2.12",
        persistent_port="3260",
        address="192.0.2.12",
    ),
    **scsi_disk("9:0:0:1", "sdd", f"{SESSION}/target9:0:0", NAA, access_state="active/non-optimized"),
}

OFFLOAD = "pci0000:80/0000:80:02.0/0000:81:00.4"
HARDWARE_ISCSI: Machine = {
    **INITIATOR_FILE,
    **pci_function(OFFLOAD, "qedi", "0x1077", "0x1077"),
    **scsi_host(10, OFFLOAD, proc_name="qedi"),
    **member(
        "iscsi_host",
        "host10",
        f"/sys/devices/{OFFLOAD}/host10",
        initiatorname="iqn.2000-04.com.qlogic:qedi.gs1",
        port_speed="25 Gbps",
        port_state="LINK UP",
    ),
}

LSI = "pci0000:17/0000:17:00.0/0000:18:00.0"
SAS: Machine = {
    **pci_function(LSI, "mpt3sas", "0x1000", "0x1000"),
    **scsi_host(11, LSI, proc_name="mpt3sas", board_name="SAS9300-8e", host_sas_address="0x500605b00a1b2c3d"),
    **member("sas_host", "host11", f"/sys/devices/{LSI}/host11"),
    "/sys/class/sas_phy/phy-11:0/negotiated_linkrate": "12.0 Gbit",
    "/sys/class/sas_phy/phy-11:1/negotiated_linkrate": "Unknown",
    "/sys/class/sas_phy/phy-11:0:4/negotiated_linkrate": "24.0 Gbit",
    "/sys/class/sas_host/host11": Link(f"../../devices/{LSI}/host11/sas_host/host11"),
}


def only(root: Path) -> Hba:
    found = hbas(root)
    assert len(found) == 1, found
    return found[0]


def test_a_fibre_channel_port_in_the_spelling_of_arrays(tmp_path: Path) -> None:
    hba = only(plant(tmp_path, BARE_METAL, FC_PORT))
    assert (hba.name, hba.kind, hba.status, hba.speed_gbit_s) == ("host7", "fc", "online", 16.0)
    assert (hba.driver, hba.model, hba.pci) == ("qla2xxx", "QLE2672", "0000:3b:00.0")
    assert (hba.port_wwn, hba.node_wwn) == ("21:00:00:24:ff:12:34:56", "20:00:00:24:ff:12:34:56")
    assert hba.initiator == "21:00:00:24:ff:12:34:56"
    assert hba.alias == "QLE2672 FW:v8.07.00 DVR:v10.02.00.106-k"


def test_its_paths_name_lun_target_and_state_and_leave_out_what_is_no_disk(tmp_path: Path) -> None:
    hba = only(plant(tmp_path, FC_PORT))
    assert [(path.name, path.device, path.lun_id, path.state) for path in hba.paths] == [
        (ScsiName(NAA), "/dev/sdb", 1, "active"),
        (ScsiName(OTHER_NAA), "/dev/sdc", 256, "standby"),
    ]
    assert {path.target for path in hba.paths} == {"20:13:00:a0:98:a1:b2:c3"}


@pytest.mark.parametrize(
    ("attributes", "state"),
    [
        ({"state": "running"}, "active"),
        ({"state": "offline", "access_state": "active/optimized"}, "dead"),
        ({"state": "transport-offline"}, "dead"),
        ({"state": "blocked"}, "dead"),
        ({"state": "quiesce"}, "disabled"),
        ({"state": "running", "access_state": "active/non-optimized"}, "active"),
        ({"state": "running", "access_state": "unavailable"}, "dead"),
        ({"state": "running", "access_state": "transitioning"}, "unknown"),
        ({"state": "something new"}, "unknown"),
    ],
)
def test_the_state_of_a_path_is_the_device_s_unless_it_runs_then_the_port_group_s(
    tmp_path: Path, attributes: dict[str, str], state: str
) -> None:
    disk = scsi_disk("7:0:0:3", "sde", QLOGIC_TARGET, NAA, **attributes)
    paths = {path.device: path for path in only(plant(tmp_path, FC_PORT, disk)).paths}
    assert paths["/dev/sde"].state == state


@pytest.mark.parametrize(
    ("port_state", "status"), [("Online", "online"), ("Linkdown", "offline"), ("Offline", "offline"), ("Unknown", "unknown")]
)
def test_the_status_of_a_fibre_channel_port(tmp_path: Path, port_state: str, status: str) -> None:
    state = {f"{QLOGIC_HOST}/fc_host/host7/port_state": port_state}
    assert only(plant(tmp_path, FC_PORT, state)).status == status


def test_a_converged_adapter_without_a_link(tmp_path: Path) -> None:
    hba = only(plant(tmp_path, CONVERGED))
    assert (hba.kind, hba.status, hba.speed_gbit_s, hba.model) == ("fcoe", "offline", None, "OCe14102-UM")
    assert hba.initiator == "10:00:00:90:fa:12:34:56"


@pytest.mark.parametrize(
    ("attributes", "symbolic_name", "kind", "model"),
    [
        ({"proc_name": "lpfc"}, "Emulex LPe32002-M2 FV12.8.351.47 DV12.8.0.10", "fc", "LPe32002-M2"),
        ({"proc_name": "qla2xxx"}, "QLE8362 FW:v8.03.00 DVR:v10.01.00.57.08", "fcoe", "QLE8362"),
        ({"proc_name": "bnx2fc"}, "bnx2fc (QLogic BCM57840) v2.10.3 over eth2", "fcoe", "QLogic BCM57840"),
        ({"proc_name": "zfcp"}, "IBM     3906", "fc", ""),
    ],
)
def test_model_and_kind_of_adapters_that_tell_them_in_their_symbolic_name(
    tmp_path: Path, attributes: dict[str, str], symbolic_name: str, kind: str, model: str
) -> None:
    port = {**scsi_host(1, LSI, **attributes), **member("fc_host", "host1", f"/sys/devices/{LSI}/host1", symbolic_name=symbolic_name)}
    hba = only(plant(tmp_path, port))
    assert (hba.kind, hba.model) == (kind, model)


def test_a_driver_that_does_not_name_itself_is_named_by_its_pci_function(tmp_path: Path) -> None:
    assert only(plant(tmp_path, FC_PORT, {f"{QLOGIC_HOST}/scsi_host/host7/proc_name": "<NULL>"})).driver == "qla2xxx"


def test_a_virtual_port_on_a_physical_one_belongs_to_its_virtual_machine(tmp_path: Path) -> None:
    directory = f"{QLOGIC}/host7/vport-7:0-0"
    virtual = {
        **scsi_host(12, directory, proc_name="qla2xxx"),
        **member("fc_host", "host12", f"/sys/devices/{directory}/host12", port_name="0x5001a4aaaaaaaa01", port_type="NPIV VPORT"),
    }
    (carrier,) = hbas(plant(tmp_path, FC_PORT, virtual))
    assert (carrier.name, carrier.initiator) == ("host7", only(plant(tmp_path / "alone", FC_PORT)).initiator)
    assert carrier.vports == [VirtualPort("host12", "offline", port_wwn="50:01:a4:aa:aa:aa:aa:01")]


def test_a_port_carries_only_its_own_virtual_ports(tmp_path: Path) -> None:
    other = f"{QLOGIC}/host70/vport-70:0-0"
    virtual = {
        **scsi_host(12, other, proc_name="qla2xxx"),
        **member("fc_host", "host12", f"/sys/devices/{other}/host12", port_name="0x5001a4aaaaaaaa01", port_state="Online"),
    }
    assert only(plant(tmp_path, FC_PORT, virtual)).vports == []


@pytest.mark.parametrize(("told", "limit"), [("254", 254), ("0", None), ("<NULL>", None), (None, None)])
def test_a_port_tells_how_many_virtual_ones_it_can_carry(tmp_path: Path, told: str | None, limit: int | None) -> None:
    attribute = {f"{QLOGIC_HOST}/fc_host/host7/max_npiv_vports": told} if told else {}
    assert only(plant(tmp_path, FC_PORT, attribute)).vports_max == limit


def test_a_port_without_a_name_has_no_initiator(tmp_path: Path) -> None:
    hba = only(plant(tmp_path, FC_PORT, {f"{QLOGIC_HOST}/fc_host/host7/port_name": "0xffffffffffffffff"}))
    assert (hba.port_wwn, hba.initiator) == ("", None)


def test_software_iscsi_is_one_adapter_with_all_its_sessions(tmp_path: Path) -> None:
    hba = only(plant(tmp_path, BARE_METAL, SOFTWARE_ISCSI))
    assert (hba.name, hba.kind, hba.status, hba.driver) == ("iscsi_tcp", "iscsi_software", "online", "iscsi_tcp")
    assert hba.iqn == hba.initiator == "iqn.1993-08.org.debian:01:db01a7"
    assert hba.portals == [Portal("192.0.2.11"), Portal("192.0.2.12")]
    assert [(path.name, path.device, path.target, path.state) for path in hba.paths] == [
        (ScsiName(NAA), "/dev/sdd", "iqn.1992-08.com.netapp:sn.4ee1:vs.3", "active")
    ]


def test_software_iscsi_is_there_before_its_first_session(tmp_path: Path) -> None:
    hba = only(plant(tmp_path, INITIATOR_FILE))
    assert (hba.iqn, hba.status, hba.portals, hba.paths) == ("iqn.1993-08.org.debian:01:db01a7", "unknown", [], [])


def test_software_iscsi_whose_sessions_all_failed_is_offline(tmp_path: Path) -> None:
    failed = {f"{SESSION}/iscsi_session/session1/state": "FAILED"}
    assert only(plant(tmp_path, SOFTWARE_ISCSI, failed)).status == "offline"


def test_a_session_under_another_initiator_name_is_another_adapter(tmp_path: Path) -> None:
    other = {
        f"{ISCSI_HOST}/iscsi_host/host9/initiatorname": "iqn.2026-01.example:second",
        f"{SESSION}/iscsi_session/session1/initiatorname": "iqn.2026-01.example:second",
    }
    assert [(hba.name, hba.iqn) for hba in hbas(plant(tmp_path, SOFTWARE_ISCSI, other))] == [
        ("iscsi_tcp", "iqn.1993-08.org.debian:01:db01a7"),
        ("iscsi_tcp:iqn.2026-01.example:second", "iqn.2026-01.example:second"),
    ]


def test_an_iscsi_offload_adapter_has_a_name_and_a_speed_of_its_own(tmp_path: Path) -> None:
    hardware, software = hbas(plant(tmp_path, HARDWARE_ISCSI))
    assert (hardware.name, hardware.kind, hardware.status, hardware.speed_gbit_s) == ("host10", "iscsi_hardware", "online", 25.0)
    assert (hardware.iqn, hardware.driver, hardware.pci) == ("iqn.2000-04.com.qlogic:qedi.gs1", "qedi", "0000:81:00.4")
    assert (software.kind, software.iqn) == ("iscsi_software", "iqn.1993-08.org.debian:01:db01a7")


def test_an_offload_adapter_without_a_name_goes_by_the_machine_s(tmp_path: Path) -> None:
    unnamed = {f"/sys/devices/{OFFLOAD}/host10/iscsi_host/host10/initiatorname": "<NULL>"}
    assert hbas(plant(tmp_path, HARDWARE_ISCSI, unnamed))[0].iqn == "iqn.1993-08.org.debian:01:db01a7"


def test_a_sas_adapter_has_the_speed_of_its_fastest_own_phy_and_is_no_initiator_for_an_array(tmp_path: Path) -> None:
    hba = only(plant(tmp_path, SAS))
    assert (hba.kind, hba.model, hba.driver, hba.status, hba.speed_gbit_s) == ("sas", "SAS9300-8e", "mpt3sas", "online", 12.0)
    assert (hba.port_wwn, hba.initiator) == ("50:06:05:b0:0a:1b:2c:3d", None)


@pytest.mark.parametrize("driver", ["ahci", "ata_piix", "usb-storage", "uas"])
def test_controllers_of_local_disks_are_left_out(tmp_path: Path, driver: str) -> None:
    assert hbas(plant(tmp_path, scsi_host(0, "pci0000:00/0000:00:17.0", proc_name=driver))) == []


VIRTUAL = "pci0000:00/0000:00:10.0"


@pytest.mark.parametrize(
    ("controller", "kind"),
    [
        pytest.param({**scsi_host(2, f"{VIRTUAL}/virtio2", proc_name="virtio_scsi")}, "other", id="virtio-scsi"),
        pytest.param(
            {**pci_function(VIRTUAL, "vmw_pvscsi", "0x15ad", "0x15ad"), **scsi_host(2, VIRTUAL, proc_name="vmw_pvscsi")},
            "other",
            id="pv",
        ),
        pytest.param(
            {
                **pci_function(VIRTUAL, "mptsas", "0x1000", "0x15ad"),
                **scsi_host(2, VIRTUAL, proc_name="mptsas"),
                **member("sas_host", "host2", f"/sys/devices/{VIRTUAL}/host2"),
                f"/sys/devices/{VIRTUAL}/host2/sas_host/host2/uevent": "",
            },
            "other",
            id="VMware's emulation of an LSI SAS adapter",
        ),
        pytest.param(
            {**pci_function(VIRTUAL, "megaraid_sas", "0x1000", "0x1028"), **scsi_host(2, VIRTUAL, proc_name="megaraid_sas")},
            "block",
            id="a RAID controller",
        ),
    ],
)
def test_what_is_no_adapter_of_a_san_is_listed_but_never_an_initiator(tmp_path: Path, controller: Machine, kind: str) -> None:
    hba = only(plant(tmp_path, controller))
    assert (hba.kind, hba.status, hba.initiator) == (kind, "online", None)


def test_nvme_over_fabrics_is_one_adapter_per_transport(tmp_path: Path) -> None:
    controllers = {
        "/sys/class/nvme/nvme0/transport": "pcie",
        "/sys/class/nvme/nvme1/transport": "tcp",
        "/sys/class/nvme/nvme1/state": "live",
        "/sys/class/nvme/nvme1/hostnqn": "nqn.2014-08.org.nvmexpress:uuid:5d1f",
        "/sys/class/nvme/nvme1/subsysnqn": "nqn.1992-08.com.netapp:sn.1:subsystem.s1",
        "/sys/class/nvme/nvme1/nvme1c1n1/ana_state": "inaccessible",
        "/sys/class/nvme/nvme2/transport": "tcp",
        "/sys/class/nvme/nvme2/state": "connecting",
        "/sys/class/nvme/nvme2/subsysnqn": "nqn.1992-08.com.netapp:sn.1:subsystem.s1",
        "/sys/class/nvme/nvme2/nvme1c2n1/ana_state": "optimized",
    }
    hba = only(plant(tmp_path, controllers))
    assert (hba.name, hba.kind, hba.status, hba.alias, hba.initiator) == (
        "nvme-tcp",
        "nvme_tcp",
        "online",
        "nqn.2014-08.org.nvmexpress:uuid:5d1f",
        None,
    )
    assert [(path.device, path.state) for path in hba.paths] == [("/dev/nvme1n1", "standby"), ("/dev/nvme1n1", "unknown")]


def test_adapters_come_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    root = plant(tmp_path, SAS, SOFTWARE_ISCSI, CONVERGED, FC_PORT)
    assert [hba.name for hba in hbas(root)] == ["host7", "host8", "host11", "iscsi_tcp"]


def test_a_machine_without_sysfs_has_no_adapters(tmp_path: Path) -> None:
    assert hbas(tmp_path) == []


def test_two_names_in_one_page_are_no_identity(tmp_path: Path) -> None:
    page = {f"{QLOGIC_TARGET}/7:0:0:1/vpd_pg83": naa_page(NAA, OTHER_NAA)}
    assert only(plant(tmp_path, FC_PORT, page)).paths[0].name is None


def test_an_old_kernel_without_the_page_gives_the_name_as_wwid(tmp_path: Path) -> None:
    disk = scsi_disk("7:0:0:5", "sdf", QLOGIC_TARGET, wwid=f"naa.{NAA}")
    paths = {path.device: path for path in only(plant(tmp_path, FC_PORT, disk)).paths}
    assert paths["/dev/sdf"].name == ScsiName(NAA)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("InitiatorName=iqn.1994-05.com.redhat:9a8b7c", "iqn.1994-05.com.redhat:9a8b7c"),
        ("# InitiatorName=iqn.2001-01.org:old\nInitiatorName=IQN.1994-05.com.redhat:9A8B7C # new\n", "iqn.1994-05.com.redhat:9a8b7c"),
        ("GenerateName=yes\n", ""),
        ("InitiatorName=db01", ""),
        ("", ""),
    ],
)
def test_the_initiator_name_of_open_iscsi(text: str, name: str) -> None:
    assert parse_initiator_name(text) == name


@given(st.text())
def test_no_initiator_name_file_makes_it_fail(text: str) -> None:
    assert parse_initiator_name(text) == ""


@given(st.text(alphabet=" \t=#'\"\\\nInitiatorNameiqn.2026-01:x"))
def test_an_initiator_name_is_always_lower_case_and_of_the_grammar(text: str) -> None:
    name = parse_initiator_name(text)
    assert name == name.lower()
    assert name == "" or name.startswith(("iqn.", "eui.", "naa."))
