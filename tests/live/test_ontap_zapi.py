# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Our ZAPI backend against the array's process: a whole LUN comes and goes, over real sockets, and each kind of broken connection."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_either import open_either
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import AuthenticationFailed, ConnectionFailed
from tests.lab.ontap.running import Running, running
from tests.lab.ontap.state import ZAPI
from tests.live.modules import ModuleRunner
from tests.ontap_backend import Bench
from tests.unit.module_utils._san.arrays.ontap.test_provision_lun import TestALun  # noqa: F401 - they run here  # pylint: disable=unused-import
from tests.unit.module_utils._san.arrays.ontap.test_withdraw import TestWithdrawing  # noqa: F401  # pylint: disable=unused-import
from tests.unit.ontap import HOST_A, SVM, wish

RELEASE = "9.10.1"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("ontap")) as started:
        yield started


@pytest.fixture
def bench(server: Running) -> Bench:
    return Bench.of(server, RELEASE, ZAPI)


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


def test_an_interface_that_is_switched_off_is_one_sentence(bench: Bench) -> None:
    bench.server.control("POST", "/interface?name=zapi&state=off")
    with pytest.raises(ConnectionFailed, match=r"does not serve ZAPI .*`vserver services web modify -name ontapi -enabled true`"):
        bench.provision(wish())


def test_where_nobody_says_which_the_interface_that_is_there_is_asked(bench: Bench) -> None:
    with bench.counted() as sent:
        array = open_either(bench.connection)
        assert array.about().version == RELEASE
        array.close()
    assert sent == ["GET /api/cluster", "ZAPI system-get-version", "ZAPI cluster-identity-get"]


def test_the_modules_do_over_zapi_what_they_do_by_rest(bench: Bench, modules: ModuleRunner) -> None:
    before = bench.state()
    connection = bench.connection
    array = {
        "type": "ontap_zapi", "hostname": connection.hostname, "port": connection.port, "username": connection.username,
        "password": connection.password, "ca_path": connection.ca_path,
    }  # fmt: skip
    wanted = {
        "svm": SVM,
        "volume": "vol_prod",
        "lun": "new",
        "size": "1GiB",
        "os_type": "vmware",
        "initiators": list(HOST_A),
        "array": array,
    }
    made = modules.succeed("lun_provision", wanted)
    assert (made["changed"], made["lun_id"], made["array"]["version"]) == (True, 0, RELEASE)
    assert {target["kind"] for target in made["targets"]} == {"iscsi", "fc"}
    assert not modules.succeed("lun_provision", wanted)["changed"]
    gone = {"state": "absent", "naa": made["naa"], "initiators": list(HOST_A), "delete": True, "assume_unused": True, "array": array}
    assert modules.succeed("lun_provision", gone)["changed"]
    assert bench.state() == before
    assert {row["method"] for row in bench.server.control("GET", "/requests")["requests"]} == {"ZAPI"}
