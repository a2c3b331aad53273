# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the relay costs that takes captures of iSCSI traffic, and how fast captures are read."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from tests.bench.measure import BenchFailed, interleaved, spawn
from tests.bench.report import RATIO, Findings
from tests.lab import watched_lun
from tests.lab.packages import install

LUN_BYTES, BLOCK, COMMANDS = 256 << 20, 4096, 1000
DEPTHS = (1, 16)
MOST_ALONE, MOST_AT_ONCE = 8.0, 25.0
_NOTES = [
    f"{COMMANDS:,} writes of {BLOCK} bytes to a LUN of tgtd, one and 16 at once, by QEMU's initiator (qemu-img bench), on this machine.",
    "A network between initiator and target makes each command take longer, and the relay's share less.",
]


def measure(directory: Path, rounds: int) -> Findings:
    """Write both ways, then read what was captured. Raises BenchFailed."""
    install(watched_lun.PACKAGES)
    findings = Findings("iSCSI traffic that is watched", _NOTES)
    directory.mkdir()
    for depth in DEPTHS:
        _writes(directory / str(depth), findings, depth, rounds)
    return findings


def _writes(directory: Path, findings: Findings, depth: int, rounds: int) -> None:
    directory.mkdir()
    with ExitStack() as undo:
        _backing, port = undo.enter_context(watched_lun.target(directory, LUN_BYTES))
        _relayed, door = undo.enter_context(watched_lun.relay(directory, port, "--seconds", "3600", "--most-bytes", str(8 << 30)))
        places = {f"directly, {depth} at once": port, f"relay, {depth} at once": door}
        ways = {name: partial(spawn, _bench(through, depth), {}) for name, through in places.items()}
        series = interleaved(ways, rounds)
        for name, found in series.items():
            findings.add_series(name, found, requests=False)
            findings.add(name, "time a command", found.wall / COMMANDS * 1e6, "µs")
        direct, relayed = places
        most = MOST_ALONE if depth == 1 else MOST_AT_ONCE
        findings.promise(f"{relayed} : {direct}, wall", RATIO, findings.compare(relayed, direct, "wall"), most)
    if depth == max(DEPTHS):
        _reading(directory, findings, port)


def _bench(port: int, depth: int) -> list[str]:
    disk = watched_lun.lun_node(port).replace("node-name=lun,", "")
    return ["qemu-img", "bench", "--image-opts", "-w", "-c", str(COMMANDS), "-d", str(depth), "-s", str(BLOCK), "-t", "none", disk]


def _reading(directory: Path, findings: Findings, port: int) -> None:
    """How fast the capture that the relay has made is read."""
    file = directory / "relayed.pcap"
    found = spawn([sys.executable, "-m", "tests.bench.read_capture", str(file), str(port)], {})
    writes = int(found.output)
    if writes < COMMANDS:
        raise BenchFailed(f"{file} tells of only {writes} writes")
    findings.add("reading a capture", "CPU", found.cpu, "s")
    findings.add("reading a capture", "MiB per second", file.stat().st_size / found.cpu / (1 << 20))
    findings.add("reading a capture", "time a command", found.cpu / writes * 1e6, "µs")
    findings.add("reading a capture", "peak memory", found.memory, "MiB")
