# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The one host behind a libvirt connection, observed as a whole or as far as a question needs."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, cached_property

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import CrossvisorError
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm import machines, pools, qcow2, targets
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.access import HostAccess, tree_of
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.domain import Login, Source, root_of
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.machines import DomainPair, View
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.pools import Pool
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.storage import HostStorage
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.targets import Answers
from ansible_collections.crossvisor.san.plugins.module_utils._san.linux.block import LOOPS_COMMAND
from ansible_collections.crossvisor.san.plugins.module_utils._san.linux.tree import Tree
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import POWERED_ON
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire import libvirt_session
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.libvirt_session import LibvirtSession

_LOOPS_SECONDS = 30.0


class KvmHost:
    """A KVM host: its libvirt, and what else of it can be reached."""

    def __init__(self, session: LibvirtSession, access: HostAccess) -> None:
        self.session = session
        self.access = access
        self._pools: dict[str, Pool] = {}

    @cached_property
    def id(self) -> str:
        """The host's UUID."""
        return root_of(self.session.capabilities).findtext("host/uuid", "")

    @cached_property
    def name(self) -> str:
        """The host's own name."""
        return self.session.hostname

    def pools(self) -> list[Pool]:
        """Its storage pools."""
        found = [pools.parse(xml) for xml in self.session.pools()]
        self._pools = {pool.name: pool for pool in found}
        return found

    def storage(self, known: Sequence[Pool]) -> HostStorage:
        """Its storage as it is now."""
        return self._storage(self.tree(), known)

    def _storage(self, tree: Tree | None, known: Sequence[Pool]) -> HostStorage:
        nodes = [] if tree else self.session.node_devices(libvirt_session.STORAGE)
        return HostStorage(self.id, tree, known, nodes, self.access.claimed, self._loops)

    def _loops(self) -> str:
        """On which file systems loop devices have their files; empty where the host does not tell."""
        try:
            return self.access.told(LOOPS_COMMAND, _LOOPS_SECONDS)
        except CrossvisorError:
            return ""

    def attach(self, uuid: str, device: str, targets: int) -> None:
        """Give a VM a device; what it raises is `LibvirtSession.attach`'s."""
        try:
            self.session.attach(uuid, device, targets)
        finally:
            self.access.changed()

    def detach(self, uuid: str, device: str, targets: int) -> None:
        """Take a device from a VM; what it raises is `LibvirtSession.detach`'s."""
        try:
            self.session.detach(uuid, device, targets)
        finally:
            self.access.changed()

    def tree(self) -> Tree | None:
        """The host's files as they are now; None where they cannot be read."""
        return tree_of(self.access)

    def ask(self, logins: Sequence[Login]) -> Answers:
        """What these iSCSI targets show."""
        return targets.ask(self.session, self.access.dial, logins)

    def pair(self, uuid: str) -> DomainPair:
        """One VM as it is now; its storage pools, which are asked for often while a guest lets go of a disk, as they were last read.

        Raises `NotFound`.
        """
        pair = machines.pair_of(self.session.domain(uuid))
        if pair.pools - self._pools.keys():
            self.pools()
        return pair.with_pools(self._pools)

    def pairs(self) -> list[DomainPair]:
        """Every VM as it is now."""
        found = [machines.pair_of(record) for record in self.session.domains()]
        if any(pair.pools for pair in found):
            self.pools()
        return [pair.with_pools(self._pools) for pair in found]

    def view(self, pairs: Sequence[DomainPair], with_pools: bool = False, images: bool = False) -> View:
        """Everything that is needed to know the LUNs of these VMs and, if wished, those that the host's iSCSI pools reach."""
        known = self.pools()
        logins = machines.logins(pairs)
        answers = self.ask([*logins, *(pool_logins(known) if with_pools else ())])
        tree = self.tree()
        return View(
            self.id,
            self._storage(tree, known),
            answers,
            capacities=self.session.capacities(),
            volume=cache(self.session.volume),
            pools={pool.name: pool for pool in known},
            images=(lambda path: qcow2.chain(tree, path)) if tree else (lambda _path: ()),
            pci_class=lambda address: self._pci_class(tree, address),
            mounts=self._mounts(pairs) if images else {},
        )

    def _mounts(self, pairs: Sequence[DomainPair]) -> dict[str, dict[str, list[str]]]:
        """What the guests that run have mounted, several asked at a time; those whose agent does not tell are left out."""
        running = [pair.record.uuid for pair in pairs if pair.record.state == POWERED_ON]
        return dict(zip(running, self.session.each(running, self._mounted)))

    def _mounted(self, uuid: str) -> dict[str, list[str]]:
        try:
            return self.session.mounts(uuid) or {}
        except CrossvisorError:
            return {}

    def _pci_class(self, tree: Tree | None, address: str) -> str:
        """The class of a PCI function, by the host's files or by libvirt; empty when neither tells."""
        if tree:
            return tree.text(f"/sys/bus/pci/devices/{address}/class") or ""
        xml = self.session.node_device(f"pci_{address.replace(':', '_').replace('.', '_')}")
        return root_of(xml).findtext("capability/class", "") if xml else ""

    def san(self) -> Answers:
        """What the targets of the host's iSCSI pools show."""
        return self.ask(pool_logins(self.pools()))

    def shown(self, name: ScsiName) -> tuple[list[Source], list[CrossvisorError]]:
        """The ways to a LUN over the host's iSCSI pools, and why targets that did not answer did not."""
        answers = self.san()
        return list(answers.showing(name)), list(answers.failures.values())


def pool_logins(known: Sequence[Pool]) -> list[Login]:
    """How QEMU's own initiator reaches targets, by the host's iscsi-direct pools, each way once."""
    return list(dict.fromkeys(pool.login for pool in known if pool.login and pool.login.initiator))
