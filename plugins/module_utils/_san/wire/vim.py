# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A session with vCenter Server or an ESXi host: pyvmomi for calls, a stream of records for large reads.

Protocol facts are of the vSphere Web Services API reference (PropertyCollector, ViewManager, Task). pyvmomi's deserialiser builds an object
for every element, which costs about ten times what it takes to parse the reply, so large reads bypass it.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from ansible_collections.crossvisor.san.plugins.module_utils._san.connection import Connection
from ansible_collections.crossvisor.san.plugins.module_utils._san.ending import Ended, uncut
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import (
    ConnectionFailed,
    CrossvisorError,
    MissingLibrary,
    NotFound,
    OutcomeUnknown,
    RemoteError,
    TimedOut,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire import vim_stub, vim_xml
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.https import HttpsSession, connection_failure
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.limits import Excess, Pages
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.vim_stub import VimStub, fault_code, fault_message
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.vim_xml import ObjectRecord, ReplyStream, Trim

try:
    import urllib3
    from pyVmomi import vim, vmodl
    from pyVmomi.VmomiSupport import GetWsdlType
except ImportError:
    pass  # told by VimSession, which knows what is missing

PAGE_SIZE = 1000
"""Objects in one reply: a few MB of XML, which the endpoint builds in its memory."""
_POLL_SHORTEST = 0.1
_POLL_LONGEST = 2.0


class VimSession:
    """A login. Every call raises only `CrossvisorError`s, also those made on managed objects that came from here."""

    def __init__(self, connection: Connection) -> None:
        """Log in. Raises `MissingLibrary`, `InvalidInput`, `ConnectionFailed` or `AuthenticationFailed`."""
        _require_libraries()
        username, password = connection.required("username"), connection.required("password")
        self._connection = connection
        self._https = HttpsSession(connection)
        self._stub = VimStub(connection, self._https)
        self.content: Any = None
        try:
            self.content = _complete(vim.ServiceInstance("ServiceInstance", self._stub).RetrieveContent(), connection)
            self._stub.speak(self.content.about.apiVersion)
            with uncut():
                self.content.sessionManager.Login(username, password, None)
        except Ended:
            self.close()
            raise
        except BaseException:
            self._https.close()
            raise

    def managed(self, type_name: str, moid: str) -> Any:
        """The managed object of an API type (`VirtualMachine`, `HostStorageSystem`, …) with this id, for pyvmomi calls; nothing is sent."""
        return _wsdl_type(type_name)(moid, self._stub)

    def retrieve(
        self,
        paths: Mapping[str, Sequence[str]],
        moids: Mapping[str, Sequence[str]] | None = None,
        page_size: int = PAGE_SIZE,
        trim: Trim | None = None,
    ) -> Iterator[ObjectRecord]:
        """Read properties of many objects in one call, and one more for every further page.

        `paths` gives for each API type the property paths to read; subtypes are included. `moids` gives for each type the ids
        of the objects; without it, all objects of these types in the inventory are read. Objects that have vanished are omitted.
        `trim` may take out of a record, as it came, what is of no use: to parse that costs ten times as much as to leave it out.
        """
        properties = [_property_spec(name, wanted) for name, wanted in paths.items()]
        if moids is not None:
            objects = [
                vmodl.query.PropertyCollector.ObjectSpec(obj=self.managed(name, moid)) for name, known in moids.items() for moid in known
            ]
            yield from self._pages(properties, objects, page_size, trim) if objects else ()
            return
        view = self.content.viewManager.CreateContainerView(
            container=self.content.rootFolder, type=[_wsdl_type(name) for name in paths], recursive=True
        )
        try:
            yield from self._pages(properties, [_members_of(view)], page_size, trim)
        finally:
            with contextlib.suppress(CrossvisorError):
                view.Destroy()

    def read(self, managed: Any, *paths: str) -> dict[str, Any]:
        """A few properties of one object, as pyvmomi's values; one that is unset is absent. For what is to be sent back in a change."""
        collector = vmodl.query.PropertyCollector
        spec = collector.FilterSpec(
            propSet=[collector.PropertySpec(type=type(managed), pathSet=list(paths))], objectSet=[collector.ObjectSpec(obj=managed)]
        )
        reply = self.content.propertyCollector.RetrievePropertiesEx([spec], collector.RetrieveOptions())
        return {item.name: item.val for found in (reply.objects if reply else ()) for item in found.propSet}

    def wait(self, task: Any, timeout: float) -> Any:
        """Wait for a task and return its result.

        Raises `RemoteError` with the fault's message and, as `code`, the name of its type; `TimedOut` when the task is still running after
        `timeout` seconds: it goes on then; `NotFound` when there is no such task any more; `OutcomeUnknown` when it cannot be looked at.
        """
        deadline = time.monotonic() + timeout
        pause = _POLL_SHORTEST
        while True:
            info = self._look_at(task)
            state = str(info.get("info.state", "unknown"))
            if state == "success":
                return info.get("info.result")
            if state == "error":
                fault = info.get("info.error")
                raise RemoteError(fault_message(fault), fault_code(fault)) from fault
            if time.monotonic() + pause > deadline:
                raise TimedOut(
                    f"The task {task._GetMoId()} is still {state} after {timeout:g} s and goes on: look at it, then run this task again."
                )
            time.sleep(pause)
            pause = min(pause * 1.5, _POLL_LONGEST)

    @contextlib.contextmanager
    def calling(self, what: str) -> Iterator[None]:
        """Say what was being done when the endpoint refuses: `with session.calling("rescan host esx01"): …`."""
        try:
            yield
        except RemoteError as error:
            raise RemoteError(f"Could not {what}: {error}", error.code) from error

    def close(self) -> None:
        """Log out. Raises nothing but `Ended`, and that only when it is done."""
        with uncut(), contextlib.suppress(CrossvisorError):
            if self.content is not None:
                self.content.sessionManager.Logout()
            self._https.close()

    def _look_at(self, task: Any) -> dict[str, Any]:
        """How a task is. A failing look says nothing of the task, so it must not sound as if the task had failed."""
        try:
            return self.read(task, "info.state", "info.error", "info.result")
        except NotFound:
            raise
        except CrossvisorError as error:
            raise OutcomeUnknown(f"The task {task._GetMoId()} cannot be followed: {error}") from error

    def _pages(self, properties: list[Any], objects: list[Any], page_size: int, trim: Trim | None) -> Iterator[ObjectRecord]:
        collector = vmodl.query.PropertyCollector
        spec = collector.FilterSpec(propSet=properties, objectSet=objects, reportMissingObjectsInResults=True)
        pages = Pages("the inventory")
        page = yield from self._page("RetrievePropertiesEx", trim, [spec], collector.RetrieveOptions(maxObjects=page_size))
        while page.token:
            self._turn(pages, page.count)
            page = yield from self._page("ContinueRetrievePropertiesEx", trim, page.token)

    def _turn(self, pages: Pages, records: int) -> None:
        try:
            pages.turn(records)
        except Excess as excess:
            raise connection_failure(self._connection, excess) from excess

    def _page(self, method: str, trim: Trim | None, *arguments: Any) -> Any:
        collector = self.content.propertyCollector
        info = type(collector)._GetMethodInfo(method)
        with self._stub.post(collector, info, arguments, stream=True) as response:
            page = ReplyStream(cast(Any, response.raw), trim)
            try:
                yield from page
            except (OSError, urllib3.exceptions.HTTPError, SyntaxError) as error:
                raise self._stub.unreadable(info, error) from error
        return page


def _require_libraries() -> None:
    missing = [
        name for name, failure in (("pyvmomi", vim_stub.PYVMOMI_IMPORT_ERROR), ("lxml", vim_xml.LXML_IMPORT_ERROR)) if failure is not None
    ]
    if missing:
        raise MissingLibrary(
            f"The Python libraries that talk to vSphere are not installed where this task runs: pip install {' '.join(missing)}."
        )


def _complete(content: Any, connection: Connection) -> Any:
    """What a ServiceInstance has told of itself, if it is all that is needed. Raises `ConnectionFailed`."""
    parts = ("about", "rootFolder", "propertyCollector", "viewManager", "sessionManager")
    missing = next((name for name in parts if getattr(content, name, None) is None), None)
    if missing is None and not content.about.apiVersion:
        missing = "about.apiVersion"
    if missing:
        role = connection.role
        raise ConnectionFailed(
            f"The {role} {connection} does not answer as vSphere (its ServiceContent is without {missing}): "
            f"check {role}.hostname and {role}.port."
        )
    return content


def _wsdl_type(name: str) -> Any:
    return GetWsdlType(vim_xml.VIM_NAMESPACE, name)


def _property_spec(type_name: str, paths: Sequence[str]) -> Any:
    return vmodl.query.PropertyCollector.PropertySpec(type=_wsdl_type(type_name), all=False, pathSet=list(paths))


def _members_of(view: Any) -> Any:
    collector = vmodl.query.PropertyCollector
    traversal = collector.TraversalSpec(name="members", type=type(view), path="view", skip=False)
    return collector.ObjectSpec(obj=view, skip=True, selectSet=[traversal])
