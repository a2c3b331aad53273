# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What disks that were declared for a guest cost its hosts, and what their removal leaves: no group of our own."""

from __future__ import annotations

import ssl
from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import HTTPSHandler, ProxyHandler, Request, build_opener

import pytest

from tests.live.lab import ARRAY, HYPERVISOR, WINDOWS, Lab
from tests.live.test_disks import ELSEWHERE, ansible, gone, play, unreachable

RESCANS = ("RescanAllHba", "RescanHba", "UpdateHostStorageCache")
"""Of vSphere and of Windows."""


def rescans(lab: Lab, server: str) -> list[str]:
    """The orders to hosts to look for LUNs, since the count began."""
    asked = (f"{request['method']} {request['path']}" for request in lab.requests(server))
    return [order for order in asked if any(word in order for word in RESCANS)]


def groups(state: Mapping[str, Any]) -> list[str]:
    """The igroups of the array."""
    return sorted(group["name"] for svm in state[ARRAY]["svms"] for group in svm["igroups"])


def delete_lun(lab: Lab, path: str) -> None:
    """What an administrator of the array does, who does not care for its igroup."""
    host = "https://{hostname}:{port}".format(**lab.array)
    login = b64encode("{username}:{password}".format(**lab.array).encode()).decode()
    query = urlencode({"name": path, "svm.name": "svm_san", "allow_delete_while_mapped": "true"})
    request = Request(f"{host}/api/storage/luns?{query}", method="DELETE", headers={"Authorization": f"Basic {login}"})
    opener = build_opener(ProxyHandler({}), HTTPSHandler(context=ssl.create_default_context(cafile=lab.array["ca_path"])))
    opener.open(request, timeout=30).close()


@pytest.mark.parametrize("fixture", ["lab", "windows"])
def test_three_disks_cost_as_many_rescans_as_one(request: pytest.FixtureRequest, tmp_path: Path, fixture: str) -> None:
    lab: Lab = request.getfixturevalue(fixture)
    vm, volume, server = ("app01", "vol_prod", HYPERVISOR) if fixture == "lab" else ("hvapp01", "vol_hv", WINDOWS[0])
    commands = ansible(tmp_path, {vm: unreachable(vm, lab, volume, lab.hypervisor)})
    orders = {}
    for disks in (ELSEWHERE[:1], ELSEWHERE):
        lab.reset()
        run = play(commands, disks_wanted=list(disks))
        assert run.code == 0, run.output
        orders[len(disks)] = rescans(lab, server)
    assert orders[1]
    assert orders[3] == orders[1]


def test_a_removal_leaves_no_group_of_its_own_behind(lab: Lab, tmp_path: Path) -> None:
    commands = ansible(tmp_path, {"app01": unreachable("app01", lab, "vol_prod", lab.hypervisor)})
    before = lab.state()
    assert play(commands).code == 0
    assert groups(lab.state()) != groups(before)
    kept = play(commands, disks_wanted=[{"name": disk["name"], "state": "absent"} for disk in ELSEWHERE])
    assert kept.code == 0, kept.output
    assert groups(lab.state()) == groups(before)
    taken = play(commands, disks_wanted=gone(ELSEWHERE))
    assert taken.code == 0, taken.output
    assert lab.state() == before


def test_a_removal_sweeps_the_group_of_a_lun_that_somebody_else_has_deleted(lab: Lab, tmp_path: Path) -> None:
    commands = ansible(tmp_path, {"app01": unreachable("app01", lab, "vol_prod", lab.hypervisor)})
    before = groups(lab.state())
    made = play(commands, "--tags", "lun", disks_wanted=list(ELSEWHERE[:1]))
    assert made.code == 0, made.output
    delete_lun(lab, "/vol/vol_prod/app01_data")
    assert groups(lab.state()) != before
    promised = play(commands, "--check", disks_wanted=gone(ELSEWHERE[:1]))
    assert (promised.code, promised.count("changed")) == (0, {"app01": 1}), promised.output
    assert groups(lab.state()) != before
    swept = play(commands, disks_wanted=gone(ELSEWHERE[:1]))
    assert (swept.code, swept.count("changed")) == (0, {"app01": 1}), swept.output
    assert groups(lab.state()) == before
