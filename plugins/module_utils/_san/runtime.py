# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What every module's `main` shares: the one place where errors become messages, and secrets are kept out of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.crossvisor.san.plugins.module_utils._san import ending
from ansible_collections.crossvisor.san.plugins.module_utils._san.connection import Connection
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import CrossvisorError


def run(module: AnsibleModule, action: Callable[[], Mapping[str, Any]]) -> None:
    """Do a module's work and return its result; a foreseeable failure is told in its one sentence, and so is the end by a signal."""
    try:
        with ending.as_exception():
            result = dict(action())
        for warning in result.pop("warnings", ()):
            module.warn(warning)
        module.exit_json(**result)
    except CrossvisorError as error:
        module.fail_json(msg=f"{str(error).rstrip('.')}.")
    except ending.Ended as end:
        module.fail_json(msg=f"This task was ended by {end} and has logged out everywhere: run it again, which finishes what it had begun.")


def kept_secret(module: AnsibleModule, complete: Connection) -> Connection:
    """The connection, whose password will be in nothing that the module says, wherever it came from."""
    if complete.password:
        module.no_log_values.add(complete.password)
    return complete
