# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Asynchronous work: a job is queued, runs for a while, does its work at the end, and tells how that went."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.lab.ontap.errors import OntapError
from tests.lab.ontap.query import Record
from tests.lab.ontap.state import new_uuid, now


@dataclass(eq=False)
class Job:
    """One piece of work."""

    description: str
    uuid: str = field(default_factory=new_uuid)
    state: str = "running"
    started: str = field(default_factory=now)
    ended: str | None = None
    failure: OntapError | None = None
    result: Any = None
    done: threading.Event = field(default_factory=threading.Event)

    def record(self) -> Record:
        """Return the job as ``/api/cluster/jobs/{uuid}`` shows it: the code is an integer there."""
        record: Record = {
            "uuid": self.uuid,
            "description": self.description,
            "state": self.state,
            "message": self.failure.message if self.failure else self.state,
            "code": self.failure.code if self.failure else 0,
            "start_time": self.started,
        }
        if self.ended:
            record["end_time"] = self.ended
        if self.failure:
            record["error"] = {"message": self.failure.message, "code": str(self.failure.code)}
        return record

    def run(self, work: Callable[[], Any]) -> None:
        """Do the work and note its outcome."""
        try:
            self.result = work()
            self.state = "success"
        except OntapError as error:
            self.failure, self.state = error, "failure"
        self.ended = now()
        self.done.set()


class Jobs:
    """The jobs of the cluster."""

    def __init__(self) -> None:
        self._jobs: dict[str, Job] = {}
        self._lock = threading.Lock()

    def start(self, description: str, work: Callable[[], Any], seconds: float) -> Job:
        """Return a running job that does ``work`` after ``seconds``."""
        job = Job(description)
        with self._lock:
            self._jobs[job.uuid] = job
        timer = threading.Timer(seconds, job.run, [work])
        timer.daemon = True
        timer.start()
        return job

    def records(self) -> list[Record]:
        """Return every job, oldest first."""
        with self._lock:
            return [job.record() for job in self._jobs.values()]

    def clear(self) -> None:
        """Forget every job."""
        with self._lock:
            self._jobs.clear()
