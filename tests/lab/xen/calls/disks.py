# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Virtual disks."""

from __future__ import annotations

import uuid
from collections.abc import Mapping

from tests.lab.xen import allowed
from tests.lab.xen.calls.common import Arguments, Handler, worker_of
from tests.lab.xen.errors import Failure, sm_failure
from tests.lab.xen.pool import Pool, now
from tests.lab.xen.storage import Wish


def vdi_create(pool: Pool, given: Arguments) -> str:
    """Make a virtual disk."""
    args = given["args"]
    sr = args["SR"]
    allowed.sr(pool, sr).want("vdi_create")
    wish = Wish(args["virtual_size"], args["sm_config"])
    made = worker_of(pool, sr).vdi_create(wish)
    given_by_caller = ("name_label", "name_description", "other_config", "sharable", "tags", "xenstore_data", "type", "read_only")
    pool.db.set("VDI", made, **{name: args[name] for name in given_by_caller})
    return made


def vdi_introduce(pool: Pool, given: Arguments) -> str:
    """Take up a virtual disk that is there; size, ``managed`` and ``read_only`` are the storage manager's word."""
    sr, wanted = given["SR"], given["uuid"]
    allowed.sr(pool, sr).want("vdi_introduce")
    worker = worker_of(pool, sr)
    for vdi in pool.db.users("SR", sr, "VDIs"):
        row = pool.db.row("VDI", vdi)
        if row["location"] == given["location"] and row["uuid"] != wanted:
            raise Failure("LOCATION_NOT_UNIQUE", sr, given["location"])
    found = worker.vdi_introduce(wanted or str(uuid.uuid4()), given["location"], given["sm_config"])
    named = {name: given[name] for name in ("name_label", "name_description") if given[name]}
    taken = {name: given[name] for name in ("other_config", "xenstore_data", "sharable", "type")}
    pool.db.set("VDI", found, **named, **taken)
    return found


def vdi_forget(pool: Pool, given: Arguments) -> None:
    """Forget a virtual disk, and leave its data."""
    allowed.vdi(pool, given["vdi"]).want("forget")
    pool.db.destroy("VDI", given["vdi"])


def vdi_destroy(pool: Pool, given: Arguments) -> None:
    """Delete a virtual disk, with the drives that hold it."""
    ref = given["self"]
    sr = pool.db.row("VDI", ref)["SR"]
    allowed.sr(pool, sr).want("vdi_destroy")
    allowed.vdi(pool, ref).want("destroy")
    if not pool.db.row("VDI", ref)["managed"]:
        raise Failure("VDI_NOT_MANAGED", ref)
    worker, vbds = worker_of(pool, sr), pool.db.users("VDI", ref, "VBDs")
    worker.vdi_destroy(ref)
    for vbd in vbds:
        pool.db.destroy("VBD", vbd)


def vdi_resize(pool: Pool, given: Arguments) -> None:
    """Let a virtual disk grow."""
    ref, size = given["vdi"], given["size"]
    row = pool.db.row("VDI", ref)
    allowed.sr(pool, row["SR"]).want("vdi_resize")
    allowed.vdi(pool, ref).want("resize")
    if size < row["virtual_size"]:
        raise sm_failure("VDISize", "shrinking not allowed")
    worker = worker_of(pool, row["SR"])
    worker.refuse_size(size)
    if size - row["virtual_size"] > worker.free():
        raise sm_failure("SRNoSpace")
    pool.db.set("VDI", ref, virtual_size=size, physical_utilisation=size)


def vdi_snapshot(pool: Pool, given: Arguments) -> str:
    """Keep a virtual disk as it is now."""
    ref = given["vdi"]
    row = pool.db.row("VDI", ref)
    allowed.sr(pool, row["SR"]).want("vdi_snapshot")
    allowed.vdi(pool, ref).want("snapshot")
    if not row["managed"]:
        raise Failure("VDI_NOT_MANAGED", ref)
    if row["sm_config"].get("type") == "raw":
        raise Failure("UNIMPLEMENTED_IN_SM_BACKEND", row["SR"])
    return split(pool, ref)


def vdi_internal(pool: Pool, given: Arguments) -> None:
    """Refuse what only the storage manager's own sessions may do."""
    pool.db.row("VDI", given["self"])
    raise Failure("PERMISSION_DENIED", "")


def vdi_set_name_label(pool: Pool, given: Arguments) -> None:
    """Rename a virtual disk."""
    worker_of(pool, pool.db.row("VDI", given["self"])["SR"])
    pool.db.set("VDI", given["self"], name_label=given["value"])


def vdi_set_name_description(pool: Pool, given: Arguments) -> None:
    """Describe a virtual disk."""
    worker_of(pool, pool.db.row("VDI", given["self"])["SR"])
    pool.db.set("VDI", given["self"], name_description=given["value"])


def split(pool: Pool, ref: str) -> str:
    """Split a VHD: a hidden base with all the data, below it the disk and its snapshot."""
    db, row = pool.db, dict(pool.db.row("VDI", ref))
    common = {name: value for name, value in row.items() if name not in ("uuid", "VBDs", "snapshots", "location", "current_operations")}
    base_uuid, leaf_uuid = str(uuid.uuid4()), str(uuid.uuid4())
    db.create("VDI", **{**common, "uuid": base_uuid, "location": base_uuid, "managed": False, "name_label": "base copy", "read_only": True})
    child = {**row["sm_config"], "vhd-parent": base_uuid}
    db.set("VDI", ref, sm_config=child)
    leaf = {**common, "uuid": leaf_uuid, "location": leaf_uuid, "sm_config": child}
    return db.create("VDI", **{**leaf, "is_a_snapshot": True, "snapshot_of": ref, "snapshot_time": now()})


HANDLERS: Mapping[str, Handler] = {
    "VDI.create": vdi_create,
    "VDI.introduce": vdi_introduce,
    "VDI.forget": vdi_forget,
    "VDI.destroy": vdi_destroy,
    "VDI.resize": vdi_resize,
    "VDI.snapshot": vdi_snapshot,
    **dict.fromkeys(("VDI.set_sharable", "VDI.set_read_only"), vdi_internal),
    "VDI.set_name_label": vdi_set_name_label,
    "VDI.set_name_description": vdi_set_name_description,
}
