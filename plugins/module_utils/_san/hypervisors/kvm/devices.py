# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The XML of the devices that are given to a domain. Pure; lxml escapes whatever enters it."""

from __future__ import annotations

import contextlib

from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm import domain
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.domain import DriveAddress, Login, Source
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName

with contextlib.suppress(ImportError):  # told by wire.libvirt_session.open_session, which comes before any XML
    from lxml import etree


def lun_disk(name: ScsiName, source: Source, target: str, address: DriveAddress, shareable: bool, reservations: bool = False) -> str:
    """A LUN, passed through: the guest's SCSI commands reach the array. Its identity is noted in the alias, which libvirt keeps unique.

    Persistent reservations of a device of the host are sent by `qemu-pr-helper`, which libvirt starts: QEMU may not send them itself.
    """
    disk = etree.Element("disk", type=source.type, device=domain.LUN)
    etree.SubElement(disk, "driver", name="qemu", type="raw", cache="none")
    if source.login:
        _network_source(disk, source, source.login)
    else:
        given = etree.SubElement(disk, "source", dev=source.path)
        if reservations:
            etree.SubElement(given, "reservations", managed="yes")
    etree.SubElement(disk, "target", dev=target, bus="scsi")
    if shareable:
        etree.SubElement(disk, "shareable")
    etree.SubElement(disk, "alias", name=domain.alias_of(name))
    etree.SubElement(
        disk, "address", type="drive", controller=str(address.controller), bus="0", target=str(address.target), unit=str(address.unit)
    )
    return etree.tostring(disk, encoding="unicode")


def scsi_controller(index: int, model: str) -> str:
    """A SCSI controller of one of libvirt's models."""
    return etree.tostring(etree.Element("controller", type="scsi", index=str(index), model=model), encoding="unicode")


def _network_source(disk: etree._Element, source: Source, login: Login) -> None:
    element = etree.SubElement(disk, "source", protocol=domain.ISCSI, name=f"{login.target}/{source.lun_id}")
    etree.SubElement(element, "host", name=login.portal.address, port=str(login.portal.port))
    etree.SubElement(etree.SubElement(element, "initiator"), "iqn", name=login.initiator)
    if login.user:
        auth = etree.SubElement(element, "auth", username=login.user)
        secret = etree.SubElement(auth, "secret", type="iscsi")
        by_uuid = bool(login.secret.uuid)
        secret.set("uuid" if by_uuid else "usage", login.secret.uuid if by_uuid else login.secret.usage)
