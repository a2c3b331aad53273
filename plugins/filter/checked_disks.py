# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The filter `checked_disks`: the disks that a guest shall have, completed, and everything that is wrong with them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import InvalidInput
from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.disks import Guest, judge


def checked_disks(
    disks: object, guest: str, system: str, svm: str = "", volume: str = "", lun: str = "{guest}_{disk}"
) -> dict[str, list[Any]]:
    """The disks with all of their fields, and what is wrong with them."""
    try:
        verdict = judge(disks, Guest(guest, system, svm, volume, lun))
    except InvalidInput as error:
        raise AnsibleFilterError(str(error)) from None
    return {"disks": verdict.disks, "problems": verdict.problems}


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"checked_disks": checked_disks}
