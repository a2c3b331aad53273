# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The errors that ZAPI gives, by number.

Sources: the table in NetApp's own netapp-lib (`netapp_lib/api/zapi/errors.py`), NetApp's Go client in Trident (`azgo/errors.go`),
libStorageMgmt's plugin for ONTAP, which quotes `netapp_errno.h`, and cinder's NetApp driver. Numbers that are in none of them say so.
"""

from __future__ import annotations

from tests.lab.ontap.errors import Code, OntapError

API_ERROR = "13001"
PRIVILEGE = "13003"
API_NOT_FOUND = "13005"
INVALID_INPUT = "13115"
OBJECT_NOT_FOUND = "15661"
SVM_NOT_FOUND = "15698"
SNAPSHOT_EXISTS = "13020"
NO_SUCH_SNAPSHOT = "13021"
SNAPSHOT_BUSY = "13024"
NO_SUCH_VOLUME = "13040"
VOLUME_OFFLINE = "13042"
NO_SOURCE = "14935"
CLONE_EXISTS = "14952"
NO_SUCH_LUN = "9017"  # Trident and the others take it for a LUN that is not there, but do not name it

NUMBERS = {
    Code.NO_SPACE: "28",
    Code.IGROUP_NOT_FOUND: "9003",
    Code.IGROUP_EXISTS: "9004",
    Code.INITIATOR_NOT_MEMBER: "9007",
    Code.INITIATOR_MEMBER: "9008",
    Code.MAPPED_TWICE_BY_INITIATOR: "9009",  # LUN_MAPPING_CONFLICT
    Code.LUN_EXISTS: "9012",
    Code.LUN_MAPPED: "9013",
    Code.MAP_NOT_FOUND: "9016",
    Code.LUN_NOT_FOUND: OBJECT_NOT_FOUND,
    Code.LUN_TO_CHANGE_NOT_FOUND: OBJECT_NOT_FOUND,
    Code.MAP_LUN_NOT_FOUND: NO_SUCH_LUN,
    Code.ALREADY_MAPPED: "9023",
    Code.LUN_ID_IN_GROUP: "9024",
    Code.IGROUP_MAPPED: "9029",
    Code.SIZE_TOO_LARGE: "9034",
    Code.VOLUME_NOT_FOUND: "9036",
    Code.VOLUME_NOT_ONLINE: "9036",  # libStorageMgmt: "when NetApp volume is offline, we will get this error also"
    Code.SIZE_TOO_SMALL: "9041",
    Code.SAME_SIZE: "9042",
    Code.LUN_ID_OF_INITIATOR: "9140",  # VIRTUAL_LUN_MAPPING_CONFLICT
    Code.SNAPSHOT_EXISTS: SNAPSHOT_EXISTS,
    Code.NO_SNAPSHOT: NO_SUCH_SNAPSHOT,
    Code.SNAPSHOT_OWNED: SNAPSHOT_BUSY,
    Code.SNAPSHOT_LOCKED: SNAPSHOT_BUSY,
    Code.SVM_NOT_FOUND: SVM_NOT_FOUND,
    Code.PERMISSION_DENIED: PRIVILEGE,
    Code.API_NOT_FOUND: API_NOT_FOUND,
}
"""What REST refuses by one of its codes; what is missing here is invalid input (belief)."""


class ZapiError(Exception):
    """A refusal: `<results status="failed" errno= reason=>`."""

    def __init__(self, number: str, reason: str) -> None:
        super().__init__(reason)
        self.number = number
        self.reason = reason


def as_zapi(error: OntapError) -> ZapiError:
    """Return what ZAPI says where REST says this."""
    known = Code(error.code) if error.code in Code._value2member_map_ else None
    return ZapiError(NUMBERS.get(known, INVALID_INPUT) if known else str(error.code), error.message)
