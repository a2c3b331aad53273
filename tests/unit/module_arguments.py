# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a test hands arguments to a module: ansible-core has a helper of its own only since 2.19."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from unittest import mock

from ansible.module_utils import basic


@contextmanager
def module_arguments(arguments: Mapping[str, Any]) -> Iterator[None]:
    """Give every ``AnsibleModule`` that is made in this context these arguments."""
    encoded = json.dumps({"ANSIBLE_MODULE_ARGS": arguments}).encode()
    profile = mock.patch.object(basic, "_ANSIBLE_PROFILE", "legacy", create=True)  # 2.18 has none
    with mock.patch.object(basic, "_ANSIBLE_ARGS", encoded), profile:
        yield
