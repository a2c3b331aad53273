# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which disks of a KVM host's VMs are asked about, how, and what is refused without asking."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import RemoteError
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm import blocks, estate
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.access import ThisMachine
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.host import KvmHost
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import (
    DATA,
    NO_ADDRESS,
    DiskBlocks,
    GuestBlock,
    VirtualDisk,
    VirtualMachine,
)
from tests.unit import libvirt
from tests.unit.kvm_host import SAN_HOST
from tests.unit.libvirt import VIRTIO_SCSI, Connect, Domain, domain_xml
from tests.unit.module_utils._san.block_addresses.test_block_stack import disk as lun
from tests.unit.module_utils._san.block_addresses.test_descent import facts
from tests.unit.module_utils._san.block_addresses.test_logical_volumes import EXTENT, FIRST, group, segment, volume
from tests.unit.module_utils._san.block_addresses.test_logical_volumes import disk as physical
from tests.unit.module_utils._san.linux.machines import plant
from tests.unit.ports import NAME

pytestmark = pytest.mark.slow

K = 1024
QCOW2 = (
    "<disk type='file' device='disk'><driver type='qcow2'/><source file='/srv/top.qcow2'>{inside}</source>{beside}"
    "<target dev='vda' bus='virtio'/></disk>"
)


class Asked(ThisMachine):
    """A host that answers what it was given to answer."""

    def __init__(self, root: Path, told: Mapping[str, Any] | str) -> None:
        super().__init__(1, root)
        self.answers = told
        self.questions: list[dict[str, Any]] = []

    def ask(self, program: str, question: bytes, patience: float) -> bytes:
        assert "FIEMAP" in program.upper()
        self.questions.append(json.loads(question))
        if isinstance(self.answers, str):
            raise RemoteError(self.answers)
        return json.dumps(self.answers).encode()


def look(
    tmp_path: Path, disk: str, told: Mapping[str, Any] | str, running: bool = False
) -> tuple[KvmHost, Asked, VirtualMachine, VirtualDisk]:
    xml = domain_xml("app", VIRTIO_SCSI + disk)
    connect = Connect([Domain("app", config=xml, live=xml if running else "")])
    asked = Asked(plant(tmp_path, SAN_HOST), told)
    host = KvmHost(libvirt.session(connect), asked)
    (vm,) = estate.inventory(host, devices=True, images=False).virtual_machines
    (found,) = vm.disks
    return host, asked, vm, VirtualDisk(**{**found.__dict__, "size_bytes": 192 * K})


def of(tmp_path: Path, disk: str, told: Mapping[str, Any] | str, running: bool = False) -> tuple[DiskBlocks, Sequence[Mapping[str, Any]]]:
    host, asked, vm, found = look(tmp_path, disk, told, running)
    (blocks_,) = blocks.disk_blocks(host, [(vm, found)])
    return blocks_, asked.questions


def test_an_image_is_asked_about_once_with_the_format_that_libvirt_knows(tmp_path: Path) -> None:
    found, questions = of(tmp_path, QCOW2.format(inside="", beside=""), facts())
    assert [question["images"] for question in questions] == [[["/srv/top.qcow2", "qcow2"]]]
    assert [part.offset is None for part in found.extents] == [False, False, True]
    assert (found.format, found.warnings) == ("qcow2", [])
    assert {part.file for part in found.files} == {"/srv/top.qcow2", "/srv/base.raw"}


@pytest.mark.parametrize(
    ("beside", "is_told"),
    [
        ("<backingStore type='file'><format type='raw'/><source file='/srv/base.raw'/><backingStore/></backingStore>", True),
        ("<backingStore type='file'><format type='raw'/><source file='/srv/link'/><backingStore/></backingStore>", True),
        ("<backingStore type='file'><format type='raw'/><source file='/srv/other.raw'/><backingStore/></backingStore>", False),
        ("<backingStore/>", False),
    ],
)
def test_an_image_is_told_over_what_libvirt_has_put_under_it_by_whatever_path_or_not_at_all(
    tmp_path: Path, beside: str, is_told: bool
) -> None:
    told = facts()
    told["files"]["/srv/base.raw"]["stamp"] = [8, 15, 0]
    told["files"]["/srv/link"] = {**told["files"]["/srv/base.raw"], "path": "/srv/link"}
    told["files"]["/srv/other.raw"] = {**told["files"]["/srv/base.raw"], "path": "/srv/other.raw", "stamp": [8, 16, 0]}
    found, _questions = of(tmp_path, QCOW2.format(inside="", beside=beside), told)
    assert [part.offset is not None for part in found.extents][:1] == [is_told]
    assert found.unfollowed is not is_told
    assert is_told or found.extents[0].reason == "libvirt has put other images under /srv/top.qcow2 than its header names"


def test_a_vhdx_image_is_asked_about_by_pieces_too(tmp_path: Path) -> None:
    told = facts()
    told["images"]["/srv/top.qcow2"]["map"] = [{**entry, "offset": None} for entry in told["images"]["/srv/top.qcow2"]["map"]]
    told["files"]["/srv/top.qcow2"].update(stamp=[8, 1], changed=False)
    told["pieces"] = [{"stamp": [8, 1], "data": "", "error": "Input/output error"}] * 5
    found, questions = of(tmp_path, QCOW2.format(inside="", beside="").replace("type='qcow2'", "type='vhdx'"), told)
    assert [len(question.get("pieces", [])) for question in questions] == [0, 5]
    assert {part.reason for part in found.extents} == {"/srv/top.qcow2 cannot be read on the host: Input/output error"}


def test_of_an_image_whose_vm_runs_a_warning_says_that_it_may_be_old(tmp_path: Path) -> None:
    found, _questions = of(tmp_path, QCOW2.format(inside="", beside=""), facts(), running=True)
    (warning,) = found.warnings
    assert "VM app runs" in warning


def test_of_a_file_that_changed_meanwhile_a_warning_says_so(tmp_path: Path) -> None:
    told = facts()
    told["files"]["/srv/base.raw"]["changed"] = True
    found, _questions = of(tmp_path, QCOW2.format(inside="", beside=""), told)
    assert found.warnings == ["/srv/base.raw was written to while it was read, so that what is told of it may be old."]


@pytest.mark.parametrize(
    ("inside", "beside", "reason"),
    [
        ("<slices><slice type='storage' offset='512' size='512'/></slices>", "", "is a slice"),
        ("<encryption format='luks'/>", "", "is encrypted by QEMU"),
        ("", "<mirror type='file' job='copy'><source file='/srv/b'/></mirror>", "a block job moves the data"),
    ],
)
def test_what_libvirt_does_to_a_disk_is_refused_without_asking(tmp_path: Path, inside: str, beside: str, reason: str) -> None:
    found, questions = of(tmp_path, QCOW2.format(inside=inside, beside=beside), facts())
    assert reason in found.extents[0].reason
    assert (found.extents[0].state, found.unfollowed, questions) == (NO_ADDRESS, True, [])


def test_a_network_disk_that_is_no_lun_has_no_addresses(tmp_path: Path) -> None:
    rbd = "<disk type='network'><driver type='raw'/><source protocol='rbd' name='pool/a'/><target dev='vda' bus='virtio'/></disk>"
    found, questions = of(tmp_path, rbd, facts())
    assert (found.extents[0].reason, questions) == ("it lies on rbd:pool/a, which is no file of the host", [])
    assert not found.unfollowed
    assert of(tmp_path / "image", rbd.replace("raw", "qcow2"), facts())[0].unfollowed


PASSED = "<disk type='block' device='lun'><driver type='{kind}'/><source dev='/dev/sdc'/><target dev='sda' bus='scsi'/></disk>"


def test_a_lun_passed_through_is_asked_about_too_because_its_host_knows_its_blocks(tmp_path: Path) -> None:
    told = {"images": {}, "files": {"/dev/sdc": {"path": "/dev/sdc", "block": "8:0"}}, "devices": {"8:0": lun("sdc")}}
    found, questions = of(tmp_path, PASSED.format(kind="raw"), told)
    assert [question["files"] for question in questions] == [["/dev/sdc"]]
    (whole,) = found.extents
    assert (whole.state, whole.offset, whole.name, whole.block_size) == (DATA, 0, NAME, 512)


def test_a_lun_passed_through_is_itself_though_its_host_cannot_be_asked(tmp_path: Path) -> None:
    found, _questions = of(tmp_path, PASSED.format(kind="raw"), "it is down")
    (whole,) = found.extents
    assert (whole.state, whole.offset, whole.block_size) == (DATA, 0, 0)


def test_an_image_on_a_lun_is_none_of_that(tmp_path: Path) -> None:
    found, questions = of(tmp_path, PASSED.format(kind="qcow2"), "it is down")
    assert questions[0]["images"] == [["/dev/sdc", "qcow2"]]
    assert (found.extents[0].state, found.extents[0].reason, found.unfollowed) == (NO_ADDRESS, "it is down", True)


def test_a_lun_that_an_image_fills_is_told_from_one_that_is_the_disk(tmp_path: Path) -> None:
    filled, passed = (look(tmp_path / kind, PASSED.format(kind=kind), facts())[3] for kind in ("qcow2", "raw"))
    assert (filled.kind, filled.holds_image, passed.holds_image) == (passed.kind, True, False)


def test_an_image_whose_host_cannot_be_asked_has_no_addresses_and_says_why(tmp_path: Path) -> None:
    found, _questions = of(tmp_path, QCOW2.format(inside="", beside=""), "KVM host kvm01 is down")
    assert (found.extents[0].state, found.extents[0].reason) == (NO_ADDRESS, "KVM host kvm01 is down")


def test_what_is_compared_is_asked_by_image_and_by_device(tmp_path: Path) -> None:
    host, asked, vm, disk = look(tmp_path, QCOW2.format(inside="", beside=""), facts())
    parts = [part for part in blocks.disk_blocks(host, [(vm, disk)])[0].extents if part.offset is not None]
    asked.answers = {"same": ["yes", "no"]}
    assert blocks.verify_blocks(host, vm, disk, parts) == ["yes", "no"]
    assert asked.questions[-1]["reads"] == [
        ["/srv/top.qcow2", "qcow2", 0, 64 * K, "sda", parts[0].offset, "/srv/base.raw", 0],
        ["/srv/top.qcow2", "qcow2", 64 * K, 64 * K, "sda", parts[1].offset, "/srv/top.qcow2", 320 * K],
    ]


def test_sectors_and_owners_are_asked_of_the_image(tmp_path: Path) -> None:
    host, asked, vm, disk = look(tmp_path, QCOW2.format(inside="", beside=""), facts())
    asked.answers = {
        "sectors": ["55aa"],
        "owners": [{"file_system": "xfs", "block": 7, "files": ["/a"], "reason": "", "unclean": False, "lvm": False}],
    }
    assert blocks.read_disk(host, vm, disk, 510, 2) == b"\x55\xaa"
    assert blocks.guest_block(host, vm, disk, (4096, 8192), 512) == GuestBlock("xfs", 7, ["/a"])
    assert asked.questions == [
        {"sectors": [["/srv/top.qcow2", "qcow2", 510, 2]]},
        {"owners": [["/srv/top.qcow2", "qcow2", [[4096, 8192]], 512]]},
    ]


PHYSICAL: dict[str, Any] = {
    "file_system": "",
    "block": None,
    "files": [],
    "reason": "it is a physical volume of LVM",
    "unclean": False,
    "lvm": True,
}


def physical_volume(tmp_path: Path, data: bytes, *owners: Mapping[str, Any], length: int = 4 << 20) -> tuple[GuestBlock, list[Any]]:
    """What is told of a byte of the second extent of a partition that holds this, and what the host was asked about its files."""

    class Holds(Asked):
        def ask(self, program: str, question: bytes, patience: float) -> bytes:
            asked = json.loads(question)
            if "sectors" in asked:
                ((_path, _kind, offset, length),) = asked["sectors"]
                return json.dumps({"sectors": [data[offset - 4096 : offset - 4096 + length].hex()]}).encode()
            self.answers = {"owners": [next(answers)]}
            return super().ask(program, question, patience)

    answers = iter([PHYSICAL, *owners])
    host, _asked, vm, disk = look(tmp_path, QCOW2.format(inside="", beside=""), facts())
    holds = Holds(plant(tmp_path / "again", SAN_HOST), {})
    told = blocks.guest_block(KvmHost(host.session, holds), vm, disk, (4096, length), FIRST + EXTENT)
    return told, [question["owners"][0][2:] for question in holds.questions]


def test_a_file_on_a_logical_volume_is_asked_for_in_the_volumes_own_ranges(tmp_path: Path) -> None:
    root = volume("root", segment(1, 0, 1, 9), segment(2, 1, 2, 0))
    owner = {"file_system": "xfs", "block": 7, "files": ["/a"], "reason": "", "unclean": False, "lvm": False}
    told, asked = physical_volume(tmp_path, physical(group(root)), owner)
    assert told == GuestBlock("xfs", 7, ["/a"], "", "data/root")
    first = 4096 + FIRST
    assert asked == [[[[4096, 4 << 20]], FIRST + EXTENT], [[[first + 9 * EXTENT, EXTENT], [first, 2 * EXTENT]], 2 * EXTENT]]


@pytest.mark.parametrize(
    ("data", "found", "reason"),
    [
        (group(volume("root", segment(1, 0, 3, 0), status="")), "data/root", "data/root is a volume for LVM's own use"),
        (group(), "", "in no logical volume"),
    ],
)
def test_of_a_logical_volume_that_does_not_simply_lie_there_no_file_is_asked_for(
    tmp_path: Path, data: bytes, found: str, reason: str
) -> None:
    told, asked = physical_volume(tmp_path, physical(data))
    assert (told.volume, told.files, reason in told.reason, len(asked)) == (found, (), True, 1)


@pytest.mark.parametrize(("length", "reason"), [(4608, "damaged"), (FIRST + 2 * EXTENT, "is larger than the partition that it is in")])
def test_a_physical_volume_that_is_larger_than_its_partition_is_not_read(tmp_path: Path, length: int, reason: str) -> None:
    told, asked = physical_volume(tmp_path, physical(group(volume("root", segment(1, 0, 3, 0)))), length=length)
    assert (told.files, reason in told.reason, len(asked)) == ((), True, 1)


def test_what_a_host_that_is_down_has_nobody_can_read(tmp_path: Path) -> None:
    host, _asked, vm, disk = look(tmp_path, QCOW2.format(inside="", beside=""), "it is down")
    assert blocks.read_disk(host, vm, disk, 0, 512) == b""
    assert blocks.guest_block(host, vm, disk, (0, 512), 0) == GuestBlock(reason="it is down")


NETWORK = (
    "<disk type='network' device='lun'><driver type='raw'/><source protocol='iscsi' name='iqn.t/5'><host name='{host}' port='3261'/>"
    "<initiator><iqn name='iqn.i'/></initiator>{inside}</source><target dev='sda' bus='scsi'/></disk>"
)


@pytest.mark.parametrize(("host", "portal"), [("10.0.0.1", "10.0.0.1:3261"), ("fd00::1", "[fd00::1]:3261")])
def test_a_lun_over_qemus_own_initiator_is_read_by_qemus_tools_as_that_initiator(tmp_path: Path, host: str, portal: str) -> None:
    told = {
        "sectors": ["55aa"],
        "owners": [{"file_system": "ext4", "block": 7, "files": ["/a"], "reason": "", "unclean": False, "lvm": False}],
    }
    kvm, asked, vm, disk = look(tmp_path, NETWORK.format(host=host, inside=""), told)
    assert blocks.read_disk(kvm, vm, disk, 510, 2) == b"\x55\xaa"
    assert blocks.guest_block(kvm, vm, disk, (4096, 8192), 512) == GuestBlock("ext4", 7, ["/a"])
    described, kind = asked.questions[0]["sectors"][0][:2]
    assert asked.questions[1]["owners"] == [[described, kind, [[4096, 8192]], 512]]
    lun_5 = {"driver": "iscsi", "transport": "tcp", "portal": portal, "target": "iqn.t", "lun": 5, "initiator-name": "iqn.i"}
    assert (json.loads(described.partition(":")[2]), kind) == ({"file": lun_5}, "raw")


def test_no_tool_is_given_the_password_of_a_lun_over_qemus_own_initiator(tmp_path: Path) -> None:
    auth = "<auth username='kvm'><secret type='iscsi' usage='chap'/></auth>"
    host, asked, vm, disk = look(tmp_path, NETWORK.format(host="10.0.0.1", inside=auth), {})
    assert blocks.read_disk(host, vm, disk, 0, 512) == b""
    assert blocks.guest_block(host, vm, disk, (0, 512), 0) == GuestBlock(
        reason="iscsi://10.0.0.1:3261/iqn.t/5 asks for a password, which no tool on the host is given"
    )
    assert asked.questions == []


def test_of_a_network_disk_that_is_no_lun_nothing_is_read(tmp_path: Path) -> None:
    rbd = "<disk type='network'><driver type='raw'/><source protocol='rbd' name='pool/a'/><target dev='vda' bus='virtio'/></disk>"
    host, asked, vm, disk = look(tmp_path, rbd, {})
    assert blocks.guest_block(host, vm, disk, (0, 512), 0).reason == "the host has no file or device that is the disk"
    assert asked.questions == []


def test_of_a_disk_that_is_another_one_when_the_vm_starts_next_time_nobody_can_tell_which_is_meant(tmp_path: Path) -> None:
    first = QCOW2.format(inside="", beside="")
    live, config = (domain_xml("app", VIRTIO_SCSI + disk) for disk in (first, first.replace("top", "other")))
    asked = Asked(plant(tmp_path, SAN_HOST), facts())
    host = KvmHost(libvirt.session(Connect([Domain("app", config=config, live=live)])), asked)
    (vm,) = estate.inventory(host, devices=True, images=False).virtual_machines
    found = blocks.disk_blocks(host, [(vm, disk) for disk in vm.disks])
    reason = "VM app runs with another disk vda than it starts with next time"
    assert [(part.state, part.reason) for one in found for part in one.extents] == [(NO_ADDRESS, reason)] * 2
    assert (all(one.unfollowed for one in found), asked.questions) == (True, [])


@pytest.mark.parametrize(
    ("disk", "sector"),
    [
        (QCOW2.format(inside="", beside=""), 512),
        (QCOW2.format(inside="", beside="<blockio logical_block_size='4096' physical_block_size='4096'/>"), 4096),
        (PASSED.format(kind="raw"), 4096),
        (PASSED.format(kind="raw").replace("'lun'", "'disk'"), 512),
    ],
)
def test_the_guests_sectors_are_those_of_the_lun_only_if_its_commands_reach_it(tmp_path: Path, disk: str, sector: int) -> None:
    told = facts()
    told["files"]["/dev/sdc"] = {"path": "/dev/sdc", "block": "8:0"}
    told["devices"]["8:0"] = {**lun("sdc"), "block_size": 4096}
    found, _questions = of(tmp_path, disk, told)
    assert found.sector == sector


@pytest.mark.parametrize(("running", "unclean", "told"), [(False, False, False), (False, True, True), (True, False, True)])
def test_that_the_guests_file_may_be_anothers_by_now_is_told_unless_its_file_system_was_unmounted(
    tmp_path: Path, running: bool, unclean: bool, told: bool
) -> None:
    host, asked, vm, disk = look(tmp_path, QCOW2.format(inside="", beside=""), facts(), running)
    asked.answers = {"owners": [{"file_system": "ext4", "block": 7, "files": ["/a"], "reason": "", "unclean": unclean, "lvm": False}]}
    assert ("what it changed last may not be seen" in blocks.guest_block(host, vm, disk, (4096, 8192), 512).reason) is told


@pytest.mark.parametrize(
    ("own", "error", "unfollowed"),
    [
        ({}, "", False),
        ({"data-file": "/srv/base.raw"}, "", False),
        ({"data-file": "/lun/data.raw"}, "", True),
        ({"data-file": "nbd://there/data"}, "", True),
        ({}, "qemu-img is not installed on the host", True),
    ],
)
def test_an_image_whose_data_file_libvirt_does_not_name_is_followed_by_its_header_or_not_at_all(
    tmp_path: Path, own: dict[str, str], error: str, unfollowed: bool
) -> None:
    told = facts()
    top, *others = told["images"]["/srv/top.qcow2"]["chain"]
    member = {**top, "format-specific": {"data": own}}
    told["images"]["/srv/top.qcow2"] = {**told["images"]["/srv/top.qcow2"], "chain": [member, *others], "error": error}
    found, _questions = of(tmp_path, QCOW2.format(inside="", beside=""), told, running=True)
    assert found.unfollowed is unfollowed
