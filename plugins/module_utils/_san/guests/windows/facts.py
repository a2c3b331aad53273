# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which hypervisor a Windows machine runs on, by what it shows of itself: firmware, registry, files.

The firmware is judged by the rules of `detection`, with Windows' names for the same sources. The guest tools of a hypervisor count
only where the firmware names none, because they may be left from another hypervisor. `HypervisorPresent` proves nothing when it is true: it
is on a Hyper-V host too, and wherever Windows protects itself by virtualization.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType

from ansible_collections.crossvisor.san.plugins.module_utils._san.detection import kvp, machine_uuid, rules
from ansible_collections.crossvisor.san.plugins.module_utils._san.detection.detect import (
    GUEST,
    HOST,
    Detection,
    Evidence,
    evidence_of,
    first_match,
    product_of,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.detection.rules import Rule
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import RemoteError
from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.windows import classes
from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.windows.registry import text_of
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire import wql
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.cim import CimClient
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.cim_types import CimClass, CimInstance

_PARAMETERS = "SOFTWARE\\Microsoft\\Virtual Machine\\Guest\\Parameters"
_PARAMETER_NAMES = (
    "HostName",
    "PhysicalHostName",
    "PhysicalHostNameFullyQualified",
    "HostingSystemOsMajor",
    "HostingSystemOsMinor",
    "VirtualMachineName",
    "VirtualMachineId",
)
_TOOLS_KEY = "SOFTWARE\\VMware, Inc.\\VMware Tools"
_TOOLS_FILE = "C:\\Windows\\System32\\vmGuestLib.dll"
_PRESENT = "Win32_ComputerSystem.HypervisorPresent"
_HOSTED_BY = f"HKLM\\{_PARAMETERS}"
_TOOLS = f"HKLM\\{_TOOLS_KEY}"
_MANAGEMENT = "Win32_Service.vmms"

_WINDOWS_NAMES: Mapping[str, str] = MappingProxyType(
    {
        rules.SYS_VENDOR: "Win32_ComputerSystem.Manufacturer",
        rules.PRODUCT_NAME: "Win32_ComputerSystem.Model",
        rules.PRODUCT_VERSION: "Win32_ComputerSystemProduct.Version",
        rules.CPU_FLAG: _PRESENT,
    }
)
"""What the sources of the shared rules are called here."""
_GUEST_RULES = (
    *rules.GUEST_RULES,
    Rule("hyperv", "a Hyper-V host tells its guest who it is", {_HOSTED_BY: ".", _PRESENT: "true"}),
    Rule("vmware", "VMware Tools are installed", {_TOOLS: ".", _PRESENT: "true"}),
    Rule("vmware", "a library of VMware Tools is installed", {_TOOLS_FILE: ".", _PRESENT: "true"}),
)
_HOST_RULES = (Rule("hyperv", "this machine runs virtual machines itself, by Hyper-V", {_MANAGEMENT: "Running"}),)


def detect(client: CimClient) -> Detection:
    """What the machine knows of the hypervisor below it, or that it is itself a host. Raises a `CrossvisorError`."""
    computer, product = _the_only(client, classes.COMPUTER), _the_only(client, classes.PRODUCT)
    parameters = {name: value for name in _PARAMETER_NAMES for value in [text_of(client, _PARAMETERS, name)] if value}
    observed = {source: value for source, value in _observed(client, computer, product, parameters) if value}
    guest = first_match(_GUEST_RULES, observed)
    host = first_match(_HOST_RULES, observed)
    if guest:
        found = _guest(guest.type, product, parameters, observed)
    elif host:
        found = Detection(virtualized=False, type=host.type, role=HOST, product=product_of((), host.type, observed))
    else:
        found = Detection(virtualized=False if first_match(rules.BARE_METAL_RULES, observed) else None)
    return replace(found, evidence=tuple(_evidence(found, observed)))


def _observed(client: CimClient, computer: CimInstance, product: CimInstance, parameters: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    present = computer.flag("HypervisorPresent")
    yield rules.SYS_VENDOR, computer.text("Manufacturer")
    yield rules.PRODUCT_NAME, computer.text("Model")
    yield rules.PRODUCT_VERSION, product.text("Version")
    yield _PRESENT, "true" if present else "false"
    yield rules.CPU_FLAG, "" if present else "no hypervisor"
    yield _HOSTED_BY, kvp.physical_host(parameters) or parameters.get("VirtualMachineId", "")
    yield _TOOLS, text_of(client, _TOOLS_KEY, "InstallPath")
    yield _TOOLS_FILE, next((file.text("Name") for file in client.query(classes.DATA_FILE, wql.equals("Name", _TOOLS_FILE))), "")
    yield _MANAGEMENT, next((service.text("State") for service in client.query(classes.SERVICE, wql.equals("Name", "vmms"))), "")


def _guest(kind: str, product: CimInstance, parameters: Mapping[str, str], observed: Mapping[str, str]) -> Detection:
    told = parameters if kind == "hyperv" else {}
    uuid = machine_uuid.normalize(product.text("UUID"))
    serial = machine_uuid.of_vmware_serial(product.text("IdentifyingNumber")) if kind == "vmware" else ""
    return Detection(
        virtualized=True,
        type=kind,
        role=GUEST,
        product=product_of(rules.PRODUCT_RULES, kind, observed),
        version=kvp.host_version(told),
        vm_uuid=uuid,
        vm_uuids=machine_uuid.candidates([serial, uuid]),
        vm_id=machine_uuid.normalize(told.get("VirtualMachineId")),
        vm_name=told.get("VirtualMachineName", ""),
        parent_host=kvp.physical_host(told),
    )


def _evidence(found: Detection, observed: Mapping[str, str]) -> Iterator[Evidence]:
    tables = (_GUEST_RULES, _HOST_RULES, *(() if found.virtualized else (rules.BARE_METAL_RULES,)))
    for table in tables:
        for evidence in evidence_of(table, observed):
            yield replace(evidence, source=_WINDOWS_NAMES.get(evidence.source, evidence.source))
    if observed[_PRESENT] == "true" and not found.virtualized:
        yield Evidence(_PRESENT, "true", "proves nothing: it is so on a Hyper-V host, and where Windows protects itself by virtualization")


def _the_only(client: CimClient, cim_class: CimClass) -> CimInstance:
    for found in client.query(cim_class, columns=cim_class.columns):
        return found
    raise RemoteError(f"{client.session.connection} has no {cim_class.name}: repair its WMI repository.")
