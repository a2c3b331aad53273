# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How modules are told where a hypervisor or an array is: one argument spec each, with environment fallbacks.

The documentation of these options is in plugins/doc_fragments/.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from ansible_collections.crossvisor.san.plugins.module_utils.errors import InvalidInput

HYPERVISOR = "hypervisor"
ARRAY = "array"
AUTO = "auto"
ENVIRONMENT: Mapping[str, str] = MappingProxyType(os.environ)

_TRUE = frozenset({"1", "true", "yes", "on", "y", "t"})
_FALSE = frozenset({"0", "false", "no", "off", "n", "f"})


@dataclass(frozen=True)
class Connection:
    """An endpoint and the credentials for it. `None` is for what nobody has said yet."""

    role: str
    """`hypervisor` or `array`, for messages."""
    type: str = AUTO
    hostname: str | None = None
    port: int | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    validate_certs: bool | None = None
    ca_path: str | None = None
    timeout: float = 60.0
    """Seconds for one request."""

    def __str__(self) -> str:
        return f"{self.hostname}:{self.port}" if self.port else str(self.hostname)

    @property
    def verify(self) -> bool | str:
        """What `requests` takes as `verify`: certificates are checked unless the user said no."""
        if self.validate_certs is False:
            return False
        return self.ca_path or True

    def required(self, option: str) -> str:
        """The value of an option. Raises `InvalidInput` when it was given neither as option nor in the environment."""
        value = getattr(self, option)
        if value in (None, ""):
            raise InvalidInput(
                f"{self.role}.{option} is not set: give it in the task, or as {_variable(self.role, option)} in the environment."
            )
        return str(value)


_OPTIONS: dict[str, dict[str, Any]] = {
    "type": {"type": "str"},
    "hostname": {"type": "str"},
    "port": {"type": "int"},
    "username": {"type": "str"},
    "password": {"type": "str", "no_log": True},
    "validate_certs": {"type": "bool"},
    "ca_path": {"type": "path"},
    "timeout": {"type": "float"},
}


def _variable(role: str, option: str) -> str:
    return f"CROSSVISOR_{role.upper()}_{option.upper()}"


def connection_option(types: list[str], **settings: Any) -> dict[str, Any]:
    """The argument spec of a `hypervisor`, `array` or `arrays` option, for these backend types."""
    options = {name: dict(spec) for name, spec in _OPTIONS.items()}
    options["type"]["choices"] = [AUTO, *types]
    return {"type": "dict", **settings, "options": options}


def _typed(variable: str, option: str, text: str) -> Any:
    kind = _OPTIONS[option]["type"]
    try:
        if kind == "int":
            return int(text)
        if kind == "float":
            return float(text)
    except ValueError:
        raise InvalidInput(f"{variable} is '{text}', which is not a number.") from None
    if kind == "bool":
        if text.lower() in _TRUE | _FALSE:
            return text.lower() in _TRUE
        raise InvalidInput(f"{variable} is '{text}': say true or false.")
    return text


def from_environment(connection: Connection, variables: Mapping[str, str], environ: Mapping[str, str] = ENVIRONMENT) -> Connection:
    """Fill what is still unset from the environment; `variables` names one per option."""
    unset = {
        option: _typed(variable, option, environ[variable])
        for option, variable in variables.items()
        if environ.get(variable) and getattr(connection, option) is None
    }
    return replace(connection, **unset)


def connection(role: str, params: Mapping[str, Any] | None, environ: Mapping[str, str] = ENVIRONMENT) -> Connection:
    """The endpoint that a module was given, completed from `CROSSVISOR_<ROLE>_<OPTION>` variables.

    Its `hostname` is None when there is no endpoint at all. Raises `InvalidInput` for a variable that is malformed.
    """
    given = {option: value for option, value in (params or {}).items() if value is not None}
    kind = given.get("type") or environ.get(_variable(role, "type")) or AUTO
    timeout = given.pop("timeout", None)
    if timeout is None:
        variable = _variable(role, "timeout")
        timeout = _typed(variable, "timeout", environ[variable]) if environ.get(variable) else Connection.timeout
    given["type"] = kind
    variables = {option: _variable(role, option) for option in _OPTIONS if option not in ("type", "timeout")}
    return from_environment(Connection(role=role, timeout=timeout, **given), variables, environ)
