# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which SnapMirror relationships present a LUN from another array too, as ZAPI tells them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from lxml import etree
from netapp_lib.api.zapi.zapi import NaElement

from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.mirrors import Mirror
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_zapi.mirrors import all_mirrors
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import Use
from tests.unit.ontap import wish
from tests.unit.ontap_array import BenchInPlace

pytestmark = pytest.mark.slow

MIRROR = {
    "source": "svm_san:/cg/app", "destination": "svm_b:/cg/app", "volumes": ["vol_prod"], "policy": "AutomatedFailOver", "type": "sync",
    "partner": "lab-ontap-b", "is_source": True,
}  # fmt: skip


def uses(bench: BenchInPlace, **changes: Any) -> list[Use]:
    _first, lun = bench.provision(wish())
    assert lun is not None
    bench.server.control("POST", "/faults", {"mirror": {**MIRROR, **changes}})
    return bench.backend().uses(lun)


def test_a_mirror_that_begins_here_presents_the_lun_there(bench: BenchInPlace) -> None:
    (use,) = uses(bench)
    assert use.lun is not None
    assert use.name == "of svm_san:/cg/app with svm_b:/cg/app of cluster unknown"
    assert use.how == "with policy unknown presents it there too"


def test_a_mirror_that_ends_here_presents_the_lun_there_too(bench: BenchInPlace) -> None:
    (use,) = uses(bench, source="svm_b:/cg/app", destination="svm_san:/cg/app", is_source=False)
    assert use.name == "of svm_san:/cg/app with svm_b:/cg/app of cluster lab-ontap-b"
    assert use.how == "with policy AutomatedFailOver presents it there too"


@pytest.mark.parametrize(
    "changes",
    [
        {"type": "async_mirror"}, {"type": "vault"}, {"type": "mirror_vault"}, {"volumes": ["vol_dev"]},
        {"source": "svm_dr:/cg/app"}, {"source": "svm_san:vol_prod"},
    ],
    ids=lambda changes: str(*changes.values()),
)  # fmt: skip
def test_other_mirrors_are_no_second_way_to_the_lun(bench: BenchInPlace, changes: dict[str, Any]) -> None:
    assert uses(bench, **changes) == []


@pytest.mark.parametrize("changes", [{"type": ""}, {"volumes": []}], ids=["no policy type", "no volumes"])
def test_a_mirror_that_does_not_tell_enough_may_have_the_lun(bench: BenchInPlace, changes: dict[str, Any]) -> None:
    (use,) = uses(bench, **changes)
    assert (use.lun, use.how) == (None, "does not tell whether it has it")


class Answering:
    """A client that tells of each API the one record that it was given."""

    def __init__(self, **records: str) -> None:
        self._records = records

    def read(self, api: str, _tag: str, _fields: object, _query: object, make: Callable[[Any], Mirror]) -> list[Mirror]:
        xml = self._records.get(api.replace("-", "_"))
        return [make(NaElement(etree.fromstring(f"<info>{xml}</info>")))] if xml else []


def test_the_volumes_of_an_end_are_those_on_its_side_of_each_pair() -> None:
    items = "<string>nvol:@tvol</string><string>ovol:@nvol</string><string>half</string>"
    record = f"<relationship-id>r-1</relationship-id><cg-item-mappings>{items}</cg-item-mappings>"
    (begins, ends) = all_mirrors(Answering(snapmirror_get_destination_iter=record, snapmirror_get_iter=record))  # type: ignore[arg-type]
    assert begins.uuid == "r-1"
    assert (begins.volumes, ends.volumes) == (frozenset({"nvol", "ovol"}), frozenset({"tvol", "nvol"}))


@pytest.mark.parametrize("api", ["snapmirror-get-iter", "snapmirror-get-destination-iter"])
def test_what_may_not_be_read_is_a_use_of_any_lun(bench: BenchInPlace, api: str) -> None:
    bench.log_in(denied=[api])
    (use,) = uses(bench)
    assert use.lun is None
    assert f"cannot be read, User admin may not call {api}" in use.how
