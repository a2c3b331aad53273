# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Actions that run their module in a fork of the playbook's worker, because packing a module and starting a Python for it takes longer
than most of them work.

Only the last two links of Ansible's own chain are replaced, how the module is packed and how the pack is run: arguments, environment,
defaults, check mode, the reading of the result and all that comes of it are Ansible's own code (`ActionBase._execute_module`), as for
every module. Where the module would not run with the same Python on the same machine as the same user, nothing is replaced.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from importlib import import_module
from typing import Any

from ansible import constants
from ansible.plugins.action import ActionBase
from ansible.utils.vars import merge_hash

from ansible_collections.crossvisor.san.plugins.plugin_utils._child import run_in_child
from ansible_collections.crossvisor.san.plugins.plugin_utils._interpreter import is_own_interpreter
from ansible_collections.crossvisor.san.plugins.plugin_utils._payload import built, encoded
from ansible_collections.crossvisor.san.plugins.plugin_utils._slowly import Slowly

SWITCH = "CROSSVISOR_IN_PROCESS"
"""Environment variable of the controller: false lets every module run as Ansible runs any."""

_MODULES = "ansible_collections.crossvisor.san.plugins.modules"
_HEAVY = ("requests", "lxml.etree")
_OF_THE_START = ("PYTHON", "LD_", "DYLD_")
"""Variables that a program reads only when it starts."""


def preload(action: str) -> None:
    """Import the module of this action and what it takes longest to import.

    Ansible loads an action once in the process from which it forks all workers, which so inherit it. What cannot be imported is left to
    the module, which says so.
    """
    for name in (*_HEAVY, f"{_MODULES}.{_leaf(action)}"):
        with suppress(Exception):
            import_module(name)


class InProcessAction(ActionBase):  # type: ignore[misc]  # ansible-core has no types
    """Runs the module of the task's name."""

    _supports_check_mode = True
    _supports_async = True
    _in_process = False
    _payload: bytes = b""

    def run(self, tmp: None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return what the module returns."""
        variables = {} if task_vars is None else task_vars
        result = super().run(tmp, variables)
        wrap_async = bool(self._task.async_val) and not getattr(self._connection, "has_native_async", False)
        self._in_process = not wrap_async and self._is_the_same_here(variables)
        result = merge_hash(result, self._execute_module(task_vars=variables, wrap_async=wrap_async))
        if not wrap_async:
            self._remove_tmp_path(self._connection._shell.tmpdir)
        return dict(result)

    def _is_the_same_here(self, variables: Mapping[str, Any]) -> bool:
        return (
            os.environ.get(SWITCH, "true").lower() not in ("false", "no", "off", "0")
            and self._connection.transport == "local"
            and self._connection.become is None
            and not constants.DEFAULT_KEEP_REMOTE_FILES
            and is_own_interpreter(self._interpreter(variables))
            and not any(str(name).startswith(_OF_THE_START) for name in self._environment())
        )

    def _interpreter(self, variables: Mapping[str, Any]) -> str | None:
        delegate = self._task.delegate_to
        known = variables.get("ansible_delegated_vars", {}).get(delegate, {}) if delegate else variables
        named = constants.config.get_config_value("INTERPRETER_PYTHON", variables=known)
        return None if named is None else str(self._templar.template(named))

    def _environment(self) -> dict[str, Any]:
        environment: dict[str, Any] = {}
        self._compute_environment_string(environment)
        return environment

    def _is_pipelining_enabled(self, module_style: str, wrap_async: bool = False) -> bool:
        """Whether nothing needs to be copied anywhere: so no temporary directory is made."""
        return self._in_process or bool(super()._is_pipelining_enabled(module_style, wrap_async))

    def _configure_module(self, module_name: str, module_args: Mapping[str, Any], task_vars: Any) -> Any:
        """Return what Ansible takes for a packed module: here it is the arguments alone."""
        if not self._in_process:
            return super()._configure_module(module_name, module_args, task_vars)
        found = self._shared_loader_obj.module_loader.find_plugin_with_context(module_name, ".py", collection_list=self._task.collections)
        self._payload = encoded(module_args)
        return built(self._payload, found.plugin_resolved_path)

    def _low_level_execute_command(self, cmd: str, *arguments: Any, in_data: bytes | None = None, **options: Any) -> dict[str, Any]:
        """Run the module where the command is the one that would start it."""
        if not self._in_process or in_data is not self._payload:
            return dict(super()._low_level_execute_command(cmd, *arguments, in_data=in_data, **options))
        module = f"{_MODULES}.{_leaf(type(self).__module__)}"
        environment = {str(name): str(value) for name, value in self._environment().items()}
        ended = run_in_child(module, self._payload, environment, self._loader.get_basedir(), self._slowly())
        out, err = (text.decode(errors="replace") for text in (ended.stdout, ended.stderr))
        return {"rc": ended.status, "stdout": out, "stdout_lines": out.splitlines(), "stderr": err, "stderr_lines": err.splitlines()}

    def _slowly(self) -> Slowly:
        """Prints what takes long, beside the results: a program that reads those as JSON is not disturbed, and asks for no more."""
        if str(constants.DEFAULT_STDOUT_CALLBACK).endswith(("json", "jsonl")) or self._task.no_log:
            return Slowly(lambda _text: None)
        host = self._play_context.remote_addr
        return Slowly(lambda text: self._display.display(f"[{host}] {text}", stderr=True))


def _leaf(name: str) -> str:
    return name.rpartition(".")[2]
