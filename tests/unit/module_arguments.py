# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a test hands arguments to a module: ansible-core has a helper of its own only since 2.19."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from importlib import import_module
from typing import Any
from unittest import mock

from ansible.module_utils import basic
from ansible.module_utils.common import warnings


@contextmanager
def module_arguments(arguments: Mapping[str, Any]) -> Iterator[None]:
    """Give every ``AnsibleModule`` that is made in this context these arguments, and let it be alone in its process."""
    encoded = json.dumps({"ANSIBLE_MODULE_ARGS": arguments}).encode()
    with ExitStack() as alone:
        alone.enter_context(mock.patch.object(basic, "_ANSIBLE_ARGS", encoded))
        alone.enter_context(mock.patch.object(basic, "_ANSIBLE_PROFILE", "legacy", create=True))  # 2.18 has none
        alone.enter_context(mock.patch.object(warnings, "_global_warnings", type(warnings._global_warnings)()))
        alone.enter_context(_outside_of_the_controller())
        yield


def _outside_of_the_controller() -> AbstractContextManager[Any]:
    """Let its warnings go into its result although a test of this process has imported the controller's templating."""
    try:
        internal = import_module("ansible.module_utils._internal")
    except ImportError:  # before 2.18
        return nullcontext()
    return mock.patch.object(internal, "is_controller", False, create=True)  # 2.18 has none
