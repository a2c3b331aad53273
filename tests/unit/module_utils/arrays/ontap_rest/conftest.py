# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lab's array for the tests of the ONTAP backend; every test starts from the world."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab.ontap.running import Running, running
from tests.ontap_backend import Bench


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("ontap")) as started:
        yield started


@pytest.fixture
def bench(server: Running) -> Bench:
    return Bench.of(server)
