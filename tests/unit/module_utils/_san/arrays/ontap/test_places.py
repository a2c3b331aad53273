# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which LUN is meant, whether there is a place for one, and which names are near when there is none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.luns import StoredLun
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.places import (
    find,
    missing_place,
    no_lun,
    require,
    require_place,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_rest.client import OntapClient
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_rest.transport import RestTransport
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import (
    Ambiguous,
    CrossvisorError,
    InvalidInput,
    MissingRight,
    NotFound,
    Refused,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import Lun
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from tests.unit.ontap import Endpoint, address, error, records
from tests.unit.ports import NAME


@pytest.fixture
def transport(array: Endpoint) -> RestTransport:
    return RestTransport(OntapClient(array.connection))


class TestThePlaceOfALun:
    def test_that_exists_is_asked_for_once(self, transport: RestTransport, array: Endpoint) -> None:
        array.answer(records({"uuid": "v", "name": "vol_prod", "svm": {"name": "svm_san"}}))
        require_place(transport, address())
        assert len(array.asked) == 1

    def test_without_a_volume_names_it(self, transport: RestTransport, array: Endpoint) -> None:
        volumes = [{"uuid": name, "name": name, "svm": {"name": "svm_san"}} for name in ("vol_prod1", "home")]
        array.answer(records(), records({"uuid": "s", "name": "svm_san"}), records(*volumes))
        with pytest.raises(
            NotFound, match=r"no volume vol_prod in SVM svm_san of array .*correct its name, or create it; did you mean vol_prod1\?$"
        ):
            require_place(transport, address())

    def test_without_an_svm_names_that(self, transport: RestTransport, array: Endpoint) -> None:
        array.answer(records(), records({"uuid": "s", "name": "SVM_SAN"}, {"uuid": "t", "name": "nas"}))
        with pytest.raises(NotFound, match=r"no SVM svm_san on array .*: correct its name; did you mean SVM_SAN\?$"):
            require_place(transport, address())


class TestALunThatIsNotThere:
    def test_is_told_with_those_of_its_volume_that_are_near(self, transport: RestTransport, array: Endpoint) -> None:
        place = {"svm": {"name": "svm_san"}, "location": {"volume": {"name": "vol_prod"}}}
        luns = [{"uuid": name, "name": f"/vol/vol_prod/{name}", **place} for name in ("News", "other")]
        array.answer(records({"uuid": "v", "name": "vol_prod", "svm": {"name": "svm_san"}, "state": "online"}), records(*luns))
        told = str(no_lun(transport, address("new"), "correct its name"))
        assert told.endswith(": correct its name; did you mean News?")

    def test_in_a_volume_that_is_not_there_either_is_told_by_that(self, transport: RestTransport, array: Endpoint) -> None:
        array.answer(records(), records({"uuid": "s", "name": "svm_san"}), records())
        assert "no volume vol_prod in SVM" in str(no_lun(transport, address(), "correct its name"))

    def test_is_told_also_when_its_volume_cannot_be_asked_about(self, transport: RestTransport, array: Endpoint) -> None:
        array.answer(error(500, "1", "broken"))
        assert str(no_lun(transport, address(), "correct its name")).endswith(": correct its name.")


def stored(path: str) -> StoredLun:
    return StoredLun(Lun(path, path, NAME, "serial", 1, "linux", "svm_san", "vol_prod"), "")


@dataclass
class Array:
    """What an array has, or what it says instead."""

    luns: tuple[StoredLun, ...] = ()
    volume: str | None = "online"
    svms: tuple[str, ...] | CrossvisorError = ("svm_san",)
    connection: str = "array01"

    def lun_at(self, wanted: Any) -> StoredLun | None:
        return next((one for one in self.luns if one.lun.path == f"/vol/{wanted.volume}/{wanted.lun}"), None)

    def luns_with_serials(self, serials: list[str]) -> list[StoredLun]:
        return list(self.luns) if serials == [NAME.ontap_serial] else []

    def lun_paths(self, _svm: str, _volume: str) -> list[str]:
        return [one.lun.path for one in self.luns]

    def volume_state(self, _svm: str, _volume: str) -> str | None:
        return self.volume

    def volume_names(self, _svm: str) -> list[str]:
        return []

    def svm_names(self) -> tuple[str, ...]:
        if isinstance(self.svms, CrossvisorError):
            raise self.svms
        return self.svms


ONE, OTHER = stored("/vol/vol_prod/new"), stored("/vol/vol_prod/other")


class TestTheLunThatIsMeant:
    def test_is_the_one_at_the_place(self) -> None:
        array: Any = Array((OTHER, ONE))
        assert (find(array, address()), find(array, address("none"))) == (ONE, None)
        assert require(array, address()) is ONE

    def test_is_the_one_of_the_name(self) -> None:
        array: Any = Array((ONE,))
        assert find(array, NAME) is require(array, NAME) is ONE

    def test_is_none_of_several_of_one_name(self) -> None:
        array: Any = Array((ONE, OTHER))
        with pytest.raises(Ambiguous, match="svm_san:/vol/vol_prod/new, svm_san:/vol/vol_prod/other; name one of them by SVM"):
            find(array, NAME)

    @pytest.mark.parametrize(
        ("name", "maker"),
        [("624a9370000000000000000000000001", "Pure Storage"), ("60000000000000000000000000000001", "its maker is not known")],
    )
    def test_is_none_that_another_maker_has_named(self, name: str, maker: str) -> None:
        array: Any = Array((ONE,))
        with pytest.raises(InvalidInput, match=rf"is not the name of an ONTAP LUN \({maker}\)"):
            find(array, ScsiName(name))

    def test_has_to_be_there(self) -> None:
        array: Any = Array()
        assert find(array, NAME) is None
        with pytest.raises(NotFound, match=r"There is no LUN naa\.\w+ on array array01: correct its name, or ask the array that has it"):
            require(array, NAME)
        with pytest.raises(NotFound, match=r"There is no LUN svm_san:/vol/vol_prod/new on array array01: correct its name"):
            require(array, address())


class TestAPlaceThatIsMissing:
    def test_is_a_warning_of_what_is_not_there(self) -> None:
        array: Any = Array(volume=None)
        (told,) = missing_place(array, address())
        assert told.startswith("There is no volume vol_prod in SVM svm_san of array array01")

    @pytest.mark.parametrize("volume", ["online", "offline"])
    def test_is_none_where_there_is_one(self, volume: str) -> None:
        array: Any = Array(volume=volume)
        assert missing_place(array, address()) == []

    def test_is_told_of_the_volume_where_nobody_may_ask_for_svms(self) -> None:
        array: Any = Array(volume=None, svms=MissingRight("no right"))
        with pytest.raises(NotFound, match="There is no volume vol_prod"):
            require_place(array, address())

    def test_is_no_volume_that_is_offline(self) -> None:
        array: Any = Array(volume="offline")
        with pytest.raises(Refused, match="offline"):
            require_place(array, address())
