# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The map as metrics, read by the parser of Prometheus' own client library."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from ansible_collections.crossvisor.san.plugins.module_utils._san.maps.metrics import HELP, metrics

SERIAL = "80Lab-aaaaa1"
SERIAL_HEX = "38304c61622d616161616131"
LUN = {"naa": f"600a0980{SERIAL_HEX}", "serial_hex": SERIAL_HEX, "cluster": "lab", "svm": "svm1", "volume": "v1", "lun": "ds1"}
DISK = {"endpoint": "vc01", "vm": "app", "vm_id": "vm-1", "disk": "Hard disk 1"}

Series = dict[frozenset[tuple[str, str]], float]


def storage(**other: Any) -> dict[str, Any]:
    """The columns of a row that its storage fills."""
    return {
        "naa": f"600a0980{SERIAL_HEX}", "serial": SERIAL, "array_type": "ontap", "array": "lab", "svm": "svm1", "volume": "v1",
        "lun_path": "/vol/v1/ds1", "storage_state": "online", "status": "mapped", "endpoint": "vc01", "observed": "2026-11-28T18:40:00Z",
        **other,
    }  # fmt: skip


def row(**other: Any) -> dict[str, Any]:
    """A row of the map."""
    return storage(
        **{
            "hypervisor_type": "vmware", "hypervisor": "vc.example.com", "cluster": "prod", "host": "esx1", "vm_name": "app",
            "vm_id": "vm-1", "disk": "Hard disk 1", "kind": "image", "size_bytes": 10,
            **other,
        }
    )  # fmt: skip


def resource(**other: Any) -> dict[str, Any]:
    return storage(**{"kind": "lun", "virtual_machines": ["app"], **other})


def endpoint(**other: Any) -> dict[str, Any]:
    told = {
        "name": "vc01",
        "type": "vmware",
        "address": "vc.example.com",
        "observed": "2026-11-28T18:40:00Z",
        "status": "ok",
        "warnings": [],
    }
    return {**told, **other}


def read(text: str) -> dict[str, Series]:
    """The samples by metric, none of which is there twice."""
    found: dict[str, Series] = {}
    for family in text_string_to_metric_families(text):
        assert family.type == "gauge"
        for sample in family.samples:
            series = found.setdefault(sample.name, {})
            assert frozenset(sample.labels.items()) not in series, "node_exporter refuses a file with a series twice"
            series[frozenset(sample.labels.items())] = sample.value
    return found


def series(value: float, **labels: str) -> Series:
    return {frozenset(labels.items()): value}


def of(*mappings: dict[str, Any], resources: Any = (), endpoints: Any = ()) -> dict[str, Series]:
    return read(metrics({"mappings": mappings, "storage_resources": list(resources), "endpoints": list(endpoints)}))


def test_a_disk_has_the_labels_that_harvest_has() -> None:
    described = {"hypervisor_type": "vmware", "hypervisor": "vc.example.com", "hypervisor_cluster": "prod", "kind": "image"}
    assert of(row())["crossvisor_disk_info"] == series(1, **DISK, **described, **LUN)


def test_what_changes_is_in_no_label_of_the_disk() -> None:
    then, now = of(row()), of(row(host="esx2", size_bytes=20, storage_state="offline", lun_id=9, observed="2026-11-29T18:40:00Z"))
    assert then["crossvisor_disk_info"] == now["crossvisor_disk_info"]


def test_a_serial_number_of_another_maker_is_no_serial_hex() -> None:
    (labels,) = of(row(array_type="", array="", serial="624A9370"))["crossvisor_disk_info"]
    assert dict(labels)["serial_hex"] == ""


def test_a_disk_on_two_luns_is_measured_once_and_shared_out() -> None:
    found = of(row(share_bytes=6), row(share_bytes=4, lun_path="/vol/v1/ds2", naa="600a0980" + "31" * 12, serial="1" * 12))
    assert found["crossvisor_disk_size_bytes"] == series(10, **DISK)
    assert sorted(found["crossvisor_disk_share_bytes"].values()) == [4, 6]
    assert len(found["crossvisor_disk_info"]) == 2


def test_the_files_of_a_chain_on_one_lun_are_one_series() -> None:
    found = of(row(path="top", share_bytes=10), row(path="base", share_bytes=0))
    assert list(found["crossvisor_disk_info"].values()) == [1]
    assert list(found["crossvisor_disk_share_bytes"].values()) == [10]
    assert list(found["crossvisor_lun_disks"].values()) == [1]


def test_a_size_that_nobody_knows_is_no_zero() -> None:
    assert "crossvisor_disk_size_bytes" not in of(row(size_bytes=0))


@pytest.mark.parametrize(("status", "value"), [("mapped", 0), ("local", 0), ("unresolved", 1)])
def test_a_disk_is_unresolved_when_one_of_its_rows_is(status: str, value: int) -> None:
    assert of(row(), row(status=status, lun_path="", naa=""))["crossvisor_disk_unresolved"] == series(value, **DISK)


def test_a_lun_counts_its_disks_and_vms_over_all_endpoints() -> None:
    rows = [row(), row(disk="Hard disk 2"), row(vm_id="vm-2"), row(endpoint="vc02")]
    found = of(*rows, resources=[resource()])
    assert found["crossvisor_lun_disks"] == series(4, **LUN)
    assert found["crossvisor_lun_vms"] == series(3, **LUN)


def test_a_lun_under_no_vm_counts_none() -> None:
    found = of(resources=[resource(virtual_machines=[])])
    assert found["crossvisor_lun_disks"] == series(0, **LUN)


def test_an_exported_volume_is_no_lun() -> None:
    found = of(row(naa="", serial="", lun_path=""))
    assert [name for name in found if name.startswith("crossvisor_lun_")] == []
    assert len(found["crossvisor_disk_info"]) == 1


@pytest.mark.parametrize(("state", "value"), [("online", 1), ("offline", 0), ("nvfail", 0)])
def test_a_lun_is_online_or_not(state: str, value: int) -> None:
    assert of(row(storage_state=state))["crossvisor_lun_online"] == series(value, **LUN)


@pytest.mark.parametrize("state", ["", "unknown"])
def test_a_lun_whose_state_nobody_told_is_neither(state: str) -> None:
    assert "crossvisor_lun_online" not in of(row(storage_state=state))


def test_of_two_endpoints_the_newer_word_counts() -> None:
    offline = row(endpoint="vc02", storage_state="offline", observed="2026-11-28T18:41:00Z")
    for rows in ((row(), offline), (offline, row())):
        assert of(*rows)["crossvisor_lun_online"] == series(0, **LUN)


def test_sizes_and_strangers_of_a_lun_are_gauges() -> None:
    found = of(resources=[resource(lun_size_bytes=100, lun_used_bytes=0, strangers=["iqn.a", "iqn.b"])])
    assert found["crossvisor_lun_size_bytes"] == series(100, **LUN)
    assert found["crossvisor_lun_used_bytes"] == series(0, **LUN)
    assert found["crossvisor_lun_strangers"] == series(2, **LUN)


def test_paths_are_counted_by_host_and_state_where_somebody_tells() -> None:
    paths = [{"host": "esx1", "live": 1, "dead": 3}, {"host": "esx2", "live": None, "dead": None}]
    found = of(resources=[resource(paths=paths)])["crossvisor_lun_paths"]
    where = {"endpoint": "vc01", "host": "esx1", **LUN}
    assert found == {**series(1, **where, state="live"), **series(3, **where, state="dead")}


def test_an_endpoint_tells_when_it_was_read_and_whether_all_is_there() -> None:
    stale = endpoint(name="vc02", status="stale", warnings=["a", "b"])
    missing = endpoint(name="vc03", status="missing", observed="")
    found = of(endpoints=[endpoint(), stale, missing])
    names = {value: dict(labels)["endpoint"] for labels, value in found["crossvisor_map_warnings"].items()}
    assert names[2] == "vc02"
    times = {dict(labels)["endpoint"]: value for labels, value in found["crossvisor_map_timestamp_seconds"].items()}
    assert times == {"vc01": 1795891200, "vc02": 1795891200}
    complete = {dict(labels)["endpoint"]: value for labels, value in found["crossvisor_map_complete"].items()}
    assert complete == {"vc01": 1, "vc02": 0, "vc03": 0}


def test_an_endpoint_that_only_rows_name_is_there_too() -> None:
    (labels,) = of(row(endpoint="", observed=""))["crossvisor_map_complete"]
    assert dict(labels) == {"endpoint": "vc.example.com", "hypervisor_type": "vmware", "hypervisor": "vc.example.com"}


def test_a_vm_whose_disks_nobody_can_tell_is_unresolved() -> None:
    unknown = {**row(), "disk": "", "kind": "", "naa": "", "serial": "", "array": "", "lun_path": "", "status": "unresolved"}
    assert of(unknown)["crossvisor_disk_unresolved"] == series(1, **{**DISK, "disk": ""})


def test_every_metric_can_come_to_be() -> None:
    everything = resource(lun_size_bytes=1, lun_used_bytes=1, strangers=[], paths=[{"host": "esx1", "live": 1, "dead": 0}])
    assert set(of(row(share_bytes=1), resources=[everything], endpoints=[endpoint()])) == set(HELP)


HOSTILE = st.text(st.characters(exclude_categories=[]), max_size=40)


@given(name=HOSTILE, path=HOSTILE)
@example(name='"} 1\ncrossvisor_disk_info{vm="', path="\\")
@example(name="\\n", path='\\"')
@example(name="\r\n\x00\u2028\u202e</script>", path="a/b\n")
@example(name="\ud800", path="")
@example(name="x" * 500, path="\\" * 500)
def test_whatever_a_vm_is_called_is_one_label(name: str, path: str) -> None:
    (labels,) = of(row(vm_name=name, lun_path=path))["crossvisor_disk_info"]
    written = name.encode("utf-8", "replace").decode()
    leaf = path.rpartition("/")[2].encode("utf-8", "replace").decode()
    assert (dict(labels)["vm"], dict(labels)["lun"]) == (written, leaf)


def test_names_that_utf_8_cannot_hold_are_no_series_twice() -> None:
    assert len(of(row(vm_name="\ud800"), row(vm_name="?"))["crossvisor_disk_info"]) == 1
