# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A module's arguments as ansible-core hands them over, in the two forms that it has had since 2.18."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ansible.module_utils.common import json as ansible_json

try:
    from ansible.executor.module_common import _BuiltModule
except ImportError:  # ansible-core 2.18
    _BuiltModule = None

PROFILE = "legacy"
"""How arguments and results are written where a module does not say otherwise."""
_STYLE = "new"
_SHEBANG = "#!/usr/bin/python"


def encoded(arguments: Mapping[str, Any]) -> bytes:
    """Return the arguments as the module reads them."""
    return json.dumps({"ANSIBLE_MODULE_ARGS": arguments}, **_encoder()).encode()


def built(payload: bytes, path: str) -> Any:
    """Return what `ActionBase._configure_module` returns for a module that is packed."""
    if _BuiltModule is None:
        return _STYLE, _SHEBANG, payload, path
    return _BuiltModule(b_module_data=payload, module_style=_STYLE, shebang=_SHEBANG, serialization_profile=PROFILE), path


def _encoder() -> dict[str, Any]:
    if _BuiltModule is None:
        return {"cls": ansible_json.AnsibleJSONEncoder, "vault_to_text": True}
    return {"cls": ansible_json.get_module_encoder(PROFILE, ansible_json.Direction.CONTROLLER_TO_MODULE)}
