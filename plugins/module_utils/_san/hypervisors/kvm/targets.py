# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What iSCSI targets show to QEMU's own initiator, by the LUNs' identities.

Neither libvirt nor QEMU tells which LUN is behind a network disk: a target and a number, which an array may give to another LUN at any
time. So the target is asked, as the initiator that the disk or pool names, from where the KVM host's network can be reached.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import CrossvisorError
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.domain import Login, Source
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import ScsiDevice
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire import iscsi
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.iscsi import Dial, IscsiLun, IscsiPath
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.libvirt_session import LibvirtSession

_BUS_AND_UNIT = range(0x100, 0x4000)
"""What is peripheral addressing with a bus other than 0 (SAM-5 4.7.7.2)."""


@dataclass(frozen=True)
class Answers:
    """What the targets said."""

    luns: Mapping[Login, list[IscsiLun]] = field(default_factory=dict)
    failures: Mapping[Login, CrossvisorError] = field(default_factory=dict)
    """Targets that gave no answer, and why."""

    def lun(self, source: Source) -> IscsiLun | None:
        """The LUN behind a network disk, as its target shows it now."""
        shown = self.luns.get(source.login, ()) if source.login else ()
        return next((lun for lun in shown if lun.address == source.lun_id), None)

    def is_unclear(self, source: Source) -> bool:
        """Whether a network disk is none of the LUNs that its target shows, and may be one all the same.

        QEMU sends a number from 256 to 16383 as a bus and a unit, which one target takes for the unit alone (tgt), and another for
        the number (LIO, by Linux' `scsilun_to_int`).
        """
        return source.login in self.luns and source.lun_id in _BUS_AND_UNIT and self.lun(source) is None

    def devices(self, host: str) -> list[ScsiDevice]:
        """What the targets show, as devices of the host (`Host.id`)."""
        return [
            ScsiDevice(host, str(source_of(login, lun)), lun.name, lun.size_bytes, lun.vendor, lun.product)
            for login, shown in self.luns.items()
            for lun in shown
        ]

    def showing(self, name: ScsiName) -> Iterator[Source]:
        """Every way to a LUN, as the source of a network disk."""
        for login, shown in self.luns.items():
            for lun in shown:
                if lun.name == name:
                    yield source_of(login, lun)


def ask(session: LibvirtSession, dial: Dial, logins: Collection[Login]) -> Answers:
    """Ask each target once, several at a time. A target that fails is noted, not raised."""
    luns: dict[Login, list[IscsiLun]] = {}
    failures: dict[Login, CrossvisorError] = {}
    distinct = list(dict.fromkeys(logins))
    for login, answer in zip(distinct, session.each(distinct, lambda login: _asked(session, dial, login))):
        if isinstance(answer, CrossvisorError):
            failures[login] = answer
        else:
            luns[login] = answer
    return Answers(luns, failures)


def source_of(login: Login, lun: IscsiLun) -> Source:
    """The source of a network disk that is this LUN."""
    return Source("network", protocol="iscsi", name=f"{login.target}/{lun.address}", login=login, lun_id=lun.address)


def _asked(session: LibvirtSession, dial: Dial, login: Login) -> list[IscsiLun] | CrossvisorError:
    try:
        secret = session.secret(login.secret.usage, login.secret.uuid) if login.user else ""
        return iscsi.luns(IscsiPath(login.portal, login.target, login.initiator, login.user, secret), dial)
    except CrossvisorError as error:
        return error
