# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How systems spell the name of a LUN, and what is none: for whatever reads such names, in any language."""

from __future__ import annotations

LUN = "600a0980524c4974612b44687143566b"
DISK = "5000c5004f2d0bb3"
OTHER_LUN = "600a0980" + b"RLIta+DhqCVl".hex()

SPELLINGS_OF_A_LUN = [
    LUN,
    LUN.upper(),
    f" {LUN}\n",
    f"0x{LUN}",
    f"0X{LUN.upper()}",
    f"naa.{LUN}",
    f"NAA.{LUN.upper()}",
    f"naa.{LUN}:1",
    f"wwn-0x{LUN}",
    f"/dev/disk/by-id/wwn-0x{LUN}",
    f"/dev/disk/by-id/wwn-0x{LUN}-part1",
    f"scsi-3{LUN}",
    f"/dev/disk/by-id/scsi-3{LUN}",
    f"/dev/disk/by-id/scsi-3{LUN}-part12",
    f"3{LUN}",
    f"/dev/mapper/3{LUN}",
    f"/dev/mapper/3{LUN}p1",
    f"/dev/mapper/3{LUN}-part1",
    f"mpath-3{LUN}",
    f"part1-mpath-3{LUN}",
    f"/dev/disk/by-id/dm-uuid-mpath-3{LUN}",
    f"/dev/disk/by-id/dm-name-3{LUN}",
    f"/vmfs/devices/disks/naa.{LUN}",
    f"/vmfs/devices/disks/naa.{LUN}:1",
    f"/dev/disks/naa.{LUN}",
    f"0200000000{LUN}4c554e20432d",
    f"vml.0200000000{LUN}4c554e20432d",
    f"vml.0200000000{LUN}",
    f"/vmfs/devices/disks/vml.0200050000{LUN}4c554e20432d:1",
]

OTHER_TEXTS = {
    "empty": "",
    "not hex": "naa.600a0980524c4974612b44687143566g",
    "a digit short": LUN[:-1],
    "a digit long": LUN + "0",
    "half a name": LUN[:16],
    "32 digits of a type with 16": "5" + LUN[1:],
    "NAA 3, locally assigned": "3000000100000001",
    "NAA 3 as VMware spells it": "naa.3000000100000001",
    "EUI-64": "eui.0025385b61b0a1e4",
    "NVMe": "eui.600a0980524c4974612b44687143566b",
    "T10 vendor name": "t10.ATA_____LabDisk____esx01",
    "a path of a host": "mpx.vmhba1:C0:T1:L3",
    "vml of a serial number": f"vml.0100000000{LUN}4c554e20432d",
    "vml of a path": "vml.0000000000766d686261313a303a30",
    "vml cut short": f"vml.0200000000{LUN[:-2]}",
    "half a byte of the model": f"vml.0200000000{LUN}4c5",
    "scsi_id of an EUI-64": f"scsi-2{DISK}",
    "friendly multipath name": "/dev/mapper/mpatha",
    "kernel name": "/dev/sda",
    "another directory": f"/etc/{LUN}",
    "an ONTAP serial": "RLIta+DhqCVk",
    "a WWPN with colons": "50:0a:09:81:12:34:56:78",
    "two names": f"{LUN} {LUN}",
    "digits of another script": LUN.replace("0", "\u0660"),
}
