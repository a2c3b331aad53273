# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The relay: what it passes is unchanged, what it writes is bounded and can be read, and it harms nothing but its own connections."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.observation.captured import Reading
from ansible_collections.crossvisor.san.plugins.module_utils._san.observation.markers import Markers
from tests.unit.iscsi_traffic import NAA, Conversation

pytestmark = pytest.mark.slow

RELAY = Path(__file__).resolve().parents[3] / "extensions" / "probes" / "iscsi_relay.py"
MARKERS = Markers(bytes(range(16)))
SECONDS = 30.0


@dataclass
class Portal:
    """A server that answers every connection with what a conversation says."""

    port: int
    heard: list[bytes]


@contextlib.contextmanager
def portal(both: Conversation) -> Iterator[Portal]:
    listener = socket.create_server(("127.0.0.1", 0))
    found = Portal(listener.getsockname()[1], [])

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                stream, _peer = listener.accept()
                stream.settimeout(SECONDS)
                threading.Thread(target=answer, args=(stream,)).start()

    def answer(stream: socket.socket) -> None:
        with stream, contextlib.suppress(OSError):
            for one in both.sent:
                if one.to_target:
                    found.heard.append(received(stream, len(one.data)))
                else:
                    stream.sendall(one.data)
            stream.recv(1)

    server = threading.Thread(target=serve)
    server.start()
    try:
        yield found
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        server.join()


def received(stream: socket.socket, length: int) -> bytes:
    data = b""
    while len(data) < length:
        piece = stream.recv(length - len(data))
        if not piece:
            raise ConnectionResetError
        data += piece
    return data


def speak(both: Conversation, stream: socket.socket) -> None:
    """The initiator's part of a conversation."""
    for one in both.sent:
        if one.to_target:
            stream.sendall(one.data)
        else:
            assert received(stream, len(one.data)) == one.data


@contextlib.contextmanager
def relay(port: int, file: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    command = [sys.executable, str(RELAY), "--listen", "127.0.0.1:0", "--portal", f"127.0.0.1:{port}", "--write", str(file), *options]
    running = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert running.stdout
    try:
        line = running.stdout.readline()
        assert line.startswith("Listening on 127.0.0.1:"), line
        yield running, int(line.split(":")[1].split()[0])
    finally:
        running.kill()
        running.wait()
        running.stdout.close()


def dial(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=SECONDS)


def conversation() -> Conversation:
    both = Conversation()
    both.log_in()
    both.identify()
    both.write(1000, MARKERS.make(1), immediate=4096)
    both.write(2000, os.urandom(200_192) + MARKERS.make(2), step=8192)
    return both


def rest_of(running: subprocess.Popen[str]) -> str:
    assert running.stdout
    return running.stdout.read()


def test_all_passes_unchanged_and_is_in_the_capture_between_the_true_ends(tmp_path: Path) -> None:
    both, file = conversation(), tmp_path / "taken.pcap"
    with portal(both) as target, relay(target.port, file) as (running, port):
        with dial(port) as first, dial(port) as second:
            speak(both, first)
            speak(both, second)
        running.send_signal(signal.SIGTERM)
        told = rest_of(running)
        assert running.wait(SECONDS) == 0
    assert sorted(target.heard) == sorted(2 * [one.data for one in both.sent if one.to_target])
    assert f"2 connections, {2 * sum(len(one.data) for one in both.sent)} bytes passed" in told
    assert file.stat().st_mode & 0o777 == 0o600
    found = Reading(MARKERS.find, [target.port]).read([(io.BytesIO(file.read_bytes()), "taken.pcap")])
    assert [(one.number, one.lun, one.lba) for one in found.seen] == [(1, NAA, 1000), (2, NAA, 2391)]
    assert found.warnings == []


@pytest.mark.parametrize("options", [("--most-bytes", "5000"), ("--seconds", "3")])
def test_when_the_capture_has_all_that_it_may_the_rest_passes_unwritten_and_nobody_new_is_let_in(
    options: tuple[str, str], tmp_path: Path
) -> None:
    both, file = conversation(), tmp_path / "taken.pcap"
    with portal(both) as target, relay(target.port, file, *options) as (running, port):
        with dial(port) as stream:
            speak(both, stream)
            assert running.stdout
            assert "; passing on until the initiator logs out." in running.stdout.readline()
            with pytest.raises(ConnectionRefusedError):
                dial(port)
        assert running.wait(SECONDS) == 0
    assert file.stat().st_size <= 5000 or options[0] == "--seconds"


def test_of_a_portal_that_cannot_be_reached_it_says_so_and_goes_on(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with relay(port, tmp_path / "taken.pcap") as (running, door):
        with dial(door) as stream:
            assert stream.recv(1) == b""
        running.send_signal(signal.SIGINT)
        assert f"Portal 127.0.0.1:{port} cannot be reached: " in rest_of(running)
        assert running.wait(SECONDS) == 0


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (("--listen", "0.0.0.0:0"), "name the one address on which to listen: whoever reaches it reaches the portal"),
        (("--listen", "127.0.0.1:many"), "127.0.0.1:many is no address and port"),
        (("--listen", "192.0.2.1:0"), "192.0.2.1:0 cannot be listened on: "),
        (("--write", "{there}"), "{there} cannot be made: File exists."),
        (("--write", "{there}/x"), "{there}/x cannot be made: Not a directory."),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(changed: tuple[str, str], message: str, tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.write_text("kept")
    given = {
        "--listen": "127.0.0.1:0",
        "--portal": "127.0.0.1:1",
        "--write": str(tmp_path / "new"),
        changed[0]: changed[1].format(there=there),
    }
    command = [sys.executable, str(RELAY), *(word for pair in given.items() for word in pair)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=SECONDS)
    assert done.returncode != 0
    assert message.format(there=there) in done.stderr
    assert "Traceback" not in done.stderr
    assert there.read_text() == "kept"
    assert not (tmp_path / "new").exists()
