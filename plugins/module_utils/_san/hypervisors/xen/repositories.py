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
_ON_BLOCK_DEVICES = frozenset({"lvm", "lvmoiscsi", LVM_FC, "lvmofcoe", "ext", "ext4", "xfs", "gfs2", *PASSING} - {UDEV})
_MARK = re.compile(r"LUN (?P<lun>naa\.[0-9a-f]+)(?:, (?P<size>[0-9]+) bytes)?, made by crossvisor\.san")


def mark(name: ScsiName, size_bytes: int | None = None) -> str:
    """The description of what this collection makes for a LUN, which tells the size of the whole LUN where that is given."""
    size = "" if size_bytes is None else f", {size_bytes} bytes"
    return f"LUN {name}{size}, made by crossvisor.san"


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


def scsi_ids(device_config: Record) -> list[str]:
    """The devices that a PBD names, as `/dev/disk/by-id/scsi-3…` where it names a LUN."""
    by_id = [f"/dev/disk/by-id/scsi-{word.strip()}" for word in str(device_config.get("SCSIid", "")).split(",") if word.strip()]
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


def lies_on_devices(sr: Record) -> bool:
    """Whether a repository of this type lies on block devices that its PBDs name."""
    return sr["type"] in _ON_BLOCK_DEVICES


def passed_lun(sr: Record, vdi: Record) -> ScsiName | None:
    """The LUN that a VDI of a repository of `PASSING` is; None where the driver does not tell."""
    word = vdi["location"] if sr["type"] == UDEV else vdi["sm_config"].get("SCSIid", "")
    return ScsiName.try_parse(str(word))
