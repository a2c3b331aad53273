# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""NTLM on the server's side, with the message encryption of WinRM (MS-WSMV 2.2.9.1), by pyspnego."""

from __future__ import annotations

import base64
import os
import tempfile
from pathlib import Path

import spnego
from spnego.exceptions import SpnegoError

SCHEMES = ("Negotiate", "NTLM")
PROTOCOL = "application/HTTP-SPNEGO-session-encrypted"
BOUNDARY = b"--Encrypted Boundary"
CONTENT_TYPE = f'multipart/encrypted;protocol="{PROTOCOL}";boundary="Encrypted Boundary"'
_OCTETS = b"\tContent-Type: application/octet-stream\r\n"


class Denied(Exception):
    """The client is not who it says, or its message is not what it sent."""


def keep_account(username: str, password: str) -> Path:
    """Tell pyspnego the only account, by a file for this process' user alone; return the file, which the caller removes at the end."""
    domain, _between, name = username.rpartition("\\")
    descriptor, path = tempfile.mkstemp(prefix="lab-ntlm-")
    with os.fdopen(descriptor, "w", encoding="utf-8") as accounts:
        accounts.write(f"{domain}:{name}:{password}\n")
    os.environ["NTLM_USER_FILE"] = path
    return Path(path)


class Session:
    """The security context of one connection."""

    def __init__(self) -> None:
        self._context: spnego.ContextProxy | None = None
        self.established = False

    def step(self, header: str) -> bytes | None:
        """Take the client's token and return the answering one, None at the end; raises Denied."""
        token = header.partition(" ")[2]
        if self._context is None or self.established:
            self._context, self.established = spnego.server(protocol="negotiate"), False
        try:
            answer = self._context.step(base64.b64decode(token, validate=True))
        except (SpnegoError, ValueError) as error:
            self._context = None
            raise Denied(str(error)) from error
        self.established = self._context.complete
        return answer

    def unseal(self, raw: bytes) -> bytes:
        """Return the message in an encrypted body; raises Denied."""
        header, _between, rest = raw.partition(_OCTETS)
        end = rest.rfind(BOUNDARY + b"--")
        if self._context is None or b"Length=" not in header or end < 0:
            raise Denied("the body is not encrypted as its type says")
        length = int(header.rpartition(b"Length=")[2].split(b"\r\n")[0])
        sealed = rest[:end]
        size = int.from_bytes(sealed[:4], "little")
        try:
            message = self._context.unwrap_winrm(sealed[4 : 4 + size], sealed[4 + size :])
        except SpnegoError as error:
            raise Denied(str(error)) from error
        if len(message) != length:
            raise Denied("the message has not the length that it states")
        return message

    def seal(self, message: bytes) -> bytes:
        """Return the message as an encrypted body."""
        if self._context is None:
            raise Denied("there is no security context")
        sealed = self._context.wrap_winrm(message)
        return (
            BOUNDARY
            + f"\r\n\tContent-Type: {PROTOCOL}\r\n".encode()
            + f"\tOriginalContent: type=application/soap+xml;charset=UTF-8;Length={len(message)}\r\n".encode()
            + BOUNDARY
            + b"\r\n"
            + _OCTETS
            + len(sealed.header).to_bytes(4, "little")
            + sealed.header
            + sealed.data
            + BOUNDARY
            + b"--\r\n"
        )
