# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Methods that go on after they have answered: CIM's return values and `CIM_ConcreteJob`.

States and return values are those of the DMTF's CIM schema, as `Msvm_ConcreteJob` and `Msvm_VirtualSystemManagementService` document them.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import MappingProxyType

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import (
    CrossvisorError,
    OutcomeUnknown,
    RemoteError,
    TimedOut,
    in_one_sentence,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire import wsman_fault
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.cim import RETURN_VALUE, CimClient, Keys
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.cim_types import CimClass, CimInstance, CimValue, Types
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.wsman_envelope import Reference

COMPLETED = 0
JOB_STARTED = 4096
RETURN_VALUES: Mapping[int, str] = MappingProxyType(
    {
        1: "not supported",
        2: "unknown error",
        3: "timeout",
        4: "failed",
        5: "invalid parameter",
        6: "access denied",
        32768: "failed",
        32769: "access denied",
        32770: "not supported",
        32771: "status is unknown",
        32772: "timeout",
        32773: "invalid parameter",
        32774: "system is in use",
        32775: "invalid state for this operation",
        32776: "incorrect data type",
        32777: "system is not available",
        32778: "out of memory",
        32779: "file not found",
    }
)

_JOB_TYPES: Types = {
    "JobState": "uint16",
    "ErrorCode": "uint16",
    "ErrorDescription": "string",
    "ErrorSummaryDescription": "string",
    "PercentComplete": "uint16",
    "Caption": "string",
    "InstanceID": "string",
}
_UNDER_WAY = frozenset({2, 3, 4, 5, 6})
"""New, starting, running, suspended, shutting down."""
_DONE = frozenset({7, 32768})
"""Completed, and Hyper-V's own completed with warnings."""
_POLL_SHORTEST = 0.1
_POLL_LONGEST = 2.0


def perform(
    client: CimClient,
    cim_class: CimClass,
    method: str,
    keys: Keys | CimInstance | None = None,
    parameters: Mapping[str, CimValue] | None = None,
    *,
    timeout: float,
    outputs: Types | None = None,
    meanings: Mapping[int, str] = RETURN_VALUES,
) -> CimInstance:
    """Call a method, wait at most `timeout` seconds for the job that it may start, and return the outputs of the call.

    `meanings` has the text for return values. Raises `RemoteError` with the return value as `code`, and what `follow_job` raises.
    """
    answer = client.call(cim_class, method, keys, parameters, outputs=outputs)
    value = answer.integer(RETURN_VALUE)
    if value == JOB_STARTED:
        job = answer.reference("Job")
        if job is None:
            raise OutcomeUnknown(f"{method} started a job but did not say which: look whether it was done, then run this task again.")
        follow_job(client, job, timeout)
    elif value not in (None, COMPLETED):
        raise RemoteError(f"{method} failed with return value {value} ({meanings.get(value, 'not documented')}).", str(value))
    return answer


def follow_job(client: CimClient, job: Reference, timeout: float) -> CimInstance:
    """Wait until a job is done and return it as it was then.

    Raises `RemoteError` with the job's own text, and its error code as `code`; `TimedOut` when it is still under way after `timeout`
    seconds: it goes on then; `OutcomeUnknown` when it cannot be asked any more.
    """
    deadline = time.monotonic() + timeout
    pause = _POLL_SHORTEST
    while True:
        now = _look_at(client, job)
        state = now.integer("JobState")
        if state in _DONE:
            return now
        if state not in _UNDER_WAY:
            raise RemoteError(_failure(now), str(now.integer("ErrorCode") or ""))
        if time.monotonic() + pause > deadline:
            raise TimedOut(
                f"{_title(now)} is at {now.integer('PercentComplete') or 0} % after {timeout:g} s and goes on: "
                "look at it, then run this task again."
            )
        time.sleep(pause)
        pause = min(pause * 1.5, _POLL_LONGEST)


def is_under_way(job: CimInstance) -> bool:
    """Whether a job has not ended yet, by its `JobState`."""
    return job.integer("JobState") in _UNDER_WAY


def _look_at(client: CimClient, job: Reference) -> CimInstance:
    try:
        return client.follow(job, _JOB_TYPES)
    except CrossvisorError as error:
        if isinstance(error, RemoteError) and error.code in wsman_fault.MISSING:
            raise OutcomeUnknown("A job was started but is gone: look whether its work was done, then run this task again.") from error
        raise OutcomeUnknown(f"A job was started, but it cannot be asked how it ended: {error}") from error


def _title(job: CimInstance) -> str:
    return f"The job '{job.text('Caption') or job.text('InstanceID')}'"


def _failure(job: CimInstance) -> str:
    told = in_one_sentence(job.text("ErrorDescription") or job.text("ErrorSummaryDescription") or "no reason was given")
    return f"{_title(job)} failed in state {job.integer('JobState')}: {told}"
