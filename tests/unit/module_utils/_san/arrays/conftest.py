# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The other side of the ONTAP backend: an endpoint that answers as it is told, and the lab's array."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab.certificates import Certificates, issue
from tests.lab.ontap.state import REST, ZAPI
from tests.unit.ontap import Endpoint, endpoint
from tests.unit.ontap_array import BenchInPlace, fresh


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return issue(tmp_path_factory.mktemp("ontap"))


@pytest.fixture
def array(certificates: Certificates) -> Iterator[Endpoint]:
    with endpoint(certificates) as scripted:
        yield scripted
        assert scripted.replies == [], "the client asked less than the test told"


@pytest.fixture(params=[REST, ZAPI])
def bench(request: pytest.FixtureRequest) -> BenchInPlace:
    """The lab's array, which our backend asks by REST and over ZAPI."""
    return fresh(request.param)


@pytest.fixture
def by_rest() -> BenchInPlace:
    """The same by REST alone: jobs, groups of groups."""
    return fresh(REST)
