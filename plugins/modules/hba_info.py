#!/usr/bin/python

# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The Ansible module hba_info."""

from __future__ import annotations

DOCUMENTATION = r"""
module: hba_info
short_description: List the physical HBAs of hypervisor hosts, and their initiators
version_added: 0.1.0
description:
  - Lists the host bus adapters of the physical hosts, which a guest cannot see, with their initiator names in the exact
    spelling that an array's initiator group wants.
  - Without an endpoint, reads the adapters of the Linux machine that it runs on, for physical servers.
options:
  hypervisor:
    description:
      - Without a hostname, here and in the environment, the module looks at the machine that it runs on.
  hosts:
    description:
      - Names of the hosts to list; all if the list is empty.
    type: list
    elements: str
    default: []
  clusters:
    description:
      - Names of the clusters whose hosts to list; all if the list is empty.
    type: list
    elements: str
    default: []
  vm:
    description:
      - Name, UUID or identifier of a VM; then only the hosts that can run it are listed, those that a LUN of it must reach.
    type: str
  kinds:
    description:
      - Kinds of adapters to list; all if the list is empty.
    type: list
    elements: str
    choices: [fc, fcoe, iscsi_software, iscsi_hardware, sas, block, nvme_tcp, nvme_fc, nvme_rdma, other]
    default: []
author:
  - The crossvisor.san authors (@crossvisor)
extends_documentation_fragment:
  - crossvisor.san.attributes
  - crossvisor.san.attributes.reads
  - crossvisor.san.hypervisor
  - crossvisor.san.hypervisor.hypervisors
seealso:
  - module: crossvisor.san.lun_provision
"""

EXAMPLES = r"""
- name: Read the initiators of every host that can run the VM
  crossvisor.san.hba_info:
    hypervisor:
      hostname: vcenter.example.com
      username: svc-ansible@vsphere.local
      password: "{{ vault_vcenter_password }}"
    vm: app01
  delegate_to: localhost
  register: hbas

- name: Show the Fibre Channel initiators, as an igroup wants them
  ansible.builtin.debug:
    var: hbas.initiators_by_protocol.fc

- name: Read the adapters of a physical server
  crossvisor.san.hba_info:
    kinds: [fc, iscsi_software]
"""

RETURN = r"""
hosts:
  description: The hosts with their adapters.
  returned: success
  type: list
  elements: dict
  contains:
    id:
      description: The host's identifier at its endpoint.
      returned: success
      type: str
    name:
      description: The host's name.
      returned: success
      type: str
    cluster:
      description: The cluster that it belongs to, or empty.
      returned: success
      type: str
    product:
      description: Product that the host runs.
      returned: success
      type: str
    version:
      description: Version of the product.
      returned: success
      type: str
    uuid:
      description: The hardware's UUID.
      returned: success
      type: str
    state:
      description: V(connected), V(maintenance), V(unreachable), or V(standby) for one that is switched off until it is needed.
      returned: success
      type: str
    hbas:
      description: The adapters.
      returned: success
      type: list
      elements: dict
      contains:
        name:
          description: The adapter's name on its host.
          returned: success
          type: str
          sample: vmhba2
        kind:
          description: What it is, one of the choices of O(kinds).
          returned: success
          type: str
          sample: fc
        status:
          description: V(online), V(offline) or V(unknown).
          returned: success
          type: str
        driver:
          description: The driver.
          returned: success
          type: str
        model:
          description: The model.
          returned: success
          type: str
        pci:
          description: The PCI address, if it has one.
          returned: success
          type: str
        speed_gbit_s:
          description: The speed in Gbit/s, or null if it is not told.
          returned: success
          type: float
        node_wwn:
          description: World wide name of the node, of a Fibre Channel adapter.
          returned: success
          type: str
        port_wwn:
          description: World wide name of the port, of a Fibre Channel adapter.
          returned: success
          type: str
          sample: "10:00:00:90:fa:00:00:01"
        iqn:
          description: iSCSI name of an iSCSI adapter.
          returned: success
          type: str
        alias:
          description: Alias of an iSCSI adapter.
          returned: success
          type: str
        initiator:
          description: The name that an initiator group holds for this adapter, or null.
          returned: success
          type: str
        vports_max:
          description: How many virtual ports (NPIV) a Fibre Channel adapter can carry, or null if it carries none, or that is not told.
          returned: success
          type: int
        vports:
          description:
            - The virtual ports (NPIV) that it carries. They belong to VMs or storage pools, so that they are not among RV(initiators).
          returned: success
          type: list
          elements: dict
          sample: [{"name": "host12", "status": "online", "node_wwn": "50:01:a4:aa:aa:aa:aa:00", "port_wwn": "50:01:a4:aa:aa:aa:aa:01"}]
        portals:
          description: Where the adapter is configured to discover targets.
          returned: success
          type: list
          elements: dict
          sample: [{"address": "192.0.2.11", "port": 3260}]
        paths:
          description: The paths to the LUNs that the adapter sees.
          returned: success
          type: list
          elements: dict
          contains:
            naa:
              description: The LUN's NAA name without prefix, or null if it has none.
              returned: success
              type: str
            device:
              description: The LUN as the host names it.
              returned: success
              type: str
            target:
              description: WWPN or IQN of the target.
              returned: success
              type: str
            state:
              description: V(active), V(standby), V(disabled), V(dead) or V(unknown).
              returned: success
              type: str
            lun_id:
              description: The LUN's number on this path, or null.
              returned: success
              type: int
hypervisor_type:
  description: Type of the hypervisor that was asked, such as V(vmware); null where this machine was read.
  returned: success
  type: str
initiators:
  description: All initiator names of the listed adapters, sorted, in the spelling that the array wants.
  returned: success
  type: list
  elements: str
  sample: ["10:00:00:90:fa:00:00:01", "iqn.1998-01.com.vmware:esx01-0001"]
initiators_by_protocol:
  description: The same, by protocol.
  returned: success
  type: dict
  contains:
    fc:
      description: World wide port names.
      returned: success
      type: list
      elements: str
    iscsi:
      description: iSCSI names.
      returned: success
      type: list
      elements: str
"""

from contextlib import closing
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.crossvisor.san.plugins.module_utils._san import runtime
from ansible_collections.crossvisor.san.plugins.module_utils._san.endpoints import hypervisors
from ansible_collections.crossvisor.san.plugins.module_utils._san.services import hbas

KINDS = ["fc", "fcoe", "iscsi_software", "iscsi_hardware", "sas", "block", "nvme_tcp", "nvme_fc", "nvme_rdma", "other"]


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "hypervisor": hypervisors.hypervisor_option(),
            "hypervisors": hypervisors.hypervisors_option(),
            "hosts": {"type": "list", "elements": "str", "default": []},
            "clusters": {"type": "list", "elements": "str", "default": []},
            "vm": {"type": "str"},
            "kinds": {"type": "list", "elements": "str", "choices": KINDS, "default": []},
        },
        supports_check_mode=True,
    )

    def read() -> dict[str, Any]:
        selection = hbas.HostSelection(module.params["hosts"], module.params["clusters"], module.params["vm"])
        if not hypervisors.names_hypervisor(module):
            return {**hbas.report(hbas.this_machine(selection), module.params["kinds"]), "hypervisor_type": None}
        with closing(hypervisors.open_hypervisor(module)) as hypervisor:
            found = hbas.report(hbas.hosts_of_endpoint(hypervisor, selection), module.params["kinds"])
            return {**found, "hypervisor_type": hypervisor.type}

    runtime.run(module, read)


if __name__ == "__main__":
    main()
