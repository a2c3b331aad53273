#!/usr/bin/python

# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The Ansible module lun_block_owner."""

from __future__ import annotations

DOCUMENTATION = r"""
module: lun_block_owner
short_description: Tell which VM and disk a block of a LUN belongs to
version_added: 0.1.0
description:
  - Translates logical block addresses of a LUN, as an array, a host's log or a medium error names them, to the virtual disks that have
    them. It only reads.
  - It is M(crossvisor.san.virtual_block_address) of all disks that may lie on the LUN, read the other way round, and knows what that knows.
  - A block may have several owners, such as the VMs that share a base image. All are told.
  - That a block is nobody's is only told when every disk that may lie on the LUN could be looked into.
options:
  hypervisor:
    description:
      - The hypervisor whose VMs may have it. Images on a KVM host need a URI over ssh, or this to run on the host, and an account that may
        read the images and devices there, which is root mostly. Images on a Hyper-V host need a member of its local Administrators.
  arrays:
    description:
      - The arrays that may have the LUN. One is needed to find it by O(lun_path).
  naa:
    description:
      - The LUN, by its name in any spelling (C(naa.<hex>), C(0x<hex>), C(3<hex>), C(wwn-0x<hex>), C(vml.02<hex>), bare hex) or by its
        serial number.
    type: str
    default: ""
  lun_path:
    description: Where the LUN is on its array, C(/vol/volume/lun) or C(svm:/vol/volume/lun).
    type: str
    default: ""
  lbas:
    description: The logical blocks.
    type: list
    elements: int
    required: true
  block_size:
    description:
      - Bytes of a logical block, where neither the host nor the array tells; LUNs on ONTAP have 512.
      - Linux' own messages count in sectors of 512 bytes, whatever the LUN has.
    type: int
  files:
    description:
      - Ask too which file of the guest has the block, on ext2, ext3, ext4, XFS and NTFS in a partition, on a logical volume there, or on
        the whole disk.
      - A KVM host reads that from the disk, read-only and without the guest, by C(qemu-storage-daemon) with FUSE and C(debugfs),
        C(xfs_db) or C(ntfscluster), which read much of the file system's metadata. What a guest that runs has not written yet is not seen.
      - These tools parse what the guest has written, as the account of the connection, which is root mostly.
      - A LUN that a VM has over QEMU's own iSCSI initiator is read over one more session as that initiator, for the partition also without
        this; where its target asks for a password, it is not read.
    type: bool
    default: false
author:
  - The crossvisor.san authors (@crossvisor)
extends_documentation_fragment:
  - crossvisor.san.attributes
  - crossvisor.san.attributes.reads
  - crossvisor.san.hypervisor
  - crossvisor.san.array.arrays
seealso:
  - module: crossvisor.san.virtual_block_address
  - module: crossvisor.san.vm_storage_map
"""

EXAMPLES = r"""
- name: Ask whose the block is that a host reports a medium error for
  crossvisor.san.lun_block_owner:
    hypervisor:
      uri: qemu+ssh://root@kvm01.example.com/system
    arrays:
      - hostname: ontap.example.com
        username: svc-monitor
        password: "{{ vault_ontap_password }}"
    naa: naa.600a098038304c61622d616161616131
    lbas: [123456]
  delegate_to: localhost
  register: whose
"""

RETURN = r"""
lines:
  description: The same for people, a sentence for each of RV(owners).
  returned: success
  type: list
  elements: str
owners:
  description:
    - A row for each owner of each block, and one for a block that has none.
    - Where arrays have several LUNs of that name, there is each row for each of these.
  returned: success
  type: list
  elements: dict
  contains:
    lba:
      description: The logical block.
      returned: success
      type: int
    block_size:
      description: Bytes of a logical block.
      returned: success
      type: int
      sample: 512
    naa:
      description: The LUN's identity, NAA hex digits without prefix.
      returned: success
      type: str
    serial:
      description: The LUN's serial number, if it is known.
      returned: success
      type: str
    array:
      description: Name of the array.
      returned: success
      type: str
    svm:
      description: The storage virtual machine.
      returned: success
      type: str
    volume:
      description: The volume.
      returned: success
      type: str
    lun_path:
      description: Where the LUN is on its array.
      returned: success
      type: str
    status:
      description:
        - V(owned) when a virtual disk has the block.
        - V(in_image) when it is in an image's file, but in no block of the disk as it is now. That is the image's own data, an internal
          snapshot, or space that it no longer uses. Of an image that has parts without an address, such as compressed ones, it may be
          one of these, and RV(owners[].reason) says so.
        - V(nobody) when it is in the image of no VM.
        - V(cannot_tell) when it is in no disk that could be looked into, and there are others.
      returned: success
      type: str
      sample: owned
    reason:
      description: What is to be known of the row, such as why nobody can tell, or that the block is outside of all partitions.
      returned: success
      type: str
    vm_name:
      description: The VM's name.
      returned: success
      type: str
    vm_id:
      description: The VM's identifier at the endpoint.
      returned: success
      type: str
    disk:
      description: The virtual disk's name.
      returned: success
      type: str
    virtual_offset:
      description: Where the block, or the part of it that the disk has, begins in the virtual disk, in bytes, or null.
      returned: success
      type: int
    state:
      description:
        - V(data), V(shared) or V(unwritten) as M(crossvisor.san.virtual_block_address) tells it; empty for what no disk has.
      returned: success
      type: str
      sample: data
    file:
      description: The image file that has it; empty for a LUN passed through.
      returned: success
      type: str
    file_offset:
      description: Where it is in that file, in bytes, or null.
      returned: success
      type: int
    partition:
      description:
        - Number of the guest's partition that has it, or null. It is read from the disk on KVM hosts (GPT and MBR).
      returned: success
      type: int
    partition_start:
      description: Where that partition begins in the virtual disk, in bytes, or null.
      returned: success
      type: int
    partition_offset:
      description: Where the block begins in that partition, in bytes, or null.
      returned: success
      type: int
    guest_volume:
      description:
        - The guest's logical volume that has it, with its group's name, V(data/root), also where its files are not told.
        - Empty where O(files) does not ask, and where there is none.
      returned: success
      type: str
    guest_file_system:
      description: V(ext4), also for ext2 and ext3, V(xfs) or V(ntfs); empty where O(files) does not ask or nobody can tell.
      returned: success
      type: str
    guest_block:
      description: Number of the block in that file system, or null.
      returned: success
      type: int
    guest_files:
      description:
        - Paths, from the root of that file system, of the file that has the block; RV(owners[].reason) says why there is none.
        - On NTFS it is one of the file's names, and the stream's behind it, V(/notes.txt:comment), where that has the block.
      returned: success
      type: list
      elements: str
    observed:
      description: When it was read, ISO 8601 in UTC.
      returned: success
      type: str
      sample: '2026-11-28T18:40:00Z'
"""

from contextlib import closing
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.crossvisor.san.plugins.module_utils._san import runtime
from ansible_collections.crossvisor.san.plugins.module_utils._san.endpoints import arrays, hypervisors
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.block_owners import Question, in_words, owners
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.storage_map.where import Where


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "hypervisor": hypervisors.hypervisor_option(),
            "arrays": arrays.arrays_option(),
            "naa": {"type": "str", "default": ""},
            "lun_path": {"type": "str", "default": ""},
            "lbas": {"type": "list", "elements": "int", "required": True},
            "block_size": {"type": "int"},
            "files": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )

    def read() -> dict[str, Any]:
        asked = module.params
        question = Question(Where(naa=asked["naa"], lun_path=asked["lun_path"]), asked["lbas"], asked["block_size"] or 0, asked["files"])
        with closing(hypervisors.open_hypervisor(module)) as hypervisor:
            found = owners(hypervisor, arrays.array_sources(module), question)
        return {"owners": found.rows, "lines": [in_words(row) for row in found.rows], "warnings": found.warnings}

    runtime.run(module, read, large=["owners"])


if __name__ == "__main__":
    main()
