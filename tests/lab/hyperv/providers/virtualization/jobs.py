# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Jobs of the services, and why they failed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tests.lab.hyperv.cim import Row, Value
from tests.lab.hyperv.estate import JOB_COMPLETED, JOB_FAILED, Job
from tests.lab.hyperv.faults import not_found
from tests.lab.hyperv.namespaces import Call
from tests.lab.hyperv.providers.virtualization.kinds import DONE, STATUS_OK
from tests.lab.hyperv.providers.virtualization.paths import Paths
from tests.lab.hyperv.xml_values import cim_xml


class Jobs:
    """The instances and their methods."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self._estate = paths.estate
        self._machine = paths.machine

    def instances(self) -> Iterator[Row]:
        """Yield the jobs of this host."""
        for job in self._estate.jobs.values():
            if job.host == self._machine.name:
                yield _job_row(job)

    def jobs_of_systems(self) -> Iterator[Row]:
        """Yield the links of VMs to the jobs that change them."""
        vms = {vm.id: vm for vm in self._paths.vms()}
        for job in self._estate.jobs.values():
            if job.host == self._machine.name and job.vm in vms:
                yield {"AffectedElement": self._paths.system_path(vms[job.vm]), "AffectingElement": self._paths.job_path(job)}

    def _job(self, call: Call) -> Job:
        job = self._estate.jobs.get(call.key("InstanceID"))
        if job is None:
            raise not_found(call.key("InstanceID"))
        return job

    def error(self, call: Call) -> Mapping[str, Value]:
        """Return why the job failed, as GetError does."""
        job = self._job(call)
        return {"ReturnValue": DONE, "Error": _error_xml(job) if job.state == JOB_FAILED else None}

    def errors(self, call: Call) -> Mapping[str, Value]:
        """Return why the job failed, as GetErrorEx does."""
        job = self._job(call)
        return {"ReturnValue": DONE, "Errors": [_error_xml(job)] if job.state == JOB_FAILED else []}


def _job_row(job: Job) -> Row:
    done = job.state in (JOB_COMPLETED, JOB_FAILED)
    return {
        "InstanceID": job.id,
        "Name": "Msvm_ConcreteJob",
        "Caption": job.caption,
        "ElementName": job.caption,
        "Description": job.caption,
        "JobState": job.state,
        "JobStatus": {JOB_COMPLETED: "OK", JOB_FAILED: "Error"}.get(job.state, "Job is running"),
        "PercentComplete": 100 if done else 50,
        "ErrorCode": job.code,
        "ErrorDescription": job.message,
        "ErrorSummaryDescription": job.message.partition(". ")[0],
        "StartTime": job.started,
        "TimeSubmitted": job.started,
        "ElapsedTime": "00000000000000.050000:000",
        "DeleteOnCompletion": False,
        "Cancellable": False,
        "OperationalStatus": [STATUS_OK],
        "HealthState": 5,
        "JobType": 0,
    }


def _error_xml(job: Job) -> str:
    return cim_xml("Msvm_Error", {"ErrorSource": ("string", job.id), "Message": ("string", job.message), "CIMStatusCode": ("uint32", 1)})
