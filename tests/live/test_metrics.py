# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The map as Prometheus sees it: scraped from a real node_exporter, judged by promtool, and asked back over HTTP."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.maps.metrics import HELP, metrics
from tests.live.commands import Commands
from tests.live.lab import HYPERVISOR, Lab
from tests.live.modules import ROOT
from tests.live.prometheus import RULES, Prometheus, promtool, running_prometheus, unpack

DASHBOARD = ROOT / "monitoring" / "dashboards" / "crossvisor.json"
HARVEST = {
    "lun_read_ops",
    "lun_write_ops",
    "lun_read_data",
    "lun_write_data",
    "lun_avg_read_latency",
    "lun_avg_write_latency",
    "lun_new_status",
}
"""The metrics of Harvest that are used, from its conf/rest/9.12.0/lun.yaml and conf/restperf/9.12.0/lun.yaml."""
HOSTILE = ['"', "\\", "\n", '"} 1\n', "\\n", "\r", "\u202e\u2028</script>", "{{ 1 }}", "ü" * 500]


@pytest.fixture(scope="module", autouse=True)
def programs() -> None:
    unpack()


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    with running_prometheus(tmp_path_factory.mktemp("prometheus")) as there:
        yield there


def row(number: int, name: str) -> dict[str, Any]:
    return {
        "hypervisor": "vc.example.com", "vm_name": name, "vm_id": f"vm-{number}", "disk": name, "naa": f"600a0980{number:024x}",
        "array": "lab", "svm": "s", "volume": name, "lun_path": "/vol/v/l", "status": "mapped",
    }  # fmt: skip


def test_a_map_of_the_lab_is_scraped_and_answered(lab: Lab, prometheus: Prometheus, tmp_path: Path) -> None:
    (tmp_path / "inventory.json").write_text(json.dumps(lab.inventory))
    textfile, report = prometheus.textfiles / "lab.prom", str(tmp_path / "report")
    given: Any = {"target": HYPERVISOR, "directory": report, "storage_report_textfile": str(textfile)}
    run = Commands(tmp_path).playbook("crossvisor.san.storage_map", "-i", "inventory.json", **given)
    assert run.code == 0, run.output
    text = (tmp_path / "report" / "storage_map.prom").read_text()
    assert ([file.name for file in prometheus.textfiles.glob("lab*")], textfile.read_text()) == (
        ["lab.prom"],
        text,
    )
    assert textfile.stat().st_mode & 0o777 == 0o644
    judged = promtool("check", "metrics", text=text)
    assert (judged.returncode, judged.stderr) == (0, "")

    rows = json.loads((tmp_path / "report" / "storage_map.json").read_text())["mappings"]
    wanted = {
        (row["vm_name"], row["disk"], row["naa"], row["array"], row["svm"], row["volume"], row["lun_path"].rpartition("/")[2])
        for row in rows
    }
    columns = ("vm", "disk", "naa", "cluster", "svm", "volume", "lun")
    found = prometheus.until('crossvisor_disk_info{vm!=""}', lambda series: len(series) >= len(wanted))
    assert {tuple(series["metric"].get(column, "") for column in columns) for series in found} == wanted
    hexes = {series["metric"].get("serial_hex", "") for series in found}
    assert hexes - {""} == {row["serial"].encode().hex() for row in rows if row["array_type"] == "ontap" and row["serial"]}

    by_lun = {
        row["lun_path"]: {other["vm_id"] for other in rows if other["lun_path"] == row["lun_path"]} for row in rows if row["lun_path"]
    }
    counted = prometheus.until("crossvisor:lun:vms", lambda series: len(series) >= len(by_lun))
    shown = {f"/vol/{series['metric']['volume']}/{series['metric']['lun']}": int(series["value"][1]) for series in counted}
    assert shown == {path: len(vms) for path, vms in by_lun.items()}
    assert max(shown.values()) > 1


def test_node_exporter_takes_whatever_vms_are_called(prometheus: Prometheus) -> None:
    rows = [row(number, name) for number, name in enumerate(HOSTILE)]
    (prometheus.textfiles / "hostile.new").write_text(metrics({"mappings": rows}), newline="")
    (prometheus.textfiles / "hostile.new").rename(prometheus.textfiles / "hostile.prom")
    found = prometheus.until('crossvisor_disk_info{hypervisor="vc.example.com"}', lambda series: len(series) >= len(HOSTILE))
    assert {(series["metric"]["vm"], series["metric"]["volume"]) for series in found} == {(name, name) for name in HOSTILE}
    assert [series["value"][1] for series in prometheus.query("node_textfile_scrape_error")] == ["0"]


def test_the_rules_are_valid() -> None:
    judged = promtool("check", "rules", str(RULES))
    assert judged.returncode == 0, judged.stdout + judged.stderr


def test_the_rules_join_harvest_s_metrics_and_raise_their_alerts() -> None:
    judged = promtool("test", "rules", str(Path(__file__).parent / "monitoring" / "rules_test.yml"))
    assert judged.returncode == 0, judged.stdout + judged.stderr


def test_every_expression_of_the_dashboard_is_valid(tmp_path: Path) -> None:
    expressions = [target["expr"] for panel in json.loads(DASHBOARD.read_text())["panels"] for target in panel["targets"]]
    rules = [{"record": f"dashboard:{number}", "expr": _filled(expression)} for number, expression in enumerate(expressions)]
    (tmp_path / "rules.yml").write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    judged = promtool("check", "rules", str(tmp_path / "rules.yml"))
    assert (judged.returncode, len(rules)) == (0, 13), judged.stdout + judged.stderr


def test_rules_and_dashboard_name_no_metric_that_there_is_not() -> None:
    rules, dashboard = RULES.read_text(), json.loads(DASHBOARD.read_text())
    recorded = set(re.findall(r"record: (\S+)", rules))
    asked = rules + json.dumps([panel["targets"] for panel in dashboard["panels"]]) + json.dumps(dashboard["templating"])
    named = set(re.findall(r"\b(?:vm:)?(?:crossvisor|lun)[_:][a-z_:]+\b", asked))
    assert named - recorded - HARVEST - set(HELP) == set()


def test_the_dashboard_can_be_imported_as_harvest_s_can() -> None:
    dashboard = json.loads(DASHBOARD.read_text())
    assert [given["name"] for given in dashboard["__inputs"]] == ["DS_PROMETHEUS"]
    panels, variables = dashboard["panels"], dashboard["templating"]["list"]
    sources = [each["datasource"] for each in (*panels, *(target for panel in panels for target in panel["targets"]))]
    assert set(sources) | {variable["datasource"] for variable in variables if variable["type"] == "query"} == {"${DS_PROMETHEUS}"}
    assert len({panel["id"] for panel in panels}) == len(panels)
    used = set(re.findall(r"\$(\w+)", json.dumps([panel["targets"] for panel in panels] + [variable["query"] for variable in variables])))
    assert used == {variable["name"] for variable in variables}
    assert {panel["type"] for panel in panels} == {need["id"] for need in dashboard["__requires"] if need["type"] == "panel"}


def _filled(expression: str) -> str:
    """The expression as Grafana sends it."""
    return re.sub(r"\$\w+", ".*", expression.replace("$TopResources", "10"))
