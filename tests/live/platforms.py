# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The hypervisors on which the identical playbooks run, and what differs on each of them in what a user sees."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.lab.ontap.releases import NEWEST, OLDEST, written
from tests.live.lab import HYPERVISOR, WINDOWS, XEN

_RAW_SLOT = re.compile(r" raw (?P<naa>[0-9a-f]{32})$")


@dataclass(frozen=True)
class Platform:
    """A hypervisor of the lab, and a VM there that shall get a disk."""

    server: str
    """Its host in the inventory."""
    fixture: str
    """The fixture of its lab."""
    vm: str
    volume: str
    label: str
    """What the platform calls the VM's next disk."""
    place: str
    """Where that disk is."""
    group_os_type: str | None
    """Of the group that is made for it; None where the array has one with its initiators."""
    row: Mapping[str, str]
    """The columns of the map that tell where the VM is."""
    release: str
    """Of ONTAP, with which its whole life is played."""
    options: Mapping[str, str] = field(default_factory=dict)
    """Variables of the role that this platform's tests set."""
    removals: int = 4
    """Tasks of the removal that change something."""
    nodes: tuple[str, ...] = ()
    """The nodes of its failover cluster, that which runs the VM first."""

    @property
    def lun(self) -> str:
        """Path of the LUN that the VM gets."""
        return f"/vol/{self.volume}/{self.vm}_data"

    @property
    def disk(self) -> dict[str, str]:
        """The disk as the playbooks take it."""
        return {"vm": self.vm, "svm": "svm_san", "volume": self.volume, "lun": f"{self.vm}_data", **self.options}

    def raw_disks(self, state: Mapping[str, Any]) -> list[str]:
        """The LUNs (NAA) that the VM has according to the hypervisor's own state."""
        vms = state[self.server]["vms"]
        if isinstance(vms, list):
            (vm,) = [vm for vm in vms if vm["name"] == self.vm]
            return [disk["naa"] for disk in vm["disks"] if "naa" in disk]
        return [found["naa"] for slot in vms[self.vm]["slots"] if (found := _RAW_SLOT.search(slot))]


VCENTER = Platform(
    server=HYPERVISOR, fixture="running", vm="app01", volume="vol_prod", label="Hard disk 2", place="SCSI(0:1)", group_os_type="vmware",
    row={"hypervisor_type": "vmware", "cluster": "prod", "host": "esx01.lab"}, release=written(OLDEST),
)  # fmt: skip
HYPERV_HOST = Platform(
    server=WINDOWS[0], fixture="running_windows", vm="hvapp01", volume="vol_hv", label="SCSI(0:2)", place="SCSI(0:2)",
    group_os_type="hyper_v", row={"hypervisor_type": "hyperv", "cluster": "", "host": "hv01.lab"}, release=written(NEWEST),
)  # fmt: skip
HYPERV_CLUSTER = Platform(
    server=WINDOWS[1], fixture="running_windows", vm="c1app01", volume="vol_hv", label="SCSI(0:1)", place="SCSI(0:1)",
    group_os_type="hyper_v", row={"hypervisor_type": "hyperv", "cluster": "hvc1", "host": "hvc1n1.lab"}, nodes=("hvc1n1", "hvc1n2"),
    release=written(OLDEST),
)  # fmt: skip
XEN_POOL = Platform(
    server=XEN, fixture="running_xen", vm="xenapp01", volume="vol_xen", label="xvdb", place="SCSI(0:1)", group_os_type=None,
    row={"hypervisor_type": "xen", "cluster": "xen-pool", "host": "xen01.lab"}, release=written(NEWEST),
    options={"provision_protocol": "iscsi"}, removals=3,
)  # fmt: skip
"""Over iSCSI, by which the guest gets the LUN itself; the other way is in test_xen_change."""
PLATFORMS = (VCENTER, HYPERV_HOST, HYPERV_CLUSTER, XEN_POOL)
