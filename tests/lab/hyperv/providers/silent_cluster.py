# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

r"""root\MSCluster where the clustering feature is installed and no cluster service runs: nobody answers for its classes."""

from __future__ import annotations

from typing import NoReturn

from tests.lab.hyperv.faults import win32
from tests.lab.hyperv.mof import Schema
from tests.lab.hyperv.namespaces import Call, Provider

NOT_REGISTERED = 1753


def provider(schema: Schema) -> Provider:
    """Return what refuses whatever the namespace is asked."""
    classes = schema.values()
    return Provider(
        {cim_class.name: _refuse for cim_class in classes},
        {(cim_class.name, method.name): _refuse for cim_class in classes for method in cim_class.methods.values()},
    )


def _refuse(_call: Call | None = None) -> NoReturn:
    raise win32(NOT_REGISTERED, "There are no more endpoints available from the endpoint mapper. ")
