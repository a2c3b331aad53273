# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What operations on a KVM host over ssh cost: logins, and copies of the host's files, each of which takes seconds on a slow host."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path

from ansible_collections.crossvisor.san.plugins.module_utils._san.connection import HYPERVISOR, Connection
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.base import DiskWish
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.backend import Kvm
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.host import KvmHost
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.attach import AttachRequest, attach, detach
from tests.bench.report import COUNT, Findings
from tests.unit import libvirt
from tests.unit.fake_ssh import COPY, LOGIN, LOOK, ORDER, fake_ssh
from tests.unit.kvm_host import SAN_HOST, SEEN_LATER, SEEN_LATER_NAME
from tests.unit.libvirt import VIRTIO_SCSI, Connect, Domain, domain_xml
from tests.unit.module_utils._san.linux.machines import plant

LOGINS, COPIES = 1, 2
_REQUEST = AttachRequest("app", DiskWish(SEEN_LATER_NAME, timeout=60))
WAYS: Mapping[str, Callable[[Kvm], object]] = {
    "hba_info": lambda kvm: kvm.hosts(),
    "vm_storage_map": lambda kvm: kvm.inventory(),
    "ptd_attach of a new LUN": lambda kvm: attach(kvm, _REQUEST, check_mode=False),
    "ptd_attach again": lambda kvm: attach(kvm, _REQUEST, check_mode=False),
    "ptd_attach state=absent": lambda kvm: detach(kvm, _REQUEST, release=False, check_mode=False),
}
"""In their order; each has its own connection, as a task has."""
_NOTES = [
    "The host is a tree of files behind a program in place of ssh. Libvirt logs in once more, by itself.",
    "A look asks the host whether anything has changed since the last copy; an order rescans.",
]


def measure(directory: Path) -> Findings:
    """Count on each way."""
    findings = Findings("a KVM host over ssh", _NOTES)
    root, coming = plant(directory / "host", SAN_HOST), plant(directory / "coming", SEEN_LATER)
    xml = domain_xml("app", VIRTIO_SCSI)
    connect = Connect([Domain("app", xml, xml)])
    for number, (way, run) in enumerate(WAYS.items()):
        fake = fake_ssh(directory / f"ssh{number}", root)
        fake.when_scanned(f"cp -a {coming}/. {root}/")
        with closing(Kvm(Connection(HYPERVISOR), KvmHost(libvirt.session(connect), fake.access()))) as kvm:
            run(kvm)
        counts = fake.counts()
        for what, unit in ((LOGIN, "logins"), (COPY, "copies"), (LOOK, "looks"), (ORDER, "orders")):
            findings.add(way, unit, counts[what])
        findings.promise(f"{way}: logins", COUNT, counts[LOGIN], LOGINS)
        findings.promise(f"{way}: copies", COUNT, counts[COPY], COPIES)
    return findings
