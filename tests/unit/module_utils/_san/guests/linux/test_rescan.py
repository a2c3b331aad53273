# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A guest sees the LUN that it was given, and lets go of it, without ever guessing which disk it is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import Ambiguous, CrossvisorError, NotFound, Refused, TimedOut
from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.linux.address import Address
from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.linux.rescan import Report, Request, Rescan
from tests.unit.module_utils._san.guests.linux.guest import GIB, NAME, OTHER, Attached, PlayedKernel, wipefs
from tests.unit.module_utils._san.linux.machines import Link

pytestmark = pytest.mark.slow

LUN = Attached("2:0:0:1", "sdb")
SECOND = Attached("3:0:4:0", "sdc")
NEIGHBOUR = Attached("2:0:0:0", "sda", OTHER)
SCAN_2, SCAN_3 = "/sys/class/scsi_host/host2/scan", "/sys/class/scsi_host/host3/scan"


class Hours:
    """A clock that goes on by what is slept, and lets things happen meanwhile."""

    def __init__(self) -> None:
        self.now = 0.0
        self.events: list[object] = []

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        if self.events:
            self.events.pop(0)()  # type: ignore[operator]


def work(kernel: PlayedKernel, hours: Hours | None = None, **request: object) -> Rescan:
    hours = hours or Hours()
    return Rescan(kernel, replace(Request(NAME), **request), clock=lambda: hours.now, sleep=hours.sleep)  # type: ignore[arg-type]


def device(report: Report) -> str:
    assert report.disk is not None
    return report.disk.device


def test_a_lun_that_is_not_seen_is_looked_for_behind_every_virtual_controller(tmp_path: Path) -> None:
    kernel = PlayedKernel(tmp_path, SECOND)
    report = work(kernel).present(check_mode=False)
    assert kernel.orders == [(SCAN_2, "- - -"), (SCAN_3, "- - -")]
    result = report.result()
    assert (device(report), result["changed"], result["scanned"]) == ("/dev/sdc", True, ["host2", "host3"])
    assert result["actions"] == ["rescan host2 (virtio_scsi), host3 (vmw_pvscsi)"]
    assert result["diff"] == {"before": {}, "after": {"naa": NAME.naa, "device": "/dev/sdc", "size_bytes": GIB}}


@pytest.mark.parametrize(
    ("address", "orders"),
    [
        ("SCSI(0:1)", [(SCAN_2, "- - 1"), (SCAN_3, "- 1 -")]),
        ("2:0:0:1", [(SCAN_2, "0 0 1")]),
        ("*:0:0:1", [(SCAN_2, "0 0 1"), (SCAN_3, "0 0 1")]),
    ],
)
def test_where_the_hypervisor_told_the_address_nothing_else_is_scanned(tmp_path: Path, address: str, orders: list[tuple[str, str]]) -> None:
    kernel = PlayedKernel(tmp_path, LUN, NEIGHBOUR)
    assert device(work(kernel, address=Address.parse(address)).present(check_mode=False)) == "/dev/sdb"
    assert kernel.orders == orders


def test_only_the_controller_that_is_named_is_scanned(tmp_path: Path) -> None:
    kernel = PlayedKernel(tmp_path, LUN)
    work(kernel, controller="0000:00:05.0").present(check_mode=False)
    assert kernel.orders == [(SCAN_2, "- - -")]


def test_a_lun_that_is_seen_is_read_again_and_nothing_changes(tmp_path: Path) -> None:
    kernel = PlayedKernel(tmp_path, LUN)
    kernel.show(LUN)
    report = work(kernel).present(check_mode=False)
    assert kernel.orders == [(f"{LUN.directory}/rescan", "1")]
    assert (report.result()["changed"], report.result()["scanned"]) == (False, [])


def test_a_lun_that_has_grown_shows_its_new_size(tmp_path: Path) -> None:
    kernel = PlayedKernel(tmp_path, replace(LUN, size_bytes=2 * GIB))
    kernel.show(LUN)
    result = work(kernel).present(check_mode=False).result()
    assert (result["changed"], result["disk"]["size_bytes"]) == (True, 2 * GIB)
    assert result["actions"] == [f"take over the size of /dev/sdb, {2 * GIB} bytes instead of {GIB}"]
    assert (result["diff"]["before"]["size_bytes"], result["diff"]["after"]["size_bytes"]) == (GIB, 2 * GIB)


def test_another_lun_behind_the_address_of_the_one_that_was_is_not_taken_for_it(tmp_path: Path) -> None:
    kernel = PlayedKernel(tmp_path)
    kernel.show(LUN)
    path = kernel.root / LUN.directory[1:]

    def read_again(order: str, _words: str) -> None:
        if order.endswith("rescan"):
            (path / "vpd_pg83").unlink()
            (path / "wwid").write_text(f"naa.{OTHER.naa}\n")

    kernel._write = read_again
    with pytest.raises(TimedOut, match=f"is not visible .* which show /dev/sdb \\(naa.{OTHER.naa}\\)"):
        work(kernel).present(check_mode=False)


def test_check_mode_gives_the_kernel_no_orders(tmp_path: Path) -> None:
    kernel = PlayedKernel(tmp_path, LUN)
    result = work(kernel).present(check_mode=True).result()
    assert (result["changed"], result["disk"], kernel.orders) == (True, None, [])
    assert result["diff"] == {"before": {}, "after": {"naa": NAME.naa}}
    kernel.show(LUN)
    result = work(kernel).present(check_mode=True).result()
    assert (result["changed"], result["disk"]["device"], kernel.orders) == (False, "/dev/sdb", [])


def test_a_lun_that_comes_late_is_waited_for(tmp_path: Path) -> None:
    kernel, hours = PlayedKernel(tmp_path), Hours()
    hours.events = [lambda: None, lambda: kernel.attached.append(LUN)]
    assert device(work(kernel, hours).present(check_mode=False)) == "/dev/sdb"
    assert kernel.orders == 3 * [(SCAN_2, "- - -"), (SCAN_3, "- - -")]


def test_udev_s_link_is_waited_for_without_scanning_again(tmp_path: Path) -> None:
    kernel, hours = PlayedKernel(tmp_path, LUN), Hours()
    kernel.links = False
    hours.events = [lambda: kernel.link(LUN)]
    report = work(kernel, hours, controller="host2").present(check_mode=False)
    assert report.disk is not None
    assert report.disk.by_id == f"/dev/disk/by-id/{NAME.wwn}"
    assert kernel.orders == [(SCAN_2, "- - -")]


def test_where_udev_does_not_run_no_link_is_waited_for(tmp_path: Path) -> None:
    kernel = PlayedKernel(tmp_path, LUN)
    kernel.links = False
    (tmp_path / "run/udev/control").unlink()
    assert device(work(kernel).present(check_mode=False)) == "/dev/sdb"


def test_multipath_is_waited_for_when_it_will_take_the_path(tmp_path: Path) -> None:
    kernel, hours = PlayedKernel(tmp_path), Hours()
    kernel.show(LUN)
    kernel.add({"/run/udev/data/b8:16": "E:DM_MULTIPATH_DEVICE_PATH=1"})
    hours.events = [lambda: kernel.multipath(LUN)]
    assert device(work(kernel, hours).present(check_mode=False)) == "/dev/mapper/mpathb"


def test_a_multipath_device_grows_with_its_paths(tmp_path: Path) -> None:
    grown = replace(LUN, size_bytes=2 * GIB)
    kernel = PlayedKernel(tmp_path, grown)
    kernel.show(LUN)
    kernel.multipath(LUN)
    kernel.says["multipathd"] = "ok"
    work(kernel).present(check_mode=False)
    assert ("multipathd", "resize", "map", "mpathb") in kernel.calls


@pytest.mark.parametrize(
    ("prepare", "error", "told"),
    [
        pytest.param(
            lambda kernel: kernel.show(NEIGHBOUR),
            TimedOut,
            rf"LUN {NAME} is not visible within 30 s after a rescan of host2 \(virtio_scsi\), host3 \(vmw_pvscsi\), which show "
            rf"/dev/sda \({OTHER}\): check that the hypervisor has attached the LUN to this VM",
            id="not attached",
        ),
        pytest.param(lambda kernel: None, TimedOut, "which show no disk", id="no disk at all"),
        pytest.param(
            lambda kernel: [kernel.show(LUN), kernel.show(SECOND)],
            Ambiguous,
            r"is there more than once, as /dev/sdb \(2:0:0:1\), /dev/sdc \(3:0:4:0\), and dm-multipath holds none of them",
            id="twice",
        ),
        pytest.param(
            lambda kernel: [kernel.show(LUN), (kernel.root / "dev/disk/by-id" / NAME.wwn).unlink()],
            TimedOut,
            "udev made no link to /dev/sdb .* see 'udevadm info /dev/sdb'",
            id="no link",
        ),
        pytest.param(
            lambda kernel: [kernel.show(LUN), kernel.add({"/run/udev/data/b8:16": "E:DM_MULTIPATH_DEVICE_PATH=1"})],
            TimedOut,
            r"dm-multipath claims /dev/sdb \(2:0:0:1\) .* but made no device of it within 30 s",
            id="no multipath device",
        ),
        pytest.param(
            lambda kernel: [kernel.show(LUN), kernel.forget_driver(LUN)],
            TimedOut,
            "is there as 2:0:0:1, but no disk driver took it within 30 s: load sd_mod",
            id="no driver",
        ),
        pytest.param(
            lambda kernel: setattr(kernel, "forbidden", True),
            CrossvisorError,
            "Only root may write to /sys/class/scsi_host/host2/scan: run the task with become: true",
            id="not root",
        ),
    ],
)
def test_what_is_missing_is_told(tmp_path: Path, prepare: object, error: type[Exception], told: str) -> None:
    kernel = PlayedKernel(tmp_path)
    prepare(kernel)  # type: ignore[operator]
    with pytest.raises(error, match=told):
        work(kernel).present(check_mode=False)


def test_without_a_virtual_controller_nothing_is_scanned(tmp_path: Path) -> None:
    kernel = PlayedKernel(tmp_path)
    for name in ("host2", "host3"):
        (tmp_path / "sys/class/scsi_host" / name).unlink()
    with pytest.raises(NotFound, match="This machine has no SCSI host 'host2'"):
        work(kernel, controller="host2").present(check_mode=False)


def lost(kernel: PlayedKernel, path: Attached) -> None:
    kernel.show(path)
    (kernel.root / path.directory[1:] / "state").write_text("offline\n")


def test_what_a_lost_lun_has_left_is_removed_before_it_comes_back(tmp_path: Path) -> None:
    kernel = PlayedKernel(tmp_path, SECOND)
    lost(kernel, LUN)
    (tmp_path / "dev/disk/by-id" / NAME.wwn).unlink()
    result = work(kernel).present(check_mode=False).result()
    assert result["disk"]["paths"] == [{"device": "/dev/sdc", "address": "3:0:4:0", "state": "active"}]
    assert result["actions"] == ["remove what is left of /dev/sdb (2:0:0:1)", "rescan host2 (virtio_scsi), host3 (vmw_pvscsi)"]


def test_what_a_lost_lun_has_left_stays_while_it_is_used(tmp_path: Path) -> None:
    kernel = PlayedKernel(tmp_path)
    lost(kernel, LUN)
    kernel.add({"/proc/self/mountinfo": "36 25 8:16 / /data rw - xfs /dev/sdb rw"})
    with pytest.raises(Refused, match=r"is lost on /dev/sdb \(2:0:0:1\) and still in use \(/dev/sdb is mounted at /data\)"):
        work(kernel).present(check_mode=False)
    (tmp_path / "proc/self/mountinfo").unlink()
    kernel.claimed = {"/dev/sdb"}
    with pytest.raises(Refused, match=r"still in use \(something holds it\)"):
        work(kernel).present(check_mode=False)
    assert kernel.orders == []


def lifeless(kernel: PlayedKernel) -> None:
    """A multipath device none of whose paths does I/O."""
    lost(kernel, LUN)
    kernel.show(SECOND)
    next((kernel.root / SECOND.directory[1:]).glob("block/*/size")).write_text("0\n")
    kernel.multipath(LUN, SECOND)


def test_a_multipath_device_without_a_path_that_answers_is_told_and_never_read(tmp_path: Path) -> None:
    kernel = PlayedKernel(tmp_path)
    lifeless(kernel)
    with pytest.raises(
        TimedOut, match=r"is there as /dev/sdb \(2:0:0:1\), /dev/sdc .*, but the array does not answer on any of these paths"
    ):
        work(kernel).present(check_mode=False)
    assert work(kernel).gathered().result()["disk"]["content"] is None
    assert kernel.flushed == []


def test_who_waits_for_a_multipath_device_without_paths_is_let_go_before_it_goes(tmp_path: Path) -> None:
    kernel = PlayedKernel(tmp_path)
    lifeless(kernel)
    kernel.says.update(multipathd="ok", multipath="")
    work(kernel).absent(check_mode=False)
    assert kernel.flushed == []
    assert kernel.calls == [("multipathd", "disablequeueing", "map", "mpathb"), ("multipath", "-R", "10", "-f", "mpathb")]


def test_a_path_without_a_lun_is_asked_again_and_one_that_is_out_of_reach_is_not(tmp_path: Path) -> None:
    kernel = PlayedKernel(tmp_path)
    lifeless(kernel)
    with pytest.raises(TimedOut):
        work(kernel).present(check_mode=False)
    assert [path for path, _words in kernel.orders if path.endswith("/rescan")] == [f"{SECOND.directory}/rescan"]


def test_a_disk_that_nobody_uses_is_flushed_and_forgotten(tmp_path: Path) -> None:
    kernel = PlayedKernel(tmp_path)
    kernel.show(LUN)
    result = work(kernel).absent(check_mode=False).result()
    assert (result["changed"], result["actions"], result["disk"]["device"]) == (True, ["remove /dev/sdb"], "/dev/sdb")
    assert (kernel.flushed, kernel.orders) == (["/dev/sdb"], [(f"{LUN.directory}/delete", "1")])
    assert result["diff"] == {"before": {"naa": NAME.naa, "device": "/dev/sdb", "size_bytes": GIB}, "after": {}}
    assert work(kernel).absent(check_mode=False).result()["changed"] is False


def test_in_check_mode_it_is_only_said(tmp_path: Path) -> None:
    kernel = PlayedKernel(tmp_path)
    kernel.show(LUN)
    assert work(kernel).absent(check_mode=True).result()["changed"] is True
    assert (kernel.flushed, kernel.orders) == ([], [])


def test_a_multipath_device_goes_before_its_paths(tmp_path: Path) -> None:
    kernel = PlayedKernel(tmp_path)
    kernel.show(LUN)
    kernel.show(SECOND)
    kernel.multipath(LUN, SECOND)
    kernel.says["multipath"] = ""
    work(kernel).absent(check_mode=False)
    assert kernel.flushed == ["/dev/mapper/mpathb"]
    assert ("multipath", "-f", "mpathb") in kernel.calls
    assert kernel.orders == [(f"{path.directory}/delete", "1") for path in (LUN, SECOND)]


def test_without_its_tools_a_multipath_device_stays(tmp_path: Path) -> None:
    kernel = PlayedKernel(tmp_path)
    kernel.show(LUN)
    kernel.multipath(LUN)
    with pytest.raises(CrossvisorError, match="held by dm-multipath, but there is no 'multipath': install multipath-tools"):
        work(kernel).absent(check_mode=False)
    assert kernel.orders == []


@pytest.mark.parametrize("check_mode", [True, False])
def test_a_disk_that_is_used_stays_and_its_users_are_named(tmp_path: Path, check_mode: bool) -> None:
    kernel = PlayedKernel(tmp_path)
    kernel.show(LUN)
    kernel.partition(LUN)
    kernel.add(
        {
            "/proc/self/mountinfo": "36 25 8:1 / /srv/data rw - xfs /dev/sdb1 rw",
            "/proc/7/comm": "postgres",
            "/proc/7/cwd": Link("/srv/data"),
        }
    )
    with pytest.raises(
        Refused, match=r"in use and stays: /dev/sdb1 is mounted at /srv/data and used by postgres \(7\); stop that use first"
    ):
        work(kernel).absent(check_mode)
    assert (kernel.flushed, kernel.orders) == ([], [])


def test_a_disk_that_something_unseen_holds_stays(tmp_path: Path) -> None:
    kernel = PlayedKernel(tmp_path)
    kernel.show(LUN)
    kernel.claimed = {"/dev/sdb"}
    with pytest.raises(Refused, match="/dev/sdb is held by something that /proc and /sys do not name, such as a mount inside a container"):
        work(kernel).absent(check_mode=False)
    assert kernel.orders == []


def test_a_disk_that_will_not_go_is_told(tmp_path: Path) -> None:
    kernel = PlayedKernel(tmp_path)
    kernel.show(LUN)
    kernel._write = lambda _path, _words: None
    with pytest.raises(TimedOut, match=r"/dev/sdb \(2:0:0:1\) of LUN .* is still there 30 s after its removal"):
        work(kernel).absent(check_mode=False)


def test_gathering_tells_the_disk_its_contents_and_its_users_and_changes_nothing(tmp_path: Path) -> None:
    kernel = PlayedKernel(tmp_path)
    assert work(kernel).gathered().result() == {
        "changed": False,
        "actions": [],
        "diff": {"before": {}, "after": {}},
        "scanned": [],
        "disk": None,
        "used_by": [],
    }
    kernel.show(LUN)
    kernel.says["wipefs"] = wipefs({"sdb": ["swap"]})
    kernel.add({"/proc/swaps": "Filename Type\n/dev/sdb partition"})
    result = work(kernel).gathered().result()
    assert (result["changed"], result["disk"]["content"]) == (False, {"partition_table": "", "signatures": ["swap"], "data": False})
    assert result["used_by"] == [{"kind": "swap", "device": "/dev/sdb", "name": "/dev/sdb", "processes": []}]
    kernel.readable = False
    assert work(kernel).gathered().result()["disk"]["content"] is None
    assert kernel.orders == []
