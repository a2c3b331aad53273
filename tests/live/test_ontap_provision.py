# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""All that the unit tests specify of provisioning, against the array's own process, and what only a wire can do."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import AuthenticationFailed, ConnectionFailed
from tests.lab.ontap.releases import NEWEST, OLDEST, written
from tests.lab.ontap.running import Running, running
from tests.ontap_backend import Bench, ids
from tests.unit.module_utils._san.arrays.ontap.test_provision import (  # noqa: F401 - they run here  # pylint: disable=unused-import
    TestAJob,
    TestALunThatAnotherArrayPresentsToo,
    TestALunThatNoHostCanSee,
    TestBadInput,
    TestEveryChange,
    TestRaces,
)
from tests.unit.module_utils._san.arrays.ontap.test_provision_growth import TestTheSize  # noqa: F401  # pylint: disable=unused-import
from tests.unit.module_utils._san.arrays.ontap.test_provision_lun import TestALun  # noqa: F401  # pylint: disable=unused-import
from tests.unit.module_utils._san.arrays.ontap.test_provision_mapping import TestInitiators  # noqa: F401  # pylint: disable=unused-import
from tests.unit.module_utils._san.arrays.ontap.test_withdraw import TestWithdrawing  # noqa: F401  # pylint: disable=unused-import
from tests.unit.ontap import address, wish


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("ontap")) as started:
        yield started


@pytest.fixture(params=[written(OLDEST), written(NEWEST)])
def bench(server: Running, request: pytest.FixtureRequest) -> Bench:
    return Bench.of(server, request.param)


@pytest.fixture
def by_rest(bench: Bench) -> Bench:
    return bench


def test_a_wrong_password_names_user_and_array(bench: Bench) -> None:
    stranger = replace(bench, connection=replace(bench.connection, password="wrong"))
    with pytest.raises(AuthenticationFailed, match=r"The array 127\.0\.0\.1:\d+ refuses user admin: check array\.username") as told:
        stranger.provision(wish())
    assert "wrong" not in str(told.value)


def test_an_untrusted_certificate_is_told_before_anything_is_sent(bench: Bench) -> None:
    stranger = replace(bench, connection=replace(bench.connection, ca_path=None))
    with bench.counted() as sent, pytest.raises(ConnectionFailed, match=r"certificate of .* is not trusted"):
        stranger.provision(wish())
    assert sent == []


def test_runs_at_the_very_same_time_all_succeed(bench: Bench) -> None:
    luns: list[Any] = []
    runs = [
        threading.Thread(target=lambda name=name: luns.append(bench.provision(wish(address=address(name)))[1]))
        for name in ("one", "two", "three")
    ]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    assert sorted(lun_id for lun in luns for lun_id in ids(lun).values()) == [0, 1, 2]  # type: ignore[type-var]
