# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Our ONTAP backend in front of the lab's array, with a clock that nobody waits for."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import urlencode

from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.base import (
    Change,
    LastLook,
    ProvisionWish,
    WithdrawWish,
    nobody_to_ask,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_rest.backend import OntapRest
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_rest.client import OntapClient
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_zapi.backend import OntapZapi
from ansible_collections.crossvisor.san.plugins.module_utils._san.connection import Connection
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import Lun
from ansible_collections.crossvisor.san.plugins.module_utils._san.plan import Outcome, carry_out
from tests.lab.ontap.releases import parse
from tests.lab.ontap.running import Running
from tests.lab.ontap.state import REST
from tests.unit.ontap import GIB, SVM


@dataclass
class Clock:
    """Seconds pass by being slept; the lab's own jobs get a little real time at each pause."""

    now: float = 0.0
    real_seconds: float = 0.02
    """What a pause really takes."""

    def time(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        time.sleep(self.real_seconds)
        self.now += seconds


class Server(Protocol):
    """An array of the lab, by its control port."""

    def control(self, method: str, path: str, body: Any = None) -> Any:
        """Call the control port and return its JSON."""


@dataclass
class Bench:
    """The lab's array as one test sees it."""

    server: Server
    connection: Connection
    clock: Clock = field(default_factory=Clock)
    release: str = ""
    """Of ONTAP; empty for the world's."""
    transport: str = REST
    """Over which our backend asks; whatever it is, others act by REST."""

    @classmethod
    def of(cls, server: Running, release: str = "", transport: str = REST) -> Bench:
        """Start from the lab's world."""
        connection = Connection(
            "array", "ontap", "127.0.0.1", server.port, server.username, server.password, ca_path=str(server.authority), timeout=20.0
        )
        return cls(server, connection, release=release, transport=transport).again()

    def again(self) -> Bench:
        """The array in its first state."""
        self.server.control("POST", "/reset")
        self.become(self.release)
        return self

    @property
    def luns_tell_initiators(self) -> bool:
        """Whether a LUN tells who is in its groups, so that nobody has to ask."""
        return self.transport == REST and (not self.release or parse(self.release) >= (9, 16, 1))

    def become(self, release: str, disaggregated: bool = False) -> None:
        """Let the array be of this release, or say to be an ASA r2."""
        if release:
            self.server.control("POST", f"/release?version={release}&disaggregated={str(disaggregated).lower()}")

    def backend(self) -> OntapRest | OntapZapi:
        kind = OntapRest if self.transport == REST else OntapZapi
        return kind(self.connection, self.clock.time, self.clock.sleep)

    def client(self, page_size: int = 1000) -> OntapClient:
        return OntapClient(self.connection, self.clock.time, self.clock.sleep, page_size)

    def provision(self, wish: ProvisionWish, check_mode: bool = False, last_look: LastLook = nobody_to_ask) -> tuple[Outcome, Lun | None]:
        return self._carry_out(self.backend().plan_provision(wish, last_look), check_mode)

    def withdraw(self, wish: WithdrawWish, check_mode: bool = False) -> tuple[Outcome, Lun | None]:
        return self._carry_out(self.backend().plan_withdraw(wish), check_mode)

    def _carry_out(self, change: Change, check_mode: bool) -> tuple[Outcome, Lun | None]:
        return carry_out(change.plan, check_mode), change.lun()

    def state(self) -> Any:
        """Everything on the array that is not volatile."""
        return self.server.control("GET", "/state")

    def fail(self, match: str, action: dict[str, Any], call: int | None = None) -> None:
        """Let the next request that matches, or the n-th from now, go wrong."""
        which: dict[str, Any] = {"match": match} if call is None else {"call": call}
        self.server.control("POST", "/faults", {**which, "action": action})

    @contextmanager
    def counted(self) -> Iterator[list[str]]:
        """The requests that the block sends, as `METHOD /path`, known after it."""
        self.server.control("DELETE", "/requests")
        sent: list[str] = []
        yield sent
        sent += [f"{row['method']} {row['path'].partition('?')[0]}" for row in self.server.control("GET", "/requests")["requests"]]

    def log_in(self, svm: str = "", denied: Sequence[str] = ()) -> None:
        """Let the account be that of one SVM, or one whose role lacks these paths, until the next reset."""
        pairs = [*([("svm", svm)] if svm else []), *(("denied", path) for path in denied)]
        self.server.control("POST", f"/account?{urlencode(pairs)}")

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Do something on the array as somebody else would; the record that came of it."""
        found = self.client().post(path, body, 30)
        return dict(found[0]) if found else {}

    def igroup(self, name: str, initiators: Sequence[str], os_type: str = "vmware", protocol: str = "mixed") -> dict[str, Any]:
        body = {
            "svm.name": SVM,
            "name": name,
            "os_type": os_type,
            "protocol": protocol,
            "initiators": [{"name": one} for one in initiators],
        }
        return self.post("/protocols/san/igroups", body)

    def nest(self, name: str, **groups: Sequence[str]) -> None:
        """Make a group of groups that are made of initiators."""
        for nested, initiators in groups.items():
            self.igroup(nested, initiators)
        self.post(
            "/protocols/san/igroups", {"svm.name": SVM, "name": name, "os_type": "vmware", "igroups": [{"name": one} for one in groups]}
        )

    def lun(self, path: str, size: int = GIB, os_type: str = "vmware") -> dict[str, Any]:
        return self.post("/storage/luns", {"svm.name": SVM, "name": path, "os_type": os_type, "space.size": size})

    def map(self, path: str, igroup: str, lun_id: int) -> dict[str, Any]:
        body = {"svm.name": SVM, "lun.name": path, "igroup.name": igroup, "logical_unit_number": lun_id}
        return self.post("/protocols/san/lun-maps", body)


def ids(lun: Lun | None) -> dict[str, int | None]:
    """LUN ids by group."""
    return {mapping.group: mapping.lun_id for mapping in lun.mappings} if lun else {}
