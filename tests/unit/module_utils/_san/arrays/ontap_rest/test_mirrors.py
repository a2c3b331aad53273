# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which SnapMirror relationships present a LUN from another array too. The records follow the examples in NetApp's reference."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_rest.backend import OntapRest
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import Use
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from tests.unit.ontap import Endpoint, Reply, error, records
from tests.unit.ports import lun as any_lun

NAME = ScsiName.from_ontap_serial("80Lab-aaaaa1")
LUN = any_lun(NAME)


def end(path: str, *volumes: str, cluster: str = "cluster2") -> dict[str, Any]:
    return {"path": path, "cluster": {"name": cluster}, "consistency_group_volumes": [{"name": name} for name in volumes]}


def relationship(**changes: Any) -> dict[str, Any]:
    mirror = {
        "uuid": "r-1",
        "policy": {"name": "AutomatedFailOverDuplex", "type": "sync"},
        "source": end("svm1:/cg/app", "v1", "v2", cluster="cluster1"),
        "destination": end("svm_b:/cg/app_dst", "v1_dst", "v2_dst"),
    }
    return {**mirror, **changes}


def uses(array: Endpoint, begin_here: Reply, end_here: Reply) -> list[Use]:
    array.answer(begin_here, end_here)
    return OntapRest(array.connection).uses(LUN)


def test_both_ends_are_asked_for(array: Endpoint) -> None:
    assert uses(array, records(), records()) == []
    assert [asked.query.get("list_destinations_only") for asked in array.asked] == ["true", None]
    assert {asked.path for asked in array.asked} == {"/api/snapmirror/relationships"}
    ends = [f"{end}.{field}" for end in ("source", "destination") for field in ("path", "cluster.name", "consistency_group_volumes.name")]
    assert {asked.query["fields"] for asked in array.asked} == {",".join(["uuid", "policy.name", "policy.type", *ends])}


def test_a_mirror_that_begins_here_presents_the_lun_there(array: Endpoint) -> None:
    (use,) = uses(array, records(relationship()), records())
    assert (use.lun, use.id) == (NAME, "r-1")
    assert f"{use.kind} {use.name} {use.how}" == (
        "SnapMirror relationship of svm1:/cg/app with svm_b:/cg/app_dst of cluster cluster2 "
        "with policy AutomatedFailOverDuplex presents it there too"
    )


def test_a_mirror_that_ends_here_presents_the_lun_there_too(array: Endpoint) -> None:
    turned = relationship(source=end("svm_b:/cg/app", "x"), destination=end("svm1:/cg/app", "v1", cluster="cluster1"))
    (use,) = uses(array, records(), records(turned))
    assert (use.lun, use.name) == (NAME, "of svm1:/cg/app with svm_b:/cg/app of cluster cluster2")


@pytest.mark.parametrize(
    "changes",
    [
        {"policy": {"name": "Asynchronous", "type": "async"}},
        {"source": end("svm1:/cg/other", "v3")},
        {"source": end("svm9:/cg/app", "v1")},
        {"source": end("svm1:v1")},
        {"source": end("svm1:")},
        {"source": end("svm1:/bucket/v1")},
    ],
    ids=["for recovery", "other volumes", "other SVM", "of a volume", "of an SVM", "of a bucket"],
)
def test_other_mirrors_are_no_second_way_to_the_lun(array: Endpoint, changes: dict[str, Any]) -> None:
    assert uses(array, records(relationship(**changes)), records()) == []


@pytest.mark.parametrize(
    "changes",
    [{"policy": {"name": "mine"}}, {"policy": None}, {"source": {"path": "svm1:/cg/app"}}, {"source": {}}],
    ids=["type of policy", "policy", "volumes", "path"],
)
def test_what_is_not_told_may_be_the_luns(array: Endpoint, changes: dict[str, Any]) -> None:
    (use,) = uses(array, records(relationship(**changes)), records())
    assert (use.lun, use.how) == (None, "does not tell whether it has it")


def test_what_a_mirror_does_not_tell_of_itself_is_said_to_be_unknown(array: Endpoint) -> None:
    nameless = relationship(policy={"type": "sync"}, destination={"path": "svm_b:/cg/app_dst"})
    placeless = relationship(source={"consistency_group_volumes": [{"name": "v1"}]})
    (first, second, third) = uses(array, records(nameless, placeless, relationship(uuid=None)), records())
    assert third.id == ""
    assert (first.lun, first.name) == (NAME, "of svm1:/cg/app with svm_b:/cg/app_dst of cluster unknown")
    assert first.how == "with policy unknown presents it there too"
    assert (second.lun, second.name) == (None, "of an unknown place with svm_b:/cg/app_dst of cluster cluster2")


@pytest.mark.parametrize(
    "refusal", [error(403, "6", "not authorized for that command"), error(404, "3", "API not found")], ids=["no right", "no such API"]
)
@pytest.mark.parametrize("at", [0, 1])
def test_an_array_that_does_not_let_us_look_cannot_tell(array: Endpoint, refusal: Reply, at: int) -> None:
    array.answer(*[records()][:at], refusal)
    (use,) = OntapRest(array.connection).uses(LUN)
    assert (use.lun, use.kind, use.name) == (None, "SnapMirror relationships", "of SVM svm1")
    assert "cannot be read, " in use.how
    assert not use.how.endswith(".")
