# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reading the lab's array: what it says of its LUNs, exports and ports, in how many requests, and with names made of query operators."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.base import WithdrawWish
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import Portal
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from tests.lab import world
from tests.lab.ontap.releases import NEWEST, OLDEST, written
from tests.lab.ontap.running import Running, running
from tests.lab.ontap.state import REST, ZAPI
from tests.ontap_backend import Bench, ids
from tests.unit.ontap import HOST_A, SVM, address, wish

TRICKY = {
    "stars": "a*b|c!<d>e*f",
    "bar": "80Lab|aaaaa1",
    "not": "!80Lab-aaaaa",
    "below": "<80Lab-aaaaa",
    "range": "80Lab..aaaa1",
    "url": "#%&+?=[]~$@-",
}
"""Serial numbers by LUN; read as queries, the first five mean something else."""
NEAR = {"near_bar": "80Lab_aaaaa1", "near_stars": "a*b_c!<d>e*f"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    directory = tmp_path_factory.mktemp("ontap")
    lab = world.build()
    (volume,) = [one for one in lab["array"]["svms"][0]["volumes"] if one["name"] == "vol_dev"]
    volume["luns"] += [
        {"name": name, "size": 1024**3, "serial": serial, "os_type": "vmware"} for name, serial in {**TRICKY, **NEAR}.items()
    ]
    (directory / "world.json").write_text(json.dumps(lab))
    with running(directory, "--world", str(directory / "world.json")) as started:
        yield started


@pytest.fixture(params=[(written(OLDEST), REST), (written(NEWEST), REST), ("9.10.1", ZAPI)], ids=" ".join)
def bench(server: Running, request: pytest.FixtureRequest) -> Bench:
    return Bench.of(server, *request.param)


def test_the_array_tells_its_name_and_version(bench: Bench) -> None:
    about = bench.backend().about()
    assert (about.type, about.name, about.address, about.version) == ("ontap", "lab-ontap", "127.0.0.1", bench.release)


@pytest.mark.parametrize(("name", "serial"), TRICKY.items())
def test_a_lun_is_found_by_whatever_serial_number_it_has(bench: Bench, name: str, serial: str) -> None:
    (lun,) = bench.backend().luns([ScsiName.from_ontap_serial(serial)])
    assert (lun.path, lun.serial) == (f"/vol/vol_dev/{name}", serial)


def test_a_lun_is_withdrawn_by_whatever_serial_number_it_has(bench: Bench) -> None:
    bench.withdraw(WithdrawWish(ScsiName.from_ontap_serial(TRICKY["stars"]), delete=True))
    left = {lun["name"] for lun in bench.state()["svms"][0]["volumes"] if "luns" in lun for lun in lun["luns"]}
    assert "/vol/vol_dev/stars" not in left
    assert {f"/vol/vol_dev/{name}" for name in NEAR} <= left


def test_all_luns_come_with_their_mappings_in_few_requests_and_strangers_do_not(bench: Bench) -> None:
    names = [ScsiName(world.naa_at(path)) for path in ("/vol/vol_prod/ds_single", "/vol/vol_prod/shared_rdm", "/vol/vol_dev/spare")]
    with bench.counted() as sent:
        luns = bench.backend().luns([*names, ScsiName.from_ontap_serial("nobody-has-1"), ScsiName("624a9370" + "0" * 24)])
    assert {lun.path: ids(lun) for lun in luns} == {
        "/vol/vol_prod/ds_single": {"esx_prod": 0},
        "/vol/vol_prod/shared_rdm": {"esx_prod": 10},
        "/vol/vol_dev/spare": {},
    }
    if bench.transport == ZAPI:
        assert len(sent) == 5, "LUNs, maps, volumes, SVMs and groups, however many LUNs there are"
    else:
        assert len(sent) == (1 if bench.luns_tell_initiators else 2), "an old array tells who is in a group with the group only"


def test_pages_are_put_together(bench: Bench) -> None:
    whole = bench.client().records("/storage/luns", ("name",), {})
    with bench.counted() as sent:
        paged = bench.client(page_size=2).records("/storage/luns", ("name",), {})
    assert paged == whole
    assert len(sent) == -(-len(whole) // 2)


def test_exports_are_listed_with_their_servers_in_two_requests(bench: Bench) -> None:
    with bench.counted() as sent:
        volumes = bench.backend().volumes()
    (exported,) = [volume for volume in volumes if volume.name == "vol_nfs"]
    assert (exported.svm, exported.export, exported.addresses) == (SVM, "/vol_nfs", (world.NFS_ADDRESS,))
    assert len(sent) == 2


def test_targets_are_the_svms_own(bench: Bench) -> None:
    targets = bench.backend().targets("svm_dr", {"iscsi", "fc"})
    assert [(target.kind, target.enabled) for target in targets] == [("iscsi", True), ("fc", True)]
    assert targets[0].portals == (Portal("192.0.2.31"),)
    assert targets[1].name == "20:05:00:a0:98:c0:ff:e5"


def test_the_account_of_an_svm_maps_and_provisions_without_knowing_the_cluster(bench: Bench) -> None:
    before = bench.state()
    bench.log_in(svm=SVM)
    backend = bench.backend()
    name = ScsiName(world.naa_at("/vol/vol_prod/ds_single"))
    version = bench.release if bench.transport == ZAPI else ""
    assert (backend.about().version, [lun.path for lun in backend.luns([name])]) == (version, ["/vol/vol_prod/ds_single"])
    assert bench.provision(wish())[0].changed
    bench.withdraw(WithdrawWish(address(), initiators=HOST_A, delete=True))
    assert bench.state() == before


def test_a_certificate_is_not_checked_where_the_user_said_so(bench: Bench) -> None:
    careless = replace(bench, connection=replace(bench.connection, ca_path=None, validate_certs=False))
    assert careless.backend().about().name == "lab-ontap"
