# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Usage on a KVM host: pr_helper.py SOCKET DEVICE register|reserve|keys|holder KEY

Sends one PERSISTENT RESERVE command to a `qemu-pr-helper`, as the QEMU of a VM does (QEMU, docs/interop/pr-helper.rst; commands: SPC-3,
6.11 and 6.12), and prints the SCSI status and, in hexadecimal digits, what the LUN answers.
"""

from __future__ import annotations

import array
import os
import socket
import struct
import sys

WRITE_EXCLUSIVE_REGISTRANTS_ONLY = 5
SENSE_BYTES = 96
ANSWER_BYTES = 8192
IN, OUT = 0x5E, 0x5F


def commands(key: int) -> dict[str, tuple[bytes, bytes]]:
    """Return the command block and the parameters of each word."""
    register = struct.pack(">QQQ", 0, key, 0)
    reserve = struct.pack(">QQQ", key, 0, 0)
    return {
        "register": (struct.pack(">BBBHIB6x", OUT, 0, 0, 0, len(register), 0), register),
        "reserve": (struct.pack(">BBBHIB6x", OUT, 1, WRITE_EXCLUSIVE_REGISTRANTS_ONLY, 0, len(reserve), 0), reserve),
        "keys": (struct.pack(">BB5xHB6x", IN, 0, ANSWER_BYTES, 0), b""),
        "holder": (struct.pack(">BB5xHB6x", IN, 1, ANSWER_BYTES, 0), b""),
    }


def send(path: str, device: str, command: bytes, parameters: bytes) -> tuple[int, bytes]:
    """Return the SCSI status and the answer."""
    with socket.socket(socket.AF_UNIX) as helper:
        helper.connect(path)
        helper.recv(4, socket.MSG_WAITALL)
        helper.sendall(bytes(4))
        opened = os.open(device, os.O_RDWR)
        try:
            helper.sendmsg([command], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [opened]))])
            helper.sendall(parameters)
            status, length = struct.unpack(">iI", helper.recv(8, socket.MSG_WAITALL))
            helper.recv(SENSE_BYTES, socket.MSG_WAITALL)
            return status, helper.recv(length, socket.MSG_WAITALL) if length else b""
        finally:
            os.close(opened)


if __name__ == "__main__":
    path, device, word, key = sys.argv[1:]
    status, answer = send(path, device, *commands(int(key, 16))[word])
    print(status, answer.hex())
