# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A client of the NBD protocol, enough of it to write to a disk that QEMU serves (the protocol's doc/proto.md)."""

from __future__ import annotations

import socket
import struct
from pathlib import Path
from types import TracebackType

_GREETING, _OPTION, _OPTION_REPLY = b"NBDMAGIC", b"IHAVEOPT", 0x0003E889045565A9
_GO, _ACKNOWLEDGED, _ERROR = 7, 1, 1 << 31
_FIXED_WITHOUT_ZEROES = 3
_REQUEST, _REPLY = struct.Struct(">IHHQQI"), struct.Struct(">IIQ")
_REQUEST_MAGIC, _REPLY_MAGIC = 0x25609513, 0x67446698
_WRITE, _FLUSH = 1, 3
_SECONDS = 60.0


class NbdClient:
    """One connection to an export. Raises `OSError` for whatever goes wrong."""

    def __init__(self, path: Path, export: str) -> None:
        self._stream = socket.socket(socket.AF_UNIX)
        self._stream.settimeout(_SECONDS)
        self._stream.connect(str(path))
        if self._read(18)[:16] != _GREETING + _OPTION:
            raise OSError(f"{path} is no NBD server")
        name = export.encode()
        data = struct.pack(">I", len(name)) + name + bytes(2)
        self._stream.sendall(struct.pack(">I", _FIXED_WITHOUT_ZEROES) + _OPTION + struct.pack(">II", _GO, len(data)) + data)
        kind = 0
        while kind != _ACKNOWLEDGED:
            magic, _option, kind, length = struct.unpack(">QIII", self._read(20))
            told = self._read(length)
            if magic != _OPTION_REPLY or kind & _ERROR:
                raise OSError(f"{path} does not serve {export}: {told!r}")

    def __enter__(self) -> NbdClient:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None) -> None:
        self._stream.close()

    def write(self, offset: int, data: bytes, cookie: int = 0) -> None:
        """Write, and wait for the answer. `cookie` is the number by which the protocol knows the request."""
        self._ask(_WRITE, offset, len(data), data, cookie)

    def flush(self) -> None:
        """Have everything that was written on stable storage."""
        self._ask(_FLUSH, 0, 0)

    def _ask(self, command: int, offset: int, length: int, data: bytes = b"", cookie: int = 0) -> None:
        self._stream.sendall(_REQUEST.pack(_REQUEST_MAGIC, 0, command, cookie, offset, length) + data)
        magic, error, answered = _REPLY.unpack(self._read(_REPLY.size))
        if magic != _REPLY_MAGIC or error or answered != cookie:
            raise OSError(error, "the NBD server refuses the request")

    def _read(self, length: int) -> bytes:
        data = bytearray()
        while len(data) < length:
            piece = self._stream.recv(length - len(data))
            if not piece:
                raise ConnectionResetError("the NBD server has gone")
            data += piece
        return bytes(data)
