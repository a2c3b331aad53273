#!/usr/bin/python

# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The Ansible module vm_storage_map."""

from __future__ import annotations

DOCUMENTATION = r"""
module: vm_storage_map
short_description: Map every VM's virtual disks to LUN, volume and array
version_added: 0.1.0
description:
  - Tells for each virtual disk, image file or pass-through disk, on which LUN, volume and array it lies.
  - Works in three phases. First the virtual components, then the storage resources that the hosts see and what the arrays know of them,
    then the join. The number of requests does not depend on the number of VMs.
  - What cannot be resolved is not left out. It is a row with a reason.
options:
  hypervisor:
    description:
      - The hypervisor whose VMs to map.
  arrays:
    description:
      - The arrays that may lie underneath.
  vms:
    description:
      - Identifiers, UUIDs or names of the VMs to map, names as they are written; all if the list is empty.
    type: list
    elements: str
    default: []
  clusters:
    description:
      - Names of the clusters whose VMs to map; all if the list is empty.
    type: list
    elements: str
    default: []
  endpoint:
    description:
      - What you call the hypervisor, such as its name in the inventory; by default the address that it is asked at.
      - Told in every row as RV(mappings[].endpoint), so that the maps of several hypervisors behind one address can be told apart.
    type: str
    default: ""
  where:
    description:
      - Only what is asked for here, instead of the whole map; of several words all have to hold. Names are compared as they are written.
      - What there is not is an error that names what is near.
      - Arrays are asked for what is needed only. On vSphere, of a LUN that a datastore lies on, only the VMs on that datastore are read.
    type: dict
    suboptions:
      vm:
        description: Identifier, UUID or name of a VM.
        type: str
        default: ""
      host:
        description: Name or identifier of the host that has the VM.
        type: str
        default: ""
      cluster:
        description: Name of the VM's cluster.
        type: str
        default: ""
      lun_path:
        description: Where the LUN is on its array, C(/vol/volume/lun) or C(svm:/vol/volume/lun).
        type: str
        default: ""
      volume:
        description: Name of the volume that holds the LUN, or is exported.
        type: str
        default: ""
      svm:
        description: Name of the storage virtual machine.
        type: str
        default: ""
      array:
        description: Name or address of the array.
        type: str
        default: ""
      naa:
        description:
          - The LUN, by its name in any spelling (C(naa.<hex>), C(0x<hex>), C(3<hex>), C(wwn-0x<hex>), C(vml.02<hex>), bare hex) or by its
            serial number.
        type: str
        default: ""
      mount:
        description: Where the guest has mounted a file system of the disk, as far as RV(mappings[].mounts) tells that.
        type: str
        default: ""
      storage:
        description:
          - What a person calls it, a LUN by its name in any spelling, its serial number, its path or the last part of that, a volume, an
            export, an SVM or an array; with C(svm:) before a path or a volume, that of this SVM. Everything is told that may be meant.
          - What there is not is an answer without rows, and disks that may lie there come along as unresolved rows.
        type: str
        default: ""
  gather:
    description:
      - Which forms of the map to make and return.
    type: list
    elements: str
    choices: [mappings, virtual_machines, storage_resources]
    default: [mappings, virtual_machines, storage_resources]
  image_details:
    description:
      - Ask for each image file what only the file itself tells, its size and the files that it is based on, where the hypervisor does not
        list them in bulk, as Hyper-V does not.
      - On KVM, also ask the agent in each guest that runs where it has mounted what lies on a disk, for five seconds at most.
      - That is one request for each file, or guest.
      - Without it, RV(mappings[].size_bytes) of such files is 0, and of a differencing chain only the
        files are known that the settings of checkpoints name.
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
  - module: crossvisor.san.ptd_attach
"""

EXAMPLES = r"""
- name: Map all VMs
  crossvisor.san.vm_storage_map:
    hypervisor:
      hostname: vcenter.example.com
      username: svc-ansible@vsphere.local
      password: "{{ vault_vcenter_password }}"
    arrays:
      - hostname: ontap.example.com
        username: svc-monitor
        password: "{{ vault_ontap_password }}"
  delegate_to: localhost
  register: map

- name: Ask which VMs lie on a LUN, as a host's log names it
  crossvisor.san.vm_storage_map:
    hypervisor: "{{ hypervisor }}"
    arrays: "{{ arrays }}"
    where:
      naa: 3600a098038304c61622d616161616131
    gather: [mappings]
  delegate_to: localhost
  register: there
"""

RETURN = r"""
endpoint:
  description: The hypervisor that was read.
  returned: success
  type: dict
  contains:
    type:
      description: Type of the hypervisor.
      returned: success
      type: str
      sample: vmware
    address:
      description: Where it was asked.
      returned: success
      type: str
    name:
      description: The value of O(endpoint).
      returned: success
      type: str
    observed:
      description: When it was read, ISO 8601 in UTC.
      returned: success
      type: str
    identity:
      description:
        - Who it is by its own word, the instance UUID of a vCenter, the UUID of a pool, the name of a failover cluster with its domain,
          or UUID and name of a host. The same under whatever name it is asked; empty where it does not tell.
      returned: success
      type: str
    warnings:
      description: What is missing because a host or an array could not be asked, one sentence each.
      returned: success
      type: list
      elements: str
mappings:
  description:
    - One flat row for each virtual disk, so that a filter, a CSV file or a metric needs no join.
    - An image file on a file system with several extents has one row for each LUN. A differencing image has rows for every file of its
      chain, each with the path of that file.
    - A LUN that several of O(arrays) have under one serial number, as SnapMirror active sync presents both ends of a mirror, has one row
      for each of them, with the number under which the VM's host sees it there, or null where it does not; a warning names such LUNs.
  returned: when O(gather) names it
  type: list
  elements: dict
  contains:
    hypervisor_type:
      description: Type of the hypervisor.
      returned: success
      type: str
      sample: vmware
    hypervisor:
      description: Address of the hypervisor's endpoint.
      returned: success
      type: str
    cluster:
      description: The VM's cluster, or empty.
      returned: success
      type: str
    host:
      description: The VM's host.
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
      description: The virtual disk's name; empty in the one row of a VM whose disks nobody can tell, which has a RV(mappings[].reason).
      returned: success
      type: str
      sample: Hard disk 2
    kind:
      description: V(image) or V(passthrough); empty in the row of a VM whose disks nobody can tell.
      returned: success
      type: str
    device:
      description: The host's device, or C(server:/path) of an export.
      returned: success
      type: str
    path:
      description: The image file, or the mapping file of a pass-through disk.
      returned: success
      type: str
    naa:
      description: The LUN's identity, NAA hex digits without prefix; empty if there is none.
      returned: success
      type: str
    serial:
      description: The LUN's serial number, if it is known.
      returned: success
      type: str
    size_bytes:
      description: Size of the virtual disk in bytes; 0 where only the image file itself tells, see O(image_details).
      returned: success
      type: int
    array_type:
      description: Type of the array.
      returned: success
      type: str
      sample: ontap
    array:
      description: Name of the array.
      returned: success
      type: str
    array_address:
      description: Where the array is managed.
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
    lun_id:
      description: The number under which the VM's host sees the LUN, or null.
      returned: success
      type: int
    storage_state:
      description:
        - State of the LUN, or of the exported volume, on its array, in the array's word, such as V(online), V(offline) or V(nvfail).
        - Empty if no array told it. LUNs that are not online are named in a warning.
      returned: success
      type: str
      sample: online
    status:
      description:
        - V(mapped) down to an array, V(local) for what lies on the host's own disks, so that there is nothing to mend, or V(unresolved).
      returned: success
      type: str
    reason:
      description: Why a row is unresolved; of a local one, which device it is.
      returned: success
      type: str
    way_out:
      description: How an unresolved row is mended, else empty.
      returned: success
      type: str
      sample: name the array that has it in arrays, with an account that may read its SVM
    endpoint:
      description: The value of O(endpoint).
      returned: success
      type: str
      sample: vc01
    observed:
      description: When the hypervisor was read, ISO 8601 in UTC.
      returned: success
      type: str
      sample: '2026-11-28T18:40:00Z'
    share_bytes:
      description:
        - What of RV(mappings[].size_bytes) this row stands for, so that a sum over any rows counts no byte of a disk twice.
        - A disk over several LUNs is split evenly, because nobody tells where its blocks are. Files below the first of a chain, and a
          LUN at a second array that mirrors it, stand for 0.
      returned: success
      type: int
    controller:
      description: The virtual controller that the disk is on, or empty.
      returned: success
      type: str
      sample: SCSI 0
    unit:
      description: The unit number on that controller, or null.
      returned: success
      type: int
    thin:
      description:
        - Whether the image file takes only the space that was written to. Null where the platform does not tell, and for a LUN.
        - vSphere tells it of its files, Hyper-V with O(image_details), KVM never.
      returned: success
      type: bool
    paths_live:
      description: Paths of the LUN on the VM's host that are active or stand by. Null where the host does not tell, as Windows does not.
      returned: success
      type: int
    paths_dead:
      description: Paths of the LUN on the VM's host that are dead, or null.
      returned: success
      type: int
    mounts:
      description:
        - Where the guest has mounted file systems that lie on the disk, as far as that is known.
        - VMware Tools tell it from vSphere 7.0 on, where they can tell the virtual disk; on KVM the guest's agent, with O(image_details).
      returned: success
      type: list
      elements: str
    lun_size_bytes:
      description: Size of the LUN by its array, or null.
      returned: success
      type: int
    lun_used_bytes:
      description: Bytes that the LUN takes on its array, or null.
      returned: success
      type: int
virtual_machines:
  description:
    - The same by VM, with its disks and the storage under each.
    - C(hypervisor_type), C(hypervisor), C(endpoint) and C(observed) are those of the rows.
  returned: when O(gather) names it
  type: list
  elements: dict
storage_resources:
  description:
    - Every LUN, local disk and export that a host sees, also those that no VM uses, with the file systems and VMs on it.
    - C(hypervisor_type), C(hypervisor), C(endpoint), C(observed), C(status), C(lun_size_bytes) and C(lun_used_bytes) are those of the rows.
    - C(paths) has C(live) and C(dead) paths of it for each C(host) that tells them.
    - C(strangers) are the initiators that its array maps it to and that none of the hypervisor's hosts has.
  returned: when O(gather) names it
  type: list
  elements: dict
"""

from contextlib import closing
from dataclasses import asdict
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.crossvisor.san.plugins.module_utils._san import runtime
from ansible_collections.crossvisor.san.plugins.module_utils._san.endpoints import arrays, hypervisors
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.storage_map.mapper import FORMS, storage_map
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.storage_map.where import WORDS, Where


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "hypervisor": hypervisors.hypervisor_option(),
            "arrays": arrays.arrays_option(),
            "vms": {"type": "list", "elements": "str", "default": []},
            "clusters": {"type": "list", "elements": "str", "default": []},
            "endpoint": {"type": "str", "default": ""},
            "where": {"type": "dict", "options": {word: {"type": "str", "default": ""} for word in WORDS}},
            "gather": {"type": "list", "elements": "str", "choices": list(FORMS), "default": list(FORMS)},
            "image_details": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )

    def read() -> dict[str, Any]:
        where = Where(**(module.params["where"] or {}))
        sources = arrays.array_sources(module)
        with closing(hypervisors.open_hypervisor(module)) as hypervisor:
            found = storage_map(
                hypervisor,
                sources,
                module.params["vms"],
                module.params["clusters"],
                images=module.params["image_details"],
                endpoint=module.params["endpoint"],
                gather=module.params["gather"],
                where=where,
            )
        for warning in found.warnings:
            module.warn(warning)
        read_from = {**asdict(found.endpoint), "warnings": found.warnings}
        return {"endpoint": read_from, **found.forms}

    runtime.run(module, read, large=FORMS)


if __name__ == "__main__":
    main()
