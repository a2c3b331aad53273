# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The errors that ONTAP's REST interface gives, by the codes of its reference documentation.

A code is 65536 times the number of the part of ONTAP that refuses, plus that part's own number: 19 is the LUN layer that ZAPI
exposed (1254207 = 19 * 65536 + 9023, ZAPI's errno 9023, whose names are in NaErrno of NetApp's SDK), 82 is REST's SAN layer. The tables
of each call are also in NetApp's Trident, whose client is generated from them. Codes marked *belief* are in no public table.
"""

from __future__ import annotations

from enum import IntEnum


class Code(IntEnum):
    """Error codes by meaning."""

    DUPLICATE = 1
    API_NOT_FOUND = 3
    NO_ENTRY = 4
    PERMISSION_DENIED = 6
    NO_SPACE = 28  # belief: ZAPI's ENOSPC; the REST tables name no code for a volume without room
    UNEXPECTED_ARGUMENT = 262179
    INVALID_VALUE = 262197
    FIELD_NOT_SETTABLE = 262196
    INVALID_JSON = 262254  # belief
    QUERY_MISSING = 262186  # belief; the tables have it for fields that do not go together
    CLONE_PROPERTY = 5374883
    CLONE_ELSEWHERE = 1260121
    SNAPSHOT_EXISTS = 525059
    SNAPSHOT_NAME = 1638477  # belief
    SNAPSHOT_OWNED = 1638543
    SNAPSHOT_LOCKED = 1638555
    NO_SNAPSHOT = 1638600  # the table of DELETE; a look answers 4
    VOLUME_NOT_FOUND = 917927
    VOLUME_NOT_ONLINE = 5374866  # of a change or deletion; for a new LUN the table names no code: belief
    VOLUME_MISMATCH = 918236
    MAPPED_TWICE_BY_INITIATOR = 1254193  # LUN_MAPPING_CONFLICT; that a new map is refused by it too, as a new member is: belief
    LUN_MAPPED = 1254197
    MAP_LUN_NOT_FOUND = 1254201
    ALREADY_MAPPED = 1254207
    LUN_ID_IN_GROUP = 1254208  # INITGROUP_HAS_LUN: Trident's tests meet it so over ZAPI; the table of REST does not name it
    IGROUP_MAPPED = 1254213
    SAME_SIZE = 1254226
    LUN_ID_OF_INITIATOR = 1254324  # VIRTUAL_LUN_MAPPING_CONFLICT; of a new map: belief
    SVM_NOT_FOUND = 2621462
    SVM_MISMATCH = 2621706
    SVM_MISSING = 2621707
    QTREE_NOT_FOUND = 5242927
    IGROUP_NAME_INVALID = 5373958
    IQN_INCOMPLETE = 5373969
    IQN_DATE_INVALID = 5373971
    IQN_AUTHORITY_INVALID = 5373972
    EUI_LENGTH_INVALID = 5373977
    EUI_FORMAT_INVALID = 5373978
    INITIATOR_TOO_LONG = 5373992
    INITIATOR_UNRECOGNISED = 5373993
    IGROUP_EXISTS = 5374023
    INITIATORS_MISSING = 5374033
    INITIATOR_NOT_MEMBER = 5374034
    INITIATOR_MEMBER = 5374035
    WWPN_INVALID = 5374038
    ISCSI_NAME_INVALID = 5374039
    INITIATORS_AND_IGROUPS = 5374040  # of a new group; that an addition is refused by it too: belief
    ISCSI_SERVICE_NOT_FOUND = 5374078
    LUN_NAME_CHARACTERS = 5374121
    SIZE_NEGATIVE = 5374123
    SIZE_TOO_SMALL = 5374124
    SIZE_TOO_LARGE = 5374125
    SIZE_INVALID = 5374130
    LUN_ON_ROOT_VOLUME = 5374237
    SIZE_UNITS_INVALID = 5374241
    LUN_EXISTS = 5374242
    LUN_NAME_INVALID = 5374352
    CREATE_OS_TYPE_CONFLICT = 5374732
    MODIFY_OS_TYPE_CONFLICT = 5374733
    ADD_OS_TYPE_CONFLICT = 5374734
    IGROUP_NOT_FOUND = 5374852
    IGROUP_OF_MAP_NOT_FOUND = 5374878
    LUN_VOLUME_MISMATCH = 5374858
    LUN_VOLUME_MISSING = 5374859
    LUN_BASE_NAME_MISMATCH = 5374861
    LUN_BASE_NAME_MISSING = 5374862
    LUN_NOT_FOUND = 5374875
    LUN_TO_CHANGE_NOT_FOUND = 5374876  # the table of PATCH and DELETE has both; which one comes when: belief
    LUN_PROPERTY_MISSING = 5374884
    LUN_SHRINK = 5374892
    MAP_LUN_MISSING = 5374901
    MAP_IGROUP_MISSING = 5374902
    MAP_NOT_FOUND = 5374922
    UNAUTHORISED = 6691623
    NO_GROUP = 53411842
    GROUP_EXISTS = 53411861  # belief: that there is a code of its own
    IN_ANOTHER_GROUP = 53411936  # belief: that there is a code of its own


HTTP_STATUS = {
    **dict.fromkeys(
        (
            Code.DUPLICATE,
            Code.SNAPSHOT_EXISTS,
            Code.GROUP_EXISTS,
            Code.IN_ANOTHER_GROUP,
            Code.LUN_EXISTS,
            Code.IGROUP_EXISTS,
            Code.ALREADY_MAPPED,
        ),
        409,
    ),
    **dict.fromkeys((Code.INITIATOR_MEMBER, Code.LUN_MAPPED, Code.IGROUP_MAPPED, Code.LUN_ID_IN_GROUP), 409),
    **dict.fromkeys(
        (
            Code.NO_SNAPSHOT,
            Code.NO_GROUP,
            Code.API_NOT_FOUND,
            Code.NO_ENTRY,
            Code.LUN_NOT_FOUND,
            Code.LUN_TO_CHANGE_NOT_FOUND,
            Code.IGROUP_NOT_FOUND,
            Code.MAP_NOT_FOUND,
        ),
        404,
    ),
    Code.INITIATOR_NOT_MEMBER: 404,
    Code.PERMISSION_DENIED: 403,
    Code.UNAUTHORISED: 401,
}


class OntapError(Exception):
    """A refusal, in the form of ``{"error": {"code", "message", "target"}}``."""

    def __init__(self, code: int, message: str, target: str | None = None) -> None:
        super().__init__(message)
        self.code = int(code)
        self.message = message
        self.target = target

    @property
    def status(self) -> int:
        """The HTTP status that goes with the code; 400 for a rule that was broken."""
        return HTTP_STATUS.get(Code(self.code), 400) if self.code in Code._value2member_map_ else 400

    def body(self) -> dict[str, dict[str, str]]:
        """Return the answer's body; the code is a string there."""
        error = {"message": self.message, "code": str(self.code)}
        return {"error": error if self.target is None else {**error, "target": self.target}}
