# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Faults of the vSphere API, told to a person."""

from __future__ import annotations

from typing import Any

import pytest
from pyVmomi import vim, vmodl
from pyVmomi.VmomiSupport import GetWsdlType

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import Overtaken, RemoteError
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.vmware import faults

SUBJECT = faults.Subject(lun="naa.600a0980383030304f4b4f4c4e6f3175", vm="db01", host="esx01.lab", datastore="ds_single")


def refusal(fault: Any) -> RemoteError:
    """The error that a call or a task raises for this fault."""
    error = RemoteError(f"refused: {fault.msg}", type(fault)._wsdlName)
    error.__cause__ = fault
    return error


@pytest.mark.parametrize("name", faults.MEANINGS)
def test_every_meaning_is_of_a_fault_that_the_api_has_and_fills_its_sentence(name: str) -> None:
    told = faults.explain(refusal(GetWsdlType("urn:vim25", name)(msg="Because.")), SUBJECT)
    assert told.code == name
    assert f"({name}: Because): " in str(told)
    assert "{" not in str(told)
    assert str(told).endswith(".")


@pytest.mark.parametrize("name", faults.MEANINGS)
def test_planning_anew_may_help_only_where_somebody_else_changed_the_vm(name: str) -> None:
    told = faults.explain(refusal(GetWsdlType("urn:vim25", name)(msg="Because.")), SUBJECT)
    assert isinstance(told, Overtaken) == (name in {"TaskInProgress", "ConcurrentAccess", "InvalidController"})


def test_what_extends_such_a_fault_is_one_too() -> None:
    assert isinstance(faults.explain(refusal(vim.fault.VAppTaskInProgress(msg="x")), SUBJECT), Overtaken)


def test_the_sentence_names_the_objects_what_vsphere_said_and_the_way_out() -> None:
    told = faults.explain(refusal(vim.fault.NoDiskSpace(msg="No space left on device.", datastore="ds_single")), SUBJECT)
    assert str(told) == (
        "datastore ds_single has no room for the mapping file of LUN naa.600a0980383030304f4b4f4c4e6f3175 "
        "(NoDiskSpace: No space left on device): free some space there, or name another one in datastore "
        "(in a role, the variable that ends in _datastore)."
    )


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (vim.fault.VAppTaskInProgress(msg="x"), "is busy with another task"),
        (vim.fault.CannotAccessVmDisk(msg="x"), "cannot reach what backs a device"),
        (vim.fault.InvalidDeviceBacking(msg="x"), "as a raw disk"),
        (vmodl.fault.HostNotReachable(msg="x"), "vCenter cannot talk to host esx01.lab"),
    ],
)
def test_a_fault_without_a_meaning_of_its_own_is_told_by_the_one_that_it_extends(fault: Any, expected: str) -> None:
    assert expected in str(faults.explain(refusal(fault), SUBJECT))


def test_details_that_vsphere_gives_are_kept() -> None:
    fault = vim.fault.GenericVmConfigFault(
        msg="Invalid configuration.", faultMessage=[vmodl.LocalizableMessage(key="k", message="LUN is in use.")]
    )
    assert "Invalid configuration.; LUN is in use" in str(faults.explain(refusal(fault), SUBJECT))


def test_a_refusal_that_is_not_known_stays_as_it_is() -> None:
    error = refusal(vmodl.fault.SystemError(msg="Boom.", reason="x"))
    assert faults.explain(error, SUBJECT) is error


def test_a_refusal_without_its_fault_is_told_by_its_code() -> None:
    assert "is busy" in str(faults.explain(RemoteError("injected", "TaskInProgress"), SUBJECT))


def test_only_refusals_are_turned() -> None:
    with pytest.raises(ValueError, match="ours"), faults.explained(SUBJECT):
        raise ValueError("ours")
