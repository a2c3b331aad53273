# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the pool takes for a call: sessions, names, numbers and types of parameters, records."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from tests.lab.xen.errors import Failure
from tests.lab.xen.running import PASSWORD, USERNAME, Lab
from tests.lab.xen.shapes import Stamp, read

SLAVE = "xen02.lab"


def refusal(lab: Lab, host: str, name: str, *parameters: Any) -> list[str]:
    with pytest.raises(Failure) as failure:
        lab.apis[host].call(name, list(parameters))
    return failure.value.description


def test_a_slave_sends_to_the_master_whatever_the_password_is(lab: Lab) -> None:
    assert refusal(lab, SLAVE, "session.login_with_password", USERNAME, "wrong") == ["HOST_IS_SLAVE", "127.0.0.1"]
    assert refusal(lab, SLAVE, "VM.get_all", lab.session) == ["HOST_IS_SLAVE", "127.0.0.1"]


def test_a_slave_does_not_know_a_session_that_the_master_does_not(lab: Lab) -> None:
    assert refusal(lab, SLAVE, "VM.get_all", "OpaqueRef:none") == ["SESSION_INVALID", "OpaqueRef:none"]


@pytest.mark.parametrize(("username", "password"), [("root", "wrong"), ("other", PASSWORD)])
def test_nobody_else_is_let_in(lab: Lab, username: str, password: str) -> None:
    refused = refusal(lab, "xen01.lab", "session.login_with_password", username, password)
    assert refused[:2] == ["SESSION_AUTHENTICATION_FAILED", username]


def test_a_session_ends_with_its_logout(lab: Lab) -> None:
    lab.call("session.logout")
    assert lab.refused("VM.get_all") == ["SESSION_INVALID", lab.session]


@pytest.mark.parametrize(
    ("call", "parameters", "counts"),
    [("VBD.plug", [], ["1", "0"]), ("VBD.plug", ["a", "b"], ["1", "2"]), ("VM.get_all", ["a"], ["0", "1"])],
)
def test_the_number_of_parameters_is_right(lab: Lab, call: str, parameters: list[str], counts: list[str]) -> None:
    assert lab.refused(call, *parameters) == ["MESSAGE_PARAMETER_COUNT_MISMATCH", call, *counts]


def test_a_parameter_with_a_default_may_be_left_out(lab: Lab) -> None:
    assert lab.refused("SR.probe", lab.host("xen01.lab"), {}, "lvmohba")[0] == "SR_BACKEND_FAILURE_107"
    assert lab.refused("SR.probe", lab.host("xen01.lab"), {})[0] == "MESSAGE_PARAMETER_COUNT_MISMATCH"


@pytest.mark.parametrize("call", ["VBD.explode", "Nothing.get_all", "nonsense"])
def test_an_unknown_call_is_refused(lab: Lab, call: str) -> None:
    assert lab.refused(call) == ["MESSAGE_METHOD_UNKNOWN", call]


def test_what_xapi_has_removed_is_refused(lab: Lab) -> None:
    assert lab.refused("VBD_metrics.get_all_records") == ["MESSAGE_REMOVED"]


def test_what_the_lab_does_not_play_is_told_so(lab: Lab) -> None:
    assert lab.refused("VM.checkpoint", lab.vm("xenapp01"), "x") == ["NOT_IMPLEMENTED", "VM.checkpoint"]


@pytest.mark.parametrize(
    ("kind", "value"),
    [("string", 1), ("int", "x"), ("int", True), ("bool", "true"), ("float", 30), ("string set", "a"), ("(string -> string) map", [])],
)
def test_a_value_of_another_type_is_refused(kind: str, value: Any) -> None:
    with pytest.raises(Failure) as failure:
        read(kind, value)
    assert failure.value.code == "INTERNAL_ERROR"


@pytest.mark.parametrize(
    ("kind", "value", "wanted"),
    [
        ("int", "123", 123),
        ("int", 123, 123),
        ("float", 30.5, 30.5),
        ("VDI ref set", ["a"], ["a"]),
        ("(VDI ref -> SR ref) map", {"a": "b"}, {"a": "b"}),
        ("enum vbd_mode", "RW", "RW"),
        ("datetime", "20261128T00:00:00Z", Stamp("20261128T00:00:00Z")),
    ],
)
def test_a_value_of_its_type_is_taken(kind: str, value: Any, wanted: Any) -> None:
    assert read(kind, value) == wanted


def test_an_unknown_value_of_an_enumeration_is_refused(lab: Lab) -> None:
    assert lab.refused("VBD.create", lab.drive("xenapp01", "x", mode="rw"))[0] == "INTERNAL_ERROR"


@pytest.mark.parametrize("field", ["VM", "VDI", "userdevice", "bootable", "mode", "type", "empty", "other_config", "qos_algorithm_type"])
def test_a_record_wants_every_field_without_a_default(lab: Lab, field: str) -> None:
    record = {name: value for name, value in lab.drive("xenapp01", "x").items() if name != field}
    assert lab.refused("VBD.create", record) == ["INTERNAL_ERROR", f'Server_helpers.Dispatcher_FieldNotFound("{field}")']


def test_a_field_that_is_left_out_has_the_default_of_the_data_model(lab: Lab) -> None:
    naa = lab.map_lun("xen_iscsi")
    lab.call("SR.scan", lab.sr("luns"))
    assert lab.row("VBD", lab.give("xenapp01", lab.vdi(naa)))["unpluggable"] is True


def test_a_record_has_no_field_that_the_class_has_not(lab: Lab) -> None:
    assert lab.refused("VBD.create", lab.drive("xenapp01", "x", plugged=True))[0] == "INTERNAL_ERROR"


def test_a_whole_record_may_be_given_back(lab: Lab) -> None:
    naa = lab.map_lun("xen_iscsi")
    lab.call("SR.scan", lab.sr("luns"))
    old = lab.row("VBD", lab.give("xenapp01", lab.vdi(naa)))
    assert lab.call("VBD.create", {**old, "userdevice": "5"})


@pytest.mark.parametrize("kind", ["VM", "VDI", "SR", "host", "pool", "PBD", "VBD"])
def test_what_is_not_there_is_told_by_class_and_name(lab: Lab, kind: str) -> None:
    assert lab.refused(f"{kind}.get_record", "OpaqueRef:none") == ["HANDLE_INVALID", kind, "OpaqueRef:none"]
    assert lab.refused(f"{kind}.get_by_uuid", "none") == ["UUID_INVALID", kind, "none"]


def test_a_key_is_added_once_and_removed_as_often_as_one_likes(lab: Lab) -> None:
    vm = lab.vm("xenapp01")
    lab.call("VM.add_to_other_config", vm, "owner", "me")
    assert lab.refused("VM.add_to_other_config", vm, "owner", "you")[0] == "MAP_DUPLICATE_KEY"
    lab.call("VM.remove_from_other_config", vm, "owner")
    lab.call("VM.remove_from_other_config", vm, "owner")
    assert lab.row("VM", vm)["other_config"] == {}


@pytest.mark.parametrize(("call", "value"), [("VDI.set_sharable", True), ("VDI.set_read_only", True), ("PBD.set_device_config", {})])
def test_what_the_storage_manager_sets_a_client_does_not(lab: Lab, call: str, value: Any) -> None:
    ref = lab.call(f"{call.partition('.')[0]}.get_all")[0]
    assert lab.refused(call, ref, value) == ["PERMISSION_DENIED", ""]


@pytest.mark.parametrize("call", ["VDI.set_managed", "VDI.set_virtual_size", "VM.set_uuid", "VBD.set_VDI"])
def test_what_nobody_sets_has_no_call(lab: Lab, call: str) -> None:
    assert lab.refused(call, "OpaqueRef:any", "") == ["MESSAGE_METHOD_UNKNOWN", call]


def test_every_reference_leads_back(lab: Lab) -> None:
    vms, vbds = lab.call("VM.get_all_records"), lab.call("VBD.get_all_records")
    assert all(vbd in vms[row["VM"]]["VBDs"] for vbd, row in vbds.items())
    assert sum(len(row["VBDs"]) for row in vms.values()) == len(vbds)


def test_a_task_carries_the_result_or_the_refusal(lab: Lab) -> None:
    good = wait(lab, lab.call("Async.SR.scan", lab.sr("luns")))
    assert (good["status"], good["result"], good["error_info"]) == ("success", "", [])
    bad = wait(lab, lab.call("Async.VBD.plug", "OpaqueRef:none"))
    assert (bad["status"], bad["error_info"]) == ("failure", ["HANDLE_INVALID", "VBD", "OpaqueRef:none"])
    naa = lab.map_lun("xen_iscsi")
    lab.call("SR.scan", lab.sr("luns"))
    made = wait(lab, lab.call("Async.VBD.create", lab.drive("xenapp01", lab.vdi(naa))))
    assert made["result"].startswith("<value>OpaqueRef:")


def wait(lab: Lab, task: str) -> Any:
    token = ""
    while lab.row("task", task)["status"] == "pending":
        token = lab.call("event.from", [f"task/{task}"], token, 5.0)["token"]
    return lab.row("task", task)


def test_events_tell_what_came_changed_and_went_since_a_token(lab: Lab) -> None:
    token = lab.call("event.from", ["VBD"], "", 0.0)["token"]
    assert lab.call("event.from", ["VBD"], token, 0.0)["events"] == []
    naa = lab.map_lun("xen_iscsi")
    lab.call("SR.scan", lab.sr("luns"))
    vbd = lab.give("xenapp01", lab.vdi(naa))
    lab.call("VBD.plug", vbd)
    came = lab.call("event.from", ["vbd"], token, 0.0)
    assert [(event["operation"], event["ref"], event["snapshot"]["device"]) for event in came["events"]] == [("add", vbd, "xvdb")]
    lab.call("VBD.unplug", vbd)
    assert [event["operation"] for event in lab.call("event.from", ["*"], came["token"], 0.0)["events"]] == ["mod"]
    lab.call("VBD.destroy", vbd)
    assert [(event["class"], event["operation"]) for event in lab.call("event.from", ["*"], came["token"], 0.0)["events"]] == [
        ("vbd", "del")
    ]


def test_events_wait_for_something_to_happen(lab: Lab) -> None:
    token = lab.call("event.from", ["VM"], "", 0.0)["token"]
    threading.Timer(0.05, lab.call, ("VM.set_name_description", lab.vm("xenapp01"), "new")).start()
    (event,) = lab.call("event.from", ["VM"], token, 30.0)["events"]
    assert event["snapshot"]["name_description"] == "new"


def test_a_token_of_another_shape_is_refused(lab: Lab) -> None:
    assert lab.refused("event.from", ["VM"], "x", 0.0) == ["EVENT_FROM_TOKEN_PARSE_FAILURE", "x"]
    assert lab.refused("event.from", ["VM"], "", 30)[0] == "INTERNAL_ERROR"
