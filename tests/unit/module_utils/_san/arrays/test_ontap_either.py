# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which interface an array is asked by when nobody says so."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays import ontap_either
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.base import Array
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_either import open_either
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_rest.backend import OntapRest
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_zapi import backend as zapi_backend
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_zapi import server
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_zapi.backend import OntapZapi
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import (
    AuthenticationFailed,
    ConnectionFailed,
    MissingLibrary,
    Refused,
    RemoteError,
)
from tests.lab.ontap.state import REST, ZAPI
from tests.unit.ontap_array import BenchInPlace, fresh

UNAUTHORISED = {"error": {"code": 6691623, "message": "User is not authorized."}}


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> BenchInPlace:
    array = fresh()
    monkeypatch.setattr(ontap_either, "OntapRest", lambda _connection: array.backend())
    monkeypatch.setattr(zapi_backend, "OntapZapi", lambda _connection: replace(array, transport=ZAPI).backend())
    return array


def test_nobody_pays_for_the_older_interface_who_has_the_newer() -> None:
    program = (
        "import sys; from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays import ontap_either; "
        "print([name for name in sys.modules if 'zapi' in name or 'netapp_lib' in name])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env={"PYTHONPATH": ":".join(sys.path)}, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def opened(bench: BenchInPlace) -> Array:
    return open_either(bench.connection)


def test_rest_is_asked_where_it_is_there(bench: BenchInPlace) -> None:
    with bench.counted() as sent:
        array = opened(bench)
        assert array.about().version == "9.16.1"
    assert isinstance(array, OntapRest)
    assert sent == ["GET /api/cluster"], "who the array is, is asked once"


@pytest.mark.parametrize(
    "lose",
    [
        lambda bench: bench.server.control("POST", "/interface?name=rest&state=off"),
        lambda bench: bench.become("9.8.0"),
        lambda bench: bench.become("9.10.1"),
        lambda bench: bench.fail("GET /api/cluster", {"status": 503}),
    ],
    ids=["switched off", "9.8", "9.10.1", "service unavailable"],
)
def test_zapi_is_asked_where_rest_is_not_there_or_too_old(bench: BenchInPlace, lose: Callable[[BenchInPlace], object]) -> None:
    lose(bench)
    array = opened(bench)
    assert isinstance(array, OntapZapi)
    assert array.about().name == "lab-ontap"


def test_a_login_that_rest_refuses_is_not_tried_elsewhere(bench: BenchInPlace) -> None:
    bench.fail("GET /api/cluster", {"status": 401})
    with bench.counted() as sent, pytest.raises(AuthenticationFailed, match=r"array\.type=ontap_zapi"):
        opened(bench)
    assert sent == ["GET /api/cluster"]


def test_an_asa_r2_is_refused_at_once(bench: BenchInPlace) -> None:
    bench.become("9.18.1", disaggregated=True)
    with bench.counted() as sent, pytest.raises(Refused, match="is an ASA r2"):
        opened(bench)
    assert sent == ["GET /api/cluster"]


def test_where_neither_is_there_it_is_told_what_rest_said(bench: BenchInPlace) -> None:
    for interface in (REST, ZAPI):
        bench.server.control("POST", f"/interface?name={interface}&state=off")
    with pytest.raises(ConnectionFailed, match=r"does not answer as ONTAP \(GET /api/cluster gave HTTP 404"):
        opened(bench)


def test_where_zapi_would_do_and_its_library_is_missing_that_is_told(bench: BenchInPlace, monkeypatch: pytest.MonkeyPatch) -> None:
    def without_library(_connection: object) -> Array:
        raise MissingLibrary("The Python library 'netapp-lib' is not installed.")

    bench.become("9.10.1")
    monkeypatch.setattr(zapi_backend, "OntapZapi", without_library)
    with pytest.raises(MissingLibrary, match=r"runs ONTAP 9\.10\.1, .*; over ZAPI it was not asked: .*netapp-lib"):
        opened(bench)


def test_what_rest_said_is_told_beside_the_missing_library_because_an_endpoint_may_be_no_array_at_all(
    bench: BenchInPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.server.control("POST", f"/interface?name={REST}&state=off")
    monkeypatch.setattr(server, "NETAPP_LIB_IMPORT_ERROR", "no module")
    rest, zapi = r"does not answer as ONTAP .*: check array\.hostname.*", "The Python library 'netapp-lib'.*pip install netapp-lib"
    with pytest.raises(MissingLibrary, match=rf"{rest}; over ZAPI it was not asked: {zapi}\.$"):
        opened(bench)


def test_a_release_that_is_too_old_for_both_is_told(bench: BenchInPlace) -> None:
    bench.become("9.7.0")
    with pytest.raises(RemoteError, match=r"runs ONTAP 9\.7\.0, and this collection needs 9\.8 or later: upgrade the array"):
        opened(bench)
