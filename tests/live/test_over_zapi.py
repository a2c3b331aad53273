# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An array of a release before REST had what the collection needs: modules and playbooks do over ZAPI what they do by REST elsewhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.lab import world
from tests.live.lab import ARRAY, HYPERVISOR, Lab
from tests.live.modules import ModuleRunner
from tests.live.test_playbooks import DISK, PROVISION, REMOVE, commands, play

RELEASE = "9.10.1"
LUN = {"svm": "svm_san", "volume": "vol_prod", "lun": "app01_data"}


@pytest.fixture
def old(lab: Lab) -> Lab:
    lab.become(RELEASE)
    return lab


def interfaces(lab: Lab) -> set[str]:
    """By which of its interfaces the array was asked."""
    return {"ZAPI" if row["method"] == "ZAPI" else "REST" for row in lab.requests(ARRAY)}


def test_all_modules_that_ask_an_array_ask_it_over_zapi(old: Lab, modules: ModuleRunner) -> None:
    array, hypervisor, before = {**old.array, "type": "ontap_zapi"}, old.hypervisor, old.state()
    assert modules.succeed("hypervisor_facts", {"hypervisor": hypervisor})["ansible_facts"]["crossvisor"]["type"] == "vmware"
    hosts = modules.succeed("hba_info", {"hypervisor": hypervisor, "hosts": ["esx01.lab", "esx02.lab"]})
    wanted = {**LUN, "size": "1GiB", "os_type": "vmware", "initiators": hosts["initiators"], "array": array, "hypervisor": hypervisor}
    made = modules.succeed("lun_provision", wanted)
    attach = {"hypervisor": hypervisor, "vm": "app01", "naa": made["naa"]}
    assert modules.succeed("ptd_attach", attach)["changed"]
    assert not modules.succeed("lun_provision", wanted)["changed"]

    (row,) = [
        row
        for row in modules.succeed("vm_storage_map", {"hypervisor": hypervisor, "arrays": [array]})["mappings"]
        if row["naa"] == made["naa"]
    ]
    assert (row["vm_name"], row["array"], row["svm"], row["lun_path"]) == ("app01", "lab-ontap", "svm_san", "/vol/vol_prod/app01_data")
    assert (row["status"], row["lun_id"], row["storage_state"]) == ("mapped", made["lun_id"], "online")

    snapshot = {"array": array, "hypervisor": hypervisor, "luns": [{"naa": made["naa"]}], "name": "s1"}
    assert modules.succeed("lun_snapshot", {**snapshot, "comment": "before the patch", "snapmirror_label": "daily"})["changed"]
    assert not modules.succeed("lun_snapshot", snapshot)["changed"]
    (told,) = modules.succeed("lun_snapshot_info", {"array": array, "luns": [{"naa": made["naa"]}]})["snapshots"]
    assert (told["name"], told["comment"], told["snapmirror_label"]) == ("s1", "before the patch", "daily")
    assert "is used by VM app01" in modules.fail("lun_snapshot", {**snapshot, "state": "restored"})

    clone = {
        **LUN, "lun": "app01_then", "os_type": "vmware", "initiators": hosts["initiators"], "array": array, "hypervisor": hypervisor,
        "clone_of": {"lun": LUN["lun"], "snapshot": "s1"},
    }  # fmt: skip
    assert modules.succeed("lun_provision", clone)["size_bytes"] == made["size_bytes"]
    assert not modules.succeed("lun_provision", clone)["changed"]
    assert modules.succeed("lun_provision", {**clone, "state": "absent", "delete": True})["changed"]

    gone = {**LUN, "state": "absent", "delete": True, "initiators": hosts["initiators"], "array": array, "hypervisor": hypervisor}
    assert "is used by VM app01" in modules.fail("lun_provision", gone)
    assert modules.succeed("ptd_attach", {**attach, "state": "absent", "release": True})["changed"]
    assert modules.succeed("lun_snapshot", {**snapshot, "state": "restored", "safety_snapshot": False})["changed"]
    assert modules.succeed("lun_snapshot", {**snapshot, "state": "absent"})["changed"]
    assert modules.succeed("lun_provision", gone)["changed"]
    assert modules.succeed("ptd_attach", {**attach, "state": "forgotten"})["changed"]
    assert old.state() == before
    assert interfaces(old) == {"ZAPI"}


SPARE = {"naa": world.naa_at("/vol/vol_dev/spare")}
CLONE = {"svm": "svm_san", "volume": "vol_dev", "os_type": "vmware", "initiators": ["iqn.1998-01.com.example:none"]}
TAKE = {"luns": [SPARE], "name": "s1"}


@pytest.mark.parametrize(
    ("module", "options", "says"),
    [
        ("lun_snapshot_info", {"luns": [SPARE], "array": {"password": "wrong"}}, ("refuses user admin", "over ontapi")),
        ("lun_snapshot_info", {"luns": [SPARE], "array": {"ca_path": None}}, ("certificate of 127.0.0.1:", "is not trusted")),
        ("lun_snapshot", {**TAKE, "expires": "7d"}, ("is asked over ZAPI", "leave the expiry of s1 out", "array.type=ontap")),
        ("lun_snapshot", {**TAKE, "name": "s2", "from_name": "none"}, ("There is no snapshot none of volume svm_san:vol_dev",)),
        ("lun_snapshot", {**TAKE, "name": "busy", "state": "absent"}, ("Snapshot busy of volume", "is needed by volume_clone")),
        ("lun_snapshot", {**TAKE, "name": "none", "state": "restored"}, ("There is no snapshot none of volume svm_san:vol_dev",)),
        ("lun_provision", {**CLONE, "name": "new", "clone_of": {"lun": "none", "snapshot": "busy"}}, ("holds no LUN none",)),
        ("lun_provision", {**CLONE, "name": "spare", "clone_of": {"lun": "other", "snapshot": "busy"}}, ("is no clone that",)),
    ],
)  # fmt: skip
def test_what_cannot_be_is_told_in_one_sentence_and_changes_nothing(
    old: Lab, modules: ModuleRunner, module: str, options: dict[str, Any], says: tuple[str, ...]
) -> None:
    array = {**old.array, "type": "ontap_zapi"}
    modules.succeed("lun_snapshot", {"array": array, "luns": [SPARE], "name": "busy"})
    old._ask(ARRAY, "POST", "/faults", {"owner": {"volume": "vol_dev", "snapshot": "busy", "owner": "volume_clone"}})
    before = old.state()
    asked = {"array": {**array, **options.get("array", {})}, "hypervisor": old.hypervisor}
    given = {name: value for name, value in asked.items() if name == "array" or module != "lun_snapshot_info"}
    said = modules.fail(module, {**options, **given})
    assert all(part in said for part in says), said
    assert old.state() == before


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/interface?name=zapi&state=off", ("does not serve ZAPI", "vserver services web modify -name ontapi -enabled true")),
        ("/account?denied=snapshot-create", ("may not call snapshot-create", "security login role")),
    ],
)
def test_what_the_array_does_not_let_do_is_told_with_the_way_out(old: Lab, modules: ModuleRunner, path: str, says: tuple[str, ...]) -> None:
    old._ask(ARRAY, "POST", path)
    said = modules.fail("lun_snapshot", {**TAKE, "array": {**old.array, "type": "ontap_zapi"}, "hypervisor": old.hypervisor})
    assert all(part in said for part in says), said


def test_a_disk_comes_and_goes_by_the_playbooks(old: Lab, tmp_path: Path) -> None:
    before, ansible = old.state(), commands(tmp_path, old)
    inventory: dict[str, Any] = json.loads((tmp_path / "inventory.json").read_text())
    inventory["all"]["children"]["hypervisors"]["hosts"][HYPERVISOR]["array"]["type"] = "ontap_zapi"
    (tmp_path / "inventory.json").write_text(json.dumps(inventory))
    for changes in (2, 0):
        run = play(ansible, PROVISION, **DISK, size="1GiB")
        assert (run.code, run.counts["changed"]) == (0, changes), run.output
    taken = play(ansible, REMOVE, **DISK, delete=True)
    assert taken.code == 0, taken.output
    assert old.state() == before
    assert interfaces(old) == {"ZAPI"}


def test_an_array_whose_rest_is_switched_off_is_asked_over_zapi_by_itself(old: Lab, modules: ModuleRunner) -> None:
    old._ask(ARRAY, "POST", "/interface?name=rest&state=off")
    wanted = {"array": {**old.array, "type": "auto"}, "luns": [{"svm": "svm_san", "volume": "vol_prod", "name": "ds_single"}]}
    assert modules.succeed("lun_snapshot_info", wanted)["snapshots"] == []
    assert [row["path"].partition("?")[0] for row in old.requests(ARRAY) if row["method"] != "ZAPI"] == ["/api/cluster"]
