# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The program that a host runs: what it tells of real files of this machine, and of what there is not."""

from __future__ import annotations

import base64
import contextlib
import fcntl
import hashlib
import inspect
import json
import stat
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm import blocks
from ansible_collections.crossvisor.san.plugins.module_utils._san.linux import block_probe


def test_a_file_is_told_with_its_device_and_its_file_system(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_bytes(bytes(8192))
    told = block_probe.answer({"files": [str(file)]})["files"][str(file)]
    number = file.stat().st_dev
    assert told["device"] == f"{number >> 8 & 0xFFF}:{number & 0xFF | number >> 12 & 0xFFF00}"
    assert (told["size"], told["changed"]) == (8192, False)


def test_a_file_that_there_is_not_is_told_with_the_reason() -> None:
    told = block_probe.answer({"files": ["/nowhere/at/all"]})["files"]["/nowhere/at/all"]
    assert (told["error"], told["kind"], told["extents"]) == ("No such file or directory", "", [])


def test_an_image_that_nobody_can_read_is_told_with_the_reason() -> None:
    told = block_probe.answer({"images": [["/nowhere/at/all", "qcow2"]]})
    assert told["images"]["/nowhere/at/all"]["error"]
    assert told["files"] == {}


def test_pieces_of_a_file_are_told_as_they_are_with_the_files_stamp(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"0123456789")
    told = block_probe.answer({"pieces": [[str(file), 3, 4], [str(file), 8, 4], [str(file), 10, 4]], "files": [str(file)]})
    assert [base64.b64decode(piece["data"]) for piece in told["pieces"]] == [b"3456", b"89", b""]
    assert {tuple(piece["stamp"]) for piece in told["pieces"]} == {tuple(told["files"][str(file)]["stamp"])}


def test_pieces_that_cannot_be_read_are_told_with_the_reason() -> None:
    (told,) = block_probe.answer({"pieces": [["/nowhere/at/all", 0, 4]]})["pieces"]
    assert told == {"stamp": [], "data": "", "error": "No such file or directory"}


def test_of_bytes_that_cannot_be_read_nobody_can_tell_whether_they_are_the_same() -> None:
    (told,) = block_probe.answer({"reads": [["/nowhere/at/all", "raw", 0, 512, "null", 0, "/nowhere/at/all", 0]]})["same"]
    assert told not in ("yes", "no")


def test_the_files_of_a_chain_are_those_that_have_a_path() -> None:
    chain = [
        {"filename": "/a", "format-specific": {"data": {"data-file": "/d"}}},
        {"filename": "json:{}"},
        {"filename": "/v", "format-specific": {"data": {"extents": [{"filename": "/v-flat"}]}}},
    ]
    assert block_probe._files_of({"chain": chain}) == ["/a", "/d", "/v", "/v-flat"]


def test_it_runs_by_its_source_alone_as_a_host_runs_it() -> None:
    program = [sys.executable, "-IS", "-c", inspect.getsource(block_probe)]
    said = subprocess.run(program, input=b'{"files": ["/nowhere"]}', capture_output=True, check=True).stdout
    assert list(json.loads(said)["files"]) == ["/nowhere"]


def test_a_tool_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    told = block_probe.answer({"images": [["/srv/a", "qcow2"]], "owners": [["/srv/a", "qcow2", [[0, 512]], 0]]})
    assert told["images"]["/srv/a"]["error"] == "qemu-img is not installed on the host"
    assert told["owners"][0]["reason"] == ("the guest's file system cannot be read: qemu-storage-daemon is not installed on the host")


def test_the_tools_of_the_administrator_are_found_by_an_account_that_does_not_look_for_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tool = tmp_path / "debugfs"
    tool.write_text("#!/bin/sh\necho found\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(block_probe, "_ADMINISTRATORS", (str(tmp_path),))
    assert block_probe._said("debugfs") == "found\n"


def test_a_lun_that_is_no_device_is_told_to_qemus_tools_as_it_was_described(tmp_path: Path) -> None:
    described = {"driver": "iscsi", "transport": "tcp", "portal": "10.0.0.1:3260", "target": "iqn.t", "lun": 5, "initiator-name": "iqn.i"}
    image = tmp_path / "a"
    image.touch()
    assert block_probe._storage(block_probe.JSON + json.dumps({"file": described})) == described
    assert block_probe._storage(str(image)) == {"driver": "file", "filename": str(image)}


MEMBER = {"filename": "/srv/a", "format": "qcow2"}


def tools(monkeypatch: pytest.MonkeyPatch, *said: object) -> None:
    """What qemu-img says, one answer after the other; one that can be called is called first."""
    answers = iter(said)

    def answer(*_command: str) -> str:
        told = next(answers)
        return json.dumps(told() if callable(told) else told)

    monkeypatch.setattr(block_probe, "_said", answer)


def test_a_file_that_is_written_to_between_the_map_of_its_image_and_its_extents_has_changed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "a"
    file.write_bytes(bytes(512))

    def write_and_map() -> list[object]:
        file.write_bytes(bytes(1024))
        return []

    chain = [{**MEMBER, "filename": str(file)}]
    tools(monkeypatch, chain, write_and_map, chain)
    assert block_probe.answer({"images": [[str(file), "qcow2"]]})["files"][str(file)]["changed"]


def test_a_chain_that_changes_while_it_is_mapped_has_no_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    tools(monkeypatch, [MEMBER], [{"start": 0}], [MEMBER, {**MEMBER, "filename": "/srv/base"}])
    told = block_probe.answer({"images": [["/srv/a", "qcow2"]]})["images"]["/srv/a"]
    assert (told["error"], told["map"]) == ("its chain of images changed while it was read: ask again", [])


def test_a_tool_that_does_not_end_is_ended_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def wait(command: tuple[str, ...], timeout: float, **_how: object) -> None:
        raise subprocess.TimeoutExpired(command, timeout)

    monkeypatch.setattr(subprocess, "run", wait)
    told = block_probe.answer({"images": [["/srv/a", "qcow2"]]})["images"]["/srv/a"]
    assert told["error"] == "qemu-img did not end within 240 s on the host"


def test_of_a_file_on_xfs_whose_attributes_the_kernel_does_not_tell_nothing_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def refuse(_handle: int, request: int, buffer: bytearray, _mutate: bool) -> None:
        if request == block_probe._GET_XATTR:
            raise OSError(25, "Inappropriate ioctl for device")

    (tmp_path / "a").touch()
    monkeypatch.setattr(fcntl, "ioctl", refuse)
    monkeypatch.setattr(block_probe, "_file_system", lambda _device: "xfs")
    told = block_probe.answer({"files": [str(tmp_path / "a")]})["files"][str(tmp_path / "a")]
    assert told["error"] == "Inappropriate ioctl for device"


def test_a_device_is_told_with_its_size_which_its_kernel_counts_in_512_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    class Seen:
        st_mode, st_rdev, st_size, st_dev = stat.S_IFBLK, 8 << 8, 0, 0
        st_ino = st_mtime_ns = st_ctime_ns = 0

    monkeypatch.setattr(Path, "stat", lambda _path: Seen)
    monkeypatch.setattr(block_probe, "_text", {"/sys/dev/block/8:0/size": "2048"}.get)
    monkeypatch.setattr(block_probe, "_device", lambda _number, _facts: None)
    told = block_probe.answer({"files": ["/dev/sda"]})["files"]["/dev/sda"]
    assert (told["block"], told["size"]) == ("8:0", 1 << 20)


def test_all_tools_of_a_question_have_one_time_together_and_none_begins_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    now, patiences = [1000.0], []

    def wait(command: tuple[str, ...], timeout: float, **_how: object) -> subprocess.CompletedProcess[bytes]:
        patiences.append(timeout)
        now[0] += 150
        return subprocess.CompletedProcess(command, 0, b"[]", b"")

    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(subprocess, "run", wait)
    told = block_probe.answer({"images": [["/srv/a", "qcow2"]]})["images"]["/srv/a"]
    assert patiences == [240, 90]
    assert told["error"] == "qemu-img was not started on the host, because all there was to ask took more than 240 s: ask for less"
    block_probe.answer({"images": [["/srv/a", "qcow2"]]})
    assert patiences[2] == 240, "the next question has its own time"


def test_an_answer_comes_before_whoever_asked_has_gone() -> None:
    longest = block_probe._SECONDS + 4 * block_probe._STOP_SECONDS
    assert longest < blocks._SECONDS


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("exec tail -f /dev/null", "qemu-storage-daemon did not show the disk in time"),
        ("exit 1", "qemu-storage-daemon ended without a word"),
        ("echo no such driver >&2; exit 1", "no such driver"),
    ],
)
def test_why_a_disk_is_not_shown_is_told_whatever_the_daemon_says_and_nothing_stays_mounted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: str, reason: str
) -> None:
    daemon, image = tmp_path / "qemu-storage-daemon", tmp_path / "a"
    daemon.write_text(f"#!/bin/sh\n{script}\n")
    daemon.chmod(0o755)
    image.touch()
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    unmounted: list[str] = []
    monkeypatch.setattr(block_probe, "_unmount", unmounted.append)
    monkeypatch.setattr(block_probe, "_EXPORT_SECONDS", 0.0 if "tail" in script else 20.0)
    (told,) = block_probe.answer({"owners": [[str(image), "raw", [[0, 512]], 0]]})["owners"]
    assert told["reason"] == f"the guest's file system cannot be read: {reason}"
    assert [Path(place).name for place in unmounted] == ["partition"]


def test_what_a_daemon_that_was_killed_leaves_mounted_is_unmounted_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    place = tmp_path / "a b"
    line = f"40 27 0:60 / {str(place).replace(' ', chr(92) + '040')} ro - fuse /dev/fuse ro"
    tables = [line, line, ""]
    started: list[list[str]] = []
    monkeypatch.setattr(Path, "read_text", lambda *_how: tables[len(started)])
    monkeypatch.setattr(block_probe, "_run", lambda command, _seconds: started.append(command))
    block_probe._unmount(str(place))
    assert started == [["umount", "-l", str(place)], ["fusermount3", "-u", "-z", str(place)]]
    block_probe._unmount(str(place))
    assert len(started) == 2


@pytest.mark.parametrize(
    ("start", "held", "said"),
    [
        (0, b"a" * 1000 + b"left from another file..", "yes"),
        (512, b"a" * 488 + b"left from another file..", "yes"),
        (512, b"a" * 487 + b"b" + b"left from another file..", "no"),
        (1024, b"left from another file..", "{file} ends before that"),
    ],
)
def test_of_a_file_that_ends_within_a_sector_only_what_it_has_is_compared(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, start: int, held: bytes, said: str
) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"a" * 1000)
    monkeypatch.setattr(block_probe, "_of_image", lambda _path, _kind, start, length: file.read_bytes()[start:].ljust(length, b"\0"))
    monkeypatch.setattr(block_probe, "_of_device", lambda _name, _offset, length: hashlib.sha256(held[:length]).hexdigest())
    read = [str(file), "raw", start, 1024 - start or 512, "sda", 4096 + start, str(file), start]
    assert block_probe.answer({"reads": [read]})["same"] == [said.format(file=file)]


NTFS_HEAD = b"\xeb\x52\x90NTFS    " + (512).to_bytes(2, "little") + b"\x08" + bytes(26) + (800).to_bytes(8, "little") + bytes(16) + b"\xf6"
DUMP = "Dump: /$Bitmap\n    0x80 - non-resident\n             VCN     LCN     Length\n               0        0        1\n"


def volume(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, said: str, complained: str = "") -> block_probe._Ntfs:
    """A volume of 100 clusters, all of them in use, of which ntfscluster says that."""
    partition = tmp_path / "partition"
    partition.write_bytes(b"\xff" * 4096)
    monkeypatch.setattr(
        block_probe, "_heard", lambda *command: (f"Searching for cluster 7\n{said}", complained) if "--cluster" in command else (DUMP, "")
    )
    return block_probe._Ntfs(str(partition), NTFS_HEAD)


@pytest.mark.parametrize(
    ("said", "files", "reason"),
    [
        ("Inode 65 /dir/a/$DATA\n* one inode found", ["/dir/a"], ""),
        ("Inode 65 /dir/$x/$DATA(zone)\n* one inode found", ["/dir/$x:zone"], ""),
        ("Inode 5 /./$INDEX_ALLOCATION($I30)\n* one inode found", [], "the file system's own data, $INDEX_ALLOCATION of /."),
        ("Inode 65 /dir/$INDEX_ALLOCATION($I30)\n* one inode found", [], "the file system's own data, $INDEX_ALLOCATION of /dir"),
        ("Inode 30 /$Extend/$Quota/$DATA\n* one inode found", [], "the file system's own data, $DATA of /$Extend/$Quota"),
        ("Inode 65 /a\u2028b/$DATA\n* one inode found\n", ["/a\u2028b"], ""),
        ("Inode 65 /a/$DATA\nb/$DATA\n* one inode found\n", [], "in whose path is the end of a line"),
        ("Inode 65 /a/$DATA\nInode 66 /b/$DATA\n* 2 inodes found", [], "do not agree on who has it"),
        ("Inode 65 /a\nInode 5 /etc/x/$DATA\n* one inode found", [], "do not agree on who has it"),
        ("Inode 65 /a\n", [], "do not agree on who has it"),
        ("* no inode found", [], "do not agree on who has it"),
    ],
)
def test_the_owner_on_ntfs_is_the_one_file_that_the_bitmap_agrees_with(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, said: str, files: list[str], reason: str
) -> None:
    told = volume(monkeypatch, tmp_path, said).owners(7 * 4096)
    assert (told[0], reason in told[1], bool(told[1])) == (files, True, bool(reason))


@pytest.mark.parametrize(
    ("complained", "is_told"),
    [
        ("WARNING: Dirty volume mount was forced by the 'force' mount option.\n\nInode 70 is an extent of inode 69.\n", True),
        ("Error reading inode 70.\n", False),
        ("Pathname was truncated.\n", False),
    ],
)
def test_no_file_on_ntfs_is_named_where_ntfscluster_complains(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, complained: str, is_told: bool
) -> None:
    files, reason = volume(monkeypatch, tmp_path, "Inode 65 /a/$DATA\n* one inode found", complained).owners(7 * 4096)
    assert (files, "cannot read the whole volume" in reason) == ((["/a"], False) if is_told else ([], True))


def test_behind_the_end_of_ntfs_there_is_no_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert volume(monkeypatch, tmp_path, "Inode 65 /a/$DATA\n* one inode found").owners(100 * 4096)[0] == []


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        (bytes(512) + b"LABELONE".ljust(568, b"\0") + b"\x53\xef", "it carries the marks of LVM and ext4"),
        (b"LUKS\xba\xbe".ljust(1080, b"\0") + b"\x53\xef", "it carries the marks of LUKS encryption and ext4"),
        (b"\xeb\x58\x90-FVE-FS-".ljust(512, b"\0") + b"LABELONE", "it carries the marks of BitLocker encryption and LVM"),
        (b"XFSB".ljust(4086, b"\0") + b"SWAPSPACE2", "it carries the marks of swap space and xfs"),
        (b"LUKS\xba\xbe", "there is LUKS encryption there"),
        (b"\xeb\x58\x90-FVE-FS-", "there is BitLocker encryption there"),
        (bytes(65600) + b"_BHRfS_M", "there is btrfs there"),
        (b"", "there is no file system there"),
    ],
)
def test_what_holds_no_files_that_can_be_told_is_named(tmp_path: Path, head: bytes, reason: str) -> None:
    told: dict[str, object] = {}
    partition = tmp_path / "partition"
    partition.write_bytes(head.ljust(1 << 17, b"\0"))
    block_probe._look(str(partition), 0, told)
    assert str(told["reason"]).startswith(reason)


@contextlib.contextmanager
def shown(path: str, _kind: str, _pieces: Sequence[Sequence[int]], _place: str) -> Iterator[str]:
    """The image itself as what it shows."""
    yield path


def ext(power: int) -> bytes:
    return (bytes(1048) + power.to_bytes(4, "little")).ljust(1080, b"\0") + b"\x53\xef"


@pytest.mark.parametrize(
    ("head", "kind", "said"),
    [
        (ext(7), "", ""),
        (ext(0xFFFFFFFF), "", ""),
        (b"\xeb\x52\x90NTFS    ", "", ""),
        (NTFS_HEAD, "ntfs", "Inode 0 /$MFT/$DATA\n* one inode found"),
        (b"XFSB", "xfs", "bad magic number"),
    ],
    ids=[
        "a block of no ext",
        "a block that fills the memory",
        "clusters of no bytes",
        "a table of files that is elsewhere",
        "words of no xfs",
    ],
)
def test_what_a_guest_writes_that_no_file_system_writes_is_told_and_ends_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, head: bytes, kind: str, said: str
) -> None:
    image = tmp_path / "image"
    image.write_bytes(head.ljust(4096, b"\xff" if kind == "ntfs" else b"\0"))
    monkeypatch.setattr(block_probe, "_shown", shown)
    monkeypatch.setattr(block_probe, "_heard", lambda *command: (said if {"--cluster", "xfs_db"} & {*command} else DUMP, ""))
    (told,) = block_probe.answer({"owners": [[str(image), "raw", [[0, 4096]], 7 * 4096]]})["owners"]
    assert (told["file_system"], told["files"]) == (kind, [])
    assert told["reason"] == "the guest's file system is damaged, or was being written to while it was read"


@pytest.mark.parametrize(
    "name", ["a", "a\u2028b", "a\x0bb\x85", "a\nb", "a\n14\tb", "a\nblock 11 (0/11) type data inode 9 b", "two  words ", "ends\n"]
)
def test_a_name_is_told_whatever_it_is_made_of(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """As debugfs 1.47 and xfs_db 6.1 write it."""
    said = {
        "icheck 9": "Block\tInode number\n9\t14\n",
        "ncheck 14": f"Inode\tPathname\n14\t//{name}\n14\t/dir/{name}\n",
        "convert daddr 88 fsblock": "0xb (11)\n",
        "blockget -n -b 11": f"setting block 0/11 to data\ninode 132 block 11 at offset 0\nblock 11 (0/11) type data inode 132 {name}\n",
    }
    monkeypatch.setattr(block_probe, "_said", lambda *command: next(said[word] for word in command if word in said))
    assert block_probe._in_ext("partition", 9) == ([f"/{name}", f"/dir/{name}"], "")
    assert block_probe._in_xfs("partition", 88 * 512) == (11, [f"/{name}"], "")


def test_what_xfs_has_for_itself_is_no_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(block_probe, "_said", lambda *_command: "0xb (11)\nblock 11 (0/11) type btbno\n")
    assert block_probe._in_xfs("partition", 88 * 512) == (11, [], "no file has it: the file system's own data, or free space")


@pytest.mark.parametrize(("loop", "looks"), [({"file": "/srv/disk"}, 2), (None, 1)])
def test_what_the_first_look_put_on_disk_below_a_loop_device_is_found_by_a_second(
    monkeypatch: pytest.MonkeyPatch, loop: dict[str, str] | None, looks: int
) -> None:
    seen: list[str] = []

    def look(path: str, facts: dict[str, Any]) -> None:
        seen.append(path)
        facts["files"][path] = {"path": path, "stamp": [], "extents": [[0, len(seen), 4096, 0]]}
        facts["devices"]["7:0"] = {"loop": loop}

    monkeypatch.setattr(block_probe, "_file", look)
    told = block_probe.answer({"files": ["/mnt/image"]})
    assert (seen, told["files"]["/mnt/image"]["extents"]) == (["/mnt/image"] * looks, [[0, looks, 4096, 0]])
