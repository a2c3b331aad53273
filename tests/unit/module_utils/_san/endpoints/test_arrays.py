# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which arrays a module gets."""

from __future__ import annotations

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.base import Descriptor
from ansible_collections.crossvisor.san.plugins.module_utils._san.connection import Connection
from ansible_collections.crossvisor.san.plugins.module_utils._san.endpoints import arrays
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import InvalidInput
from tests.unit.endpoint_module import module


@pytest.fixture(autouse=True)
def no_endpoint_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CROSSVISOR_ARRAY_HOSTNAME", raising=False)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Connection]:
    """The connections that a backend was opened with."""
    connections: list[Connection] = []
    monkeypatch.setattr(Descriptor, "open", lambda _self, connection: connections.append(connection))
    return connections


class TestArrays:
    def test_of_the_option_are_opened_only_when_they_are_asked(self, opened: list[Connection]) -> None:
        with module(arrays=[{"hostname": "a", "port": 8443}, {"hostname": "b"}]) as there:
            sources = arrays.array_sources(there)
            assert ([source.label for source in sources], opened) == (["a:8443", "b"], [])
            sources[1].open()
        assert [(found.type, found.hostname, found.port) for found in opened] == [("ontap", "b", 443)]

    def test_are_the_one_of_the_environment_when_none_is_listed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CROSSVISOR_ARRAY_HOSTNAME", "a")
        with module() as there:
            assert [source.label for source in arrays.array_sources(there)] == ["a"]

    def test_need_not_be(self) -> None:
        with module() as there:
            assert arrays.array_sources(there) == []

    def test_without_a_hostname_are_refused(self) -> None:
        with module(arrays=[{"username": "u"}]) as there, pytest.raises(InvalidInput, match="An entry of arrays has no hostname"):
            arrays.array_sources(there)

    def test_of_a_change_must_be_named(self) -> None:
        with module() as there, pytest.raises(InvalidInput, match=r"array\.hostname is not set"):
            arrays.open_array(there, None)
