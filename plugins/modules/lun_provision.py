#!/usr/bin/python

# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The Ansible module lun_provision."""

from __future__ import annotations

DOCUMENTATION = r"""
module: lun_provision
short_description: Create a LUN on a storage array and map it to initiators
version_added: 0.1.0
description:
  - Creates a LUN, or grows it, and maps it to all given initiators under one number; or unmaps it and, only if asked, deletes it.
  - Returns everything that the next step needs - identity, size, number, initiator groups and targets.
  - A LUN is never made smaller. A size that the array rounded is no difference.
  - A LUN that is not online is refused with its state, because no host can see it; none is brought online silently. So is a LUN whose
    initiators find no target in service, where the targets are looked up, see O(targets).
  - If a step fails, what this run has done is undone, except what somebody has come to use meanwhile; see O(hypervisor).
options:
  array:
    description:
      - The array that has, or shall have, the LUN.
  state:
    description:
      - With V(present), the LUN exists, has at least the given size, and all given initiators see it.
      - With V(absent), the given initiators no longer see it; with O(delete=true) it no longer exists.
        A LUN that is not there is a warning.
    type: str
    choices: [present, absent]
    default: present
  svm:
    description:
      - The storage virtual machine. Required unless O(naa) names the LUN.
    type: str
  volume:
    description:
      - The volume that holds the LUN. Required unless O(naa) names the LUN.
    type: str
  name:
    description:
      - The LUN's name in its volume. Required unless O(naa) names the LUN.
    type: str
    aliases: [lun]
  naa:
    description:
      - The LUN to withdraw, by its identity in any spelling, with O(state=absent).
    type: str
  size:
    description:
      - Size of the LUN, in bytes or with a binary unit, such as V(10GiB).
      - Without it, an existing LUN is mapped as it is.
    type: str
  os_type:
    description:
      - What will lay out the LUN; for a raw disk of a VM this is the guest's operating system.
    type: str
    choices: [aix, hpux, hyper_v, linux, netware, openvms, solaris, solaris_efi, vmware, windows, windows_2008, windows_gpt, xen]
    default: linux
  thin:
    description:
      - Whether a new LUN takes space in the volume only as it is written.
    type: bool
    default: true
  comment:
    description:
      - A remark to keep with a new LUN, for the people who look at the array.
    type: str
    default: ""
  initiators:
    description:
      - World wide port names and iSCSI names that shall, or shall no longer, see the LUN, in any spelling;
        RV(crossvisor.san.hba_info#module:initiators) fits.
      - With O(state=present), an empty list leaves the mapping as it is.
      - With O(state=absent), the groups that hold any of them are unmapped; with an empty list and no O(igroup), the only group that
        maps the LUN is.
    type: list
    elements: str
    default: []
  igroup:
    description:
      - The initiator group to create, to extend by O(initiators), or to unmap.
      - Without it, a group that holds exactly these initiators is used, or one is created under a name that begins with V(crossvisor_).
        Such a group is deleted again when it maps no LUN any more; others stay.
    type: str
  igroup_os_type:
    description:
      - What the initiators run, for a new group. Without it, the same as O(os_type).
    type: str
    choices: [aix, hpux, hyper_v, linux, netware, openvms, solaris, vmware, windows, xen]
  lun_id:
    description:
      - The number under which the initiators shall see the LUN; without it, the lowest that is free for all of them.
    type: int
  delete:
    description:
      - With O(state=absent), also delete the LUN and the data on it. Refused while another group maps it,
        and while another array presents it too, as SnapMirror active sync does.
    type: bool
    default: false
  made_by:
    description:
      - With O(state=absent) and O(delete=true), the mark of the run that made the LUN, RV(made_by); a LUN that another run has made, or
        that somebody has written to since, is refused. This is how a run takes back what it made, and nothing else.
    type: str
    default: ""
  clone_of:
    description:
      - With O(state=present), what a new LUN begins with - a LUN of the same volume as a snapshot holds it. The new LUN has the size and
        the operating system type of that, so that O(size) is refused and O(os_type) has no effect, a serial number of its own, and a
        mark of its origin in its comment. A LUN of this name that is not such a clone is refused.
      - With O(state=absent), only a clone that this collection has made of that is unmapped or deleted; anything else is refused.
    type: dict
    suboptions:
      snapshot:
        description:
          - The snapshot.
        type: str
        required: true
      lun:
        description:
          - The name in its volume that the LUN had then.
        type: str
        required: true
  exclusive:
    description:
      - With O(state=present), refuse to let O(initiators) see a LUN that other initiators see already, because nobody can tell what those
        do with it. A LUN that is mapped as asked is left as it is.
    type: bool
    default: false
  hypervisor:
    description:
      - With O(state=absent), the hypervisor to ask whether anything uses the LUN, or may use it, in which case nothing is done. It is asked
        before the LUN is unmapped, after that, and right before it is deleted. The LUN's initiators have to belong to hosts of this
        hypervisor; what others do with the LUN, nobody can tell.
      - With O(state=present), the hypervisor of the initiators, asked in the same way when a step fails and what this run has done is to be
        undone; a LUN that somebody uses by then, or may use, stays as it is. Without it, only a LUN that this run has made is taken back
        from its initiators; one that was there before stays mapped to them.
  vm:
    description:
      - With O(state=absent) in check mode, the VM that has the LUN now, to learn whether the LUN could go once it is detached there.
    type: str
    default: ""
  assume_unused:
    description:
      - Your word that nothing uses the LUN, where nobody can tell; with O(state=absent), what it overrides is a warning.
      - Without O(hypervisor), nobody is asked. With it, a use that is known is refused all the same.
    type: bool
    default: false
  targets:
    description:
      - When to look up where initiators find the LUN, which costs requests - V(changed) when this run changed something,
        V(always), or V(never).
    type: str
    choices: [always, changed, never]
    default: changed
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
seealso:
  - module: crossvisor.san.hba_info
  - module: crossvisor.san.ptd_attach
"""

EXAMPLES = r"""
- name: Give the hosts a LUN of 100 GiB
  crossvisor.san.lun_provision:
    array:
      hostname: ontap.example.com
      username: svc-ansible
      password: "{{ vault_ontap_password }}"
    svm: svm_san
    volume: vol_prod
    name: app01_data
    size: 100GiB
    os_type: linux
    igroup_os_type: vmware
    initiators: "{{ hbas.initiators }}"
  register: lun

- name: Give the hosts a LUN that holds what another one held in a snapshot
  crossvisor.san.lun_provision:
    array: "{{ array }}"
    svm: svm_san
    volume: vol_prod
    name: app01_data_before_patch
    clone_of:
      lun: app01_data
      snapshot: before_patch_2026_11
    initiators: "{{ hbas.initiators }}"

- name: Take it back, with its data
  crossvisor.san.lun_provision:
    array: "{{ array }}"
    hypervisor: "{{ hypervisor }}"
    state: absent
    naa: "{{ lun.naa }}"
    initiators: "{{ hbas.initiators }}"
    delete: true
"""

RETURN = r"""
created:
  description: Whether this run created the LUN.
  returned: success
  type: bool
made_by:
  description: The mark of this run in the comment of the LUN that it created; null if it created none.
  returned: success
  type: str
  sample: crossvisor.san:5c3a0e6f1b2d4a98
mapped:
  description: Whether this run let initiators see the LUN that did not before.
  returned: success
  type: bool
first_mapped:
  description: Whether nobody saw the LUN before this run, and somebody does now, so that unmapping it takes it from nobody else.
  returned: success
  type: bool
path:
  description: Where the LUN is on its array; null if it does not exist.
  returned: success
  type: str
  sample: /vol/vol_prod/app01_data
uuid:
  description: The array's identifier of the LUN; null if it does not exist.
  returned: success
  type: str
serial:
  description: The LUN's serial number; null if it does not exist.
  returned: success
  type: str
  sample: 80Lab-aaaaa1
naa:
  description: The LUN's identity, NAA hex digits without prefix; null if it does not exist, as in check mode before it is created.
  returned: success
  type: str
  sample: 600a098038304c61622d616161616131
size_bytes:
  description: Size in bytes; null if the LUN does not exist.
  returned: success
  type: int
used_bytes:
  description:
    - Bytes that the LUN's data takes on the array, ONTAP's C(space.used); V(0) means that nobody has written to it yet, or that all was
      unmapped again.
    - Null if the LUN does not exist, or the array does not tell.
  returned: success
  type: int
state:
  description:
    - The LUN's state, V(online) or V(unknown) with O(state=present), because a LUN in another one is refused. With O(state=absent), also
      ONTAP's word for why no host can see it, V(offline), V(nvfail), V(space_error), V(foreign_lun_error), V(volume_offline) or
      V(aggregate_offline).
    - Null if the LUN does not exist.
  returned: success
  type: str
  sample: online
create_time:
  description: When the LUN was created, ISO 8601 in UTC and to the second; null if it does not exist, or the array does not tell.
  returned: success
  type: str
  sample: "2026-11-29T07:00:00+00:00"
svm:
  description: The storage virtual machine; null if the LUN does not exist.
  returned: success
  type: str
volume:
  description: The volume; null if the LUN does not exist.
  returned: success
  type: str
other_initiators:
  description: Initiators that see the LUN beside O(initiators) and the members of O(igroup), and may have data on it.
  returned: success
  type: list
  elements: str
lun_id:
  description: The number under which the given initiators see the LUN; null if they do not.
  returned: success
  type: int
igroups:
  description: The initiator groups that map the LUN.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: The group's name.
      returned: success
      type: str
    uuid:
      description: The array's identifier of the group.
      returned: success
      type: str
    lun_id:
      description: The LUN's number in the group.
      returned: success
      type: int
    initiators:
      description: The group's members.
      returned: success
      type: list
      elements: str
targets:
  description: Where initiators find the LUN; null if they were not looked up, see O(targets).
  returned: success
  type: list
  elements: dict
  contains:
    kind:
      description: V(iscsi) or V(fc).
      returned: success
      type: str
    name:
      description: iSCSI name of the target, or WWPN of the port.
      returned: success
      type: str
    portals:
      description: Addresses where an iSCSI target listens.
      returned: success
      type: list
      elements: dict
      sample: [{"address": "192.0.2.11", "port": 3260}]
    enabled:
      description: Whether the target is in service.
      returned: success
      type: bool
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

from collections.abc import Callable, Mapping
from contextlib import closing
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.crossvisor.san.plugins.module_utils._san import runtime, wishes
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.base import CloneOrigin, LunAddress, ProvisionWish, WithdrawWish
from ansible_collections.crossvisor.san.plugins.module_utils._san.endpoints import arrays, hypervisors
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import InvalidInput
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.base import Hypervisor
from ansible_collections.crossvisor.san.plugins.module_utils._san.services import provision

LUN_OS_TYPES = [
    "aix",
    "hpux",
    "hyper_v",
    "linux",
    "netware",
    "openvms",
    "solaris",
    "solaris_efi",
    "vmware",
    "windows",
    "windows_2008",
    "windows_gpt",
    "xen",
]
GROUP_OS_TYPES = [kind for kind in LUN_OS_TYPES if kind not in ("solaris_efi", "windows_2008", "windows_gpt")]


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "array": arrays.array_option(),
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "svm": {"type": "str"},
            "volume": {"type": "str"},
            "name": {"type": "str", "aliases": ["lun"]},
            "naa": {"type": "str"},
            "size": {"type": "str"},
            "os_type": {"type": "str", "choices": LUN_OS_TYPES, "default": "linux"},
            "thin": {"type": "bool", "default": True},
            "comment": {"type": "str", "default": ""},
            "initiators": {"type": "list", "elements": "str", "default": []},
            "igroup": {"type": "str"},
            "igroup_os_type": {"type": "str", "choices": GROUP_OS_TYPES},
            "lun_id": {"type": "int"},
            "delete": {"type": "bool", "default": False},
            "made_by": {"type": "str", "default": ""},
            "clone_of": {
                "type": "dict",
                "options": {"snapshot": {"type": "str", "required": True}, "lun": {"type": "str", "required": True}},
            },
            "vm": {"type": "str", "default": ""},
            "exclusive": {"type": "bool", "default": False},
            "hypervisor": hypervisors.hypervisor_option(),
            "hypervisors": hypervisors.hypervisors_option(),
            "assume_unused": {"type": "bool", "default": False},
            "targets": {"type": "str", "choices": ["always", "changed", "never"], "default": "changed"},
            "timeout": {"type": "float", "default": 300.0},
        },
        required_together=[("svm", "volume", "name")],
        required_one_of=[("name", "naa")],
        mutually_exclusive=[("name", "naa")],
        supports_check_mode=True,
    )
    runtime.run(module, lambda: _present(module) if module.params["state"] == "present" else _absent(module))


def _present(module: AnsibleModule) -> dict[str, Any]:
    params = module.params
    if params["naa"]:
        raise InvalidInput("naa names a LUN to withdraw; to create or map one, give svm, volume and name.")
    wish = ProvisionWish(
        address=LunAddress(params["svm"], params["volume"], params["name"]),
        size_bytes=wishes.size_in_bytes(params["size"]) if params["size"] else None,
        os_type=params["os_type"],
        initiators=provision.normalized(params["initiators"]),
        group=params["igroup"],
        group_os_type=params["igroup_os_type"],
        lun_id=params["lun_id"],
        thin=params["thin"],
        comment=params["comment"],
        exclusive=params["exclusive"],
        clone_of=_origin(params),
        timeout=params["timeout"],
    )
    with closing(arrays.open_array(module, params["array"])) as array:
        ask = _ask(module)
        report = provision.provision(array, wish, params["targets"], module.check_mode, ask, params["assume_unused"])
        return report.result(wish.initiators)


def _absent(module: AnsibleModule) -> dict[str, Any]:
    params = module.params
    if not params["assume_unused"] and not hypervisors.names_hypervisor(module):
        raise InvalidInput(
            "Nobody was named who knows whether the LUN is in use: give the hypervisor to ask, or vouch for it with assume_unused=true."
        )
    if params["vm"] and not module.check_mode:
        raise InvalidInput(
            "vm only tells in check mode whether the LUN could go once that VM has let go of it: detach it, then leave vm out."
        )
    wish = WithdrawWish(
        lun=wishes.lun_name(params["naa"], None) if params["naa"] else LunAddress(params["svm"], params["volume"], params["name"]),
        initiators=provision.normalized(params["initiators"]),
        group=params["igroup"],
        delete=params["delete"],
        made_by=params["made_by"],
        clone_of=_origin(params),
        timeout=params["timeout"],
    )
    with closing(arrays.open_array(module, params["array"])) as array:
        report = provision.withdraw(array, wish, _ask(module), module.check_mode, params["assume_unused"], params["vm"])
        return report.result(wish.initiators)


def _origin(params: Mapping[str, Any]) -> CloneOrigin | None:
    """The LUN in a snapshot of which the LUN is, or shall be, a clone."""
    given = params["clone_of"]
    return CloneOrigin(given["lun"], given["snapshot"]) if given else None


def _ask(module: AnsibleModule) -> Callable[[], Hypervisor] | None:
    """How to log in to the hypervisor, if one was named."""
    return (lambda: hypervisors.open_hypervisor(module)) if hypervisors.names_hypervisor(module) else None


if __name__ == "__main__":
    main()
