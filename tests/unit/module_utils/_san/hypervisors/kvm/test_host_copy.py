# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A copy of a host's files tells what the host's own files tell; the script runs on the machine of the tests."""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm import host_copy
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.access import ThisMachine
from ansible_collections.crossvisor.san.plugins.module_utils._san.linux import hbas, multipath, scsi
from ansible_collections.crossvisor.san.plugins.module_utils._san.linux.block import BlockDevices
from ansible_collections.crossvisor.san.plugins.module_utils._san.linux.tree import Tree

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of this machine."""
    root = tmp_path_factory.mktemp("copy")
    packed = subprocess.run(["sh", "-c", host_copy.script()], check=True, capture_output=True)
    assert packed.stderr == b""
    assert host_copy.unpack(packed.stdout, root)
    return root


def archive(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    """An archive as somebody might send it."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for member, content in members:
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def link(name: str, target: str) -> tuple[tarfile.TarInfo, bytes]:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = tarfile.SYMTYPE, target
    return member, b""


def test_the_copy_tells_the_same_adapters_and_disks(copied: Path) -> None:
    assert hbas.hbas(copied) == hbas.hbas()
    assert scsi.scsi_devices(Tree(copied), "h1") == scsi.scsi_devices(Tree(Path("/")), "h1")


def test_the_copy_tells_the_same_mounts_on_the_same_devices(copied: Path) -> None:
    mine = {store.id: store for store in BlockDevices(Tree(Path("/")), "h1").file_systems()}
    assert {store.id: store for store in BlockDevices(Tree(copied), "h1").file_systems()} == mine
    assert "/" in mine


DEVICES = """
import errno, os
answers = {"/dev/sda": errno.EBUSY, "/dev/sdb": errno.ENXIO, "/dev/sdc": errno.EACCES}
os.listdir = lambda path: ["loop0", "sdd", "sdc", "sdb", "sda"]
def opened(path, flags):
    assert flags == os.O_RDONLY | os.O_EXCL and "loop" not in path
    if path in answers:
        raise OSError(answers[path], path)
    return os.dup(0)
os.open = opened
"""


def test_the_host_tells_of_its_disks_whether_anything_holds_them(tmp_path: Path) -> None:
    program = host_copy.script().split(" -c '")[1].split("'")[0]
    told = subprocess.run([sys.executable, "-c", DEVICES + program], check=True, capture_output=True, stdin=subprocess.DEVNULL)
    (tmp_path / "crossvisor-claimed").write_bytes(told.stdout)
    assert host_copy.claimed(tmp_path) == {"sda": True, "sdb": False, "sdd": False}


def test_the_copy_tells_of_the_same_devices_whether_anything_holds_them(copied: Path) -> None:
    told = host_copy.claimed(copied)
    assert told == ThisMachine(1).claimed(list(told))
    assert (copied / "crossvisor-claimed").exists()


def test_claims_are_read_as_they_were_written(tmp_path: Path) -> None:
    assert host_copy.claimed(tmp_path) == {}
    (tmp_path / "crossvisor-claimed").write_text("sda 1\nsdb 0\nsdc\n")
    assert host_copy.claimed(tmp_path) == {"sda": True, "sdb": False}


def test_the_copy_tells_the_classes_of_pci_functions(copied: Path) -> None:
    here, copy = Tree(Path("/")), Tree(copied)
    functions = here.children("/sys/bus/pci/devices")
    classes = {address: here.text(f"/sys/bus/pci/devices/{address}/class") for address in functions}
    assert {address: copy.text(f"/sys/bus/pci/devices/{address}/class") for address in functions} == classes


@pytest.mark.parametrize("built", ["libc.so.6", "libmpathpersist.so.0"])
def test_the_copy_tells_of_qemus_helper_for_reservations_only_what_it_was_built_with(tmp_path: Path, built: str) -> None:
    (tmp_path / "usr/libexec").mkdir(parents=True)
    (tmp_path / "usr/libexec/qemu-pr-helper").write_bytes(f"\x7fELF\0{built}\0".encode() + bytes(1 << 16))
    script = host_copy.script().replace("cd / ", f"cd {tmp_path} ", 1)
    copy = tmp_path / "copy"
    assert host_copy.unpack(subprocess.run(["sh", "-c", script], check=True, capture_output=True).stdout, copy)
    assert multipath.helper_knows_multipath(Tree(copy)) is multipath.helper_knows_multipath(Tree(tmp_path)) is (built != "libc.so.6")
    assert (copy / "usr/libexec/qemu-pr-helper").stat().st_size < 64
    assert multipath.helper_knows_multipath(Tree(copy / "sys")) is None


def _packed_while(directory: Path, program: str, does: str) -> Path:
    """A copy of a host with one disk, on which something happens whenever a program is started to list or to pack; which disks are held its
    Python tells by files."""
    programs, devices = directory / "bin", directory / "devices"
    programs.mkdir()
    devices.mkdir()
    (devices / "sda").touch()
    for name, text in (
        ("python3", 'for disk in "$DEVICES"/*; do echo "${disk##*/} 0"; done'),
        (program, f'echo >>"$DEVICES"/../started; {does}; exec /usr/bin/{program} "$@"'),
    ):
        (programs / name).write_text(f"#!/bin/sh\n{text}\n")
        (programs / name).chmod(0o755)
    environment = {"PATH": f"{programs}:/usr/bin:/bin", "DEVICES": str(devices)}
    packed = subprocess.run(["sh", "-c", host_copy.script()], check=True, capture_output=True, env=environment)
    assert host_copy.unpack(packed.stdout, directory / "copy")
    return directory / "copy"


def test_a_path_that_comes_while_others_are_listed_is_copied_with_its_claim(tmp_path: Path) -> None:
    copy = _packed_while(tmp_path, "find", 'touch "$DEVICES/sdb"')
    assert host_copy.claimed(copy) == {"sda": False, "sdb": False}


def test_a_device_that_comes_while_the_host_is_packed_is_packed_as_a_whole(tmp_path: Path) -> None:
    copy = _packed_while(tmp_path, "tar", 'touch "$DEVICES/dm-0"')
    assert host_copy.claimed(copy) == {"dm-0": False, "sda": False}
    assert len((tmp_path / "started").read_text()) == 2


def test_a_host_that_does_not_come_to_rest_is_copied_all_the_same(tmp_path: Path) -> None:
    copy = _packed_while(tmp_path, "tar", 'touch "$DEVICES/sd$$"')
    assert host_copy.mark(copy)
    assert len((tmp_path / "started").read_text()) == 5


def test_the_script_leaves_nothing_behind(tmp_path: Path) -> None:
    subprocess.run(
        ["sh", "-c", host_copy.script()], check=True, capture_output=True, env={"PATH": "/usr/bin:/bin", "TMPDIR": str(tmp_path)}
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["/etc/evil", "../evil", "a/../../evil"])
def test_nothing_is_written_outside(tmp_path: Path, name: str) -> None:
    root = tmp_path / "root"
    root.mkdir()
    assert host_copy.unpack(archive((tarfile.TarInfo(name), b"x"), link(f"{name}2", "/")), root)
    assert list(tmp_path.rglob("evil*")) == []


def test_no_file_is_written_through_a_link(tmp_path: Path) -> None:
    root, elsewhere = tmp_path / "root", tmp_path / "elsewhere"
    root.mkdir()
    elsewhere.mkdir()
    assert host_copy.unpack(archive(link("out", str(elsewhere)), (tarfile.TarInfo("out/file"), b"x"), link("out/link", "y")), root)
    assert list(elsewhere.iterdir()) == []


def test_padding_is_taken_off_by_who_reads(tmp_path: Path) -> None:
    assert host_copy.unpack(archive((tarfile.TarInfo("sys/speed"), b"16 Gbit\n" + bytes(100))), tmp_path)
    assert Tree(tmp_path).text("/sys/speed") == "16 Gbit"


@pytest.mark.parametrize("answer", [b"", b"sh: tar: not found", b"\x1f\x8b\x08\x00"])
def test_what_is_no_archive_is_no_copy(tmp_path: Path, answer: bytes) -> None:
    assert not host_copy.unpack(answer, tmp_path)


def test_the_copy_tells_what_is_below_loop_devices_and_btrfs(tmp_path: Path) -> None:
    loop, btrfs = tmp_path / "sys/devices/virtual/block/loop0/loop", tmp_path / "sys/fs/btrfs/u/devices"
    for place in (loop, btrfs):
        place.mkdir(parents=True)
    (loop / "backing_file").write_text("/srv/a.img\n")
    (btrfs / "sda").symlink_to("../../../../devices/sda")
    copy = tmp_path / "copy"
    script = host_copy.script().replace("cd / ", f"cd {tmp_path} ", 1)
    assert host_copy.unpack(subprocess.run(["sh", "-c", script], check=True, capture_output=True).stdout, copy)
    assert Tree(copy).text("/sys/devices/virtual/block/loop0/loop/backing_file") == "/srv/a.img"
    assert Tree(copy).children("/sys/fs/btrfs/u/devices") == ["sda"]
