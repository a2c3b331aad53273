# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Libvirt connection URIs of KVM hosts: `qemu[+transport]://[user@][host][:port]/system[?option=value]` (libvirt.org/uri.html)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from ansible_collections.crossvisor.san.plugins.module_utils._san.connection import Connection
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import InvalidInput

_DRIVER = "qemu"
_SSH = frozenset({"ssh", "libssh", "libssh2"})
_PATHS = frozenset({"/system", "/session", "/embed"})
_SSH_PORT = 22


@dataclass(frozen=True)
class LibvirtUri:
    """A URI, and what of it others need to know than libvirt."""

    text: str
    """As libvirt is given it."""
    host: str = ""
    """Empty for the machine on which this runs."""
    user: str = ""
    port: int | None = None
    transport: str = ""
    options: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_local(self) -> bool:
        """Whether the KVM host is the machine on which this runs."""
        return not self.host

    @property
    def ssh_command(self) -> list[str]:
        """The ssh that reaches the host as libvirt does, without ever asking for a password; empty when the URI is not over ssh."""
        if self.transport not in _SSH:
            return []
        key = ["-i", self.options["keyfile"]] if self.options.get("keyfile") else []
        unchecked = ["-o", "StrictHostKeyChecking=no"] if self.options.get("no_verify") == "1" else []
        port = ["-p", str(self.port)] if self.port else []
        user = ["-l", self.user] if self.user else []
        return [self.options.get("command") or "ssh", "-o", "BatchMode=yes", "-T", *key, *unchecked, *port, *user, "--", self.host]


def of_connection(connection: Connection) -> LibvirtUri:
    """The URI that was given, or that of the host over ssh. Raises `InvalidInput`."""
    if connection.uri:
        return parse(connection.uri)
    user = f"{connection.username}@" if connection.username else ""
    port = f":{connection.port}" if connection.port and connection.port != _SSH_PORT else ""
    host = connection.required("hostname")
    return parse(f"{_DRIVER}+ssh://{user}[{host}]{port}/system" if ":" in host else f"{_DRIVER}+ssh://{user}{host}{port}/system")


def parse(text: str) -> LibvirtUri:
    """The URI of a KVM host; one over ssh is made not to ask for a password. Raises `InvalidInput`."""
    try:
        parts = urlsplit(text.strip())
        port = parts.port
    except ValueError:
        raise _not_a_uri(text) from None
    driver, _plus, transport = parts.scheme.partition("+")
    if driver != _DRIVER or parts.path not in _PATHS or (transport in _SSH and not parts.hostname):
        raise _not_a_uri(text)
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    if transport in _SSH:
        options.setdefault("no_tty", "1")
    whole = urlunsplit((parts.scheme, parts.netloc, parts.path, urlencode(options, safe="/:"), ""))
    if not parts.netloc:  # urlunsplit would leave out the empty authority
        whole = f"{parts.scheme}://{parts.path}" + (f"?{urlencode(options, safe='/:')}" if options else "")
    return LibvirtUri(whole, parts.hostname or "", parts.username or "", port, transport or ("tls" if parts.hostname else ""), options)


def _not_a_uri(text: str) -> InvalidInput:
    return InvalidInput(
        f"'{text}' is not the libvirt URI of a KVM host: write qemu:///system for the machine on which the task runs, "
        "qemu+ssh://user@host/system or qemu+tls://host/system."
    )
