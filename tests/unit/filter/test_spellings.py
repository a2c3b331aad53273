# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A playbook reads a LUN's name from any tool, in the spelling that it needs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.crossvisor.san.plugins.filter.spellings import FilterModule

LUN = "600a0980524c4974612b44687143566b"
PURE = "624a9370a7b9f7ecc01e40f70002c43e"
FILTERS = Path(__file__).parents[3] / "plugins" / "filter"
DOCUMENTED = {name: yaml.safe_load((FILTERS / f"{name}.yml").read_text()) for name in ("naa", "serial", "wwid", "scsi_name")}

Evaluate = Callable[..., Any]
Render = Callable[..., str]


def test_naa_is_the_bare_name_whatever_the_spelling(evaluate: Evaluate) -> None:
    spellings = [LUN.upper(), f"naa.{LUN}", f"/dev/mapper/3{LUN}", f"vml.0200050000{LUN}4c554e20432d"]
    assert evaluate("spellings | map('crossvisor.san.naa') | unique", spellings=spellings) == [LUN]


def test_a_device_is_compared_with_the_serial_number_from_the_array(evaluate: Evaluate) -> None:
    same = "device | crossvisor.san.naa == serial | crossvisor.san.naa(serial_of='ontap')"
    assert evaluate(same, device=f"naa.{LUN}", serial="RLIta+DhqCVk") is True
    assert evaluate(same, device=f"naa.{LUN}", serial="rlita+dhqcvk") is False


def test_wwid_is_the_name_of_the_multipath_device(evaluate: Evaluate) -> None:
    assert evaluate("device | crossvisor.san.wwid", device=f"naa.{LUN}") == f"3{LUN}"
    assert evaluate("'P3e4NoawaZQk' | crossvisor.san.wwid(serial_of='7mode')") == "360a98000503365344e6f6177615a516b"


@pytest.mark.parametrize(("device", "serial"), [(f"3{LUN}", "RLIta+DhqCVk"), (PURE, "A7B9F7ECC01E40F70002C43E")])
def test_serial_is_the_one_that_the_array_shows(evaluate: Evaluate, device: str, serial: str) -> None:
    assert evaluate("device | crossvisor.san.serial", device=device) == serial


def test_serial_heeds_the_product(evaluate: Evaluate) -> None:
    expression = "device | crossvisor.san.serial(product=product)"
    assert evaluate(expression, device=LUN, product="LUN C-Mode      ") == "RLIta+DhqCVk"
    assert evaluate(expression, device=PURE, product="FlashArray      ") == "A7B9F7ECC01E40F70002C43E"
    with pytest.raises(ValueError, match=f"naa.{LUN} holds no serial number: only NetApp ONTAP"):
        evaluate(expression, device=LUN, product="INF-01-00")


def test_scsi_name_is_every_spelling_at_once(evaluate: Evaluate) -> None:
    assert evaluate("'RLIta+DhqCVk' | crossvisor.san.scsi_name(serial_of='ontap')") == {
        "naa": LUN,
        "vmware": f"naa.{LUN}",
        "wwid": f"3{LUN}",
        "wwn": f"wwn-0x{LUN}",
        "windows": LUN.upper(),
        "xapi": f"3{LUN}",
        "vendor": "NetApp ONTAP",
        "serial": "RLIta+DhqCVk",
    }


def test_scsi_name_of_an_unknown_array_has_no_vendor_and_no_serial(evaluate: Evaluate) -> None:
    name = evaluate("'naa.6000eb3952315fbe0000000000000041' | crossvisor.san.scsi_name")
    assert (name["vendor"], name["serial"]) == (None, None)


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("'mpx.vmhba1:C0:T1:L3' | crossvisor.san.naa", "'mpx.vmhba1:C0:T1:L3' is not the NAA name of a LUN: expected 32 hex digits"),
        ("'RLIta+DhqCVk' | crossvisor.san.wwid", "'RLIta.DhqCVk' is not the NAA name of a LUN"),
        ("'RLIta+DhqCV' | crossvisor.san.naa(serial_of='ontap')", "'RLIta.DhqCV' is not the serial number of a NetApp LUN"),
        ("'RLIta+DhqCVk' | crossvisor.san.naa(serial_of='pure')", "serial_of='pure' is no kind of NetApp array: say ontap or 7mode"),
        ("60000970000197900123533030314641 | crossvisor.san.naa", "60000970000197900123533030314641 is not text: put the name in quotes"),
        ("'60060e80223cce0050413cce00000400' | crossvisor.san.serial", "naa.60060e80223cce0050413cce00000400 holds no serial number"),
    ],
)
def test_bad_input_is_one_sentence(evaluate: Evaluate, expression: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as failure:
        evaluate(expression)
    assert "Traceback" not in str(failure.value)


def test_an_undefined_variable_is_reported_as_such(evaluate: Evaluate) -> None:
    with pytest.raises(ValueError, match="'device' is undefined"):
        evaluate("device | crossvisor.san.naa")


def test_every_filter_is_documented() -> None:
    assert set(DOCUMENTED) == set(FilterModule().filters())


@pytest.mark.parametrize(
    ("name", "results"),
    [
        ("naa", ["True", "[]"]),
        ("serial", ["RLIta+DhqCVk", "RLIta+DhqCVk"]),
        ("wwid", [f"/dev/mapper/3{LUN}"]),
        ("scsi_name", [f"naa.{LUN}"]),
    ],
)
def test_the_documented_examples_work(render: Render, name: str, results: list[str]) -> None:
    tasks = yaml.safe_load(DOCUMENTED[name]["EXAMPLES"])
    rendered = [render(template, **{"mappings": [], **task.get("vars", {})}) for task in tasks for template in _templates(task)]
    assert all(result in text for result, text in zip(results, rendered))


@pytest.mark.parametrize("name", DOCUMENTED)
def test_the_documented_sample_is_what_the_filter_returns(evaluate: Evaluate, name: str) -> None:
    returned = DOCUMENTED[name]["RETURN"]["_value"]
    sample = {key: field["sample"] for key, field in returned["contains"].items()} if "contains" in returned else returned["sample"]
    assert evaluate(f"device | crossvisor.san.{name}", device=LUN) == sample


def _templates(value: Any, key: str = "") -> list[str]:
    """The templates of a task; `that` is one without braces."""
    if isinstance(value, dict):
        return [text for name, part in value.items() for text in _templates(part, name)]
    if key == "that":
        return ["{{ " + value + " }}"]
    return [value] if "{{" in str(value) else []
