#!/usr/bin/python

# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The Ansible module lun_snapshot."""

from __future__ import annotations

DOCUMENTATION = r"""
module: lun_snapshot
short_description: Take, rename and delete snapshots of LUNs, and restore a LUN from one
version_added: 0.1.0
description:
  - Takes a snapshot of the volumes that hold the LUNs. A snapshot is one of a whole volume, so that LUNs of one volume are always of one
    moment; those of several volumes are by a consistency group, which is made for the snapshot where there is none.
  - Such a snapshot is what a power failure would leave, unless the guest was quiesced before; the role P(crossvisor.san.snapshot#role) does
    that.
  - Restores exactly one LUN in place. Its identity, its maps and all other LUNs of the volume stay as they are.
  - If a step fails, what this run has taken is deleted again.
options:
  array:
    description:
      - The array that has the LUNs.
  state:
    description:
      - With V(present), a snapshot of this name exists of each volume. One that is there is not taken anew.
      - With V(absent), it does not. Only what this collection took is deleted, unless O(any_owner=true).
      - With V(restored), the one LUN of O(luns) has the data that it has in the snapshot. This is done anew in each run, and refused
        while anything uses the LUN.
    type: str
    choices: [present, absent, restored]
    default: present
  luns:
    description:
      - The LUNs. With O(state=restored), exactly one. Each is named by O(luns[].naa), by O(luns[].serial), or by
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
      - The snapshot's name.
    type: str
    required: true
  from_name:
    description:
      - With O(state=present), the name of a snapshot that shall be called O(name) from now on. None is taken.
    type: str
    default: ""
  comment:
    description:
      - A remark to keep with the snapshot. Without it, that of a snapshot that is there stays.
    type: str
  expires:
    description:
      - Until when the snapshot cannot be deleted, by anybody - date, time and zone such as V(2027-01-31T18:00:00+00:00), or a time from now
        such as V(12h), V(7d) or V(4w), which is for a snapshot that has none yet.
      - Refused where the array is asked over ZAPI, which has no call for it.
    type: str
  snapmirror_label:
    description:
      - The label by which SnapMirror policies choose what they carry over.
    type: str
  each:
    description:
      - Take each volume on its own, so that what lies in different volumes is of different moments.
      - Without it, LUNs of several volumes are refused where no consistency group can be made of exactly these.
    type: bool
    default: false
  any_owner:
    description:
      - With O(state=absent), also delete a snapshot that this collection did not take, such as one of a schedule.
    type: bool
    default: false
  made_by:
    description:
      - With O(state=absent), delete the snapshot only if it was taken by the run with this mark, RV(snapshots[].made_by).
    type: str
    default: ""
  safety_snapshot:
    description:
      - With O(state=restored), take a snapshot of the volume first, whose name begins with C(crossvisor_before_) and is returned. It stays
        until somebody deletes it.
    type: bool
    default: true
  assume_same_lun:
    description:
      - With O(state=restored), your word that the snapshot holds this LUN, although the LUN was created after the snapshot, or in the
        same second, by what the array tells, so that another one may have had its name then, or although the array does not tell when
        either was created.
    type: bool
    default: false
  hypervisor:
    description:
      - With O(state=restored), the hypervisor to ask whether anything uses the LUN, or may use it, in which case nothing is done. It is
        asked before the plan is made, and right before the data is replaced. The LUN's initiators have to belong to hosts of this
        hypervisor; what others do with the LUN, nobody can tell.
  unused_by_vm:
    description:
      - With O(state=restored), a VM that has the LUN as a disk, and your word that it does nothing with it, because it is off or its guest
        has unmounted it.
    type: str
    default: ""
  assume_unused:
    description:
      - With O(state=restored), your word that nothing uses the LUN, where nobody can tell. What it overrides is a warning.
      - Without O(hypervisor), nobody is asked. With it, a use that is known is refused all the same.
    type: bool
    default: false
  timeout:
    description:
      - Seconds to wait for the array to finish a step.
    type: float
    default: 300
author:
  - The crossvisor.san authors (@crossvisor)
extends_documentation_fragment:
  - crossvisor.san.attributes
  - crossvisor.san.attributes.changes
  - crossvisor.san.array
  - crossvisor.san.hypervisor
  - crossvisor.san.hypervisor.hypervisors
attributes:
  idempotent:
    support: partial
    details: With O(state=restored), the LUN is restored in each run.
notes:
  - Where it fails and nobody can tell whether the array has done what it was asked for last, or is still at it, the result has
    C(outcome_unknown=true).
seealso:
  - module: crossvisor.san.lun_snapshot_info
  - module: crossvisor.san.lun_provision
"""

EXAMPLES = r"""
- name: Take a snapshot of both disks of a database at one moment
  crossvisor.san.lun_snapshot:
    array:
      hostname: ontap.example.com
      username: svc-ansible
      password: "{{ vault_ontap_password }}"
    luns:
      - naa: 600a098038304c61622d616161616131
      - naa: 600a098038304c61622d616161616132
    name: before_patch_2026_11
    comment: before the patch of November
    expires: 7d

- name: Restore one of them
  crossvisor.san.lun_snapshot:
    array: "{{ array }}"
    hypervisor: "{{ hypervisor }}"
    state: restored
    luns:
      - naa: 600a098038304c61622d616161616131
    name: before_patch_2026_11

- name: Delete the snapshot
  crossvisor.san.lun_snapshot:
    array: "{{ array }}"
    state: absent
    luns: "{{ luns }}"
    name: before_patch_2026_11
"""

RETURN = r"""
snapshots:
  description: The snapshots of this name, one for each volume; none in check mode before they are taken.
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
consistent:
  description: Whether all LUNs are, or would be, of one moment.
  returned: success
  type: bool
luns:
  description: The LUNs that were named.
  returned: success
  type: list
  elements: dict
  contains:
    naa:
      description: The LUN's identity, NAA hex digits without prefix.
      returned: success
      type: str
    serial:
      description: The LUN's serial number.
      returned: success
      type: str
    uuid:
      description: The array's identifier of the LUN.
      returned: success
      type: str
    path:
      description: Where the LUN is on its array.
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
    size_bytes:
      description: Size in bytes.
      returned: success
      type: int
restored:
  description: The LUN that was, or would be, restored; null with another O(state).
  returned: success
  type: dict
  contains:
    naa:
      description: The LUN's identity, NAA hex digits without prefix.
      returned: success
      type: str
    serial:
      description: The LUN's serial number.
      returned: success
      type: str
    uuid:
      description: The array's identifier of the LUN.
      returned: success
      type: str
    path:
      description: Where the LUN is on its array.
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
    size_bytes:
      description: Size in bytes.
      returned: success
      type: int
    size_before_bytes:
      description: Its size before. A LUN that is smaller in the snapshot is grown to this size again.
      returned: success
      type: int
    resized:
      description: Whether hosts and guests have to be told of another size.
      returned: success
      type: bool
safety_snapshot:
  description: The snapshot that was taken before the LUN was restored, with the values of RV(snapshots); null if none was.
  returned: success
  type: dict
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
actions:
  description: What was done, or in check mode would be, in order.
  returned: success
  type: list
  elements: str
"""

from collections.abc import Callable
from contextlib import closing
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.crossvisor.san.plugins.module_utils._san import runtime, timestamps
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.base import RestoreWish, SnapshotRemoval, SnapshotWish
from ansible_collections.crossvisor.san.plugins.module_utils._san.endpoints import arrays, hypervisors
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import InvalidInput
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.base import Hypervisor
from ansible_collections.crossvisor.san.plugins.module_utils._san.services import snapshots


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "array": arrays.array_option(),
            "state": {"type": "str", "choices": ["present", "absent", "restored"], "default": "present"},
            "luns": arrays.luns_option(),
            "name": {"type": "str", "required": True},
            "from_name": {"type": "str", "default": ""},
            "comment": {"type": "str"},
            "expires": {"type": "str"},
            "snapmirror_label": {"type": "str"},
            "each": {"type": "bool", "default": False},
            "any_owner": {"type": "bool", "default": False},
            "made_by": {"type": "str", "default": ""},
            "safety_snapshot": {"type": "bool", "default": True},
            "assume_same_lun": {"type": "bool", "default": False},
            "hypervisor": hypervisors.hypervisor_option(),
            "hypervisors": hypervisors.hypervisors_option(),
            "unused_by_vm": {"type": "str", "default": ""},
            "assume_unused": {"type": "bool", "default": False},
            "timeout": {"type": "float", "default": 300.0},
        },
        supports_check_mode=True,
    )
    states = {"present": _present, "absent": _absent, "restored": _restored}
    runtime.run(module, lambda: states[module.params["state"]](module))


def _present(module: AnsibleModule) -> dict[str, Any]:
    params = module.params
    wish = SnapshotWish(
        luns=arrays.luns_named(params["luns"]),
        name=params["name"],
        old_name=params["from_name"],
        comment=params["comment"],
        expires=timestamps.in_future(params["expires"]) if params["expires"] else None,
        keep_expiry=bool(params["expires"]) and timestamps.is_relative(params["expires"]),
        label=params["snapmirror_label"],
        each=params["each"],
        timeout=params["timeout"],
    )
    with closing(arrays.open_array(module, params["array"])) as array:
        return snapshots.take(array, wish, module.check_mode).result()


def _absent(module: AnsibleModule) -> dict[str, Any]:
    params = module.params
    luns = arrays.luns_named(params["luns"])
    wish = SnapshotRemoval(luns, params["name"], params["any_owner"], params["made_by"], params["timeout"])
    with closing(arrays.open_array(module, params["array"])) as array:
        return snapshots.remove(array, wish, module.check_mode).result()


def _restored(module: AnsibleModule) -> dict[str, Any]:
    params = module.params
    luns = arrays.luns_named(params["luns"])
    if len(luns) != 1:
        raise InvalidInput(f"One LUN is restored at a time, and luns names {len(luns)}: give one, and a task to each of the others.")
    if not params["assume_unused"] and not hypervisors.names_hypervisor(module):
        raise InvalidInput(
            "Nobody was named who knows whether the LUN is in use: give the hypervisor to ask, or vouch for it with assume_unused=true."
        )
    wish = RestoreWish(
        lun=luns[0],
        snapshot=params["name"],
        safety_snapshot=snapshots.safety_name(params["name"]) if params["safety_snapshot"] else "",
        assume_same_lun=params["assume_same_lun"],
        timeout=params["timeout"],
    )
    with closing(arrays.open_array(module, params["array"])) as array:
        report = snapshots.restore(array, wish, _ask(module), module.check_mode, params["assume_unused"], params["unused_by_vm"])
        return report.result()


def _ask(module: AnsibleModule) -> Callable[[], Hypervisor] | None:
    """How to log in to the hypervisor, if one was named."""
    return (lambda: hypervisors.open_hypervisor(module)) if hypervisors.names_hypervisor(module) else None


if __name__ == "__main__":
    main()
