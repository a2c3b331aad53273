# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a Linux host has a LUN together: by dm-multipath's device over its paths, or as single paths.

Names are those of Linux' drivers/md/dm-sysfs.c and of multipath-tools: the device's `dm/uuid` is `mpath-` and the LUN's WWID, whatever
`user_friendly_names` or an alias makes of `dm/name`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ansible_collections.crossvisor.san.plugins.module_utils._san.linux import devices, scsi
from ansible_collections.crossvisor.san.plugins.module_utils._san.linux.scsi import Disk, value
from ansible_collections.crossvisor.san.plugins.module_utils._san.linux.tree import Tree
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import PATH_DEAD
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName

_KIND = "mpath-"
_DAEMON = "multipathd"
_GROUPED = ("/dev/mapper/", "/dev/dm-", "/dev/disk/by-id/dm-")
_TARGETS = "/sys/class/fc_remote_ports"
_SESSIONS = "/sys/class/iscsi_session"
_MAPPER = "/dev/mapper"
_BINDINGS = "/etc/multipath/bindings"
"""`mpatha 3600a…` a line (multipath.conf(5), user_friendly_names)."""
_TARGET_ROLE = "target"
_STATUS = re.compile(r"(?<!\S)(\d+:\d+) ([AF])(?!\S)")
"""A path in what `dmsetup status` says of a multipath device: its number, and whether it is active or failed (the kernel's dm-mpath.c)."""
RESERVATION_HELPERS = ("/usr/bin/qemu-pr-helper", "/usr/libexec/qemu-pr-helper")
"""Where libvirt looks for the program that sends the persistent reservations of guests (its `qemu.conf`, `pr_helper`)."""
RESERVATION_LIBRARY = "libmpathpersist"
"""By which that program registers a key on all paths of a multipath device, where QEMU was built with it (its `scsi/qemu-pr-helper.c`)."""


@dataclass(frozen=True)
class Grouping:
    """A LUN's paths on a host, and the device that dm-multipath has, or has not, made of them."""

    name: ScsiName
    paths: Sequence[str]
    """The kernel's names of the paths by which the LUN is seen, `sda`."""
    alive: Sequence[str]
    """Those of them that do I/O, or are not known to do none."""
    empty: Sequence[str]
    """Those of them whose target answers that it has no such LUN any more."""
    map: str
    """The name of the multipath device of this LUN, `mpatha`; empty without one."""
    map_block: str
    """The kernel's name of that device, `dm-0`."""
    strangers: Sequence[str]
    """Paths in that device which are another LUN by their own word, such as `sdb`."""
    elsewhere: Sequence[str]
    """Multipath devices of other LUNs that hold a path of this one."""
    daemon: bool
    """Whether multipathd runs."""
    ways: int
    """Ways from the host to the array that shows the LUN: its ports in the Fibre Channel fabric, or iSCSI sessions with it."""

    @property
    def expected(self) -> bool:
        """Whether the LUN has, or is going to have, more than one path, or somebody who groups them."""
        return self.daemon or len(self.paths) > 1 or self.ways > 1

    @property
    def link(self) -> str:
        """udev's link by identity to what is to be used: the multipath device, or where there is none the path."""
        return grouped_name(self.name) if self.map else f"/dev/disk/by-id/{self.name.wwn}"

    def linked(self, tree: Tree) -> str:
        """The kernel's name of what that link leads to, `sda`; of several paths, udev lets it lead to any of them."""
        return tree.real(self.link).rpartition("/")[2]

    def is_linked(self, tree: Tree) -> bool:
        """Whether that link is there and leads there: udev may be behind, after a LUN came or its number was given to another."""
        return self.linked(tree) in ([self.map_block] if self.map else self.paths)


def grouping(tree: Tree, name: ScsiName) -> Grouping:
    """How the LUN is together now."""
    return groupings(tree, [name])[name]


def groupings(tree: Tree, names: Iterable[ScsiName]) -> dict[ScsiName, Grouping]:
    """How each of these LUNs is together now."""
    known = [disk for disk in scsi.disks(tree) if disk.block]
    by_name: dict[ScsiName | None, list[Disk]] = {}
    for disk in known:
        by_name.setdefault(disk.name, []).append(disk)
    whose = {disk.block: disk.name for disk in known}
    maps, daemon = multipath_devices(tree), daemon_runs(tree)
    return {name: _grouping(tree, name, by_name.get(name, ()), whose, maps, daemon) for name in names}


def _grouping(
    tree: Tree, name: ScsiName, own: Sequence[Disk], whose: Mapping[str, ScsiName | None], maps: Mapping[str, str], daemon: bool
) -> Grouping:
    blocks = [disk.block for disk in own]
    mine = [block for block, uuid in maps.items() if uuid == f"{_KIND}{name.wwid}"]
    slaves = [slave for block in mine for slave in tree.children(f"{devices.CLASS}/{block}/slaves")]
    held = {holder for block in blocks for holder in devices.holders(tree, block) if holder in maps and holder not in mine}
    return Grouping(
        name=name,
        paths=blocks,
        alive=[disk.block for disk in own if disk.state != PATH_DEAD],
        empty=[disk.block for disk in own if disk.empty],
        map=value(tree, f"{devices.CLASS}/{mine[0]}/dm/name") if mine else "",
        map_block=mine[0] if mine else "",
        strangers=[slave for slave in slaves if slave in whose and whose[slave] != name],
        elsewhere=[value(tree, f"{devices.CLASS}/{block}/dm/name") for block in sorted(held)],
        daemon=daemon,
        ways=max((_ways(tree, disk) for disk in own), default=0),
    )


def multipath_devices(tree: Tree) -> dict[str, str]:
    """The kernel's name, `dm-3`, → UUID of every device of dm-multipath."""
    mapped = ((block, devices.dm_uuid(tree, block)) for block in tree.children(devices.CLASS) if block.startswith("dm-"))
    return {block: uuid for block, uuid in mapped if uuid.startswith(_KIND)}


def status_command(name: str) -> list[str]:
    """What prints how a multipath device, `mpatha`, has its paths; it asks the kernel alone, and waits for none of them."""
    return ["dmsetup", "status", "--target", "multipath", name]


def active_paths(tree: Tree, status: str) -> set[str]:
    """The paths, `sda`, to which a multipath device sends requests, by what `status_command` printed."""
    return {tree.real(f"/sys/dev/block/{number}").rpartition("/")[2] for number, state in _STATUS.findall(status) if state == "A"}


def is_suspended(tree: Tree, block: str) -> bool:
    """Whether device mapper lets nothing through to a device, `dm-0`, for now."""
    return value(tree, f"{devices.CLASS}/{block}/dm/suspended") == "1"


def is_map(tree: Tree, block: str) -> bool:
    """Whether a block device, `dm-3`, is dm-multipath's."""
    return devices.dm_uuid(tree, block).startswith(_KIND)


def lun_of(tree: Tree, block: str) -> ScsiName | None:
    """The LUN of a multipath device by that device's own word, which it keeps when all its paths are gone; None for another device."""
    return ScsiName.try_parse(devices.dm_uuid(tree, block)) if is_map(tree, block) else None


def mixed(tree: Tree, blocks: Iterable[str]) -> dict[str, list[ScsiName]]:
    """Those of some block devices, `dm-3`, that are multipath devices with a path of another LUN → all their LUNs, by device and paths."""
    maps = [block for block in blocks if is_map(tree, block)]
    whose = {disk.block: disk.name for disk in scsi.disks(tree) if disk.block} if maps else {}
    found = {}
    for block in maps:
        own, paths = lun_of(tree, block), [whose.get(slave) for slave in tree.children(f"{devices.CLASS}/{block}/slaves")]
        if any(path != own for path in paths):
            found[block] = list(dict.fromkeys(name for name in (own, *paths) if name))
    return found


def pathless(tree: Tree) -> dict[str, ScsiName]:
    """The multipath devices without a path, by the kernel's name, and the LUN that each is of."""
    bare = [block for block in multipath_devices(tree) if not tree.children(f"{devices.CLASS}/{block}/slaves")]
    return {block: name for block in bare if (name := lun_of(tree, block))}


def bound_lun(tree: Tree, path: str) -> ScsiName | None:
    """The LUN that multipath keeps a friendly name for, `/dev/mapper/mpatha`, though the machine may not have it now."""
    directory, _slash, name = path.rpartition("/")
    rows = (line.split() for line in (tree.text(_BINDINGS) or "").splitlines()) if directory == _MAPPER else ()
    return next((ScsiName.try_parse(row[1]) for row in rows if len(row) == 2 and row[0] == name), None)


def helper_knows_multipath(tree: Tree) -> bool | None:
    """Whether QEMU's helper for reservations was built with multipath's library, which it names then; None where it cannot be read."""
    found = (tree.content(path) for path in RESERVATION_HELPERS)
    helper = next((content for content in found if content is not None), None)
    return None if helper is None else RESERVATION_LIBRARY.encode() in helper


def daemon_runs(tree: Tree) -> bool:
    """Whether multipathd runs, by the names of the processes: its socket and its file in /run may outlive it."""
    return any(tree.text(f"/proc/{number}/comm") == _DAEMON for number in tree.children("/proc") if number.isdecimal())


def is_grouped_name(path: str) -> bool:
    """Whether a device is named by dm-multipath's device, whatever it is grouped of; not by a link that may lead to a single path."""
    return path.startswith(_GROUPED)


def grouped_name(name: ScsiName) -> str:
    """The link by identity to the LUN's multipath device."""
    return f"/dev/disk/by-id/dm-uuid-{_KIND}{name.wwid}"


def _ways(tree: Tree, disk: Disk) -> int:
    """How many ways lead to the array behind a path."""
    for part in disk.path.split("/"):
        if part.startswith("rport-"):
            array = value(tree, f"{_TARGETS}/{part}/node_name")
            return len([port for port in tree.children(_TARGETS) if port == part or (_is_target(tree, port) and _is_of(tree, port, array))])
        if part.startswith("session"):
            array = value(tree, f"{_SESSIONS}/{part}/targetname")
            return len([other for other in tree.children(_SESSIONS) if value(tree, f"{_SESSIONS}/{other}/targetname") == array])
    return 1


def _is_of(tree: Tree, port: str, array: str) -> bool:
    return value(tree, f"{_TARGETS}/{port}/node_name") == array


def _is_target(tree: Tree, port: str) -> bool:
    return _TARGET_ROLE in value(tree, f"{_TARGETS}/{port}/roles").lower()
