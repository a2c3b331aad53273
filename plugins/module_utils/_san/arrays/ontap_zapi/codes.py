# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The error numbers of ZAPI that mean something to us, and what each means.

Source: the table in NetApp's own netapp-lib (`netapp_lib/api/zapi/errors.py`), NetApp's Go client in Trident (`azgo/errors.go`),
libStorageMgmt's plugin for ONTAP, which quotes `netapp_errno.h`, and cinder's driver.
"""

from __future__ import annotations

from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.faults import Fault

NO_SUCH_FILE = "2"
NO_SPACE = "28"
NO_SUCH_GROUP = "9003"
GROUP_EXISTS = "9004"
INITIATOR_SEES_LUN = "9009"
NOT_A_MEMBER = "9007"
ALREADY_A_MEMBER = "9008"
LUN_EXISTS = "9012"
LUN_IS_MAPPED = "9013"
NO_SUCH_MAP = "9016"
NO_SUCH_LUN = "9017"
ALREADY_MAPPED = "9023"
LUN_ID_TAKEN_IN_GROUP = "9024"
GROUP_IS_MAPPED = "9029"
SIZE_TOO_LARGE = "9034"
NO_SUCH_VOLUME = "9036"
SIZE_TOO_SMALL = "9041"
SAME_SIZE = "9042"
LUN_ID_TAKEN_FOR_INITIATOR = "9140"
NOT_AUTHENTICATED = "13002"
NOT_AUTHORISED = "13003"
API_NOT_FOUND = "13005"
NOT_LICENSED = "13008"
SNAPSHOT_EXISTS = "13020"
NO_SUCH_SNAPSHOT = "13021"
SNAPSHOT_IS_BUSY = "13024"
SNAPSHOT_HAS_NO_SPACE = "13025"
VOLUME_DOES_NOT_EXIST = "13040"
VOLUME_IS_OFFLINE = "13042"
DUPLICATE = "13130"
NO_SOURCE_OF_CLONE = "14935"
CLONE_NOT_LICENSED = "14956"
OBJECT_NOT_FOUND = "15661"
SVM_NOT_FOUND = "15698"

_MEANINGS = {
    NO_SUCH_FILE: Fault.NO_ENTRY,
    NO_SPACE: Fault.NO_SPACE,
    NO_SUCH_GROUP: Fault.NO_GROUP,
    GROUP_EXISTS: Fault.GROUP_EXISTS,
    INITIATOR_SEES_LUN: Fault.MAP_RACE,
    NOT_A_MEMBER: Fault.NOT_A_MEMBER,
    ALREADY_A_MEMBER: Fault.ALREADY_A_MEMBER,
    LUN_EXISTS: Fault.LUN_EXISTS,
    LUN_IS_MAPPED: Fault.LUN_IS_MAPPED,
    NO_SUCH_MAP: Fault.NO_MAP,
    NO_SUCH_LUN: Fault.NO_LUN,
    ALREADY_MAPPED: Fault.MAP_RACE,
    LUN_ID_TAKEN_IN_GROUP: Fault.MAP_RACE,
    GROUP_IS_MAPPED: Fault.GROUP_IS_MAPPED,
    SIZE_TOO_LARGE: Fault.SIZE_TOO_LARGE,
    NO_SUCH_VOLUME: Fault.NO_VOLUME,
    SIZE_TOO_SMALL: Fault.SIZE_TOO_SMALL,
    SAME_SIZE: Fault.SAME_SIZE,
    LUN_ID_TAKEN_FOR_INITIATOR: Fault.MAP_RACE,
    VOLUME_DOES_NOT_EXIST: Fault.NO_VOLUME,
    OBJECT_NOT_FOUND: Fault.NO_ENTRY,
    API_NOT_FOUND: Fault.NO_SUCH_CALL,
    NOT_LICENSED: Fault.NOT_LICENSED,
    SNAPSHOT_EXISTS: Fault.SNAPSHOT_EXISTS,
    NO_SUCH_SNAPSHOT: Fault.NO_SNAPSHOT,
    SNAPSHOT_IS_BUSY: Fault.SNAPSHOT_IS_BUSY,
    SNAPSHOT_HAS_NO_SPACE: Fault.NO_SPACE,
    VOLUME_IS_OFFLINE: Fault.VOLUME_OFFLINE,
    NO_SOURCE_OF_CLONE: Fault.NO_LUN,
    CLONE_NOT_LICENSED: Fault.NOT_LICENSED,
    SVM_NOT_FOUND: Fault.NO_SVM,
}


def meaning(code: str) -> Fault | None:
    """What a number means, None where it means nothing to us."""
    return _MEANINGS.get(code)
