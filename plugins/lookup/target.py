# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lookup `target`: the pattern of hosts that a playbook shall run on, if there is any such host."""

from __future__ import annotations

DOCUMENTATION = r"""
name: target
short_description: The hosts that a playbook shall run on, if there is any
version_added: 0.1.0
author: The crossvisor.san authors (@crossvisor)
description:
  - Returns the pattern as it is, for C(hosts) of a play. If it matches no host of the inventory, it fails, where Ansible itself would skip
    the play and end well without having done anything.
  - A check of the syntax, which may come without an inventory, gets the pattern unasked.
options:
  _terms:
    description: Pattern of hosts, as C(hosts) takes it.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Do something on hosts that somebody names
  hosts: "{{ lookup('crossvisor.san.target', target | default('localhost', true)) }}"
  tasks: []
"""

RETURN = r"""
_raw:
  description: The pattern.
  type: list
  elements: str
"""


import difflib
from typing import Any

from ansible import context
from ansible.errors import AnsibleLookupError
from ansible.inventory.manager import InventoryManager
from ansible.plugins.lookup import LookupBase


class LookupModule(LookupBase):  # type: ignore[misc]  # Ansible tells no types
    """Ansible's entry point."""

    def run(self, terms: list[str], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[str]:
        """The patterns. Raises `AnsibleLookupError` for one that matches no host."""
        groups: dict[str, list[str]] = (variables or {}).get("groups", {})
        for pattern in () if context.CLIARGS.get("syntax") else terms:
            if not self._matches(pattern, groups):
                raise AnsibleLookupError(f"target={pattern} matches no host of the inventory{_meant(pattern, groups)}")
        return terms

    def _matches(self, pattern: str, groups: dict[str, list[str]]) -> bool:
        manager = InventoryManager(self._loader, parse=False)
        for group, hosts in groups.items():
            manager.add_group(group)
            for host in hosts:
                manager.add_host(host, group=group)
        return bool(manager.get_hosts(pattern=pattern))


def _meant(pattern: str, groups: dict[str, list[str]]) -> str:
    known = {*groups, *(host for hosts in groups.values() for host in hosts)} - {"ungrouped"}
    near = difflib.get_close_matches(pattern, sorted(known), 3)
    return f"; did you mean {' or '.join(near)}?" if near else ": name one of its hosts or groups."
