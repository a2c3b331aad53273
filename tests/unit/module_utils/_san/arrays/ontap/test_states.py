# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A LUN that the array keeps from its hosts is refused with its state and the way out; what nobody can tell is not held against it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.base import LunAddress
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap import states
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import Refused
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import Lun
from tests.unit.ports import NAME, lun

LUN = lun(NAME)
BRING_ONLINE = "bring it online with `lun modify -vserver svm1 -path /vol/v1/l1 -state online`"
WAYS_OUT = {
    "offline": f"see why it was taken offline, which a full volume does too, then {BRING_ONLINE}",
    "space_error": f"make room in volume v1, then {BRING_ONLINE}",
    "nvfail": f"the array may have lost what was written last, so check what is on it, then {BRING_ONLINE}",
    "foreign_lun_error": "mend the array that it is imported from (`lun import show`)",
    "volume_offline": "bring its volume online with `volume online -vserver svm1 -volume v1`",
    "aggregate_offline": "bring the aggregate of volume v1 online",
    "new_in_a_later_release": "look at it on the array (`lun show -vserver svm1 -path /vol/v1/l1`)",
}
FINE = ("online", "unknown")
OF_ITS_CONTAINER = ("volume_offline", "aggregate_offline")


@pytest.mark.parametrize(("state", "way_out"), WAYS_OUT.items())
def test_a_state_in_which_no_host_sees_the_lun_is_refused_with_its_way_out(state: str, way_out: str) -> None:
    with pytest.raises(Refused) as refusal:
        states.refuse_unless_online(replace(LUN, state=state))
    assert str(refusal.value) == f"LUN svm1:/vol/v1/l1 is in state {state}, in which no host can see it: {way_out}."


@pytest.mark.parametrize("state", FINE)
@pytest.mark.parametrize("rule", [states.refuse_unless_online, states.refuse_unless_container_online, states.refuse_unless_deletable])
def test_what_is_online_or_not_told_is_not_refused(rule: Callable[[Lun], None], state: str) -> None:
    rule(replace(LUN, state=state))


@pytest.mark.parametrize("state", WAYS_OUT)
@pytest.mark.parametrize(
    ("rule", "words"),
    [(states.refuse_unless_container_online, "no host can see it"), (states.refuse_unless_deletable, "does not delete it")],
)
def test_only_what_the_container_is_in_keeps_a_lun_from_being_restored_and_deleted(
    rule: Callable[[Lun], None], words: str, state: str
) -> None:
    found = replace(LUN, state=state)
    if state not in OF_ITS_CONTAINER:
        rule(found)
        return
    with pytest.raises(Refused, match=f"is in state {state}, in which .*{words}: bring .* online"):
        rule(found)


@pytest.mark.parametrize("state", FINE)
def test_a_volume_that_is_online_or_not_told_may_hold_a_lun(state: str) -> None:
    states.refuse_volume_unless_online(LunAddress("svm1", "v1", "l1"), state)


def test_a_volume_that_is_offline_can_hold_no_lun() -> None:
    with pytest.raises(
        Refused, match=r"Volume v1 of SVM svm1 is offline and .*`volume online -vserver svm1 -volume v1`, or name another one"
    ):
        states.refuse_volume_unless_online(LunAddress("svm1", "v1", "l1"), "offline")


def test_a_lun_without_a_volume_is_of_an_asa_r2() -> None:
    states.refuse_without_volume(LUN)
    with pytest.raises(Refused, match=r"The array of LUN svm1:l1 is an ASA r2, .* use a unified ONTAP system or an ASA before r2"):
        states.refuse_without_volume(replace(LUN, path="l1"))


def test_a_lun_that_can_only_be_read_is_told() -> None:
    assert states.warnings(LUN) == []
    (warning,) = states.warnings(replace(LUN, read_only=True))
    assert warning.startswith("LUN svm1:/vol/v1/l1 is read-only on its array, as the destination of a mirror is")
