# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Storage maps that nobody observed, and the page that the role storage_report makes of one."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.rendering import Render

ROOT = Path(__file__).resolve().parents[1]
ROLE = ROOT / "roles" / "storage_report"
TEMPLATE = ROLE / "templates" / "report.html.j2"
GENERATED = "2026-11-28T18:40:05Z"
OBSERVED = "2026-11-28T18:40:00Z"
GIB = 1 << 30

Row = dict[str, Any]
Document = dict[str, Any]


def naa_of(serial: str) -> str:
    """The NAA digits of the ONTAP LUN with this serial number."""
    return "600a0980" + serial.encode().hex()


def row(**values: Any) -> Row:
    """A row of the map: a pass-through disk of `app01` on an ONTAP LUN with four paths, but for the given values."""
    return {
        "hypervisor_type": "vmware",
        "hypervisor": "192.0.2.10",
        "endpoint": "vc01",
        "observed": OBSERVED,
        "cluster": "prod",
        "host": "esx01.example.com",
        "vm_name": "app01",
        "vm_id": "vm-1",
        "disk": "Hard disk 1",
        "kind": "passthrough",
        "controller": "SCSI 0",
        "unit": 1,
        "thin": None,
        "device": f"naa.{naa_of('RLIta+DhqCVk')}",
        "path": "",
        "mounts": [],
        "naa": naa_of("RLIta+DhqCVk"),
        "serial": "RLIta+DhqCVk",
        "size_bytes": 10 * GIB,
        "share_bytes": 10 * GIB,
        "array_type": "ontap",
        "array": "ontap01",
        "array_address": "192.0.2.20",
        "svm": "svm_san",
        "volume": "vol_prod",
        "lun_path": "/vol/vol_prod/app01_data",
        "lun_id": 3,
        "lun_size_bytes": 10 * GIB,
        "lun_used_bytes": 4 * GIB,
        "storage_state": "online",
        "paths_live": 4,
        "paths_dead": 0,
        "status": "mapped",
        "reason": "",
        "way_out": "",
        **values,
    }


def endpoint(**values: Any) -> Row:
    """An endpoint of the map, `vc01` as of the rows, but for the given values."""
    return {
        "name": "vc01",
        "type": "vmware",
        "address": "192.0.2.10",
        "observed": OBSERVED,
        "status": "ok",
        "reason": "",
        "warnings": [],
        **values,
    }


def document(
    mappings: Sequence[Mapping[str, Any]], endpoints: Sequence[Row] | None = None, resources: Sequence[Row] | None = None
) -> Document:
    """The whole map, with a VM for each that has a row; without `endpoints`, that of the rows."""
    machines = {(found["hypervisor"], found.get("endpoint"), found["vm_id"]): found["vm_name"] for found in mappings}
    return {
        "schema": 1,
        "generated": GENERATED,
        "endpoints": [endpoint()] if endpoints is None else endpoints,
        "mappings": list(mappings),
        "virtual_machines": [{"name": name, "id": id_} for (*_where, id_), name in machines.items()],
        "storage_resources": list(resources or []),
    }


def estate(rows: int) -> Document:
    """A map of that many disks, the same at every call: two disks a VM, one a file among 25 on its LUN, one a LUN of its own."""
    found = [_disk(number) for number in range(rows)]
    sites = {(entry["hypervisor_type"], entry["hypervisor"]): entry["endpoint"] for entry in found}
    endpoints = [endpoint(name=name, type=type_, address=address) for (type_, address), name in sites.items()]
    return document(found, endpoints)


def _disk(number: int) -> Row:
    vm, second = divmod(number, 2)
    site = vm % 4
    lun, serial = (f"{vm:05}_raw", f"raw+{vm:08}") if second else (f"ds_{vm // 25:04}", f"ds#{vm // 25:09}")
    volume = f"vol_{vm // 100:03}"
    size = (20 + number % 7 * 10) * GIB
    found = row(
        endpoint=f"vc{site:02}",
        hypervisor=f"192.0.2.{10 + site}",
        cluster=f"cluster{site}{vm % 3}",
        host=f"esx{vm % 32:02}.site{site}.example.com",
        vm_name=f"app{vm:05}",
        vm_id=f"vm-{vm}",
        disk=f"Hard disk {second + 1}",
        kind="passthrough" if second else "image",
        unit=second,
        thin=None if second else number % 3 == 0,
        path=f"[ds_{vm // 25:04}] app{vm:05}/app{vm:05}.vmdk",
        device=f"naa.{naa_of(serial)}",
        naa=naa_of(serial),
        serial=serial,
        size_bytes=size,
        share_bytes=size,
        lun_size_bytes=size if second else 2048 * GIB,
        lun_used_bytes=size // 2,
        array=f"ontap{vm // 100 % 6:02}",
        array_address=f"192.0.2.{20 + vm // 100 % 6}",
        volume=volume,
        lun_path=f"/vol/{volume}/{lun}",
        lun_id=number % 255,
        paths_live=1 if number % 1000 == 7 else 4,
        paths_dead=3 if number % 1000 == 7 else 0,
        storage_state="offline" if number % 2500 == 9 else "online",
    )
    return {**found, **_UNRESOLVED} if number % 500 == 11 else found


_UNRESOLVED = {
    **dict.fromkeys(("array_type", "array", "array_address", "svm", "volume", "lun_path", "storage_state"), ""),
    **dict.fromkeys(("lun_id", "lun_size_bytes", "lun_used_bytes", "paths_live", "paths_dead")),
    "status": "unresolved",
    "reason": "No array that was asked has a LUN of this name",
    "way_out": "Add the array that has it to arrays.",
}


def map_in_page(page: str) -> Document:
    """The map that a page holds, with its rows as the map had them."""
    (held,) = re.findall(r'<script type="application/json" id="map">(.*?)</script>', page, re.DOTALL)
    return map_in(held)


def map_in(held: str) -> Document:
    """The map that this JSON of a page holds."""
    told: Document = json.loads(held)
    columns = told["mappings"]["columns"]
    return {**told, "mappings": [dict(zip(columns, values, strict=True)) for values in told["mappings"]["rows"]]}


def write_page(render: Render, map_: Document, path: Path) -> Path:
    """Have Ansible make the page of a map at `path`, as the role does, and return that."""
    page = render(
        TEMPLATE.read_text(),
        role_path=str(ROLE),
        storage_report_document=map_,
    )
    path.write_text(page)
    return path
