# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The error codes of ONTAP's REST interface that mean something to us, and what each means.

Source: the tables of error codes in NetApp's ONTAP REST API reference, per call. `NO_SPACE` and `LUN_ID_TAKEN_IN_GROUP` are in none
of them: they are ZAPI's 28 and 9022 as REST writes those of its neighbours, and nothing but a message and one more try depends on them.
"""

from __future__ import annotations

from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.faults import Fault

ENTRY_NOT_FOUND = "4"
NOT_AUTHORISED = "6"
NO_SPACE = "28"
VOLUME_NOT_FOUND = "917927"
INITIATOR_SEES_LUN = "1254193"
LUN_IS_MAPPED = "1254197"
LUN_ID_TAKEN_IN_GROUP = "1254206"
ALREADY_MAPPED = "1254207"
MAP_CONFLICT = "1254208"
GROUP_IS_MAPPED = "1254213"
SAME_SIZE = "1254226"
LUN_ID_TAKEN_FOR_INITIATOR = "1254324"
SVM_NOT_FOUND = "2621462"
QTREE_NOT_FOUND = "5242927"
GROUP_EXISTS = "5374023"
NOT_A_MEMBER = "5374034"
ALREADY_A_MEMBER = "5374035"
BAD_LUN_CHARACTERS = "5374121"
SIZE_TOO_SMALL = "5374124"
SIZE_TOO_LARGE = "5374125"
LUN_ON_ROOT_VOLUME = "5374237"
LUN_EXISTS = "5374242"
OS_TYPE_OF_NEW_GROUP = "5374732"
OS_TYPE_OF_MEMBER = "5374734"
GROUP_NOT_FOUND = "5374852"
CREATED_WITHOUT_PROPERTIES = "5374863"
LUN_NOT_FOUND = "5374875"
LUN_TO_CHANGE_NOT_FOUND = "5374876"
CREATED_BUT_UNREADABLE = "5374886"
MAP_NOT_FOUND = "5374922"

_MEANINGS = {
    ENTRY_NOT_FOUND: Fault.NO_ENTRY,
    LUN_NOT_FOUND: Fault.NO_LUN,
    LUN_TO_CHANGE_NOT_FOUND: Fault.NO_LUN,
    GROUP_NOT_FOUND: Fault.NO_GROUP,
    MAP_NOT_FOUND: Fault.NO_MAP,
    VOLUME_NOT_FOUND: Fault.NO_VOLUME,
    QTREE_NOT_FOUND: Fault.NO_QTREE,
    SVM_NOT_FOUND: Fault.NO_SVM,
    NO_SPACE: Fault.NO_SPACE,
    LUN_EXISTS: Fault.LUN_EXISTS,
    CREATED_WITHOUT_PROPERTIES: Fault.CREATED_INCOMPLETE,
    CREATED_BUT_UNREADABLE: Fault.CREATED_INCOMPLETE,
    LUN_IS_MAPPED: Fault.LUN_IS_MAPPED,
    BAD_LUN_CHARACTERS: Fault.BAD_LUN_CHARACTERS,
    SIZE_TOO_SMALL: Fault.SIZE_TOO_SMALL,
    SIZE_TOO_LARGE: Fault.SIZE_TOO_LARGE,
    SAME_SIZE: Fault.SAME_SIZE,
    LUN_ON_ROOT_VOLUME: Fault.ROOT_VOLUME,
    GROUP_EXISTS: Fault.GROUP_EXISTS,
    GROUP_IS_MAPPED: Fault.GROUP_IS_MAPPED,
    ALREADY_A_MEMBER: Fault.ALREADY_A_MEMBER,
    NOT_A_MEMBER: Fault.NOT_A_MEMBER,
    OS_TYPE_OF_NEW_GROUP: Fault.OTHER_OS_TYPE,
    OS_TYPE_OF_MEMBER: Fault.OTHER_OS_TYPE,
    INITIATOR_SEES_LUN: Fault.MAP_RACE,
    LUN_ID_TAKEN_IN_GROUP: Fault.MAP_RACE,
    ALREADY_MAPPED: Fault.MAP_RACE,
    MAP_CONFLICT: Fault.MAP_RACE,
    LUN_ID_TAKEN_FOR_INITIATOR: Fault.MAP_RACE,
}


def meaning(code: str) -> Fault | None:
    """What a code means, None where it means nothing to us."""
    return _MEANINGS.get(code)
