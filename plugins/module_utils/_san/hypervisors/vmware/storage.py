# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A host's adapters, paths and LUNs out of the XML of HostStorageDeviceInfo."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import InvalidInput
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.vmware import properties
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.vmware.tree import name_of
from ansible_collections.crossvisor.san.plugins.module_utils._san.initiator_name import normalize_wwpn
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import (
    CONNECTED,
    DEVICE_LOST,
    DEVICE_OFF,
    DEVICE_OK,
    FCOE,
    FIBRE_CHANNEL,
    ISCSI_HARDWARE,
    ISCSI_SOFTWARE,
    OFFLINE,
    ONLINE,
    PATH_ACTIVE,
    PATH_DEAD,
    PATH_DISABLED,
    PATH_STANDBY,
    UNKNOWN,
    Hba,
    LunPath,
    Portal,
    ScsiDevice,
    Use,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.vim_xml import (
    Element,
    ObjectRecord,
    child,
    children,
    flag,
    integer,
    text,
    type_of,
)

_ISCSI = "HostInternetScsiHba"
_SAS = "HostSerialAttachedHba"
_KINDS: Mapping[str, str] = {
    "HostFibreChannelHba": FIBRE_CHANNEL,
    "HostFibreChannelOverEthernetHba": FCOE,
    _SAS: "sas",
    "HostBlockHba": "block",
    "HostTcpHba": "nvme_tcp",
    "HostRdmaHba": "nvme_rdma",
}
_NVME_KINDS: Mapping[str, str] = {FIBRE_CHANNEL: "nvme_fc"}
_STATUSES: Mapping[str, str] = {"online": ONLINE, "offline": OFFLINE, "unbound": OFFLINE}
_PATH_STATES = frozenset({PATH_ACTIVE, PATH_STANDBY, PATH_DISABLED, PATH_DEAD})
_LIVE = frozenset({PATH_ACTIVE, PATH_STANDBY})
_OK = "ok"
_OFF = "off"
_DEGRADED = "degraded"
_LOST = "lostCommunication"
_DEVICE_OF_PATH = re.compile(r".*-(?P<device>(?:naa|eui|t10|mpx|uuid|vml)\..+)")
_BITS_PER_GBIT = 10**9
_NO_GBIT = 10**6
"""HostFibreChannelHba.speed is in bits/s by the API reference, but hosts give Gbit/s, such as 32: a number below this is no bits/s."""


def adapters(record: ObjectRecord) -> list[Hba]:
    """The HBAs of a host with their paths; none for a host that vCenter cannot reach and has not read before."""
    paths = _paths_by_adapter(record)
    return [_adapter(hba, paths[text(hba, "key")]) for hba in record.items(properties.ADAPTERS)]


def adapters_alone(record: ObjectRecord) -> list[Hba]:
    """The HBAs of a host without their paths."""
    return [_adapter(hba, []) for hba in record.items(properties.ADAPTERS)]


def devices(record: ObjectRecord) -> list[ScsiDevice]:
    """The disks among a host's SCSI LUNs, local ones too."""
    told = _path_states(record)
    return [_device(record.moid, lun, told) for lun in record.items(properties.LUNS) if text(lun, "lunType") == "disk"]


def unreadable(record: ObjectRecord) -> str:
    """Why the devices of a host were not told, which may be any; empty when they were. Every host has some device, if only to boot from."""
    if properties.LUNS in record.properties:
        return ""
    return out_of_reach(record) or record.why_missing(properties.LUNS) or "its configuration is not there"


def out_of_reach(record: ObjectRecord) -> str:
    """Why what is told of a host may be old; empty while it is connected and on."""
    if record.text(properties.HOST_POWER) == properties.IN_STANDBY:
        return "it is in standby"
    state = record.text("runtime.connectionState", CONNECTED)
    return "" if state == CONNECTED else f"it is {state}"


def kept_for_itself(record: ObjectRecord) -> list[Use]:
    """The LUN on which a host keeps the coredumps of its own (HostConfigInfo.activeDiagnosticPartition)."""
    partition = child(record.properties.get(properties.COREDUMPS), "id")
    name = ScsiName.try_parse(text(partition, "diskName"))
    way_out = "move that partition elsewhere (esxcli system coredump partition), or name another LUN"
    return [Use("host", name_of(record), record.moid, "keeps its diagnostic partition on it", name, way_out=way_out)] if name else []


def lun_uuid(record: ObjectRecord, name: ScsiName) -> str:
    """`ScsiLun.uuid` of a LUN on a host, by which the host's storage system is told of it; empty when it is not there."""
    luns = (lun for lun in record.items(properties.LUNS) if _name(lun) == name)
    return next((text(lun, "uuid") for lun in luns), "")


def _adapter(hba: Element, paths: list[LunPath]) -> Hba:
    return Hba(
        name=text(hba, "device"),
        kind=_kind(hba),
        status=_STATUSES.get(text(hba, "status").lower(), UNKNOWN),
        driver=text(hba, "driver").strip(),
        model=text(hba, "model").strip(),
        pci=text(hba, "pci"),
        speed_gbit_s=_speed(hba),
        node_wwn=_wwn(hba, "nodeWorldWideName"),
        port_wwn=_wwn(hba, "portWorldWideName"),
        iqn=text(hba, "iScsiName").strip(),
        alias=text(hba, "iScsiAlias"),
        portals=list(dict.fromkeys(_portals(hba))),
        paths=paths,
    )


def _kind(hba: Element) -> str:
    kind = type_of(hba)
    if kind == _ISCSI:
        return ISCSI_SOFTWARE if flag(hba, "isSoftwareBased") else ISCSI_HARDWARE
    known = _KINDS.get(kind, "other")
    return _NVME_KINDS.get(known, known) if text(hba, "storageProtocol") == "nvme" else known


def _speed(hba: Element) -> float | None:
    """Gbit/s; None when the link is down or the adapter has no speed."""
    megabits = integer(hba, "currentSpeedMb")
    if megabits:
        return megabits / 1000
    speed = integer(hba, "speed")
    if not speed or speed < 0:
        return None
    return speed / _BITS_PER_GBIT if speed >= _NO_GBIT else float(speed)


def _wwn(element: Element | None, name: str) -> str:
    """A world wide name, which is a signed 64-bit integer, but hex text on SAS; empty when none is set."""
    value = text(element, name)
    is_number = element is not None and type_of(element) != _SAS
    try:
        return normalize_wwpn(int(value) if is_number else value)
    except (InvalidInput, ValueError):
        return ""


def _portals(hba: Element) -> Iterator[Portal]:
    for target in (*children(hba, "configuredSendTarget"), *children(hba, "configuredStaticTarget")):
        yield Portal(text(target, "address"), integer(target, "port") or Portal.port)


def _paths_by_adapter(record: ObjectRecord) -> defaultdict[str, list[LunPath]]:
    numbers = dict(_numbers(record))
    found: defaultdict[str, list[LunPath]] = defaultdict(list)
    for unit in children(record.properties.get(properties.MULTIPATH), "lun"):
        lun, name = text(unit, "lun"), ScsiName.try_parse(text(unit, "id"))
        for path in children(unit, "path"):
            adapter, target = text(path, "adapter"), _target(child(path, "transport"))
            found[adapter].append(_path(path, name, target, numbers.get((adapter, target, lun))))
    return found


def _path_states(record: ObjectRecord) -> dict[str, list[str]]:
    """LUN key → the states of its paths (HostMultipathInfo); empty when multipathing was not asked for, or not told."""
    units = children(record.properties.get(properties.MULTIPATH), "lun")
    return {text(unit, "lun"): [_path_state(path) for path in children(unit, "path")] for unit in units}


def _numbers(record: ObjectRecord) -> Iterator[tuple[tuple[str, str, str], int | None]]:
    """Adapter key, target and LUN key → the LUN's number there (HostScsiTopology)."""
    for interface in children(record.properties.get(properties.TOPOLOGY), "adapter"):
        for target in children(interface, "target"):
            for lun in children(target, "lun"):
                yield (text(interface, "adapter"), _target(child(target, "transport")), text(lun, "scsiLun")), integer(lun, "lun")


def _target(transport: Element | None) -> str:
    return text(transport, "iScsiName") or _wwn(transport, "portWorldWideName")


def _path(path: Element, name: ScsiName | None, target: str, number: int | None) -> LunPath:
    match = _DEVICE_OF_PATH.fullmatch(text(path, "name"))
    device = match["device"] if match else (name.vmware if name else "")
    return LunPath(
        name=name or ScsiName.try_parse(device),
        device=device,
        target=target,
        state=_path_state(path),
        lun_id=number,
    )


def _path_state(path: Element) -> str:
    state = text(path, "pathState") or text(path, "state")
    return state if state in _PATH_STATES else UNKNOWN


def _device(host: str, lun: Element, told: Mapping[str, Sequence[str]]) -> ScsiDevice:
    words = [word.text or "" for word in children(lun, "operationalState")]
    descriptors = [text(descriptor, "id") for descriptor in children(lun, "descriptor")]
    device = text(lun, "canonicalName")
    aliases = dict.fromkeys([*descriptors, text(lun, "uuid"), text(lun, "deviceName")])
    states = told.get(text(lun, "key"))
    return ScsiDevice(
        host=host,
        device=device,
        name=_name(lun),
        size_bytes=(integer(lun, "capacity", "blockSize") or 0) * (integer(lun, "capacity", "block") or 0),
        vendor=text(lun, "vendor").strip(),
        product=text(lun, "model").strip(),
        state=_state(words),
        degraded=_DEGRADED in words,
        aliases=[alias for alias in aliases if alias and alias != device],
        local=flag(lun, "localDisk"),
        paths_live=None if states is None else len([state for state in states if state in _LIVE]),
        paths_dead=None if states is None else states.count(PATH_DEAD),
    )


def _state(words: Sequence[str]) -> str:
    """The one state of a LUN that tells of itself by several words, in whatever order (ScsiLun.operationalState, ScsiLunState).

    `degraded`, with or without `ok`, is a LUN that has lost some of its paths and does I/O; whatever else is told speaks against that.
    """
    if _OFF in words:
        return DEVICE_OFF
    if words and set(words) <= {_OK, _DEGRADED}:
        return DEVICE_OK
    return ", ".join(DEVICE_LOST if word == _LOST else word for word in words) or UNKNOWN


def _name(lun: Element) -> ScsiName | None:
    return ScsiName.try_parse(text(lun, "canonicalName")) or ScsiName.try_parse(text(lun, "uuid"))
