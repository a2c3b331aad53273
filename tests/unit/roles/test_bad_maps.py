# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where something is wrong with an estate, its rows stay right and tell it, and each form of the map stays what it is.

The page is looked at by a browser in tests/page.
"""

from __future__ import annotations

import csv
import io
import json
from collections import Counter

import pytest
from jsonschema import Draft202012Validator
from prometheus_client.parser import text_string_to_metric_families

from ansible_collections.crossvisor.san.plugins.module_utils._san.maps.metrics import metrics
from tests.bad_maps import BAD, SIZE, Bad
from tests.rendering import Render
from tests.report_map import ROLE, TEMPLATE, map_in_page

SCHEMA = json.loads((ROLE / "files" / "storage_map.schema.json").read_text())

every = pytest.mark.parametrize("bad", BAD.values(), ids=BAD.keys())


@every
def test_its_rows_are_right_and_say_what_is_wrong(bad: Bad) -> None:
    document = bad.document
    assert sorted((row["vm_name"], row["status"]) for row in document["mappings"]) == sorted(bad.rows)
    reasons = [row["reason"] for row in document["mappings"]]
    told = [text for endpoint in document["endpoints"] for text in (endpoint["reason"], *endpoint["warnings"])]
    assert [text for text in (*reasons, *told) if bad.says in text]
    assert {row["reason"] != "" for row in document["mappings"] if row["status"] == "unresolved"} <= {True}


@every
def test_no_byte_of_a_disk_is_in_it_twice(bad: Bad) -> None:
    shares: Counter[tuple[str, str]] = Counter()
    for row in bad.document["mappings"]:
        shares[row["vm_id"], row["disk"]] += row["share_bytes"]
    assert set(shares.values()) <= {0, SIZE}


@every
def test_its_json_has_the_form_that_is_promised(render: Render, bad: Bad) -> None:
    document = bad.document
    written = json.loads(render((TEMPLATE.parent / "storage_map.json.j2").read_text(), storage_report_document=document))
    Draft202012Validator(SCHEMA).validate(written)
    assert written == document


@every
def test_its_csv_has_a_line_for_each_row(render: Render, bad: Bad) -> None:
    document = bad.document
    text = render((TEMPLATE.parent / "storage_map.csv.j2").read_text(), storage_report_document=document)
    lines = list(csv.DictReader(io.StringIO(text, newline="")))
    assert [(line["vm_name"].lstrip("'"), line["status"]) for line in lines] == [
        (row["vm_name"].lstrip("'"), row["status"]) for row in document["mappings"]
    ]
    assert [line for line in lines if None in line or None in line.values()] == []


@every
def test_its_metrics_are_read_and_count_what_is_unresolved(bad: Bad) -> None:
    document = bad.document
    samples = [sample for family in text_string_to_metric_families(metrics(document)) for sample in family.samples]
    series = [(sample.name, frozenset(sample.labels.items())) for sample in samples]
    assert len(series) == len(set(series))
    unresolved = {sample.labels["vm"]: sample.value for sample in samples if sample.name == "crossvisor_disk_unresolved"}
    assert unresolved == {name: float(status == "unresolved") for name, status in bad.rows}
    complete = {sample.labels["endpoint"]: sample.value for sample in samples if sample.name == "crossvisor_map_complete"}
    assert complete == {endpoint["name"]: float(endpoint["status"] == "ok") for endpoint in document["endpoints"]}


@every
def test_its_page_holds_it_as_it_is(render: Render, bad: Bad) -> None:
    document = bad.document
    page = render(TEMPLATE.read_text(), role_path=str(ROLE), storage_report_document=document)
    held = map_in_page(page)
    assert held["mappings"] == document["mappings"]
    assert held["endpoints"] == document["endpoints"]
    assert page.count("<script") == 2
