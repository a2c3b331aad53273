# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A call, from its name and parameters to its result: who may ask, whether the shape is right, what it does."""

from __future__ import annotations

import hmac
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any
from xmlrpc.client import dumps

from tests.lab.listener import Credentials
from tests.lab.xen import allowed
from tests.lab.xen.calls import HANDLERS
from tests.lab.xen.database import Record
from tests.lab.xen.errors import Failure
from tests.lab.xen.pool import Host, Pool, now
from tests.lab.xen.shapes import CLASSES, SESSION, Message, arguments

ASYNC = "Async."
LIST_METHODS = "system.listMethods"
TABLES = {"VBD": lambda pool, ref: allowed.vbd(pool, ref, sharing=False), "VDI": allowed.vdi, "SR": allowed.sr}
EVERYTHING = "*"
POLL_SECONDS = 0.02
LONGEST_WAIT = 60.0


class Api:
    """What one host of the pool answers."""

    def __init__(self, pool: Pool, name: str, credentials: Credentials) -> None:
        self._pool = pool
        self._name = name
        self._credentials = credentials

    @property
    def host(self) -> Host:
        """Return the host."""
        return self._pool.hosts[self._name]

    def call(self, name: str, given: Sequence[Any], error: Failure | None = None) -> Any:
        """Return the result of a call, which fails with ``error`` where one is given. Raises Failure."""
        if name == LIST_METHODS:
            return [f"{kind}.{message}" for kind, shape in CLASSES.items() for message in shape.messages]
        plain = name.removeprefix(ASYNC)
        kind, _dot, short = plain.partition(".")
        message = CLASSES[kind].messages.get(short) if kind in CLASSES else None
        if message is None:
            if given:
                self._admit(given[0])
            raise Failure("MESSAGE_METHOD_UNKNOWN", plain)
        taken = arguments(plain, message, given)
        if message.with_session:
            self._admit(taken[SESSION])
        if message.removed:
            raise Failure("MESSAGE_REMOVED")
        if plain != name:
            return self._start(kind, short, message, taken, error)
        if error:
            raise error
        if plain == "event.from":
            return self._events(taken)
        with self._pool.lock:
            return self._perform(kind, short, message, taken)

    def _admit(self, session: object) -> None:
        """Let a session in; only the master knows any."""
        if session not in self._pool.sessions:
            raise Failure("SESSION_INVALID", session)
        self._want_master()

    def _want_master(self) -> None:
        if self.host is not self._pool.master:
            raise Failure("HOST_IS_SLAVE", self._pool.addresses[self._pool.master.name])

    # -- tasks

    def _start(self, kind: str, short: str, message: Message, taken: Mapping[str, Any], error: Failure | None) -> str:
        """Do the work in the background; return its task."""
        with self._pool.lock:
            task = self._pool.db.create(
                "task",
                name_label=f"{ASYNC}{kind}.{short}",
                created=now(),
                status="pending",
                allowed_operations=["cancel"],
                resident_on=self.host.ref,
            )
        threading.Thread(target=self._work, args=(task, kind, short, message, taken, error), daemon=True).start()
        return task

    def _work(self, task: str, kind: str, short: str, message: Message, taken: Mapping[str, Any], error: Failure | None) -> None:
        with self._pool.lock:
            end: dict[str, Any] = {"status": "success", "progress": 1.0}
            try:
                if error:
                    raise error
                result = self._perform(kind, short, message, taken)
                end["result"] = "" if result is None else _xml(result)
            except Failure as failure:
                end |= {"status": "failure", "error_info": failure.description}
            except Exception as failure:  # noqa: BLE001 - the caller waits for the task
                end |= {"status": "failure", "error_info": ["INTERNAL_ERROR", repr(failure)]}
            if self._pool.db.has("task", task):
                self._pool.db.set("task", task, finished=now(), allowed_operations=[], **end)

    # -- calls

    def _perform(self, kind: str, short: str, message: Message, taken: Mapping[str, Any]) -> Any:
        call = f"{kind}.{short}"
        if call in HANDLERS:
            return HANDLERS[call](self._pool, taken)
        if own := _OWN.get(call):
            return own(self, taken)
        return self._look(kind, short, message, taken)

    def _look(self, kind: str, short: str, message: Message, taken: Mapping[str, Any]) -> Any:
        """Read the database, or change a field that a caller may change."""
        db = self._pool.db
        if short == "get_all":
            return db.refs(kind)
        if short == "get_all_records":
            return {ref: self._record(kind, ref) for ref in db.refs(kind)}
        if short == "get_by_uuid":
            return db.by_uuid(kind, taken["uuid"])
        if short == "get_by_name_label":
            return db.find(kind, name_label=taken["label"])
        names = [name for name, _type in message.parameters[1:]]
        if names and names[0] == "self":
            return self._field(kind, short, taken)
        raise Failure("NOT_IMPLEMENTED", f"{kind}.{short}")

    def _field(self, kind: str, short: str, taken: Mapping[str, Any]) -> Any:
        ref, fields = taken["self"], CLASSES[kind].fields
        verb, _underscore, field = short.partition("_")
        if short == "get_record":
            return self._record(kind, ref)
        if verb == "get" and field in fields:
            return self._record(kind, ref)[field]
        field = field.removeprefix("to_").removeprefix("from_")
        if field not in fields or fields[field].qualifier != "RW":
            raise Failure("NOT_IMPLEMENTED", f"{kind}.{short}")
        value = self._pool.db.row(kind, ref)[field]
        self._pool.db.set(kind, ref, **{field: _changed(kind, field, verb, value, taken, ref)})
        return None

    def _record(self, kind: str, ref: str) -> Record:
        record = self._pool.db.record(kind, ref)
        if kind in TABLES:
            record["allowed_operations"] = TABLES[kind](self._pool, ref).allowed()
        return record

    def _login(self, taken: Mapping[str, Any]) -> str:
        self._want_master()
        known = self._credentials
        if not (hmac.compare_digest(taken["uname"].encode(), known.username.encode()) and _same(taken["pwd"], known.password)):
            raise Failure("SESSION_AUTHENTICATION_FAILED", taken["uname"], "Authentication failure")
        session = self._pool.db.create(
            "session", this_host=self.host.ref, auth_user_name=taken["uname"], is_local_superuser=True, last_active=now(),
            originator=taken["originator"],
        )  # fmt: skip
        self._pool.sessions[session] = taken["uname"]
        return session

    def _logout(self, taken: Mapping[str, Any]) -> None:
        del self._pool.sessions[taken[SESSION]]
        self._pool.db.destroy("session", taken[SESSION])

    def _task_create(self, taken: Mapping[str, Any]) -> str:
        return self._pool.db.create(
            "task", name_label=taken["label"], name_description=taken["description"], created=now(), status="pending"
        )

    def _task_destroy(self, taken: Mapping[str, Any]) -> None:
        self._pool.db.destroy("task", taken["self"])

    def _task_cancel(self, taken: Mapping[str, Any]) -> None:
        row = self._pool.db.row("task", taken["task"])
        if row["status"] != "pending":
            raise Failure("OPERATION_NOT_ALLOWED", "task cannot be cancelled")
        self._pool.db.set("task", taken["task"], status="cancelled", finished=now())

    # -- events

    def _inject(self, taken: Mapping[str, Any]) -> str:
        """Let an object seem changed; return the token from before."""
        kind = next((name for name in CLASSES if name.lower() == taken["class"].lower()), "")
        if not kind:
            raise Failure("INTERNAL_ERROR", f"no class {taken['class']}")
        before = self._pool.db.last
        self._pool.db.set(kind, taken["ref"])
        return f"{before},0"

    def _events(self, taken: Mapping[str, Any]) -> Any:
        """Return what has happened since the token, once something has, or the time is over."""
        since = _since(taken["token"])
        classes = [name.lower() for name in taken["classes"]]
        deadline = time.monotonic() + min(taken["timeout"], LONGEST_WAIT)
        while True:
            with self._pool.lock:
                events, last = self._happened(classes, since), self._pool.db.last
                counts = {kind.lower(): len(self._pool.db.refs(kind)) for kind in CLASSES}
            if events or time.monotonic() >= deadline:
                return {"events": events, "token": f"{last},0", "valid_ref_counts": counts}
            time.sleep(POLL_SECONDS)

    def _happened(self, classes: Sequence[str], since: int) -> list[Record]:
        """Return one event for each object that changed."""
        db = self._pool.db
        if db.last == since:
            return []
        changes: dict[tuple[str, str], list[Any]] = {}
        for change in db.changes:
            if change.number > since and _wanted(classes, change.kind, change.ref):
                changes.setdefault((change.kind, change.ref), []).append(change)
        events = []
        for (kind, ref), found in changes.items():
            born, there = found[0].operation == "add", db.has(kind, ref)
            if there or not born:
                operation = ("add" if born else "mod") if there else "del"
                event = {"id": str(found[-1].number), "timestamp": "0.0", "class": kind.lower(), "operation": operation, "ref": ref}
                events.append({**event, **({"snapshot": self._record(kind, ref)} if there else {})})
        return events


def _since(token: str) -> int:
    if not token:
        return 0
    number, comma, other = token.partition(",")
    if not (comma and number.isdecimal() and other.isdecimal()):
        raise Failure("EVENT_FROM_TOKEN_PARSE_FAILURE", token)
    return int(number)


def _wanted(classes: Sequence[str], kind: str, ref: str) -> bool:
    return EVERYTHING in classes or kind.lower() in classes or f"{kind}/{ref}".lower() in classes


def _changed(kind: str, field: str, verb: str, value: Any, taken: Mapping[str, Any], ref: str) -> Any:
    """Return a field after ``set``, ``add`` or ``remove``."""
    if verb == "set":
        return taken["value"]
    if isinstance(value, list):
        without = [item for item in value if item != taken["value"]]
        return [*without, taken["value"]] if verb == "add" else without
    without_key = {key: item for key, item in value.items() if key != taken["key"]}
    if verb == "remove":
        return without_key
    if taken["key"] in value:
        raise Failure("MAP_DUPLICATE_KEY", kind, field, ref, taken["key"])
    return {**value, taken["key"]: taken["value"]}


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())


def _xml(result: Any) -> str:
    """Return the result of a task: the XML-RPC value in it."""
    text = dumps((result,))
    return text[text.index("<value>") : text.rindex("</value>") + len("</value>")].replace("<string>", "").replace("</string>", "")


_OWN: Mapping[str, Any] = {
    "session.login_with_password": Api._login,
    "session.logout": Api._logout,
    "session.local_logout": Api._logout,
    "task.create": Api._task_create,
    "task.destroy": Api._task_destroy,
    "task.cancel": Api._task_cancel,
    "event.inject": Api._inject,
}
