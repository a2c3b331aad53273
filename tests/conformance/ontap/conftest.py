# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One array process for all clients; every test starts from the world and must leave nothing behind."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab.ontap.running import Running, running


@pytest.fixture(scope="session")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("ontap")) as server:
        yield server


@pytest.fixture
def array(process: Running) -> Iterator[Running]:
    process.control("POST", "/reset")
    before = process.control("GET", "/state")
    yield process
    assert process.control("GET", "/state") == before, "the client's cycle left something on the array"
