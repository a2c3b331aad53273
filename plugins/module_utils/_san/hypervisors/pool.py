# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The pool of hypervisor implementations: which there are, which one an endpoint is, and loading just that one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from ansible_collections.crossvisor.san.plugins.module_utils._san.connection import AUTO, ENVIRONMENT, Connection, from_environment
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import ConnectionFailed, InvalidInput, NotFound
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.base import Descriptor, Hypervisor


def _probe_vsphere(connection: Connection) -> bool:
    from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.vim_probe import is_vsphere

    return is_vsphere(connection)


def _probe_wsman(connection: Connection) -> bool:
    from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.wsman_probe import is_wsman

    return is_wsman(connection, connection.scheme)


def _probe_xapi(connection: Connection) -> bool:
    from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.xapi import is_xapi

    return is_xapi(connection)


def _load_vmware() -> Callable[[Connection], Hypervisor]:
    from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.vmware.backend import VMware

    return VMware


def _load_hyperv() -> Callable[[Connection], Hypervisor]:
    from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.backend import HyperV

    return HyperV


def _load_kvm() -> Callable[[Connection], Hypervisor]:
    from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.backend import Kvm

    return Kvm


def _load_xen() -> Callable[[Connection], Hypervisor]:
    from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.xen.backend import Xen

    return Xen


_PROBE_SECONDS = 10.0
"""Long enough for an endpoint to say who it is; a firewall that drops requests shall not hold up the next guess for a minute."""

DESCRIPTORS: tuple[Descriptor, ...] = (
    Descriptor(
        type="vmware",
        products="VMware vCenter Server or ESXi",
        default_port=443,
        environment={
            "hostname": "VMWARE_HOST",
            "port": "VMWARE_PORT",
            "username": "VMWARE_USER",
            "password": "VMWARE_PASSWORD",
            "validate_certs": "VMWARE_VALIDATE_CERTS",
        },
        probe=_probe_vsphere,
        load=_load_vmware,
    ),
    Descriptor(
        type="hyperv",
        products="Microsoft Hyper-V or a failover cluster of it",
        default_port=5986,
        environment={},
        probe=_probe_wsman,
        load=_load_hyperv,
    ),
    Descriptor(
        type="kvm",
        products="KVM with libvirt",
        default_port=22,
        environment={},
        probe=None,
        load=_load_kvm,
        named_by_uri=True,
    ),
    Descriptor(
        type="xen",
        products="XenServer or XCP-ng",
        default_port=443,
        environment={
            "hostname": "XENSERVER_HOST",
            "username": "XENSERVER_USER",
            "password": "XENSERVER_PASSWORD",
            "validate_certs": "XENSERVER_VALIDATE_CERTS",
        },
        probe=_probe_xapi,
        load=_load_xen,
    ),
)

TYPES = [descriptor.type for descriptor in DESCRIPTORS]


def has_endpoint(connection: Connection, environ: Mapping[str, str] = ENVIRONMENT) -> bool:
    """Tell whether an endpoint was named, by option or by any environment variable; else a module looks at its own machine."""
    return bool(connection.hostname or connection.uri) or _named_by_environment(connection, environ) is not None


def resolve(
    connection: Connection, environ: Mapping[str, str] = ENVIRONMENT, descriptors: Iterable[Descriptor] = DESCRIPTORS
) -> tuple[Descriptor, Connection]:
    """The backend for an endpoint, and the endpoint completed from that platform's own environment variables.

    Variables such as `VMWARE_PASSWORD` are read only once the platform is known, so that they are never sent to another.
    Raises `InvalidInput` for a type that there is not, `NotFound` when the endpoint is none of the known products, `ConnectionFailed` when
    it does not answer.
    """
    known = tuple(descriptors)
    if connection.uri:
        descriptor = _named_by_uri(connection, known)
        return descriptor, replace(connection, type=descriptor.type)
    _known_type(connection, known)
    named = _named_by_environment(connection, environ, known) if connection.hostname is None else None
    descriptor = named or _by_type(connection.type, known) or _detect(connection, known)
    complete = from_environment(connection, descriptor.environment, environ)
    complete.required("hostname")
    return descriptor, replace(complete, type=descriptor.type, port=complete.port or descriptor.default_port)


def _named_by_uri(connection: Connection, descriptors: Iterable[Descriptor]) -> Descriptor:
    """The platform that a URI means; nothing is asked. Raises `InvalidInput` when the type says another."""
    descriptor = next(known for known in descriptors if known.named_by_uri)
    if connection.type not in (AUTO, descriptor.type):
        raise InvalidInput(
            f"hypervisor.uri is {connection.uri}, which is for type {descriptor.type}, but hypervisor.type is {connection.type}: "
            "leave out one of them."
        )
    return descriptor


def _known_type(connection: Connection, descriptors: Iterable[Descriptor]) -> None:
    """Raise `InvalidInput` for a type that there is not, which an environment variable may say."""
    types = [AUTO, *(descriptor.type for descriptor in descriptors)]
    if connection.type not in types:
        raise InvalidInput(f"{connection.role}.type is '{connection.type}': say one of {', '.join(types)}.")


def _by_type(kind: str, descriptors: Iterable[Descriptor]) -> Descriptor | None:
    return next((descriptor for descriptor in descriptors if descriptor.type == kind), None)


def _named_by_environment(
    connection: Connection, environ: Mapping[str, str], descriptors: Iterable[Descriptor] = DESCRIPTORS
) -> Descriptor | None:
    return next(
        (
            descriptor
            for descriptor in descriptors
            if connection.type in (AUTO, descriptor.type) and environ.get(descriptor.environment.get("hostname", ""))
        ),
        None,
    )


def _detect(connection: Connection, descriptors: Iterable[Descriptor]) -> Descriptor:
    """Ask the endpoint who it is, before any credential is sent."""
    connection.required("hostname")
    known = [(descriptor, descriptor.probe) for descriptor in descriptors if descriptor.probe]
    silences: list[ConnectionFailed] = []
    for descriptor, probe in known:
        port, patience = connection.port or descriptor.default_port, min(connection.timeout, _PROBE_SECONDS)
        try:
            if probe(replace(connection, port=port, timeout=patience)):
                return descriptor
        except ConnectionFailed as silence:
            silences.append(silence)
    if len(silences) == len(known):
        raise silences[0] if connection.port else _nothing_answers(silences)
    products = ", ".join(descriptor.products for descriptor, _probe in known)
    raise NotFound(f"The endpoint {connection} answers but is none of: {products}; check hypervisor.hostname and hypervisor.port.")


def _nothing_answers(silences: Iterable[ConnectionFailed]) -> ConnectionFailed:
    told = "; ".join(str(silence).rstrip(".") for silence in silences)
    return ConnectionFailed(f"{told}; name hypervisor.type and hypervisor.port if it is none of these.")
