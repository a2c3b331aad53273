# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A KVM host on a SAN as a tree of files: what Linux shows of Fibre Channel, multipath, LVM and mounts, from its documentation."""

from __future__ import annotations

from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from tests.unit.module_utils._san.linux.machines import Link, Machine, member, scsi_disk, scsi_host
from tests.unit.ports import NAME, OTHER

ADAPTER = "pci0000:00/0000:04:00.0"
PORT = f"/sys/devices/{ADAPTER}/host7"
GROUPED = "600a098038304c61622d616161616133"
"""The LUN on which the volume group `vg-a` lies."""
MOUNTED = "600a098038304c61622d616161616134"
"""The LUN on whose partition a file system lies that is mounted at /srv/images."""
WWPN = "21:00:00:24:ff:12:34:56"

MOUNTS = """\
22 27 0:21 / /proc rw,relatime shared:5 - proc proc rw
27 1 253:0 / / rw,relatime shared:1 - xfs /dev/vda rw
40 27 8:65 / /srv/images rw,relatime shared:20 - ext4 /dev/sde1 rw
41 27 0:50 / /srv/nfs rw,relatime shared:21 - nfs4 nas.example.com:/export/vm rw,vers=4.2
42 27 0:51 / /srv/with\\040space rw - tmpfs tmpfs rw"""


def _block(name: str, where: str, number: str) -> Machine:
    """`/sys/class/block/NAME` and what leads to it, of the block device at `where`."""
    return {
        f"/sys/class/block/{name}": Link(f"../..{where[4:]}"),
        f"/sys/block/{name}": Link(f"..{where[4:]}"),
        f"/sys/dev/block/{number}": Link(f"../..{where[4:]}"),
        f"/dev/{name}": "",
    }


MULTIPATHD: Machine = {"/proc/77/comm": "multipathd"}


def remote_port(name: str, array: str, roles: str = "FCP Target") -> Machine:
    """A port of the fabric as the adapter sees it; those of one array have one node name."""
    return member("fc_remote_ports", name, f"{PORT}/{name}", port_name=f"0x20{array[2:]}", node_name=f"0x{array}", roles=roles)


def path(address: str, block: str, number: str, naa: str) -> Machine:
    target = f"{PORT}/rport-7:0-{address.split(':')[2]}/target{address.rpartition(':')[0]}"
    where = f"{target}/{address}/block/{block}"
    return {**scsi_disk(address, block, target, naa), **_block(block, where, number), f"{where}/device": Link("../..")}


def mapped(number: int, name: str, uuid: str, *slaves: str) -> Machine:
    where = f"/sys/devices/virtual/block/dm-{number}"
    return {
        **_block(f"dm-{number}", where, f"254:{number}"),
        f"{where}/dm/name": name,
        f"{where}/dm/uuid": uuid,
        f"{where}/size": "2097152",
        **{f"{where}/slaves/{slave}": _to(slave, f"{where}/slaves") for slave in slaves},
        f"/dev/mapper/{name}": Link(f"../dm-{number}"),
    }


def loop(number: int, backing: str) -> Machine:
    """A loop device over a file or device, as `drivers/block/loop.c` shows it."""
    where = f"/sys/devices/virtual/block/loop{number}"
    return {**_block(f"loop{number}", where, f"7:{number}"), f"{where}/loop/backing_file": f"{backing}\n"}


def holders(address: str, block: str, *names: str) -> Machine:
    target = f"{PORT}/rport-7:0-{address.split(':')[2]}/target{address.rpartition(':')[0]}"
    where = f"{target}/{address}/block/{block}/holders"
    return {f"{where}/{name}": _to(name, where) for name in names}


def _to(block: str, directory: str) -> Link:
    """A link from a directory of sysfs to a block device."""
    return Link(f"{'../' * (directory.count('/') - 1)}class/block/{block}")


_PARTITION = f"{PORT}/rport-7:0-0/target7:0:0/7:0:0:4/block/sde/sde1"

SAN_HOST: Machine = {
    **scsi_host(7, ADAPTER, proc_name="qla2xxx", scan=""),
    **member(
        "fc_host",
        "host7",
        PORT,
        port_name=f"0x{WWPN.replace(':', '')}",
        node_name="0x20000024ff123456",
        port_state="Online",
        speed="16 Gbit",
        symbolic_name="QLE2672 FW:v8.07.00 DVR:v10.02.00.106-k",
    ),
    **path("7:0:0:1", "sda", "8:0", NAME.naa),
    **path("7:0:1:1", "sdb", "8:16", NAME.naa),
    **holders("7:0:0:1", "sda", "dm-0"),
    **holders("7:0:1:1", "sdb", "dm-0"),
    **mapped(0, "mpatha", f"mpath-{NAME.wwid}", "sda", "sdb"),
    f"/dev/disk/by-id/dm-uuid-mpath-{NAME.wwid}": Link("../../dm-0"),
    **path("7:0:0:2", "sdc", "8:32", OTHER.naa),
    f"/dev/disk/by-id/{OTHER.wwn}": Link("../../sdc"),
    **path("7:0:0:3", "sdd", "8:48", GROUPED),
    **mapped(1, "vg--a-data", "LVM-abc", "sdd"),
    "/dev/vg-a/data": Link("../dm-1"),
    **path("7:0:0:4", "sde", "8:64", MOUNTED),
    **_block("sde1", _PARTITION, "8:65"),
    f"{_PARTITION}/partition": "1",
    **_block("vda", "/sys/devices/virtual/block/vda", "253:0"),
    "/sys/devices/virtual/block/vda/size": "2097152",
    "/proc/1/mountinfo": MOUNTS,
    "/proc/swaps": "Filename Type Size Used Priority\n/dev/vda partition 1 0 -2\n/swapfile file 1 0 -3",
    "/etc/iscsi/initiatorname.iscsi": "InitiatorName=iqn.1993-08.org.debian:01:kvm01",
}

PATHLESS: Machine = {
    path: content
    for path, content in SAN_HOST.items()
    if not any(part in path for part in ("7:0:0:1", "7:0:1:1", "dm-0/slaves", "block/sda", "block/sdb"))
}
"""`SAN_HOST` with a multipath device whose paths are all gone."""

SEEN_LATER_NAME = ScsiName.from_ontap_serial("80Lab-aaaaa9")
SEEN_LATER: Machine = {
    **path("7:0:0:9", "sdx", "65:112", SEEN_LATER_NAME.naa),
    **path("7:0:1:9", "sdy", "65:128", SEEN_LATER_NAME.naa),
    **mapped(9, "mpathx", f"mpath-{SEEN_LATER_NAME.wwid}", "sdx", "sdy"),
    **holders("7:0:0:9", "sdx", "dm-9"),
    **holders("7:0:1:9", "sdy", "dm-9"),
    f"/dev/disk/by-id/dm-uuid-mpath-{SEEN_LATER_NAME.wwid}": Link("../../dm-9"),
}
"""What comes to `SAN_HOST` with one more LUN: two paths, and multipath's device over them."""
