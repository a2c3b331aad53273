# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who uses it: the answer that somebody reads before a LUN goes away."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import InvalidInput
from ansible_collections.crossvisor.san.plugins.module_utils._san.maps.answer import MOST_DISKS
from ansible_collections.crossvisor.san.plugins.module_utils._san.maps.answer import answer as answered

SERIAL = "80Lab-aaaaa1"
NAA = "600a0980" + SERIAL.encode().hex()
STORAGE = {
    "naa": NAA, "serial": SERIAL, "array_type": "ontap", "array": "lab", "array_address": "ontap.example.com", "svm": "svm1",
    "volume": "v1", "lun_path": "/vol/v1/ds1", "device": f"naa.{NAA}", "storage_state": "online", "status": "mapped", "reason": "",
    "endpoint": "vc01", "observed": "2026-11-28T18:40:00Z", "lun_size_bytes": 200 << 30, "lun_used_bytes": 3 << 29,
}  # fmt: skip
DISK = {"vm_name": "app", "vm_id": "vm-1", "disk": "Hard disk 2", "kind": "image", "host": "esx01", "size_bytes": 20 << 30}
ENDPOINT = {"name": "vc01", "observed": "2026-11-28T18:40:00Z", "status": "ok"}
OTHER = {"lun_path": "/vol/v2/ds2", "volume": "v2", "naa": "600a0980" + "32" * 12, "serial": "2" * 12}


def row(**other: Any) -> dict[str, Any]:
    return {**STORAGE, **DISK, **other}


def resource(**other: Any) -> dict[str, Any]:
    seen = {"hosts": ["esx01", "esx02"], "file_systems": ["gold"], "strangers": [], "virtual_machines": ["app"]}
    return {**STORAGE, "kind": "lun", **seen, **other}


def document(*rows: dict[str, Any], resources: Any = (), endpoints: Any = (ENDPOINT,)) -> dict[str, Any]:
    return {"mappings": rows, "storage_resources": list(resources), "endpoints": list(endpoints)}


def answer(map_: dict[str, Any], what: str) -> list[str]:
    told = answered(map_, what)
    assert told.found
    return list(told.lines)


def test_a_lun_is_answered_in_a_few_lines() -> None:
    second = row(vm_name="web", vm_id="vm-2", disk="Hard disk 1", controller="SCSI 0", unit=1, mounts=["/data"], host="esx02")
    assert answer(document(second, row(), resources=[resource(strangers=["iqn.b", "iqn.a"])]), "/vol/v1/ds1") == [
        "/vol/v1/ds1: 2 VMs on 1 LUN or volume.",
        "",
        f"LUN /vol/v1/ds1 on SVM svm1 of lab (naa.{NAA}), online, 200 GiB, 1.5 GiB used",
        "  VM app, Hard disk 2, image, 20 GiB on esx01 [vc01]",
        "  VM web, Hard disk 1 (SCSI 0:1), image, 20 GiB, /data on esx02 [vc01]",
        "  file system gold",
        "  seen by esx01, esx02",
        "  the array shows it to initiators that no asked host has: iqn.a, iqn.b",
        "",
        "Nobody else at vc01 (2026-11-28T18:40:00Z); nobody else was asked.",
    ]


@pytest.mark.parametrize(
    "what",
    [
        *(NAA, NAA.upper(), f"naa.{NAA}", f"3{NAA}", f"0x{NAA}", f"vml.0200050000{NAA}4c554e20432d", f"/dev/mapper/3{NAA}"),
        *(SERIAL, SERIAL.encode().hex(), "/vol/v1/ds1", "svm1:/vol/v1/ds1", "ds1", "v1", "svm1:v1", " v1 "),
    ],
)
def test_a_lun_is_found_by_every_name_that_it_has(what: str) -> None:
    lines = answer(document(row(), row(vm_name="no", **OTHER)), what)
    assert [line for line in lines if line.startswith("  VM")] == ["  VM app, Hard disk 2, image, 20 GiB on esx01 [vc01]"]


@pytest.mark.parametrize("what", ["svm1", "lab", "ontap.example.com"])
def test_a_larger_thing_is_answered_lun_by_lun(what: str) -> None:
    lines = answer(document(row(), row(**OTHER)), what)
    assert lines[0] == f"{what}: 1 VM on 2 LUNs or volumes."
    assert [line.split()[1] for line in lines if line.startswith("LUN")] == ["/vol/v1/ds1", "/vol/v2/ds2"]


def test_a_lun_on_another_svm_is_another_lun() -> None:
    lines = answer(document(row(), row(svm="svm2", naa="", vm_name="other")), "svm2:/vol/v1/ds1")
    assert [line for line in lines if line.startswith("  VM")] == ["  VM other, Hard disk 2, image, 20 GiB on esx01 [vc01]"]


def test_an_exported_volume_is_answered_too() -> None:
    export = {"naa": "", "serial": "", "lun_path": "", "device": "192.0.2.21:/v1", "storage_state": "online"}
    lines = answer(document(row(**export, lun_size_bytes=None, lun_used_bytes=None)), "192.0.2.21:/v1")
    assert lines[2:4] == [
        "Volume v1 on SVM svm1 of lab, exported as 192.0.2.21:/v1, online",
        "  VM app, Hard disk 2, image, 20 GiB on esx01 [vc01]",
    ]


def test_the_files_of_a_chain_are_one_use() -> None:
    assert len([line for line in answer(document(row(path="a"), row(path="b")), "ds1") if line.startswith("  VM")]) == 1


def test_a_lun_under_no_vm_is_said_to_be_so() -> None:
    assert "  no VM of those that were asked" in answer(document(resources=[resource()]), "ds1")


def test_many_disks_stay_one_screen() -> None:
    rows = [row(vm_id=f"vm-{number}") for number in range(400)]
    lines = answer(document(*rows), "ds1")
    assert len(lines) <= MOST_DISKS + 10
    assert f"  … and {400 - MOST_DISKS} more disks, which the map has" in lines


def test_many_luns_stay_readable() -> None:
    rows = [row(lun_path=f"/vol/v1/{number}", naa="") for number in range(400)]
    lines = answer(document(*rows), "v1")
    assert lines[0] == "v1: 1 VM on 400 LUNs or volumes."
    assert len(lines) <= 3 * MOST_DISKS + 10
    assert f"… and {400 - MOST_DISKS} more, which the map has." in lines


def test_a_disk_that_nobody_could_follow_may_be_on_it() -> None:
    unknown = row(vm_id="vm-9", status="unresolved", reason="it is inaccessible", naa="", lun_path="", volume="", svm="", array="")
    assert answer(document(row(), unknown), "ds1")[-1] == (
        "Cannot tell: 1 disk of vc01 may be on it, because nobody knows what lies under them."
    )


def test_a_disk_on_a_lun_that_no_array_knows_may_be_on_a_volume_but_is_on_no_other_lun() -> None:
    unknown = row(vm_id="vm-9", status="unresolved", naa=OTHER["naa"], lun_path="", volume="", svm="", array="")
    assert answer(document(row(), unknown), "ds1")[-1].startswith("Nobody else at vc01")
    assert answer(document(row(), unknown), "v1")[-1].startswith("Cannot tell: 1 disk of vc01")


def test_an_endpoint_without_a_map_or_with_an_old_one_is_named() -> None:
    missing = {"name": "vc02", "status": "missing", "reason": "it is down"}
    stale = {"name": "vc03", "status": "stale", "observed": "2026-11-01T00:00:00Z"}
    assert answer(document(row(), endpoints=[ENDPOINT, missing, stale]), "ds1")[-2:] == [
        "Cannot tell: Endpoint vc02 is missing: it is down.",
        "Cannot tell: Endpoint vc03 is stale: it was read at 2026-11-01T00:00:00Z.",
    ]


@pytest.mark.parametrize(("what", "read_as"), [("nothing", ""), (f"3{NAA[:-1]}9", f" (read as naa.{NAA[:-1]}9)"), ("/vol/v1/ds", "")])
def test_what_is_not_there_is_told_as_it_was_read(what: str, read_as: str) -> None:
    told = answered(document(row()), what)
    assert (told.found, told.lines) == (
        False,
        [f"No LUN, volume, SVM or array is called {what}{read_as} among what was told by vc01."],
    )


def test_not_found_is_not_unused_where_somebody_did_not_answer() -> None:
    missing = {"name": "vc02", "status": "missing", "reason": "it is down"}
    assert answered(document(row(), endpoints=[ENDPOINT, missing]), "nothing").lines == [
        "No LUN, volume, SVM or array is called nothing among what was told by vc01.",
        "Cannot tell: Endpoint vc02 is missing: it is down.",
    ]


@pytest.mark.parametrize("what", ["", " ", None])
def test_nothing_is_no_question(what: Any) -> None:
    with pytest.raises(InvalidInput, match="Say what to look for"):
        answered(document(row()), what)
