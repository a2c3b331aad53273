# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lab's ONTAP in this process: its state and its REST interface, asked without a socket, one request of the stage at a time."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

import requests
import urllib3

from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_rest.backend import OntapRest
from ansible_collections.crossvisor.san.plugins.module_utils._san.connection import Connection
from tests.lab.ontap import operations
from tests.lab.ontap.api import Answer, Api, parse_request
from tests.lab.ontap.errors import OntapError
from tests.lab.ontap.jobs import Jobs
from tests.lab.ontap.state import Array, Lun, LunMap, Svm
from tests.simulation.stage import Stage

GIB = 1024**3
SVM = "svm_san"
VOLUME = "vol_prod"
HEADERS = {"Accept": "application/json"}


@dataclass
class Session:
    """What the transport takes for a session of `requests`: carries a request to the array in place, when its time has come."""

    array: ArrayInPlace

    def request(self, method: str, url: str, json: Any = None, **_options: Any) -> requests.Response:
        """Return the array's answer. Raises what `requests` raises when a connection breaks."""
        return self.array.request(method, url, json)

    def close(self) -> None:
        """There is nothing to close."""


class ArrayInPlace:
    """An array, and what its administrators know of it without asking."""

    def __init__(self, stage: Stage, world: Mapping[str, Any], changed: Callable[[Svm, list[Lun], list[LunMap]], None]) -> None:
        self.stage = stage
        self.state = Array(world)
        self.changed = changed
        """Called after every change, with what there was before."""
        self._api = Api(self.state, Jobs())

    @property
    def svm(self) -> Svm:
        """The one SVM."""
        return self.state.svms[0]

    def open(self) -> OntapRest:
        """A connection as a module opens it, over a transport of its own."""
        backend = OntapRest(Connection("array", "ontap", "ontap.lab", 443, "admin", "s3cret"), self.stage.time, self.stage.sleep)
        vars(backend._client._http)["_session"] = Session(self)
        return backend

    def request(self, method: str, url: str, body: Any) -> requests.Response:
        """Carry out one request."""
        parts = urlsplit(url)
        target = f"{parts.path}?{parts.query}" if parts.query else parts.path
        answer = self.stage.request(
            f"{method} {_readable(parts.path, parts.query, body)}", lambda: self._carry_out(method, target, body), _broken
        )
        return _response(url, answer)

    def presented(self, initiators: Iterable[str]) -> dict[str, tuple[int, int]]:
        """By NAA, number and size of every LUN that one of the initiators would find now."""
        wanted = {name.lower() for name in initiators}
        return {
            _naa(lun_map.lun): (lun_map.number, lun_map.lun.size)
            for lun_map in self.svm.maps
            if lun_map.lun.enabled and wanted & lun_map.igroup.members.keys()
        }

    def lun(self, naa: str) -> Lun | None:
        """The LUN of this identity."""
        return next((lun for lun in self.svm.luns if _naa(lun) == naa), None)

    def lun_at(self, name: str) -> Lun | None:
        """The LUN of this name in the one volume."""
        return next((lun for lun in self.svm.luns if lun.base_name == name), None)

    def administrate_map(self, path: str, group: str) -> None:
        """Map a LUN to a group under the first free number, as an administrator does at the array itself."""
        operations.create_map(self.state, {"svm.name": SVM, "lun.name": path, "igroup.name": group})

    def _carry_out(self, method: str, target: str, body: Any) -> Answer:
        luns, maps = list(self.svm.luns), list(self.svm.maps)
        raw = b"" if body is None else json.dumps(body).encode()
        try:
            answer = self._api.answer(parse_request(method, target, HEADERS, raw), {})
        except OntapError as error:
            answer = Answer(error.status, error.body())
        if method != "GET":
            self.changed(self.svm, luns, maps)
        return answer


def naa_of(lun: Lun) -> str:
    """The LUN's identity, as `ScsiName.naa` spells it."""
    return _naa(lun)


def _naa(lun: Lun) -> str:
    return "600a0980" + lun.serial.encode("ascii").hex()


def _readable(path: str, query: str, body: Any) -> str:
    """A request as the schedule shows it: what it is about, without what every such request has."""
    told = [
        part
        for part in unquote(query).split("&")
        if part.partition("=")[0] not in ("fields", "max_records", "return_timeout", "return_records", "")
    ]
    named = body.get("name") or body.get("logical_unit_number") if isinstance(body, dict) else None
    return " ".join([path.removeprefix("/api"), *told, *([] if named is None else [f"({named})"])])


def _broken() -> requests.ConnectionError:
    return requests.ConnectionError(urllib3.exceptions.ProtocolError("Connection aborted.", ConnectionResetError("reset by peer")))


def _response(url: str, answer: Answer) -> requests.Response:
    response = requests.Response()
    response.status_code, response.url = answer.status, url
    response._content = answer.payload
    response.raw = io.BytesIO(response._content)
    response.headers.update({"Content-Type": "application/hal+json", **answer.headers})
    return response
