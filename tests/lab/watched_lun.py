# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A real LUN on this machine, as a block device with a file system, and what passes between it and its target, written down.

``tgtd`` has the LUN, ``qemu-storage-daemon`` is the initiator and shows it as a file (FUSE), a loop device makes a disk of that, and
``tcpdump`` takes what passes: the kernel needs no initiator. Needs root and the packages of `PACKAGES`.
"""

from __future__ import annotations

import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.lab.ontap.data_plane.tgt import Tgt

PACKAGES = ("tgt", "util-linux", "tcpdump", "qemu-system-common", "qemu-block-extra", "qemu-utils")
"""What Debian calls the programs."""
IQN, INITIATOR, LUN = "iqn.2026-11.lab:watched", "iqn.2026-11.lab:host", 7
NAA = "60000000000000000e00000000010007"
"""The name that tgt gives the LUN."""
EXPORT = "disk"
RELAY = Path(__file__).resolve().parents[2] / "extensions" / "probes" / "iscsi_relay.py"
SECONDS = 300.0
POLL_SECONDS = 0.02


class WatchFailed(RuntimeError):
    """A part of it did not start, or does not end; the text says which, and ends with its log."""


@contextmanager
def target(directory: Path, size: int) -> Iterator[tuple[Path, int]]:
    """A target with one LUN: the file that holds its bytes, and the port on 127.0.0.1."""
    backing = directory / "lun"
    with backing.open("wb") as made:
        made.truncate(size)
    tgt = Tgt(directory)
    tgt.start()
    try:
        tgt.add_target(1, IQN, INITIATOR)
        tgt.add_unit(1, LUN, backing, [("vendor_id", "LAB")])
        yield backing, tgt.port
    finally:
        tgt.stop()


def lun_node(port: int, *options: str) -> str:
    """The LUN as a node of QEMU's block layer, named `lun`."""
    where = f"transport=tcp,portal=127.0.0.1:{port},target={IQN},lun={LUN},initiator-name={INITIATOR}"
    return ",".join((f"driver=iscsi,node-name=lun,{where},cache.direct=on", *options))


@contextmanager
def storage_daemon(directory: Path, name: str, nodes: Sequence[str], *exports: str) -> Iterator[None]:
    """A qemu-storage-daemon with these nodes and options of exports, once it is up."""
    log, up = directory / f"{name}.log", directory / f"{name}.pid"
    command = ["qemu-storage-daemon", *(word for node in nodes for word in ("--blockdev", node)), *exports, "--pidfile", str(up)]
    with _running(command, log, up.exists):
        yield


@contextmanager
def block_device(directory: Path, port: int, *options: str) -> Iterator[str]:
    """The LUN as a block device of this kernel."""
    shown = directory / "lun.fuse"
    shown.touch()
    export = f"type=fuse,id=lun,node-name=lun,mountpoint={shown},writable=on"
    with storage_daemon(directory, "initiator", [lun_node(port, *options)], "--export", export):
        device = said("losetup", "--find", "--show", shown).strip()
        try:
            yield device
        finally:
            said("losetup", "--detach", device)


@contextmanager
def mounted(directory: Path, device: str, kind: str) -> Iterator[Path]:
    """A new file system on a device."""
    place = directory / "mounted"
    place.mkdir()
    said(f"mkfs.{kind}", "-q", "-f" if kind == "xfs" else "-F", device)
    said("mount", device, place)
    try:
        yield place
    finally:
        said("umount", place)


@contextmanager
def virtual_disk(directory: Path, nodes: Sequence[str]) -> Iterator[Path]:
    """The last of these nodes as a VM's disk, for any number of clients at once: the socket of its NBD server (export `EXPORT`)."""
    address, node = directory / "disk.nbd", nodes[-1].partition("node-name=")[2].partition(",")[0]
    server = (
        "--nbd-server",
        f"addr.type=unix,addr.path={address}",
        "--export",
        f"type=nbd,id=disk,node-name={node},name={EXPORT},writable=on",
    )
    with storage_daemon(directory, "disk", nodes, *server):
        yield address


@contextmanager
def capture(directory: Path, port: int, *options: str) -> Iterator[Path]:
    """A capture file of all that passes to and from a port on 127.0.0.1, whole when the context ends."""
    file, log = directory / "taken.pcap", directory / "tcpdump.log"
    command = ["tcpdump", "-i", "lo", "-U", "-Z", "root", "-B", "131072", *options, "-w", str(file), "tcp", "port", str(port)]
    with _running(command, log, lambda: "listening on" in log.read_text(), signal.SIGINT):
        yield file
        last = struct.pack(">HH", _call(port), port)
        wait_for(lambda: last in file.read_bytes()[-(1 << 20) :], "tcpdump has not written all that passed")


@contextmanager
def relay(directory: Path, port: int, *options: str) -> Iterator[tuple[Path, int]]:
    """The probe in front of a port on 127.0.0.1: its capture file, whole when the context ends, and the port to log in to."""
    file, log = directory / "relayed.pcap", directory / "relay.log"
    command = [sys.executable, str(RELAY), "--listen", "127.0.0.1:0", "--portal", f"127.0.0.1:{port}", "--write", str(file), *options]
    with _running(command, log, lambda: "Listening on" in log.read_text()):
        yield file, int(log.read_text().partition("127.0.0.1:")[2].split()[0])


def _call(port: int) -> int:
    """Open and close a connection, which in a capture comes after all that was there before; its own port."""
    with socket.create_connection(("127.0.0.1", port), timeout=SECONDS) as call:
        return int(call.getsockname()[1])


def said(*command: str | Path) -> str:
    """What a command prints. Raises WatchFailed."""
    done = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        raise WatchFailed(f"{command[0]}: {done.stderr.strip()}")
    return done.stdout


def wait_for(condition: Callable[[], bool], failure: str) -> None:
    """Wait until a condition holds. Raises WatchFailed."""
    deadline = time.monotonic() + SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise WatchFailed(failure)
        time.sleep(POLL_SECONDS)


@contextmanager
def _running(command: Sequence[str], log: Path, is_up: Callable[[], bool], end: signal.Signals = signal.SIGTERM) -> Iterator[None]:
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True)
    try:
        wait_for(lambda: is_up() or process.poll() is not None, f"{command[0]} is not ready: {log.read_text()}")
        if process.poll() is not None:
            raise WatchFailed(f"{command[0]} ended: {log.read_text()}")
        yield
    finally:
        process.send_signal(end)
        try:
            process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
