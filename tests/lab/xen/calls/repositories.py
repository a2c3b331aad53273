# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Storage repositories, and how hosts are connected with them."""

from __future__ import annotations

from collections.abc import Mapping

from tests.lab.xen import allowed
from tests.lab.xen.calls.common import Arguments, Handler, pbds_of, up, worker_of
from tests.lab.xen.errors import Failure
from tests.lab.xen.pool import OFFERED, Pool
from tests.lab.xen.storage import driver


def sr_create(pool: Pool, given: Arguments) -> str:
    """Make a repository and connect the hosts that shall use it; a host that cannot stays unconnected."""
    kind, shared, db = given["type"].lower(), given["shared"], pool.db
    host = up(pool, given["host"])
    if kind not in OFFERED:
        raise Failure("SR_UNKNOWN_DRIVER", kind)
    _want_no_internal_key(given["device_config"])
    first = pool.master if shared else host
    values = ("name_label", "name_description", "content_type", "shared", "sm_config")
    sr = db.create("SR", **{name: given[name] for name in values}, type=kind, physical_size=-1, physical_utilisation=-1)
    kept = pool.hidden(given["device_config"])
    hosts = [first, *(other for other in pool.hosts.values() if other is not first)] if shared else [first]
    pbds = [db.create("PBD", host=other.ref, SR=sr, device_config=kept) for other in hosts]
    try:
        driver(pool, kind, first, kept, sr).create()
    except Failure:
        for pbd in pbds:
            db.destroy("PBD", pbd)
        for vdi in db.users("SR", sr, "VDIs"):
            db.destroy("VDI", vdi)
        db.destroy("SR", sr)
        raise
    for pbd in pbds:
        try:
            pbd_plug(pool, {"self": pbd})
        except Failure:
            continue
    return sr


def sr_introduce(pool: Pool, given: Arguments) -> str:
    """Add the record of a repository that is there; nothing else happens."""
    wanted = given["uuid"]
    if wanted and pool.db.find("SR", uuid=wanted):
        raise Failure("SR_UUID_EXISTS", wanted)
    values = ("uuid", "name_label", "name_description", "content_type", "shared", "sm_config")
    return pool.db.create(
        "SR", **{name: given[name] for name in values}, type=given["type"].lower(), physical_size=-1, physical_utilisation=-1
    )


def sr_forget(pool: Pool, given: Arguments) -> None:
    """Forget a repository and leave its data."""
    ref = given["sr"]
    allowed.sr(pool, ref).want("forget")
    _drop(pool, ref)


def sr_destroy(pool: Pool, given: Arguments) -> None:
    """Remove a repository from its device."""
    ref = given["sr"]
    allowed.sr(pool, ref).want("destroy")
    if pool.db.row("SR", ref)["other_config"].get("indestructible") == "true":
        raise Failure("SR_INDESTRUCTIBLE", ref)
    worker_of(pool, ref, plugged=False).destroy()
    _drop(pool, ref)


def _drop(pool: Pool, ref: str) -> None:
    for kind, field in (("PBD", "PBDs"), ("VDI", "VDIs")):
        for found in pool.db.users("SR", ref, field):
            pool.db.destroy(kind, found)
    pool.db.destroy("SR", ref)


def sr_scan(pool: Pool, given: Arguments) -> None:
    """Bring the virtual disks of a repository in line with what is there."""
    allowed.sr(pool, given["sr"]).want("scan")
    worker_of(pool, given["sr"]).scan()


def sr_probe(pool: Pool, given: Arguments) -> str:
    """Tell what a host could make a repository of; for LUNs, the answer is part of a refusal."""
    host, kind = up(pool, given["host"]), given["type"].lower()
    if kind not in OFFERED:
        raise Failure("SR_UNKNOWN_DRIVER", kind)
    return driver(pool, kind, host, given["device_config"]).probe(given["sm_config"])


def sr_set_name_label(pool: Pool, given: Arguments) -> None:
    """Rename a repository."""
    pool.db.set("SR", given["sr"], name_label=given["value"])


def sr_set_name_description(pool: Pool, given: Arguments) -> None:
    """Describe a repository."""
    pool.db.set("SR", given["sr"], name_description=given["value"])


def sr_set_shared(pool: Pool, given: Arguments) -> None:
    """Say whether all hosts share it."""
    pbds = pool.db.users("SR", given["sr"], "PBDs")
    if not given["value"] and len(pbds) > 1:
        raise Failure("SR_HAS_MULTIPLE_PBDS", *pbds)
    pool.db.set("SR", given["sr"], shared=given["value"])


def sr_update(pool: Pool, given: Arguments) -> None:
    """Measure a repository again."""
    worker_of(pool, given["sr"])


def pbd_create(pool: Pool, given: Arguments) -> str:
    """Tell a host of a repository."""
    args = given["args"]
    pool.host(args["host"])
    allowed.sr(pool, args["SR"]).want("pbd_create")
    for other in pool.db.users("SR", args["SR"], "PBDs"):
        if pool.db.row("PBD", other)["host"] == args["host"]:
            raise Failure("PBD_EXISTS", args["SR"], args["host"], other)
    _want_no_internal_key(args["device_config"])
    return pool.db.create("PBD", host=args["host"], SR=args["SR"], device_config=pool.hidden(args["device_config"]))


def _want_no_internal_key(config: Mapping[str, str]) -> None:
    if "SRmaster" in config:
        raise Failure("VALUE_NOT_SUPPORTED", "SRmaster", config["SRmaster"], "This key is for internal use only")


def pbd_plug(pool: Pool, given: Arguments) -> None:
    """Connect a host with a repository."""
    ref = given["self"]
    row = pool.db.row("PBD", ref)
    sr = pool.db.row("SR", row["SR"])
    allowed.sr(pool, row["SR"]).want("plug")
    if row["currently_attached"]:
        return
    host = up(pool, row["host"])
    others = [other for other in pbds_of(pool, row["SR"]) if other["currently_attached"] and other["host"] != row["host"]]
    if others and not sr["shared"]:
        raise Failure("SR_NOT_SHARABLE", row["SR"], others[0]["host"])
    driver(pool, sr["type"], host, row["device_config"], row["SR"]).attach()
    pool.db.set("PBD", ref, currently_attached=True)


def pbd_unplug(pool: Pool, given: Arguments) -> None:
    """Disconnect a host from a repository that no VM there uses."""
    ref = given["self"]
    row = pool.db.row("PBD", ref)
    allowed.sr(pool, row["SR"]).want("unplug")
    if not row["currently_attached"]:
        return
    host = up(pool, row["host"])
    vdis = pool.db.users("SR", row["SR"], "VDIs")
    if pool.ha_enabled:
        _want_no_protected_vm(pool, row["SR"], vdis)
    used = [vdi for vdi in vdis if pool.attached(host, pool.db.row("VDI", vdi)["uuid"])]
    if used:
        raise Failure("VDI_IN_USE", *used)
    driver(pool, pool.db.row("SR", row["SR"])["type"], host, row["device_config"], row["SR"]).detach()
    pool.db.set("PBD", ref, currently_attached=False)


def _want_no_protected_vm(pool: Pool, sr: str, vdis: list[str]) -> None:
    users = {vbd["VM"] for vdi in vdis for vbd in pool.attachments(vdi)}
    if any(pool.db.row("VM", vm)["ha_restart_priority"] == "restart" for vm in users):
        raise Failure("HA_CONSTRAINT_VIOLATION_SR_NOT_SHARED", sr)
    if any(statefile in vdis for statefile in pool.db.get("pool", pool.ref, "ha_statefiles")):
        raise Failure("HA_IS_ENABLED")


def pbd_destroy(pool: Pool, given: Arguments) -> None:
    """Let a host forget a repository."""
    if pool.db.row("PBD", given["self"])["currently_attached"]:
        raise Failure("OPERATION_NOT_ALLOWED", "PBD is currently attached")
    pool.db.destroy("PBD", given["self"])


def pbd_set_device_config(pool: Pool, given: Arguments) -> None:
    """Refuse what only the storage manager's own sessions may do."""
    pool.db.row("PBD", given["self"])
    raise Failure("PERMISSION_DENIED", "")


def supported_types(_pool: Pool, _given: Arguments) -> list[str]:
    """Return the drivers that the pool has."""
    return sorted(OFFERED)


HANDLERS: Mapping[str, Handler] = {
    "SR.create": sr_create,
    "SR.introduce": sr_introduce,
    "SR.forget": sr_forget,
    "SR.destroy": sr_destroy,
    "SR.scan": sr_scan,
    "SR.probe": sr_probe,
    "SR.update": sr_update,
    "SR.set_name_label": sr_set_name_label,
    "SR.set_name_description": sr_set_name_description,
    "SR.set_shared": sr_set_shared,
    "SR.get_supported_types": supported_types,
    "PBD.create": pbd_create,
    "PBD.plug": pbd_plug,
    "PBD.unplug": pbd_unplug,
    "PBD.destroy": pbd_destroy,
    "PBD.set_device_config": pbd_set_device_config,
}
