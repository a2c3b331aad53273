# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A connection to libvirt whose every call raises only `CrossvisorError`s.

Flags and error codes are those of libvirt's public headers, which never change their numbers, so that libvirt-python is imported only to
open a connection. Libvirt has no call that returns the XML of several domains: what is needed of many is asked several at a time over the
one connection, which interleaves calls.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import (
    AuthenticationFailed,
    ConnectionFailed,
    CrossvisorError,
    MissingLibrary,
    NotFound,
    OutcomeUnknown,
    RemoteError,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.libvirt_uri import LibvirtUri

LIVE = 1
"""VIR_DOMAIN_AFFECT_LIVE"""
CONFIG = 2
"""VIR_DOMAIN_AFFECT_CONFIG"""

FC_HOSTS = 512
"""VIR_CONNECT_LIST_NODE_DEVICES_CAP_FC_HOST"""
STORAGE = 256
"""VIR_CONNECT_LIST_NODE_DEVICES_CAP_STORAGE"""

_XML_INACTIVE = 2
_SHUTOFF = frozenset({5, 6})
_PAUSED = 3
_SUSPENDED = frozenset({_PAUSED, 7})
_BY_SOMEBODY = 1
"""VIR_DOMAIN_PAUSED_USER: by virsh suspend, and for what was started paused; not for what was restored, or stopped by a failing disk."""
_STATS_BLOCK = 32
_STATS_NOWAIT = 1 << 29
_SECRET_ISCSI = 3
_RESIZE_BYTES = 1
"""VIR_DOMAIN_BLOCK_RESIZE_BYTES. That for the whole of a device, VIR_DOMAIN_BLOCK_RESIZE_CAPACITY, only libvirt 10.0 and later know."""
_CREDENTIAL_NAMES = frozenset({1, 2})
_CREDENTIAL_SECRETS = frozenset({5, 7})
_AT_ONCE = 16

_NOT_FOUND = frozenset({42, 49, 50, 53, 66})
_LOST = frozenset({39, 6})
_RPC_DOMAIN = 7
_SYSTEM_ERROR = 38
_AUTH = frozenset({45, 79, 94})
_FORBIDDEN = frozenset({29, 88})
_AGENT_SECONDS = 5
_NEVER_WRITTEN = frozenset({"squashfs", "erofs", "cramfs", "romfs", "iso9660", "CDFS"})
"""Kinds of file systems that nobody writes to, such as a snap, which lies on a loop device: they cannot be frozen either."""
_AGENT_WITHOUT_LIMIT = -2
"""VIR_DOMAIN_AGENT_RESPONSE_TIMEOUT_BLOCK, libvirt's default."""
_AGENT_ABSENT = frozenset({3, 55, 67, 74, 84, 86, 97})
"""What a call to the guest agent is answered with where there is none, it does not answer, or it is too old for the question."""

_AGENT_REFUSED = "unable to execute QEMU agent command"
_NO_METADATA = frozenset({80, 55})
"""What is answered where there is no such note, or nothing runs that could have one."""
_METADATA_ELEMENT = 2
_NOTE_KEY, _NOTE_URI = "crossvisor", "https://github.com/crossvisor/san"

T = TypeVar("T")
U = TypeVar("U")


@dataclass(frozen=True)
class DomainRecord:
    """A domain, as one observation found it."""

    uuid: str
    name: str
    state: str
    """`on`, `off` or `suspended`."""
    live: str
    """XML of the running domain; empty when it is off."""
    config: str
    """XML with which it starts next time; empty for a transient domain."""
    saved: str | None = None
    """XML in the managed save image that it goes on from, if it is off; None without one, and empty for one that cannot be read."""
    held: bool = False
    """Whether it is paused because somebody asked for it, in the process in which it was started or to which it was moved."""

    @property
    def is_saved(self) -> bool:
        """Whether it is off and goes on from a managed save image, with the devices that it had."""
        return self.saved is not None

    @property
    def active(self) -> bool:
        return bool(self.live)

    @property
    def targets(self) -> int:
        """The flags of a change that concerns all of it: what runs now, and what starts next time."""
        return (LIVE if self.live else 0) | (CONFIG if self.config else 0)


@dataclass(frozen=True)
class Volume:
    """A volume of a storage pool."""

    path: str = ""
    """Where it is on the host."""
    size_bytes: int = 0


@dataclass(frozen=True)
class GuestMount:
    """A file system that a guest has mounted, by the word of its agent."""

    place: str
    device: str
    """As the guest calls it."""
    kind: str
    targets: Sequence[str]
    """The disks that it lies on; none where agent or libvirt cannot tell, as of a loop device or a disk that the domain does not have."""

    @property
    def may_be_anywhere(self) -> bool:
        """Whether it may lie on any disk and hold data there, because nobody tells on which it is."""
        return not self.targets and self.kind not in _NEVER_WRITTEN


class AgentRefused(RemoteError):
    """The agent in the guest answered, and said no: what it had begun it has taken back."""


class LibvirtSession:
    """An open connection."""

    def __init__(self, raw: Any, failure: type[Exception], address: str) -> None:
        """`raw` is a `libvirt.virConnect`, `failure` the class of its errors, `address` what to call it in messages."""
        self._raw = raw
        self._failure = failure
        self.address = address

    @property
    def hostname(self) -> str:
        """The host's own name."""
        return str(self._call("ask for the host's name", self._raw.getHostname))

    @property
    def capabilities(self) -> str:
        """XML with the host's UUID and what it can run."""
        return str(self._call("ask what the host can run", self._raw.getCapabilities))

    @property
    def versions(self) -> tuple[str, str]:
        """The versions of QEMU and of libvirt."""
        numbers = self._call("ask for the versions", lambda: (self._raw.getVersion(), self._raw.getLibVersion()))
        return _dotted(numbers[0]), _dotted(numbers[1])

    def domains(self) -> list[DomainRecord]:
        """Every domain: one listing, and for each its XML; one that vanishes meanwhile is left out."""
        return [record for record in self.each(self._call("list the VMs", self._raw.listAllDomains), self._if_there) if record]

    def domain(self, uuid: str) -> DomainRecord:
        """One domain. Raises `NotFound`."""
        return self._record(self._lookup(uuid))

    def capacities(self) -> dict[tuple[str, str], int]:
        """(UUID of the domain, target) → size in bytes of what the guest sees, of all domains in one call, where libvirt knows it."""
        found = self._call("ask for the sizes of the disks", lambda: self._raw.getAllDomainStats(_STATS_BLOCK, _STATS_NOWAIT))
        return {
            (domain.UUIDString(), str(stats[f"block.{number}.name"])): int(stats.get(f"block.{number}.capacity", 0))
            for domain, stats in found
            for number in range(int(stats.get("block.count", 0)))
        }

    def attach(self, uuid: str, device: str, targets: int) -> None:
        """Add a device, given as XML, to what runs (`LIVE`), to what starts next time (`CONFIG`), or both."""
        self._change("attach the device", lambda: self._lookup(uuid).attachDeviceFlags(device, targets))

    def detach(self, uuid: str, device: str, targets: int) -> None:
        """Ask for a device to be taken away; from what runs it is gone only when the guest has let go of it."""
        self._change("detach the device", lambda: self._lookup(uuid).detachDeviceFlags(device, targets))

    def resize(self, uuid: str, target: str, size_bytes: int) -> None:
        """Tell what runs how large a disk is by now: of a block device or LUN, exactly as large as it is, or QEMU refuses."""
        self._change("tell the VM the size of its disk", lambda: self._lookup(uuid).blockResize(target, size_bytes, _RESIZE_BYTES))

    def requests(self, uuid: str, target: str) -> int | None:
        """How often the guest has read from a disk or written to it since its process began; None where QEMU does not tell."""
        try:
            reads, _bytes, writes, *_rest = self._call("ask what a disk was asked", lambda: self._lookup(uuid).blockStats(target))
        except RemoteError:
            return None
        return int(reads + writes) if min(reads, writes) >= 0 else None

    def mounts(self, uuid: str, seconds: int = _AGENT_SECONDS) -> dict[str, list[str]] | None:
        """Target → where the guest has mounted file systems on it, by the guest agent's word; None where no agent answers within the time.

        Libvirt waits for an agent that hangs for ever, unless it is told not to; a limit that somebody else has set for the domain is lost.
        """
        found = self.guest_mounts(uuid, seconds)
        if found is None:
            return None
        mounted: dict[str, list[str]] = {}
        for mount in found:
            for target in mount.targets:
                mounted.setdefault(target, []).append(mount.place)
        return mounted

    def guest_mounts(self, uuid: str, seconds: int = _AGENT_SECONDS) -> list[GuestMount] | None:
        """What the guest has mounted, by the guest agent's word; None where no agent answers within the time. Raises `AgentRefused`."""
        domain = self._lookup(uuid)
        try:
            with self._patient_agent(domain, seconds):
                found = domain.fsInfo()
        except self._failure as error:
            if _code(error) in _AGENT_ABSENT:
                return None
            raise self._told_by_agent("ask the guest agent", error) from error
        return [GuestMount(str(place), str(device), str(kind), [str(one) for one in targets]) for place, device, kind, targets in found]

    def freeze(self, uuid: str, places: Sequence[str], seconds: int) -> int:
        """Have the guest agent hold file systems still; how many it holds, which is fewer where one was frozen already.

        Raises `AgentRefused` where it holds none, and `OutcomeUnknown` where it does not answer: it may still do it.
        """
        return self._of_agent("hold the guest's file systems still", uuid, seconds, lambda domain: domain.fsFreeze(list(places), 0))

    def thaw(self, uuid: str, seconds: int) -> int:
        """Have the guest agent let go of all that is frozen in its guest; how many file systems that was. Raises as `freeze` does."""
        return self._of_agent("let go of the guest's file systems", uuid, seconds, lambda domain: domain.fsThaw(None, 0))

    def note(self, uuid: str) -> str:
        """The note of this collection in what runs of a domain, as XML; empty for none, as where nothing runs."""
        try:
            return str(self._lookup(uuid).metadata(_METADATA_ELEMENT, _NOTE_URI, LIVE))
        except self._failure as error:
            if _code(error) in _NO_METADATA:
                return ""
            raise self._told("read the note of a VM", error) from error

    def set_note(self, uuid: str, xml: str) -> None:
        """Leave a note in what runs of a domain, which goes with it; an empty one takes it away."""
        self._change(
            "leave a note in the VM",
            lambda: self._lookup(uuid).setMetadata(_METADATA_ELEMENT, xml or None, _NOTE_KEY, _NOTE_URI, LIVE),
        )

    def pools(self) -> list[str]:
        """XML of each storage pool, active or not."""
        pools = self._call("list the storage pools", lambda: self._optional(lambda: self._raw.listAllStoragePools(0)))
        return [xml for xml in self.each(pools, lambda pool: self._xml("pool", pool)) if xml]

    def volume(self, pool: str, volume: str) -> Volume:
        """A volume of a pool; one without path if the pool is not active or does not have it."""

        def look() -> Volume:
            found = self._raw.storagePoolLookupByName(pool).storageVolLookupByName(volume)
            return Volume(str(found.path()), int(found.info()[1]))

        try:
            return self._call(f"look up volume {volume} of pool {pool}", look)
        except (NotFound, RemoteError):
            return Volume()

    def node_devices(self, capability: int) -> list[str]:
        """XML of each device of the host with a capability (`FC_HOSTS`, `STORAGE`); none where the driver is missing."""
        devices = self._call("list the host's devices", lambda: self._optional(lambda: self._raw.listAllDevices(capability)))
        return [xml for xml in self.each(devices, lambda device: self._xml("device", device)) if xml]

    def node_device(self, name: str) -> str:
        """XML of one device of the host by libvirt's name for it, such as `pci_0000_04_00_0`; empty when it is not there."""
        try:
            return str(self._call(f"look up the device {name}", lambda: self._raw.nodeDeviceLookupByName(name).XMLDesc(0)))
        except (NotFound, RemoteError):
            return ""

    def secret(self, usage: str, uuid: str) -> str:
        """The value of an iSCSI secret, by its usage name or UUID. Raises `NotFound`; `RemoteError` for a private one."""

        def read() -> bytes:
            found = self._raw.secretLookupByUUIDString(uuid) if uuid else self._raw.secretLookupByUsage(_SECRET_ISCSI, usage)
            return bytes(found.value())

        return self._call(f"read the iSCSI secret {uuid or usage}", read).decode("utf-8", "replace")

    def each(self, items: Sequence[U], action: Callable[[U], T]) -> list[T]:
        """The action for each item, several at a time, in the items' order."""
        if not items:
            return []
        with ThreadPoolExecutor(max_workers=min(_AT_ONCE, len(items))) as pool:
            return list(pool.map(action, items))

    def close(self) -> None:
        """Close the connection. Never raises."""
        try:
            self._raw.close()
        except self._failure:
            return

    def _lookup(self, uuid: str) -> Any:
        return self._call(f"look up the VM {uuid}", lambda: self._raw.lookupByUUIDString(uuid))

    def _if_there(self, domain: Any) -> DomainRecord | None:
        try:
            return self._record(domain)
        except NotFound:
            return None

    def _record(self, domain: Any) -> DomainRecord:
        def read() -> DomainRecord:
            active, persistent = bool(domain.isActive()), bool(domain.isPersistent())
            live = domain.XMLDesc(0) if active else ""
            config = domain.XMLDesc(_XML_INACTIVE) if persistent else ""
            saved = self._saved(domain) if persistent and not active else None
            state, reason = domain.state()[:2]
            held = (state, reason) == (_PAUSED, _BY_SOMEBODY)
            return DomainRecord(domain.UUIDString(), domain.name(), _state(state), live, config, saved, held)

        return self._call("read a VM", read)

    def _saved(self, domain: Any) -> str | None:
        """What `DomainRecord.saved` says of a domain that is off."""
        if not any(self._optional(lambda: [domain.hasManagedSaveImage(0)])):
            return None
        try:
            return self._call("read a managed save image", lambda: str(domain.managedSaveGetXMLDesc(0)))
        except (AuthenticationFailed, RemoteError):
            return ""

    @contextmanager
    def _patient_agent(self, domain: Any, seconds: int) -> Iterator[None]:
        domain.agentSetResponseTimeout(seconds, 0)
        try:
            yield
        finally:
            domain.agentSetResponseTimeout(_AGENT_WITHOUT_LIMIT, 0)

    def _of_agent(self, what: str, uuid: str, seconds: int, action: Callable[[Any], object]) -> int:
        domain = self._lookup(uuid)
        try:
            with self._patient_agent(domain, seconds):
                return int(str(action(domain)))
        except self._failure as error:
            told = self._told_by_agent(what, error)
            raise (told if isinstance(told, AgentRefused) else OutcomeUnknown(f"{told}")) from error

    def _told_by_agent(self, what: str, error: Exception) -> CrossvisorError:
        told = self._told(what, error)
        return AgentRefused(f"{told}", str(_code(error))) if _AGENT_REFUSED in _message(error) else told

    def _xml(self, what: str, found: Any) -> str:
        try:
            return str(self._call(f"read a {what}", lambda: found.XMLDesc(0)))
        except NotFound:
            return ""

    def _optional(self, listing: Callable[[], list[Any]]) -> list[Any]:
        """What a driver lists, which may be one that knows no such thing."""
        try:
            return listing()
        except self._failure as error:
            if _code(error) == 3:
                return []
            raise

    def _call(self, what: str, action: Callable[[], T]) -> T:
        try:
            return action()
        except self._failure as error:
            raise self._told(what, error) from error

    def _change(self, what: str, action: Callable[[], object]) -> None:
        """A call that changes something: when the connection is lost meanwhile, nobody knows whether it was done."""
        try:
            self._call(what, action)
        except ConnectionFailed as error:
            raise OutcomeUnknown(f"{error}") from error

    def _told(self, what: str, error: Exception) -> CrossvisorError:
        code, domain, message = _code(error), _domain(error), _message(error)
        if code in _NOT_FOUND:
            return NotFound(f"Could not {what}: {message}")
        if code in _FORBIDDEN:
            return AuthenticationFailed(f"libvirt at {self.address} does not allow to {what}: {message}")
        if code in _LOST or (code == _SYSTEM_ERROR and domain == _RPC_DOMAIN):
            return ConnectionFailed(f"The connection to libvirt at {self.address} was lost: {message}")
        return RemoteError(f"libvirt at {self.address} could not {what}: {message}", str(code))


def open_session(uri: LibvirtUri, username: str | None, password: str | None, patience: float) -> LibvirtSession:
    """Connect within `patience` seconds. Raises `MissingLibrary`, `ConnectionFailed` or `AuthenticationFailed`."""
    libvirt = _library()
    given = {**dict.fromkeys(_CREDENTIAL_NAMES, username), **dict.fromkeys(_CREDENTIAL_SECRETS, password)}
    authentication = [sorted(given), _answers(given), None]
    try:
        raw = _within(patience, lambda: libvirt.openAuth(uri.text, authentication, 0))
    except libvirt.libvirtError as error:
        raise _not_opened(uri, error) from error
    if raw is None:
        raise ConnectionFailed(
            f"libvirt at {uri.text} did not answer within {patience:g} s: check that the host is up and reachable, or raise "
            "hypervisor.timeout."
        )
    return LibvirtSession(raw, libvirt.libvirtError, uri.text)


def _library() -> Any:
    try:
        import lxml.etree  # noqa: F401
    except ImportError:
        raise MissingLibrary("The Python library lxml is needed to reach KVM hosts: install it with pip (requirements.txt).") from None
    try:
        import libvirt
    except ImportError:
        raise MissingLibrary(
            "The Python library libvirt-python is needed to reach KVM hosts: install it with pip (requirements-kvm.txt), or as Debian's "
            "python3-libvirt for the system's Python."
        ) from None
    libvirt.registerErrorHandler(lambda _context, _error: None, None)  # else libvirt prints every error
    return libvirt


def _answers(given: Mapping[int, str | None]) -> Callable[[list[list[Any]], Any], int]:
    """The callback in which libvirt asks for a user name and a password, where the transport wants them (SASL)."""

    def answer(asked: Iterable[list[Any]], _data: Any) -> int:
        for credential in asked:
            value = given.get(credential[0])
            if value is None:
                return -1
            credential[4] = value
        return 0

    return answer


def _within(patience: float, action: Callable[[], Any]) -> Any:
    """The result of an action that cannot be told to give up; None when it takes too long, and it goes on unheard."""
    outcome: list[Any] = []
    failure: list[Exception] = []

    def run() -> None:
        try:
            outcome.append(action())
        except Exception as error:  # noqa: BLE001  # raised below, in the caller's thread
            failure.append(error)

    worker = threading.Thread(target=run, daemon=True)
    worker.start()
    worker.join(patience)
    if failure:
        raise failure[0]
    return outcome[0] if outcome else None


def _not_opened(uri: LibvirtUri, error: Exception) -> CrossvisorError:
    message = _message(error)
    if _code(error) in _AUTH or "authentication failed" in message.lower():
        return AuthenticationFailed(f"libvirt at {uri.text} refuses the login: {message}")
    if "Permission denied" in message:
        return AuthenticationFailed(f"libvirt at {uri.text} refuses the login: {message}; use an account of group libvirt, or root")
    return ConnectionFailed(f"libvirt cannot be reached at {uri.text}: {message}; check hypervisor.uri and that libvirtd runs there")


def _code(error: Exception) -> int:
    return int(getattr(error, "get_error_code", lambda: 0)() or 0)


def _domain(error: Exception) -> int:
    return int(getattr(error, "get_error_domain", lambda: 0)() or 0)


def _message(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".")


def _state(number: int) -> str:
    if number in _SHUTOFF:
        return "off"
    return "suspended" if number in _SUSPENDED else "on"


def _dotted(number: int) -> str:
    return f"{number // 1000000}.{number // 1000 % 1000}.{number % 1000}"
