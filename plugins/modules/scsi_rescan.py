#!/usr/bin/python

# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The Ansible module scsi_rescan."""

from __future__ import annotations

DOCUMENTATION = r"""
module: scsi_rescan
short_description: Let a Linux guest see a LUN that its hypervisor has attached, or forget it
version_added: 0.1.0
description:
  - Runs inside the guest, whatever hypervisor it is on. Finds the disk by the name of its LUN, never by its number or size.
    A guest on Xen, whose disks tell no name, is the exception, see O(address).
  - If the guest does not see the LUN, only the SCSI hosts that it can be behind are rescanned, and the module waits until the disk, its
    persistent link and, where dm-multipath claims it, the multipath device are there.
  - If the guest sees the LUN, the kernel reads its size and identity again, so that a LUN that has grown shows its new size.
  - What a LUN that was taken away without notice has left behind is removed, if nothing uses it.
options:
  naa:
    description:
      - The LUN, by any spelling of its NAA name.
    type: str
    aliases: [lun]
  serial:
    description:
      - The LUN, by its serial number on ONTAP, 12 characters in which case counts.
    type: str
  state:
    description:
      - V(present) lets the guest see the LUN, with its present size.
      - V(absent) flushes the disk and lets the guest forget it, which is done before the hypervisor detaches it. It refuses as long as the
        disk or a partition is mounted, in use as swap space, held by LVM, RAID, encryption or another device, or open in a process.
      - V(gathered) only tells what the guest shows now, and who uses it.
    type: str
    choices: [present, absent, gathered]
    default: present
  controller:
    description:
      - The SCSI host to rescan, such as V(host2), or the PCI address of its controller, such as V(0000:03:00.0).
      - Without it, the SCSI hosts of all virtual controllers, or on a machine that has none, all but those of SATA and USB.
    type: str
  address:
    description:
      - Where the hypervisor put the disk, as C(crossvisor.san.ptd_attach) returns it in C(guest_address), so that not all of a SCSI host is
        searched.
      - Either host, channel, target and LUN with V(*) for what is not known, such as V(*:0:3:0), or the slot of a virtual controller, such
        as V(SCSI(1:3)). A slot's bus is not looked at, because Linux numbers controllers in an order of its own.
      - A guest on Xen is not told which LUN a disk is. There the disk in this slot is taken, and only if it has the size O(size_bytes);
        without the slot, no LUN is found.
    type: str
  size_bytes:
    description:
      - Size of the disk, as C(crossvisor.san.ptd_attach) returns it. Only a guest on Xen needs it, beside O(address).
    type: int
    default: 0
  timeout:
    description:
      - Seconds to wait for the disk, or for its end.
    type: float
    default: 30.0
author:
  - The crossvisor.san authors (@crossvisor)
extends_documentation_fragment:
  - crossvisor.san.attributes
  - crossvisor.san.attributes.changes
attributes:
  platform:
    description: Runs on Linux, as root.
    platforms: linux
notes:
  - Check mode writes nothing to the kernel. So it cannot tell that a LUN has grown, and shows a LUN that is not visible yet as one to come.
  - V(gathered) and check mode need no root, but without it they see neither what the disk carries nor every process with open files.
seealso:
  - module: crossvisor.san.ptd_attach
  - module: community.general.filesystem
"""

EXAMPLES = r"""
- name: See the LUN that was attached to this guest
  crossvisor.san.scsi_rescan:
    naa: "{{ provision_result.lun.naa }}"
    address: "{{ provision_result.disk.guest_address }}"
  become: true
  register: data

- name: Put a file system on it
  community.general.filesystem:
    dev: "{{ data.disk.path }}"
    fstype: xfs
  become: true

- name: Let go of a LUN before it is detached
  crossvisor.san.scsi_rescan:
    naa: 600a0980524c4974612b44687143566b
    state: absent
  become: true

- name: Who uses it?
  crossvisor.san.scsi_rescan:
    serial: RLIta+DhqCVk
    state: gathered
  register: now
"""

RETURN = r"""
disk:
  description: The disk; null if the guest does not see the LUN. With O(state=absent), as it was.
  returned: success
  type: dict
  contains:
    device:
      description: The disk, or its first path.
      returned: success
      type: str
      sample: /dev/sdb
    path:
      description: What to partition and to mount - the multipath device if there is one, else the disk.
      returned: success
      type: str
      sample: /dev/mapper/mpathb
    by_id:
      description: The persistent link to RV(disk.path); empty where udev does not run.
      returned: success
      type: str
      sample: /dev/disk/by-id/wwn-0x600a0980524c4974612b44687143566b
    address:
      description: Host, channel, target and LUN, of the first path.
      returned: success
      type: str
      sample: "2:0:0:1"
    paths:
      description: All paths to the LUN.
      returned: success
      type: list
      elements: dict
      sample: [{"device": "/dev/sdb", "address": "2:0:0:1", "state": "active"}]
    multipath:
      description: The device that dm-multipath has made of the paths, or null.
      returned: success
      type: str
      sample: /dev/mapper/mpathb
    size_bytes:
      description: Size of the disk.
      returned: success
      type: int
      sample: 1073741824
    vendor:
      description: Vendor, as the LUN tells it.
      returned: success
      type: str
      sample: NETAPP
    model:
      description: Product, as the LUN tells it.
      returned: success
      type: str
      sample: LUN C-Mode
    serial:
      description: Unit serial number, as the LUN tells it.
      returned: success
      type: str
      sample: RLIta+DhqCVk
    naa:
      description: NAA name, in bare hex.
      returned: success
      type: str
      sample: 600a0980524c4974612b44687143566b
    content:
      description:
        - What the whole disk carries, read from the disk. A blank disk has neither partition table nor signatures, and no
          RV(disk.content.data).
        - Null where that cannot be told - without root or C(wipefs) - and with O(state=absent).
      returned: success
      type: dict
      contains:
        partition_table:
          description: V(gpt), or empty for none; other partition tables are signatures.
          returned: success
          type: str
          sample: gpt
        signatures:
          description: Other partition tables, file systems, members of LVM or RAID, swap space, …, as C(wipefs) names them.
          returned: success
          type: list
          elements: str
          sample: []
        data:
          description:
            - Whether a disk that carries nothing known holds anything but zeros all the same, such as a database, or what is encrypted.
              Looked for in its first and last MiB and in 63 places between.
          returned: success
          type: bool
          sample: false
    partitions:
      description: The partitions that the kernel knows, in the order of their numbers.
      returned: success
      type: list
      elements: dict
      contains:
        number:
          description: Number of the partition.
          returned: success
          type: int
          sample: 1
        device:
          description: The partition's device.
          returned: success
          type: str
          sample: /dev/sdb1
        size_bytes:
          description: Size of the partition.
          returned: success
          type: int
          sample: 1071644672
        start_bytes:
          description: Where the partition begins on the disk.
          returned: when RV(disk.content) is not null
          type: int
          sample: 1048576
        name:
          description: The partition's name in a GPT.
          returned: when RV(disk.content) is not null
          type: str
          sample: crossvisor.san
        uuid:
          description: UUID of the file system in it.
          returned: when RV(disk.content) is not null
          type: str
          sample: aa522d08-5d64-4823-88c8-4635499fcbf1
        signatures:
          description: File systems and the like in it; a blank partition has none.
          returned: when RV(disk.content) is not null
          type: list
          elements: str
          sample: [xfs]
used_by:
  description:
    - Who uses the disk, its partitions, or a device that is built on them. The C(kind) is V(mount), V(swap), V(logical volume),
      V(encrypted device), V(RAID), V(device-mapper device), V(block device) or V(process).
  returned: success
  type: list
  elements: dict
  sample:
    - kind: mount
      device: /dev/sdb1
      name: /srv/data
      processes: [{"pid": 4711, "command": "postgres"}]
scanned:
  description: The SCSI hosts that were rescanned.
  returned: success
  type: list
  elements: str
  sample: [host2]
actions:
  description: What was done, or in check mode would be, in order.
  returned: success
  type: list
  elements: str
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.crossvisor.san.plugins.module_utils._san import runtime, wishes
from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.linux.address import ANYWHERE, Address
from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.linux.kernel import Kernel
from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.linux.rescan import Report, Request, Rescan


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "naa": {"type": "str", "aliases": ["lun"]},
            "serial": {"type": "str"},
            "state": {"type": "str", "choices": ["present", "absent", "gathered"], "default": "present"},
            "controller": {"type": "str"},
            "address": {"type": "str"},
            "size_bytes": {"type": "int", "default": 0},
            "timeout": {"type": "float", "default": 30.0},
        },
        required_one_of=[("naa", "serial")],
        mutually_exclusive=[("naa", "serial")],
        supports_check_mode=True,
    )
    runtime.run(module, lambda: _reach(module).result())


def _reach(module: AnsibleModule) -> Report:
    params: dict[str, Any] = module.params
    request = Request(
        name=wishes.lun_name(params["naa"], params["serial"]),
        controller=params["controller"] or "",
        address=Address.parse(params["address"]) if params["address"] else ANYWHERE,
        size_bytes=params["size_bytes"],
        timeout=params["timeout"],
    )
    rescan = Rescan(Kernel(), request)
    if params["state"] == "present":
        return rescan.present(module.check_mode)
    if params["state"] == "absent":
        return rescan.absent(module.check_mode)
    return rescan.gathered()


if __name__ == "__main__":
    main()
