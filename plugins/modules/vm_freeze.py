#!/usr/bin/python

# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The Ansible module vm_freeze."""

from __future__ import annotations

DOCUMENTATION = r"""
module: vm_freeze
short_description: Have a VM's guest agent hold the file systems on LUNs still, and let them go again
version_added: 0.1.0
description:
  - Asks the hypervisor, so that nobody logs in to the guest. On KVM, libvirt tells the QEMU guest agent, which holds the file systems still
    on Linux, and on Windows by VSS. Other hypervisors do so for a snapshot of the VM itself alone, and are refused.
  - A frozen file system is whole on its disk, so that a snapshot of its LUN holds all that was written to it; whoever writes to it waits.
  - Before anything is frozen, a process is begun on the machine where this module runs, which lets it go after O(thaw_after) seconds,
    whatever becomes of the playbook, and a note is left with the VM by which any later run lets it go.
  - The role P(crossvisor.san.snapshot#role) uses it around a snapshot.
options:
  vm:
    description:
      - Name, UUID or identifier of the VM.
    type: str
    required: true
  state:
    description:
      - With V(frozen), all file systems that the guest has mounted from O(naas) are frozen, or none. With them go those of which the agent
        does not tell the disk, because they may lie on these LUNs; a guest in which it tells of no other on these LUNs is refused then.
      - With V(thawed), the guest is let go where this module has had it frozen, by whichever run. The agent then lets go of everything that
        is frozen in the guest. A guest that only somebody else has had frozen stays so.
  thaw_after:
    description:
      - Seconds after which everything is let go, if nobody has done it before. Windows lets go after ten at most.
  timeout:
    description:
      - Seconds to wait for the agent.
author:
  - The crossvisor.san authors (@crossvisor)
extends_documentation_fragment:
  - crossvisor.san.freeze
  - crossvisor.san.attributes
  - crossvisor.san.attributes.changes
  - crossvisor.san.hypervisor
  - crossvisor.san.hypervisor.hypervisors
notes:
  - Where the machine ends on which this module runs, as a container does with its job, the guest stays frozen until the next run.
  - So it does where this module does not run as root, the playbook is killed, and what it began is ended with it, as by systemd with the
    session (C(KillUserProcesses=yes) of C(logind.conf)) or with the unit that the playbook runs in (unless C(KillMode=process)).
seealso:
  - module: crossvisor.san.guest_freeze
  - module: crossvisor.san.lun_snapshot
"""

EXAMPLES = r"""
- name: Hold the data of a VM still in which nobody can log in
  crossvisor.san.vm_freeze:
    hypervisor: {uri: "qemu+ssh://root@kvm01/system"}
    vm: app01
    state: frozen
    naas: ["600a098038304c61622d616161616131"]
    thaw_after: 30
  register: frozen

- name: Let it go
  crossvisor.san.vm_freeze:
    hypervisor: {uri: "qemu+ssh://root@kvm01/system"}
    vm: app01
    state: thawed
    made_by: "{{ frozen.made_by }}"
  register: thawed

- name: Stop if it was let go before the snapshot was there
  ansible.builtin.assert:
    that: thawed.held
"""

RETURN = r"""
file_systems:
  description: What was, or in check mode would be, frozen; with O(state=thawed), none.
  returned: success
  type: list
  elements: dict
  contains:
    naa:
      description: The LUN, NAA hex digits without prefix; empty where the agent does not tell on which disk the file system lies.
      returned: success
      type: str
    device:
      description: The device that is mounted, as the guest calls it.
      returned: success
      type: str
    mount:
      description: Where it is mounted.
      returned: success
      type: str
held:
  description:
    - With O(state=thawed), whether everything had stayed frozen until now.
    - V(true) also where nothing was frozen, unless O(made_by) says that something had been.
  returned: success
  type: bool
made_by:
  description: With O(state=frozen), the mark of this run, by which it is let go; empty where nothing was frozen.
  returned: success
  type: str
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.crossvisor.san.plugins.module_utils._san import runtime, wishes
from ansible_collections.crossvisor.san.plugins.module_utils._san.endpoints import hypervisors
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.guest_freeze import GuestFreeze


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "hypervisor": hypervisors.hypervisor_option(),
            "hypervisors": hypervisors.hypervisors_option(),
            "vm": {"type": "str", "required": True},
            **wishes.freeze_options(),
        },
        supports_check_mode=True,
    )
    runtime.run(module, lambda: _frozen(module) if module.params["state"] == "frozen" else _thawed(module))


def _guest_freeze(module: AnsibleModule) -> GuestFreeze:
    return GuestFreeze(lambda: hypervisors.open_hypervisor(module), module.params["vm"], module.params["timeout"])


def _frozen(module: AnsibleModule) -> dict[str, Any]:
    params = module.params
    names = wishes.luns_to_freeze(params)
    guest = _guest_freeze(module)
    if module.check_mode:
        there, mark = guest.look(names), ""
    else:
        held = guest.freeze(names, params["thaw_after"])
        there, mark = list(held.file_systems), held.mark
    return {"changed": bool(there), "file_systems": [one.result() for one in there], "held": True, "made_by": mark}


def _thawed(module: AnsibleModule) -> dict[str, Any]:
    if module.check_mode:
        return {"changed": False, "file_systems": [], "held": True, "made_by": ""}
    released = _guest_freeze(module).thaw(module.params["made_by"])
    return {"changed": released.changed, "file_systems": [], "held": released.held, "made_by": ""}


if __name__ == "__main__":
    main()
