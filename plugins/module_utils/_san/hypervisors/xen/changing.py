# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A VM as the target of a change: the pool is observed anew before each act."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import NotFound, Refused
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.xen import estate as estates
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.xen import machines
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.xen.estate import Estate
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.xen.places import Units
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import VirtualMachine
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.xapi import Record, XapiSession


@dataclass(frozen=True)
class Observed:
    """A VM at one moment, and the pool around it."""

    estate: Estate
    ref: str
    vm: Record

    @property
    def running(self) -> bool:
        """Whether a change has to reach the guest, too."""
        return str(self.vm["power_state"]) == machines.RUNNING

    def homeless(self, sr: Record) -> list[str]:
        """The name of the VM's own host, if a repository of one host is not plugged in there."""
        homes = [ref for ref in (self.vm["resident_on"], self.vm["affinity"]) if ref in self.estate.host][:1]
        attached = self.estate.attached_hosts(sr)
        return [self.estate.host[ref]["name_label"] for ref in homes if self.estate.host[ref]["uuid"] not in attached]

    def vbds_of(self, name: ScsiName) -> list[tuple[str, Record]]:
        """The VBDs by which the VM has the LUN, with their references."""
        drives = ((ref, self.estate.vbd[ref]) for ref in self.vm["VBDs"] if ref in self.estate.vbd)
        return [(ref, vbd) for ref, vbd in drives if vbd["VDI"] in self.estate.vdi and self.estate.lun(self.estate.vdi[vbd["VDI"]]) == name]

    def units(self, offered: Collection[int], leaving: Collection[ScsiName]) -> Units:
        """Its device numbers, once it has lost these LUNs."""
        freed = {machines.unit(vbd) for name in leaving for _ref, vbd in self.vbds_of(name)}
        taken = {unit for vbd in self.estate.drives_of(self.ref) if (unit := machines.unit(vbd)) is not None} - freed
        return Units(str(self.vm["name_label"]), {*offered, *(unit for unit in freed if unit is not None)}, taken)

    def refuse_unless_changeable(self) -> None:
        """Raise `Refused` for a VM whose disks cannot be changed as it is."""
        if self.vm["power_state"] in (machines.SUSPENDED_STATE, "Paused"):
            raise Refused(
                f"VM {self.vm['name_label']} is {str(self.vm['power_state']).lower()}, so that its disks cannot be changed: resume it or "
                "shut it down, then run this task again."
            )


@dataclass(frozen=True)
class VmChange:
    """A VM that is going to be changed, and how long one change of it may take."""

    session: XapiSession
    vm: VirtualMachine
    timeout: float

    @property
    def name(self) -> str:
        """The VM's name."""
        return self.vm.name

    def observe(self) -> Observed:
        """The VM now. Raises `NotFound`."""
        estate = estates.read(self.session)
        found = next(((ref, record) for ref, record in estate.vm.items() if record["uuid"] == self.vm.id), None)
        if found is None:
            raise NotFound(f"VM {self.name} is no longer in the pool: run this task again.")
        return Observed(estate, *found)

    def offered(self, ref: str) -> set[int]:
        """The device numbers that XAPI offers for a new disk."""
        return {int(word) for word in self.session.read("VM.get_allowed_VBD_devices", ref) if str(word).isdigit()}
