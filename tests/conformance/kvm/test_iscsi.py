# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What independent iSCSI initiators (libiscsi's tools, QEMU's block driver) find where the REST interface says that it is."""

from __future__ import annotations

import os
import re
import secrets
import subprocess
from collections.abc import Mapping
from typing import Any

import pytest

from tests.lab.kvm_world import IQN, lun_path, maps
from tests.lab.world import naa_of

from .conftest import Array

GIB = 1024**3
STRANGER = "iqn.2020-01.com.example:stranger"
REFUSED = "Target not found(515)"
LEDGER = lun_path("kvm_ledger")
UNIT_SERIAL, IDENTIFICATION = "128", "131"


def tool(*command: str, environment: Mapping[str, str] | None = None) -> bytes:
    """Return all that a tool prints, whether or not it succeeds."""
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env={**os.environ, **(environment or {})},
        timeout=300, check=False,
    )  # fmt: skip
    return done.stdout


def discover(portal: str, initiator: str = IQN) -> str:
    return tool("iscsi-ls", "-s", "-i", initiator, f"iscsi://{portal}").decode()


def lun_ids(array: Array, initiator: str = IQN) -> set[int]:
    listing = discover(array.svm["portals"][0], initiator)
    return {int(number) for number in re.findall(r"Lun:(\d+) +Type:DIRECT_ACCESS", listing)}


def url(array: Array, lun_id: int, portal: int = 0) -> str:
    svm = array.svm
    return f"iscsi://{svm['portals'][portal]}/{svm['iqn']}/{lun_id}"


def inquiry(address: str, *page: str, initiator: str = IQN) -> bytes:
    return tool("iscsi-inq", "-i", initiator, *(("-e", "1", "-c", *page) if page else ()), address)


def capacity(address: str) -> int:
    text = tool("iscsi-readcapacity16", "-i", IQN, address).decode()
    found = re.search(r"Total size:(\d+)", text)
    assert found, text
    return int(found[1])


def qemu_io(address: str, command: str) -> str:
    target = f"driver=raw,file.driver=iscsi,file.initiator-name={IQN}"
    _scheme, _empty, portal, iqn, lun = address.split("/")
    place = f"file.transport=tcp,file.portal={portal}:3260,file.target={iqn},file.lun={lun}"
    return tool("qemu-io", "--image-opts", "-c", command, f"{target},{place}").decode()


def created(array: Array, name: str, size: int, lun_id: int | None = None) -> Any:
    """Create a LUN and map it to the host's group; return it with the LUN id."""
    lun = array.done(
        "POST",
        "storage/luns?return_records=true",
        {"svm.name": "svm_san", "name": f"/vol/vol_kvm/{name}", "os_type": "linux", "space.size": size},
    )
    body = {"svm.name": "svm_san", "lun.uuid": lun["uuid"], "igroup.name": "kvm_kvm01"}
    row = array.done(
        "POST", "protocols/san/lun-maps?return_records=true", body if lun_id is None else {**body, "logical_unit_number": lun_id}
    )
    return {**lun, "id": row["logical_unit_number"], "igroup": row["igroup"]["uuid"]}


def test_an_initiator_finds_its_luns_at_every_portal_under_the_one_name_of_the_svm(array: Array) -> None:
    svm = array.svm
    for portal in svm["portals"]:
        listing = discover(portal)
        assert set(re.findall(r"Target:(\S+)", listing)) == {svm["iqn"]}
        assert set(re.findall(r"Portal:([\d.]+):3260", listing)) == set(svm["portals"])
    assert lun_ids(array) == set(maps().values())


@pytest.mark.parametrize("portal", [0, 1])
def test_a_lun_is_a_netapp_disk_with_the_serial_and_naa_of_the_rest_interface(array: Array, portal: int) -> None:
    serial = array.lun(LEDGER)["serial_number"]
    address = url(array, maps()[LEDGER], portal)
    standard = inquiry(address).decode()
    assert re.search(r"^Vendor:NETAPP +$", standard, re.MULTILINE)
    assert re.search(r"^Product:LUN C-Mode +$", standard, re.MULTILINE)
    assert re.search(r"^Revision:9161$", standard, re.MULTILINE)
    assert f" {serial}]".encode() in inquiry(address, UNIT_SERIAL)
    assert bytes.fromhex(naa_of(serial)) in inquiry(address, IDENTIFICATION)


def test_a_stranger_is_refused_and_finds_nothing(array: Array) -> None:
    assert discover(array.svm["portals"][0], STRANGER) == ""
    assert REFUSED in inquiry(url(array, 1), initiator=STRANGER).decode()


def test_an_initiator_sees_a_lun_from_its_mapping_until_its_unmapping(array: Array) -> None:
    lun = created(array, "visitor", GIB)
    assert lun_ids(array) == {*maps().values(), lun["id"]}
    array.done("DELETE", f"protocols/san/lun-maps/{lun['uuid']}/{lun['igroup']}")
    assert lun_ids(array) == set(maps().values())


def test_each_initiator_sees_what_its_own_groups_map(array: Array) -> None:
    lun = array.lun(lun_path("kvm_archive"))
    group = {"svm.name": "svm_san", "name": "other", "os_type": "linux", "initiators": [{"name": STRANGER}]}
    array.done("POST", "protocols/san/igroups?return_records=true", group)
    assert lun_ids(array, STRANGER) == set()
    array.done(
        "POST",
        "protocols/san/lun-maps",
        {"svm.name": "svm_san", "lun.uuid": lun["uuid"], "igroup.name": "other", "logical_unit_number": 77},
    )
    assert lun_ids(array, STRANGER) == {77}
    assert lun_ids(array) == set(maps().values())


def test_an_initiator_that_leaves_its_group_is_refused(array: Array) -> None:
    group = array.done("GET", "protocols/san/igroups?name=kvm_kvm01")
    array.done("DELETE", f"protocols/san/igroups/{group['uuid']}/initiators/{IQN}?allow_delete_while_mapped=true")
    assert REFUSED in inquiry(url(array, 1)).decode()


def test_a_lun_grows_under_the_eyes_of_the_initiator_and_keeps_its_data(array: Array) -> None:
    lun = created(array, "grower", GIB)
    address = url(array, lun["id"])
    assert capacity(address) == GIB
    qemu_io(address, "write -P 0x5a 4M 1M")
    array.done("PATCH", f"storage/luns/{lun['uuid']}", {"space.size": 2 * GIB})
    assert capacity(address) == 2 * GIB
    assert "verification failed" not in (read := qemu_io(address, "read -P 0x5a 4M 1M"))
    assert "read 1048576/1048576 bytes" in read


def test_data_survives_a_kill_of_the_target(array: Array) -> None:
    address = url(array, maps()[LEDGER])
    assert "wrote 1048576/1048576 bytes" in qemu_io(address, "write -P 0xa5 0 1M")
    array.control("POST", "/data-plane?state=killed")
    assert "Vendor:NETAPP" not in inquiry(address).decode("latin-1")
    array.control("POST", "/data-plane?state=running")
    assert "verification failed" not in (read := qemu_io(address, "read -P 0xa5 0 1M"))
    assert "read 1048576/1048576 bytes" in read


def test_a_lun_that_is_made_again_does_not_hold_the_data_of_the_one_before(array: Array) -> None:
    old = created(array, "secret", GIB)
    qemu_io(url(array, old["id"]), "write -P 0x77 0 1M")
    array.done("DELETE", f"storage/luns/{old['uuid']}?allow_delete_while_mapped=true")
    new = created(array, "secret", GIB, old["id"])
    read = qemu_io(url(array, new["id"]), "read -P 0 0 1M")
    assert "read 1048576/1048576 bytes" in read
    assert "verification failed" not in read


def test_a_lun_that_is_offline_is_not_ready(array: Array) -> None:
    uuid = array.lun(LEDGER)["uuid"]
    array.done("PATCH", f"storage/luns/{uuid}", {"enabled": False})
    assert "NOT READY" in tool("iscsi-readcapacity16", "-i", IQN, url(array, maps()[LEDGER])).decode()
    array.done("PATCH", f"storage/luns/{uuid}", {"enabled": True})
    assert capacity(url(array, maps()[LEDGER])) == 2 * GIB


@pytest.mark.parametrize("lun_id", [0, 256])
def test_a_lun_id_that_the_target_does_not_have_is_refused(array: Array, lun_id: int) -> None:
    uuid = array.lun(LEDGER)["uuid"]
    array.done("POST", "protocols/san/igroups", {"svm.name": "svm_san", "name": "other", "os_type": "linux"})
    body = {"svm.name": "svm_san", "lun.uuid": uuid, "igroup.name": "other", "logical_unit_number": lun_id}
    answer = array.call("POST", "protocols/san/lun-maps", body)
    assert answer.status_code == 400
    assert "(1..255)" in answer.json()["error"]["message"]


def test_chap_admits_only_who_knows_the_secret(array: Array) -> None:
    password = secrets.token_hex(8)
    array.control("POST", "/faults", {"chap": {"initiator": IQN, "username": "kvm01", "password": password}})
    address = url(array, maps()[LEDGER])

    def login(user: str, secret: str) -> bool:
        environment = {"LIBISCSI_CHAP_USERNAME": user, "LIBISCSI_CHAP_PASSWORD": secret}
        return b"Vendor:NETAPP" in tool("iscsi-inq", "-i", IQN, address, environment=environment)

    assert login("kvm01", password)
    assert not login("kvm01", password[::-1] + "x")
    assert b"Vendor:NETAPP" not in inquiry(address)
    array.control("POST", "/data-plane?state=killed")
    array.control("POST", "/data-plane?state=running")
    assert b"Vendor:NETAPP" not in inquiry(address)
    array.control("POST", "/faults", {"chap": {"initiator": IQN}})
    assert b"Vendor:NETAPP" in inquiry(address)
