# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The vendor's own Python client: login, a slave that sends on, the life of a LUN in a VM, refusals."""

from __future__ import annotations

import ssl
import xmlrpc.client
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from xml.etree import ElementTree

import pytest
from XenAPI import Failure, Session

from tests.conformance.xen.conftest import SPARE, Lab
from tests.lab.xen.shapes import CLASSES
from tests.lab.xen_world import hbas, vdi_uuid

VM = "xenapp01"


class Transport(xmlrpc.client.SafeTransport):
    """HTTPS with the lab's authority, and the header hooks that the client wants of a transport."""

    def __init__(self, authority: str) -> None:
        super().__init__(context=ssl.create_default_context(cafile=authority))


@contextmanager
def session_at(lab: Lab, host: str = "xen01.lab") -> Iterator[Any]:
    opened = Session(lab.of(host), transport=Transport(lab.pool.ca_path))
    try:
        yield opened
    finally:
        opened("close")()


@pytest.fixture
def session(lab: Lab) -> Iterator[Any]:
    with session_at(lab) as opened:
        opened.xenapi.login_with_password(lab.pool.username, lab.pool.password, "1.0", "conformance")
        yield opened
        opened.xenapi.session.logout()


def refusal(call: Any, *arguments: Any) -> list[str]:
    """Return how the pool refuses a call."""
    with pytest.raises(Failure) as failure:
        call(*arguments)
    return list(failure.value.details)


def drive(session: Any, vdi: str, vm: str = VM, **other: Any) -> dict[str, Any]:
    (found,) = session.xenapi.VM.get_by_name_label(vm)
    record = {"VM": found, "VDI": vdi, "userdevice": "autodetect", "bootable": False, "mode": "RW", "type": "Disk", "empty": False}
    return {**record, "other_config": {}, "qos_algorithm_type": "", "qos_algorithm_params": {}, **other}


def repository(session: Any, kind: str) -> str:
    (found,) = [ref for ref, row in session.xenapi.SR.get_all_records().items() if row["type"] == kind]
    return str(found)


def test_a_wrong_password_is_refused(lab: Lab) -> None:
    with session_at(lab) as opened:
        details = refusal(opened.xenapi.login_with_password, lab.pool.username, "wrong")
    assert details[:2] == ["SESSION_AUTHENTICATION_FAILED", lab.pool.username]


def test_a_slave_sends_to_the_master(lab: Lab) -> None:
    with session_at(lab, "xen02.lab") as opened:
        details = refusal(opened.xenapi.login_with_password, lab.pool.username, lab.pool.password)
    assert details == ["HOST_IS_SLAVE", "127.0.0.1"]


READ_WHOLE = [
    name for name, shape in CLASSES.items() if "get_all_records" in shape.messages and not shape.messages["get_all_records"].removed
]


@pytest.mark.parametrize("kind", READ_WHOLE)
def test_every_class_is_told_with_all_of_its_fields(session: Any, kind: str) -> None:
    records = getattr(session.xenapi, kind).get_all_records()
    assert all(set(record) == set(CLASSES[kind].fields) for record in records.values())


def test_a_lun_becomes_a_disk_of_a_running_vm_and_goes_again(lab: Lab, session: Any) -> None:
    xapi, luns = session.xenapi, repository(session, "iscsi")
    assert refusal(xapi.VDI.get_by_uuid, vdi_uuid(SPARE)) == ["UUID_INVALID", "VDI", vdi_uuid(SPARE)]
    lab.map_spare()
    assert refusal(xapi.VDI.get_by_uuid, vdi_uuid(SPARE))[0] == "UUID_INVALID"
    xapi.SR.scan(luns)
    vdi = xapi.VDI.get_by_uuid(vdi_uuid(SPARE))
    assert (xapi.VDI.get_sm_config(vdi)["SCSIid"], xapi.VDI.get_managed(vdi)) == (f"3{SPARE}", True)
    vbd = xapi.VBD.create(drive(session, vdi))
    xapi.VBD.plug(vbd)
    assert (xapi.VBD.get_userdevice(vbd), xapi.VBD.get_device(vbd), xapi.VBD.get_currently_attached(vbd)) == ("1", "xvdb", True)
    assert lab.control("GET", "/state")["vms"][VM]["slots"][1] == f"  1 raw {SPARE}"
    assert refusal(xapi.VBD.destroy, vbd)[0] == "OPERATION_NOT_ALLOWED"
    xapi.VBD.unplug(vbd)
    xapi.VBD.destroy(vbd)
    assert len(lab.control("GET", "/state")["vms"][VM]["slots"]) == 1


def test_what_a_vm_writes_another_does_not_get(session: Any) -> None:
    (vdi,) = [row["VDI"] for row in session.xenapi.VBD.get_all_records().values() if row["other_config"].get("backend-kind")]
    vbd = session.xenapi.VBD.create(drive(session, vdi))
    assert refusal(session.xenapi.VBD.plug, vbd) == ["VDI_IN_USE", vdi]


def test_a_probe_answers_in_the_third_detail_of_its_refusal(session: Any) -> None:
    (host,) = session.xenapi.host.get_by_name_label("xen02.lab")
    details = refusal(session.xenapi.SR.probe, host, {}, "lvmohba", {})
    ports = [element.text for element in ElementTree.fromstring(details[3]).findall("Adapter/fc_host/port_name")]
    assert details[0] == "SR_BACKEND_FAILURE_107"
    assert ports == ["0x" + hba["wwpn"].replace(":", "") for hba in hbas("xen02") if "wwpn" in hba]


def test_a_lun_becomes_a_repository_with_one_raw_volume(lab: Lab, session: Any) -> None:
    xapi = session.xenapi
    lab.map_spare("xen_fc")
    master = xapi.pool.get_master(xapi.pool.get_all()[0])
    arguments: tuple[Any, ...] = ({"SCSIid": f"3{SPARE}"}, "0", "spare", "", "lvmohba", "", True, {})
    assert refusal(xapi.SR.create, master, *arguments)[0] == "SR_BACKEND_FAILURE_19"
    refusal(xapi.SR.probe, master, {}, "lvmohba", {})
    made = xapi.SR.create(master, *arguments)
    assert all(xapi.PBD.get_currently_attached(pbd) for pbd in xapi.SR.get_PBDs(made))
    left = int(xapi.SR.get_physical_size(made)) - int(xapi.SR.get_physical_utilisation(made))
    size = str(left // 4194304 * 4194304)
    wish = {"SR": made, "virtual_size": size, "type": "user", "sharable": False, "read_only": False, "other_config": {}}
    vdi = xapi.VDI.create({**wish, "sm_config": {"type": "raw"}, "name_label": "spare"})
    assert (xapi.VDI.get_virtual_size(vdi), xapi.VDI.get_sm_config(vdi)["vdi_type"]) == (size, "aio")
    assert refusal(xapi.VDI.create, wish)[0] == "SR_BACKEND_FAILURE_44"
    assert refusal(xapi.SR.create, master, *arguments) == ["SR_DEVICE_IN_USE"]


def test_a_task_ends_with_its_result(lab: Lab, session: Any) -> None:
    lab.map_spare()
    task = session.xenapi.Async.SR.scan(repository(session, "iscsi"))
    token = ""
    while session.xenapi.task.get_status(task) == "pending":
        token = session.xenapi.event_from([f"task/{task}"], token, 10.0)["token"]
    assert (session.xenapi.task.get_status(task), session.xenapi.task.get_error_info(task)) == ("success", [])
    assert session.xenapi.VDI.get_by_uuid(vdi_uuid(SPARE))
    session.xenapi.task.destroy(task)


def test_wrong_shapes_are_refused(session: Any) -> None:
    xapi = session.xenapi
    assert refusal(xapi.VBD.plug) == ["MESSAGE_PARAMETER_COUNT_MISMATCH", "VBD.plug", "1", "0"]
    assert refusal(xapi.VBD.explode, "x") == ["MESSAGE_METHOD_UNKNOWN", "VBD.explode"]
    assert refusal(xapi.VBD.plug, "OpaqueRef:none") == ["HANDLE_INVALID", "VBD", "OpaqueRef:none"]
    assert refusal(xapi.VBD.create, {"VM": "x"})[0] == "INTERNAL_ERROR"


def test_after_the_logout_the_session_is_nobodys(lab: Lab) -> None:
    with session_at(lab) as opened:
        opened.xenapi.login_with_password(lab.pool.username, lab.pool.password)
        handle = opened._session
        opened.xenapi.session.logout()
    with xmlrpc.client.ServerProxy(lab.url, transport=Transport(lab.pool.ca_path)) as anybody:
        answer = anybody.VM.get_all(handle)
    assert answer == {"Status": "Failure", "ErrorDescription": ["SESSION_INVALID", handle]}
