# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lab's array without a process and a socket: what `requests` would send is answered in place, and time passes only by being slept."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import requests
import urllib3
from requests.adapters import BaseAdapter

from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_rest.backend import OntapRest
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_rest.client import OntapClient
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_zapi.backend import OntapZapi
from ansible_collections.crossvisor.san.plugins.module_utils._san.connection import Connection
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.https import HttpsSession
from tests.lab import world
from tests.lab.control import Action, Control, Faults, Query, RequestLog
from tests.lab.ontap.api import Answer, Api, parse_request
from tests.lab.ontap.errors import OntapError
from tests.lab.ontap.jobs import Job, Jobs
from tests.lab.ontap.server import ACTIONS, forced, zapi_answer
from tests.lab.ontap.state import REST, Array
from tests.lab.ontap.zapi.api import Zapi, signature_of
from tests.lab.ontap.zapi.envelope import PATH as ZAPI_PATH
from tests.ontap_backend import Bench, Clock

WORLD = world.build()["array"]


class PromptClock(Clock):
    """Seconds that pass by being slept take none."""

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@dataclass
class Moment:
    """Where a job's end is waited for: an event on a clock that nobody waits for."""

    run: Callable[[], None]
    due: float
    clock: Clock
    happened: bool = False

    def look(self) -> None:
        """Let the work be done when its time has come."""
        if not self.happened and self.clock.time() >= self.due:
            self.happened = True
            self.run()

    def set(self) -> None:
        """Nobody waits."""

    def wait(self, timeout: float) -> bool:
        """Let the time pass, as a server does that keeps an answer back."""
        self.clock.now = max(self.clock.now, min(self.due, self.clock.now + timeout))
        self.look()
        return self.happened


class PromptJobs(Jobs):
    """Jobs that take time on a clock that nobody waits for."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock
        self._moments: list[Moment] = []

    def start(self, description: str, work: Callable[[], Any], seconds: float) -> Job:
        """Return a running job that does ``work`` after ``seconds``."""
        job = Job(description)
        moment = Moment(lambda: job.run(work), self._clock.time() + seconds, self._clock)
        job.done = moment  # type: ignore[assignment]
        self._jobs[job.uuid] = job
        self._moments.append(moment)
        return job

    def pass_time(self) -> None:
        """Do what is due."""
        for moment in self._moments:
            moment.look()


@dataclass
class Interruption:
    """What somebody else does right before, or right after, the first request that matches."""

    match: str
    act: Callable[[], object]
    after: bool


@dataclass
class Wire(BaseAdapter):
    """Carries a request of `requests` to the array, with the faults that were asked for."""

    api: Api
    zapi: Zapi
    jobs: PromptJobs
    faults: Faults
    log: RequestLog
    others: list[Interruption] = field(default_factory=list)
    acting: bool = False
    """Somebody else acts, whom nobody interrupts."""

    def send(self, request: requests.PreparedRequest, *_arguments: Any, **_options: Any) -> requests.Response:
        """Return the array's answer. Raises what `requests` raises when a connection breaks."""
        url = urlsplit(str(request.url))
        method, target = str(request.method), f"{url.path}?{url.query}" if url.query else url.path
        if url.path == ZAPI_PATH:
            method, target = "ZAPI", signature_of(_body(request))
        action = self.faults.take(f"{method} {target}")
        self.jobs.pass_time()
        self._let_others_act(f"{method} {target}", after=False)
        if action.get("drop") == "before":
            raise self._broken(method, target)
        if method == "ZAPI":
            response = self._answer_zapi(request, action)
        else:
            response = _response(request, forced(action) or self._answer(method, target, request, action))
        self._let_others_act(f"{method} {target}", after=True)
        if action.get("drop") == "after":
            raise self._broken(method, target)
        self.log.add(method, target, response.status_code)
        return response

    def close(self) -> None:
        """There is nothing to close."""

    def _let_others_act(self, signature: str, after: bool) -> None:
        others = [] if self.acting else [other for other in self.others if other.after == after and re.search(other.match, signature)]
        for other in others[:1]:
            self.others.remove(other)
            self.acting = True
            other.act()
            self.acting = False

    def _answer_zapi(self, request: requests.PreparedRequest, action: Action) -> requests.Response:
        status, payload = zapi_answer(self.zapi, _body(request), action)
        return _with_payload(request, status, payload, {"Content-Type": "text/xml"})

    def _answer(self, method: str, target: str, request: requests.PreparedRequest, action: Action) -> Answer:
        try:
            return self.api.answer(parse_request(method, target, dict(request.headers), _body(request)), action)
        except OntapError as error:
            return Answer(error.status, error.body())

    def _broken(self, method: str, target: str) -> requests.ConnectionError:
        self.log.add(method, target, 0)
        return requests.ConnectionError(urllib3.exceptions.ProtocolError("Connection aborted.", ConnectionResetError("reset by peer")))


def _body(request: requests.PreparedRequest) -> bytes:
    return request.body if isinstance(request.body, bytes) else str(request.body or "").encode()


def _response(request: requests.PreparedRequest, answer: Answer) -> requests.Response:
    headers = {"Content-Type": "application/hal+json", **answer.headers}
    return _with_payload(request, answer.status, answer.payload, headers)


def _with_payload(request: requests.PreparedRequest, status: int, payload: bytes, headers: Mapping[str, str]) -> requests.Response:
    response = requests.Response()
    response.status_code, response.request, response.url = status, request, str(request.url)
    response._content = payload
    response.headers.update(headers)
    return response


class ArrayInPlace:
    """An array with a control port that is called like a function."""

    port, username, password = 443, "admin", "s3cret"

    def __init__(self, clock: Clock) -> None:
        self.array, self.jobs = Array(WORLD), PromptJobs(clock)
        self.faults, self.log = Faults(ACTIONS), RequestLog()
        self.wire = Wire(Api(self.array, self.jobs), Zapi(self.array), self.jobs, self.faults, self.log)
        switches: Mapping[str, Callable[[Any], None]] = {
            "hide_luns": self._hide_luns,
            "mirror": self.array.add_mirror,
            "owner": lambda wanted: self.array.own_snapshot(wanted["volume"], wanted["snapshot"], wanted["owner"]),
        }
        self._control = Control(
            self.log,
            self.faults,
            self.array.canonical,
            lambda: None,
            Path(),
            {},
            switches,
            {"/release": self._become, "/account": self._admit, "/interface": self._switch},
        )

    def control(self, method: str, path: str, body: Any = None) -> Any:
        """Do what the control port does, and return its JSON."""
        url = urlsplit(path)
        calls: dict[str, Callable[[], tuple[int, Any]]] = {
            "GET": lambda: self._control.get(url.path, parse_qs(url.query)),
            "POST": lambda: self._control.post(url.path, body, parse_qs(url.query)),
            "DELETE": lambda: self._control.delete(url.path),
        }
        status, answer = calls[method]()
        assert status == 200, answer
        return answer

    def _become(self, query: Query) -> None:
        self.array.become(query["version"][0], query.get("disaggregated") == ["true"])

    def _admit(self, query: Query) -> None:
        self.array.admit("".join(query.get("svm", ())), query.get("denied", ()))

    def _switch(self, query: Query) -> None:
        self.array.switch(query["name"][0], query["state"] != ["off"])

    def _hide_luns(self, reads: Any) -> None:
        self.array.hide_next = int(reads)


class BenchInPlace(Bench):
    """The array as one test sees it, in this process."""

    server: ArrayInPlace

    def again(self) -> BenchInPlace:
        """Another array."""
        return fresh(self.transport)

    def meanwhile(self, match: str, act: Callable[[], object], after: bool = False) -> None:
        """Let somebody else act right before the array does the next request that matches, or right after."""
        self.server.wire.others.append(Interruption(match, act, after))

    def stored_lun(self, path: str = "/vol/vol_prod/new") -> Any:
        """The LUN in the array's memory."""
        return next((lun for svm in self.server.array.svms for lun in svm.luns if lun.path == path), None)

    def backend(self) -> OntapRest | OntapZapi:
        backend = super().backend()
        if isinstance(backend, OntapRest):
            self._plug(backend._client._http)
        else:
            self._plug(backend._client._server._session)
        return backend

    def client(self, page_size: int = 1000) -> OntapClient:
        client = super().client(page_size)
        self._plug(client._http)
        return client

    def _plug(self, session: HttpsSession) -> None:
        session._session.mount("https://", self.server.wire)


def fresh(transport: str = REST) -> BenchInPlace:
    """Return an array as the lab's world describes it, which our backend asks over this transport."""
    clock = PromptClock()
    server = ArrayInPlace(clock)
    return BenchInPlace(
        server, Connection("array", "ontap", "127.0.0.1", server.port, server.username, server.password), clock, transport=transport
    )
