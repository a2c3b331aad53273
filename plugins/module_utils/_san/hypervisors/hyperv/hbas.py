# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The initiators of a Windows host: Fibre Channel ports and iSCSI initiators.

`MSFT_InitiatorPort` knows both kinds. What more there is to tell of a Fibre Channel port comes from the classes that its driver provides in
root\\WMI (hbapiwmi.h); a host without such a driver has none of them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import InvalidInput, RemoteError
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv import classes
from ansible_collections.crossvisor.san.plugins.module_utils._san.initiator_name import normalize_wwpn
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import (
    FIBRE_CHANNEL,
    ISCSI_HARDWARE,
    ISCSI_SOFTWARE,
    OFFLINE,
    ONLINE,
    PATH_ACTIVE,
    PATH_DEAD,
    UNKNOWN,
    Hba,
    LunPath,
    Portal,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.windows import disks
from ansible_collections.crossvisor.san.plugins.module_utils._san.windows.disks import HostDisk
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire import wsman_fault
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.cim import CimClient
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.cim_types import CimClass, CimInstance

NOT_SUPPORTED = "0x8004100C"
"""What WMI answers for a class of root\\WMI that no driver of the host provides."""
_NOT_PROVIDED = frozenset({*wsman_fault.MISSING, NOT_SUPPORTED})
ISCSI_SILENT = frozenset({"0x80041001", "0x80041013", "0x80041014", "0x80070426", "0x00000426"})
"""What the iSCSI classes answer where the initiator service does not run, as on many hosts with Fibre Channel alone: WBEM_E_FAILED,
WBEM_E_PROVIDER_LOAD_FAILURE, WBEM_E_INITIALIZATION_FAILURE, ERROR_SERVICE_NOT_ACTIVE as HRESULT and bare."""

_FC, _ISCSI, _SAS = 1, 2, 3
"""MSFT_InitiatorPort.ConnectionType."""
_SOFTWARE_INITIATOR = "ROOT\\ISCSIPRT"
"""How the InstanceName of Microsoft's own iSCSI initiator begins."""
_OK = 2
_PORT_STATES: Mapping[int, str] = MappingProxyType({2: ONLINE, **dict.fromkeys(range(3, 8), OFFLINE)})
"""HBA_PORTSTATE of FC-HBA: online; offline, bypassed, diagnostics, link down, error."""
_SPEEDS: Mapping[int, float] = MappingProxyType({1: 1.0, 2: 2.0, 4: 10.0, 8: 4.0, 16: 8.0, 32: 16.0, 64: 32.0})
"""HBA_PORTSPEED of FC-HBA, in Gbit/s."""


@dataclass(frozen=True)
class FibrePort:
    """What a Fibre Channel driver tells of a port."""

    status: str = ""
    speed_gbit_s: float | None = None
    driver: str = ""
    model: str = ""


@dataclass(frozen=True)
class Iscsi:
    """What the iSCSI initiator service tells of all its initiators."""

    portals: Mapping[str, Sequence[Portal]]
    """By the initiator's InstanceName; under an empty one, those that every initiator asks."""
    paths: Mapping[str, Sequence[LunPath]]
    """By the initiator's name."""


@dataclass(frozen=True)
class Adapters:
    """A host's adapters, and why it does not tell all of them."""

    hbas: Sequence[Hba]
    untold: Sequence[str] = ()
    """Why portals, sessions and paths of iSCSI adapters are missing, in sentences."""


def adapters_of(client: CimClient) -> Adapters:
    """The host's adapters, in seven enumerations. Raises `AuthenticationFailed`, naming the namespace that the account may not read."""
    ports = list(client.query(classes.INITIATOR_PORT, columns=classes.INITIATOR_PORT.columns))
    fibre = fibre_ports(client)
    try:
        iscsi, untold = _iscsi(client), []
    except RemoteError as error:
        if error.code not in _NOT_PROVIDED and error.code not in ISCSI_SILENT:
            raise
        lost = error.code in ISCSI_SILENT or any(port.integer("ConnectionType") == _ISCSI for port in ports)
        iscsi, untold = Iscsi({}, {}), [str(error)] if lost else []
    return Adapters([_hba(port, fibre, iscsi) for port in ports], untold)


def fibre_ports(client: CimClient) -> dict[str, FibrePort]:
    """What the drivers tell of each Fibre Channel port, by its WWPN; nothing where no driver tells."""
    adapters = {adapter.text("InstanceName"): adapter for adapter in _if_provided(client, classes.FC_ADAPTER)}
    found: dict[str, FibrePort] = {}
    for port in _if_provided(client, classes.FC_PORT):
        attributes = port.instance("Attributes")
        wwpn = _wwn(attributes.integers("PortWWN")) if attributes else ""
        if attributes and wwpn:
            adapter = adapters.get(port.text("InstanceName"), CimInstance(classes.FC_ADAPTER.name))
            found[wwpn] = FibrePort(
                status=_PORT_STATES.get(attributes.integer("PortState") or 0, UNKNOWN),
                speed_gbit_s=_SPEEDS.get(attributes.integer("PortSpeed") or 0),
                driver=" ".join(filter(None, (adapter.text("DriverName"), adapter.text("DriverVersion")))),
                model=_model(adapter),
            )
    return found


def _hba(port: CimInstance, fibre: Mapping[str, FibrePort], iscsi: Iscsi) -> Hba:
    name = port.text("InstanceName")
    status = ONLINE if port.integers("OperationalStatus")[:1] == (_OK,) else OFFLINE
    kind = port.integer("ConnectionType")
    if kind == _FC:
        wwpn = _wwn(port.text("PortAddress"))
        told = fibre.get(wwpn, FibrePort())
        return Hba(
            name=name,
            kind=FIBRE_CHANNEL,
            status=told.status or status,
            driver=told.driver,
            model=told.model,
            speed_gbit_s=told.speed_gbit_s,
            node_wwn=_wwn(port.text("NodeAddress")),
            port_wwn=wwpn,
        )
    if kind == _ISCSI:
        software = name.upper().startswith(_SOFTWARE_INITIATOR)
        iqn = port.text("NodeAddress").strip()
        return Hba(
            name=name,
            kind=ISCSI_SOFTWARE if software else ISCSI_HARDWARE,
            status=status,
            driver="msiscsi" if software else "",
            iqn=iqn,
            portals=[*iscsi.portals.get(name, ()), *iscsi.portals.get("", ())],
            paths=iscsi.paths.get(iqn.lower(), ()),
        )
    return Hba(name=name, kind="sas" if kind == _SAS else "other", status=status)


def _iscsi(client: CimClient) -> Iscsi:
    portals: defaultdict[str, list[Portal]] = defaultdict(list)
    for found in client.query(classes.ISCSI_PORTAL, columns=classes.ISCSI_PORTAL.columns):
        portal = Portal(found.text("TargetPortalAddress"), found.integer("TargetPortalPortNumber") or Portal("").port)
        portals[found.text("InitiatorInstanceName")].append(portal)
    open_sessions = client.query(classes.ISCSI_SESSION, columns=classes.ISCSI_SESSION.columns)
    sessions = {session.text("SessionIdentifier"): session for session in open_sessions}
    links = list(client.query(classes.ISCSI_SESSION_TO_DISK)) if sessions else []
    return Iscsi(portals, _paths(sessions, links, disks.disks_of(client) if links else ()))


def _paths(sessions: Mapping[str, CimInstance], links: Iterable[CimInstance], known: Iterable[HostDisk]) -> dict[str, list[LunPath]]:
    """By the initiator's name, a path for each session of each disk."""
    by_id = {disk.object_id: disk for disk in known}
    paths: defaultdict[str, list[LunPath]] = defaultdict(list)
    for link in links:
        session, disk = sessions.get(_key(link, "iSCSISession", "SessionIdentifier")), by_id.get(_key(link, "Disk", "ObjectId"))
        if session and disk:
            state = PATH_ACTIVE if session.flag("IsConnected") else PATH_DEAD
            path = LunPath(disk.name, disk.device, session.text("TargetNodeAddress"), state)
            paths[session.text("InitiatorNodeAddress").strip().lower()].append(path)
    return paths


def _if_provided(client: CimClient, cim_class: CimClass) -> list[CimInstance]:
    """All instances; none when nothing on the host provides the class."""
    try:
        return list(client.query(cim_class, columns=cim_class.columns))
    except RemoteError as error:
        if error.code not in _NOT_PROVIDED:
            raise
    return []


def _model(adapter: CimInstance) -> str:
    model, firmware = adapter.text("Model").strip(), adapter.text("FirmwareVersion").strip()
    return f"{model} (firmware {firmware})" if firmware else model


def _wwn(value: str | Sequence[int]) -> str:
    """In the spelling of arrays; empty for a port without a name."""
    try:
        return normalize_wwpn(value)
    except InvalidInput:
        return ""


def _key(link: CimInstance, role: str, key: str) -> str:
    reference = link.reference(role)
    return str(reference.selectors.get(key, "")) if reference else ""
