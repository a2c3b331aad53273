#!/usr/bin/python

# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The Ansible module guest_block_markers."""

from __future__ import annotations

DOCUMENTATION = r"""
module: guest_block_markers
short_description: Write blocks that are known again on the LUN underneath into free space of a Linux machine
version_added: 0.1.0
description:
  - Runs inside the guest, whatever hypervisor it is on. It is the upper half of M(crossvisor.san.virtual_block_address) with
    O(crossvisor.san.virtual_block_address#module:method=observe), which finds the blocks on the LUN.
  - Each marker is a block of random bytes with a number. They are written past the cache into a new file that has no name, in free space;
    no block that belongs to a file is ever written to.
  - The file is held by a process of its own, and its space is free as soon as that ends, after O(hold) seconds or when it is killed. A
    crash of the machine leaves nothing either.
options:
  state:
    description:
      - With V(present), markers are written.
      - With V(absent), the ones that RV(holder) holds are let go before their time.
    type: str
    choices: [present, absent]
    default: present
  directory:
    description:
      - A directory on the disk that is asked about, on ext4 or XFS. Required with O(state=present).
    type: path
  count:
    description:
      - How many markers are written, at most 16384. They take twice their space, because as much has to stay free.
    type: int
    default: 64
  block_bytes:
    description:
      - Bytes of a marker, 4096 or a multiple of it up to 65536.
    type: int
    default: 4096
  stride:
    description:
      - Bytes of the file from one marker to the next, a multiple of O(block_bytes). By default they follow each other.
      - With a large stride the file system may put them in different places of the disk, or may not.
    type: int
  writers:
    description:
      - How many of them are written at once, at most 64.
    type: int
    default: 1
  timeout:
    description:
      - Seconds that writing them may take.
    type: float
    default: 60
  hold:
    description:
      - Seconds for which they stay, at most 3600. Whoever looks for them has to be done by then, which
        M(crossvisor.san.virtual_block_address) by default is after 1800.
    type: int
    default: 3600
  holder:
    description:
      - With O(state=absent), what an earlier run of this module returned by that name.
    type: dict
    suboptions:
      pid:
        description: Number of the process.
        type: int
        required: true
      began:
        description: When it began, as the kernel counts.
        type: int
        required: true
author:
  - The crossvisor.san authors (@crossvisor)
extends_documentation_fragment:
  - crossvisor.san.attributes
  - crossvisor.san.attributes.changes
attributes:
  diff_mode:
    support: none
  idempotent:
    support: partial
    details: Each run with O(state=present) writes markers of its own.
  platform:
    description: Runs on Linux, as an account that may write to O(directory). Only root's markers outlive the session that wrote them.
    platforms: linux
seealso:
  - module: crossvisor.san.virtual_block_address
"""

EXAMPLES = r"""
- name: Write markers where the database keeps its data
  crossvisor.san.guest_block_markers:
    directory: /srv/data
    count: 200
  become: true
  register: markers

- name: Tell on which blocks of which LUN they are
  crossvisor.san.virtual_block_address:
    hypervisor: "{{ hypervisor }}"
    arrays: "{{ arrays }}"
    vm: app01
    disk: Hard disk 2
    method: observe
    markers: "{{ markers }}"
  delegate_to: localhost
  register: there

- name: Let them go
  crossvisor.san.guest_block_markers:
    state: absent
    holder: "{{ markers.holder }}"
  become: true
"""

RETURN = r"""
magic:
  description: What each sector of these markers begins with, in hexadecimal.
  returned: with O(state=present)
  type: str
block_bytes:
  description: Bytes of a marker.
  returned: with O(state=present)
  type: int
written:
  description: Every marker, or each of its parts where one lies in several pieces, whose place on the guest's disks is known.
  returned: with O(state=present)
  type: list
  elements: dict
  contains:
    number:
      description: Number of the marker.
      returned: success
      type: int
    within:
      description: Which byte of the marker the piece begins with.
      returned: success
      type: int
    length:
      description: Bytes of the piece.
      returned: success
      type: int
    virtual_offset:
      description: Where it begins on the disk, in bytes.
      returned: success
      type: int
    device:
      description: The disk, as the guest calls it.
      returned: success
      type: str
    naa:
      description: The name that the disk has in the guest, NAA hex digits without prefix, or empty.
      returned: success
      type: str
    disk_bytes:
      description: Bytes of the disk.
      returned: success
      type: int
    submitted:
      description: When the guest began to write it, in seconds since 1970 by its own clock.
      returned: success
      type: float
    completed:
      description: When the guest knew that it was written.
      returned: success
      type: float
unplaced:
  description: The pieces whose place on a disk the guest does not know.
  returned: with O(state=present)
  type: list
  elements: dict
  contains:
    number:
      description: Number of the marker.
      returned: success
      type: int
    within:
      description: Which byte of the marker the piece begins with.
      returned: success
      type: int
    length:
      description: Bytes of the piece.
      returned: success
      type: int
    reason:
      description: Why.
      returned: success
      type: str
holder:
  description: The process that holds the markers.
  returned: with O(state=present)
  type: dict
  contains:
    pid:
      description: Its number.
      returned: success
      type: int
    began:
      description: When it began, as the kernel counts.
      returned: success
      type: int
held:
  description: With O(state=absent), whether the markers had stayed until now.
  returned: with O(state=absent)
  type: bool
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.crossvisor.san.plugins.module_utils._san import runtime
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import InvalidInput
from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.linux import marked_file
from ansible_collections.crossvisor.san.plugins.module_utils._san.observation.markers import Markers

_BLOCK = 4096
_LIMITS = {"count": range(1, 16385), "writers": range(1, 65), "hold": range(10, 3601), "timeout": range(1, 601)}
_BLOCKS = range(_BLOCK, 65537, _BLOCK)
_LARGEST_FILE = 1 << 40


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "directory": {"type": "path"},
            "count": {"type": "int", "default": 64},
            "block_bytes": {"type": "int", "default": _BLOCK},
            "stride": {"type": "int"},
            "writers": {"type": "int", "default": 1},
            "timeout": {"type": "float", "default": 60.0},
            "hold": {"type": "int", "default": 3600},
            "holder": {"type": "dict", "options": {"pid": {"type": "int", "required": True}, "began": {"type": "int", "required": True}}},
        },
        required_if=[("state", "present", ["directory"]), ("state", "absent", ["holder"])],
        supports_check_mode=True,
    )
    runtime.run(module, lambda: _present(module) if module.params["state"] == "present" else _absent(module))


def _present(module: AnsibleModule) -> dict[str, Any]:
    wish = _wish(module.params)
    markers = Markers.new(module.params["block_bytes"])
    told: dict[str, Any] = {"changed": True, "magic": markers.magic.hex(), "block_bytes": markers.length}
    if module.check_mode:
        marked_file.check(wish, markers)
        return {**told, "written": [], "unplaced": [], "holder": {"pid": 0, "began": 0}}
    pieces, holder = marked_file.write(wish, markers)
    written, unplaced = marked_file.result(pieces)
    return {**told, "written": written, "unplaced": unplaced, "holder": {"pid": holder.pid, "began": holder.began}}


def _absent(module: AnsibleModule) -> dict[str, Any]:
    holder = marked_file.Holder(**module.params["holder"])
    held = marked_file.holds(holder) if module.check_mode else marked_file.end(holder)
    return {"changed": held, "held": held}


def _wish(params: dict[str, Any]) -> marked_file.Wish:
    for name, limits in _LIMITS.items():
        if not limits.start <= params[name] < limits.stop:
            raise InvalidInput(f"{name}={params[name]:g} is not one of {limits.start} to {limits.stop - 1}.")
    length = params["block_bytes"]
    if length not in _BLOCKS:
        raise InvalidInput(f"block_bytes={length} is no multiple of {_BLOCK} up to {_BLOCKS[-1]}.")
    stride = length if params["stride"] is None else params["stride"]
    if stride < length or stride % length or stride * params["count"] > _LARGEST_FILE:
        raise InvalidInput(f"stride={stride} is no multiple of block_bytes={length}, or makes the file larger than {_LARGEST_FILE} bytes.")
    return marked_file.Wish(params["directory"], params["count"], stride, params["writers"], params["timeout"], params["hold"])


if __name__ == "__main__":
    main()
