#!/usr/bin/python

# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The Ansible module hypervisor_facts."""

from __future__ import annotations

DOCUMENTATION = r"""
module: hypervisor_facts
short_description: Tell which hypervisor this is, and what it can do
version_added: 0.1.0
description:
  - With an endpoint, tells what is managed there - type, product, version, clusters, hosts and capabilities.
  - Without one, looks at the machine that it runs on, a guest or a physical machine under Linux, and tells whether it is
    virtualised, on which hypervisor, with which UUID, and by what evidence that was decided.
  - With O(guest), asks a Windows machine the same from outside, by Windows Remote Management - its firmware, its registry, the files of
    guest tools.
  - So a playbook never needs to know beforehand which hypervisor it will meet.
options:
  hypervisor:
    description:
      - Without a hostname, here and in the environment, the module looks at the machine that it runs on.
  guest:
    description:
      - The Windows machine to ask, a guest or a physical one. What is not given is taken from the environment, so that V({}) may do.
      - Its account needs Remote Enable and Execute Methods on the namespace C(root/cimv2).
author:
  - The crossvisor.san authors (@crossvisor)
extends_documentation_fragment:
  - crossvisor.san.attributes
  - crossvisor.san.attributes.reads
  - crossvisor.san.hypervisor
  - crossvisor.san.guest
attributes:
  facts:
    description: Returns C(ansible_facts), so that the facts are available to the tasks that follow.
    support: full
notes:
  - C(gather_facts) runs the module on every host when the setting C(ansible_facts_modules) lists
    V(ansible.legacy.setup) and V(crossvisor.san.hypervisor_facts). ansible-core runs several modules of facts side by side, and ends each
    that still runs after five seconds; on a machine that is slow or busy, the variable C(ansible_facts_parallel=false) lets them take
    their time, one after the other.
  - On Windows, that a hypervisor is present proves nothing by itself, because it is so on a Hyper-V host too. What Windows shows was taken
    from Microsoft's, VMware's and Xen's documentation; nobody has run O(guest) against a real Windows machine.
seealso:
  - module: crossvisor.san.hba_info
"""

EXAMPLES = r"""
- name: Ask a vCenter Server who it is
  crossvisor.san.hypervisor_facts:
    hypervisor:
      hostname: vcenter.example.com
      username: svc-ansible@vsphere.local
      password: "{{ vault_vcenter_password }}"
  delegate_to: localhost

- name: Ask this machine which hypervisor it runs on
  crossvisor.san.hypervisor_facts:

- name: Ask a Windows guest which hypervisor, and which host, it runs on
  crossvisor.san.hypervisor_facts:
    guest:
      hostname: win01.example.com
      username: EXAMPLE\svc-ansible
      password: "{{ vault_guest_password }}"
  delegate_to: localhost

- name: Act on the answer
  ansible.builtin.debug:
    msg: "VM {{ ansible_facts.crossvisor.vm_uuid }} runs on {{ ansible_facts.crossvisor.type }}"
  when: ansible_facts.crossvisor.virtualized
"""

RETURN = r"""
ansible_facts:
  description: The facts, all under C(crossvisor).
  returned: success
  type: dict
  contains:
    crossvisor:
      description: What is known of the hypervisor.
      returned: success
      type: dict
      contains:
        source:
          description: V(endpoint), V(local) or V(guest), where the facts come from.
          returned: success
          type: str
          sample: endpoint
        type:
          description:
            - The hypervisor, for instance V(vmware), V(hyperv), V(xen) or V(kvm).
            - Empty on a physical machine.
          returned: success
          type: str
          sample: vmware
        product:
          description: The product's own name.
          returned: success
          type: str
          sample: VMware vCenter Server
        version:
          description: The product's version, as far as it is told.
          returned: success
          type: str
          sample: 8.0.2
        address:
          description: Where the endpoint is.
          returned: from an endpoint
          type: str
          sample: vcenter.example.com
        uuid:
          description: The endpoint's own identifier.
          returned: from an endpoint
          type: str
        clusters:
          description: The clusters with the names of their hosts.
          returned: from an endpoint
          type: list
          elements: dict
          sample: [{"name": "prod", "hosts": ["esx01.example.com", "esx02.example.com"]}]
        hosts:
          description: The names of all hosts.
          returned: from an endpoint
          type: list
          elements: str
        capabilities:
          description: What a playbook may ask of the hypervisor.
          returned: from an endpoint
          type: dict
          contains:
            hot_add:
              description: Whether a disk can be attached to a running VM.
              returned: success
              type: bool
            hot_add_controller:
              description: Whether a SCSI controller can be added to a running VM.
              returned: success
              type: bool
            passthrough_modes:
              description: The compatibility modes of a pass-through disk.
              returned: success
              type: list
              elements: str
              sample: [physical, virtual]
            controller_types:
              description: The SCSI controllers that a VM can have.
              returned: success
              type: list
              elements: str
            clustering:
              description: Whether VMs move between the hosts of a cluster.
              returned: success
              type: bool
            shared_disks:
              description: Whether one LUN can be given to several VMs.
              returned: success
              type: bool
            storage_types:
              description: The types of storage repository that a pool of Xen hosts offers; empty on other platforms.
              returned: success
              type: list
              elements: str
              sample: [ext, iscsi, lvmohba, lvmoiscsi, nfs]
        virtualized:
          description: Whether the machine is a guest; null if that could not be told.
          returned: from the machine itself
          type: bool
        role:
          description: V(guest), V(host) or empty.
          returned: from the machine itself
          type: str
        container:
          description: The container engine, if the machine is a container; the rest is of the machine below it.
          returned: from the machine itself
          type: str
        vm_uuid:
          description: The guest's UUID, in the byte order in which the hypervisor's management most likely shows it.
          returned: from the machine itself
          type: str
          sample: 4217e5a4-1c3e-4d5a-9f4e-0a1b2c3d4e5f
        vm_uuids:
          description: The UUID in every byte order in which it may be shown; compare with all of them.
          returned: from the machine itself
          type: list
          elements: str
        vm_id:
          description: The VM's own identifier at its hypervisor; only Hyper-V tells its guests.
          returned: from the machine itself
          type: str
        vm_name:
          description: The VM's name at its hypervisor; only Hyper-V tells its guests.
          returned: from the machine itself
          type: str
        parent_host:
          description: The host that the guest runs on; only Hyper-V tells its guests.
          returned: from the machine itself
          type: str
        evidence:
          description: What was looked at, what it said, and what that means, in the order in which it decided.
          returned: from the machine itself
          type: list
          elements: dict
"""

from contextlib import closing
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.crossvisor.san.plugins.module_utils._san import runtime
from ansible_collections.crossvisor.san.plugins.module_utils._san.endpoints import guests, hypervisors
from ansible_collections.crossvisor.san.plugins.module_utils._san.services import facts


def main() -> None:
    module = AnsibleModule(
        argument_spec={"hypervisor": hypervisors.hypervisor_option(), "guest": guests.guest_option()},
        mutually_exclusive=[("hypervisor", "guest")],
        supports_check_mode=True,
    )

    def gather() -> dict[str, Any]:
        if module.params["guest"] is not None:
            with closing(guests.open_guest(module)) as guest:
                return _facts(facts.of_guest(guest))
        if not hypervisors.names_hypervisor(module):
            return _facts(facts.of_this_machine())
        with closing(hypervisors.open_hypervisor(module)) as hypervisor:
            return _facts(facts.of_endpoint(hypervisor))

    runtime.run(module, gather)


def _facts(found: dict[str, Any]) -> dict[str, Any]:
    return {"ansible_facts": {"crossvisor": found}}


if __name__ == "__main__":
    main()
