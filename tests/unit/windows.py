# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lab's Windows machines inside the test's own process: real clients of this collection over their services, without a network.

`nodes(lab, "hvc1n1.lab")` is what the Hyper-V backend works on; `client(lab, "win01.lab")` is one login. What was asked is noted, and the
n-th request that matches can be refused or lost: see `Wire`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from ansible_collections.crossvisor.san.plugins.module_utils._san.connection import HYPERVISOR, Connection
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import ConnectionFailed, CrossvisorError, OutcomeUnknown
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.nodes import Nodes
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.waiting import Waiting
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.cim import CimClient
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.wsman import WsmanSession
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.wsman_transport import Effect, WsmanTransport
from tests.lab.hyperv.faults import ProviderFault, WsmanFault
from tests.lab.hyperv.running import Lab
from tests.lab.hyperv.soap import fault_answer, is_identify, message_id_of, parse_envelope, parse_request
from tests.lab.hyperv.wsman import Product, identify

Happening = Callable[[], None]


@dataclass
class Wire:
    """What went over all connections of one test, and what shall go wrong."""

    asked: list[str] = field(default_factory=list)
    """`machine action target` of every request, such as `hvc1n1.lab Enumerate SELECT Name FROM MSCluster_Cluster`."""
    before: dict[int, Happening] = field(default_factory=dict)
    """Number of a request, from 0 → what happens instead of it: raise an error here, or change the lab."""
    after: dict[int, Happening] = field(default_factory=dict)
    """Number of a request → what happens once it was carried out."""
    before_next: dict[str, Happening] = field(default_factory=dict)
    """Text → what happens, once, instead of the next request that contains it, as above."""
    after_next: dict[str, Happening] = field(default_factory=dict)
    """Text → what happens, once, when the next request that contains it was carried out."""
    after_each: list[Happening] = field(default_factory=list)
    """What happens whenever a request was carried out, before anything else."""

    def count(self, text: str) -> int:
        """How many requests contain this text."""
        return sum(text in line for line in self.asked)


def _next(awaited: dict[str, Happening], line: str) -> Happening | None:
    text = next((text for text in awaited if text in line), None)
    return awaited.pop(text) if text is not None else None


def lost(effect: Effect = Effect.CHANGE) -> None:
    """The connection is cut: what a `Wire` may let happen."""
    if effect is Effect.CHANGE:
        raise OutcomeUnknown("The connection was lost after the request was sent, so that it may have been carried out.")
    raise ConnectionFailed("The connection was lost.")


class _InProcess(WsmanTransport):
    """A transport that hands messages to a lab machine's service."""

    def __init__(self, lab: Lab, machine: str, connection: Connection, wire: Wire) -> None:  # pylint: disable=super-init-not-called
        self.endpoint = f"https://{machine}:5986/wsman"
        self._connection = connection
        self._lab, self._machine, self._wire_log = lab, machine, wire

    def send(self, message: bytes, name: str, effect: Effect, timeout: float) -> bytes:
        number, line = len(self._wire_log.asked), f"{self._machine} {name}"
        self._wire_log.asked.append(line)
        self._happen(self._wire_log.before.get(number))
        self._happen(_next(self._wire_log.before_next, line))
        if not self._lab.estate.machines[self._machine].up:
            raise ConnectionFailed(f"The hypervisor {self._connection} cannot be reached.")
        answer = self._answer(message)
        for happening in self._wire_log.after_each:
            happening()
        self._happen(self._wire_log.after.get(number))
        self._happen(_next(self._wire_log.after_next, line))
        return answer

    def close(self) -> None:
        """Nothing is open."""

    @staticmethod
    def _happen(happening: Happening | None) -> None:
        if happening:
            happening()

    def _answer(self, message: bytes) -> bytes:
        estate = self._lab.estate
        estate.timeline.settle()
        try:
            envelope = parse_envelope(message)
            if is_identify(envelope):
                return identify(Product("OS: 10.0.20348 SP: 0.0 Stack: 3.0"))
            return self._lab.clients[self._machine].service.answer(parse_request(envelope))
        except (WsmanFault, ProviderFault) as fault:
            return fault_answer(fault, message_id_of(message), self._machine, "")


class _Session(WsmanSession):
    def __init__(self, transport: _InProcess, connection: Connection) -> None:  # pylint: disable=super-init-not-called
        self._connection = connection
        self._transport = transport
        self._envelope_size = 512_000


def client(lab: Lab, machine: str, wire: Wire | None = None, role: str = HYPERVISOR) -> CimClient:
    """A login at one machine."""
    connection = Connection(role=role, type="hyperv", hostname=machine, port=5986, username="LAB\\Administrator", password="unused")
    return CimClient(_Session(_InProcess(lab, machine, connection, wire or Wire()), connection))


def nodes(lab: Lab, machine: str, wire: Wire | None = None) -> Nodes:
    """The hosts behind one of them, each reached by its DNS name."""
    log = wire or Wire()
    connection = Connection(role=HYPERVISOR, type="hyperv", hostname=machine, port=5986, username="LAB\\Administrator", password="unused")
    return Nodes(connection, lambda to: client(lab, str(to.hostname), log))


def waiting(timeout: float = 30.0, meanwhile: Happening = lambda: None) -> Waiting:
    """Waiting that takes no time: in every pause something may happen."""
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds
        meanwhile()

    return Waiting(timeout, lambda: now[0], sleep)


def refusing(error: CrossvisorError) -> Happening:
    """Something that raises the error when it happens."""

    def happen() -> None:
        raise error

    return happen
