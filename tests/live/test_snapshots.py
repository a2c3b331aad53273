# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Snapshots as a user has them on a hypervisor of the lab: taken, connected to another VM, restored, and what is refused of all that."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.lab import world
from tests.lab.ontap.releases import OLDEST, written
from tests.live.commands import Commands, Run
from tests.live.lab import HYPERVISOR, Lab, WindowsLab
from tests.live.modules import ModuleRunner
from tests.live.platforms import HYPERV_HOST
from tests.live.test_playbooks import commands

SPARE, SHARED = ({"naa": world.naa_at(path)} for path in ("/vol/vol_dev/spare", "/vol/vol_prod/shared_rdm"))
DATASTORE = {"naa": world.naa_at("/vol/vol_prod/ds_single")}
PLACE = {"svm": "svm_san", "volume": "vol_prod", "lun": "app01_data"}
NAMES = {**PLACE, "snapshot": "s1"}
LATER = "2090-01-01T00:00:00+00:00"


@pytest.fixture(scope="module")
def ansible(running: Lab, tmp_path_factory: pytest.TempPathFactory) -> Commands:
    return commands(tmp_path_factory.mktemp("snapshots"), running)


def asked(lab: Lab, *luns: dict[str, str], **options: Any) -> dict[str, Any]:
    return {"array": lab.array, "hypervisor": lab.hypervisor, "luns": list(luns), "name": "s1", **options}


def test_luns_of_two_volumes_have_one_moment_on_the_oldest_release_too(lab: Lab, modules: ModuleRunner) -> None:
    lab.become(written(OLDEST))
    first = modules.succeed("lun_snapshot", asked(lab, SPARE, SHARED, comment="both"))
    again = modules.succeed("lun_snapshot", asked(lab, SPARE, SHARED, comment="both"))
    assert (first["changed"], first["consistent"], again["changed"]) == (True, True, False)
    assert len({one["made_by"] for one in first["snapshots"]}) == 1
    listed = modules.succeed("lun_snapshot_info", {"array": lab.array, "luns": [SPARE, SHARED]})
    assert [one["volume"] for one in listed["snapshots"]] == ["vol_dev", "vol_prod"]
    assert modules.succeed("lun_snapshot", asked(lab, SPARE, SHARED, state="absent"))["changed"]
    assert not modules.succeed("lun_snapshot", asked(lab, SPARE, SHARED, state="absent"))["changed"]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"luns": [SHARED], "state": "restored"}, ("is used by VM", "will not be restored")),
        ({"luns": [DATASTORE], "state": "restored", "assume_unused": True}, ("is used by", "file system ds_single")),
        ({"luns": [SPARE], "state": "restored", "name": "none"}, ("There is no snapshot none of volume svm_san:vol_dev",)),
        ({"luns": [SPARE, SHARED], "state": "restored"}, ("One LUN is restored at a time",)),
        ({"luns": [SPARE], "expires": "2001-01-01T00:00:00Z"}, ("is over already",)),
        ({"luns": [SPARE], "state": "absent", "name": "kept"}, ("is kept until 2090",)),
        ({"luns": [SPARE], "state": "absent", "name": "busy"}, ("is needed by volume_clone",)),
        ({"luns": [{"svm": "svm_san", "volume": "vol_dev", "name": "none"}]}, ("There is no LUN svm_san:/vol/vol_dev/none",)),
    ],
)
def test_what_cannot_be_is_told_in_one_sentence_and_changes_nothing(
    lab: Lab, modules: ModuleRunner, options: dict[str, Any], says: tuple[str, ...]
) -> None:
    for name, more in (("s1", {}), ("kept", {"expires": LATER}), ("busy", {})):
        modules.succeed("lun_snapshot", asked(lab, SPARE, SHARED, **{"name": name, **more}))
    modules.succeed("lun_snapshot", asked(lab, DATASTORE))
    lab._ask("ontap", "POST", "/faults", {"owner": {"volume": "vol_dev", "snapshot": "busy", "owner": "volume_clone"}})
    before = lab.state()
    said = modules.fail("lun_snapshot", asked(lab, **options))
    assert all(part in said for part in says), said
    assert lab.state() == before


def play(ansible: Commands, name: str, **variables: Any) -> Run:
    return ansible.playbook(f"crossvisor.san.{name}", "-i", "inventory.json", **{"target": HYPERVISOR, **variables})


def done(run: Run) -> str:
    assert run.code == 0, run.output
    return " ".join(run.output.split())


def test_a_disk_from_a_snapshot_comes_and_goes(lab: Lab, ansible: Commands) -> None:
    done(play(ansible, "provision_disk", vm="app01", size="1GiB", **PLACE))
    before = lab.state()
    assert "consistent by crash (no guest was named)" in done(play(ansible, "snapshot", **NAMES))
    assert "changed=0" in done(play(ansible, "snapshot", **NAMES))
    assert "which has LUN app01_data itself" in " ".join(play(ansible, "connect_snapshot", vm="app01", **NAMES).output.split())
    assert "app01_data_s1" in done(play(ansible, "connect_snapshot", vm="app02", **NAMES))
    assert "changed=0" in done(play(ansible, "connect_snapshot", vm="app02", **NAMES))
    refused = play(ansible, "disconnect_snapshot", vm="app02", disconnect_snapshot_clone="app01_data", **NAMES)
    assert "is no clone that this collection has made of LUN app01_data in snapshot s1" in " ".join(refused.output.split())
    done(play(ansible, "disconnect_snapshot", vm="app02", **NAMES))
    assert "changed=0" in done(play(ansible, "disconnect_snapshot", vm="app02", **NAMES))
    after = lab.state()
    for state in (before, after):
        for volume in (one for svm in state["ontap"]["svms"] for one in svm["volumes"]):
            volume["snapshots"] = []
    assert after == before


def test_a_lun_that_was_made_anew_after_the_snapshot_is_not_the_one_in_it(lab: Lab, ansible: Commands) -> None:
    done(play(ansible, "provision_disk", vm="app01", size="1GiB", **PLACE))
    done(play(ansible, "snapshot", **NAMES))
    done(play(ansible, "remove_disk", vm="app01", delete=True, **PLACE))
    done(play(ansible, "provision_disk", vm="app01", size="1GiB", **PLACE))
    before = lab.state()
    connected, restored = (
        " ".join(play(ansible, name, vm=vm, **NAMES, **more).output.split())
        for name, vm, more in (("connect_snapshot", "app02", {}), ("restore_snapshot", "app01", {"unused": True}))
    )
    assert "because LUN app01_data was created at" in connected
    assert "after the snapshot (" in connected
    assert "was created at" in restored
    assert "assume_same_lun=true" in restored
    assert lab.state() == before


def test_a_lun_that_its_vm_uses_is_restored_only_on_the_users_word(lab: Lab, ansible: Commands) -> None:
    done(play(ansible, "provision_disk", vm="app01", size="1GiB", **PLACE))
    done(play(ansible, "snapshot", **NAMES))
    assert "is used by VM app01" in " ".join(play(ansible, "restore_snapshot", vm="app01", **NAMES).output.split())
    assert "crossvisor_before_s1_" in done(play(ansible, "restore_snapshot", vm="app01", unused=True, **NAMES))


def test_a_windows_guest_writes_what_it_has_and_the_result_says_that_nobody_held_it_still(windows: WindowsLab, tmp_path: Path) -> None:
    ansible, guest = commands(tmp_path, windows), windows.host("win01")
    disk = {**HYPERV_HOST.disk, "target": HYPERV_HOST.server, "vm": "win01", "lun": "win01_data", "guest": guest}
    taken = {name: disk[name] for name in ("svm", "volume", "lun", "target", "vm", "guest")}
    done(play(ansible, "provision_disk", **disk, size="1GiB", mount_point="E:"))
    refused = play(ansible, "snapshot", **taken, snapshot="s1", quiesce="required")
    told = " ".join(refused.output.split())
    assert refused.code != 0
    assert "VM win01 cannot be held still by Hyper-V" in told
    assert "Windows has written what it had, and nothing holds it still around a snapshot of the array" in told
    assert "consistent by flushed (" in done(play(ansible, "snapshot", **taken, snapshot="s1"))
    again = play(ansible, "snapshot", **taken, snapshot="s1")
    assert "consistent by flushed" in done(again)
    assert "changed=0" in again.output
    assert guest["password"] not in refused.output + again.output
