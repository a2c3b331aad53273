# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A VM as the target of a change: which may be changed, and how a task that takes too long ends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest
from pyVmomi import vim

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import (
    CrossvisorError,
    NotFound,
    OutcomeUnknown,
    Refused,
    RemoteError,
    TimedOut,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.vmware.changing import (
    Observed,
    VmChange,
    datastore_of,
    hardware_version,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.vmware.faults import Subject
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import IMAGE, PASSTHROUGH, SUSPENDED, VirtualDisk, VirtualMachine
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.vim import VimSession

LUN = ScsiName("600a0980383030304f4b4f4c4e6f3175")
OTHER = ScsiName("600a0980383030304f4b4f4c4e6f3176")
DB01 = VirtualMachine(id="vm-1", name="db01", host="host-1")
SUBJECT = Subject(lun=str(LUN), vm="db01")


def observed(*disks: VirtualDisk, **changes: Any) -> Observed:
    connection = changes.pop("connection", "connected")
    return Observed(replace(DB01, disks=disks, **changes), "7", 19, connection, "ds")


def raw(name: ScsiName | None = LUN, device: str = "vml.x") -> VirtualDisk:
    return VirtualDisk(key="2001", label="Hard disk 2", kind=PASSTHROUGH, name=name, device=device)


@dataclass
class FakeTask:
    """A task that tells, at each look, how it is, and notes that it was cancelled."""

    looks: list[Callable[[], Any]]
    cancelled: bool = False

    def CancelTask(self) -> None:  # noqa: N802 (pyvmomi's name)
        self.cancelled = True


@dataclass
class FakeSession:
    """Of a VimSession, what a VmChange needs to change a VM."""

    task: FakeTask
    spec: Any = None
    recent: Sequence[FakeTask] = ()
    waited_for: list[FakeTask] = field(default_factory=list)

    def managed(self, type_name: str, moid: str) -> Any:
        assert (type_name, moid) == ("VirtualMachine", "vm-1")
        return self

    def ReconfigVM_Task(self, spec: Any) -> FakeTask:  # noqa: N802 (pyvmomi's name)
        self.spec = spec
        return self.task

    def read(self, _managed: Any, *paths: str) -> dict[str, Any]:
        assert paths == ("recentTask",)
        return {"recentTask": self.recent} if self.recent else {}

    def wait(self, task: FakeTask, _timeout: float) -> Any:
        self.waited_for.append(task)
        return task.looks.pop(0)()


def raising(error: CrossvisorError) -> Callable[[], Any]:
    def look() -> Any:
        raise error

    return look


def ending() -> Any:
    return None


def change(*looks: Callable[[], Any]) -> FakeSession:
    session = FakeSession(FakeTask(list(looks)))
    VmChange(cast(VimSession, session), DB01, 30.0).apply(observed(), [], SUBJECT)
    return session


def failing_change(*looks: Callable[[], Any]) -> tuple[FakeTask, CrossvisorError]:
    session = FakeSession(FakeTask(list(looks)))
    with pytest.raises(CrossvisorError) as failure:
        VmChange(cast(VimSession, session), DB01, 30.0).apply(observed(), [], SUBJECT)
    return session.task, failure.value


class TestObserved:
    def test_a_raw_disk_is_found_by_the_identity_of_its_lun(self) -> None:
        assert observed(raw(OTHER), raw(LUN)).disk_of(LUN) == raw(LUN)
        assert observed(raw(OTHER)).disk_of(LUN) is None

    def test_an_image_is_never_taken_for_a_raw_disk(self) -> None:
        assert observed(replace(raw(), kind=IMAGE)).disk_of(LUN) is None

    def test_an_ordinary_vm_may_be_changed(self) -> None:
        observed(raw()).refuse_unless_changeable()

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"template": True}, "VM db01 is a template"),
            ({"power": SUSPENDED}, "VM db01 is suspended"),
            ({"connection": "inaccessible"}, "VM db01 is inaccessible in vCenter"),
        ],
    )
    def test_a_vm_that_takes_no_change_is_refused(self, changes: dict[str, Any], message: str) -> None:
        with pytest.raises(Refused, match=message):
            observed(**changes).refuse_unless_changeable()

    def test_a_raw_disk_that_the_host_does_not_see_might_be_any_lun(self) -> None:
        with pytest.raises(Refused, match=r"does not see \(Hard disk 2\), so nobody can tell whether one of them is LUN"):
            observed(raw(name=None, device="")).refuse_if_hidden(LUN)

    @pytest.mark.parametrize("disk", [raw(OTHER), raw(name=None, device="vml.0100000000"), replace(raw(name=None, device=""), kind=IMAGE)])
    def test_a_disk_that_is_known_to_be_something_else_is_not_in_the_way(self, disk: VirtualDisk) -> None:
        observed(disk).refuse_if_hidden(LUN)


class TestChange:
    def test_it_names_the_configuration_that_was_observed(self) -> None:
        assert change(ending).spec.changeVersion == "7"

    def test_a_refusal_is_told_in_terms_of_the_vm(self) -> None:
        error = RemoteError("Busy.", "TaskInProgress")
        error.__cause__ = vim.fault.TaskInProgress(msg="Busy.")
        _task, told = failing_change(raising(error))
        assert "VM db01 is busy with another task" in str(told)

    @pytest.mark.parametrize("error", [OutcomeUnknown("cannot be followed"), NotFound("no such task")])
    def test_a_task_that_cannot_be_watched_any_more_has_an_unknown_outcome(self, error: CrossvisorError) -> None:
        _task, told = failing_change(raising(error))
        assert isinstance(told, OutcomeUnknown)

    def test_a_task_that_takes_too_long_is_cancelled(self) -> None:
        task, told = failing_change(raising(TimedOut("late")), raising(RemoteError("cancelled by user", "RequestCanceled")))
        assert task.cancelled
        assert isinstance(told, TimedOut)
        assert "VM db01 was not changed within 30 s, so the change was cancelled" in str(told)

    def test_a_task_that_ends_well_while_it_is_cancelled_has_done_its_work(self) -> None:
        assert change(raising(TimedOut("late")), ending).task.cancelled

    def test_a_task_that_cannot_be_cancelled_has_an_unknown_outcome(self) -> None:
        _task, told = failing_change(raising(TimedOut("late")), raising(TimedOut("later")))
        assert isinstance(told, OutcomeUnknown)


class TestSettle:
    def test_every_task_of_the_vm_is_waited_for_whatever_its_end(self) -> None:
        tasks = [FakeTask([raising(RemoteError("failed", "X"))]), FakeTask([ending])]
        session = FakeSession(FakeTask([]), recent=tasks)
        VmChange(cast(VimSession, session), DB01, 30.0).settle()
        assert session.waited_for == tasks

    def test_a_task_that_does_not_end_is_told(self) -> None:
        session = FakeSession(FakeTask([]), recent=[FakeTask([raising(TimedOut("late"))])])
        with pytest.raises(TimedOut):
            VmChange(cast(VimSession, session), DB01, 30.0).settle()


@pytest.mark.parametrize(("text", "version"), [("vmx-14", 14), ("vmx-21", 21), ("", 0), ("vmx-", 0)])
def test_the_version_of_virtual_hardware(text: str, version: int) -> None:
    assert hardware_version(text) == version


@pytest.mark.parametrize(
    ("path", "datastore"), [("[ds 1] db01/db01.vmx", "ds 1"), ("[ds] a [b]/c.vmdk", "ds"), ("[] /vmfs/volumes/x", ""), ("", "")]
)
def test_the_datastore_of_a_path(path: str, datastore: str) -> None:
    assert datastore_of(path) == datastore
