# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What operations on KVM hosts over ssh cost: logins, and copies of the hosts' files, each of which takes seconds on a slow host."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

from ansible_collections.crossvisor.san.plugins.module_utils._san.connection import HYPERVISOR, Connection
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.base import DiskWish, Hypervisor
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.backend import Kvm
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.host import KvmHost
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.several import Endpoint, Several
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.attach import AttachRequest, attach, detach
from tests.bench.report import COUNT, Findings
from tests.unit import libvirt
from tests.unit.fake_ssh import COPY, LOGIN, LOOK, ORDER, FakeSsh, fake_ssh
from tests.unit.kvm_host import SAN_HOST, SEEN_LATER, SEEN_LATER_NAME
from tests.unit.libvirt import VIRTIO_SCSI, Connect, Domain, domain_xml, uuid_of
from tests.unit.module_utils._san.linux.machines import plant

LOGINS, COPIES = 1, 2
_REQUEST = AttachRequest("app", DiskWish(SEEN_LATER_NAME, timeout=60))
Way = Callable[[Hypervisor], object]
WAYS: Mapping[str, Way] = {
    "hba_info": lambda there: there.hosts(),
    "vm_storage_map": lambda there: there.inventory(),
    "ptd_attach of a new LUN": lambda there: attach(there, _REQUEST, check_mode=False),
    "ptd_attach again": lambda there: attach(there, _REQUEST, check_mode=False),
    "ptd_attach state=absent": lambda there: detach(there, _REQUEST, release=False, check_mode=False),
}
"""In their order; each has its own connection, as a task has."""
_NOTES = [
    "The host is a tree of files behind a program in place of ssh. Libvirt logs in once more, by itself.",
    "A look asks the host whether anything has changed since the last copy; an order rescans.",
    "Of two hosts that are asked as one (hypervisors), the first has the VM, and the higher count of the two is told.",
]


class _Place:
    """A host whose adapters find one more LUN when they look, and its libvirt with one VM."""

    def __init__(self, directory: Path, name: str, vm: str) -> None:
        self.name = name
        self._directory = directory
        self._root, self._coming = plant(directory / "host", SAN_HOST), plant(directory / "coming", SEEN_LATER)
        xml = domain_xml(vm, VIRTIO_SCSI)
        self._connect = Connect([Domain(vm, xml, xml)], hostname=name, uuid=uuid_of(f"{vm}-host"))

    def opened(self, way: str) -> tuple[FakeSsh, Kvm]:
        """A new connection, and the ssh that counts what it costs."""
        fake = fake_ssh(self._directory / way, self._root)
        fake.when_scanned(f"cp -a {self._coming}/. {self._root}/")
        return fake, Kvm(Connection(HYPERVISOR), KvmHost(libvirt.session(self._connect), fake.access()))


def measure(directory: Path) -> Findings:
    """Count on each way, at one host and at two."""
    findings = Findings("a KVM host over ssh", _NOTES)
    _count(findings, "", [_Place(directory / "one", "kvm01", "app")])
    _count(findings, " at two hosts", [_Place(directory / "first", "kvm01", "app"), _Place(directory / "second", "kvm02", "db")])
    return findings


def _count(findings: Findings, where: str, places: Sequence[_Place]) -> None:
    for number, (way, run) in enumerate(WAYS.items()):
        opened = {place.name: place.opened(f"ssh{number}") for place in places}
        endpoints = [Endpoint(name, partial(_itself, kvm)) for name, (_fake, kvm) in opened.items()]
        with closing(Several(endpoints) if len(endpoints) > 1 else endpoints[0].open()) as there:
            run(there)
        counts = [fake.counts() for fake, _kvm in opened.values()]
        for what, unit in ((LOGIN, "logins"), (COPY, "copies"), (LOOK, "looks"), (ORDER, "orders")):
            findings.add(f"{way}{where}", unit, max(count[what] for count in counts))
        findings.promise(f"{way}{where}: logins", COUNT, max(count[LOGIN] for count in counts), LOGINS)
        findings.promise(f"{way}{where}: copies", COUNT, max(count[COPY] for count in counts), COPIES)


def _itself(kvm: Kvm) -> Hypervisor:
    return kvm
