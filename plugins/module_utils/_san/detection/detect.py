# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether this Linux machine is virtual, on which hypervisor, and by what it was recognised. Needs no endpoint, no root and no program."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ansible_collections.crossvisor.san.plugins.module_utils._san.detection import kvp, machine_uuid, rules
from ansible_collections.crossvisor.san.plugins.module_utils._san.detection.rules import Rule
from ansible_collections.crossvisor.san.plugins.module_utils._san.linux.assignments import parse_assignments
from ansible_collections.crossvisor.san.plugins.module_utils._san.linux.tree import Tree

GUEST = "guest"
HOST = "host"

XENSERVER_INVENTORY = "/etc/xensource-inventory"
_LONGEST_VALUE = 120


@dataclass(frozen=True)
class Evidence:
    """One observation and what it means."""

    source: str
    """The file, or the part of it."""
    value: str
    says: str
    type: str = ""
    """The hypervisor for which it speaks, if it does."""


@dataclass(frozen=True)
class Detection:
    """What a machine knows of the hypervisor below it, or of the one that it is itself."""

    virtualized: bool | None
    """None when the machine shows nothing that could tell; `evidence` says why."""
    type: str = ""
    """`vmware`, `hyperv`, `xen`, `kvm`, `virtualbox`, `bhyve`, `parallels`, `nutanix`, `aws_nitro`, `apple`, `powervm`, `zvm`, or `other`
    for a hypervisor without a name; empty on bare metal."""
    role: str = ""
    """`guest` of, or `host` for virtual machines of that type; empty for neither."""
    product: str = ""
    version: str = ""
    """The hypervisor's version where the platform tells: Xen and Hyper-V."""
    container: str = ""
    """`docker`, `podman`, `lxc`, `wsl`, …: the container in which this was asked; the other fields are about the machine around it."""
    vm_uuid: str = ""
    """The UUID of the virtual machine as its firmware, or Xen, gives it."""
    vm_uuids: Sequence[str] = ()
    """All under which the management side may know the VM, the likeliest first: see `machine_uuid`."""
    vm_id: str = ""
    """Hyper-V's own identifier of the VM (`Msvm_ComputerSystem.Name`), which is not its firmware's UUID."""
    vm_name: str = ""
    """The VM's name on its host; only Hyper-V tells."""
    parent_host: str = ""
    """The host on which the VM runs; only Hyper-V tells."""
    evidence: Sequence[Evidence] = ()
    """In the order of its weight: the first that has a type decided. What could not be read comes last."""


def detect(root: Path = Path("/")) -> Detection:
    """Look at the files of the machine below `root`. Never raises: what cannot be read is part of the evidence."""
    tree = Tree(root)
    observed = {source: value for source, read in rules.SOURCES.items() for value in [read(tree, source)] if value}
    guest = first_match(rules.GUEST_RULES, observed)
    host = first_match(rules.HOST_RULES, observed)
    if guest:
        found = _guest(tree, guest.type, observed)
    elif host:
        found = _host(tree, host.type, observed)
    else:
        found = Detection(virtualized=False if first_match(rules.BARE_METAL_RULES, observed) else None)
    return replace(found, container=_container(observed), evidence=tuple(_evidence(tree, found, observed)))


def _guest(tree: Tree, kind: str, observed: Mapping[str, str]) -> Detection:
    pairs = kvp.parse_pool(tree.content(kvp.POOL) or b"") if kind == "hyperv" else {}
    uuids = _uuids(tree, kind)
    return Detection(
        virtualized=True,
        type=kind,
        role=GUEST,
        product=product_of(rules.PRODUCT_RULES, kind, observed),
        version=_xen_version(tree) if kind == "xen" else kvp.host_version(pairs),
        vm_uuid=next(filter(None, uuids), ""),
        vm_uuids=machine_uuid.candidates([_vmware_uuid(tree, kind), *uuids]),
        vm_id=machine_uuid.normalize(pairs.get("VirtualMachineId")),
        vm_name=pairs.get("VirtualMachineName", ""),
        parent_host=kvp.physical_host(pairs),
    )


def _host(tree: Tree, kind: str, observed: Mapping[str, str]) -> Detection:
    xenserver = parse_assignments(tree.text(XENSERVER_INVENTORY) or "") if kind == "xen" else {}
    return Detection(
        virtualized=False,
        type=kind,
        role=HOST,
        product=xenserver.get("PRODUCT_BRAND") or product_of(rules.HOST_PRODUCT_RULES, kind, observed),
        version=xenserver.get("PRODUCT_VERSION") or (_xen_version(tree) if kind == "xen" else ""),
    )


def first_match(candidates: Iterable[Rule], observed: Mapping[str, str]) -> Rule | None:
    """The first rule of a table that the values of the sources fulfil."""
    return next((rule for rule in candidates if rule.matches(observed)), None)


def product_of(exact: Iterable[Rule], kind: str, observed: Mapping[str, str]) -> str:
    """The name of the product of this type, as exactly as the rules know it."""
    named = first_match((rule for rule in exact if rule.type == kind), observed)
    return named.says if named else rules.PRODUCTS.get(kind, "")


def _xen_version(tree: Tree) -> str:
    """`4.17.5-4`: `extra` begins with its own separator."""
    major, minor, extra = (tree.text(rules.XEN_VERSION + part) for part in ("major", "minor", "extra"))
    return f"{major}.{minor}{extra or ''}" if major and minor else ""


def _uuids(tree: Tree, kind: str) -> list[str]:
    sources = [rules.PRODUCT_UUID, rules.DEVICE_TREE_UUID]
    return [machine_uuid.normalize(tree.text(source)) for source in ([rules.XEN_UUID, *sources] if kind == "xen" else sources)]


def _vmware_uuid(tree: Tree, kind: str) -> str:
    return machine_uuid.of_vmware_serial(tree.text(rules.PRODUCT_SERIAL)) if kind == "vmware" else ""


def _container(observed: Mapping[str, str]) -> str:
    rule = first_match(rules.CONTAINER_RULES, observed)
    return (rule.type or observed[next(iter(rule.when))]) if rule else ""


def _evidence(tree: Tree, found: Detection, observed: Mapping[str, str]) -> Iterator[Evidence]:
    yield from evidence_of(rules.GUEST_RULES, observed)
    yield from evidence_of(rules.HOST_RULES, observed)
    if not found.virtualized:
        yield from evidence_of(rules.BARE_METAL_RULES, observed)
    if found.parent_host:
        yield Evidence(kvp.POOL, found.parent_host, "the host's own name, given to its guests")
    yield from evidence_of(rules.HINT_RULES, observed)
    yield from (replace(evidence, type="") for evidence in evidence_of(rules.CONTAINER_RULES, observed))
    yield from (Evidence(path, "", f"could not be read: {reason}") for path, reason in sorted(tree.unreadable.items()))
    if found.virtualized is None:
        yield Evidence("/sys, /proc", "", "neither firmware, nor device tree, nor processor flags are shown here, so nothing can be told")


def evidence_of(table: Iterable[Rule], observed: Mapping[str, str]) -> Iterator[Evidence]:
    """What the matching rules say, each source once per type."""
    told: set[tuple[str, str]] = set()
    for rule in table:
        for source in rule.when if rule.matches(observed) else ():
            if (source, rule.type) not in told:
                told.add((source, rule.type))
                yield Evidence(source, observed[source][:_LONGEST_VALUE], rule.says, rule.type)
