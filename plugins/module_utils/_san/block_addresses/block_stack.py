# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a block device of Linux lies on: partitions, device mapper, multipath and loop devices, down to a disk. Pure.

Tables are those of Linux' Documentation/admin-guide/device-mapper (linear.rst, striped.rst) and drivers/md/dm-mpath.c.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.crossvisor.san.plugins.module_utils._san.block_addresses.extents import Span, no_address
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName

Device = Mapping[str, Any]
"""What `linux.block_probe` tells of one."""
_SECTOR = 512
_NUMBER = re.compile(r"(?<!\S)\d+:\d+(?!\S)")
_MULTIPATH = "mpath-"
_DISK = re.compile("(sd|vd|xvd|hd)[a-z]+|nvme[0-9]+(c[0-9]+)?n[0-9]+")


def is_bottom(device: Device) -> bool:
    """Whether a device is a disk: nothing that the host knows of lies below."""
    told = device["parent"] or device["map"] or device["loop"] or device["slaves"]
    return not told and bool(_DISK.fullmatch(device["name"]))


def is_map_of_paths(device: Device) -> bool:
    """Whether a device is all paths of one LUN."""
    return bool(device["map"]) and device["map"]["uuid"].startswith(_MULTIPATH)


def name_of(device: Device) -> ScsiName | None:
    """The LUN that a disk is, by what it answers itself: its kernel's name changes from boot to boot."""
    return ScsiName.try_parse(device["wwid"]) or ScsiName.from_vpd83(bytes.fromhex(device["page"]))


def spans(number: str, devices: Mapping[str, Device], start: int, end: int) -> Iterator[Span]:
    """A range of a device that is no disk, by what it lies on: devices by number, files by path."""
    device = devices.get(number)
    if device is None:
        yield no_address(start, end - start, f"the host shows no block device {number}")
    elif device["parent"]:
        yield Span(start, end - start, below=device["parent"], offset=start + device["start"] * _SECTOR)
    elif device["map"]:
        yield from _mapped(device, devices, start, end)
    elif device["loop"]:
        yield _looped(device, start, end)
    else:
        yield no_address(start, end - start, f"{device['name']} is no disk, and nobody has tried where its blocks lie")


def _looped(device: Device, start: int, end: int) -> Span:
    loop = device["loop"]
    if loop["error"]:
        return no_address(start, end - start, f"{device['name']} is a loop device over {loop['file']}: {loop['error']}")
    return Span(start, end - start, below=loop["file"], offset=start + loop["offset"])


def _mapped(device: Device, devices: Mapping[str, Device], start: int, end: int) -> Iterator[Span]:
    told, at = device["map"], start
    if told["error"]:
        yield no_address(start, end - start, f"the host does not tell what {told['name']} is made of (dmsetup table): {told['error']}")
        return
    for line in told["table"].splitlines():
        words = line.split()
        begin = int(words[0]) * _SECTOR
        over = begin + int(words[1]) * _SECTOR
        if begin <= at < min(over, end):
            yield from _target(told, words[2], words[3:], devices, begin, at, min(over, end))
            at = min(over, end)
    if at < end:
        yield no_address(at, end - at, f"the table of {told['name']} has nothing there")


def _target(told: Device, kind: str, words: list[str], devices: Mapping[str, Device], begin: int, start: int, end: int) -> Iterator[Span]:
    if kind == "linear":
        yield Span(start, end - start, below=words[0], offset=int(words[1]) * _SECTOR + start - begin)
    elif kind == "striped":
        yield from _striped(words, begin, start, end)
    elif kind == "multipath":
        yield _through_paths(told, words, devices, start, end)
    else:
        yield no_address(start, end - start, f"{told['name']} is of kind {kind} in the device mapper, which has no addresses that stay")


def _striped(words: list[str], begin: int, start: int, end: int) -> Iterator[Span]:
    stripes, chunk = int(words[0]), int(words[1]) * _SECTOR
    while start < end:
        row, rest = divmod(start - begin, chunk)
        length = min(chunk - rest, end - start)
        device, first = words[2 + 2 * (row % stripes)], int(words[3 + 2 * (row % stripes)]) * _SECTOR
        yield Span(start, length, below=device, offset=first + row // stripes * chunk + rest)
        start += length


def _through_paths(told: Device, words: list[str], devices: Mapping[str, Device], start: int, end: int) -> Span:
    """One range of the LUN, over any path, if all of them are that LUN."""
    paths = [number for number in _NUMBER.findall(" ".join(words)) if number in devices]
    names = {name_of(devices[path]) for path in paths}
    mapped = ScsiName.try_parse(told["uuid"][len(_MULTIPATH) :]) if told["uuid"].startswith(_MULTIPATH) else None
    if not paths:
        return no_address(start, end - start, f"multipath device {told['name']} has no path left that the host shows")
    if len(names) > 1 or None in names or names != {mapped}:
        return no_address(start, end - start, f"the paths of multipath device {told['name']} do not all say to be the LUN that it is")
    return Span(start, end - start, below=paths[0], offset=start)
