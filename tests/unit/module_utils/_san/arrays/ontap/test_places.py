# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether there is a place for a LUN, and which names are near when there is none."""

from __future__ import annotations

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.places import no_lun, require_place
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_rest.client import OntapClient
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_rest.transport import RestTransport
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import NotFound
from tests.unit.ontap import Endpoint, address, error, records


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
