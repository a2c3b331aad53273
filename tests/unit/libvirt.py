# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A libvirt connection over plain Python values, with the objects, flags and error codes of libvirt-python.

It refuses what libvirt 9.0 refuses: a target or alias that is taken, an address that is taken, a controller that is not there, a change of
what does not run or does not persist. That a LUN has another user, it does not notice, as libvirt does not.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lxml import etree

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import RemoteError
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.access import OnlyLibvirt, ThisMachine
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.host import KvmHost
from ansible_collections.crossvisor.san.plugins.module_utils._san.linux.block import LOOPS_COMMAND
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire import libvirt_uri
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.libvirt_session import CONFIG, LIVE, LibvirtSession
from tests.unit.iscsi_target import INITIATOR, IQN, IscsiTarget

HOST_UUID = "4b564d30-0000-4000-8000-00000000beef"
OPERATION_FAILED, OPERATION_INVALID, NO_DOMAIN, CONFIG_UNSUPPORTED, AGENT_UNRESPONSIVE = 9, 55, 42, 67, 86
RUNNING, PAUSED, SHUT_OFF = 1, 3, 5
BY_USER, BY_MIGRATION, BY_IO_ERROR = 1, 2, 5
"""Why a domain is paused: virsh suspend, or a start that was asked to be paused; a restoration from a file; a disk that fails."""
_INACTIVE = 2

ROOT_PORT = "<controller type='pci' index='{0}' model='pcie-root-port'/>"
VIRTIO_SCSI = "<controller type='scsi' index='0' model='virtio-scsi'/>"


class LibvirtError(Exception):
    """As libvirt.libvirtError."""

    def __init__(self, message: str, code: int, domain: int = 10) -> None:
        super().__init__(message)
        self._code, self._domain = code, domain

    def get_error_code(self) -> int:
        return self._code

    def get_error_domain(self) -> int:
        return self._domain


def domain_xml(name: str, devices: str) -> str:
    return f"<domain type='kvm'><name>{name}</name><uuid>{uuid_of(name)}</uuid><devices>{devices}</devices></domain>"


def uuid_of(name: str) -> str:
    return f"{name.encode().hex().ljust(8, '0')[:8]}-0000-4000-8000-000000000001"


@dataclass
class Domain:
    """As libvirt.virDomain. An empty XML means that it does not run, or is not persistent."""

    name_: str
    live: str = ""
    config: str = ""
    mounted: list[tuple[str, str, str, list[str]]] | None = None
    """What the guest agent tells; None where there is no agent."""
    late: int = 0
    """Seconds after which the guest agent answers."""
    saved: bool = False
    image: str | None = ""
    """The XML in its managed save image, if that is another than `config`; None for an image that cannot be read."""
    asked_for_an_image: int = 0
    """How often it was asked whether it has such an image."""
    paused: int | None = None
    """Why it is suspended (virDomainPausedReason); None for what is not."""
    asked: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Target → how often the guest has read from the disk, and written to it; -1 for what QEMU does not tell."""
    holds_on: bool = False
    """The guest lets go of nothing."""
    refusal: LibvirtError | None = None
    """What the next live attachment of a disk is answered with."""
    resizable: dict[str, int] = field(default_factory=dict)
    """Target → how large its device is."""
    sizes: dict[str, int] = field(default_factory=dict)
    """Target → how large QEMU takes it to be."""
    calls: list[str] = field(default_factory=list)
    agent_seconds: int = -2
    frozen: set[str] = field(default_factory=set)
    """The devices whose file systems the agent holds still; it answers little else meanwhile."""
    frozen_by_others: set[str] = field(default_factory=set)
    """Those that were frozen in the guest, of which the agent does not know."""
    hanging: str = ""
    """That the agent does not say that it has frozen them: `once`, or `for good`."""
    notes: dict[str, str] = field(default_factory=dict)
    """URI → metadata of what runs."""

    def UUIDString(self) -> str:  # noqa: N802
        return uuid_of(self.name_)

    def name(self) -> str:
        return self.name_

    def isActive(self) -> int:  # noqa: N802
        return int(bool(self.live))

    def isPersistent(self) -> int:  # noqa: N802
        return int(bool(self.config))

    def state(self) -> list[int]:
        if self.live and self.paused is not None:
            return [PAUSED, self.paused]
        return [RUNNING if self.live else SHUT_OFF, 0]

    def blockStats(self, target: str) -> tuple[int, int, int, int, int]:  # noqa: N802
        self._require_running()
        reads, writes = self.asked.get(target, (0, 0))
        return reads, reads * 512, writes, writes * 512, -1

    def XMLDesc(self, flags: int) -> str:  # noqa: N802
        return self.config if flags & _INACTIVE or not self.live else self.live

    def hasManagedSaveImage(self, _flags: int) -> int:  # noqa: N802
        self.asked_for_an_image += 1
        return int(self.saved)

    def managedSaveGetXMLDesc(self, _flags: int) -> str:  # noqa: N802
        if not self.saved:
            raise LibvirtError("Requested operation is not valid: domain does not have managed save image", OPERATION_INVALID)
        if self.image is None:
            raise LibvirtError("operation failed: failed to read qemu header", OPERATION_FAILED)
        return self.image or self.config

    def agentSetResponseTimeout(self, seconds: int, _flags: int) -> int:  # noqa: N802
        self.agent_seconds = seconds
        return 0

    def fsInfo(self) -> list[tuple[str, str, str, list[str]]]:  # noqa: N802
        self._ask_agent("guest-get-fsinfo")
        return self.mounted or []

    def fsFreeze(self, places: list[str] | None, _flags: int) -> int:  # noqa: N802
        """As qemu-ga's guest-fsfreeze-freeze-list: what is frozen already it passes over, and says so by its count alone."""
        self._ask_agent("guest-fsfreeze-freeze-list")
        mounted = {place: device for place, device, _kind, _targets in self.mounted or ()}
        held = {mounted[place] for place in places or mounted if place in mounted} - self.frozen - self.frozen_by_others
        self.frozen |= held
        if self.hanging:
            raise LibvirtError(
                "Guest agent is not responding: guest agent didn't respond to command within '5' seconds", AGENT_UNRESPONSIVE
            )
        return len(held)

    def fsThaw(self, places: None, _flags: int) -> int:  # noqa: N802
        if places is not None:
            raise LibvirtError("argument unsupported: specifying mountpoints is not supported", 74)
        if self.mounted is None or self.hanging == "for good":
            raise LibvirtError("Guest agent is not responding: QEMU guest agent is not connected", AGENT_UNRESPONSIVE)
        count = len(self.frozen | self.frozen_by_others)
        self.frozen, self.frozen_by_others = set(), set()
        return count

    def metadata(self, _kind: int, uri: str, flags: int) -> str:
        assert flags == LIVE
        self._require_running()
        if uri not in self.notes:
            raise LibvirtError("metadata not found: Requested metadata element is not present", 80)
        return self.notes[uri]

    def setMetadata(self, _kind: int, xml: str | None, key: str, uri: str, flags: int) -> int:  # noqa: N802
        assert (flags, bool(key)) == (LIVE, True)
        self._require_running()
        self.notes = {**self.notes, uri: xml} if xml else {known: text for known, text in self.notes.items() if known != uri}
        return 0

    def _require_running(self) -> None:
        if not self.live:
            raise LibvirtError("Requested operation is not valid: domain is not running", 55)

    def _ask_agent(self, command: str) -> None:
        if self.agent_seconds < 0:
            raise AssertionError("libvirt would wait for a hung agent for ever")
        if self.mounted is None:
            raise LibvirtError("Guest agent is not responding: QEMU guest agent is not connected", AGENT_UNRESPONSIVE)
        if self.late > self.agent_seconds:
            raise LibvirtError("Guest agent is not responding: Guest agent not available for now", AGENT_UNRESPONSIVE)
        if self.frozen:
            told = f"Command {command} has been disabled: the agent is in frozen state"
            raise LibvirtError(f"internal error: unable to execute QEMU agent command '{command}': {told}", 1)

    def attachDeviceFlags(self, xml: str, flags: int) -> int:  # noqa: N802
        device = etree.fromstring(xml)
        self.calls.append(f"attach {device.tag} {flags}")
        if flags & LIVE and device.tag == "disk" and self.refusal:
            refusal, self.refusal = self.refusal, None
            raise refusal
        changed = {part: _with(self._part(part), device) for part in (LIVE, CONFIG) if flags & part}
        self._keep(changed)
        return 0

    def detachDeviceFlags(self, xml: str, flags: int) -> int:  # noqa: N802
        device = etree.fromstring(xml)
        self.calls.append(f"detach {device.tag} {flags}")
        changed = {part: _without(self._part(part), device) for part in (LIVE, CONFIG) if flags & part}
        self._keep({part: text for part, text in changed.items() if not (part == LIVE and self.holds_on)})
        return 0

    def blockResize(self, target: str, size: int, flags: int) -> int:  # noqa: N802
        """As QEMU's host_device and iscsi have it: no other size than the device's, by whoever knows that (`resizable`)."""
        self.calls.append(f"resize {target} {size} {flags}")
        if not self.live:
            raise LibvirtError("Requested operation is not valid: domain is not running", OPERATION_INVALID)
        if self.resizable.get(target) != size:
            raise LibvirtError("internal error: unable to execute QEMU command 'block_resize': Cannot resize device files", 1)
        self.sizes[target] = size
        return 0

    def _part(self, part: int) -> str:
        text = self.live if part == LIVE else self.config
        if not text:
            raise LibvirtError("Requested operation is not valid: domain is not running or transient", OPERATION_INVALID)
        return text

    def _keep(self, changed: dict[int, str]) -> None:
        self.live, self.config = changed.get(LIVE, self.live), changed.get(CONFIG, self.config)


@dataclass
class Pool:
    """As libvirt.virStoragePool."""

    xml: str
    volumes: dict[str, str] = field(default_factory=dict)

    def XMLDesc(self, _flags: int) -> str:  # noqa: N802
        return self.xml

    def storageVolLookupByName(self, name: str) -> Volume:  # noqa: N802
        if name not in self.volumes:
            raise LibvirtError(f"Storage volume not found: no storage vol with matching name '{name}'", 50)
        return Volume(self.volumes[name])


@dataclass
class Volume:
    """As libvirt.virStorageVol."""

    path_: str

    def path(self) -> str:
        return self.path_

    def info(self) -> list[int]:
        return [0, 3 << 30, 1 << 20]


@dataclass
class Described:
    """A node device."""

    xml: str

    def XMLDesc(self, _flags: int) -> str:  # noqa: N802
        return self.xml


@dataclass
class Secret:
    """As libvirt.virSecret."""

    text: str

    def value(self) -> bytes:
        return self.text.encode()


@dataclass
class Connect:
    """As libvirt.virConnect."""

    domains: list[Domain] = field(default_factory=list)
    pools: list[Pool] = field(default_factory=list)
    node_devices: dict[int, list[str]] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    """Target → capacity, in every domain."""
    failure: Callable[[], LibvirtError] | None = None
    """What every listing is answered with."""
    closed: bool = False
    hostname: str = "kvm01"
    uuid: str = HOST_UUID
    """Of the host."""

    def getHostname(self) -> str:  # noqa: N802
        return self.hostname

    def getCapabilities(self) -> str:  # noqa: N802
        return f"<capabilities><host><uuid>{self.uuid}</uuid></host></capabilities>"

    def getVersion(self) -> int:  # noqa: N802
        return 7002022

    def getLibVersion(self) -> int:  # noqa: N802
        return 9000000

    def listAllDomains(self) -> list[Domain]:  # noqa: N802
        if self.failure:
            raise self.failure()
        return self.domains

    def lookupByUUIDString(self, uuid: str) -> Domain:  # noqa: N802
        found = next((domain for domain in self.domains if domain.UUIDString() == uuid), None)
        if found is None:
            raise LibvirtError(f"Domain not found: no domain with matching uuid '{uuid}'", NO_DOMAIN)
        return found

    def getAllDomainStats(self, _stats: int, _flags: int) -> list[tuple[Domain, dict[str, object]]]:  # noqa: N802
        def stats(domain: Domain) -> dict[str, object]:
            blocks = [(f"block.{n}", target, size) for n, (target, size) in enumerate({**self.sizes, **domain.sizes}.items())]
            named: dict[str, object] = {f"{block}.name": target for block, target, _size in blocks}
            return {"block.count": len(blocks), **named, **{f"{block}.capacity": size for block, _target, size in blocks}}

        return [(domain, stats(domain)) for domain in self.domains]

    def listAllStoragePools(self, _flags: int) -> list[Pool]:  # noqa: N802
        return self.pools

    def storagePoolLookupByName(self, name: str) -> Pool:  # noqa: N802
        found = next((pool for pool in self.pools if etree.fromstring(pool.xml).findtext("name") == name), None)
        if found is None:
            raise LibvirtError(f"Storage pool not found: no storage pool with matching name '{name}'", 49)
        return found

    def listAllDevices(self, capability: int) -> list[Described]:  # noqa: N802
        return [Described(xml) for xml in self.node_devices.get(capability, ())]

    def nodeDeviceLookupByName(self, name: str) -> Described:  # noqa: N802
        found = next((xml for all_ in self.node_devices.values() for xml in all_ if f"<name>{name}</name>" in xml), None)
        if found is None:
            raise LibvirtError(f"Node device not found: no node device with matching name '{name}'", 53)
        return Described(found)

    def secretLookupByUsage(self, _kind: int, usage: str) -> Secret:  # noqa: N802
        if usage not in self.secrets:
            raise LibvirtError(f"Secret not found: no secret with matching usage '{usage}'", 66)
        return Secret(self.secrets[usage])

    def close(self) -> int:
        self.closed = True
        return 0


def session(connect: Connect) -> LibvirtSession:
    """The connection as the backend holds it."""
    return LibvirtSession(connect, LibvirtError, "qemu:///system")


class Machine(ThisMachine):
    """A host whose files are below a root, and whose kernel has claimed some block devices and tells nothing of others."""

    def __init__(self, root: Path, claimed: Collection[str], untold: Collection[str]) -> None:
        super().__init__(5, root)
        self._taken, self._untold = claimed, untold
        self.multipath_status: str | None = None
        """What `dmsetup status` prints there; None where it does not run."""
        self.loops: str | None = None
        """What `losetup` prints there; None where it does not run."""

    def told(self, command: Sequence[str], patience: float) -> str:
        if command == LOOPS_COMMAND and self.loops is not None:
            return self.loops
        if command[:4] != ["dmsetup", "status", "--target", "multipath"] or self.multipath_status is None:
            raise RemoteError(f"{' '.join(command)} on the KVM host could not be run")
        return self.multipath_status

    def claimed(self, blocks: Sequence[str]) -> Mapping[str, bool]:
        return {block: block in self._taken for block in blocks if block not in self._untold}


def host(connect: Connect, root: Path, claimed: Collection[str] = (), untold: Collection[str] = ()) -> KvmHost:
    """A KVM host whose files are below `root`; of its block devices some are claimed, and some are nobody's to open."""
    return KvmHost(session(connect), Machine(root, claimed, untold))


def without_files() -> OnlyLibvirt:
    """Access to a host of which nothing but libvirt is reached."""
    return OnlyLibvirt(libvirt_uri.parse("qemu+tls://kvm01/system"), 5)


def san_pool(target: IscsiTarget, name: str = "san", auth: str = "") -> Pool:
    """An iscsi-direct pool that reaches the target."""
    return Pool(
        f"<pool type='iscsi-direct'><name>{name}</name><uuid>{HOST_UUID}</uuid><source>"
        f"<host name='{target.portal.address}' port='{target.portal.port}'/><device path='{IQN}'/>"
        f"<initiator><iqn name='{INITIATOR}'/></initiator>{auth}</source></pool>"
    )


def network_lun(target: IscsiTarget, number: int, dev: str = "sda", unit: int = 0, alias: str = "") -> str:
    """The XML of a disk that is a LUN of the target."""
    return (
        f"<disk type='network' device='lun'><driver name='qemu' type='raw'/><source protocol='iscsi' name='{IQN}/{number}'>"
        f"<host name='{target.portal.address}' port='{target.portal.port}'/><initiator><iqn name='{INITIATOR}'/></initiator></source>"
        f"<target dev='{dev}' bus='scsi'/>{alias}<address type='drive' controller='0' bus='0' target='0' unit='{unit}'/></disk>"
    )


def _with(text: str, device: etree._Element) -> str:
    root = etree.fromstring(text)
    devices = root.find("devices")
    assert devices is not None
    for there in devices:
        _refuse_conflict(there, device)
    address = device.find("address")
    if device.tag == "disk" and address is not None:
        indexes = {controller.get("index") for controller in devices.iterfind("controller[@type='scsi']")}
        assert address.get("controller") in indexes, "libvirt would invent a controller"
    devices.append(device)
    return etree.tostring(root, encoding="unicode")


def _refuse_conflict(there: etree._Element, device: etree._Element) -> None:
    if (there.tag, there.get("type")) == (device.tag, device.get("type")) == ("controller", "scsi"):
        if there.get("index") == device.get("index"):
            raise LibvirtError(f"Requested operation is not valid: target scsi:{device.get('index')} already exists", OPERATION_INVALID)
        return
    if there.tag != "disk" or device.tag != "disk":
        return
    if _attribute(there, "target", "dev") == _attribute(device, "target", "dev"):
        raise LibvirtError(f"Requested operation is not valid: target '{_attribute(device, 'target', 'dev')}' duplicated", OPERATION_FAILED)
    if _attribute(there, "alias", "name") == _attribute(device, "alias", "name") != "":
        raise LibvirtError("XML error: non unique alias detected", 27)
    if _address(there) and _address(there) == _address(device):
        raise LibvirtError("Requested operation is not valid: Domain already contains a disk with that address", OPERATION_INVALID)


def _without(text: str, device: etree._Element) -> str:
    root = etree.fromstring(text)
    devices = root.find("devices")
    assert devices is not None
    for there in list(devices):
        same_disk = device.tag == "disk" and _attribute(there, "target", "dev") == _attribute(device, "target", "dev")
        same_controller = device.tag == "controller" and there.get("type") == "scsi" and there.get("index") == device.get("index")
        if there.tag == device.tag and (same_disk or same_controller):
            devices.remove(there)
            return etree.tostring(root, encoding="unicode")
    raise LibvirtError("device not found: no matching device was found", 99)


def _attribute(element: etree._Element, child: str, name: str) -> str:
    found = element.find(child)
    return found.get(name, "") if found is not None else ""


def _address(disk: etree._Element) -> tuple[tuple[str, str], ...] | None:
    found = disk.find("address")
    return tuple(sorted((str(name), str(value)) for name, value in found.attrib.items())) if found is not None else None
