# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The action groups, by which `module_defaults` gives a connection once to all modules that take it."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.live.commands import Commands
from tests.live.modules import ROOT

GROUPS = {
    name: members for name, members in yaml.safe_load((ROOT / "meta/runtime.yml").read_text())["action_groups"].items() if name != "all"
}
NOBODY = {"hostname": "127.0.0.1", "port": 1, "username": "somebody", "password": "something"}
DEFAULTS = {"array": NOBODY, "guest": NOBODY, "hypervisor": {**NOBODY, "type": "vmware"}}
OTHERWISE: dict[str, dict[str, Any]] = {
    "guest_windows_volume": {"naa": "600a098038304c61622d616161616131"},
    "lun_block_owner": {"naa": "600a098038304c61622d616161616131", "lbas": [0]},
    "lun_provision": {"state": "absent", "naa": "600a098038304c61622d616161616131", "assume_unused": True},
    "lun_snapshot": {"luns": [{"naa": "600a098038304c61622d616161616131"}], "name": "s1"},
    "lun_snapshot_info": {"luns": [{"naa": "600a098038304c61622d616161616131"}]},
    "ptd_attach": {"vm": "app01", "naa": "600a098038304c61622d616161616131"},
    "virtual_block_address": {"vm": "app01"},
    "vm_freeze": {"vm": "app01", "state": "thawed"},
}
"""What a module wants beside its connection."""


def documentation(module: str) -> dict[str, Any]:
    tree = ast.parse((ROOT / f"plugins/modules/{module}.py").read_text())
    (text,) = (node.value for node in tree.body if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "DOCUMENTATION")
    return dict(yaml.safe_load(ast.literal_eval(text)))


def takers(option: str) -> set[str]:
    """The modules that take a connection, but for those that take another one instead."""
    modules = [file.stem for file in (ROOT / "plugins/modules").glob("*.py")]
    fragments = {module: documentation(module)["extends_documentation_fragment"] for module in modules}
    return {module for module, used in fragments.items() if f"crossvisor.san.{option}" in used} - (
        {"hypervisor_facts"} if option == "guest" else set()
    )


@pytest.mark.parametrize("group", DEFAULTS)
def test_a_group_is_all_modules_that_take_the_connection(group: str) -> None:
    assert set(GROUPS[group]) == takers(group)


def test_each_module_of_each_group_gets_its_connection(tmp_path: Path) -> None:
    modules = sorted({module for members in GROUPS.values() for module in members})
    playbook = [
        {
            "hosts": "localhost",
            "gather_facts": False,
            "vars": {"ansible_python_interpreter": "{{ ansible_playbook_python }}"},
            "module_defaults": {f"group/crossvisor.san.{group}": {group: connection} for group, connection in DEFAULTS.items()},
            "tasks": [
                {"name": module, f"crossvisor.san.{module}": OTHERWISE.get(module, {}), "ignore_errors": True, "register": module}
                for module in modules
            ]
            + [{"ansible.builtin.set_stats": {"data": {module: f"{{{{ {module}.msg }}}}" for module in modules}}}],
        }
    ]
    (tmp_path / "groups.json").write_text(json.dumps(playbook))
    run = Commands(tmp_path).playbook("groups.json")
    assert run.code == 0, run.output
    assert {module: "127.0.0.1:1" in message for module, message in run.statistics.items()} == dict.fromkeys(modules, True), run.statistics
