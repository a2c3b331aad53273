# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What ZAPI's numbers mean: the same kinds of refusal that REST's codes are."""

from __future__ import annotations

import pytest
from netapp_lib.api.zapi import errors

from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.faults import Fault
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_rest import codes as rest
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_zapi import codes


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (codes.NO_SUCH_GROUP, rest.GROUP_NOT_FOUND),
        (codes.GROUP_EXISTS, rest.GROUP_EXISTS),
        (codes.NOT_A_MEMBER, rest.NOT_A_MEMBER),
        (codes.ALREADY_A_MEMBER, rest.ALREADY_A_MEMBER),
        (codes.LUN_EXISTS, rest.LUN_EXISTS),
        (codes.LUN_IS_MAPPED, rest.LUN_IS_MAPPED),
        (codes.NO_SUCH_MAP, rest.MAP_NOT_FOUND),
        (codes.NO_SUCH_LUN, rest.LUN_NOT_FOUND),
        (codes.ALREADY_MAPPED, rest.ALREADY_MAPPED),
        (codes.LUN_ID_TAKEN_IN_GROUP, rest.LUN_ID_TAKEN_IN_GROUP),
        (codes.GROUP_IS_MAPPED, rest.GROUP_IS_MAPPED),
        (codes.NO_SUCH_VOLUME, rest.VOLUME_NOT_FOUND),
        (codes.SIZE_TOO_SMALL, rest.SIZE_TOO_SMALL),
        (codes.SIZE_TOO_LARGE, rest.SIZE_TOO_LARGE),
        (codes.SAME_SIZE, rest.SAME_SIZE),
        (codes.NO_SPACE, rest.NO_SPACE),
        (codes.SVM_NOT_FOUND, rest.SVM_NOT_FOUND),
        (codes.OBJECT_NOT_FOUND, rest.ENTRY_NOT_FOUND),
        (codes.API_NOT_FOUND, rest.API_NOT_FOUND),
        (codes.SNAPSHOT_EXISTS, rest.SNAPSHOT_EXISTS),
        (codes.NO_SUCH_SNAPSHOT, rest.SNAPSHOT_NOT_FOUND),
        (codes.VOLUME_IS_OFFLINE, rest.VOLUME_OFFLINE),
    ],
)
def test_a_number_means_what_the_code_of_rest_means(number: str, code: str) -> None:
    assert codes.meaning(number) is rest.meaning(code)
    assert isinstance(codes.meaning(number), Fault)


VDISK = "EVDISK_ERROR_"
NAMES = {
    codes.NO_SUCH_FILE: "EONTAPI_ENOENT",
    codes.NO_SPACE: "EONTAPI_ENOSPC",
    codes.NO_SUCH_GROUP: f"{VDISK}NO_SUCH_INITGROUP",
    codes.GROUP_EXISTS: f"{VDISK}INITGROUP_EXISTS",
    codes.INITIATOR_SEES_LUN: f"{VDISK}LUN_MAPPING_CONFLICT",
    codes.NOT_A_MEMBER: f"{VDISK}NODE_NOT_IN_INITGROUP",
    codes.ALREADY_A_MEMBER: f"{VDISK}INITGROUP_HAS_NODE",
    codes.LUN_EXISTS: f"{VDISK}VDISK_EXISTS",
    codes.LUN_IS_MAPPED: f"{VDISK}VDISK_EXPORTED",
    codes.NO_SUCH_MAP: f"{VDISK}NO_SUCH_LUNMAP",
    codes.NO_SUCH_LUN: f"{VDISK}NO_SUCH_VDISK",
    codes.ALREADY_MAPPED: f"{VDISK}INITGROUP_HAS_VDISK",
    codes.LUN_ID_TAKEN_IN_GROUP: f"{VDISK}INITGROUP_HAS_LUN",
    codes.GROUP_IS_MAPPED: f"{VDISK}INITGROUP_MAPS_EXIST",
    codes.SIZE_TOO_LARGE: f"{VDISK}SIZE_TOO_LARGE",
    codes.NO_SUCH_VOLUME: f"{VDISK}NO_SUCH_VOLUME",
    codes.SIZE_TOO_SMALL: f"{VDISK}SIZE_TOO_SMALL",
    codes.SAME_SIZE: f"{VDISK}SIZE_UNCHANGED",
    codes.LUN_ID_TAKEN_FOR_INITIATOR: f"{VDISK}VIRTUAL_LUN_MAPPING_CONFLICT",
    codes.NOT_AUTHENTICATED: "EAPIAUTHENTICATION",
    codes.NOT_AUTHORISED: "EAPIPRIVILEGE",
    codes.API_NOT_FOUND: "EAPINOTFOUND",
    codes.NOT_LICENSED: "EAPILICENSE",
    codes.SNAPSHOT_EXISTS: "ESNAPSHOTEXISTS",
    codes.NO_SUCH_SNAPSHOT: "ESNAPSHOTDOESNOTEXIST",
    codes.SNAPSHOT_IS_BUSY: "ESNAPSHOTBUSY",
    codes.SNAPSHOT_HAS_NO_SPACE: "ESNAPSHOTNOSPACE",
    codes.VOLUME_DOES_NOT_EXIST: "EVOLUMEDOESNOTEXIST",
    codes.VOLUME_IS_OFFLINE: "EVOLUMEOFFLINE",
    codes.DUPLICATE: "EDUPLICATEENTRY",
    codes.NO_SOURCE_OF_CLONE: "ESIS_CLONE_CLONE_SFILE_NONEXIST",
    codes.CLONE_NOT_LICENSED: "ESIS_CLONE_NOT_LICENSED",
    codes.OBJECT_NOT_FOUND: "EOBJECTNOTFOUND",
    codes.SVM_NOT_FOUND: "EVSERVERNOTFOUND",
}


@pytest.mark.parametrize(("number", "name"), NAMES.items())
def test_a_number_is_that_of_netapps_own_table(number: str, name: str) -> None:
    assert getattr(errors, name) == number


def test_every_number_is_looked_up_there() -> None:
    assert {value for name, value in vars(codes).items() if name.isupper() and not name.startswith("_")} == set(NAMES)


def test_an_unknown_number_means_nothing() -> None:
    assert codes.meaning("13115") is None
