#!/usr/bin/python

# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The Ansible module lun_snapshot_info."""

from __future__ import annotations

DOCUMENTATION = r"""
module: lun_snapshot_info
short_description: List the snapshots that hold LUNs
version_added: 0.1.0
description:
  - Lists the snapshots of the volumes that hold the LUNs, whoever took them, the oldest of each volume first.
options:
  array:
    description:
      - The array that has the LUNs.
  luns:
    description:
      - The LUNs. Each is named by O(luns[].naa), by O(luns[].serial), or by
        O(luns[].svm), O(luns[].volume) and O(luns[].name).
    type: list
    elements: dict
    required: true
    suboptions:
      naa:
        description:
          - The LUN's identity in any spelling.
        type: str
      serial:
        description:
          - The LUN's serial number, as ONTAP writes it.
        type: str
      svm:
        description:
          - The storage virtual machine.
        type: str
      volume:
        description:
          - The volume that holds the LUN.
        type: str
      name:
        description:
          - The LUN's name in its volume.
        type: str
        aliases: [lun]
  name:
    description:
      - List only snapshots of this name.
    type: str
    default: ""
author:
  - The crossvisor.san authors (@crossvisor)
extends_documentation_fragment:
  - crossvisor.san.attributes
  - crossvisor.san.attributes.reads
  - crossvisor.san.array
seealso:
  - module: crossvisor.san.lun_snapshot
"""

EXAMPLES = r"""
- name: List the snapshots of a disk
  crossvisor.san.lun_snapshot_info:
    array:
      hostname: ontap.example.com
      username: svc-ansible
      password: "{{ vault_ontap_password }}"
    luns:
      - naa: 600a098038304c61622d616161616131
  register: snapshots
"""

RETURN = r"""
snapshots:
  description: The snapshots.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: The snapshot's name.
      returned: success
      type: str
    uuid:
      description: The array's identifier of the snapshot.
      returned: success
      type: str
    svm:
      description: The storage virtual machine.
      returned: success
      type: str
    volume:
      description: The volume, all of whose LUNs the snapshot holds.
      returned: success
      type: str
    created:
      description: When it was taken, in UTC.
      returned: success
      type: str
      sample: "2026-11-29T07:00:00+00:00"
    comment:
      description: The remark that is kept with it, without the mark.
      returned: success
      type: str
    made_by:
      description: The mark of the run that took it; null for what this collection did not take. Snapshots of one moment have one mark.
      returned: success
      type: str
      sample: crossvisor.san:5c3a0e6f1b2d4a98
    expires:
      description: Until when it cannot be deleted, in UTC; null if it may be deleted.
      returned: success
      type: str
    snapmirror_label:
      description: Its SnapMirror label; null if it has none.
      returned: success
      type: str
    owners:
      description: What needs it, so that it cannot be deleted.
      returned: success
      type: list
      elements: str
    state:
      description: ONTAP's word for whether it is whole, V(valid) if it is; null where the array tells none.
      returned: success
      type: str
    size_bytes:
      description: Bytes that the volume held when it was taken.
      returned: success
      type: int
array:
  description: The array.
  returned: success
  type: dict
  contains:
    type:
      description: Its type.
      returned: success
      type: str
      sample: ontap
    name:
      description: Its own name.
      returned: success
      type: str
    address:
      description: Where it is managed.
      returned: success
      type: str
    version:
      description: Its version; empty where the account may not read it, as that of an SVM.
      returned: success
      type: str
    uuid:
      description: Its own identifier.
      returned: success
      type: str
"""

from contextlib import closing
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.crossvisor.san.plugins.module_utils._san import runtime
from ansible_collections.crossvisor.san.plugins.module_utils._san.endpoints import arrays
from ansible_collections.crossvisor.san.plugins.module_utils._san.services import snapshots


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "array": arrays.array_option(),
            "luns": arrays.luns_option(),
            "name": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    runtime.run(module, lambda: _listed(module))


def _listed(module: AnsibleModule) -> dict[str, Any]:
    luns = arrays.luns_named(module.params["luns"])
    with closing(arrays.open_array(module, module.params["array"])) as array:
        return snapshots.listing(array, luns, module.params["name"])


if __name__ == "__main__":
    main()
