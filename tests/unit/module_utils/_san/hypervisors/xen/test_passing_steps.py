# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A LUN over Fibre Channel as it is: by the driver that chooses by size only where it can choose nothing else, and by its device's path.

The pool is the lab's, whose drivers do as sm does; failures at each request are in test_ways and in tests/exhaustive.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import CrossvisorError, Refused, StepFailed
from tests.lab import world, xen_world
from tests.unit.xen_ways import VM, Bench, lost, refuse

pytestmark = pytest.mark.slow

HBA, UDEV = {"fc_method": "hba"}, {"fc_method": "udev"}
MADE = "LUNs over Fibre Channel"
READS_OF_A_LOOK = 8
"""A call for each class."""
METHODS = pytest.mark.parametrize("method", ["hba", "udev"])


@pytest.fixture
def bench() -> Bench:
    return Bench("fc")


def repositories(bench: Bench) -> dict[str, str]:
    """The types of the pool's repositories by their names."""
    return {row["name_label"]: row["type"] for _ref, row in bench.lab.pool.db.rows("SR")}


def of_the_lun(bench: Bench) -> list[dict[str, Any]]:
    """The VDIs of the LUN that a VM may use."""
    rows = [row for _ref, row in bench.lab.pool.db.rows("VDI")]
    return [
        row for row in rows if row["managed"] and bench.lun.xapi in (row["sm_config"].get("SCSIid"), row["location"].split("scsi-")[-1])
    ]


def another_of_that_size(bench: Bench) -> None:
    """A second LUN as large as ours becomes visible to all hosts."""
    volumes = bench.lab.world["array"]["svms"][0]["volumes"]
    luns = {f"/vol/{volume['name']}/{lun['name']}": lun for volume in volumes for lun in volume["luns"]}
    size = luns["/vol/vol_dev/spare"]["size"]
    twin = next(path for path, lun in luns.items() if path not in ("/vol/vol_dev/spare", *map(xen_world.lun_path, xen_world.LUNS)))
    luns[twin]["size"] = size
    bench.lab.map_lun(xen_world.FC_GROUP, twin, 78)


@METHODS
def test_the_guest_gets_the_lun_itself_and_gives_it_back_and_nothing_is_left(bench: Bench, method: str) -> None:
    before = bench.state()
    report = bench.go("attach", fc_method=method, initialize=False)
    assert report.attachment
    assert report.attachment.disk.mode == "physical"
    assert "which the vendor does not support" in report.outcome.warnings[0]
    assert [row["virtual_size"] for row in of_the_lun(bench)] == [report.attachment.disk.size_bytes]
    assert not bench.go("attach", fc_method=method).outcome.changed
    bench.go("detach")
    assert bench.state() == before


def test_hosts_of_the_pool_share_what_was_made_for_hba_and_it_goes_with_its_last_lun(bench: Bench) -> None:
    bench.go("attach", **HBA)
    (sr,) = bench.lab.pool.db.find("SR", name_label=MADE)
    assert len(bench.lab.row("SR", sr)["PBDs"]) == 3
    archive = world.naa_at(xen_world.lun_path("xen_archive"))
    bench.lab.pool.db.set("VDI", bench.lab.vdi(archive), managed=True)  # somebody else takes another LUN
    bench.go("detach")
    assert repositories(bench)[MADE] == "hba"


def test_an_hba_repository_of_the_pools_is_adopted_and_stays(bench: Bench) -> None:
    bench.lab.call("SR.create", bench.lab.host("xen01.lab"), {}, 0, "theirs", "", "hba", "", True, {})
    bench.go("attach", **HBA)
    bench.go("detach")
    assert repositories(bench)["theirs"] == "hba"


def test_a_lun_that_is_not_the_only_one_of_its_size_is_refused_before_the_driver_chooses(bench: Bench) -> None:
    another_of_that_size(bench)
    before = bench.state()
    with pytest.raises(StepFailed, match=rf"LUN {bench.lun} of [0-9]+ bytes is not the only one of that size"):
        bench.go("attach", **HBA)
    assert "VDI.create" not in bench.asked
    assert bench.state() == before


def test_another_lun_that_the_driver_takes_is_given_back(bench: Bench) -> None:
    bench.go("attach", **HBA)
    number = bench.asked.index("VDI.create")
    bench.go("detach")
    before = bench.state()
    bench.forget()

    def taken() -> None:
        bench.lab.pool.db.set("VDI", bench.lab.vdi(bench.lun.naa), managed=True)

    bench.before[number] = taken  # so that the smallest that is large enough is another
    with pytest.raises(StepFailed, match=rf"The driver took the LUN 3[0-9a-f]+ in place of {bench.lun}"):
        bench.go("attach", **HBA)
    assert not any(
        row["managed"] for _ref, row in bench.lab.pool.db.rows("VDI") if row["sm_config"].get("LUNid") and row["uuid"] not in ours(bench)
    )
    assert bench.state()[0] == before[0]


def ours(bench: Bench) -> list[str]:
    """UUIDs of VDIs of the LUN, and of those over iSCSI, which are managed from the first."""
    rows = [row for _ref, row in bench.lab.pool.db.rows("VDI")]
    iscsi = bench.lab.pool.db.find("SR", type="iscsi")
    return [row["uuid"] for row in rows if row["SR"] in iscsi or row["sm_config"].get("SCSIid") == bench.lun.xapi]


@METHODS
def test_a_disk_that_cannot_be_attached_leaves_nothing(bench: Bench, method: str) -> None:
    bench.go("attach", fc_method=method)
    number = bench.asked.index("VBD.create")
    bench.go("detach")
    before = bench.state()
    bench.forget()
    bench.before[number] = refuse
    with pytest.raises(StepFailed, match="undone: "):
        bench.go("attach", fc_method=method)
    assert bench.state() == before


def fail_to_attach(bench: Bench, meanwhile: Callable[[], None]) -> None:
    """Attach over Fibre Channel, where the VBD is refused after something else has happened."""
    bench.go("attach", **HBA)
    number = bench.asked.index("VBD.create")
    bench.go("detach")
    bench.forget()

    def refused() -> None:
        meanwhile()
        refuse()

    bench.before[number] = refused
    with pytest.raises(StepFailed):
        bench.go("attach", **HBA)


def test_a_lun_on_which_a_vm_keeps_its_state_is_not_given_back_when_the_attach_fails(bench: Bench) -> None:
    def suspended() -> None:
        (image,) = [ref for ref, row in bench.lab.pool.db.rows("VDI") if row["uuid"] in {row["uuid"] for row in of_the_lun(bench)}]
        bench.lab.pool.db.set("VM", bench.lab.vm("xendb01"), suspend_VDI=image)

    fail_to_attach(bench, suspended)
    assert len(of_the_lun(bench)) == 1


def test_a_repository_of_which_somebody_took_another_lun_stays_when_the_attach_fails(bench: Bench) -> None:
    def taken() -> None:
        bench.lab.pool.db.set("VDI", bench.lab.vdi(world.naa_at(xen_world.lun_path("xen_archive"))), managed=True)

    fail_to_attach(bench, taken)
    assert repositories(bench)[MADE] == "hba"
    assert of_the_lun(bench) == []


def test_a_scan_that_does_not_end_is_told_and_nothing_is_left(bench: Bench) -> None:
    before, start = bench.state(), bench.kept()
    bench.forget()
    bench.go("attach", **HBA)
    number = bench.asked.index("SR.scan")
    bench.restore(start)
    bench.before[number] = lost
    with pytest.raises(StepFailed, match=rf"The scan of SR {MADE} did not end within 60 s: look for a dead path or target"):
        bench.go("attach", **HBA)
    assert bench.state() == before


def test_a_repository_that_a_host_does_not_let_go_of_leaves_the_disk_with_the_vm(bench: Bench) -> None:
    bench.go("attach", **HBA)
    before, start = bench.state(), bench.kept()
    bench.forget()
    bench.go("detach")
    last = max(number for number, method in enumerate(bench.asked) if method == "PBD.unplug")
    bench.restore(start)
    bench.before[last] = refuse
    with pytest.raises(StepFailed, match=r"was not let go of by PBD\.unplug, .*undone: detach LUN"):
        bench.go("detach")
    assert bench.state() == before


def test_a_repository_of_which_somebody_gets_another_lun_while_it_is_let_go_of_stays_plugged_in(bench: Bench) -> None:
    bench.go("attach", **HBA)
    start = bench.kept()
    bench.forget()
    bench.go("detach")
    last = max(number for number, method in enumerate(bench.asked) if method == "PBD.unplug")
    bench.restore(start)
    theirs = bench.lab.vdi(world.naa_at(xen_world.lun_path("xen_archive")))
    bench.after[last] = lambda: bench.lab.pool.db.set("VDI", theirs, managed=True)
    bench.go("detach")
    (sr,) = bench.lab.pool.db.find("SR", name_label=MADE)
    assert [bench.lab.row("PBD", pbd)["currently_attached"] for pbd in bench.lab.row("SR", sr)["PBDs"]] == [True] * 3
    assert bench.lab.pool.db.has("VDI", theirs)
    assert of_the_lun(bench) == []


def test_a_repository_that_gets_the_state_of_a_vm_while_it_is_let_go_of_stays_plugged_in(bench: Bench) -> None:
    bench.go("attach", **HBA)
    start = bench.kept()
    bench.forget()
    bench.go("detach")
    last = max(number for number, method in enumerate(bench.asked) if method == "PBD.unplug")
    bench.restore(start)
    (image,) = [ref for ref, row in bench.lab.pool.db.rows("VDI") if row["uuid"] in {row["uuid"] for row in of_the_lun(bench)}]
    bench.after[last] = lambda: bench.lab.pool.db.set("VM", bench.lab.vm("xendb01"), suspend_VDI=image)
    with pytest.raises(StepFailed, match="is in use by VM xendb01 by now, which keeps its suspended state on it: resume xendb01 or shut"):
        bench.go("detach")
    (sr,) = bench.lab.pool.db.find("SR", name_label=MADE)
    assert [bench.lab.row("PBD", pbd)["currently_attached"] for pbd in bench.lab.row("SR", sr)["PBDs"]] == [True] * 3
    assert bench.lab.pool.db.has("VDI", image)


@pytest.mark.parametrize("answered", [True, False])
def test_once_its_repository_is_forgotten_nothing_is_undone_and_the_next_run_changes_nothing(bench: Bench, answered: bool) -> None:
    bench.go("attach", **HBA)
    start = bench.kept()
    bench.forget()
    bench.go("detach")
    goal, forgotten, last_look = bench.state(), bench.asked.index("SR.forget"), len(bench.asked) - 2
    bench.restore(start)
    if not answered:
        bench.after[forgotten] = lost
        last_look += READS_OF_A_LOOK
    bench.before[last_look] = refuse
    with pytest.raises(StepFailed) as told:
        bench.go("detach")
    assert "undone" not in str(told.value)
    bench.forget()
    assert not bench.go("detach").outcome.changed
    assert bench.state() == goal


def test_a_device_is_introduced_by_multipaths_name_where_the_host_has_multipath(bench: Bench) -> None:
    bench.lab.pool.db.set("host", bench.lab.host("xen01.lab"), other_config={"multipathing": "true", "iscsi_iqn": "iqn.2026-11.lab:x"})
    bench.go("attach", **UDEV)
    locations = [row["location"] for _ref, row in bench.lab.pool.db.rows("VDI") if bench.lun.xapi in row["location"]]
    assert locations == [f"/dev/mapper/{bench.lun.xapi}"]


@METHODS
def test_a_vdi_of_another_size_than_the_lun_is_refused(bench: Bench, method: str) -> None:
    bench.go("attach", fc_method=method)
    bench.go("detach_only")
    lun = next(lun for volume in bench.lab.world["array"]["svms"][0]["volumes"] for lun in volume["luns"] if lun["name"] == "spare")
    was, lun["size"] = lun["size"], 2 * lun["size"]
    before = bench.state()
    with pytest.raises(StepFailed, match=rf"has LUN {bench.lun} with {was} bytes and the adapter shows {lun['size']}: let the hosts go"):
        bench.go("attach", fc_method=method)
    assert bench.state() == before


def test_a_device_that_is_not_the_whole_lun_is_given_back(bench: Bench) -> None:
    before, start = bench.state(), bench.kept()
    bench.forget()
    bench.go("attach", **UDEV)
    number = bench.asked.index("VDI.introduce")
    bench.restore(start)

    def no_device() -> None:
        (made,) = [ref for ref, row in bench.lab.pool.db.rows("VDI") if bench.lun.xapi in row["location"]]
        bench.lab.pool.db.set("VDI", made, virtual_size=0)

    bench.after[number] = no_device
    with pytest.raises(StepFailed, match=rf"The device /dev/\S+ has 0 bytes and LUN {bench.lun} [0-9]+: look at the host's multipathing"):
        bench.go("attach", **UDEV)
    assert bench.state() == before


def test_a_scan_that_forgets_the_device_of_a_vm_does_not_make_the_lun_free(bench: Bench) -> None:
    bench.go("attach", **UDEV)
    bench.lab.call("SR.scan", bench.lab.sr(xen_world.UDEV_SR))
    with pytest.raises(Refused, match=rf"nobody can tell whether it is used .*VM {VM} .*whose VDI the pool has forgotten"):
        bench.go("attach", vm="xendb01", **UDEV)


def test_a_vm_that_is_off_and_at_home_nowhere_gets_no_device(bench: Bench) -> None:
    vm = bench.lab.vm(VM)
    bench.lab.call("VM.shutdown", vm)
    bench.lab.pool.db.set("VM", vm, affinity="OpaqueRef:NULL")
    with pytest.raises(Refused, match=f"VM {VM} is off and has no home server"):
        bench.go("attach", **UDEV)


def test_a_vm_that_high_availability_protects_gets_no_device_of_one_host(bench: Bench) -> None:
    before = bench.state()
    with pytest.raises(StepFailed, match="high availability protects the VM"):
        bench.go("attach", vm="xenha01", **UDEV)
    assert bench.state() == before


@METHODS
def test_a_lun_that_is_a_repository_of_its_own_is_not_bypassed(bench: Bench, method: str) -> None:
    bench.go("attach")
    bench.go("detach_only")
    with pytest.raises(Refused, match=f"is an SR of its own, which fc_method {method} would bypass"):
        bench.go("attach", fc_method=method)


@METHODS
def test_a_lun_that_carries_a_repository_is_refused(bench: Bench, method: str) -> None:
    bench.lab.pool.volume_groups[bench.lun.xapi] = "of-another-pool"
    before = bench.state()
    with pytest.raises(StepFailed, match="carries the storage repository of-another-pool"):
        bench.go("attach", fc_method=method)
    assert bench.state() == before


def test_a_vdi_that_somebody_else_has_taken_from_the_driver_is_left_to_them(bench: Bench) -> None:
    bench.lab.call("SR.create", bench.lab.host("xen01.lab"), {}, 0, "theirs", "", "hba", "", True, {})
    vdi = bench.lab.vdi(bench.lun.naa)
    bench.lab.pool.db.set("VDI", vdi, managed=True)
    bench.go("detach")
    assert bench.lab.pool.db.has("VDI", vdi)
    with pytest.raises(Refused, match="which somebody else has made"):
        bench.go("attach", **HBA)


def test_what_is_handed_on_as_it_is_does_not_become_a_repository(bench: Bench) -> None:
    bench.go("attach", **HBA)
    bench.go("detach_only")
    with pytest.raises(Refused, match="is handed on as it is by an SR of the pool"):
        bench.go("attach")


def test_a_vdi_that_somebody_has_introduced_is_theirs(bench: Bench) -> None:
    sr = bench.lab.sr(xen_world.UDEV_SR)
    path = f"/dev/mapper/{bench.lun.xapi}"
    epoch = bench.lab.row("VDI", bench.lab.pool.db.refs("VDI")[0])["snapshot_time"]
    given: tuple[Any, ...] = (
        "",
        "theirs",
        "",
        sr,
        "user",
        False,
        False,
        {},
        path,
        {},
        {},
        True,
        0,
        0,
        "OpaqueRef:NULL",
        False,
        epoch,
        "OpaqueRef:NULL",
    )
    bench.lab.call("VDI.introduce", *given)
    with pytest.raises(Refused, match="is the VDI theirs of SR lun-devices already"):
        bench.go("attach", **UDEV)


@METHODS
def test_a_driver_that_the_pool_does_not_offer_is_told(bench: Bench, method: str) -> None:
    for sr in bench.lab.pool.db.find("SR", type=method):
        bench.lab.pool.db.set("PBD", bench.lab.row("SR", sr)["PBDs"][0], currently_attached=False)
    bench.go("attach", fc_method=method)
    number = bench.asked.index("SR.get_supported_types")
    bench.go("detach")
    bench.forget()
    bench.instead[number] = ["ext", "lvmohba"]
    with pytest.raises(StepFailed, match=rf"The pool offers no SR of type {method} \(it offers ext, lvmohba\)"):
        bench.go("attach", fc_method=method)


def test_rawhba_is_no_way() -> None:
    with pytest.raises(CrossvisorError, match="fc_method rawhba does not exist for a LUN on Xen"):
        Bench("fc").go("attach", fc_method="rawhba")


def test_what_went_wrong_first_is_told_where_it_cannot_be_taken_back_either(bench: Bench) -> None:
    another_of_that_size(bench)
    with pytest.raises(StepFailed):
        bench.go("attach", **HBA)
    last = max(number for number, method in enumerate(bench.asked) if method == "PBD.unplug")
    bench.forget()
    bench.before[last] = refuse
    told = rf"LUN {bench.lun} of [0-9]+ bytes is not the only one of that size .* is left as it is \(The SR {MADE} was not forgotten"
    with pytest.raises(StepFailed, match=told):
        bench.go("attach", **HBA)
