# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which hypervisor a module gets."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.connection import Connection
from ansible_collections.crossvisor.san.plugins.module_utils._san.endpoints import hypervisors
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import InvalidInput, RemoteError
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.base import Descriptor
from tests.unit.endpoint_module import module, told

PASSWORD = "s3cret-of-the-endpoint"


@pytest.fixture(autouse=True)
def no_endpoint_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("VMWARE_HOST", "VMWARE_USER", "VMWARE_PASSWORD", "CROSSVISOR_HYPERVISOR_HOSTNAME"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Connection]:
    """The connections that a backend was opened with."""
    connections: list[Connection] = []
    monkeypatch.setattr(Descriptor, "open", lambda _self, connection: connections.append(connection))
    return connections


class TestAHypervisor:
    def test_is_opened_as_the_task_says(self, opened: list[Connection]) -> None:
        with module(hypervisor={"type": "vmware", "hostname": "vc", "port": 8443, "username": "u", "password": PASSWORD}) as there:
            assert hypervisors.names_hypervisor(there)
            hypervisors.open_hypervisor(there)
        assert [(found.hostname, found.port, found.username, found.password) for found in opened] == [("vc", 8443, "u", PASSWORD)]

    def test_may_come_from_the_environment_alone(self, opened: list[Connection], monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("VMWARE_HOST", "vc")
        monkeypatch.setenv("VMWARE_USER", "u")
        with module() as there:
            assert hypervisors.names_hypervisor(there)
            hypervisors.open_hypervisor(there)
        assert [(found.type, found.hostname, found.port, found.username) for found in opened] == [("vmware", "vc", 443, "u")]

    def test_that_nobody_named_is_missed(self, opened: list[Connection]) -> None:
        with module() as there:
            assert not hypervisors.names_hypervisor(there)
            with pytest.raises(InvalidInput, match=r"hypervisor\.hostname is not set: .*CROSSVISOR_HYPERVISOR_HOSTNAME"):
                hypervisors.open_hypervisor(there)
        assert opened == []

    def test_has_a_password_that_is_never_shown_wherever_it_came_from(
        self, opened: list[Connection], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setenv("VMWARE_HOST", "vc")
        monkeypatch.setenv("VMWARE_PASSWORD", PASSWORD)

        def fail() -> Mapping[str, Any]:
            hypervisors.open_hypervisor(there)
            raise RemoteError(f"It does not like {opened[0].password}.")

        with module() as there:
            said = told(capsys, there, fail)
        assert opened[0].password == PASSWORD
        assert PASSWORD not in json.dumps(said)
