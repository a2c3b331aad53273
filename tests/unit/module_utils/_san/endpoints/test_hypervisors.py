# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which hypervisor a module gets."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.connection import Connection
from ansible_collections.crossvisor.san.plugins.module_utils._san.endpoints import hypervisors
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import InvalidInput, RemoteError
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.base import Descriptor
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.several import Several
from tests.unit.endpoint_module import module, told

PASSWORD = "s3cret-of-the-endpoint"


@pytest.fixture(autouse=True)
def no_endpoint_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("VMWARE_HOST", "VMWARE_USER", "VMWARE_PASSWORD", "CROSSVISOR_HYPERVISOR_HOSTNAME", "CROSSVISOR_HYPERVISOR_URI"):
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


@dataclass
class Opened:
    """An endpoint that was logged in to."""

    connection: Connection
    type: str = "kvm"


class TestSeveralHypervisors:
    KVM1 = "qemu+ssh://kvm1/system"
    KVM2 = "qemu+ssh://kvm2/system"

    @pytest.fixture
    def logins(self, monkeypatch: pytest.MonkeyPatch) -> list[Connection]:
        """The connections that were opened."""
        found: list[Connection] = []

        def log_in(_self: Descriptor, connection: Connection) -> Opened:
            found.append(connection)
            return Opened(connection)

        monkeypatch.setattr(Descriptor, "open", log_in)
        return found

    def names(self, **options: Any) -> list[str]:
        with module(**options) as there:
            assert hypervisors.names_hypervisor(there)
            opened = hypervisors.open_hypervisor(there)
        assert isinstance(opened, Several)
        assert opened.type == "kvm"
        return [endpoint.name for endpoint in opened.endpoints]

    def test_need_no_first(self, logins: list[Connection]) -> None:
        assert self.names(hypervisors=[{"uri": self.KVM1}, {"uri": self.KVM2}]) == [self.KVM1, self.KVM2]
        assert [login.uri for login in logins] == [self.KVM1, self.KVM2]

    def test_stand_beside_the_one_that_is_named(self, logins: list[Connection]) -> None:
        assert self.names(hypervisor={"uri": self.KVM1}, hypervisors=[{"uri": self.KVM2}, {"uri": self.KVM1}]) == [self.KVM1, self.KVM2]
        assert [login.uri for login in logins] == [self.KVM1, self.KVM2]

    def test_stand_beside_the_one_of_the_environment_and_take_nothing_from_it(
        self, logins: list[Connection], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CROSSVISOR_HYPERVISOR_URI", self.KVM1)
        monkeypatch.setenv("CROSSVISOR_HYPERVISOR_PASSWORD", PASSWORD)
        with module(hypervisors=[{"type": "kvm", "hostname": "kvm2"}]) as there:
            opened = hypervisors.open_hypervisor(there)
        assert isinstance(opened, Several)
        assert [endpoint.name for endpoint in opened.endpoints] == [self.KVM1, "kvm2"]
        opened.endpoints[1].open()
        assert [(login.uri, login.hostname, login.password) for login in logins] == [(None, "kvm2", None)]

    def test_of_which_one_is_nowhere_are_refused(self, logins: list[Connection]) -> None:
        with module(hypervisors=[{"type": "kvm"}]) as there, pytest.raises(InvalidInput, match="An entry of hypervisors names no endpoint"):
            hypervisors.open_hypervisor(there)
        assert logins == []

    def test_keep_their_passwords_to_themselves(self, logins: list[Connection]) -> None:
        with module(hypervisors=[{"type": "vmware", "hostname": "vc", "password": PASSWORD}]) as there:
            opened = hypervisors.open_hypervisor(there)
            assert isinstance(opened, Several)
            opened.endpoints[0].open()
            assert PASSWORD in there.no_log_values
