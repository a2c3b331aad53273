# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A Linux host's word on where files lie on its block devices, as facts that nobody has judged yet.

A program of Python's standard library alone, which a host runs by its own Python (3.7 or later): its source is sent there, a question as
JSON comes in, facts as JSON go out. It writes nothing; the file system is asked to put on disk what it has in memory before it answers.

Numbers are those of Linux' include/uapi: fiemap.h, fs.h (`FS_IOC_FIEMAP`, `FS_IOC_FSGETXATTR`) and loop.h (`LOOP_GET_STATUS64`).
"""

from __future__ import annotations

import base64
import contextlib
import ctypes
import fcntl
import hashlib
import json
import mmap
import os
import re
import shutil
import signal
import stat
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

JSON = "json:"
"""How a path begins that is none, but an image as QEMU's tools are told of it."""
_FIEMAP = 0xC020660B
_FIEMAP_SYNC = 1
_LAST = 1
_AT_ONCE = 512
_EVERYTHING = (1 << 64) - 1
_GET_XATTR = 0x801C581F
_REALTIME = 1
_INCOMPATIBLE, _RECOVER = 1024 + 96, 4
"""Of ext4's superblock (Documentation/filesystems/ext4/super.rst): its journal holds what is not in its place yet."""
_SECTOR = 512
"""In which the kernel counts a device's size, whatever its blocks are."""
_OTHERS = (
    (0, b"LUKS\xba\xbe", "LUKS encryption"),
    (3, b"-FVE-FS-", "BitLocker encryption"),
    (3, b"ReFS\0\0\0\0", "ReFS"),
    (3, b"EXFAT   ", "exFAT"),
    (82, b"FAT32   ", "FAT32"),
    (4086, b"SWAPSPACE2", "swap space"),
    (65600, b"_BHRfS_M", "btrfs"),
)
"""By what others than the file systems whose files can be told are known: offset, bytes, name."""
_LVM = "LVM"
_MARKS = (
    (0, b"XFSB", "xfs"),
    (1080, b"\x53\xef", "ext4"),
    (3, b"NTFS    ", "ntfs"),
    *((sector * _SECTOR, b"LABELONE", _LVM) for sector in range(4)),
)
"""By what those are known that can be read: offset, bytes, name."""
_HEAD = 68 * 1024
_DESCRIBED = """# Disk DescriptorFile
version=1
CID=1
parentCID=ffffffff
createType="twoGbMaxExtentFlat"
# Extent description
"""
_LARGEST_EXT_BLOCK = 6
"""As a power of two of 1024 bytes (`EXT2_MAX_BLOCK_LOG_SIZE`)."""
_MALFORMED = (ArithmeticError, LookupError, StopIteration, ValueError, struct.error)
"""What reading ends with of numbers that no file system writes, and of words that its tools do not say of one that is sound."""
_DATA_OF_XFS = re.compile(r"^block \d+ \(\d+/\d+\) type data inode \d+ (.+?)\n?\Z", re.MULTILINE | re.DOTALL)
"""What xfs_db says last: a name goes on to its end, because a line of it may look like another word of xfs_db's."""
_NO_FILE = "no file has it: the file system's own data, or free space"
_LOOP_STATUS = 0x4C05
_CLASS = "/sys/class/block"
_ALIGNED = 4096
_ADMINISTRATORS = ("/usr/local/sbin", "/usr/sbin", "/sbin")
_EXPORT_SECONDS = 20.0
_SECONDS = 240.0
"""Of a whole question, so that its answer comes before whoever asked has gone, and no tool hangs on the host for ever."""
_STOP_SECONDS = 10.0
_SET_PARENT_DEATH_SIGNAL = 1
"""Of prctl (Linux' include/uapi/linux/prctl.h)."""


class _Question:
    """The one that is being answered."""

    end: float | None = None
    """When it has to be answered, by the monotonic clock."""


def _left() -> float:
    return _SECONDS if _Question.end is None else _Question.end - time.monotonic()


def answer(question: dict[str, Any]) -> dict[str, Any]:
    """What is known of `images` (path and format each) and `files`, whether `reads` (image, device) hold the same bytes, and `sectors`.

    `pieces` (path, offset and length each) are bytes of a file as it is, whatever its format, with the file's stamp.
    `owners` are the files of the guest that have a byte of a partition, by the image alone: one range of it, or several in a row.
    """
    _Question.end = time.monotonic() + _SECONDS
    try:
        return _answered(question)
    finally:
        _Question.end = None


def _answered(question: dict[str, Any]) -> dict[str, Any]:
    facts: dict[str, Any] = {"images": {}, "files": {}, "devices": {}, "same": [], "sectors": [], "owners": [], "pieces": []}
    for path, kind in question.get("images", []):
        facts["images"][path] = _image(path, kind)
    files = [*question.get("files", []), *(name for image in facts["images"].values() for name in _files_of(image))]
    _find(files, facts)
    before = {name: stamp for image in reversed([*facts["images"].values()]) for name, stamp in image["stamps"].items()}
    for told in facts["files"].values():
        told["changed"] = _stamp(told["path"]) != before.get(told["path"], told["stamp"])
    facts["same"] = [_same(*read) for read in question.get("reads", [])]
    facts["sectors"] = [_sectors(*place) for place in question.get("sectors", [])]
    facts["pieces"] = [_piece(*place) for place in question.get("pieces", [])]
    facts["owners"] = [_owner(*place) for place in question.get("owners", [])]
    return facts


def _find(files: Sequence[str], facts: dict[str, Any]) -> None:
    """Find out where files lie. What is on a loop device is in the file below only once it was put on disk, as the first look sees to."""
    for _time in range(2):
        facts.update(files={}, devices={})
        for path in files:
            _file(path, facts)
        if not any(device["loop"] for device in facts["devices"].values()):
            return


def _image(path: str, kind: str) -> dict[str, Any]:
    """An image's chain and map, and how its files were before the map was made, which names none of them."""
    try:
        chain = _chain(path, kind)
        names = _files_of({"chain": chain})
        stamps = {name: _stamp(name) for name in names}
        ranges = json.loads(_said("qemu-img", "map", "--output=json", "-U", "-f", kind, path))
        if _files_of({"chain": _chain(path, kind)}) != names:
            raise OSError("its chain of images changed while it was read: ask again")
    except (OSError, ValueError) as error:
        return {"chain": [], "map": [], "stamps": {}, "error": str(error)}
    return {"chain": chain, "map": ranges, "stamps": stamps, "error": ""}


def _chain(path: str, kind: str) -> Any:
    return json.loads(_said("qemu-img", "info", "--output=json", "--backing-chain", "-U", "-f", kind, path))


def _said(*command: str) -> str:
    return _heard(*command)[0]


def _heard(*command: str) -> tuple[str, str]:
    """What a tool says, and what it complains of although it ends well."""
    left = _left()
    if left <= 0:
        raise OSError(
            f"{command[0]} was not started on the host, because all there was to ask took more than {_SECONDS:.0f} s: ask for less"
        )
    try:
        done = _run(command, left)
    except FileNotFoundError as error:
        raise OSError(f"{command[0]} is not installed on the host") from error
    except subprocess.TimeoutExpired as error:
        raise OSError(f"{command[0]} did not end within {_SECONDS:.0f} s on the host") from error
    if done.returncode:
        raise OSError(done.stderr.decode("utf-8", "replace").strip() or f"{command[0]} ended with {done.returncode}")
    return done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace")


def _run(command: Sequence[str], seconds: float) -> subprocess.CompletedProcess[bytes]:
    how: dict[str, Any] = {"env": {**os.environ, "PATH": _path()}, "preexec_fn": _tied_to(os.getpid())}
    return subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, check=False, timeout=seconds, **how)


def _tied_to(parent: int) -> Callable[[], None]:
    """What lets a program that is being started end (SIGTERM) with the process that starts it, however that ends."""
    libc = ctypes.CDLL(None)

    def tie() -> None:
        libc.prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    return tie


def _path() -> str:
    """Where tools are: also where those of the administrator are, which not every account looks for."""
    return os.pathsep.join([os.environ.get("PATH", os.defpath), *_ADMINISTRATORS])


def _files_of(image: dict[str, Any]) -> list[str]:
    """The files of a chain and their data files, those that have a path on the host."""
    names: list[str] = []
    for member in image["chain"]:
        own = member.get("format-specific", {}).get("data", {})
        names += [member.get("filename", ""), own.get("data-file", ""), *(part.get("filename", "") for part in own.get("extents", []))]
    return [name for name in names if name.startswith("/")]


def _file(path: str, facts: dict[str, Any]) -> None:
    if path in facts["files"]:
        return
    told: dict[str, Any] = {"path": path, "stamp": _stamp(path), "device": "", "kind": "", "extents": [], "error": ""}
    facts["files"][path] = told
    try:
        seen = Path(path).stat()
        told["size"] = seen.st_size
        if stat.S_ISBLK(seen.st_mode):
            told["block"] = _number(seen.st_rdev)
            told["size"] = int(_text(f"/sys/dev/block/{told['block']}/size") or "0") * _SECTOR
            _device(told["block"], facts)
            return
        told["device"] = _number(seen.st_dev)
        told["kind"] = _file_system(told["device"])
        told["extents"], told["realtime"] = _extents(path, told["kind"] == "xfs")
        _device(told["device"], facts)
    except OSError as error:
        told["error"] = error.strerror or str(error)


def _stamp(path: str) -> list[int]:
    try:
        seen = Path(path).stat()
    except OSError:
        return []
    return [seen.st_dev, seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns]


def _number(device: int) -> str:
    return f"{os.major(device)}:{os.minor(device)}"


def _file_system(device: str) -> str:
    """The type of what is mounted from a device; of several mounts it is the same."""
    with Path("/proc/self/mountinfo").open(encoding="utf-8", errors="replace") as mounts:
        for line in mounts:
            words = line.split()
            if words[2] == device:
                return words[words.index("-") + 1]
    return ""


def _extents(path: str, on_xfs: bool) -> tuple[list[list[int]], bool]:
    """Logical offset, physical offset, length and flags of each, and whether they are on the real-time device of XFS."""
    handle = os.open(path, os.O_RDONLY)
    try:
        found: list[list[int]] = []
        start = 0
        while True:
            buffer = bytearray(struct.pack("=QQLLLL", start, _EVERYTHING - start, _FIEMAP_SYNC, 0, _AT_ONCE, 0) + bytes(56 * _AT_ONCE))
            fcntl.ioctl(handle, _FIEMAP, buffer, True)
            count = struct.unpack_from("=L", buffer, 20)[0]
            for place in range(count):
                logical, physical, length, _one, _two, flags = struct.unpack_from("=QQQQQL", buffer, 32 + 56 * place)
                found.append([logical, physical, length, flags])
            if not count or found[-1][3] & _LAST:
                return found, on_xfs and _is_realtime(handle)
            start = found[-1][0] + found[-1][2]
    finally:
        os.close(handle)


def _is_realtime(handle: int) -> bool:
    attributes = bytearray(28)
    fcntl.ioctl(handle, _GET_XATTR, attributes, True)
    return bool(struct.unpack_from("=L", attributes)[0] & _REALTIME)


def _device(number: str, facts: dict[str, Any]) -> None:
    """A block device and all below it."""
    if number in facts["devices"]:
        return
    there = Path(f"/sys/dev/block/{number}").resolve()
    if not (there / "dev").exists():
        return
    place, name = str(there), there.name
    told: dict[str, Any] = {"name": name, "slaves": [], "parent": "", "loop": None, "map": None, "wwid": "", "page": ""}
    facts["devices"][number] = told
    if (there / "partition").exists():
        told["start"] = int(_text(f"{place}/start"))
        told["parent"] = _text(f"{there.parent}/dev")
        _device(told["parent"], facts)
        return
    told["block_size"] = int(_text(f"{place}/queue/logical_block_size") or "0")
    told["wwid"] = _text(f"{place}/device/wwid")
    told["page"] = _bytes(f"{place}/device/vpd_pg83").hex()
    for slave in sorted(_listed(f"{place}/slaves")):
        told["slaves"].append(_text(f"{_CLASS}/{slave}/dev"))
    if (there / "dm" / "name").exists():
        told["map"] = _map(place, number)
    if (there / "loop" / "backing_file").exists():
        told["loop"] = _loop(name, place)
        if told["loop"]["error"] == "":
            _file(told["loop"]["file"], facts)
    for slave in told["slaves"]:
        _device(slave, facts)


def _map(place: str, number: str) -> dict[str, str]:
    told = {"name": _text(f"{place}/dm/name"), "uuid": _text(f"{place}/dm/uuid"), "table": "", "error": ""}
    major, minor = number.split(":")
    try:
        told["table"] = _said("dmsetup", "table", "-j", major, "-m", minor)
    except OSError as error:
        told["error"] = error.strerror or str(error)
    return told


def _loop(name: str, place: str) -> dict[str, Any]:
    """The file or device below, if the path that the kernel knows still leads to it."""
    told: dict[str, Any] = {"file": _text(f"{place}/loop/backing_file"), "offset": int(_text(f"{place}/loop/offset") or "0"), "error": ""}
    try:
        with Path(f"/dev/{name}").open("rb", buffering=0) as opened:
            status = bytearray(232)
            fcntl.ioctl(opened, _LOOP_STATUS, status, True)
        device, inode = struct.unpack_from("=QQ", status)
        seen = Path(told["file"]).stat()
        if (device, inode) != (seen.st_dev, seen.st_ino):
            told["error"] = "its path leads to another file by now"
    except OSError as error:
        told["error"] = error.strerror or str(error)
    return told


def _listed(place: str) -> list[str]:
    try:
        return [found.name for found in Path(place).iterdir()]
    except OSError:
        return []


def _text(path: str) -> str:
    return _bytes(path).decode("utf-8", "replace").strip().rstrip("\0")


def _bytes(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError:
        return b""


def _same(path: str, kind: str, start: int, length: int, device: str, offset: int, file: str, place: int) -> str:
    """Whether an image and a device hold the same bytes: `yes`, `no`, or why nobody can tell. No byte leaves the host.

    `file` is that of the image's files which has the bytes, from its byte `place` on: what is behind its end is no part of the image.
    """
    try:
        there = _there(file, place, length)
        read = hashlib.sha256(_of_image(path, kind, start, length)[:there]).hexdigest()
        return "yes" if read == _of_device(device, offset, there) else "no"
    except OSError as error:
        return error.strerror or str(error)


def _there(file: str, place: int, length: int) -> int:
    """How many of the bytes a file has, whose last sector may be no whole one."""
    seen = Path(file).stat()
    there = min(length, seen.st_size - place) if stat.S_ISREG(seen.st_mode) else length
    if there <= 0:
        raise OSError(f"{file} ends before that")
    return there


def _sectors(path: str, kind: str, start: int, length: int) -> str:
    """A few sectors of an image in hexadecimal; empty where they cannot be read."""
    try:
        return _of_image(path, kind, start, length).hex()
    except OSError:
        return ""


def _piece(path: str, offset: int, length: int) -> dict[str, Any]:
    """Bytes of a file in base64, fewer where it ends; or why they cannot be read."""
    told: dict[str, Any] = {"stamp": _stamp(path), "data": "", "error": ""}
    try:
        handle = os.open(path, os.O_RDONLY)
        try:
            told["data"] = base64.b64encode(os.pread(handle, length, offset)).decode("ascii")
        finally:
            os.close(handle)
    except OSError as error:
        told["error"] = error.strerror or str(error)
    return told


def _of_image(path: str, kind: str, start: int, length: int) -> bytes:
    step = 512
    while step < 1 << 20 and start % (2 * step) == 0 and length % (2 * step) == 0:
        step *= 2
    with tempfile.TemporaryDirectory() as place:
        out = f"{place}/bytes"
        _said(
            *("qemu-img", "dd", "-U", "-f", kind, "-O", "raw", f"bs={step}", f"skip={start // step}"),
            *(f"count={(start + length) // step}", f"if={path}", f"of={out}"),
        )
        return _bytes(out)


def _owner(path: str, kind: str, pieces: Sequence[Sequence[int]], at: int) -> dict[str, Any]:
    """The guest's file system in ranges of an image, its block at a place there, and the paths of what has that, or why there are none."""
    told: dict[str, Any] = {"file_system": "", "block": None, "files": [], "reason": "", "unclean": False, "lvm": False}
    try:
        with tempfile.TemporaryDirectory() as place, _shown(path, kind, pieces, place) as partition:
            _look(partition, at, told)
    except OSError as error:
        told["reason"] = f"the guest's file system cannot be read: {' '.join((error.strerror or str(error)).split())}"
    except _MALFORMED:
        told.update(files=[], reason="the guest's file system is damaged, or was being written to while it was read")
    return told


def _look(partition: str, at: int, told: dict[str, Any]) -> None:
    """What has a byte there, by the file system that has marked the beginning."""
    head = _head(partition)
    kinds = sorted({kind for start, mark, kind in (*_MARKS, *_OTHERS) if head[start:].startswith(mark)})
    if len(kinds) > 1:
        told["reason"] = f"it carries the marks of {' and '.join(kinds)}, of which one was left from before"
    elif kinds == ["ext4"]:
        size = _size_of_ext_block(head)
        told.update(file_system="ext4", block=at // size)
        told["files"], told["reason"] = _in_ext(partition, at // size)
        told["unclean"] = bool(struct.unpack_from("<I", head, _INCOMPATIBLE)[0] & _RECOVER)
    elif kinds == ["xfs"]:
        told["file_system"] = "xfs"
        told["block"], told["files"], told["reason"] = _in_xfs(partition, at)
    elif kinds == ["ntfs"]:
        volume = _Ntfs(partition, head)
        told.update(file_system="ntfs", block=at // volume.cluster)
        told["files"], told["reason"] = volume.owners(at)
        told["unclean"] = volume.is_unclean()
    elif kinds == [_LVM]:
        told.update(lvm=True, reason="it is a physical volume of LVM")
    else:
        other = next(iter(kinds), "no file system")
        told["reason"] = f"there is {other} there, of which no files can be told (of ext2, ext3, ext4, XFS and NTFS they can)"


@contextlib.contextmanager
def _shown(path: str, kind: str, pieces: Sequence[Sequence[int]], place: str) -> Iterator[str]:
    """Ranges of an image as one file: several are put together as QEMU's VMDK driver puts a disk together of ranges of a flat file."""
    to = f"{place}/partition"
    if len(pieces) == 1:
        (begin, length), *_rest = pieces
        with _exported(path, kind, to, offset=begin, size=length) as partition:
            yield partition
        return
    described = Path(place) / "pieces"
    with _exported(path, kind, f"{place}/disk") as disk:
        lines = (f'RW {length // _SECTOR} FLAT "{disk}" {begin // _SECTOR}\n' for begin, length in pieces)
        described.write_text(_DESCRIBED + "".join(lines), encoding="utf-8")
        with _exported(str(described), "vmdk", to) as partition:
            yield partition


@contextlib.contextmanager
def _exported(path: str, kind: str, to: str, **part: int) -> Iterator[str]:
    """An image, or a part of it, as a file that nobody can write to, by QEMU's storage daemon."""
    program = shutil.which("qemu-storage-daemon", path=_path())
    if not program:
        raise OSError("qemu-storage-daemon is not installed on the host")
    Path(to).touch()
    image: dict[str, Any] = {"driver": kind, "file": _storage(path)}
    node = {"driver": "raw", "node-name": "part", **part, "read-only": True, "force-share": True, "file": image}
    command = [program, "--blockdev", json.dumps(node), "--export"]
    command.append(f"type=fuse,id=part,node-name=part,mountpoint={to.replace(',', ',,')},writable=off")
    how: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "preexec_fn": _tied_to(os.getpid())}
    with subprocess.Popen(command, stderr=subprocess.PIPE, **how) as daemon:
        try:
            until = time.monotonic() + min(_EXPORT_SECONDS, _left())
            while not Path(to).stat().st_size:
                late = time.monotonic() > until
                if daemon.poll() is not None or late:
                    daemon.kill()
                    said = (daemon.stderr.read() if daemon.stderr else b"").decode("utf-8", "replace").strip()
                    raise OSError(said or f"qemu-storage-daemon {'did not show the disk in time' if late else 'ended without a word'}")
                time.sleep(0.05)
            yield to
        finally:
            _end(daemon)
            _unmount(to)


def _end(daemon: subprocess.Popen[bytes]) -> None:
    daemon.terminate()
    try:
        daemon.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        daemon.kill()
        daemon.wait()


def _unmount(place: str) -> None:
    """What a daemon that was killed has left mounted. Root may unmount it, others by FUSE's own tool."""
    for tool in (("umount", "-l"), ("fusermount3", "-u", "-z")):
        if _is_mounted(place):
            with contextlib.suppress(OSError, subprocess.TimeoutExpired):
                _run([*tool, place], _STOP_SECONDS)


def _is_mounted(place: str) -> bool:
    shown = str(Path(place).parent.resolve() / Path(place).name).replace("\\", "\\134").replace(" ", "\\040")
    return any(line.split(" ")[4:5] == [shown] for line in Path("/proc/self/mountinfo").read_text("utf-8", "replace").split("\n"))


def _storage(path: str) -> dict[str, Any]:
    """What an image is in, as QEMU's storage daemon is told of it."""
    if path.startswith(JSON):
        described: dict[str, Any] = json.loads(path[len(JSON) :])["file"]
        return described
    return {"driver": "host_device" if stat.S_ISBLK(Path(path).stat().st_mode) else "file", "filename": path}


def _head(path: str) -> bytes:
    with Path(path).open("rb") as opened:
        return opened.read(_HEAD)


def _size_of_ext_block(head: bytes) -> int:
    """In bytes. Raises `ValueError` for one that no ext file system has: a guest may write what fills the memory."""
    power: int = struct.unpack_from("<I", head, 1048)[0]
    if power > _LARGEST_EXT_BLOCK:
        raise ValueError(power)
    return 1024 << power


def _in_ext(partition: str, block: int) -> tuple[list[str], str]:
    """Paths by e2fsprogs' debugfs, which opens nothing for writing unless it is told to. A name may have several lines."""
    inode = _last_words(_said("debugfs", "-R", f"icheck {block}", partition))[-1:]
    if not inode or not inode[0].isdecimal():
        return [], _NO_FILE
    said = _said("debugfs", "-R", f"ncheck {inode[0]}", partition)
    names = re.split(rf"^{inode[0]}\t(?=/)", said, flags=re.MULTILINE)[1:]
    paths = [re.sub(r"\n\Z", "", name).replace("//", "/", 1) for name in names]
    return paths, "" if paths else f"inode {inode[0]} has it, which has no name: the journal, or a file that was deleted"


def _in_xfs(partition: str, at: int) -> tuple[int, list[str], str]:
    """Paths by xfsprogs' xfs_db, read-only, which reads all metadata."""
    number = int(_said("xfs_db", "-r", "-f", "-c", f"convert daddr {at // 512} fsblock", partition).split("(")[1].split(")")[0])
    said = _said("xfs_db", "-r", "-f", "-c", f"blockget -n -b {number}", "-c", f"fsblock {number}", "-c", "blockuse -n", partition)
    told = _DATA_OF_XFS.search(said)
    if not told:
        return number, [], _NO_FILE
    return number, [f"/{told.group(1)}"], ""


class _Run(NamedTuple):
    """Clusters of an attribute that lie side by side; `lcn` is negative where there are none on the volume."""

    vcn: int
    lcn: int
    length: int


class _Ntfs:
    """A volume of NTFS that nobody has mounted here, by ntfscluster of ntfs-3g, which reads all records of the $MFT.

    The boot sector, the types of attributes, the numbers of inodes and the restart area of $LogFile are as ntfs-3g's layout.h and logfile.h
    have them; whether Windows has left a volume is told as there (`ntfs_is_logfile_clean`, `ntfs_volume_check_hiberfile`).
    """

    _TOOL = ("ntfscluster", "--force")
    """Which opens the volume read-only; by force, because one that was not left is asked about, too."""
    _MFT, _LOG_FILE, _BITMAP, _FIRST_FILE = 0, 2, 6, 16
    _EXTENDED = "/$Extend/"
    _DATA = "$DATA"
    _OWNER = re.compile(r"Inode (\d+) (/.*)/(\$[A-Z_]+)(?:\((.*)\))?")
    _AROUND = re.compile(r"Searching for cluster .*|\* .*|")
    _HARMLESS = re.compile(r"Inode \d+ is an extent of inode \d+\.|WARNING: Dirty volume mount was forced .*|")
    _NO_CLIENT, _IS_CLEAN = 0xFFFF, 2

    def __init__(self, partition: str, head: bytes) -> None:
        sector, each = struct.unpack_from("<HB", head, 11)
        (record,) = struct.unpack_from("<b", head, 64)
        self.cluster = sector * (each if each <= 128 else 1 << 256 - each)
        self._record = record * self.cluster if record > 0 else 1 << -record
        self._clusters = struct.unpack_from("<Q", head, 40)[0] * sector // self.cluster
        self._partition = partition

    def owners(self, at: int) -> tuple[list[str], str]:
        """The paths of what has a byte, or why there are none."""
        number = at // self.cluster
        if number >= self._clusters:
            return [], "no file has it: it is behind the end of the file system"
        said, complained = _heard(*self._TOOL, "--cluster", f"{number}-{number}", self._partition)
        complaint = next((line for line in complained.splitlines() if not self._HARMLESS.fullmatch(line)), "")
        found = [line for line in said.split("\n") if not self._AROUND.fullmatch(line)]
        if found and not all(line.startswith("Inode ") for line in found):
            return [], "a file has it in whose path is the end of a line, which ntfscluster does not tell from the end of the path"
        owner = self._OWNER.fullmatch(found[0]) if found else None
        if complaint:
            return [], f"ntfscluster cannot read the whole volume: {complaint}"
        if len(found) > 1 or bool(owner) != bool(found) or bool(found) != self._is_in_use(number):
            return [], "ntfscluster and the volume's bitmap do not agree on who has it: let the guest check the volume (chkdsk)"
        return self._named(owner, at) if owner else ([], "no file has it: free space")

    def _named(self, owner: re.Match[str], at: int) -> tuple[list[str], str]:
        inode, path, kind, stream = int(owner.group(1)), *owner.group(2, 3, 4)
        if (inode, kind) == (self._MFT, self._DATA):
            return [], f"no file has it: a record of the $MFT, {self._of_record(at)}"
        if inode < self._FIRST_FILE or path.startswith(self._EXTENDED) or kind != self._DATA:
            return [], f"no file has it: the file system's own data, {kind} of {path}"
        return [f"{path}:{stream}" if stream else path], ""

    def _of_record(self, at: int) -> str:
        """Of which file a record of the $MFT is: it holds the file's names, and the data of a small one."""
        _path, kinds, runs = self._dump("--inode", str(self._MFT))
        ahead = next(run.vcn + at // self.cluster - run.lcn for run in runs if run.lcn <= at // self.cluster < run.lcn + run.length)
        number = (ahead * self.cluster + at % self.cluster) // self._record
        try:
            path, kinds, _runs = self._dump("--inode", str(number))
        except OSError:
            return f"number {number}, which is no file's first one"
        return f"that of {path}{', with its data' if kinds.get('0x80') == 'resident' else ''}"

    def is_unclean(self) -> bool:
        """Whether the guest has the volume mounted, or has not left it: as the log says, the volume itself, or because it sleeps."""
        return self._is_dirty() or self._is_log_open() or self._is_hibernated()

    def _is_dirty(self) -> bool:
        return "Dirty volume" in _heard(*self._TOOL, "--info", self._partition)[1]

    def _is_log_open(self) -> bool:
        """Each of the two restart pages says so for itself."""
        runs = self._dump("--inode", str(self._LOG_FILE))[2]
        first = self._read(runs, 0, 4096)
        size = struct.unpack_from("<I", first, 16)[0]
        return any(self._is_open(page) for page in (first, self._read(runs, size, 4096) if first[:4] == b"RSTR" else b""))

    def _is_open(self, page: bytes) -> bool:
        if page[:4] != b"RSTR":
            return False
        clients, flags = struct.unpack_from("<HH", page, min(struct.unpack_from("<H", page, 24)[0], 4000) + 12)
        return bool(clients != self._NO_CLIENT and not flags & self._IS_CLEAN)

    def _is_hibernated(self) -> bool:
        with contextlib.suppress(OSError):
            return self._read(self._dump("--filename", "hiberfil.sys")[2], 0, 4) in (b"hibr", b"HIBR")
        return False

    def _is_in_use(self, number: int) -> bool:
        byte = self._read(self._dump("--inode", str(self._BITMAP))[2], number // 8, 1)
        return bool(byte and byte[0] >> number % 8 & 1)

    def _dump(self, *which: str) -> tuple[str, dict[str, str], list[_Run]]:
        """A file's path, whether its attributes are resident, by type, and the runs of its data. Raises `OSError` if there is none."""
        path, kind = "", ""
        kinds: dict[str, str] = {}
        runs: list[_Run] = []
        for line in _said(*self._TOOL, *which, self._partition).split("\n"):
            words = line.split() or [""]
            if line.startswith("Dump: "):
                path = line[len("Dump: ") :]
            elif words[0].startswith("0x"):
                kind = words[0]
                kinds.setdefault(kind, words[2])
            elif kind == "0x80" and words[0].isdecimal():
                run = _Run(*map(int, words))
                if run.vcn == (runs[-1].vcn + runs[-1].length if runs else 0):
                    runs.append(run)
        return path, kinds, runs

    def _read(self, runs: Sequence[_Run], offset: int, length: int) -> bytes:
        """A few bytes of an attribute's data that lie in one run; nothing where there are none."""
        for run in runs:
            ahead = offset - run.vcn * self.cluster
            if run.lcn >= 0 and 0 <= ahead < run.length * self.cluster:
                with Path(self._partition).open("rb") as opened:
                    opened.seek(run.lcn * self.cluster + ahead)
                    return opened.read(length)
        return b""


def _last_words(text: str) -> list[str]:
    return text.strip().splitlines()[-1].split() if text.strip() else []


def _of_device(name: str, offset: int, length: int) -> str:
    """The bytes that the device holds, not what the kernel remembers of them."""
    begin = offset // _ALIGNED * _ALIGNED
    size = -(-(offset + length - begin) // _ALIGNED) * _ALIGNED
    handle = os.open(f"/dev/{name}", os.O_RDONLY | os.O_DIRECT)
    try:
        with mmap.mmap(-1, size) as buffer:
            got = os.preadv(handle, [buffer], begin)
            if got < offset + length - begin:
                raise OSError("the device ends there")
            return hashlib.sha256(buffer[offset - begin : offset - begin + length]).hexdigest()
    finally:
        os.close(handle)


if __name__ == "__main__":
    sys.stdout.write(json.dumps(answer(json.loads(sys.stdin.read()))))
