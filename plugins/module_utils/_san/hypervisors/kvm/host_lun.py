# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One LUN as a KVM host can give it to a VM: as a device of the host, else over QEMU's own iSCSI initiator."""

from __future__ import annotations

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import NotFound, Refused
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.domain import Source
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.host import KvmHost
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import DEVICE_OK, ScsiDevice
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName

_MAPPER = "/dev/mapper/"
_PATHS = "/dev/sd"


def devices(host: KvmHost, name: ScsiName) -> list[ScsiDevice]:
    """The LUN as the host sees it, and as the targets of its iscsi-direct pools show it; none of them raises because a target is silent."""
    own = host.storage(()).device_of(name)
    over_network = [device for device in host.san().devices(host.id) if device.name == name]
    return [*([own] if own else []), *over_network]


def source(host: KvmHost, name: ScsiName) -> Source:
    """How a VM gets the LUN now.

    A device of the host goes before the network, and multipath before a single path. Raises `NotFound` when neither shows the LUN, with
    what the targets said.
    """
    device = host.storage(()).device_of(name)
    if device and device.state == DEVICE_OK:
        return Source("block", path=_link(device, name))
    shown, failures = host.shown(name)
    if shown:
        return shown[0]
    if device:
        raise Refused(f"LUN {name} is {device.state} on host {host.name}: repair its paths, then run this task again.")
    because = f" ({'; '.join(str(failure) for failure in failures)})" if failures else ""
    raise NotFound(
        f"Host {host.name} does not see LUN {name}, neither as a device nor over its iscsi-direct pools{because}: check that the array "
        "maps it to an initiator of this host (hba_info lists them), then run this task again."
    )


def paths(device: ScsiDevice) -> list[str]:
    """The kernel's names of the LUN's paths, such as `sda`."""
    return [alias[len("/dev/") :] for alias in device.aliases if alias.startswith(_PATHS)]


def maps(device: ScsiDevice) -> list[str]:
    """The names of the multipath devices over the LUN's paths."""
    return [alias[len(_MAPPER) :] for alias in (device.device, *device.aliases) if alias.startswith(_MAPPER)]


def _link(device: ScsiDevice, name: ScsiName) -> str:
    """The link by identity to the multipath device where there is one, else to the one path."""
    return f"/dev/disk/by-id/dm-uuid-mpath-{name.wwid}" if maps(device) else device.device
