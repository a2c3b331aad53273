# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The pool's state without what differs from run to run: references, sessions, tasks and UUIDs that nobody chose."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from tests.lab.xen.database import Record
from tests.lab.xen.pool import Pool


def canonical(pool: Pool) -> dict[str, Any]:
    """Return VMs with their drives, repositories with their VDIs and connections, and what hosts see."""
    return {
        "vms": dict(sorted(_vms(pool).items())),
        "srs": dict(sorted(_srs(pool).items())),
        "hosts": {
            name: {"fibre": sorted(host.fibre), "iscsi": {iqn: sorted(units) for iqn, units in host.iscsi.items()}}
            for name, host in pool.hosts.items()
        },
        "volume_groups": sorted(pool.volume_groups),
    }


def _vms(pool: Pool) -> dict[str, Any]:
    names = Counter(row["name_label"] for _ref, row in pool.db.rows("VM"))
    found = {}
    for ref, row in pool.db.rows("VM"):
        name = row["name_label"] if names[row["name_label"]] == 1 else f"{row['name_label']} {row['uuid']}"
        vbds = [pool.db.row("VBD", vbd) for vbd in pool.db.users("VM", ref, "VBDs")]
        host = pool.db.row("host", row["resident_on"])["name_label"] if pool.db.has("host", row["resident_on"]) else ""
        found[name] = {"power": row["power_state"], "host": host, "slots": sorted(_slot(pool, vbd) for vbd in vbds)}
    return found


def _slot(pool: Pool, vbd: Record) -> str:
    place = f"{vbd['userdevice']:>3}{'' if vbd['currently_attached'] else ' unplugged'}"
    if vbd["empty"]:
        return f"{place} empty"
    if not pool.db.has("VDI", vbd["VDI"]):
        return f"{place} forgotten"
    vdi = pool.db.row("VDI", vbd["VDI"])
    if naa := _naa(pool, vdi):
        return f"{place} raw {naa}"
    return f"{place} {vdi['sm_config'].get('vdi_type', 'device')} {vdi['name_label']}"


def _naa(pool: Pool, vdi: Record) -> str:
    """Return the LUN that a guest has through this VDI, itself or as the only volume of a repository of its own."""
    config: Mapping[str, str] = vdi["sm_config"]
    if "SCSIid" in config:
        return config["SCSIid"][1:]
    sr = pool.db.row("SR", vdi["SR"])
    alone = len(pool.db.users("SR", vdi["SR"], "VDIs")) == 1
    if sr["type"] == "lvmohba" and alone and config.get("vdi_type") == "aio":
        return str(sr["sm_config"].get("devserial", "")).removeprefix("scsi-3")
    return ""


def _srs(pool: Pool) -> dict[str, Any]:
    names = Counter(row["name_label"] for _ref, row in pool.db.rows("SR"))
    found = {}
    for ref, row in pool.db.rows("SR"):
        pbds = [pool.db.row("PBD", pbd) for pbd in pool.db.users("SR", ref, "PBDs")]
        hosts = {pool.db.row("host", pbd["host"])["name_label"]: pbd["currently_attached"] for pbd in pbds}
        name = row["name_label"] if names[row["name_label"]] == 1 else f"{row['name_label']} on {' '.join(sorted(hosts))}"
        vdis = [pool.db.row("VDI", vdi) for vdi in pool.db.users("SR", ref, "VDIs")]
        found[name] = {"type": row["type"], "hosts": dict(sorted(hosts.items())), "vdis": sorted(_vdi(vdi) for vdi in vdis)}
    return found


def _vdi(row: Record) -> str:
    what = row["sm_config"].get("SCSIid") or row["name_label"] or row["location"]
    return f"{what} {row['virtual_size']}{'' if row['managed'] else ' unmanaged'}{' sharable' if row['sharable'] else ''}"
