# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How modules are told where a hypervisor or an array is: one argument spec each, with environment fallbacks.

The documentation of these options is in plugins/doc_fragments/.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import InvalidInput

HYPERVISOR = "hypervisor"
ARRAY = "array"
GUEST = "guest"
AUTO = "auto"
ENVIRONMENT: Mapping[str, str] = MappingProxyType(os.environ)

_TRUE = frozenset({"1", "true", "yes", "on", "y", "t"})
_FALSE = frozenset({"0", "false", "no", "off", "n", "f"})


@dataclass(frozen=True)
class Connection:
    """An endpoint and the credentials for it. `None` is for what nobody has said yet."""

    role: str
    """`hypervisor`, `array` or `guest`, for messages."""
    type: str = AUTO
    hostname: str | None = None
    port: int | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    validate_certs: bool | None = None
    ca_path: str | None = None
    timeout: float = 60.0
    """Seconds for one request."""
    transport: str | None = None
    """How to log in to Windows: one of `wire.wsman_transport.TRANSPORTS`."""
    scheme: str | None = None
    """`http` or `https`, where a platform speaks both."""
    client_cert: str | None = None
    client_key: str | None = None
    """PEM files of a client certificate and its key."""
    nodes: Mapping[str, str] | None = None
    """Name of a cluster node → `address` or `address:port`, for nodes that are not reached by their names."""
    uri: str | None = None
    """A libvirt connection URI, which names a KVM host instead of `hostname`."""

    def __post_init__(self) -> None:
        if self.hostname:
            _refuse_more_than_a_name(self.role, self.hostname)

    def __str__(self) -> str:
        if self.uri:
            return self.uri
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
                f"{self.role}.{option} is not set: give it in the task, in the variable {self.role} of a playbook, or as "
                f"{_variable(self.role, option)} in the environment."
            )
        return str(value)


_HOST = re.compile(
    r"(?P<scheme>[a-z0-9+.-]+://)?(?:(?P<user>[^@/:\s]+)(?P<secret>:[^@/]*)?@)?"
    r"(?P<name>\[[^\]\s]*\]|[^:/@\s]*(?::[^/@\s]*:[^/@\s]*)?)(?::(?P<port>\d+))?(?:/.*)?",
    re.IGNORECASE,
)
"""What people write for a host: its name, or a URL that holds more. An IPv6 address has two colons at least."""


def _refuse_more_than_a_name(role: str, hostname: str) -> None:
    """Raise `InvalidInput` for a hostname that is a URL, or holds the port or the account too. A password in it is not told."""
    parts = _HOST.fullmatch(hostname.strip())
    if parts is None or not parts["name"]:
        raise InvalidInput(f"{role}.hostname is not the name or address of a host: give just that, such as host.example.com.")
    if parts["name"] == hostname:
        return
    more = "".join(f", and {parts[part]} as {role}.{option}" for part, option in (("port", "port"), ("user", "username")) if parts[part])
    shown = hostname.replace(parts["secret"], ":…") if parts["secret"] else hostname
    whole = f", or the whole as {role}.uri" if (parts["scheme"] or "").lower().startswith("qemu") and role == HYPERVISOR else ""
    raise InvalidInput(f"{role}.hostname is '{shown}': give the name or address alone, {parts['name'].strip('[]')}{more}{whole}.")


_COMMON: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "hostname": {"type": "str"},
        "port": {"type": "int"},
        "username": {"type": "str"},
        "password": {"type": "str", "no_log": True},
        "validate_certs": {"type": "bool"},
        "ca_path": {"type": "path"},
        "timeout": {"type": "float"},
    }
)
_WINDOWS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "transport": {"type": "str"},
        "scheme": {"type": "str"},
        "client_cert": {"type": "path"},
        "client_key": {"type": "path", "no_log": False},
    }
)
_WORDS: Mapping[str, Sequence[str]] = MappingProxyType(
    {"transport": ("ntlm", "kerberos", "credssp", "basic", "certificate"), "scheme": ("https", "http")}
)
"""Options that are one of some words, in whatever case people write them, as NTLM; the choices of an argument spec know only one."""
_OPTIONS: Mapping[str, Mapping[str, Mapping[str, Any]]] = MappingProxyType(
    {
        HYPERVISOR: {"type": {"type": "str"}, **_COMMON, **_WINDOWS, "nodes": {"type": "dict"}, "uri": {"type": "str"}},
        ARRAY: {"type": {"type": "str"}, **_COMMON},
        GUEST: {**_COMMON, **_WINDOWS},
    }
)
"""The options of each role; the type is the only one without a twin among the fields that may be unset."""


def _variable(role: str, option: str) -> str:
    return f"CROSSVISOR_{role.upper()}_{option.upper()}"


def connection_option(role: str, types: Sequence[str] = (), **settings: Any) -> dict[str, Any]:
    """The argument spec of the option for a role, or of a list of such endpoints, for these backend types."""
    options = {name: dict(spec) for name, spec in _OPTIONS[role].items()}
    if "type" in options:
        options["type"]["choices"] = [AUTO, *types]
    return {"type": "dict", **settings, "options": options}


def _typed(variable: str, kind: str, text: str) -> Any:
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
    if kind == "dict":
        return _pairs(variable, text)
    return text


def _pairs(variable: str, text: str) -> dict[str, str]:
    pairs = [item.partition("=") for item in text.split(",") if item.strip()]
    if not all(name.strip() and value.strip() for name, _equals, value in pairs):
        raise InvalidInput(f"{variable} is '{text}': write it as name=value,name=value.")
    return {name.strip(): value.strip() for name, _equals, value in pairs}


def from_environment(connection: Connection, variables: Mapping[str, str], environ: Mapping[str, str] = ENVIRONMENT) -> Connection:
    """Fill what is still unset from the environment; `variables` names one per option."""
    options = _OPTIONS[connection.role]
    unset = {
        option: _typed(variable, options[option]["type"], environ[variable])
        for option, variable in variables.items()
        if environ.get(variable) and getattr(connection, option) is None
    }
    return replace(connection, **unset)


def _in_small_letters(connection: Connection) -> Connection:
    """The connection with its words as the code compares them. Raises `InvalidInput` for one that is none of them."""
    words = {option: getattr(connection, option) for option in _WORDS if getattr(connection, option)}
    for option, word in words.items():
        if word.lower() not in _WORDS[option]:
            raise InvalidInput(
                f"{connection.role}.{option} (or {_variable(connection.role, option)}) is '{word}': say one of {', '.join(_WORDS[option])}."
            )
    return replace(connection, type=connection.type.lower(), **{option: word.lower() for option, word in words.items()})


def connection(role: str, params: Mapping[str, Any] | None, environ: Mapping[str, str] = ENVIRONMENT) -> Connection:
    """The endpoint that a module was given, completed from `CROSSVISOR_<ROLE>_<OPTION>` variables.

    Its `hostname` is None when there is no endpoint at all. Raises `InvalidInput` for what is malformed.
    """
    given = {option: value for option, value in (params or {}).items() if value is not None}
    kind = given.get("type") or environ.get(_variable(role, "type")) or AUTO
    timeout = given.pop("timeout", None)
    if timeout is None:
        variable = _variable(role, "timeout")
        timeout = _typed(variable, "float", environ[variable]) if environ.get(variable) else Connection.timeout
    given["type"] = kind
    variables = {option: _variable(role, option) for option in _OPTIONS[role] if option not in ("type", "timeout")}
    return _in_small_letters(from_environment(Connection(role=role, timeout=timeout, **given), variables, environ))
