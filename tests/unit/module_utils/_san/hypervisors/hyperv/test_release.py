# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""LUNs out of use on hosts, and forgotten by them."""

from __future__ import annotations

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import Refused, StepFailed
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv import release
from ansible_collections.crossvisor.san.plugins.module_utils._san.plan import Plan, carry_out
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from tests.lab import world
from tests.lab.hyperv_world import lun_path
from tests.unit.hyperv_host import DATA, GROUP, HOST, HOST_ID, SPARE, SPARE_PATH, HyperVHost, then_fail
from tests.unit.windows import lost, nodes, waiting


@pytest.fixture
def host() -> HyperVHost:
    found = HyperVHost()
    found.see_spare()
    return found


def unmap(host: HyperVHost) -> None:
    group = next(row for row in host.lab.world["array"]["svms"][0]["igroups"] if row["name"] == GROUP)
    group["maps"] = [row for row in group["maps"] if row["lun"] != SPARE_PATH]


class TestRelease:
    def test_a_disk_that_is_offline_or_not_there_is_released(self, host: HyperVHost) -> None:
        assert not carry_out(release.plan_release(host.nodes, [HOST_ID], SPARE), check_mode=False).changed
        host.estate.disks.remove(host.disk(SPARE))
        assert not carry_out(release.plan_release(host.nodes, [HOST_ID], SPARE), check_mode=False).changed

    def test_an_online_disk_without_volumes_goes_offline(self, host: HyperVHost) -> None:
        host.disk(SPARE).offline = False
        outcome = carry_out(release.plan_release(host.nodes, [HOST_ID], SPARE), check_mode=False)
        assert outcome.actions == [f"release LUN {SPARE} on host {HOST}"]
        assert outcome.diff() == {"before": {f"LUN {SPARE}": {HOST: "online"}}, "after": {f"LUN {SPARE}": {HOST: "offline"}}}
        assert host.disk(SPARE).offline

    def test_every_path_of_a_host_without_mpio_goes_offline(self, host: HyperVHost) -> None:
        host.lab.estate.set_multipath(HOST, on=False)
        host.lab.estate.rescan(host.estate)
        paths = host.estate.disks_of(SPARE.naa)
        for disk in paths:
            disk.offline = False
        release.plan_release(host.nodes, [HOST_ID], SPARE).run()
        assert len(paths) > 1
        assert all(disk.offline for disk in paths)

    def test_a_disk_with_volumes_is_refused(self, host: HyperVHost) -> None:
        with pytest.raises(StepFailed, match=r"in use as disk \d+ with E:\\, so it will not be released"):
            release.plan_release(host.nodes, [HOST_ID], DATA).run()
        assert not host.disk(DATA).offline

    def test_it_is_online_again_when_a_later_step_fails(self, host: HyperVHost) -> None:
        host.disk(SPARE).offline = False
        assert "undone: release LUN" in then_fail(*release.plan_release(host.nodes, [HOST_ID], SPARE).steps)
        assert not host.disk(SPARE).offline

    def test_a_disk_that_the_cluster_keeps_is_refused_by_the_clusters_name(self, host: HyperVHost) -> None:
        witness = ScsiName(world.naa_at(lun_path("hvc1_witness")))
        cluster = nodes(host.lab, "hvc1n1.lab")
        with pytest.raises(StepFailed, match="still a disk of cluster hvc1"):
            release.plan_release(cluster, ["HVC1N1", "HVC1N2"], witness).run()


class TestForget:
    def test_a_lun_that_was_unmapped_is_gone_after_it(self, host: HyperVHost) -> None:
        unmap(host)
        outcome = carry_out(release.plan_forget(host.nodes, [HOST_ID], SPARE), check_mode=False)
        assert outcome.actions == [f"forget LUN {SPARE} on host {HOST}"]
        assert host.estate.disks_of(SPARE.naa) == []
        assert not carry_out(release.plan_forget(host.nodes, [HOST_ID], SPARE), check_mode=False).changed

    def test_a_lost_answer_is_read_back(self, host: HyperVHost) -> None:
        unmap(host)
        host.wire.after_next["UpdateHostStorageCache"] = lost
        release.plan_forget(host.nodes, [HOST_ID], SPARE).run()
        assert host.estate.disks_of(SPARE.naa) == []

    def test_a_host_whose_first_look_finds_nothing_new_looks_again(self, host: HyperVHost) -> None:
        unmap(host)
        host.estate.blind_rescans = 1
        assert Plan([release.ForgetDisk(host.nodes, HOST_ID, SPARE, waiting())]).run()
        assert host.estate.disks_of(SPARE.naa) == []
        assert host.wire.count("UpdateHostStorageCache") == 2

    def test_a_lun_that_is_still_presented_is_refused(self, host: HyperVHost) -> None:
        with pytest.raises(StepFailed, match=r"still presented by the array to host hv01\.lab: unmap it there first"):
            Plan([release.ForgetDisk(host.nodes, HOST_ID, SPARE, waiting())]).run()

    def test_a_lun_that_is_in_service_is_refused_without_a_rescan(self, host: HyperVHost) -> None:
        host.disk(SPARE).offline = False
        (step,) = release.plan_forget(host.nodes, [HOST_ID], SPARE).steps
        with pytest.raises(Refused, match=f"LUN {SPARE} is online on host hv01.lab: release it"):
            step.do()
        assert host.wire.count("UpdateHostStorageCache") == 0
