# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who a KVM host is, and its initiators: adapters, the kernel's over iSCSI, and QEMU's own, as iscsi-direct pools describe it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import ConnectionFailed
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm import places
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.domain import Login, root_of
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.host import KvmHost, pool_logins
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.targets import Answers, source_of
from ansible_collections.crossvisor.san.plugins.module_utils._san.linux import hbas, scsi
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import (
    FIBRE_CHANNEL,
    ISCSI_SOFTWARE,
    OFFLINE,
    ONLINE,
    PATH_ACTIVE,
    PHYSICAL,
    UNKNOWN,
    About,
    Capabilities,
    Hba,
    Host,
    LunPath,
    VirtualPort,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire import libvirt_session

with contextlib.suppress(ImportError):  # told by wire.libvirt_session.open_session, which comes before any XML
    from lxml import etree

TYPE = "kvm"
_SCSI_HOST = "scsi_host"
_PRODUCT = "QEMU/KVM with libvirt"


def about(host: KvmHost) -> About:
    """The endpoint and what it can do."""
    qemu, libvirt = host.session.versions
    return About(
        type=TYPE,
        product=_PRODUCT,
        version=f"QEMU {qemu}, libvirt {libvirt}",
        address=host.session.address,
        uuid=host.id,
        hosts=[host.name],
        capabilities=Capabilities(
            hot_add=True,
            hot_add_controller=True,
            passthrough_modes=[PHYSICAL],
            controller_types=list(places.MODELS),
            clustering=False,
            shared_disks=True,
        ),
    )


def host_of(host: KvmHost, adapters: Sequence[Hba] = ()) -> Host:
    """The host as the model has it."""
    qemu, _libvirt = host.session.versions
    return Host(id=host.id, name=host.name, product=_PRODUCT, version=qemu, uuid=host.id, hbas=adapters)


def host_with_hbas(host: KvmHost) -> Host:
    """The host with its adapters. From libvirt alone come the names of Fibre Channel ports, without state, speed and paths."""
    root = host.access.root()
    own = hbas.hbas(root) if root else _fibre_channel_ports(host.session.node_devices(libvirt_session.FC_HOSTS))
    logins = pool_logins(host.pools())
    return host_of(host, [*own, *_pool_initiators(logins, host.ask(logins))])


def _fibre_channel_ports(node_devices: Sequence[str]) -> list[Hba]:
    """The adapters of which libvirt knows the names (libvirt.org/formatnode.html, capability `fc_host`), with the ports that they carry.

    A port that another carries (NPIV) has that one's node device, a `scsi_host`, as its parent.
    """
    ports = [port for root in map(root_of, node_devices) if (port := root.find("capability[@type='scsi_host']")) is not None]
    physical = [port for port in ports if not _parent(port).startswith(_SCSI_HOST)]
    return [_fibre_channel(port, [other for other in ports if _parent(other) == f"{_SCSI_HOST}{_number(port)}"]) for port in physical]


def _fibre_channel(port: etree._Element, carried: Sequence[etree._Element]) -> Hba:
    limit = port.findtext("capability[@type='vport_ops']/max_vports", "")
    return Hba(
        name=f"host{_number(port)}",
        kind=FIBRE_CHANNEL,
        status=UNKNOWN,
        pci=_pci(_parent(port)),
        node_wwn=_wwn(port, "wwnn"),
        port_wwn=_wwn(port, "wwpn"),
        vports_max=(int(limit) or None) if limit.isdecimal() else None,
        vports=[VirtualPort(f"host{_number(one)}", UNKNOWN, _wwn(one, "wwnn"), _wwn(one, "wwpn")) for one in carried],
    )


def _parent(port: etree._Element) -> str:
    """The name of the node device on which a port is."""
    device = port.getparent()
    return str(device.findtext("parent", "")) if device is not None else ""


def _number(port: etree._Element) -> str:
    return str(port.findtext("host", ""))


def _wwn(port: etree._Element, kind: str) -> str:
    return scsi.wwn(f"0x{port.findtext(f'capability/{kind}', '')}")


def _pci(parent: str) -> str:
    """The address in a PCI node device's name: `pci_0000_04_00_0`."""
    kind, _underscore, rest = parent.partition("_")
    domain, bus, slot, function = (*rest.split("_"), "", "", "", "")[:4]
    return f"{domain}:{bus}:{slot}.{function}" if kind == "pci" and function else ""


def _pool_initiators(logins: Iterable[Login], answers: Answers) -> Iterator[Hba]:
    """QEMU's own initiators: one adapter for each name, whatever the number of pools."""
    by_initiator: dict[str, list[Login]] = {}
    for login in logins:
        by_initiator.setdefault(login.initiator, []).append(login)
    for initiator, its in by_initiator.items():
        silent = all(isinstance(answers.failures.get(login), ConnectionFailed) for login in its)
        yield Hba(
            name=f"qemu:{initiator}",
            kind=ISCSI_SOFTWARE,
            status=OFFLINE if silent else ONLINE,
            driver="libiscsi",
            model="QEMU's own iSCSI initiator",
            iqn=scsi.iqn(initiator),
            portals=list(dict.fromkeys(login.portal for login in its)),
            paths=[path for login in its for path in _paths(login, answers)],
        )


def _paths(login: Login, answers: Answers) -> Iterator[LunPath]:
    for lun in answers.luns.get(login, ()):
        yield LunPath(name=lun.name, device=str(source_of(login, lun)), target=login.target, state=PATH_ACTIVE, lun_id=lun.number)
