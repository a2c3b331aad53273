# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which guest a module gets."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
from ansible.module_utils.basic import AnsibleModule

from ansible_collections.crossvisor.san.plugins.module_utils._san.connection import Connection
from ansible_collections.crossvisor.san.plugins.module_utils._san.endpoints import guests
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import InvalidInput, RemoteError
from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.windows import guest as windows
from tests.unit.endpoint_module import told
from tests.unit.module_arguments import module_arguments

PASSWORD = "s3cret-of-the-guest"


@contextmanager
def module(**arguments: Any) -> Iterator[AnsibleModule]:
    with module_arguments(arguments):
        yield AnsibleModule(argument_spec={"guest": guests.guest_option()})


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Connection]:
    """The connections that a guest was opened with."""
    connections: list[Connection] = []
    monkeypatch.setattr(windows, "open_guest", connections.append)
    return connections


def test_a_guest_is_opened_as_the_task_says(opened: list[Connection]) -> None:
    with module(guest={"hostname": "win01", "port": 5985, "username": "u", "password": PASSWORD, "transport": "ntlm"}) as there:
        guests.open_guest(there)
    assert [(found.role, found.hostname, found.port, found.username, found.transport) for found in opened] == [
        ("guest", "win01", 5985, "u", "ntlm")
    ]


def test_a_guest_may_come_from_the_environment_alone(opened: list[Connection], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CROSSVISOR_GUEST_HOSTNAME", "win01")
    monkeypatch.setenv("CROSSVISOR_GUEST_USERNAME", "u")
    with module() as there:
        guests.open_guest(there)
    assert [(found.hostname, found.username) for found in opened] == [("win01", "u")]


def test_a_guest_that_nobody_named_is_missed(opened: list[Connection], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CROSSVISOR_GUEST_HOSTNAME", raising=False)
    with module() as there, pytest.raises(InvalidInput, match=r"guest\.hostname is not set: .*CROSSVISOR_GUEST_HOSTNAME"):
        guests.open_guest(there)
    assert opened == []


def test_its_password_is_never_shown(opened: list[Connection], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("CROSSVISOR_GUEST_PASSWORD", PASSWORD)

    def fail() -> Mapping[str, Any]:
        guests.open_guest(there)
        raise RemoteError(f"It does not like {opened[0].password}.")

    with module(guest={"hostname": "win01"}) as there:
        said = told(capsys, there, fail)
    assert opened[0].password == PASSWORD
    assert PASSWORD not in json.dumps(said)
