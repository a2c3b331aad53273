# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Renders templates with Ansible: one JSON object `{"template", "variables"}` a line in, `{"text"}` or `{"error"}` a line out.

It is a process of its own because Ansible finds plugins by full name only through its import hook, which has to be there before the
first import of a collection; in the process of the tests that would depend on their order.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from ansible.errors import AnsibleError
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import init_plugin_loader
from ansible.template import Templar

try:
    from ansible.template import trust_as_template
except ImportError:  # ansible-core 2.18 trusts every text that is not marked, and reads one that looks like a dictionary as such
    from ansible.utils.unsafe_proxy import wrap_var as from_elsewhere

    trust_as_template = str
    AS_TEXT = {"convert_data": False}
else:
    AS_TEXT = {}

    def from_elsewhere(variables: Any) -> Any:
        return variables


def _answer(template: str, variables: dict[str, Any]) -> dict[str, str]:
    try:
        return {
            "text": str(Templar(loader=DataLoader(), variables=from_elsewhere(variables)).template(trust_as_template(template), **AS_TEXT))
        }
    except AnsibleError as error:
        return {"error": str(error)}


if __name__ == "__main__":
    init_plugin_loader()
    for line in sys.stdin:
        print(json.dumps(_answer(**json.loads(line))), flush=True)
