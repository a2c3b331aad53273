#!/usr/bin/python

# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The Ansible module virtual_block_address."""

from __future__ import annotations

DOCUMENTATION = r"""
module: virtual_block_address
short_description: Tell on which blocks of which LUN a virtual disk's blocks are
version_added: 0.1.0
description:
  - Translates offsets within a virtual disk to logical block addresses of the LUNs underneath. It only reads.
  - A LUN passed through is translated on every hypervisor.
  - An image file is translated on KVM hosts, through the chain of images, the file system (ext2, ext3, ext4 and XFS), partitions,
    linear and striped volumes, multipath and loop devices, by C(qemu-img), C(dmsetup) and Python on the host.
  - A VHD or VHDX file is translated on Hyper-V hosts, by its own tables, C(fsutil file queryextents) and the partition of its NTFS volume,
    which two PowerShell scripts that only read ask for in the command shell of WinRM. On a Cluster Shared Volume the node that owns it is
    asked, and only while the volume is not redirected, in maintenance or in backup.
  - What has no address that can be relied on is told as such, with the reason. That includes everything on btrfs, ZFS, thin and
    encrypted volumes, caches, and network file systems, and compressed or encrypted parts of images.
  - An address is true when it was read. The next write to a range may move it, and so do snapshots, block jobs and migrations.
options:
  hypervisor:
    description:
      - The hypervisor that has the VM. Images on a KVM host need a URI over ssh, or this to run on the host, and an account that may read
        the images and devices there, which is root mostly. Images on a Hyper-V host need a member of its local Administrators.
  arrays:
    description:
      - The arrays that may lie underneath. Without them, the LUN's name is all that is told of it.
  vm:
    description:
      - Identifier, UUID or name of the VM.
    type: str
    required: true
  disk:
    description:
      - The virtual disk, by its name or key as M(crossvisor.san.vm_storage_map) tells it, or by the name of the LUN that is passed through.
      - Need not be given for a VM with one disk.
    type: str
    default: ""
  offsets:
    description:
      - Bytes from the beginning of the virtual disk. Each is a range of one byte.
    type: list
    elements: int
    default: []
  ranges:
    description:
      - Ranges of the virtual disk. With neither O(offsets) nor O(ranges), all of the disk is told.
    type: list
    elements: dict
    default: []
    suboptions:
      offset:
        description: Bytes from the beginning of the virtual disk.
        type: int
        required: true
      length:
        description: Bytes of the range.
        type: int
        required: true
  verify:
    description:
      - Read the bytes twice and compare, of many ranges the first 256.
      - On KVM the host reads the first 64 KiB of each range through the image and from the device at the address that was found, past the
        kernel's cache. No byte leaves the host.
      - On Hyper-V the host reads the first 4 KiB of each range from the file, and the array of the LUN, to be named in O(arrays), from the
        address that was found.
      - Zeros that are equal count as the same, and show little.
      - A range whose bytes differ has the state V(no_address). On a VM that runs, a write between the two readings looks the same.
      - Means nothing to O(method=observe) and O(method=vmkfstools), which tell only of what they have compared.
    type: bool
    default: false
  method:
    description:
      - With V(primitives), the host of the VM is asked where it has put the blocks.
      - With V(observe), nobody is. M(crossvisor.san.guest_block_markers) has written blocks in the guest that are known again, and the LUNs
        under the disk are searched for them, by the array's own word on what is on them. That goes for every hypervisor and every file
        system of it, but tells of the markers alone.
      - With V(vmkfstools), the shell of the ESXi host that has the VM is asked over ssh where a VMDK is in its VMFS datastore, by
        C(vmkfstools -t0), which VMware does not document. From where on the LUN that counts is measured, by checksums of blocks of the
        disk and of the LUN. Of each range the first 64 KiB are compared, of many ranges the first 256, and nothing is told unless all that
        was compared is there. Nobody has run it on an ESXi host yet.
      - V(vmkfstools) needs a VM that is off and has no snapshots, a datastore on one device, and C(ssh) that reaches the host, under the
        name that vSphere has for it, without a password.
    type: str
    choices: [primitives, observe, vmkfstools]
    default: primitives
  esxi_user:
    description:
      - With O(method=vmkfstools), the account of the ESXi host.
    type: str
    default: root
  markers:
    description:
      - What M(crossvisor.san.guest_block_markers) returned in the guest, with the markers still there. Required with O(method=observe).
    type: dict
  guest_device:
    description:
      - With O(method=observe), the disk as the guest calls it, such as V(/dev/sdb).
      - By default the one that has the LUN's name, else the only one that can have that size.
    type: str
    default: ""
  search:
    description:
      - With O(method=observe), where the markers are looked for, and for how long.
    type: dict
    default: {}
    suboptions:
      luns:
        description:
          - The LUNs, by any spelling of their NAA names. By default those on which the disk may lie as
            M(crossvisor.san.vm_storage_map) tells it.
        type: list
        elements: str
        default: []
      captures:
        description:
          - Files with captures of the iSCSI traffic to the LUNs while the markers were written, such as C(tcpdump -s 0 -w FILE) makes
            them, in pcap or pcapng, where this module runs.
          - They are looked through in place of the LUNs, and O(arrays) are asked for the LUNs' names alone.
          - Give all paths of a LUN. What was missed is told.
        type: list
        elements: path
        default: []
      ports:
        description: TCP ports of the iSCSI portals in O(search.captures).
        type: list
        elements: int
        default: [3260]
      bytes:
        description:
          - How much of each LUN is read, from its beginning on; V(0) for all of it. What was not read is told.
          - An ONTAP array gives less than 1 MB per request, and reading through it is slow.
        type: int
        default: 0
      seconds:
        description:
          - How long the search may take; V(0) for as long as it takes. What was not read until then is told.
        type: float
        default: 1800
author:
  - The crossvisor.san authors (@crossvisor)
extends_documentation_fragment:
  - crossvisor.san.attributes
  - crossvisor.san.attributes.reads
  - crossvisor.san.hypervisor
  - crossvisor.san.array.arrays
seealso:
  - module: crossvisor.san.vm_storage_map
  - module: crossvisor.san.guest_block_markers
  - module: crossvisor.san.lun_block_owner
"""

EXAMPLES = r"""
- name: Tell where the first megabyte of a VM's disk is, and prove it
  crossvisor.san.virtual_block_address:
    hypervisor:
      uri: qemu+ssh://root@kvm01.example.com/system
    arrays:
      - hostname: ontap.example.com
        username: svc-monitor
        password: "{{ vault_ontap_password }}"
    vm: app01
    disk: vda
    ranges:
      - offset: 0
        length: 1048576
    verify: true
  delegate_to: localhost
  register: there

- name: Show it
  ansible.builtin.debug:
    msg: "byte {{ item.virtual_offset }}: block {{ item.lba }} of {{ item.naa or item.device }}"
  loop: "{{ there.addresses | rejectattr('lba', 'none') }}"
"""

RETURN = r"""
disk:
  description: The virtual disk that was translated.
  returned: success
  type: dict
  contains:
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
    size_bytes:
      description: Its size in bytes.
      returned: success
      type: int
    format:
      description: Format of its image, V(raw) too for a LUN passed through.
      returned: success
      type: str
      sample: qcow2
addresses:
  description:
    - The ranges that were asked for, in parts of which each lies in one piece on one LUN.
    - With O(method=observe) and neither O(offsets) nor O(ranges), the markers. What no marker covers has the state V(no_address), and a
      marker that is at two places has a row for each.
    - A LUN that several of O(arrays) have under one name has one row for each of them.
  returned: success
  type: list
  elements: dict
  contains:
    virtual_offset:
      description: Where the range begins in the virtual disk, in bytes.
      returned: success
      type: int
    length:
      description: Bytes of the range.
      returned: success
      type: int
    state:
      description:
        - V(data) when the LUN holds the bytes of the virtual disk there.
        - V(shared) when it does, and others have the same blocks (reflinks), so that the next write goes elsewhere.
        - V(unwritten) when the place is reserved, the virtual disk reads as zeros, and the LUN holds old bytes.
        - V(hole) when nothing is there, and the virtual disk reads as zeros.
        - V(no_address) when nobody can tell where the bytes are; RV(addresses[].reason) says why.
      returned: success
      type: str
      sample: data
    reason:
      description: Why there is no address, or what is missing in the row, else empty.
      returned: success
      type: str
    file:
      description: The image file that holds it, or the device that stands for one; empty where none was looked into.
      returned: success
      type: str
    file_offset:
      description: Where the range begins in that file, in bytes, or null.
      returned: success
      type: int
    device:
      description: The host's device at the bottom.
      returned: success
      type: str
    naa:
      description: The LUN's identity, NAA hex digits without prefix; empty for a disk of the host's own.
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
    lba:
      description:
        - The logical block of the LUN in which the range begins, or null.
        - Also null where nobody tells how large a logical block of the LUN is.
      returned: success
      type: int
    block_size:
      description: Bytes of a logical block of the LUN, or null.
      returned: success
      type: int
      sample: 512
    verified:
      description: Whether the bytes at the address are those of the virtual disk. Null where they were not compared.
      returned: with O(verify)
      type: bool
    observed:
      description:
        - When it was read, ISO 8601 in UTC. Of captures, when the one that ends first ends, by the clock that took it; empty where
          one tells no times.
      returned: success
      type: str
      sample: '2026-11-28T18:40:00Z'
"""

from contextlib import closing
from functools import partial
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.crossvisor.san.plugins.module_utils._san import runtime
from ansible_collections.crossvisor.san.plugins.module_utils._san.connection import HYPERVISOR, connection
from ansible_collections.crossvisor.san.plugins.module_utils._san.endpoints import arrays, hypervisors, markers
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import InvalidInput
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.base import Hypervisor
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.block_addresses import Found, Look, Wish, addresses
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.observation import observe

PRIMITIVES = "primitives"
OBSERVE = "observe"
VMKFSTOOLS = "vmkfstools"


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "hypervisor": hypervisors.hypervisor_option(),
            "arrays": arrays.arrays_option(),
            "vm": {"type": "str", "required": True},
            "disk": {"type": "str", "default": ""},
            "offsets": {"type": "list", "elements": "int", "default": []},
            "ranges": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {"offset": {"type": "int", "required": True}, "length": {"type": "int", "required": True}},
            },
            "verify": {"type": "bool", "default": False},
            "method": {"type": "str", "choices": [PRIMITIVES, OBSERVE, VMKFSTOOLS], "default": PRIMITIVES},
            "esxi_user": {"type": "str", "default": "root"},
            "markers": {"type": "dict"},
            "guest_device": {"type": "str", "default": ""},
            "search": markers.search_option(),
        },
        required_if=[("method", OBSERVE, ["markers"])],
        supports_check_mode=True,
    )

    def read() -> dict[str, Any]:
        asked = module.params
        ranges = [*((offset, 1) for offset in asked["offsets"]), *((one["offset"], one["length"]) for one in asked["ranges"])]
        found = _observed(module, ranges) if asked["method"] == OBSERVE else _translated(module, ranges)
        return {"disk": found.about, "addresses": found.rows, "warnings": found.warnings}

    runtime.run(module, read, large=["addresses"])


def _translated(module: AnsibleModule, ranges: list[tuple[int, int]]) -> Found:
    asked = module.params
    if asked["markers"]:
        raise InvalidInput(f"markers are for method={OBSERVE}: set it, or leave them out.")
    if asked["method"] == VMKFSTOOLS and asked["verify"]:
        raise InvalidInput(f"verify means nothing to method={VMKFSTOOLS}, which tells only of what it has compared: leave it out.")
    wish = Wish(asked["vm"], asked["disk"], ranges, asked["verify"])
    with closing(hypervisors.open_hypervisor(module)) as hypervisor:
        look = _esxi_shell(module, hypervisor) if asked["method"] == VMKFSTOOLS else None
        return addresses(hypervisor, arrays.array_sources(module), wish, look)


def _esxi_shell(module: AnsibleModule, hypervisor: Hypervisor) -> Look:
    from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.vmware import hosts, shell_blocks

    if hypervisor.type != hosts.TYPE:
        raise InvalidInput(f"method={VMKFSTOOLS} is for VMware, and {hypervisor.address} is {hypervisor.type}: leave method out.")
    patience = connection(HYPERVISOR, module.params["hypervisor"]).timeout
    return partial(shell_blocks.disk_blocks, module.params["esxi_user"], patience)


def _observed(module: AnsibleModule, ranges: list[tuple[int, int]]) -> Found:
    asked = module.params
    if asked["verify"]:
        raise InvalidInput(f"verify means nothing to method={OBSERVE}, which tells of a block only if it has read its bytes: leave it out.")
    wish = markers.wish(asked, ranges)
    with closing(hypervisors.open_hypervisor(module)) as hypervisor:
        return observe(hypervisor, arrays.array_sources(module), wish)


if __name__ == "__main__":
    main()
