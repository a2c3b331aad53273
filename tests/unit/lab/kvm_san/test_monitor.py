# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab.kvm_san.monitor import Monitor, MonitorFailed

GREETING: dict[str, Any] = {"QMP": {"version": {}}}


class Qemu:
    """One that answers each command with the next of its answers, after an event."""

    def __init__(self, directory: Path) -> None:
        self.heard: list[Any] = []
        self.answers: list[Any] = [{"return": {}}]
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(f"/proc/self/cwd/{directory.name}/san.qmp")
        self._listener.listen()
        self._listener.settimeout(60)
        self.thread = threading.Thread(target=self._serve, daemon=True)

    def _serve(self) -> None:
        connection, _address = self._listener.accept()
        self._listener.close()
        with connection, connection.makefile("rwb", buffering=0) as stream:
            stream.write(json.dumps(GREETING).encode() + b"\n")
            for answer in self.answers:
                self.heard.append(json.JSONDecoder().decode(connection.recv(4096).decode()))
                stream.write(b'{"event": "STOP"}\n' + json.dumps(answer).encode() + b"\n")


@pytest.fixture
def qemu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Qemu]:
    """A QEMU in a directory whose name alone is longer than the name of a socket may be."""
    monkeypatch.chdir(tmp_path)
    _long(tmp_path).mkdir()
    monkeypatch.chdir(_long(tmp_path).parent)
    fake = Qemu(_long(tmp_path))
    yield fake
    fake.thread.join()


def _long(tmp_path: Path) -> Path:
    return tmp_path / ("d" * 80)


def test_a_command_is_answered_whatever_happens_in_between(qemu: Qemu, tmp_path: Path) -> None:
    qemu.answers.append({"return": {"status": "paused"}})
    qemu.thread.start()
    with Monitor(_long(tmp_path), "san") as monitor:
        assert monitor.call("query-status", name="a") == {"status": "paused"}
    assert [heard["execute"] for heard in qemu.heard] == ["qmp_capabilities", "query-status"]
    assert qemu.heard[1]["arguments"] == {"name": "a"}


def test_a_refusal_names_the_machine_and_the_reason(qemu: Qemu, tmp_path: Path) -> None:
    qemu.answers.append({"error": {"class": "GenericError", "desc": "Device 'c' not found"}})
    qemu.thread.start()
    with (
        Monitor(_long(tmp_path), "san") as monitor,
        pytest.raises(MonitorFailed, match="QEMU of san refused set_link: Device 'c' not found"),
    ):
        monitor.call("set_link", name="c", up=False)


def test_one_that_ends_in_the_middle_is_told(qemu: Qemu, tmp_path: Path) -> None:
    qemu.thread.start()
    with Monitor(_long(tmp_path), "san") as monitor, pytest.raises(MonitorFailed, match="QEMU of san did not answer cont"):
        monitor.call("cont")


def test_one_that_does_not_run_is_told(tmp_path: Path) -> None:
    with pytest.raises(MonitorFailed, match="QEMU of kvm1 cannot be reached"), Monitor(tmp_path, "kvm1"):
        pass
