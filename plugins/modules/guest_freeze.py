#!/usr/bin/python

# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The Ansible module guest_freeze."""

from __future__ import annotations

DOCUMENTATION = r"""
module: guest_freeze
short_description: Hold the file systems on LUNs of a Linux machine still, and let them go again
version_added: 0.1.0
description:
  - Runs inside the guest, whatever hypervisor it is on. A frozen file system is whole on its disk, so that a snapshot of its LUN holds all
    that was written to it; whoever writes to it waits.
  - Before anything is frozen, a process is begun that lets it go after O(thaw_after) seconds, whatever becomes of the playbook, and a
    note is left by which any later run lets it go.
  - The role P(crossvisor.san.snapshot#role) uses it around a snapshot.
options:
  state:
    description:
      - With V(frozen), all file systems that are mounted from O(naas) are frozen, or none.
      - With V(thawed), all that this module has frozen is let go, by whichever run. What somebody else has frozen stays so.
  made_by:
    description:
      - With O(state=thawed), let go only of what was frozen by the run with this mark, RV(made_by). Without it, of whatever any run has
        frozen.
      - With O(state=frozen), the mark of this run, which no other may have; without it, one is chosen. Who chooses it can let go of exactly
        this also where the answer was lost.
  timeout:
    description:
      - Seconds that freezing one file system may take.
author:
  - The crossvisor.san authors (@crossvisor)
extends_documentation_fragment:
  - crossvisor.san.freeze
  - crossvisor.san.attributes
  - crossvisor.san.attributes.changes
attributes:
  platform:
    description: Runs on Linux, as root.
    platforms: linux
notes:
  - A file system on which Linux, sshd or Ansible write is refused, because nobody could let go of it from within.
seealso:
  - module: crossvisor.san.lun_snapshot
  - module: crossvisor.san.scsi_rescan
"""

EXAMPLES = r"""
- name: Hold the data of a database still
  crossvisor.san.guest_freeze:
    state: frozen
    naas: ["600a098038304c61622d616161616131"]
    thaw_after: 30
  become: true
  register: frozen

- name: Let it go
  crossvisor.san.guest_freeze:
    state: thawed
    made_by: "{{ frozen.made_by }}"
  become: true
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
      description: The LUN, NAA hex digits without prefix.
      returned: success
      type: str
    device:
      description: The device that is mounted.
      returned: success
      type: str
    mount:
      description: Where it is mounted.
      returned: success
      type: str
mounts:
  description: With O(state=thawed), where the file systems are mounted that were let go.
  returned: success
  type: list
  elements: str
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
from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.linux.freeze import Freezer, Ice
from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.linux.kernel import Kernel


def main() -> None:
    module = AnsibleModule(argument_spec=wishes.freeze_options(), supports_check_mode=True)
    runtime.run(module, lambda: _frozen(module) if module.params["state"] == "frozen" else _thawed(module))


def _freezer(module: AnsibleModule) -> Freezer:
    return Freezer(Kernel().tree, Ice(), written=[module.tmpdir])


def _frozen(module: AnsibleModule) -> dict[str, Any]:
    params = module.params
    names = wishes.luns_to_freeze(params)
    freezer = _freezer(module)
    limits = params["thaw_after"], params["timeout"]
    there = freezer.file_systems(names) if module.check_mode else freezer.freeze(names, *limits, params["made_by"])
    return {"changed": bool(there), "file_systems": [one.result() for one in there], "mounts": [], "held": True, "made_by": freezer.mark}


def _thawed(module: AnsibleModule) -> dict[str, Any]:
    mounts, held = ([], True) if module.check_mode else _freezer(module).thaw(module.params["made_by"])
    return {"changed": bool(mounts), "file_systems": [], "mounts": mounts, "held": held, "made_by": ""}


if __name__ == "__main__":
    main()
