# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The filter `metrics`: the storage map as a textfile for Prometheus."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import InvalidInput
from ansible_collections.crossvisor.san.plugins.module_utils._san.maps import metrics as prometheus
from ansible_collections.crossvisor.san.plugins.module_utils._san.maps.document import checked


def metrics(document: object) -> str:
    """The map in Prometheus' text format."""
    try:
        return prometheus.metrics(checked(document))
    except InvalidInput as error:
        raise AnsibleFilterError(str(error)) from None


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"metrics": metrics}
