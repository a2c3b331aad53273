# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the tools of a Linux host say of its LUNs, and the kernel itself."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tests.lab.kvm_san.shell import Shell

PAUSE_SECONDS = 1.0
"""Between two looks at a host: each takes its one emulated processor from what is waited for."""
_HEAD = r"^(?:mpath[a-z]+ \()?(?=3[0-9a-f]{32}\)? dm-)"
"""How a map begins, by its WWID or by a friendly name before it."""
_MAP = re.compile(_HEAD + r"(?P<wwid>3[0-9a-f]{32})\)? (?P<device>dm-\d+) (?P<vendor>[^,]*),(?P<product>.*)$")
_GROUP = re.compile(r"policy='[^']*' prio=(?P<prio>-?\d+) status=(?P<status>\w+)")
_PATH = re.compile(r"(?P<address>\d+:\d+:\d+:\d+) +(?P<device>sd[a-z]+) +\S+ +(?P<dm>\w+) +(?:i/o pending|\w+) +\w+")
_LSSCSI = re.compile(r"^\[(?P<address>[\d:]+)\] +disk +(?P<port>\S+) +/dev/(?P<device>\S+)", re.MULTILINE)
_NAA = re.compile(r"0x(?P<naa>6[0-9a-f]{31})")


@dataclass(frozen=True)
class Path:
    """One path of a map, as ``multipath -ll`` tells of it."""

    address: str
    """Host, channel, target and LUN id."""
    device: str
    priority: int
    """Of its group."""
    state: str
    """``active`` or ``failed``."""


@dataclass(frozen=True)
class Map:
    """One map of ``multipath -ll``."""

    wwid: str
    device: str
    vendor: str
    product: str
    paths: Sequence[Path]


def maps(machine: Shell) -> list[Map]:
    """Return the maps of ``multipath -ll``."""
    return list(_maps(machine.run(["multipath", "-ll"])))


def _maps(text: str) -> Iterator[Map]:
    for block in re.split(f"(?={_HEAD})", text, flags=re.MULTILINE):
        if head := _MAP.match(block.split("\n")[0]):
            yield Map(head["wwid"], head["device"], head["vendor"].strip(), head["product"].strip(), list(_paths(block)))


def _paths(block: str) -> Iterator[Path]:
    priority = 0
    for line in block.split("\n"):
        if group := _GROUP.search(line):
            priority = int(group["prio"])
        elif path := _PATH.search(line):
            yield Path(path["address"], path["device"], priority, path["dm"])


def ports(machine: Shell) -> Mapping[str, str]:
    """Return the target port of every disk by its SCSI address, as ``lsscsi -t`` tells of it."""
    return {row["address"]: row["port"] for row in _LSSCSI.finditer(machine.run(["lsscsi", "-t"]))}


def disks(machine: Shell) -> int:
    """Return how many SCSI disks the kernel has: a path each, and the cheapest that can be asked while a module is at work there."""
    return int(machine.run("ls -d /sys/class/scsi_disk/* 2>/dev/null | wc -l"))


def kernel(machine: Shell, attribute: str) -> Mapping[str, str]:
    """Return an attribute of every SCSI disk by its SCSI address, as sysfs tells of it."""
    text = machine.run(
        f'for disk in /sys/class/scsi_disk/*; do [ ! -d $disk ] || echo "${{disk##*/}} $(cat $disk/device/{attribute})"; done'
    )
    return dict(line.split(" ", 1) for line in text.splitlines())


def inquiry(machine: Shell, device: str) -> Mapping[str, str]:
    """Return vendor, product, unit serial number and NAA that the LUN itself answers to ``sg_inq`` on one path."""
    text = machine.run(f"sg_inq /dev/{device}; sg_inq --page=di /dev/{device}")
    naa = _NAA.search(text)
    labels = {"vendor": "Vendor identification", "product": "Product identification", "serial": "Unit serial number"}
    found = {key: re.search(rf"{label}: *(.*?) *$", text, re.MULTILINE) for key, label in labels.items()}
    return {"naa": naa["naa"] if naa else "", **{key: match[1] if match else "" for key, match in found.items()}}


def scan(machine: Shell) -> None:
    """Let the host look for LUNs on all its adapters."""
    machine.run("for host in /sys/class/scsi_host/*; do echo '- - -' >$host/scan; done; udevadm settle")
