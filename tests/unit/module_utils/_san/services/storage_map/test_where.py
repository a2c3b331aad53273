# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Both directions: what is asked for is all that is told and all that others are asked, and what there is not is told with what is near."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import ConnectionFailed, InvalidInput, NotFound
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.base import Wanted
from ansible_collections.crossvisor.san.plugins.module_utils._san.maps.answer import answer
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import (
    FileSystem,
    Host,
    ImageFile,
    Lun,
    ScsiDevice,
    Use,
    VirtualDisk,
    VirtualMachine,
    Volume,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.array_view import ArraySource
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.storage_map.mapper import StorageMap, storage_map
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.storage_map.where import WORDS, Where, lun_names
from tests.unit.ports import NAME, OTHER, MemoryArray, MemoryHypervisor, lun

RAW = ScsiName.from_ontap_serial("80Lab-aaaaa3")
LOST = ScsiName.from_ontap_serial("80Lab-aaaaa4")
"""One that no host sees and no array has."""
GOLD = FileSystem("ds-1", "gold", "vmfs", ["h1"], [str(NAME)])
SPAN = FileSystem("ds-2", "span", "vmfs", ["h1"], [str(NAME), str(OTHER)])
NFS = FileSystem("ds-3", "nfs", "nfs", ["h1"], remote="192.0.2.21:/vm")
PLAIN = FileSystem("ds-4", "plain", "vmfs", ["h1"], [str(OTHER)])


def image(store: FileSystem, label: str = "Hard disk 1", **more: Any) -> VirtualDisk:
    return VirtualDisk("2000", label, "image", size_bytes=10, path=f"[{store.name}] a.vmdk", file_system=store.id, **more)


MACHINES = [
    VirtualMachine("vm-1", "app", "u-1", host="h1", cluster="prod", disks=[image(GOLD), image(PLAIN, "Hard disk 2", mounts=["/srv/data"])]),
    VirtualMachine("vm-2", "span", host="h2", cluster="dev", disks=[image(SPAN, mounts=["D:\\"])]),
    VirtualMachine("vm-3", "raw", host="h2", cluster="dev", disks=[VirtualDisk("2001", "Hard disk 1", "passthrough", name=RAW)]),
    VirtualMachine("vm-4", "file", host="h1", cluster="prod", disks=[image(NFS)]),
    VirtualMachine("vm-5", "empty", host="h1", cluster="prod"),
    VirtualMachine("vm-6", "clone", host="h1", cluster="prod", disks=[image(PLAIN, parents=[ImageFile("base", "ds-1")])]),
]


@dataclass
class Array(MemoryArray):
    """Notes for which LUNs it was asked."""

    asked: set[ScsiName] = field(default_factory=set)

    def luns(self, names: Sequence[ScsiName]) -> list[Lun]:
        self.asked |= set(names)
        return super().luns(names)


def array() -> Array:
    return Array(
        lun(NAME),
        [placed(lun(OTHER), "/vol/v2/l2", "v2"), placed(lun(RAW), "/vol/v2/raw", "v2")],
        [Volume("1", "vol_nfs", "svm2", "/vm", ["192.0.2.21"])],
    )


def placed(found: Lun, path: str, volume: str) -> Lun:
    return replace(found, path=path, volume=volume, id=path)


def endpoint() -> MemoryHypervisor:
    seen = [ScsiDevice("h1", str(name), name, 1) for name in (NAME, OTHER, RAW)]
    return MemoryHypervisor([Host("h1", "esx1", "prod"), Host("h2", "esx2", "dev")], list(MACHINES), [GOLD, SPAN, NFS, PLAIN], seen)


def asked(there: MemoryHypervisor | None = None, of: Array | None = None, /, **words: str) -> StorageMap:
    source = ArraySource("ontap.example.com", lambda: of or array())
    return storage_map(there or endpoint(), [source], where=Where(**words))


def vms(found: StorageMap) -> list[tuple[str, str]]:
    return [(row["vm_name"], row["disk"][-1:]) for row in found.mappings]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ({"vm": "app"}, [("app", "1"), ("app", "2")]),
        ({"vm": "u-1"}, [("app", "1"), ("app", "2")]),
        ({"host": "esx2"}, [("span", "1"), ("span", "1"), ("raw", "1")]),
        ({"host": "h2", "cluster": "dev", "volume": "v1"}, [("span", "1")]),
        ({"cluster": "dev"}, [("span", "1"), ("span", "1"), ("raw", "1")]),
        ({"volume": "v2"}, [("app", "2"), ("span", "1"), ("raw", "1"), ("clone", "1")]),
        ({"volume": "vol_nfs"}, [("file", "1")]),
        ({"svm": "svm2"}, [("file", "1")]),
        ({"array": "lab", "svm": "svm2"}, [("file", "1")]),
        ({"array": "ontap.example.com", "volume": "vol_nfs"}, [("file", "1")]),
        ({"lun_path": "/vol/v2/raw"}, [("raw", "1")]),
        ({"lun_path": "svm1:/vol/v2/raw"}, [("raw", "1")]),
        ({"naa": str(NAME)}, [("app", "1"), ("span", "1"), ("clone", "1")]),
        ({"naa": "80Lab-aaaaa3"}, [("raw", "1")]),
        ({"mount": "/srv/data"}, [("app", "2")]),
        ({"mount": "/srv/data/"}, [("app", "2")]),
        ({"mount": "d:"}, [("span", "1"), ("span", "1")]),
        ({"vm": "app", "volume": "v2"}, [("app", "2")]),
        ({"vm": "app", "lun_path": "/vol/v2/raw"}, []),
        ({"vm": "empty"}, []),
    ],
)
def test_the_rows_are_those_that_are_asked_for(words: dict[str, str], expected: list[tuple[str, str]]) -> None:
    assert vms(asked(**words)) == expected


STORES = [GOLD, SPAN, NFS, PLAIN]
FILES = st.builds(
    lambda store, parents: image(store, parents=[ImageFile("base", parent.id) for parent in parents]),
    st.sampled_from(STORES),
    st.lists(st.sampled_from(STORES), max_size=1),
)
RAW_DISKS = st.sampled_from([RAW, LOST]).map(lambda name: VirtualDisk("2001", "Hard disk 9", "passthrough", name=name))
"""No LUN that a file system lies on, which is no VM's own disk."""
ESTATES = st.lists(st.lists(st.one_of(FILES, RAW_DISKS), max_size=3), max_size=4).map(
    lambda all_disks: [VirtualMachine(f"vm-{n}", f"vm{n}", host="h1", disks=disks) for n, disks in enumerate(all_disks)]
)
PLACES = [
    *(("naa", name.naa) for name in (NAME, OTHER, RAW, LOST)), ("volume", "v1"), ("volume", "v2"), ("volume", "vol_nfs"), ("svm", "svm1"),
    ("svm", "svm2"), ("array", "lab"), ("lun_path", "/vol/v1/l1"), ("lun_path", "/vol/v2/raw"),
]  # fmt: skip


@given(ESTATES, st.sampled_from(PLACES))
def test_the_rows_are_those_of_the_whole_map_that_lie_there(machines: list[VirtualMachine], place: tuple[str, str]) -> None:
    word, value = place
    there = replace(endpoint(), machines=machines)
    whole = [{**row, "observed": ""} for row in asked(there).mappings if row[word] == value]  # type: ignore[literal-required]
    try:
        found = asked(there, **{word: value}).mappings
    except NotFound:
        found = []
    assert [{**row, "observed": ""} for row in found] == whole


@pytest.mark.parametrize(
    "spelling",
    [
        NAME.naa, NAME.naa.upper(), f"0x{NAME.naa}", NAME.vmware, NAME.wwid, NAME.wwn, f"/dev/disk/by-id/{NAME.wwn}",
        f"vml.0200000000{NAME.naa}4c554e20432d", "80Lab-aaaaa1", NAME.naa[8:], f" {NAME.vmware} ",
    ],
)  # fmt: skip
def test_a_lun_is_found_in_every_spelling(spelling: str) -> None:
    assert {vm for vm, _disk in vms(asked(naa=spelling))} == {"app", "span", "clone"}


@given(st.from_regex("[!-~]{12}", fullmatch=True))
def test_a_serial_number_is_the_lun_that_has_it(serial: str) -> None:
    name = ScsiName.from_ontap_serial(serial)
    assert name in lun_names(serial)
    assert name in lun_names(serial.encode().hex())


def test_a_serial_number_of_pures_is_one_too() -> None:
    assert ScsiName("624a9370" + "f" * 24) in lun_names("F" * 24)


@pytest.mark.parametrize("text", ["eui.0025385b91b1a1b2", "short", "t10.ATA_____disk", "é" * 12])
def test_what_is_no_name_of_a_lun_is_refused_with_the_spellings_that_there_are(text: str) -> None:
    with pytest.raises(InvalidInput, match=r"where\.naa is .* neither the name of a LUN .* nor the serial number"):
        Where(naa=text)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ({"vm": "ap"}, "no VM 'ap' .*did you mean app"),
        ({"host": "esx3"}, "There is no host 'esx3' on this hypervisor; did you mean esx2, esx1"),
        ({"cluster": "prodd"}, "There is no cluster 'prodd' on this hypervisor; did you mean prod"),
        ({"volume": "vol_nsf"}, "There is no volume 'vol_nsf' under anything that this hypervisor's hosts see; did you mean vol_nfs"),
        ({"svm": "svm3"}, "There is no SVM 'svm3' .*; did you mean svm"),
        ({"array": "labb"}, "There is no array 'labb' .*; did you mean lab"),
        ({"lun_path": "/vol/v2/rwa"}, "There is no LUN path '/vol/v2/rwa' .*; did you mean /vol/v2/raw"),
        (
            {"naa": "80Lab-aaaaa9"},
            "No host of this hypervisor sees, and no VM has, the LUN '80Lab-aaaaa9', read as naa.6.*; did you mean 80Lab-",
        ),
        ({"mount": "/srv/dat"}, "There is no mount point '/srv/dat' on this hypervisor; did you mean /srv/data"),
    ],
)
def test_what_there_is_not_is_one_sentence_with_what_is_near(words: dict[str, str], sentence: str) -> None:
    with pytest.raises(NotFound, match=sentence):
        asked(**words)


def test_what_an_array_may_have_that_did_not_answer_is_not_said_to_be_nowhere() -> None:
    with pytest.raises(NotFound, match="but it may be where nobody could look: array a1 could not be asked: no route"):
        storage_map(endpoint(), [ArraySource("a1", failing)], where=Where(volume="v1"))


def test_a_lun_under_no_vm_is_an_answer_and_no_error() -> None:
    there = endpoint()
    there.machines = []
    found = asked(there, naa=str(RAW))
    assert (found.mappings, [(one["naa"], one["virtual_machines"]) for one in found.storage_resources]) == ([], [(RAW.naa, [])])


def test_the_nested_forms_tell_the_same_part() -> None:
    found = asked(volume="v1")
    assert [(vm["name"], [disk["disk"][-1] for disk in vm["disks"]]) for vm in found.virtual_machines] == [
        ("app", ["1"]), ("span", ["1"]), ("clone", ["1"]),
    ]  # fmt: skip
    span = found.virtual_machines[1]["disks"][0]
    assert [one["volume"] for one in span["storage"]] == ["v1"], "the other LUN of a spanned file system was not asked for"
    assert [(one["volume"], one["virtual_machines"]) for one in found.storage_resources] == [("v1", ["app", "clone", "span"])]
    assert [one["naa"] for one in asked(vm="raw").storage_resources] == [RAW.naa]


def test_the_share_of_a_row_is_that_of_the_whole_map() -> None:
    assert [row["share_bytes"] for row in asked(vm="span", volume="v2").mappings] == [5]


def test_an_array_is_asked_for_no_lun_that_is_not_needed() -> None:
    cases: list[tuple[dict[str, str], set[ScsiName]]] = [
        ({"naa": str(NAME)}, {NAME}), ({"vm": "raw"}, {RAW}), ({"vm": "clone"}, {NAME, OTHER}), ({"volume": "v1"}, {NAME, OTHER, RAW}),
        ({"host": "esx1"}, {NAME, OTHER}), ({"cluster": "prod"}, {NAME, OTHER}),
    ]  # fmt: skip
    for words, names in cases:
        of = array()
        asked(None, of, **words)
        assert of.asked & {NAME, OTHER, RAW} == names
        assert of.calls.count("luns") == 1
        assert ("volumes" in of.calls) is ("naa" not in words)


def test_of_arrays_one_of_which_is_named_by_its_address_the_others_are_not_asked() -> None:
    def fail() -> MemoryArray:
        raise AssertionError("it was asked")

    sources = [ArraySource("ontap.example.com", array), ArraySource("b.example.com", fail)]
    assert vms(storage_map(endpoint(), sources, where=Where(array="ontap.example.com", svm="svm2"))) == [("file", "1")]


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ({"naa": str(NAME)}, Wanted({"ds-1", "ds-2"}, raw_disks=False)),
        ({"lun_path": "/vol/v2/l2"}, Wanted({"ds-2", "ds-4"}, raw_disks=False)),
        ({"naa": str(RAW)}, Wanted(set(), raw_disks=True)),
        ({"volume": "v1"}, Wanted({"ds-1", "ds-2"}, raw_disks=True)),
        ({"storage": "svm1:/vol/v2/l2"}, Wanted({"ds-2", "ds-4"}, raw_disks=False)),
        ({"svm": "svm2"}, Wanted({"ds-3"}, raw_disks=True)),
        ({"vm": "app", "naa": str(NAME)}, None),
        ({}, None),
    ],
)
def test_only_vms_on_the_file_systems_that_are_meant_are_read_and_those_with_raw_disks_where_one_can_be_meant(
    words: dict[str, str], wanted: Wanted | None
) -> None:
    there = endpoint()
    asked(there, **words)
    assert there.wanted == [wanted]


def test_a_path_that_luns_of_two_svms_have_may_be_that_of_a_raw_disk_too() -> None:
    there, of = endpoint(), array()
    of.others[1] = replace(of.others[1], svm="svm2", path="/vol/v2/l2")
    assert vms(asked(there, of, lun_path="/vol/v2/l2")) == [("app", "2"), ("span", "1"), ("raw", "1"), ("clone", "1")]
    assert there.wanted == [Wanted({"ds-2", "ds-4"}, raw_disks=True)]


def mounted(mount: str) -> MemoryHypervisor:
    return replace(endpoint(), machines=[VirtualMachine("vm-1", "app", host="h1", disks=[image(GOLD, mounts=[mount])])])


@pytest.mark.parametrize(("has", "wanted"), [("/srv/data", "/srv/data/"), ("/", "/"), ("d:\\", "D:"), ("C:\\Mt\\One", "c:\\mt\\one\\")])
def test_a_mount_point_is_known_however_it_ends_and_in_windows_in_whatever_case(has: str, wanted: str) -> None:
    assert vms(asked(mounted(has), mount=wanted)) == [("app", "1")]


@pytest.mark.parametrize(
    ("has", "wanted"), [("/srv/data", "/SRV/data"), ("/srv/a:b", "/srv/A:b"), ("/mnt/root", "/mnt/roo"), ("", "/"), ("\\", "/")]
)
def test_another_mount_point_is_not_taken_for_it(has: str, wanted: str) -> None:
    with pytest.raises(NotFound, match="There is no mount point"):
        asked(mounted(has), mount=wanted)


def test_a_lun_that_hosts_have_lost_and_a_vm_has_not_is_found_by_its_volume_and_by_its_path() -> None:
    for words in ({"volume": "v2"}, {"lun_path": "/vol/v2/raw"}):
        there, of = endpoint(), array()
        there.seen = [device for device in there.seen if device.name != RAW]
        assert ("raw", "1") in vms(asked(there, of, **words))
        assert of.calls.count("luns") == 2, "once for what hosts see, and once for what only VMs have"
        assert of.calls.count("volumes") == 1


def test_an_array_that_falls_silent_between_two_questions_is_one_that_did_not_answer() -> None:
    there, of = endpoint(), array()
    there.seen = [device for device in there.seen if device.name != RAW]
    found = storage_map(there, [ArraySource("a1", lambda: failing() if of.calls else of)], where=Where(volume="v2"))
    assert [warning for warning in found.warnings if "a1" in warning] == ["array a1 could not be asked: no route"]
    assert {row["vm_name"] for row in found.mappings} == {"app", "span", "clone"}


def failing() -> MemoryArray:
    raise ConnectionFailed("no route")


def test_the_words_are_those_of_the_module() -> None:
    assert set(WORDS) == {"vm", "host", "cluster", "lun_path", "volume", "svm", "array", "naa", "mount", "storage"}


def test_a_vm_that_cannot_be_read_is_a_row_of_its_host_and_a_warning_where_storage_is_asked_for() -> None:
    there = endpoint()
    there.machines.append(VirtualMachine("vm-7", "lost", host="h1", cluster="prod"))
    there.uses = [Use("VM", "lost", "vm-7", "cannot be read because it is inaccessible")]
    there.warnings = ["VM lost (vm-7) cannot be read because it is inaccessible: its disks are missing."]
    assert ("lost", "unresolved") in [(row["vm_name"], row["status"]) for row in asked(there, host="esx1").mappings if not row["disk"]]
    found = asked(there, volume="v2")
    assert "lost" not in {row["vm_name"] for row in found.mappings}
    assert found.warnings == there.warnings, "it may lie there too"


UNCLEAR = "Nobody can tell whether"
STRANGE = ScsiName("600601601234567890abcdef12345678")
HIDDEN = FileSystem("ds-5", "hidden", "vmfs", ["h1"])
FOREIGN = FileSystem("ds-6", "foreign", "vmfs", ["h1"], [str(STRANGE)])
ELSEWHERE = FileSystem("ds-7", "elsewhere", "nfs", ["h1"], remote="192.0.2.99:/vm")
ANY_LUN_OR_VOLUME = [{"naa": str(NAME)}, {"lun_path": "/vol/v2/l2"}, {"volume": "v2"}, {"svm": "svm2"}, {"array": "ontap.example.com"}]


def with_one_on(store: FileSystem) -> MemoryHypervisor:
    there = endpoint()
    there.machines.append(VirtualMachine("vm-8", "odd", host="h1", cluster="prod", disks=[image(store)]))
    there.file_systems.append(store)
    return there


def unclear(found: StorageMap) -> list[str]:
    return [warning for warning in found.warnings if warning.startswith(UNCLEAR)]


@pytest.mark.parametrize("words", ANY_LUN_OR_VOLUME)
def test_a_disk_of_which_nothing_is_known_may_be_on_whatever_is_asked_for(words: dict[str, str]) -> None:
    found = asked(with_one_on(HIDDEN), **words)
    assert "odd" not in {row["vm_name"] for row in found.mappings}
    sentence = (
        "Nobody can tell whether 1 disk may be on what is asked for: Hard disk 1 of odd (vm-8). "
        "A map without 'where' tells why, and the way out."
    )
    assert unclear(found) == [sentence]


@pytest.mark.parametrize(("store", "may_be"), [(FOREIGN, {"lun_path", "volume", "svm", "array"}), (ELSEWHERE, {"volume", "svm", "array"})])
@pytest.mark.parametrize("words", ANY_LUN_OR_VOLUME)
def test_a_name_that_is_another_and_an_export_are_not_the_lun_that_is_asked_for(
    words: dict[str, str], store: FileSystem, may_be: set[str]
) -> None:
    assert bool(unclear(asked(with_one_on(store), **words))) == (set(words) <= may_be)


def test_a_lun_by_its_name_may_be_on_the_volume_that_no_array_told_it_to_be_on() -> None:
    of = array()
    of.others = [found for found in of.others if found.serial != lun(RAW).serial]
    assert unclear(asked(None, of, volume="v2"))


def test_the_vms_on_a_file_system_of_which_nobody_can_tell_are_read_too() -> None:
    there = with_one_on(HIDDEN)
    asked(there, naa=str(NAME))
    assert there.wanted == [Wanted({"ds-1", "ds-2", "ds-5"}, raw_disks=False)]


def test_many_disks_of_which_nobody_can_tell_are_counted() -> None:
    there = with_one_on(HIDDEN)
    there.machines += [VirtualMachine(f"vm-1{number}", "odd", host="h1", cluster="prod", disks=[image(HIDDEN)]) for number in range(10, 21)]
    (warning,) = unclear(asked(there, volume="v2"))
    assert "12 disks" in warning
    assert "vm-118" in warning
    assert "vm-119" not in warning
    assert " and 2 more." in warning


def test_as_many_as_are_named_are_all_named() -> None:
    there = with_one_on(HIDDEN)
    there.machines += [VirtualMachine(f"vm-1{number}", "odd", host="h1", disks=[image(HIDDEN)]) for number in range(10, 19)]
    (warning,) = unclear(asked(there, volume="v2"))
    assert "10 disks" in warning
    assert "vm-118). A map" in warning


def test_two_disks_are_two_and_one_of_several_luns_is_enough_to_be_in_doubt() -> None:
    half = FileSystem("ds-9", "half", "vmfs", ["h1"], [str(NAME), str(LOST)])
    there = with_one_on(half)
    there.machines.append(VirtualMachine("vm-10", "odd", host="h1", disks=[image(half)]))
    (warning,) = unclear(asked(there, volume="v2"))
    assert "whether 2 disks may be" in warning


def test_a_disk_whose_lun_no_array_has_is_on_the_lun_of_that_name_without_a_doubt() -> None:
    there = endpoint()
    there.machines.append(VirtualMachine("vm-8", "odd", host="h1", disks=[VirtualDisk("2000", "Hard disk 1", "passthrough", name=LOST)]))
    found = asked(there, naa=str(LOST))
    assert (vms(found), unclear(found)) == ([("odd", "1")], [])


def test_a_lun_of_the_name_that_is_asked_for_may_be_on_the_volume_that_is() -> None:
    assert asked(naa=str(RAW), volume="v1").mappings == [], "the volume is there, and the LUN is not on it"
    there, of = replace(endpoint(), machines=MACHINES[1:3]), array()
    of.others = [found for found in of.others if found.serial != lun(RAW).serial]
    (warning,) = unclear(asked(there, of, naa=str(RAW), volume="v1"))
    assert "1 disk may be on what is asked for: Hard disk 1 of raw (vm-3)" in warning


def test_of_what_a_person_calls_so_only_what_is_called_so_is_told() -> None:
    assert vms(asked(storage="vol_nfs")) == [("file", "1")]


def test_what_is_told_as_a_row_is_no_warning_beside_it() -> None:
    assert unclear(asked(with_one_on(HIDDEN), storage="v2")) == []


def test_a_vm_that_is_named_is_there_though_none_of_its_disks_is_where_it_is_asked_for() -> None:
    source = ArraySource("ontap.example.com", array)
    assert storage_map(endpoint(), [source], names=["file"], where=Where(volume="v2")).mappings == []
    with pytest.raises(NotFound, match="nobody"):
        storage_map(endpoint(), [source], names=["nobody"], where=Where(volume="v2"))


def test_a_vm_without_disks_is_told_where_vms_are_asked_for_and_not_where_disks_are() -> None:
    def told(**words: str) -> list[str]:
        return [vm["name"] for vm in asked(**words).virtual_machines]

    assert told(cluster="prod") == ["app", "file", "empty", "clone"]
    assert told(cluster="prod", mount="/srv/data") == ["app"]


def test_exports_are_asked_for_once_and_only_where_a_file_system_is_on_one() -> None:
    of = array()
    asked(None, of, volume="v2")
    assert of.calls.count("volumes") == 1
    there, of = replace(endpoint(), file_systems=[GOLD, SPAN, PLAIN], machines=MACHINES[:3]), array()
    asked(there, of, volume="v2")
    assert of.calls.count("volumes") == 0


def test_where_everything_is_known_nothing_is_in_doubt() -> None:
    assert not [sentence for words in ANY_LUN_OR_VOLUME for sentence in unclear(asked(**words))]


def said(found: StorageMap, what: str) -> Sequence[str]:
    forms: dict[str, Sequence[Any]] = {"mappings": found.mappings, "storage_resources": found.storage_resources}
    rows = [{**row, "observed": "now"} for form in forms.values() for row in form]
    told = {name: [row for row in rows if ("vm_id" in row) == (name == "mappings")] for name in forms}
    endpoint_told = {"name": found.endpoint.name, "type": found.endpoint.type, "address": found.endpoint.address, "observed": "now"}
    return answer({"endpoints": [{**endpoint_told, "status": "ok"}], **told}, what).lines


GONE = VirtualDisk("2001", "Hard disk 1", "passthrough", device="vml.gone")
DOUBTFUL = [
    VirtualMachine("vm-7", "lost", host="h2", cluster="dev", disks=[GONE]),
    *(VirtualMachine(f"vm-{store.id}", store.name, host="h1", disks=[image(store)]) for store in (HIDDEN, FOREIGN, ELSEWHERE)),
]


@pytest.mark.parametrize(
    "what",
    [
        str(NAME), f"3{NAME.naa}", "80Lab-aaaaa3", "/vol/v2/l2", "svm1:/vol/v2/raw", "raw", "v2", "svm1:v2", "vol_nfs", "192.0.2.21:/vm",
        "svm1", "svm2", "lab", "nothing", " v2 ", "/vol/v2/nothing",
    ],
)  # fmt: skip
def test_what_a_person_calls_it_is_answered_as_from_the_whole_map(what: str) -> None:
    assert said(asked(storage=what), what) == said(asked(), what)


@pytest.mark.parametrize(
    ("what", "disks"),
    [
        (str(NAME), 1),  # not the raw disk, because a file system lies on that LUN; no LUN of another name; no export
        (str(RAW), 2),
        ("/vol/v2/l2", 2),
        ("l2", 3),
        ("v2", 4),
        ("svm2", 4),
        ("nothing", 4),
    ],
)
def test_what_may_lie_there_is_counted_as_what_nobody_can_tell(what: str, disks: int) -> None:
    there = endpoint()
    there.machines += DOUBTFUL
    there.file_systems += [HIDDEN, FOREIGN, ELSEWHERE]
    found = said(asked(there, storage=what), what)
    many = "1 disk" if disks == 1 else f"{disks} disks"
    assert found[-1] == f"Cannot tell: {many} of hv.example.com may be on it, because nobody knows what lies under them."
    assert found[:-1] == said(asked(there), what)[:-1], "all else is as the whole map tells it"


def test_a_vm_that_cannot_be_read_may_have_what_a_person_calls_so() -> None:
    there = endpoint()
    there.machines.append(VirtualMachine("vm-9", "untold", host="h1", cluster="prod"))
    there.uses = [Use("VM", "untold", "vm-9", "cannot be read because it is inaccessible")]
    assert said(asked(there, storage="v2"), "v2")[-1].startswith("Cannot tell: 1 disk of hv.example.com may be on it")


def test_of_what_is_called_so_only_the_vms_that_may_have_it_are_read() -> None:
    there = endpoint()
    asked(there, storage="/vol/v1/l1")
    asked(there, storage="v2")
    assert there.wanted == [Wanted({"ds-1", "ds-2"}, raw_disks=False), Wanted({"ds-2", "ds-4"}, raw_disks=True)]
