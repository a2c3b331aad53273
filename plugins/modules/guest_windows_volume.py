#!/usr/bin/python

# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The Ansible module guest_windows_volume."""

from __future__ import annotations

DOCUMENTATION = r"""
module: guest_windows_volume
short_description: Make a LUN a volume inside a Windows guest
version_added: 0.1.0
description:
  - Makes one volume of a LUN that was attached to a Windows VM - the guest looks for the disk, brings it online, gets a GPT, one partition
    over all of it, a file system, and a drive letter or mount point. When the LUN has grown, partition and file system grow with it.
  - The LUN is named by its identity, never by the number of a disk. A guest on Xen, whose disks tell no name, is the exception, see
    O(address).
  - Everything is done over WMI by Windows Remote Management, without PowerShell. Only the directory of a mount point is made by starting
    C(cmd.exe) in the guest.
  - A disk that holds anything but the wished volume is left alone unless O(force) says that it may be lost. A disk is empty when it is raw
    and O(blank) vouches for it, or when it has a GPT with no partition but Microsoft's reserved one, as a failover cluster writes onto a
    LUN before the guest sees it.
  - A disk that already is the wished volume is taken as it is, so that a second run changes nothing.
  - The disk that Windows runs from, and a disk of a failover cluster inside the guest, are never touched.
  - If a step fails, what this run has done is undone. There is no way back from erasing, nor from growing.
options:
  naa:
    description:
      - The LUN, by its identity in any spelling that a tool prints - V(naa.600a...), V(wwn-0x600a...), a multipath WWID,
        a Windows UniqueId.
    type: str
    aliases: [lun]
  serial:
    description:
      - The LUN, by its NetApp ONTAP serial number of 12 characters.
    type: str
  planned_lun:
    description:
      - In check mode, in place of O(naa) and O(serial), a LUN that does not exist yet, by what it will be called, such as
        V(svm_san:/vol/vol_prod/win01_data). It tells what would be done once the LUN is made and attached, and refuses an O(mount) that is
        not free.
    type: str
  planned_disks:
    description:
      - In check mode, other LUNs that the guest shall get or lose before it gets this one, in their order. What one that it loses shows
        now is free by then, and on the drive letter of one that it gets there may be an O(mount).
    type: list
    elements: dict
    default: []
    suboptions:
      naa:
        description:
          - The LUN that it shall lose, by its identity in any spelling.
        type: str
      mount:
        description:
          - Where the one that it shall get will show, as O(mount). Left out or empty for nowhere.
        type: str
      file_system:
        description:
          - The file system of the one that it shall get.
        type: str
        choices: [NTFS, ReFS]
        default: NTFS
      state:
        description:
          - Whether the guest shall get it or lose it.
        type: str
        choices: [present, absent]
        default: present
  state:
    description:
      - With V(present), the LUN is a volume.
      - With V(absent), it has neither drive letter nor mount point, and its disk is offline in the guest, ready to be detached from the VM.
        The data on the LUN stays, and so do the directories of mount points.
      - With V(flushed), Windows writes to the LUN what programs have written and it has kept in memory (C(Write-VolumeCache)). Nothing is
        held still, and nothing changes, so that this is no more than a better moment for a snapshot.
    type: str
    choices: [present, absent, flushed]
    default: present
  mount:
    description:
      - Where the volume shows, a drive letter such as V(E:) or a directory on an NTFS volume such as V(C:\\mt1), which is made when it is
        missing.
      - A letter that another volume has, or a directory that is not empty, is an error. A second path is added to a volume that already has
        one, but not a second letter.
      - Without it, an existing volume keeps its paths, and a new one has none.
    type: str
  file_system:
    description:
      - The file system. One that differs on the disk is an error, unless O(force) allows to erase it.
    type: str
    choices: [NTFS, ReFS]
    default: NTFS
  label:
    description:
      - The volume's label, of at most 32 characters. One that differs is an error; with O(force), it is changed and the data stay.
      - Without it, an existing volume keeps its label.
    type: str
  allocation_unit:
    description:
      - Size of an allocation unit (cluster) in bytes. For NTFS a power of two from 512 to 2097152, of which those above 65536 need Windows
        Server 2019; for ReFS 4096 or 65536.
      - One that differs on the disk is an error, unless O(force) allows to erase it.
      - Without it, Windows chooses, and an existing volume is taken as it is.
    type: int
  blank:
    description:
      - Whether somebody who can tell vouches that nothing was ever written to the LUN, such as M(crossvisor.san.lun_provision) by
        RV(crossvisor.san.lun_provision#module:created), or by V(0) for RV(crossvisor.san.lun_provision#module:used_bytes).
      - Windows knows only what Windows can read. A disk without a partition table may hold a Linux volume or a database, and is refused
        without this word or O(force).
    type: bool
    default: false
  force:
    description:
      - Whether everything on the LUN may be lost when it holds something else than the wished volume.
      - This never applies to the disk that Windows runs from, to a disk of a cluster inside the guest, or to a LUN that was made smaller.
    type: bool
    default: false
  address:
    description:
      - Where the hypervisor has put the disk, as M(crossvisor.san.ptd_attach) returns it in C(guest_address).
      - Only a guest on Xen needs it, which is not told which LUN a disk is. There the disk of Xen in this place is taken, and only if it
        has the size O(size_bytes). Without it, no disk is taken there.
    type: str
  size_bytes:
    description:
      - Size of the disk, as M(crossvisor.san.ptd_attach) returns it. Only a guest on Xen needs it, beside O(address).
    type: int
    default: 0
  timeout:
    description:
      - Seconds to wait until the guest shows the LUN, and for each change.
    type: float
    default: 300
  guest:
    description:
      - The Windows guest. Its account must be an administrator there, because Windows lets nobody else change disks.
author:
  - The crossvisor.san authors (@crossvisor)
extends_documentation_fragment:
  - crossvisor.san.attributes
  - crossvisor.san.attributes.changes
  - crossvisor.san.guest
notes:
  - In check mode, the guest does not look for new or grown disks. Of a LUN that it has not seen yet, it is told only whether O(mount) is
    free; what an offline disk holds cannot be told.
  - The guest sees a LUN's new size only after the VM's host does, which may need to look for it (a rescan) first.
  - A run that was killed between partitioning and formatting leaves a partition without a file system. An encrypted volume looks the same,
    so that the next run asks for O(force).
  - The protocol was taken from Microsoft's documentation and is tested against a simulator; nobody has run this module against a real
    Windows machine.
seealso:
  - module: crossvisor.san.ptd_attach
  - module: crossvisor.san.lun_provision
"""

EXAMPLES = r"""
- name: Make the LUN the volume E of the guest
  crossvisor.san.guest_windows_volume:
    guest:
      hostname: win01.example.com
      username: EXAMPLE\svc-ansible
      password: "{{ vault_guest_password }}"
    naa: "{{ lun.naa }}"
    mount: "E:"
    label: data
  delegate_to: localhost

- name: Mount a LUN for a database in a directory, with large allocation units
  crossvisor.san.guest_windows_volume:
    guest: "{{ guest }}"
    naa: naa.600a098038304c61622d616161616131
    mount: C:\mt1
    allocation_unit: 65536

- name: Let the volume grow after its LUN has grown
  crossvisor.san.guest_windows_volume:
    guest: "{{ guest }}"
    naa: "{{ lun.naa }}"

- name: Ask before a LUN is made whether its place in the guest is free
  crossvisor.san.guest_windows_volume:
    guest: "{{ guest }}"
    planned_lun: svm_san:/vol/vol_prod/win01_data
    mount: "E:"
  check_mode: true

- name: Take the volume out of use before the LUN is detached
  crossvisor.san.guest_windows_volume:
    guest: "{{ guest }}"
    naa: "{{ lun.naa }}"
    state: absent
"""

RETURN = r"""
guest_name:
  description: The guest, as it was named.
  returned: success
  type: str
naa:
  description: The LUN's identity, NAA hex digits without prefix; null for O(planned_lun), which has none yet.
  returned: success
  type: str
serial:
  description: The LUN's serial number at its array, where it is part of its identity; else null.
  returned: success
  type: str
disk_number:
  description: The number of the disk in the guest until its next boot; null if the guest does not show the LUN.
  returned: success
  type: int
  sample: 1
size_bytes:
  description: Size of the disk in bytes; null if the guest does not show the LUN.
  returned: success
  type: int
volume:
  description: The volume, read back; null if there is none, or it is not in use.
  returned: success
  type: dict
  contains:
    path:
      description: The path of the volume, which stays the same whatever its letter.
      returned: success
      type: str
      sample: \\?\Volume{4c1b02c1-d990-11dc-99ae-806e6f6e6963}\
    file_system:
      description: The file system.
      returned: success
      type: str
      sample: NTFS
    label:
      description: The label.
      returned: success
      type: str
    allocation_unit_bytes:
      description: Size of an allocation unit in bytes.
      returned: success
      type: int
      sample: 4096
    size_bytes:
      description: Size of the file system in bytes.
      returned: success
      type: int
    drive_letter:
      description: The drive letter; null without one.
      returned: success
      type: str
      sample: "E:"
    mount_points:
      description: The directories in which the volume shows.
      returned: success
      type: list
      elements: str
      sample: ["C:\\mt1"]
actions:
  description: What was done, or in check mode would be, in order.
  returned: success
  type: list
  elements: str
"""

from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.crossvisor.san.plugins.module_utils._san import runtime, wishes
from ansible_collections.crossvisor.san.plugins.module_utils._san.endpoints import guests
from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.windows.access_path import AccessPath
from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.windows.wish import VolumeWish
from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.windows.xenbus import Place
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from ansible_collections.crossvisor.san.plugins.module_utils._san.services import guest_volume


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "guest": guests.guest_option(),
            "naa": {"type": "str", "aliases": ["lun"]},
            "serial": {"type": "str"},
            "planned_lun": {"type": "str"},
            "planned_disks": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "naa": {"type": "str"},
                    "mount": {"type": "str"},
                    "file_system": {"type": "str", "choices": ["NTFS", "ReFS"], "default": "NTFS"},
                    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
                },
                "required_if": [("state", "absent", ["naa"])],
            },
            "state": {"type": "str", "choices": ["present", "absent", "flushed"], "default": "present"},
            "mount": {"type": "str"},
            "file_system": {"type": "str", "choices": ["NTFS", "ReFS"], "default": "NTFS"},
            "label": {"type": "str"},
            "allocation_unit": {"type": "int"},
            "blank": {"type": "bool", "default": False},
            "force": {"type": "bool", "default": False},
            "address": {"type": "str"},
            "size_bytes": {"type": "int", "default": 0},
            "timeout": {"type": "float", "default": 300.0},
        },
        required_one_of=[("naa", "serial", "planned_lun")],
        mutually_exclusive=[("naa", "serial", "planned_lun")],
        supports_check_mode=True,
    )
    runtime.run(module, lambda: _reach(module))


def _reach(module: AnsibleModule) -> dict[str, Any]:
    params = module.params
    wishes.refuse_plans_that_would_be_done(params, module.check_mode)
    name = wishes.lun_name(params["naa"], params["serial"], params["planned_lun"])
    beside = _beside(params["planned_disks"])
    wish = VolumeWish(
        name=name,
        file_system=params["file_system"],
        label=params["label"],
        allocation_unit_bytes=params["allocation_unit"],
        mount=_mount(params["mount"]),
        blank=params["blank"],
        force=params["force"],
        place=Place(wishes.place(params["address"] or None), params["size_bytes"]),
        timeout=params["timeout"],
    )
    with closing(guests.open_guest(module)) as guest:
        if params["state"] == "present":
            report = guest_volume.present(guest, wish, module.check_mode, beside)
        elif params["state"] == "flushed":
            report = guest_volume.flushed(guest, name, wish.timeout, module.check_mode, wish.place)
        else:
            report = guest_volume.absent(guest, name, wish.timeout, module.check_mode, wish.place)
    return report.result()


def _mount(text: str | None) -> AccessPath | None:
    return AccessPath.parse(text) if text else None


def _beside(disks: Sequence[Mapping[str, Any]]) -> guest_volume.Beside:
    ahead = [(_mount(disk["mount"]), disk["file_system"]) for disk in disks if disk["state"] == "present"]
    return guest_volume.Beside(
        leaving=[ScsiName.parse(disk["naa"]) for disk in disks if disk["state"] == "absent"],
        ahead=[(path, file_system) for path, file_system in ahead if path],
    )


if __name__ == "__main__":
    main()
