# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The pool of storage array implementations: which there are, and loading just the one that is needed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.base import Array, Descriptor
from ansible_collections.crossvisor.san.plugins.module_utils._san.connection import AUTO, ENVIRONMENT, Connection, from_environment
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import InvalidInput


def _load_either() -> Callable[[Connection], Array]:
    from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_either import open_either

    return open_either


def _load_ontap() -> Callable[[Connection], Array]:
    from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_rest.backend import OntapRest

    return OntapRest


def _load_ontap_zapi() -> Callable[[Connection], Array]:
    from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_zapi.backend import OntapZapi

    return OntapZapi


DESCRIPTORS: tuple[Descriptor, ...] = (
    Descriptor(
        type="ontap",
        products="NetApp ONTAP 9.11.1 or later",
        default_port=443,
        environment={},
        load=_load_ontap,
    ),
    Descriptor(
        type="ontap_zapi",
        products="NetApp ONTAP 9.8 to 9.17 over ZAPI",
        default_port=443,
        environment={},
        load=_load_ontap_zapi,
    ),
)
AUTOMATIC = Descriptor(type="ontap", products="NetApp ONTAP by REST, else over ZAPI", default_port=443, environment={}, load=_load_either)

TYPES = [descriptor.type for descriptor in DESCRIPTORS]


def resolve(connection: Connection, environ: Mapping[str, str] = ENVIRONMENT) -> tuple[Descriptor, Connection]:
    """The backend for an array, and the connection completed. Raises `InvalidInput` for another type, and when there is no hostname."""
    by_type = {AUTO: AUTOMATIC, **{descriptor.type: descriptor for descriptor in DESCRIPTORS}}
    descriptor = by_type.get(connection.type)
    if descriptor is None:
        raise InvalidInput(f"array.type is '{connection.type}': say one of {', '.join([AUTO, *TYPES])}.")
    complete = from_environment(connection, descriptor.environment, environ)
    complete.required("hostname")
    return descriptor, replace(complete, type=descriptor.type, port=complete.port or descriptor.default_port)
