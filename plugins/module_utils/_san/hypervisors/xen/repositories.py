# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Storage repositories and what lies under them, out of XAPI's records. Pure.

A repository of one of the types in `PASSING` hands LUNs on as they are, one VDI for each; every other type keeps image files or logical
volumes. A repository that this collection made for one LUN (`fc_method` sr) bears a mark, and its one VDI stands for the LUN.
"""

from __future__ import annotations

import hashlib
import re
import uuid as uuids

from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.xen.probing import IscsiTarget
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.xapi import Record

ISCSI, HBA, UDEV, LVM_FC = "iscsi", "hba", "udev", "lvmohba"
PASSING = frozenset({ISCSI, HBA, "rawhba", UDEV})
"""Types that pass LUNs on; `rawhba` is gone since 2021, pools that are older may have one."""
LISTING = PASSING - {UDEV}
"""Those of them that list every LUN of their target or adapters, after each scan; in one of type `udev` somebody has put each."""
_OPTICAL_DRIVES = "/dev/xapi/cd/"
_ON_NO_LUN = frozenset({"nfs", "smb", "cifs", "iso", "cephfs", "glusterfs", "moosefs", "dummy", "shm", "file", UDEV})
RUN = "crossvisor.san"
"""The key in `other_config` under which an object bears the mark of the run that made it."""
_MARK = re.compile(r"LUN (?P<lun>naa\.[0-9a-f]+)(?:, (?P<size>[0-9]+) bytes)?, made by crossvisor\.san(?: in run (?P<run>[0-9a-f-]+))?")
_TARGET_MARK = re.compile(r"LUNs of the target (?P<iqn>\S+), made by crossvisor\.san in run (?P<run>[0-9a-f-]+)")
_PASSING_MARK = re.compile(r"LUNs over Fibre Channel, made by crossvisor\.san in run (?P<run>[0-9a-f-]+)")
_DISK_OF_THE_HOST = re.compile(r"/dev/disk/by-id/(?:ata|cciss|ieee1394|mmc|nvme|usb|virtio)-|/dev/disk/by-id/scsi-[01S]ATA|/dev/nvme")
"""udev's links by transport; others, such as `md-uuid-` and `lvm-pv-uuid-`, are of what may lie on a LUN."""


def mark(name: ScsiName, size_bytes: int | None = None, run: str = "") -> str:
    """The description of what this collection makes for a LUN, which tells the size of the whole LUN and the run where these are given."""
    size = "" if size_bytes is None else f", {size_bytes} bytes"
    return f"LUN {name}{size}, made by crossvisor.san{f' in run {run}' if run else ''}"


def target_mark(iqn: str, run: str) -> str:
    """The description of a repository that this collection makes for a target."""
    return f"LUNs of the target {iqn}, made by crossvisor.san in run {run}"


def passing_mark(run: str) -> str:
    """The description of a repository that this collection makes to hand on LUNs over Fibre Channel as they are."""
    return f"LUNs over Fibre Channel, made by crossvisor.san in run {run}"


def is_passing_mark(record: Record) -> bool:
    """Whether this collection made the repository for that."""
    return bool(_PASSING_MARK.fullmatch(str(record.get("name_description", ""))))


def marked_target(record: Record) -> str:
    """The target for which this collection made the repository; empty for anybody else's."""
    found = _TARGET_MARK.fullmatch(str(record.get("name_description", "")))
    return found["iqn"] if found else ""


def marked_run(record: Record) -> str:
    """The run that made the object, by its description; empty where it is not told."""
    text = str(record.get("name_description", ""))
    found = _MARK.fullmatch(text) or _TARGET_MARK.fullmatch(text) or _PASSING_MARK.fullmatch(text)
    return (found["run"] or "") if found else ""


def marked_size(record: Record) -> int:
    """The size in bytes of the LUN for which this collection made the object; 0 where it is not told."""
    found = _MARK.fullmatch(str(record.get("name_description", "")))
    return int(found["size"] or 0) if found else 0


def marked(record: Record) -> ScsiName | None:
    """The LUN for which this collection made the object; None for anybody else's."""
    found = _MARK.fullmatch(str(record.get("name_description", "")))
    return ScsiName.try_parse(found["lun"]) if found else None


def vdi_uuid(name: ScsiName) -> str:
    """The UUID under which every pool has a LUN's VDI in a repository that passes LUNs on (sm, scsiutil.gen_uuid_from_string)."""
    return str(uuids.UUID(hashlib.md5(name.xapi.encode(), usedforsecurity=False).hexdigest()))


def is_raw(volume: Record) -> bool:
    """Whether a volume is the logical volume itself: as it was asked for, or in sm's word for one that a scan has found."""
    told = volume["sm_config"]
    return bool(told.get("type") == "raw" or told.get("vdi_type") == "aio")


def recorded_ids(sr: Record) -> list[str]:
    """The LUNs that the driver has noted with the repository (sm, util.test_SCSIid): `SCSIid`, `devserial`, and keys `scsi-3…`."""
    noted = sr["sm_config"]
    words = [*str(noted.get("SCSIid", "")).split(","), *str(noted.get("devserial", "")).split(","), *noted]
    found = (word.strip().removeprefix("scsi-") for word in words)
    return [f"/dev/disk/by-id/scsi-{word}" for word in dict.fromkeys(found) if word and ScsiName.try_parse(f"scsi-{word}")]


def tells_device(extent: str) -> bool:
    """Whether a device's name tells on which device: a LUN's own, or that of a disk of the host; `/dev/sdc` may be any LUN."""
    return ScsiName.try_parse(extent) is not None or bool(_DISK_OF_THE_HOST.match(extent))


def scsi_ids(device_config: Record) -> list[str]:
    """The devices that a PBD names, as `/dev/disk/by-id/scsi-3…` where it names a LUN.

    `ScsiId` is what one of type `gfs2` may say (sm, mpathcount.get_SCSIidlist).
    """
    told = str(device_config.get("SCSIid") or device_config.get("ScsiId", ""))
    by_id = [f"/dev/disk/by-id/scsi-{word.strip()}" for word in told.split(",") if word.strip()]
    return by_id or [word.strip() for word in str(device_config.get("device", "")).split(",") if word.strip()]


def names(device_config: Record) -> list[ScsiName]:
    """The LUNs that a PBD names."""
    return [name for name in map(ScsiName.try_parse, scsi_ids(device_config)) if name]


def remote(device_config: Record) -> str:
    """`server:/path` of a network repository; empty for any other."""
    server, path = device_config.get("server", ""), device_config.get("serverpath", "")
    return f"{server}:{path}" if server and path else ""


def target(device_config: Record) -> IscsiTarget | None:
    """The iSCSI target that a PBD names, if it names one."""
    address, iqn = str(device_config.get("target", "")), str(device_config.get("targetIQN", ""))
    return IscsiTarget(address.partition(",")[0], str(device_config.get("port", "")), iqn) if address and iqn else None


def may_lie_on_a_lun(sr: Record) -> bool:
    """Whether a repository of this type may lie on a LUN: each may but those that lie on a network or on nothing (sm, drivers/*SR.py).

    One of type `zfs` or `linstor` names a directory or a group of volumes (ZFSSR.py, LinstorSR.py), never what is below, and of other types
    nothing is known: these may lie on any LUN. One of type `file` is a directory of the control domain (FileSR.py), which is believed to be
    on the disk that the host boots from; whether a LUN is mounted there, XAPI does not tell. A VDI of type `udev` tells its device.
    """
    return sr["type"] not in _ON_NO_LUN


def is_optical(vdi: Record) -> bool:
    """Whether a VDI is an optical drive of a host, which is in a repository of type `udev` too (sm, udevSR.py: its `location`)."""
    return str(vdi.get("location", "")).startswith(_OPTICAL_DRIVES)


def passed_lun(sr: Record, vdi: Record) -> ScsiName | None:
    """The LUN that a VDI of a repository of `PASSING` is; None where the driver does not tell."""
    word = vdi["location"] if sr["type"] == UDEV else vdi["sm_config"].get("SCSIid", "")
    return ScsiName.try_parse(str(word))
