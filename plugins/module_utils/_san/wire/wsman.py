# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A session with a Windows host's WS-Management service: enumerate, get and invoke.

Elements go in and come out; what they mean in CIM is told by the modules `cim*`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping

from ansible_collections.crossvisor.san.plugins.module_utils._san.connection import Connection
from ansible_collections.crossvisor.san.plugins.module_utils._san.ending import Ended
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import CrossvisorError, OutcomeUnknown, RemoteError, TimedOut
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire import wsman_envelope, wsman_fault
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.https import connection_failure
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.limits import Excess, Pages
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.wsman_envelope import (
    ENUMERATE,
    GET,
    PULL,
    RELEASE,
    Element,
    Reference,
    Request,
    Selector,
    resource_uri,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.wsman_transport import ClientCertificate, Effect, WsmanTransport

MAX_ELEMENTS = 32_000
"""Items in one answer: the service's own limit, so that only the size of the envelope bounds a page."""
ENVELOPE_SIZE = 512_000
"""Bytes of one message: the default of MaxEnvelopeSizekb since Windows 8 and Server 2012."""
OLD_ENVELOPE_SIZE = 153_600
"""The default before, for a service that takes no more."""
_SERVICE_SHARE = 0.9
"""How much of the time for one request the service may use up, so that its own word on a timeout still arrives."""


class WsmanSession:
    """One login. Not for several threads. Every method raises only `CrossvisorError`s.

    Beside those named at each method: `ConnectionFailed`, `AuthenticationFailed` (the password, or the rights in a namespace), `TimedOut`,
    and `RemoteError` whose `code` is WMI's or the service's own, as in `wsman_fault`.
    """

    def __init__(
        self, connection: Connection, transport: str, *, scheme: str | None = None, client_certificate: ClientCertificate | None = None
    ) -> None:
        """Prepare a login by one of `wsman_transport.TRANSPORTS`; it happens with the first request.

        Without a `scheme` (`http` or `https`), port 5985 speaks HTTP and every other one TLS. Over HTTP, messages are encrypted with
        the key of the login, so that `basic` and `certificate` are refused there. Raises `MissingLibrary` or `InvalidInput`.
        """
        self._connection = connection
        self._transport = WsmanTransport(connection, transport, scheme=scheme, client_certificate=client_certificate)
        self._envelope_size = ENVELOPE_SIZE

    @property
    def connection(self) -> Connection:
        """Where this session leads."""
        return self._connection

    def enumerate(self, uri: str, max_elements: int = MAX_ELEMENTS) -> Iterator[Element]:
        """All instances of the class that a resource URI names, page by page; giving up early tells the service so."""
        yield from self._pages(Reference(uri), None, max_elements)

    def query(self, namespace: str, wql: str, max_elements: int = MAX_ELEMENTS) -> Iterator[Element]:
        """What a WQL query selects in a namespace: `SELECT …` or `ASSOCIATORS OF {…} …`. Use `wql` to build one."""
        yield from self._pages(Reference(resource_uri(namespace)), wql, max_elements)

    def get(self, uri: str, selectors: Mapping[str, Selector]) -> Element:
        """One instance by its keys. Raises `RemoteError` with a code in `wsman_fault.MISSING` when there is none."""
        return self._content(Request(GET, Reference(uri, selectors)), Effect.NONE)

    def invoke(
        self,
        uri: str,
        selectors: Mapping[str, Selector],
        method: str,
        parameters: Iterable[Element] = (),
        *,
        repeatable: bool = False,
        timeout: float | None = None,
    ) -> Element:
        """Call a method of an instance, or without selectors of a class, and return the element that holds its outputs.

        `parameters` are elements in the namespace of the URI. `repeatable` is for methods that only read: they are sent again when
        their answer was lost; for others that raises `OutcomeUnknown`. `timeout` is for this call, in seconds.
        """
        effect = Effect.NONE if repeatable else Effect.CHANGE
        body = wsman_envelope.element(f"{method}_INPUT", uri, children=parameters)
        request = Request(f"{uri}/{method}", Reference(uri, selectors), body)
        content = self._content(request, effect, timeout)
        if wsman_envelope.local_name(content) != f"{method}_OUTPUT":
            raise self._transport.unreadable(request.name, effect, f"{wsman_envelope.local_name(content)} instead of {method}_OUTPUT")
        return content

    def act(
        self,
        action: str,
        target: Reference,
        body: Element | None = None,
        options: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> Element | None:
        """One action of another kind, such as those of a shell, and what its answer holds; None if that is empty.

        It is sent once: a lost answer raises `ConnectionFailed`, so that it is for what leaves nothing changed. `timeout` is in seconds.
        """
        request = Request(action, target, body, options=options or {})
        return wsman_envelope.content_of(self._exchange(request, Effect.CURSOR, timeout))

    def close(self) -> None:
        """Close the connection; the service has no session to end. Never raises."""
        self._transport.close()

    def _pages(self, target: Reference, wql: str | None, max_elements: int) -> Iterator[Element]:
        pages = Pages(target.resource_uri.rpartition("/")[2] if wql is None else "what was asked for")
        body = wsman_envelope.enumerate_body(max_elements, wql)
        items, context = wsman_envelope.page_of(self._content(Request(ENUMERATE, target, body, wql or ""), Effect.NONE))
        try:
            yield from items
            while context:
                pages.turn(len(items))
                request = Request(PULL, target, wsman_envelope.pull_body(context, max_elements), wql or "")
                items, context = wsman_envelope.page_of(self._content(request, Effect.CURSOR))
                yield from items
        except Excess as excess:
            raise connection_failure(self._connection, excess) from excess
        except (GeneratorExit, Ended):
            if context:
                with contextlib.suppress(CrossvisorError):
                    self._exchange(Request(RELEASE, target, wsman_envelope.release_body(context)), Effect.CURSOR)
            raise

    def _content(self, request: Request, effect: Effect, timeout: float | None = None) -> Element:
        content = wsman_envelope.content_of(self._exchange(request, effect, timeout))
        if content is None:
            raise self._transport.unreadable(request.name, effect, "an empty body")
        return content

    def _exchange(self, request: Request, effect: Effect, timeout: float | None = None) -> Element:
        """The envelope that answers a request; one that the service finds too large to be asked for is asked for smaller."""
        try:
            return self._attempt(request, effect, timeout)
        except RemoteError as error:
            if error.code != wsman_fault.ENVELOPE_SIZE_REFUSED or self._envelope_size == OLD_ENVELOPE_SIZE:
                raise
        self._envelope_size = OLD_ENVELOPE_SIZE
        return self._attempt(request, effect, timeout)

    def _attempt(self, request: Request, effect: Effect, timeout: float | None) -> Element:
        patience = self._connection.timeout if timeout is None else timeout
        message = wsman_envelope.envelope(request, self._transport.endpoint, self._envelope_size, patience * _SERVICE_SHARE)
        root = self._envelope(self._transport.send(message, request.name, effect, patience), request.name, effect)
        related = wsman_envelope.relates_to(root)
        fault = wsman_fault.parse_fault(root)
        if related.lower() != request.message_id.lower() and (related or fault is None):
            raise self._transport.unreadable(request.name, effect, f"it answers message '{related}', not the one that was sent")
        if fault is not None:
            raise self._error(fault, request, effect)
        return root

    def _envelope(self, answer: bytes, name: str, effect: Effect) -> Element:
        try:
            return wsman_envelope.parse(answer)
        except ValueError as error:
            raise self._transport.unreadable(name, effect, error) from error

    def _error(self, fault: wsman_fault.Fault, request: Request, effect: Effect) -> CrossvisorError:
        error = wsman_fault.error_of(fault, request, self._connection)
        if isinstance(error, TimedOut) and effect is Effect.CHANGE:
            return OutcomeUnknown(
                f"{self._connection} did not finish {request.name} in time, so that it may go on: look there, then run this task again."
            )
        return error
