# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The port as services use it: who the array is, and how many requests the bulk reads cost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.base import WithdrawWish
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.backend import OntapArray
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.transport import MOST_READ
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_rest.backend import OntapRest
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_rest.client import OntapClient
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import (
    AuthenticationFailed,
    ConnectionFailed,
    NotFound,
    Refused,
    RemoteError,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import ArrayAbout, Lun
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.array_view import ArraySource, view
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.provision import CHANGED, provision, withdraw
from tests.lab.world import naa_at
from tests.unit.module_utils._san.arrays.ontap_rest.test_lookup import LUN
from tests.unit.ontap import HOST_A, SVM, Endpoint, Reply, address, error, records, wish
from tests.unit.ontap_array import BenchInPlace


@pytest.fixture
def backend(array: Endpoint) -> Iterator[OntapRest]:
    opened = OntapRest(array.connection)
    yield opened
    opened.close()


def cluster(generation: int, major: int, minor: int) -> Reply:
    version = {"generation": generation, "major": major, "minor": minor, "full": "…"}
    return Reply(body={"name": "c1", "uuid": "u1", "version": version, "disaggregated": False})


def test_nothing_is_sent_before_something_is_asked(backend: OntapRest, array: Endpoint) -> None:
    assert array.asked == []


def test_whoever_closes_it_closes_its_connection(backend: OntapRest, monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[object] = []

    def close(client: OntapClient) -> None:
        closed.append(client)

    monkeypatch.setattr(OntapClient, "close", close)
    backend.close()
    assert closed == [backend._client]


class TestWhoTheArrayIs:
    @pytest.mark.parametrize("version", [(9, 11, 1), (9, 12, 0), (9, 16, 1), (10, 0, 0)])
    def test_is_told_by_its_cluster(self, backend: OntapRest, array: Endpoint, version: tuple[int, int, int]) -> None:
        array.answer(cluster(*version))
        assert backend.about() == ArrayAbout("ontap", "c1", "127.0.0.1", ".".join(map(str, version)), "u1")

    @pytest.mark.parametrize("version", [(9, 11, 0), (9, 8, 1), (8, 99, 99)])
    def test_must_be_recent_enough(self, backend: OntapRest, array: Endpoint, version: tuple[int, int, int]) -> None:
        array.answer(cluster(*version))
        text = r"\.".join(map(str, version))
        with pytest.raises(RemoteError, match=rf"127\.0\.0\.1:\d+ runs ONTAP {text}, and this collection needs 9\.11\.1 or later: upgrade"):
            backend.about()

    def test_is_its_address_where_an_svm_is_all_that_answers(self, backend: OntapRest, array: Endpoint) -> None:
        array.answer(Reply(body={"version": {"generation": 9, "major": 15, "minor": 1}}))
        assert backend.about().name == "127.0.0.1"

    def test_is_not_another_products_answer(self, backend: OntapRest, array: Endpoint) -> None:
        array.answer(Reply(body={"name": "c1", "status": "ok"}))
        with pytest.raises(ConnectionFailed, match="does not answer as ONTAP"):
            backend.about()


class TestTheAccountOfAnSvm:
    """It may not read `/cluster`: HTTP 403, code 6."""

    @pytest.fixture
    def scoped(self, bench: BenchInPlace) -> BenchInPlace:
        bench.log_in(svm=SVM)
        return bench

    def test_knows_the_array_by_its_address(self, scoped: BenchInPlace) -> None:
        assert scoped.backend().about() == ArrayAbout("ontap", "127.0.0.1", "127.0.0.1", "", "")

    def test_provisions_and_removes_a_lun(self, scoped: BenchInPlace) -> None:
        before = scoped.state()
        report = provision(scoped.backend(), wish(), CHANGED, check_mode=False)
        assert (report.created, report.array.version) == (True, "")
        gone = WithdrawWish(address(), initiators=HOST_A, delete=True)
        assert withdraw(scoped.backend(), gone, None, check_mode=False).outcome.changed
        assert scoped.state() == before

    def test_maps_the_luns_of_its_svm(self, scoped: BenchInPlace) -> None:
        name = ScsiName(naa_at("/vol/vol_prod/ds_single"))
        found = view([ArraySource("lab", scoped.backend)], [name], with_exports=True)
        assert (found.failures, [lun.path for _about, lun in found.luns[name]]) == ([], ["/vol/vol_prod/ds_single"])

    def test_is_told_what_is_wrong_where_it_may_not_ask_why(self, scoped: BenchInPlace) -> None:
        scoped.log_in(svm=SVM, denied=["/api/svm/svms"])
        with pytest.raises(NotFound, match=r"There is no volume nowhere in SVM svm_san of array .*: correct its name, or create it"):
            scoped.provision(wish(address=address(volume="nowhere")))

    def test_is_not_taken_for_one_whose_password_is_wrong(self, backend: OntapRest, array: Endpoint) -> None:
        array.answer(error(401, "6691623", "User is not authorized."))
        with pytest.raises(AuthenticationFailed, match="refuses user"):
            backend.about()


class TestAnAsaR2:
    TOLD = r"is an ASA r2, whose storage units this collection does not know: use a unified ONTAP system or an ASA before r2\."

    @pytest.mark.parametrize(
        "work",
        [
            lambda array: array.about(),
            lambda array: provision(array, wish(), CHANGED, check_mode=False),
            lambda array: withdraw(array, WithdrawWish(address(), delete=True), None, check_mode=False),
        ],
        ids=["who it is", "provision", "withdraw"],
    )
    def test_is_refused_before_anything_is_looked_for(self, bench: BenchInPlace, work: Callable[[OntapArray], object]) -> None:
        bench.become("9.18.1", disaggregated=True)
        with bench.counted() as sent, pytest.raises(Refused, match=rf"^The array 127\.0\.0\.1:443 {self.TOLD}$"):
            work(bench.backend())
        assert sent == ["GET /api/cluster"]

    @pytest.mark.parametrize(("told", "refused"), [({"disaggregated": True}, True), ({"disaggregated": False}, False), ({}, False)])
    def test_is_asked_for_by_name_where_a_look_at_everything_leaves_it_out(
        self, backend: OntapRest, array: Endpoint, told: dict[str, bool], refused: bool
    ) -> None:
        """As ONTAP does with the predefined role of an SVM's account, vsadmin."""
        version = {"version": {"generation": 9, "major": 16, "minor": 1}}
        array.answer(Reply(body=version), Reply(body={**version, **told}))
        with pytest.raises(Refused, match=self.TOLD) if refused else nullcontext():
            backend.about()
        assert [asked.query["fields"] for asked in array.asked] == ["*", "version,disaggregated"]

    def test_is_told_for_each_row_of_a_map(self, bench: BenchInPlace) -> None:
        bench.become("9.18.1", disaggregated=True)
        found = view([ArraySource("lab", bench.backend)], [], with_exports=False)
        assert len(found.failures) == 1
        assert "is an ASA r2" in found.failures[0]

    def test_is_known_by_its_luns_to_an_account_that_may_not_ask(self, backend: OntapRest, array: Endpoint) -> None:
        array.answer(records({**LUN, "name": "lun1"}))
        with pytest.raises(Refused, match=rf"The array of LUN svm1:lun1 {self.TOLD}"):
            backend.plan_withdraw(WithdrawWish(ScsiName.from_ontap_serial(LUN["serial_number"]), delete=True))


class TestNamedLuns:
    NAME = ScsiName.from_ontap_serial(LUN["serial_number"])

    def test_of_other_vendors_are_not_asked_for(self, backend: OntapRest, array: Endpoint) -> None:
        e_series = ScsiName("600a0980000000000000000000000001")
        assert backend.luns([ScsiName("624a9370" + "0" * 24), e_series]) == []
        assert array.asked == []

    def test_are_asked_for_once_each(self, backend: OntapRest, array: Endpoint) -> None:
        array.answer(records(LUN))
        assert [lun.name for lun in backend.luns([self.NAME, self.NAME])] == [self.NAME]
        assert array.asked[0].query["serial_number"] == LUN["serial_number"]

    def test_before_9_16_cost_one_request_more_for_their_initiators(self, backend: OntapRest, array: Endpoint) -> None:
        old = {**LUN, "lun_maps": [{"logical_unit_number": 0, "igroup": {"name": "ig1", "uuid": "ig-1"}}]}
        group = {"uuid": "ig-1", "name": "ig1", "svm": {"name": "svm1"}, "initiators": [{"name": "iqn.a"}]}
        array.answer(records(old), records(group))
        (lun,) = backend.luns([self.NAME])
        assert lun.mappings[0].initiators == ("iqn.a",)


@pytest.mark.parametrize(
    ("kinds", "paths"),
    [
        ({"fc"}, ["/api/network/fc/interfaces"]),
        ({"iscsi"}, ["/api/protocols/san/iscsi/services"]),
        ({"iscsi", "fc"}, ["/api/protocols/san/iscsi/services", "/api/network/fc/interfaces"]),
        (set(), []),
    ],
)
def test_only_the_targets_of_the_kinds_asked_for_are_looked_up(
    backend: OntapRest, array: Endpoint, kinds: set[str], paths: list[str]
) -> None:
    array.answer(*[records()] * len(paths))
    assert backend.targets("svm1", kinds) == []
    assert [asked.path for asked in array.asked] == paths


class TestReading:
    LUN = Lun("u1", "/vol/v/l", ScsiName(naa_at("/vol/vol_prod/ds_single")), "", 1 << 30, "linux", SVM, "v")

    def form(self, data: str) -> Reply:
        return Reply(text=f"--b\r\n\r\n{data}\r\n--b--", headers={"Content-Type": "multipart/form-data; boundary=b"})

    def test_takes_as_many_requests_as_the_limit_of_ontap_makes_of_it(self, backend: OntapRest, array: Endpoint) -> None:
        array.answer(self.form("a" * MOST_READ), self.form("b" * 512))
        assert backend.read(self.LUN, 4096, MOST_READ + 512) == b"a" * MOST_READ + b"b" * 512
        asked = [(one.path, one.query) for one in array.asked]
        assert asked == [
            ("/api/storage/luns/u1", {"data.offset": "4096", "data.size": str(MOST_READ)}),
            ("/api/storage/luns/u1", {"data.offset": str(4096 + MOST_READ), "data.size": "512"}),
        ]
        assert MOST_READ <= 1_000_000
        assert MOST_READ % 4096 == 0

    @pytest.mark.parametrize("length", [511, 513])
    def test_of_other_than_what_was_asked_for_is_no_data(self, backend: OntapRest, array: Endpoint, length: int) -> None:
        array.answer(self.form("a" * length))
        with pytest.raises(RemoteError, match=f"gave {length} bytes of LUN /vol/v/l in place of 512"):
            backend.read(self.LUN, 0, 512)
