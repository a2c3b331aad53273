# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""vm_storage_map and ptd_attach tell of every disk of every VM what vmware_guest_disk_info tells."""

from __future__ import annotations

import re
from operator import itemgetter
from typing import Any

import pytest

from tests.conformance.vmware.conftest import Results
from tests.conformance.vmware.fields import Field, Pairs, Record, assert_agreed, paired

KINDS = {"FlatVer2": "image", "RawDiskMappingVer1": "passthrough"}
CONTROLLERS = {"paravirtual": "pvscsi", "lsilogic": "lsilogic", "lsilogicsas": "lsilogicsas", "buslogic": "buslogic"}
MODES = {"physicalMode": "physical", "virtualMode": "virtual"}
SHARING = {"sharingNone": "none", "sharingMultiWriter": "multi_writer"}
RAW = "passthrough"
_NAA = re.compile("6[0-9a-f]{31}")


def naa(text: str) -> str:
    """The NAA name that stands in a LUN's UUID or in the name of its device."""
    (found,) = _NAA.findall(text)
    return str(found)


def datastore(path: str) -> str:
    """The datastore of ``[datastore] directory/file``."""
    return path.removeprefix("[").partition("]")[0]


def lun(disk: Record) -> Any:
    """What the map tells of the one LUN under a raw disk."""
    (found,) = disk["storage"]
    return found


DISK_FIELDS = [
    Field("unit", itemgetter("unit_number"), itemgetter("unit")),
    Field("bus of the controller", itemgetter("controller_bus_number"), itemgetter("bus")),
    Field("backing", lambda disk: KINDS[disk["backing_type"]], itemgetter("kind")),
    Field("file", itemgetter("backing_filename"), itemgetter("path")),
    Field("datastore", itemgetter("backing_datastore"), lambda disk: datastore(disk["path"])),
    Field("capacity", itemgetter("capacity_in_bytes"), itemgetter("size_bytes")),
]
ROW_FIELDS = [
    Field("backing", lambda disk: KINDS[disk["backing_type"]], itemgetter("kind")),
    Field("file", itemgetter("backing_filename"), itemgetter("path")),
    Field("capacity", itemgetter("capacity_in_bytes"), itemgetter("size_bytes")),
]
RAW_FIELDS = [
    Field("LUN by its UUID", lambda disk: naa(disk["backing_lunuuid"]), lambda disk: lun(disk)["naa"]),
    Field("LUN by its device", lambda disk: naa(disk["backing_devicename"]), lambda disk: naa(lun(disk)["device"])),
]
ATTACHED_FIELDS = [
    Field("label", itemgetter("label"), itemgetter("label")),
    Field("key", lambda disk: str(disk["key"]), itemgetter("key")),
    Field("type of the controller", lambda disk: CONTROLLERS[disk["controller_type"]], itemgetter("controller_type")),
    Field("key of the controller", lambda disk: str(disk["controller_key"]), itemgetter("controller_key")),
    Field("bus of the controller", itemgetter("controller_bus_number"), itemgetter("bus")),
    Field("unit", itemgetter("unit_number"), itemgetter("unit")),
    Field("mapping file", itemgetter("backing_filename"), itemgetter("mapping_file")),
    Field("device", itemgetter("backing_devicename"), itemgetter("device")),
    Field("LUN", lambda disk: naa(disk["backing_lunuuid"]), itemgetter("naa")),
    Field("capacity", itemgetter("capacity_in_bytes"), itemgetter("size_bytes")),
    Field("mode", lambda disk: MODES[disk["backing_compatibility_mode"]], itemgetter("mode")),
    Field("disk mode", itemgetter("backing_diskmode"), itemgetter("disk_mode")),
    Field("sharing", lambda disk: SHARING[disk["backing_sharing"]], itemgetter("sharing")),
]


@pytest.fixture
def by_peer(results: Results) -> dict[str, Record]:
    """The disks that the peer tells of, by UUID of the VM and label."""
    return {
        f"{vm} {disk['label']}": disk
        for vm, result in results.looped("Disks by the peer").items()
        for disk in result["guest_disk_info"].values()
    }


@pytest.fixture
def disks(results: Results, by_peer: dict[str, Record]) -> Pairs:
    machines = results.tasks["Map"]["virtual_machines"]
    return paired(by_peer, {f"{vm['uuid']} {disk['disk']}": disk for vm in machines for disk in vm["disks"]})


@pytest.fixture
def attached(results: Results, by_peer: dict[str, Record]) -> Pairs:
    """The disk that ptd_attach attached."""
    told = results.tasks["Attached"]
    where = f"{told['vm']['uuid']} {told['disk']['label']}"
    return {where: (by_peer[where], {**told["disk"], "naa": told["naa"]})}


@pytest.mark.parametrize("field", DISK_FIELDS, ids=str)
def test_of_every_disk(field: Field, disks: Pairs) -> None:
    assert_agreed(field, disks)


@pytest.mark.parametrize("field", RAW_FIELDS, ids=str)
def test_of_every_raw_disk(field: Field, disks: Pairs) -> None:
    raw = {where: pair for where, pair in disks.items() if pair[1]["kind"] == RAW}
    assert len(raw) == 2, "one that the world has and one that ptd_attach attached"
    assert_agreed(field, raw)


@pytest.mark.parametrize("field", ROW_FIELDS, ids=str)
def test_of_every_row_of_the_map(field: Field, results: Results, by_peer: dict[str, Record]) -> None:
    """A disk on several LUNs has several rows, which tell the same of it."""
    uuids = {vm["id"]: vm["uuid"] for vm in results.tasks["Map"]["virtual_machines"]}
    rows = [(f"{uuids[row['vm_id']]} {row['disk']}", row) for row in results.tasks["Map"]["mappings"]]
    assert {where for where, _row in rows} == set(by_peer)
    assert_agreed(field, {f"{where}, {row['device']}": (by_peer[where], row) for where, row in rows})


@pytest.mark.parametrize("field", ATTACHED_FIELDS, ids=str)
def test_of_the_disk_that_was_attached(field: Field, attached: Pairs) -> None:
    assert_agreed(field, attached)
