# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The addresses of all blocks of images that lie in 20,000 pieces, beside the tools that an administrator would run by hand."""

from __future__ import annotations

import random
import subprocess
import sys
from functools import partial
from pathlib import Path

from tests.bench.measure import BenchFailed, interleaved, spawn
from tests.bench.report import RATIO, Findings

PIECES, BLOCK = 20_000, 4096
QCOW2_BYTES = 1 << 41
RAW_BYTES = 2 * PIECES * BLOCK
MOST = 2.5
_NOTES = [
    f"A qcow2 image of 2 TiB with {PIECES:,} clusters of {BLOCK} bytes in no order, and a raw one with {PIECES:,} extents, here.",
    "Ours: the program that a KVM host is given, run here, and its answer put together down to the device of the file system.",
    "By hand: qemu-img map, for qcow2 alone, and filefrag, each of which tells one of the layers; nobody puts them together.",
    "For the raw image that is filefrag alone, whose C is compared with the start of two Pythons: nothing is promised of it.",
]


def measure(directory: Path, rounds: int) -> Findings:
    """Make both images, then measure both ways for each. Raises BenchFailed."""
    findings = Findings(f"addresses of blocks of images in {PIECES:,} pieces", _NOTES)
    directory.mkdir()
    images = {"qcow2": (_qcow2(directory / "disk.qcow2"), QCOW2_BYTES), "raw": (_raw(directory / "disk.raw"), RAW_BYTES)}
    for kind, (image, size) in images.items():
        ours, by_hand = f"ours, {kind}", f"by hand, {kind}"
        translate = [sys.executable, "-m", "tests.bench.translate", str(image), kind, str(size)]
        ways = {ours: translate, by_hand: ["sh", "-c", _by_hand(image, kind)]}
        series = interleaved({case: partial(spawn, command, {}) for case, command in ways.items()}, rounds)
        for case, found in series.items():
            findings.add_series(case, found, requests=False)
        ranges = int(series[ours].output)
        if ranges < PIECES:
            raise BenchFailed(f"only {ranges} ranges of {image} have an address, not {PIECES}: its file system tells none")
        findings.add(ours, "ranges", ranges)
        findings.add(ours, "ranges per second", ranges / series[ours].wall)
        findings.compare(ours, by_hand, "wall")
        findings.compare(ours, by_hand, "CPU")
    findings.promise("ours, qcow2 : by hand, qcow2, CPU", RATIO, findings.compare("ours, qcow2", "by hand, qcow2", "CPU"), MOST)
    return findings


def _qcow2(image: Path) -> Path:
    places = random.Random(1).sample(range(QCOW2_BYTES // BLOCK), PIECES)
    _said("qemu-img", "create", "-q", "-f", "qcow2", "-o", f"cluster_size={BLOCK}", str(image), str(QCOW2_BYTES))
    _said("qemu-io", "-f", "qcow2", "-t", "unsafe", str(image), given="".join(f"write -q {place * BLOCK} {BLOCK}\n" for place in places))
    return image


def _raw(image: Path) -> Path:
    with image.open("wb") as opened:
        for piece in range(PIECES):
            opened.seek(2 * piece * BLOCK)
            opened.write(b"\1" * BLOCK)
        opened.truncate(RAW_BYTES)
    return image


def _by_hand(image: Path, kind: str) -> str:
    fragments = f"PATH=$PATH:/usr/sbin filefrag -v {image} >/dev/null"
    return fragments if kind == "raw" else f"qemu-img map -U --output=json -f {kind} {image} >/dev/null && {fragments}"


def _said(*command: str, given: str = "") -> None:
    try:
        subprocess.run(command, input=given, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise BenchFailed(f"{command[0]} made no image (scripts/kvm-host installs QEMU): {error}") from error
