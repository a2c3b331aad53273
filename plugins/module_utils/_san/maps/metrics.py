# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The storage map in Prometheus' text format, for the textfile collector of node_exporter.

The labels `cluster`, `svm`, `volume`, `lun` and `serial_hex` are those of NetApp Harvest's `lun_labels` (conf/rest/9.12.0/lun.yaml): `lun`
is the last part of the LUN's path, `cluster` the array's name, `serial_hex` the serial number's characters in hex. What changes from
observation to observation is a gauge of its own and never a label, so that it does not make a new series each time.

The format: https://prometheus.io/docs/instrumenting/exposition_formats, "Text format details".
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from ansible_collections.crossvisor.san.plugins.module_utils._san.maps.document import (
    MAPPINGS,
    OK,
    STORAGE_RESOURCES,
    UNRESOLVED,
    Document,
    Row,
    endpoint_of,
    endpoints_of,
    number,
    oldest_first,
    rows_of,
    seconds,
    text,
)

_ONTAP = "ontap"
_UNTOLD = ("", "unknown")
_ONLINE = "online"

HELP: Mapping[str, str] = MappingProxyType(
    {
        "crossvisor_map_timestamp_seconds": "When the hypervisor behind the endpoint was read.",
        "crossvisor_map_complete": "Whether the endpoint gave a map that is not too old: 1, else 0.",
        "crossvisor_map_warnings": "How many warnings the map of the endpoint came with.",
        "crossvisor_disk_info": "A virtual disk and what it lies on: one series for each LUN or exported volume under it.",
        "crossvisor_disk_size_bytes": "Size of the virtual disk.",
        "crossvisor_disk_share_bytes": "The part of the virtual disk's size on this LUN or volume; sums count no disk twice.",
        "crossvisor_disk_unresolved": "Whether the map could not follow the disk down to its storage: 1, else 0.",
        "crossvisor_lun_disks": "How many virtual disks lie on the LUN.",
        "crossvisor_lun_vms": "How many virtual machines have a disk on the LUN.",
        "crossvisor_lun_online": "Whether the LUN is online on its array: 1, else 0.",
        "crossvisor_lun_size_bytes": "Size of the LUN on its array.",
        "crossvisor_lun_used_bytes": "What the LUN's data takes on its array.",
        "crossvisor_lun_strangers": "How many initiators the array shows the LUN that no asked host has.",
        "crossvisor_lun_paths": "How many paths the host has to the LUN, by state.",
    }
)
"""Every metric, all gauges, in the order of the file."""

Labels = tuple[tuple[str, str], ...]
_Samples = dict[str, dict[Labels, float]]


def metrics(document: Document) -> str:
    """The map as a textfile, in UTF-8 whatever the VMs are called."""
    samples: _Samples = defaultdict(dict)
    _endpoints(document, samples)
    _disks(document, samples)
    _luns(document, samples)
    return "".join(f"{line}\n" for name in HELP if samples[name] for line in _family(name, samples[name]))


def _family(name: str, samples: Mapping[Labels, float]) -> Iterator[str]:
    yield f"# HELP {name} {HELP[name]}"
    yield f"# TYPE {name} gauge"
    for labels, value in sorted(samples.items()):
        written = ",".join(f'{label}="{_escaped(content)}"' for label, content in labels)
        yield f"{name}{{{written}}} {value:.0f}"


def _escaped(content: str) -> str:
    """A label's value, in which backslash, quote and line feed are all that has to be escaped."""
    return content.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _endpoints(document: Document, samples: _Samples) -> None:
    for endpoint in endpoints_of(document):
        labels = _labels(endpoint=text(endpoint, "name"), hypervisor_type=text(endpoint, "type"), hypervisor=text(endpoint, "address"))
        observed = seconds(text(endpoint, "observed"))
        if observed is not None:
            samples["crossvisor_map_timestamp_seconds"][labels] = observed
        samples["crossvisor_map_complete"][labels] = text(endpoint, "status") == OK
        samples["crossvisor_map_warnings"][labels] = len(endpoint.get("warnings", ()))


def _disks(document: Document, samples: _Samples) -> None:
    for row in rows_of(document, MAPPINGS):
        disk = _disk(row)
        described = _labels(
            **disk,
            hypervisor_type=text(row, "hypervisor_type"),
            hypervisor=text(row, "hypervisor"),
            hypervisor_cluster=text(row, "cluster"),
            kind=text(row, "kind"),
            **_lun(row),
        )
        samples["crossvisor_disk_info"][described] = 1
        shares = samples["crossvisor_disk_share_bytes"]
        if (share := number(row, "share_bytes")) is not None:
            part = _labels(**disk, **_lun(row))
            shares[part] = shares.get(part, 0) + share
        bad, sizes, plain = samples["crossvisor_disk_unresolved"], samples["crossvisor_disk_size_bytes"], _labels(**disk)
        bad[plain] = max(bad.get(plain, 0), text(row, "status") == UNRESOLVED)
        if size := number(row, "size_bytes"):
            sizes[plain] = max(sizes.get(plain, 0), size)


def _luns(document: Document, samples: _Samples) -> None:
    told = [*oldest_first(rows_of(document, MAPPINGS)), *oldest_first(rows_of(document, STORAGE_RESOURCES))]
    disks: dict[Labels, set[Labels]] = {}
    machines: dict[Labels, set[tuple[str, str]]] = {}
    for row in (row for row in told if text(row, "naa") or text(row, "lun_path")):
        lun = _labels(**_lun(row))
        disks.setdefault(lun, set())
        machines.setdefault(lun, set())
        if "vm_id" in row:
            disks[lun].add(_labels(**_disk(row)))
            machines[lun].add((endpoint_of(row), text(row, "vm_id")))
        _state_of_lun(row, lun, samples)
    samples["crossvisor_lun_disks"] = {lun: len(found) for lun, found in disks.items()}
    samples["crossvisor_lun_vms"] = {lun: len(found) for lun, found in machines.items()}


def _state_of_lun(row: Row, lun: Labels, samples: _Samples) -> None:
    state = text(row, "storage_state")
    if state not in _UNTOLD:
        samples["crossvisor_lun_online"][lun] = state == _ONLINE
    for metric, column in (("crossvisor_lun_size_bytes", "lun_size_bytes"), ("crossvisor_lun_used_bytes", "lun_used_bytes")):
        value = number(row, column)
        if value is not None:
            samples[metric][lun] = value
    if "strangers" in row:
        samples["crossvisor_lun_strangers"][lun] = len(row["strangers"])
    for path in row.get("paths", ()):
        for state in ("live", "dead"):
            count = number(path, state)
            if count is not None:
                where = _labels(endpoint=endpoint_of(row), host=text(path, "host"), **_lun(row), state=state)
                samples["crossvisor_lun_paths"][where] = count


def _disk(row: Row) -> dict[str, str]:
    return {"endpoint": endpoint_of(row), "vm": text(row, "vm_name"), "vm_id": text(row, "vm_id"), "disk": text(row, "disk")}


def _lun(row: Row) -> dict[str, str]:
    serial = text(row, "serial")
    return {
        "naa": text(row, "naa"),
        "serial_hex": serial.encode("utf-8", "replace").hex() if text(row, "array_type") == _ONTAP else "",
        "cluster": text(row, "array"),
        "svm": text(row, "svm"),
        "volume": text(row, "volume"),
        "lun": text(row, "lun_path").rpartition("/")[2],
    }


def _labels(**labels: str) -> Labels:
    """The labels in the order of the file; what UTF-8 cannot hold is a question mark."""
    return tuple((name, value.encode("utf-8", "replace").decode()) for name, value in labels.items())
