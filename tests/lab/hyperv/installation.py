# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A machine as its clients meet it: which namespaces it has, and who provides them."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path

from tests.lab.hyperv.estate import Estate
from tests.lab.hyperv.machines import ABSENT, RUNNING, Machine
from tests.lab.hyperv.mof import Schema, read_schema
from tests.lab.hyperv.namespaces import Handler, Namespace, Provider
from tests.lab.hyperv.providers import cimv2, cluster, hba, silent_cluster, storage, virtualization
from tests.lab.hyperv.shells import Shells
from tests.lab.hyperv.wsman import Product, Service

CLASSES = Path(__file__).parent / "classes"
PRODUCT = Product(f"OS: {cimv2.VERSION} SP: 0.0 Stack: 3.0")


@cache
def schema(name: str) -> Schema:
    """Return the classes of ``classes/NAME.mof``."""
    return read_schema(CLASSES / f"{name}.mof")


def service(estate: Estate, name: str) -> Service:
    """Return the WS-Management service of a machine, until the estate is reset."""
    namespaces = {namespace.name.lower(): namespace for namespace in _namespaces(estate, estate.machines[name])}
    return Service(name, namespaces, Shells(estate.files[name].run))


def _namespaces(estate: Estate, machine: Machine) -> Iterable[Namespace]:
    cimv2_schema, storage_schema, wmi_schema = schema("cimv2"), schema("storage"), schema("wmi")
    cimv2_provider = cimv2.provider(estate, machine)
    yield Namespace("root/cimv2", cimv2_schema, [cimv2_provider], machine.short)
    yield Namespace("root/default", cimv2_schema, [Provider({}, _registry(cimv2_provider))], machine.short)
    yield Namespace("root/microsoft/windows/storage", storage_schema, [storage.provider(estate, machine, storage_schema)], machine.short)
    yield Namespace("root/wmi", wmi_schema, [hba.provider(machine, wmi_schema)], machine.short)
    if machine.role == "host":
        virtual = schema("virtualization")
        yield Namespace("root/virtualization/v2", virtual, [virtualization.provider(estate, machine, virtual)], machine.short)
    if machine.cluster_service != ABSENT:
        cluster_schema = schema("mscluster")
        answering = machine.cluster_service == RUNNING
        provider = cluster.provider(estate, machine, cluster_schema) if answering else silent_cluster.provider(cluster_schema)
        yield Namespace("root/mscluster", cluster_schema, [provider], machine.short)


def _registry(provider: Provider) -> dict[tuple[str, str], Handler]:
    return {name: handler for name, handler in provider.methods.items() if name[0] == "StdRegProv"}
