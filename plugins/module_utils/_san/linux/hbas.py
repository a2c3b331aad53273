# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The host bus adapters of this Linux machine: Fibre Channel, FCoE, iSCSI, SAS, NVMe over fabrics, and what else carries disks.

Controllers for local disks only (SATA, USB, …) are left out. A virtual machine's own controllers are `other`, never adapters of a SAN. The
virtual Fibre Channel ports that a physical one carries (NPIV) belong to the VMs which use them: they are told of the one that carries them,
and are no adapters of their own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ansible_collections.crossvisor.san.plugins.module_utils._san.linux import scsi
from ansible_collections.crossvisor.san.plugins.module_utils._san.linux.assignments import parse_assignments
from ansible_collections.crossvisor.san.plugins.module_utils._san.linux.scsi import Disk, ScsiHost, value
from ansible_collections.crossvisor.san.plugins.module_utils._san.linux.tree import Tree
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import (
    FCOE,
    FIBRE_CHANNEL,
    ISCSI_HARDWARE,
    ISCSI_SOFTWARE,
    OFFLINE,
    ONLINE,
    PATH_ACTIVE,
    PATH_DEAD,
    PATH_STANDBY,
    UNKNOWN,
    Hba,
    LunPath,
    Portal,
    VirtualPort,
)

_FC_HOSTS = "/sys/class/fc_host"
_ISCSI_HOSTS = "/sys/class/iscsi_host"
_VIRTUAL_PORT = "/vport-"
"""How scsi_transport_fc names the directory of a virtual port, below that of the host which carries it."""
_SAS_HOSTS = "/sys/class/sas_host"
_SAS_PHYS = "/sys/class/sas_phy"
_NVME = "/sys/class/nvme"

_FCOE_DRIVERS = frozenset({"fcoe", "bnx2fc", "fnic", "qedf"})
_FCOE_MODELS = re.compile("QLE8[123][0-9]{2}")
_SOFTWARE_ISCSI_DRIVERS = frozenset({"iscsi_tcp", "ib_iser"})
_DEFAULT_ISCSI_DRIVER = "iscsi_tcp"
_LOCAL_DRIVERS = re.compile("ahci.*|(ata|pata|sata)_.*|usb-storage|uas|sbp2|firewire_sbp2|rtsx_.*|ums-.*")
_RAID_DRIVERS = frozenset({"megaraid_sas", "aacraid", "hpsa", "smartpqi", "arcmsr", "3w-sas", "mpi3mr", "cciss"})
_VIRTUAL_PCI_VENDORS = frozenset({"0x15ad", "0x1af4", "0x1b36", "0x1414", "0x5853", "0x80ee", "0x1ab8"})  # VMware to Parallels, see pci.ids
_PORT_STATES = {"Online": ONLINE, "Marginal": ONLINE, "Unknown": UNKNOWN, "LINK UP": ONLINE, "LINK DOWN": OFFLINE}
_SYMBOLIC_MODELS = (re.compile(r"Emulex (?P<model>\S+)"), re.compile(r"(?P<model>QL[EA]\S+)"), re.compile(r"\w+ \((?P<model>[^)]+)\)"))

_INITIATOR_NAME = "/etc/iscsi/initiatorname.iscsi"
_DISCOVERY = ("/etc/iscsi/send_targets", "/var/lib/iscsi/send_targets")
_DISCOVERY_NAME = re.compile("(?P<address>[^,]+),(?P<port>[0-9]{1,5})(?:,.*)?")

_NVME_KINDS = {"tcp": "nvme_tcp", "fc": "nvme_fc", "rdma": "nvme_rdma"}
_NVME_NAMESPACE = re.compile("nvme(?P<subsystem>[0-9]+)(?:c[0-9]+)?n(?P<number>[0-9]+)")
_NVME_STATES = {"live": PATH_ACTIVE, "dead": PATH_DEAD, "deleting": PATH_DEAD, "deleting (no IO)": PATH_DEAD}
_ANA_STATES = {
    "optimized": PATH_ACTIVE,
    "non-optimized": PATH_ACTIVE,
    "inaccessible": PATH_STANDBY,
    "persistent-loss": PATH_DEAD,
}


def hbas(root: Path = Path("/")) -> list[Hba]:
    """The adapters of the machine whose files are below `root`, with the paths of their LUNs. Never raises; nothing is sent to any device.

    All software iSCSI sessions of one initiator name are one adapter, which is there as soon as the machine has an initiator name.
    """
    tree = Tree(root)
    known = scsi.disks(tree)
    scsi_hosts = scsi.scsi_hosts(tree)
    iscsi_hosts = [host for host in scsi_hosts if tree.exists(f"{_ISCSI_HOSTS}/{host.name}")]
    others = filter(None, (_hba(tree, host, known) for host in scsi_hosts if host not in iscsi_hosts))
    carriers = [replace(hba, vports=_virtual_ports(tree, hba.name, scsi_hosts)) for hba in others]
    return [*carriers, *_iscsi(tree, iscsi_hosts, known), *_nvme(tree)]


def is_local(host: ScsiHost) -> bool:
    """Tell whether the adapter carries local disks only: SATA, USB, …"""
    return _LOCAL_DRIVERS.fullmatch(host.driver) is not None


def is_virtual(tree: Tree, host: ScsiHost) -> bool:
    """Tell whether it is a hypervisor that shows the adapter. One of a real make that it emulates has its own vendor as PCI subsystem's."""
    vendors = {tree.text(f"{host.pci_path}/{name}") for name in ("vendor", "subsystem_vendor")} if host.pci else set()
    return not vendors.isdisjoint(_VIRTUAL_PCI_VENDORS)


def parse_initiator_name(text: str) -> str:
    """The name in open-iscsi's `initiatorname.iscsi`, as arrays spell it; empty if the file sets none, or one that is not an iSCSI name."""
    return scsi.iqn(parse_assignments(_unspaced(text)).get("InitiatorName"))


def _unspaced(text: str) -> str:
    """open-iscsi allows space around the equals sign."""
    return re.sub(r"^[ \t]*(\w+)[ \t]*=[ \t]*", r"\1=", text, flags=re.MULTILINE)


def _hba(tree: Tree, host: ScsiHost, known: Sequence[Disk]) -> Hba | None:
    if tree.exists(f"{_FC_HOSTS}/{host.name}"):
        return None if _VIRTUAL_PORT in host.path else _fibre_channel(tree, host, known)
    if is_local(host):
        return None
    if is_virtual(tree, host):
        return _plain(tree, host, "other", known)
    if tree.exists(f"{_SAS_HOSTS}/{host.name}") and host.driver not in _RAID_DRIVERS:
        return _sas(tree, host, known)
    return _plain(tree, host, "block" if host.driver in _RAID_DRIVERS else "other", known)


def _fibre_channel(tree: Tree, host: ScsiHost, known: Sequence[Disk]) -> Hba:
    attributes = f"{_FC_HOSTS}/{host.name}"
    alias = value(tree, f"{attributes}/symbolic_name")
    model = _model(tree, host) or value(tree, f"{attributes}/model") or _model_in(alias)
    return Hba(
        name=host.name,
        kind=FCOE if _is_fcoe(tree, host, model) else FIBRE_CHANNEL,
        status=_PORT_STATES.get(value(tree, f"{attributes}/port_state"), OFFLINE),
        driver=host.driver,
        model=model,
        pci=host.pci,
        speed_gbit_s=scsi.speed_gbit_s(tree.text(f"{attributes}/speed")),
        node_wwn=scsi.wwn(tree.text(f"{attributes}/node_name")),
        port_wwn=scsi.wwn(tree.text(f"{attributes}/port_name")),
        alias=alias,
        paths=scsi.paths(tree, host, known),
        vports_max=_vports_max(tree, attributes),
    )


def _vports_max(tree: Tree, attributes: str) -> int | None:
    """How many virtual ports fit; scsi_transport_fc has the attribute only where the driver can make them."""
    text = value(tree, f"{attributes}/max_npiv_vports")
    return (int(text) or None) if text.isdecimal() else None


def _virtual_ports(tree: Tree, carrier: str, scsi_hosts: Iterable[ScsiHost]) -> list[VirtualPort]:
    """The ports that a physical one carries."""
    return [_virtual_port(tree, host.name) for host in scsi_hosts if f"/{carrier}{_VIRTUAL_PORT}" in host.path]


def _virtual_port(tree: Tree, name: str) -> VirtualPort:
    attributes = f"{_FC_HOSTS}/{name}"
    return VirtualPort(
        name=name,
        status=_PORT_STATES.get(value(tree, f"{attributes}/port_state"), OFFLINE),
        node_wwn=scsi.wwn(tree.text(f"{attributes}/node_name")),
        port_wwn=scsi.wwn(tree.text(f"{attributes}/port_name")),
    )


def _is_fcoe(tree: Tree, host: ScsiHost, model: str) -> bool:
    """lpfc says so in `protocol`; for QLogic's converged adapters only the model tells."""
    protocol = value(tree, f"/sys/class/scsi_host/{host.name}/protocol")
    return host.driver in _FCOE_DRIVERS or protocol == "fcoe" or _FCOE_MODELS.match(model) is not None


def _model(tree: Tree, host: ScsiHost) -> str:
    """qla2xxx, lpfc and mpt3sas each have their own attribute for it."""
    names = (value(tree, f"/sys/class/scsi_host/{host.name}/{name}") for name in ("model_name", "modelname", "board_name"))
    return next(filter(None, names), "")


def _model_in(symbolic_name: str) -> str:
    matches = (pattern.match(symbolic_name) for pattern in _SYMBOLIC_MODELS)
    return next((found["model"] for found in matches if found), "")


def _sas(tree: Tree, host: ScsiHost, known: Sequence[Disk]) -> Hba:
    own_phys = [name for name in tree.children(_SAS_PHYS) if re.fullmatch(f"phy-{host.name[4:]}:[0-9]+", name)]
    speeds = [scsi.speed_gbit_s(tree.text(f"{_SAS_PHYS}/{name}/negotiated_linkrate")) for name in own_phys]
    return Hba(
        name=host.name,
        kind="sas",
        status=_state_of(tree, host),
        driver=host.driver,
        model=_model(tree, host),
        pci=host.pci,
        speed_gbit_s=max(filter(None, speeds), default=None),
        port_wwn=scsi.wwn(tree.text(f"/sys/class/scsi_host/{host.name}/host_sas_address")),
        paths=scsi.paths(tree, host, known),
    )


def _plain(tree: Tree, host: ScsiHost, kind: str, known: Sequence[Disk]) -> Hba:
    return Hba(
        name=host.name,
        kind=kind,
        status=_state_of(tree, host),
        driver=host.driver,
        model=_model(tree, host),
        pci=host.pci,
        paths=scsi.paths(tree, host, known),
    )


def _state_of(tree: Tree, host: ScsiHost) -> str:
    state = value(tree, f"/sys/class/scsi_host/{host.name}/state")
    return ONLINE if state == "running" else OFFLINE if state else UNKNOWN


@dataclass(frozen=True)
class _Session:
    initiator: str
    logged_in: bool
    portals: Sequence[Portal]


def _iscsi(tree: Tree, iscsi_hosts: Iterable[ScsiHost], known: Sequence[Disk]) -> list[Hba]:
    own_name = parse_initiator_name(tree.text(_INITIATOR_NAME) or "")
    software: dict[tuple[str, str], list[ScsiHost]] = {(_DEFAULT_ISCSI_DRIVER, own_name): []} if own_name else {}
    hardware = []
    for host in iscsi_hosts:
        if host.driver in _SOFTWARE_ISCSI_DRIVERS:
            software.setdefault((host.driver, _initiator(tree, host) or own_name), []).append(host)
        else:
            hardware.append(_hardware_iscsi(tree, host, own_name, known))
    return [*hardware, *(_software_iscsi(tree, *group, hosts, own_name, known) for group, hosts in software.items())]


def _hardware_iscsi(tree: Tree, host: ScsiHost, own_name: str, known: Sequence[Disk]) -> Hba:
    attributes = f"{_ISCSI_HOSTS}/{host.name}"
    sessions = _sessions(tree, host)
    return Hba(
        name=host.name,
        kind=ISCSI_HARDWARE,
        status=_PORT_STATES.get(value(tree, f"{attributes}/port_state")) or _status(sessions),
        driver=host.driver,
        model=_model(tree, host),
        pci=host.pci,
        speed_gbit_s=scsi.speed_gbit_s(tree.text(f"{attributes}/port_speed")),
        iqn=_initiator(tree, host) or own_name,
        portals=_unique(portal for session in sessions for portal in session.portals),
        paths=scsi.paths(tree, host, known),
    )


def _software_iscsi(tree: Tree, driver: str, initiator: str, hosts: Sequence[ScsiHost], own_name: str, known: Sequence[Disk]) -> Hba:
    sessions = [session for host in hosts for session in _sessions(tree, host)]
    discovery = _discovery(tree) if initiator == own_name else ()
    loaded = tree.exists("/sys/class/iscsi_transport/tcp")
    return Hba(
        name=driver if initiator == own_name else f"{driver}:{initiator}",
        kind=ISCSI_SOFTWARE,
        status=_status(sessions) if sessions else ONLINE if loaded else UNKNOWN,
        driver=driver,
        model="Linux software iSCSI initiator",
        iqn=initiator,
        portals=_unique([*discovery, *(portal for session in sessions for portal in session.portals)]),
        paths=[path for host in hosts for path in scsi.paths(tree, host, known)],
    )


def _initiator(tree: Tree, host: ScsiHost) -> str:
    """The name that the adapter, or a session on it, goes by."""
    of_sessions = (session.initiator for session in _sessions(tree, host))
    return scsi.iqn(tree.text(f"{_ISCSI_HOSTS}/{host.name}/initiatorname")) or next(filter(None, of_sessions), "")


def _sessions(tree: Tree, host: ScsiHost) -> list[_Session]:
    return [_session(tree, f"{host.path}/{name}", name) for name in tree.children(host.path) if re.fullmatch("session[0-9]+", name)]


def _session(tree: Tree, path: str, name: str) -> _Session:
    attributes = f"/sys/class/iscsi_session/{name}"
    connections = [child for child in tree.children(path) if child.startswith("connection")]
    return _Session(
        initiator=scsi.iqn(tree.text(f"{attributes}/initiatorname")),
        logged_in=value(tree, f"{attributes}/state") == "LOGGED_IN",
        portals=[portal for connection in connections for portal in _portal(tree, f"/sys/class/iscsi_connection/{connection}")],
    )


def _portal(tree: Tree, connection: str) -> Iterator[Portal]:
    """The portal to which the connection was made, which is not the one to which it was redirected."""
    address = value(tree, f"{connection}/persistent_address")
    port = value(tree, f"{connection}/persistent_port")
    if address and port.isdecimal():
        yield Portal(address, int(port))


def _discovery(tree: Tree) -> Iterator[Portal]:
    """open-iscsi's records of discoveries: directories named `address,port`."""
    matches = (_DISCOVERY_NAME.fullmatch(name) for directory in _DISCOVERY for name in tree.children(directory))
    return (Portal(found["address"], int(found["port"])) for found in matches if found)


def _status(sessions: Sequence[_Session]) -> str:
    if not sessions:
        return UNKNOWN
    return ONLINE if any(session.logged_in for session in sessions) else OFFLINE


def _unique(portals: Iterable[Portal]) -> list[Portal]:
    return list(dict.fromkeys(portals))


def _nvme(tree: Tree) -> list[Hba]:
    """One adapter per transport of NVMe over fabrics. It has no initiator name of SCSI's; `alias` is the NQN of this machine."""
    controllers: dict[str, list[str]] = {}
    for name in tree.children(_NVME):
        controllers.setdefault(value(tree, f"{_NVME}/{name}/transport"), []).append(name)
    return [_nvme_hba(tree, transport, names) for transport, names in sorted(controllers.items()) if transport in _NVME_KINDS]


def _nvme_hba(tree: Tree, transport: str, controllers: Sequence[str]) -> Hba:
    live = [value(tree, f"{_NVME}/{name}/state") == "live" for name in controllers]
    own_names = (value(tree, f"{_NVME}/{name}/hostnqn") for name in controllers)
    return Hba(
        name=f"nvme-{transport}",
        kind=_NVME_KINDS[transport],
        status=ONLINE if any(live) else OFFLINE,
        driver=f"nvme_{transport}",
        alias=next(filter(None, own_names), "") or value(tree, "/etc/nvme/hostnqn"),
        paths=[path for name in controllers for path in _nvme_paths(tree, name)],
    )


def _nvme_paths(tree: Tree, controller: str) -> Iterator[LunPath]:
    attributes = f"{_NVME}/{controller}"
    state = _NVME_STATES.get(value(tree, f"{attributes}/state"), UNKNOWN)
    for found in filter(None, map(_NVME_NAMESPACE.fullmatch, tree.children(attributes))):
        ana = value(tree, f"{attributes}/{found[0]}/ana_state")
        yield LunPath(
            name=None,
            device=f"/dev/nvme{found['subsystem']}n{found['number']}",
            target=value(tree, f"{attributes}/subsysnqn"),
            state=_ANA_STATES.get(ana, UNKNOWN) if state == PATH_ACTIVE and ana else state,
        )
