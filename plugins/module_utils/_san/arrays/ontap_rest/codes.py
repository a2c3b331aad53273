# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""ONTAP's error codes that mean something to us, and the way out of those that a user can meet.

Source: the tables of error codes in NetApp's ONTAP REST API reference, per call. `NO_SPACE`, `LUN_ID_TAKEN_IN_GROUP` and
`INITIATOR_HAS_LUN` are in none of them: they are ZAPI's ENOSPC, INITGROUP_HAS_LUN (9024) and INITIATOR_HAS_VDISK (9039) as REST writes
those of its neighbours, and nothing but a message and one more try depends on them.
"""

from __future__ import annotations

import re

ENTRY_NOT_FOUND = "4"
NOT_AUTHORISED = "6"
NO_SPACE = "28"
VOLUME_NOT_FOUND = "917927"
INITIATOR_SEES_LUN = "1254193"
LUN_IS_MAPPED = "1254197"
ALREADY_MAPPED = "1254207"
LUN_ID_TAKEN_IN_GROUP = "1254208"
GROUP_IS_MAPPED = "1254213"
INITIATOR_HAS_LUN = "1254223"
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
LUN_OF_APPLICATION = "5374705"
OS_TYPE_OF_NEW_GROUP = "5374732"
OS_TYPE_OF_MEMBER = "5374734"
GROUP_NOT_FOUND = "5374852"
CREATED_WITHOUT_PROPERTIES = "5374863"
AGGREGATE_OFFLINE = "5374865"
VOLUME_OFFLINE = "5374866"
LUN_NOT_FOUND = "5374875"
LUN_TO_CHANGE_NOT_FOUND = "5374876"
GROUP_OF_MAP_NOT_FOUND = "5374878"
CREATED_BUT_UNREADABLE = "5374886"
MAP_NOT_FOUND = "5374922"

NO_LUN = (LUN_NOT_FOUND, LUN_TO_CHANGE_NOT_FOUND, ENTRY_NOT_FOUND)
"""There is no such LUN: the reference has two codes of that meaning for a change or a deletion."""

CREATED_INCOMPLETE = frozenset({CREATED_WITHOUT_PROPERTIES, CREATED_BUT_UNREADABLE})
"""The LUN was created; what failed came after that."""

NO_GROUP = (GROUP_NOT_FOUND, GROUP_OF_MAP_NOT_FOUND)
"""There is no such igroup: the reference has a code of its own where it stands beside a LUN."""

MAP_RACES = frozenset({INITIATOR_SEES_LUN, ALREADY_MAPPED, LUN_ID_TAKEN_IN_GROUP, INITIATOR_HAS_LUN, LUN_ID_TAKEN_FOR_INITIATOR})
"""Somebody else mapped something between our look and our map."""

_FREE_SPACE = "enlarge the volume, choose another one, or ask for a thin LUN"
_RUN_AGAIN = "somebody else changed it at the same moment; run the task again"
_ONE_OS_TYPE = "give the os_type that its other igroups have, or remove it from those"

_WAYS_OUT = {
    NO_SPACE: _FREE_SPACE,
    VOLUME_NOT_FOUND: "correct the name of the volume, or create it",
    QTREE_NOT_FOUND: "create the qtree, or give the LUN a name without a slash",
    SVM_NOT_FOUND: "correct the name of the SVM",
    LUN_IS_MAPPED: "unmap it from its igroups first",
    GROUP_IS_MAPPED: "it stays because LUNs are mapped to it",
    BAD_LUN_CHARACTERS: "choose another name for the LUN",
    SIZE_TOO_SMALL: "ask for a larger size",
    SIZE_TOO_LARGE: "ask for a smaller size",
    LUN_ON_ROOT_VOLUME: "choose a data volume",
    LUN_EXISTS: _RUN_AGAIN,
    LUN_OF_APPLICATION: "delete it where its application is managed",
    AGGREGATE_OFFLINE: "bring the aggregate of its volume online",
    VOLUME_OFFLINE: "bring its volume online",
    GROUP_EXISTS: _RUN_AGAIN,
    OS_TYPE_OF_NEW_GROUP: _ONE_OS_TYPE,
    OS_TYPE_OF_MEMBER: _ONE_OS_TYPE,
    **dict.fromkeys(MAP_RACES, _RUN_AGAIN),
}
_SPACE = re.compile(r"\b(?:no|not enough|insufficient)\b.{0,40}\bspace\b", re.IGNORECASE)


def way_out(code: str, message: str) -> str:
    """What a user can do about an error, or nothing. Lack of space has no code of its own in the reference, so its text tells it."""
    return _WAYS_OUT.get(code) or (_FREE_SPACE if _SPACE.search(message) else "")
