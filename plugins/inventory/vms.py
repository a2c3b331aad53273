# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The inventory `vms`: every VM as a host, in groups of the storage that it lies on."""

from __future__ import annotations

DOCUMENTATION = r"""
name: vms
short_description: Virtual machines, grouped by the storage that they lie on
version_added: 0.1.0
author: The crossvisor.san authors (@crossvisor)
description:
  - Makes the VMs of vCenter Servers, ESXi hosts, Hyper-V hosts, failover clusters and KVM hosts the hosts of an inventory.
  - They are in groups by where they run, C(endpoint_<name>), C(hypervisor_<type>), C(cluster_<name>) and C(host_<name>), and by what
    their disks lie on, C(array_<name>), C(svm_<name>), C(volume_<name>) and C(lun_<name>), so that C(-l volume_vol_prod) is every VM
    with a disk on that volume.
  - Two volumes may have one name. Below such a group there is one for each very thing, C(cluster_<endpoint>_<name>),
    C(host_<endpoint>_<name>), C(svm_<array>_<name>), C(volume_<array>_<svm>_<name>) and C(lun_<naa>).
  - What the name of a group cannot hold is an underscore in it.
  - VMs of which nobody can tell what a disk lies on are in the group C(crossvisor_unresolved), because they may lie on any storage.
  - The name of the file ends in C(.crossvisor.yml) or C(.crossvisor.yaml).
options:
  plugin:
    description: Says that the file is for this plugin.
    type: str
    required: true
    choices: [crossvisor.san.vms]
  endpoints:
    description:
      - The hypervisors to ask, side by side.
      - Without any, the one that the environment variables C(CROSSVISOR_HYPERVISOR_...) name.
      - Values may be templates, such as of P(ansible.builtin.env#lookup), and secrets of a vault.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: What to call the endpoint, in variables and groups. By default its host name or URI.
        type: str
      hypervisor:
        description: The connection, with the options of O(crossvisor.san.vm_storage_map#module:hypervisor).
        type: dict
      arrays:
        description: The arrays of this endpoint, instead of O(arrays).
        type: list
        elements: dict
  arrays:
    description:
      - The arrays to ask for what lies under the VMs' disks, with the options of O(crossvisor.san.vm_storage_map#module:arrays).
      - Without any, the one that the environment variables C(CROSSVISOR_ARRAY_...) name, if they do.
      - An array that does not answer is a warning, and its VMs are in C(crossvisor_unresolved).
    type: list
    elements: dict
    default: []
  unanswered:
    description:
      - What to do when an endpoint gives no answer.
      - With V(error), this source gives no host at all, because who works on all VMs of a volume wants to know that some are missing.
      - With V(warning), the VMs of the other endpoints are there. Such an inventory is not kept in a cache.
    type: str
    choices: [error, warning]
    default: error
  hostname:
    description:
      - Jinja expression for the name of a host, from its variables.
      - VMs that would have the same name are told apart by C(_<endpoint>), and where that does not do, by their identifier, too. A warning
        names them.
      - Characters with a meaning to patterns, templates or shells are underscores in it. C(crossvisor_vm_name) is the name as it is.
    type: str
    default: crossvisor_vm_name
extends_documentation_fragment:
  - constructed
  - inventory_cache
notes:
  - The variables of a host are C(crossvisor_endpoint), C(crossvisor_hypervisor_type), C(crossvisor_hypervisor), C(crossvisor_cluster),
    C(crossvisor_host), C(crossvisor_vm_name), C(crossvisor_vm_id), C(crossvisor_vm_uuid), C(crossvisor_folder), C(crossvisor_power), the
    lists C(crossvisor_arrays), C(crossvisor_svms), C(crossvisor_volumes), C(crossvisor_luns) and C(crossvisor_naas), and
    C(crossvisor_disks), the rows of the storage map as RV(crossvisor.san.vm_storage_map#module:mappings) has them.
  - How to log in to a VM, the storage map does not know. Unless the name of a VM leads to it, say so with O(compose), as C(ansible_host).
seealso:
  - module: crossvisor.san.vm_storage_map
"""

EXAMPLES = r"""
# san.crossvisor.yml
# ansible-playbook -i san.crossvisor.yml -l volume_vol_prod patch.yml
---
plugin: crossvisor.san.vms
endpoints:
  - name: vc01
    hypervisor:
      hostname: vcenter.example.com
      username: svc-ansible@vsphere.local
      password: "{{ lookup('ansible.builtin.env', 'VCENTER_PASSWORD') }}"
  - name: hvc1
    hypervisor:
      hostname: hvc1n1.example.com
      username: svc-ansible@EXAMPLE.COM
      password: "{{ lookup('ansible.builtin.env', 'HYPERV_PASSWORD') }}"
arrays:
  - hostname: ontap.example.com
    username: svc-monitor
    password: "{{ lookup('ansible.builtin.env', 'ONTAP_PASSWORD') }}"
unanswered: warning
compose:
  ansible_host: crossvisor_vm_name ~ '.example.com'
groups:
  raw_disks: crossvisor_disks | selectattr('kind', 'eq', 'passthrough') | list | length > 0
keyed_groups:
  - prefix: power
    key: crossvisor_power
cache: true
cache_plugin: ansible.builtin.jsonfile
cache_connection: /var/cache/ansible/san
cache_timeout: 3600
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from ansible.errors import AnsibleParserError
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.module_utils.common.parameters import remove_values
from ansible.plugins.inventory import BaseInventoryPlugin, Cacheable, Constructable
from ansible.utils.unsafe_proxy import wrap_var

from ansible_collections.crossvisor.san.plugins.module_utils._san.endpoints import arrays, hypervisors
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import CrossvisorError, InvalidInput, in_one_sentence
from ansible_collections.crossvisor.san.plugins.module_utils._san.maps.document import MAPPINGS, VIRTUAL_MACHINES
from ansible_collections.crossvisor.san.plugins.module_utils._san.maps.hosts import (
    UNRESOLVED_GROUP,
    Machine,
    alike,
    host_name,
    machines,
    names,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.storage_map.mapper import storage_map

_ENDINGS = (".crossvisor.yml", ".crossvisor.yaml")
_AT_ONCE = 8
"""Endpoints that are asked side by side."""
_MOST_NAMED = 10
"""Hosts that one warning names."""


@dataclass(frozen=True)
class _Endpoint:
    name: str
    hypervisor: Mapping[str, Any]
    arrays: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class _Answer:
    """The map of an endpoint, with its type and address, or why there is none."""

    endpoint: str
    document: Mapping[str, Any]
    failure: str = ""


class InventoryModule(BaseInventoryPlugin, Constructable, Cacheable):  # type: ignore[misc]  # ansible-core has no types
    """Ansible's entry point."""

    NAME = "crossvisor.san.vms"

    def verify_file(self, path: str) -> bool:
        """Whether the file is one for this plugin, by its name."""
        return path.endswith(_ENDINGS) and bool(super().verify_file(path))

    def parse(self, inventory: Any, loader: Any, path: str, cache: bool = True) -> None:
        """Add the VMs to the inventory. Raises `AnsibleParserError`, in one sentence."""
        super().parse(inventory, loader, path, cache)
        self._read_config_data(path)
        try:
            self._populate(self._answers(self.get_cache_key(path), cache))
        except CrossvisorError as error:
            raise AnsibleParserError(f"{path}: {in_one_sentence(str(error))}.") from None

    def _answers(self, key: str, cache: bool) -> list[_Answer]:
        """What the endpoints told, or what is kept of it. Raises a `CrossvisorError`."""
        caching = self.get_option("cache")
        if caching and cache and (kept := self._cache.get(key)):
            return [_Answer(**answer) for answer in kept]
        answers = self._read()
        failures = [answer.failure for answer in answers if answer.failure]
        if failures and self.get_option("unanswered") == "error":
            raise InvalidInput("; ".join(failures))
        for failure in failures:
            self._warn(f"{failure[:1].upper()}{failure[1:]}.")
        if caching and not failures:
            self._cache[key] = [vars(answer) for answer in answers]
        return answers

    def _read(self) -> list[_Answer]:
        endpoints = self._endpoints()
        with ThreadPoolExecutor(min(_AT_ONCE, len(endpoints))) as asking:
            return list(asking.map(_ask, endpoints))

    def _endpoints(self) -> list[_Endpoint]:
        """The endpoints that the file names, each under a name of its own. Raises `InvalidInput`."""
        common = _validated({"arrays": arrays.arrays_option()}, {"arrays": self._option("arrays")})
        specification = {
            "name": {"type": "str"},
            "hypervisor": hypervisors.hypervisor_option(default={}),
            "arrays": arrays.arrays_option(),
        }
        listed = [_validated(specification, given) for given in self._option("endpoints") or [{}]]
        found = [_Endpoint(_name(given), given["hypervisor"], given["arrays"] or common["arrays"]) for given in listed]
        twice = sorted({endpoint.name for endpoint in found if [other.name for other in found].count(endpoint.name) > 1})
        if twice:
            raise InvalidInput(f"several endpoints are called {', '.join(twice)}: give each a name of its own")
        return found

    def _option(self, name: str) -> Any:
        """An option of which values may be templates, as people write passwords."""
        self.templar.available_variables = self._vars or {}
        return self.templar.template(self.get_option(name))

    def _each_once(self, answers: Sequence[_Answer]) -> list[_Answer]:
        """The answers without those of an endpoint that gave one under another name before, which a warning names."""
        first: dict[tuple[str, str], str] = {}
        kept = []
        for answer in answers:
            itself = str(answer.document.get("type", "")), str(answer.document.get("identity", ""))
            other = first.setdefault(itself, answer.endpoint) if itself[1] else answer.endpoint
            if other == answer.endpoint:
                kept.append(answer)
            else:
                self._warn(f"Endpoint {other} was asked as {answer.endpoint} too, and its VMs are there once: name it once in endpoints.")
        return kept

    def _populate(self, given: Sequence[_Answer]) -> None:
        answers = self._each_once(given)
        found = [machine for answer in answers if not answer.failure for machine in machines(answer.endpoint, answer.document)]
        for warning in [warning for answer in answers for warning in answer.document.get("warnings", ())]:
            self._warn(warning)
        wished = [host_name(self._wished(machine)) for machine in found]
        named = names(wished, found)
        for name, machine in zip(named, found):
            self._add(name, machine)
        longer = sorted(name for name, wish in zip(named, wished) if name != wish)
        if longer:
            self._warn(f"Several VMs have one name, and are hosts by longer ones: {_some(longer)}")
        for group, things in alike(group for machine in found for group in machine.groups).items():
            self._warn(f"Group {group} is of {' and '.join(things)}, whose names differ only in special characters")

    def _wished(self, machine: Machine) -> str:
        try:
            return str(self._compose(self.get_option("hostname"), wrap_var(dict(machine.variables))))
        except Exception as error:  # noqa: BLE001 - whatever a user's expression does
            raise InvalidInput(f"hostname gives no name for VM {machine.name} of {machine.endpoint}: {error}") from None

    def _add(self, name: str, machine: Machine) -> None:
        self.inventory.add_host(name)
        for variable, value in machine.variables.items():
            self.inventory.set_variable(name, variable, wrap_var(value))
        for group in machine.groups:
            self._group(group.exact, name)
            if group.short != group.exact:
                self._group(group.short, group.exact)
        if machine.unresolved:
            self._group(UNRESOLVED_GROUP, name)
        self._construct(name)

    def _warn(self, text: str) -> None:
        self.display.warning(text)

    def _group(self, group: str, member: str) -> None:
        self.inventory.add_group(group)
        self.inventory.add_child(group, member)

    def _construct(self, name: str) -> None:
        strict, variables = self.get_option("strict"), self.inventory.get_host(name).get_vars()
        self._set_composite_vars(self.get_option("compose"), variables, name, strict=strict)
        self._add_host_to_composed_groups(self.get_option("groups"), variables, name, strict=strict)
        self._add_host_to_keyed_groups(self.get_option("keyed_groups"), variables, name, strict=strict)


def _some(found: Sequence[str]) -> str:
    more = f", and {len(found) - _MOST_NAMED} more" if len(found) > _MOST_NAMED else ""
    return f"{', '.join(found[:_MOST_NAMED])}{more}"


def _validated(specification: Mapping[str, Any], given: object) -> dict[str, Any]:
    """The options as a module would get them. Raises `InvalidInput`, which tells no secret."""
    if not isinstance(given, Mapping):
        raise InvalidInput(f"{given!s:.100} is no endpoint: give name, hypervisor and arrays")
    result = ArgumentSpecValidator(specification).validate(dict(given))
    if result.error_messages:
        raise InvalidInput(str(remove_values("; ".join(result.error_messages), result._no_log_values)))
    return dict(result.validated_parameters)


def _name(given: Mapping[str, Any]) -> str:
    options: Mapping[str, Any] = given["hypervisor"]
    return str(given["name"] or options.get("hostname") or options.get("uri") or "environment")


def _ask(endpoint: _Endpoint) -> _Answer:
    try:
        asked = arrays.sources(endpoint.arrays, lambda params: arrays.open_given(params, lambda complete: complete))
        with closing(hypervisors.open_given(endpoint.hypervisor, lambda complete: complete)) as hypervisor:
            found = storage_map(hypervisor, asked, endpoint=endpoint.name, gather=(MAPPINGS, VIRTUAL_MACHINES))
            about = {"type": hypervisor.type, "address": hypervisor.address, "identity": found.endpoint.identity}
        parts = {MAPPINGS: [dict(row) for row in found.mappings], VIRTUAL_MACHINES: found.virtual_machines, "warnings": found.warnings}
        return _Answer(endpoint.name, {**about, **parts})
    except CrossvisorError as error:
        return _Answer(endpoint.name, {}, f"endpoint {endpoint.name} gave no VMs: {in_one_sentence(str(error))}")
