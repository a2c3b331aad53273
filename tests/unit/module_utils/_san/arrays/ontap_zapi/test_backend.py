# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The port over ZAPI: who the array is, what the bulk reads tell, and the account of one SVM."""

from __future__ import annotations

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.base import WithdrawWish
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import MissingRight, RemoteError
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import ArrayAbout
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.array_view import ArraySource, view
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.provision import CHANGED, provision, withdraw
from tests.lab.ontap.state import REST
from tests.lab.world import naa_at
from tests.unit.ontap import HOST_A, SVM, address, wish
from tests.unit.ontap_array import BenchInPlace

NAME = ScsiName(naa_at("/vol/vol_prod/ds_single"))


class TestWhoTheArrayIs:
    @pytest.mark.parametrize("release", ["9.8.0", "9.10.1", "9.17.1"])
    def test_is_told_by_its_cluster(self, bench: BenchInPlace, release: str) -> None:
        bench.become(release)
        uuid = bench.server.array.uuid
        assert bench.backend().about() == ArrayAbout("ontap", "lab-ontap", "127.0.0.1", release, uuid)

    def test_must_be_recent_enough(self, bench: BenchInPlace) -> None:
        bench.become("9.7.0")
        with pytest.raises(RemoteError, match=r"runs ONTAP 9\.7\.0, and this collection needs 9\.8 or later: upgrade the array\."):
            bench.backend().about()

    def test_is_its_address_to_who_may_not_know_the_cluster(self, bench: BenchInPlace) -> None:
        bench.log_in(denied=["cluster-identity-get"])
        assert bench.backend().about() == ArrayAbout("ontap", "127.0.0.1", "127.0.0.1", "9.16.1", "")


class TestTheAccountOfAnSvm:
    @pytest.fixture
    def scoped(self, bench: BenchInPlace) -> BenchInPlace:
        bench.log_in(svm=SVM)
        return bench

    def test_knows_the_array_by_its_address_and_its_release(self, scoped: BenchInPlace) -> None:
        assert scoped.backend().about() == ArrayAbout("ontap", "127.0.0.1", "127.0.0.1", "9.16.1", "")

    def test_provisions_and_removes_a_lun(self, scoped: BenchInPlace) -> None:
        before = scoped.state()
        assert provision(scoped.backend(), wish(), CHANGED, check_mode=False).created
        gone = WithdrawWish(address(), initiators=HOST_A, delete=True)
        assert withdraw(scoped.backend(), gone, None, check_mode=False).outcome.changed
        assert scoped.state() == before

    def test_maps_the_luns_of_its_svm(self, scoped: BenchInPlace) -> None:
        found = view([ArraySource("lab", scoped.backend)], [NAME], with_exports=True)
        assert (found.failures, [lun.path for _about, lun in found.luns[NAME]]) == ([], ["/vol/vol_prod/ds_single"])


class TestAnAccountWithoutARight:
    def test_is_told_which_command_its_role_lacks(self, bench: BenchInPlace) -> None:
        bench.log_in(denied=["lun-get-iter"])
        with pytest.raises(MissingRight, match=r"User admin may not call lun-get-iter on array .*security login role"):
            bench.backend().plan_provision(wish())

    def test_that_may_not_list_svms_reads_luns_all_the_same(self, bench: BenchInPlace) -> None:
        bench.log_in(denied=["vserver-get-iter"])
        (lun,) = bench.backend().luns([NAME])
        assert lun.svm_id == ""


class TestWhatRestTellsToo:
    """The same array, the same answers."""

    def test_luns_with_those_who_see_them(self, bench: BenchInPlace) -> None:
        bench.provision(wish())
        by_rest = BenchInPlace(bench.server, bench.connection, bench.clock, transport=REST)
        names = [NAME, *[lun.name for lun in [bench.backend().plan_provision(wish()).lun()] if lun]]
        assert len(names) == 2
        assert sorted(bench.backend().luns(names), key=str) == sorted(by_rest.backend().luns(names), key=str)

    def test_exported_volumes(self, bench: BenchInPlace) -> None:
        by_rest = BenchInPlace(bench.server, bench.connection, bench.clock, transport=REST)
        assert bench.backend().volumes() == by_rest.backend().volumes()

    @pytest.mark.parametrize("down", [False, True])
    def test_targets(self, bench: BenchInPlace, down: bool) -> None:
        by_rest = BenchInPlace(bench.server, bench.connection, bench.clock, transport=REST)
        if down:
            svm = bench.server.array.svms[0]
            svm.down |= {svm.portals[0], svm.fc_lifs[0]["wwpn"]}
        assert bench.backend().targets(SVM, ("iscsi", "fc")) == by_rest.backend().targets(SVM, ("iscsi", "fc"))
        assert bench.backend().targets("svm_none", ("iscsi", "fc")) == []
