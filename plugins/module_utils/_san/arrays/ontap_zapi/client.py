# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""ZAPI's conventions: queries, pages, errors. Knows nothing of LUNs.

Source: netapp-lib for the requests and `next-tag`, NetApp's own Go client in Trident for the fields of each answer.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from textwrap import shorten
from typing import TypeVar

from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.faults import InterfaceMissing, OntapRefusal, way_out
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.query import literal
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.waiting import wait_for
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_zapi import codes
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_zapi.elements import (
    Element,
    Unexpected,
    Value,
    nested,
    records_at,
    text_at,
    texts_at,
    tree_of,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_zapi.server import Failed, NoAnswer, Server
from ansible_collections.crossvisor.san.plugins.module_utils._san.connection import Connection
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import (
    AuthenticationFailed,
    ConnectionFailed,
    CrossvisorError,
    MissingRight,
    OutcomeUnknown,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.https import connection_failure
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.limits import Excess, Pages

Match = Mapping[str, Sequence[str]]
"""By dotted field, the values of which a record must have one."""

T = TypeVar("T")

PAGE_SIZE = 500
_ALTERNATIVES = 100
"""Values of one field in one query."""
_LONGEST_MESSAGE = 1000
"""Characters of what an array says."""
_SWITCHED_OFF = frozenset({404, 503})


class ZapiClient:
    """One session with one ONTAP cluster or SVM. Every failure is a `CrossvisorError` in one sentence."""

    def __init__(
        self,
        connection: Connection,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        page_size: int = PAGE_SIZE,
    ) -> None:
        self.connection = connection
        self._clock = clock
        self._sleep = sleep
        self._page_size = page_size
        self._server = Server(connection)

    def close(self) -> None:
        """Close the connection."""
        self._server.close()

    def wait_for(self, observe: Callable[[], bool], timeout: float) -> bool:
        """Look until there is something to see or the time is over; tell which."""
        return wait_for(observe, timeout, self._clock, self._sleep)

    def one(self, api: str, parse: Callable[[Element], T]) -> T:
        """What an API without arguments answers, as `parse` understands it."""
        answer = self._send(api, {}, reads=True)
        return self._understood(api, lambda: parse(answer))

    def read(self, api: str, record: str, fields: Sequence[str], match: Match, parse: Callable[[Element], T], svm: str = "") -> list[T]:
        """The records of all SVMs, or of one, that match exactly, of all pages, as `parse` understands them, from elements named `record`.

        Raises `OntapRefusal` also where there are records that the array could not read.
        """
        return [found for part in _parts(match) for found in self._read(api, record, fields, part, parse, svm)]

    def change(self, api: str, svm: str, arguments: Mapping[str, Value]) -> Element:
        """Change something of an SVM; the answer, for what it says beside that it passed."""
        return self._send(api, arguments, reads=False, svm=svm)

    def refusal(self, message: str, code: str) -> OntapRefusal:
        """What the array says when it refuses with this number; also for what it would do although it should not."""
        fault = codes.meaning(code)
        hint = way_out(fault, message)
        return OntapRefusal(f"{message} (array {self.connection}, error {code}){f': {hint}' if hint else ''}.", code, fault)

    def _read(self, api: str, record: str, fields: Sequence[str], match: Match, parse: Callable[[Element], T], svm: str) -> list[T]:
        query = nested({name: "|".join(literal(value) for value in values) for name, values in match.items()})
        wanted = tree_of([*fields, *match])
        rows: list[Element] = []
        pages, tag = Pages(api), ""
        while True:
            arguments = {"desired-attributes": {record: wanted}, "max-records": self._page_size, "tag": tag or None}
            page = self._send(api, {**arguments, "query": {record: query} if query else None}, reads=True, svm=svm)
            for unread in records_at(page, "volume-errors"):
                raise self.refusal(text_at(unread, "reason", "no reason given").rstrip("."), text_at(unread, "errno", ""))
            found = records_at(page, "attributes-list")
            rows += found
            here, tag = tag, text_at(page, "next-tag", "")
            if not tag:
                break
            self._turn(pages, here, tag, len(found))
        return self._understood(api, lambda: [parse(row) for row in rows if _matches(row, match)])

    def _turn(self, pages: Pages, here: str, there: str, records: int) -> None:
        try:
            pages.follow(here, there, records)
        except Excess as excess:
            raise connection_failure(self.connection, excess) from excess

    def _send(self, api: str, arguments: Mapping[str, Value], reads: bool, svm: str = "") -> Element:
        try:
            return self._server.ask(api, arguments, reads, svm)
        except Failed as error:
            raise self._failure(api, error.code, str(error), reads) from error
        except NoAnswer as error:
            raise self._no_answer(api, str(error), reads) from error

    def _failure(self, api: str, code: object, told: str, reads: bool) -> CrossvisorError:
        """What an answer means that is no success; HTTP's codes are numbers, and ZAPI's are texts."""
        if isinstance(code, int):
            return self._http_failure(api, code, reads)
        number = f"{code:.40}"
        if number == codes.NOT_AUTHENTICATED:
            return self._wrong_login()
        if number == codes.NOT_AUTHORISED:
            return self._missing_right(api)
        return self.refusal(shorten(told, _LONGEST_MESSAGE, placeholder=" …").rstrip(".") or "no reason given", number)

    def _http_failure(self, api: str, status: int, reads: bool) -> CrossvisorError:
        if status == 401:
            return self._wrong_login()
        if status == 403:
            return self._missing_right(api)
        if not reads and status >= 500:
            return self._outcome_unknown(f"answered {api} with HTTP {status}")
        if status in _SWITCHED_OFF:
            return InterfaceMissing(
                f"The array {self.connection} does not serve ZAPI ({api} gave HTTP {status}): switch it on with "
                "`vserver services web modify -name ontapi -enabled true`, or give array.type=ontap for REST, "
                "which ONTAP 9.18 and later have alone."
            )
        if status >= 500:
            return ConnectionFailed(
                f"The array {self.connection} answers {api} with HTTP {status}: wait until it is in order, then try again."
            )
        return self._stranger(f"{api} gave HTTP {status}")

    def _no_answer(self, api: str, why: str, reads: bool) -> CrossvisorError:
        return self._stranger(f"the answer to {api} {why}") if reads else self._outcome_unknown(f"gave {api} an answer that {why}")

    def _wrong_login(self) -> AuthenticationFailed:
        return AuthenticationFailed(
            f"The array {self.connection} refuses user {self.connection.username}: check array.username and array.password, "
            "and that the account may log in over ontapi with a password."
        )

    def _missing_right(self, api: str) -> MissingRight:
        return MissingRight(
            f"User {self.connection.username} may not call {api} on array {self.connection}: "
            "give its role that command (security login role), or use another account."
        )

    def _outcome_unknown(self, what: str) -> OutcomeUnknown:
        return OutcomeUnknown(
            f"The array {self.connection} {what}, which does not tell whether it was done: look there, then run this task again."
        )

    def _understood(self, api: str, parse: Callable[[], T]) -> T:
        try:
            return parse()
        except Unexpected as error:
            raise self._stranger(f"{api} gave {error}") from error

    def _stranger(self, evidence: str) -> InterfaceMissing:
        return InterfaceMissing(
            f"The endpoint {self.connection} does not answer as ONTAP ({evidence}): check array.hostname, array.port and array.type."
        )


def _parts(match: Match) -> list[Match]:
    """The match, or several, none of which has more values of a field than one query takes."""
    for name, values in match.items():
        if len(values) > _ALTERNATIVES:
            chunks = [values[start : start + _ALTERNATIVES] for start in range(0, len(values), _ALTERNATIVES)]
            return [part for chunk in chunks for part in _parts({**match, name: chunk})]
    return [] if any(not values for values in match.values()) else [match]


def _matches(row: Element, match: Match) -> bool:
    return all({text_at(row, name, ""), *texts_at(row, name)} & set(values) for name, values in match.items())
