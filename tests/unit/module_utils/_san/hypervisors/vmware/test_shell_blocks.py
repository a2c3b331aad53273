# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""By the ESXi shell, a range of a VMDK is told where the LUN has its bytes, whatever vmkfstools counts from, and nowhere else.

The shell is this machine's, with the host's programs and directories beneath a directory of the test.
"""

from __future__ import annotations

import os
import random
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.vmware import shell_blocks
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import (
    DATA,
    HOLE,
    NO_ADDRESS,
    POWERED_OFF,
    BlockExtent,
    DiskBlocks,
    FileSystem,
    Host,
    ImageFile,
    Inventory,
    VirtualDisk,
    VirtualMachine,
)
from tests.unit.module_utils._san.hypervisors.vmware.test_file_mapping import DESCRIPTOR, TABLE, line
from tests.unit.ports import NAME

pytestmark = pytest.mark.slow

MIB = 1 << 20
PARTITION = 2048 * 512
DEVICE = str(NAME)
SSH = """#!/bin/sh
case "$*" in "-G "*|*ControlMaster=yes*) exit 255;; esac
echo "$*" >>ROOT/orders
while [ "$1" != -- ]; do shift; done
[ "$2" = esx01.example.com ] || { echo "no route to $2" >&2; exit 255; }
shift 2
PATH=ROOT/bin:$PATH
if [ "$*" = "sh -s" ]; then sed 's#/vmfs/#ROOT/vmfs/#g' | sh -s; else sh -c "$(printf %s "$*" | sed 's#/vmfs/#ROOT/vmfs/#g')"; fi
"""
DATASTORE = FileSystem("ds-1", "ds 1", "vmfs", ["host-1"], [DEVICE], url="ds:///vmfs/volumes/5f3c-1/")
DISK = VirtualDisk("2000", "Hard disk 1", "image", size_bytes=8 * MIB, path="[ds 1] my app/app.vmdk", file_system="ds-1")
VM = VirtualMachine("vm-1", "app", host="host-1", power=POWERED_OFF, disks=[DISK])


@dataclass
class Esxi:
    """A host whose datastore has a disk of eight MiB: the first six are written, at these places of the volume."""

    root: Path
    places: list[int] = field(default_factory=lambda: [50, 20, 21, 90, 7, 33])
    base: int = PARTITION + 16 * MIB
    content: bytes = field(default_factory=lambda: random.Random(1).randbytes(6 * MIB))

    @property
    def flat(self) -> Path:
        return self.root / "vmfs/volumes/5f3c-1/my app/app-flat.vmdk"

    @property
    def shown(self) -> str:
        """The file as the host calls it."""
        return "/vmfs/volumes/5f3c-1/my app/app-flat.vmdk"

    @property
    def device(self) -> Path:
        return self.root / "vmfs/devices/disks" / DEVICE

    def build(self, printed: str = "", table: str = TABLE) -> None:
        for path in (self.flat, self.device, self.root / "bin/x"):
            path.parent.mkdir(parents=True, exist_ok=True)
        self.flat.with_name("app.vmdk").write_text(DESCRIPTOR)
        self.flat.write_bytes(self.content + bytes(2 * MIB))
        with self.device.open("wb") as device:
            device.truncate(256 * MIB)
            for number, place in enumerate(self.places):
                device.seek(self.base + place * MIB)
                device.write(self.content[number * MIB : (number + 1) * MIB])
        rest = line(6 * MIB, MIB, 100 * MIB, "VMFS Z-") + line(7 * MIB, MIB, 0, "NOMP --", "")
        told = printed or "".join(line(number * MIB, MIB, place * MIB) for number, place in enumerate(self.places)) + rest
        self._program("vmkfstools", f'[ "$1" = -t0 ] && [ -f "$2" ] || exit 1\ncat <<END\nMapping for file $2:\n{told}END')
        self._program("partedUtil", f'[ "$1" = getptbl ] && [ -f "$2" ] || exit 1\ncat <<END\n{table}END')

    def _program(self, name: str, text: str) -> None:
        path = self.root / "bin" / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)


@pytest.fixture
def esxi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Esxi:
    found = Esxi(tmp_path)
    found.build()
    (tmp_path / "ssh").mkdir()
    program = tmp_path / "ssh" / "ssh"
    program.write_text(SSH.replace("ROOT", str(tmp_path)))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    return found


def inventory(datastore: FileSystem = DATASTORE, host: str = "esx01.example.com") -> Inventory:
    return Inventory([Host("host-1", host)], [VM], [datastore])


def blocks(*asked: tuple[int, int], disk: VirtualDisk = DISK, vm: VirtualMachine = VM, there: Inventory | None = None) -> DiskBlocks:
    return shell_blocks.disk_blocks("root", 30, there or inventory(), vm, disk, asked or [(0, disk.size_bytes)])


def reason(found: DiskBlocks) -> str:
    (extent,) = found.extents
    assert (extent.state, extent.start, extent.length, extent.offset) == (NO_ADDRESS, 0, DISK.size_bytes, None)
    return extent.reason


def assert_right(esxi: Esxi, extent: BlockExtent) -> None:
    with esxi.device.open("rb") as device:
        device.seek(extent.offset or 0)
        assert device.read(extent.length) == esxi.content[extent.start : extent.end]


@pytest.mark.parametrize("base", [0, *(PARTITION + ahead * MIB for ahead in (0, 1, 16, 17))])
def test_each_range_is_where_the_lun_has_it_wherever_vmkfstools_counts_from(esxi: Esxi, base: int) -> None:
    esxi.base = base
    esxi.build()
    found = blocks()
    data = [extent for extent in found.extents if extent.state == DATA]
    assert [(extent.start, extent.offset) for extent in data] == [(at * MIB, base + place * MIB) for at, place in enumerate(esxi.places)]
    for extent in data:
        assert_right(esxi, extent)
    assert {(extent.name, extent.device) for extent in data} == {(NAME, DEVICE)}
    (warning,) = found.warnings
    assert f"it counts from byte {base} of the LUN" in warning


def test_what_was_never_written_and_what_is_nowhere_have_no_address(esxi: Esxi) -> None:
    *_data, unwritten, hole = blocks().extents
    assert (unwritten.state, unwritten.offset) == (NO_ADDRESS, None)
    assert "was never written to" in unwritten.reason
    assert (hole.state, hole.offset) == (HOLE, None)


def test_one_byte_is_found_by_the_piece_that_it_is_in(esxi: Esxi) -> None:
    (extent,) = blocks((3 * MIB + 5000, 3 * MIB + 5001)).extents
    assert (extent.state, extent.start, extent.offset) == (DATA, 3 * MIB + 5000, esxi.base + 90 * MIB + 5000)
    assert_right(esxi, extent)


def test_ranges_that_meet_are_told_once(esxi: Esxi) -> None:
    found = blocks((0, 4096), (100, 5000), (MIB, MIB + 1))
    assert [(extent.start, extent.length) for extent in found.extents] == [(0, 5000), (MIB, 1)]


def test_a_lun_that_has_other_bytes_in_one_of_its_places_tells_nothing(esxi: Esxi) -> None:
    with esxi.device.open("r+b") as device:
        device.seek(esxi.base + 50 * MIB)
        device.write(b"moved" * 1000)
    assert "are at none of the places" in reason(blocks())


def test_a_range_of_zeros_has_no_address_because_nothing_shows_it(esxi: Esxi) -> None:
    esxi.content = esxi.content[: 5 * MIB] + bytes(MIB)
    esxi.build()
    zeros = next(extent for extent in blocks().extents if extent.start == 5 * MIB)
    assert (zeros.state, zeros.offset) == (NO_ADDRESS, None)
    assert "it begins with zeros" in zeros.reason


def test_a_disk_with_hardly_a_block_that_is_not_zero_tells_nothing(esxi: Esxi) -> None:
    esxi.content = b"x" * 4096 + bytes(6 * MIB - 4096)
    esxi.build()
    assert "too few to see whether they are on the LUN" in reason(blocks())


def test_the_same_block_over_and_over_is_no_proof(esxi: Esxi) -> None:
    esxi.content = b"same" * (6 * MIB // 4)
    esxi.build()
    assert "too few to see whether they are on the LUN" in reason(blocks())


def test_a_lun_that_has_the_blocks_at_two_places_tells_nothing(esxi: Esxi) -> None:
    esxi.base = PARTITION
    esxi.build()
    esxi_again = replace(esxi, base=PARTITION + 16 * MIB)
    with esxi.device.open("r+b") as device:
        for number, place in enumerate(esxi.places):
            device.seek(esxi_again.base + place * MIB)
            device.write(esxi.content[number * MIB : (number + 1) * MIB])
    assert "are at several of the places" in reason(blocks())


def test_only_so_many_ranges_are_compared(esxi: Esxi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shell_blocks, "_MOST_RANGES", 2)
    states = [extent.state for extent in blocks().extents]
    assert states == [DATA] * 2 + [NO_ADDRESS] * 5 + [HOLE]


def test_what_it_was_not_measured_by_has_to_be_there_too(esxi: Esxi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shell_blocks, "_MEASURED", 4)
    with esxi.device.open("r+b") as device:
        device.seek(esxi.base + 33 * MIB)
        device.write(b"moved" * 1000)
    assert f"holds other bytes than {esxi.shown} at " in reason(blocks())


def test_zeros_have_to_be_there_as_anything_else(esxi: Esxi) -> None:
    esxi.content = esxi.content[: 5 * MIB] + bytes(MIB)
    esxi.build()
    with esxi.device.open("r+b") as device:
        device.seek(esxi.base + 33 * MIB)
        device.write(b"x")
    assert "where vmkfstools -t0 says that they are, the first of them byte 5242880 of the disk" in reason(blocks((5 * MIB, 5 * MIB + 1)))


def test_zeros_at_the_beginning_of_a_range_show_nothing_whatever_is_beside_them(esxi: Esxi) -> None:
    esxi.content = esxi.content[: MIB + 8192] + bytes(4096) + esxi.content[MIB + 12288 :]
    esxi.build()
    zeros, rest = blocks((MIB + 8192, MIB + 8193), (MIB + 12288, MIB + 12289)).extents
    assert (zeros.state, zeros.offset) == (NO_ADDRESS, None)
    assert_right(esxi, rest)


def test_a_disk_that_repeats_itself_is_told_nothing_from_a_place_that_fits_a_part_of_it(esxi: Esxi) -> None:
    esxi.base, esxi.places, esxi.content = 5 * MIB, [50, 51, 52, 53, 54, 55], random.Random(2).randbytes(3 * MIB) * 2
    esxi.build()
    assert [extent.offset for extent in blocks((4 * MIB, 5 * MIB)).extents] == [None]


def test_the_last_sector_of_a_disk_that_ends_amid_a_block_is_found(esxi: Esxi) -> None:
    size = 5 * MIB + 512
    esxi.flat.with_name("app.vmdk").write_text(DESCRIPTOR.replace("16384", str(size // 512)))
    with esxi.flat.open("r+b") as flat:
        flat.truncate(size)
    (extent,) = blocks((size - 512, size), disk=replace(DISK, size_bytes=size)).extents
    assert (extent.state, extent.offset) == (DATA, esxi.base + 33 * MIB)


def test_a_file_that_another_has_open_is_told_with_the_way_out(esxi: Esxi) -> None:
    esxi.flat.unlink()
    assert "could not be read, as long as its VM runs or another host has it open: shut the VM down" in reason(blocks())


def test_a_vm_that_runs_is_warned_of(esxi: Esxi) -> None:
    assert [text for text in blocks(vm=replace(VM, power="on")).warnings if "VM app runs" in text]


@pytest.mark.parametrize(
    ("disk", "there", "why"),
    [
        (replace(DISK, parents=[ImageFile("[ds 1] my app/app.vmdk", "ds-1")]), inventory(), "has snapshots"),
        (replace(DISK, path="[ds 2] my app/app.vmdk"), inventory(), "is on no VMFS datastore"),
        (replace(DISK, file_system="ds-2"), inventory(), "is on no VMFS datastore"),
        (DISK, inventory(replace(DATASTORE, kind="nfs")), "is on no VMFS datastore"),
        (DISK, inventory(replace(DATASTORE, url="ds:///elsewhere/")), "is on no VMFS datastore"),
        (DISK, inventory(replace(DATASTORE, extents=[DEVICE, "naa.2"])), "datastore ds 1 is on 2 devices"),
        (DISK, Inventory([], [VM], [DATASTORE]), "does not tell which host has VM app"),
        (
            DISK,
            inventory(host="esx02.example.com"),
            "the reading of /vmfs/volumes/5f3c-1/my app/app.vmdk on esx02.example.com failed: no route to esx02.example.com",
        ),
    ],
)
def test_what_cannot_be_looked_at_is_one_sentence(esxi: Esxi, disk: VirtualDisk, there: Inventory, why: str) -> None:
    told = reason(blocks(disk=disk, there=there))
    assert why in told
    assert told.endswith("; method=observe may find it all the same")


def test_a_lun_passed_through_is_itself_without_asking_the_shell(esxi: Esxi) -> None:
    (extent,) = blocks(disk=replace(DISK, kind="passthrough", name=NAME, device=DEVICE)).extents
    assert (extent.state, extent.offset, extent.name) == (DATA, 0, NAME)
    assert not (esxi.root / "orders").exists()


def test_the_host_is_asked_as_the_user_that_was_named(esxi: Esxi) -> None:
    shell_blocks.disk_blocks("operator", 30, inventory(), VM, DISK, [(0, 1)])
    assert {"-l operator -- esx01.example.com" in order for order in (esxi.root / "orders").read_text().splitlines()} == {True}
