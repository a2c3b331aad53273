# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A module with every kind of endpoint among its options, and what it says in the end."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
from ansible.module_utils.basic import AnsibleModule

from ansible_collections.crossvisor.san.plugins.module_utils._san import runtime
from ansible_collections.crossvisor.san.plugins.module_utils._san.endpoints import arrays, hypervisors
from tests.unit.module_arguments import module_arguments


@contextmanager
def module(**arguments: Any) -> Iterator[AnsibleModule]:
    """A module with every kind of endpoint among its options."""
    spec = {
        "hypervisor": hypervisors.hypervisor_option(),
        "hypervisors": hypervisors.hypervisors_option(),
        "array": arrays.array_option(),
        "arrays": arrays.arrays_option(),
    }
    with module_arguments(arguments):
        yield AnsibleModule(argument_spec=spec)


def told(capsys: pytest.CaptureFixture[str], there: AnsibleModule, action: Callable[[], Mapping[str, Any]]) -> dict[str, Any]:
    """What the module says in the end."""
    with pytest.raises(SystemExit):
        runtime.run(there, action)
    said: dict[str, Any] = json.loads(capsys.readouterr().out)
    return said
