# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which endpoint a module gets, and what becomes of an error."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.testing import patch_module_args

from ansible_collections.crossvisor.san.plugins.module_utils import runtime
from ansible_collections.crossvisor.san.plugins.module_utils.arrays import pool as arrays
from ansible_collections.crossvisor.san.plugins.module_utils.connection import Connection
from ansible_collections.crossvisor.san.plugins.module_utils.errors import InvalidInput, RemoteError
from ansible_collections.crossvisor.san.plugins.module_utils.hypervisors import pool as hypervisors

PASSWORD = "s3cret-of-the-endpoint"


@contextmanager
def module(**arguments: Any) -> Iterator[AnsibleModule]:
    """A module with every kind of endpoint among its options."""
    spec = {
        "hypervisor": runtime.hypervisor_option(),
        "array": runtime.array_option(),
        "arrays": runtime.array_option(type="list", elements="dict", default=[]),
    }
    with patch_module_args(arguments):
        yield AnsibleModule(argument_spec=spec)


@pytest.fixture(autouse=True)
def no_endpoint_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("VMWARE_HOST", "VMWARE_USER", "VMWARE_PASSWORD", "CROSSVISOR_HYPERVISOR_HOSTNAME", "CROSSVISOR_ARRAY_HOSTNAME"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Connection]:
    """The connections that a backend was opened with."""
    connections: list[Connection] = []
    monkeypatch.setattr(hypervisors, "open_hypervisor", connections.append)
    monkeypatch.setattr(arrays, "open_array", connections.append)
    return connections


def told(capsys: pytest.CaptureFixture[str], there: AnsibleModule, action: Callable[[], Mapping[str, Any]]) -> dict[str, Any]:
    """What the module says in the end."""
    with pytest.raises(SystemExit):
        runtime.run(there, action)
    said: dict[str, Any] = json.loads(capsys.readouterr().out)
    return said


class TestTheEnd:
    def test_of_an_action_is_its_result(self, capsys: pytest.CaptureFixture[str]) -> None:
        with module() as there:
            assert told(capsys, there, lambda: {"changed": True})["changed"] is True

    @pytest.mark.parametrize("text", ["LUN x is in use: detach it", "LUN x is in use: detach it."])
    def test_of_a_foreseeable_failure_is_one_sentence(self, capsys: pytest.CaptureFixture[str], text: str) -> None:
        def fail() -> Mapping[str, Any]:
            raise RemoteError(text)

        with module() as there:
            said = told(capsys, there, fail)
        assert (said["failed"], said["msg"]) == (True, "LUN x is in use: detach it.")
        assert "exception" not in said

    def test_of_a_defect_is_its_traceback(self) -> None:
        def fail() -> Mapping[str, Any]:
            raise KeyError("a defect of ours")

        with module() as there, pytest.raises(KeyError, match="a defect of ours"):
            runtime.run(there, fail)


class TestAHypervisor:
    def test_is_opened_as_the_task_says(self, opened: list[Connection]) -> None:
        with module(hypervisor={"type": "vmware", "hostname": "vc", "port": 8443, "username": "u", "password": PASSWORD}) as there:
            assert runtime.names_hypervisor(there)
            runtime.open_hypervisor(there)
        assert [(found.hostname, found.port, found.username, found.password) for found in opened] == [("vc", 8443, "u", PASSWORD)]

    def test_may_come_from_the_environment_alone(self, opened: list[Connection], monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("VMWARE_HOST", "vc")
        monkeypatch.setenv("VMWARE_USER", "u")
        with module() as there:
            assert runtime.names_hypervisor(there)
            runtime.open_hypervisor(there)
        assert [(found.type, found.hostname, found.port, found.username) for found in opened] == [("vmware", "vc", 443, "u")]

    def test_that_nobody_named_is_missed(self, opened: list[Connection]) -> None:
        with module() as there:
            assert not runtime.names_hypervisor(there)
            with pytest.raises(InvalidInput, match=r"hypervisor\.hostname is not set: .*CROSSVISOR_HYPERVISOR_HOSTNAME"):
                runtime.open_hypervisor(there)
        assert opened == []

    def test_has_a_password_that_is_never_shown_wherever_it_came_from(
        self, opened: list[Connection], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setenv("VMWARE_HOST", "vc")
        monkeypatch.setenv("VMWARE_PASSWORD", PASSWORD)

        def fail() -> Mapping[str, Any]:
            runtime.open_hypervisor(there)
            raise RemoteError(f"It does not like {opened[0].password}.")

        with module() as there:
            said = told(capsys, there, fail)
        assert opened[0].password == PASSWORD
        assert PASSWORD not in json.dumps(said)


class TestArrays:
    def test_of_the_option_are_opened_only_when_they_are_asked(self, opened: list[Connection]) -> None:
        with module(arrays=[{"hostname": "a", "port": 8443}, {"hostname": "b"}]) as there:
            sources = runtime.array_sources(there)
            assert ([source.label for source in sources], opened) == (["a:8443", "b"], [])
            sources[1].open()
        assert [(found.type, found.hostname, found.port) for found in opened] == [("ontap", "b", 443)]

    def test_are_the_one_of_the_environment_when_none_is_listed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CROSSVISOR_ARRAY_HOSTNAME", "a")
        with module() as there:
            assert [source.label for source in runtime.array_sources(there)] == ["a"]

    def test_need_not_be(self) -> None:
        with module() as there:
            assert runtime.array_sources(there) == []

    def test_without_a_hostname_are_refused(self) -> None:
        with module(arrays=[{"username": "u"}]) as there, pytest.raises(InvalidInput, match="An entry of arrays has no hostname"):
            runtime.array_sources(there)

    def test_of_a_change_must_be_named(self) -> None:
        with module() as there, pytest.raises(InvalidInput, match=r"array\.hostname is not set"):
            runtime.open_array(there, None)
