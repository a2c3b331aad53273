# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What ONTAP refuses, by its meaning instead of by the number that one of its interfaces has for it, and the way out of each."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum, auto
from types import MappingProxyType

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import ConnectionFailed, OutcomeUnknown, RemoteError


class Fault(Enum):
    """A refusal that means something to a plan, or whose way out is known."""

    NO_ENTRY = auto()
    """There is no such object, whatever was meant."""
    NO_LUN = auto()
    NO_GROUP = auto()
    NO_MAP = auto()
    NO_VOLUME = auto()
    NO_QTREE = auto()
    NO_SVM = auto()
    NO_SPACE = auto()
    LUN_EXISTS = auto()
    CREATED_INCOMPLETE = auto()
    """The LUN was created; what failed came after that."""
    LUN_IS_MAPPED = auto()
    BAD_LUN_CHARACTERS = auto()
    SIZE_TOO_SMALL = auto()
    SIZE_TOO_LARGE = auto()
    SAME_SIZE = auto()
    ROOT_VOLUME = auto()
    LUN_OF_APPLICATION = auto()
    """An application that ONTAP manages owns the LUN."""
    AGGREGATE_OFFLINE = auto()
    VOLUME_OFFLINE = auto()
    GROUP_EXISTS = auto()
    GROUP_IS_MAPPED = auto()
    ALREADY_A_MEMBER = auto()
    NOT_A_MEMBER = auto()
    OTHER_OS_TYPE = auto()
    """An initiator is in a group of another operating system type."""
    MAP_RACE = auto()
    """Somebody else mapped something between our look and our map."""
    NO_SUCH_CALL = auto()
    """This release has no such request."""
    NO_SNAPSHOT = auto()
    SNAPSHOT_EXISTS = auto()
    SNAPSHOT_IS_OWNED = auto()
    SNAPSHOT_IS_LOCKED = auto()
    SNAPSHOT_IS_BUSY = auto()
    """Something needs it, or it has not expired; which of both is not told."""
    NOT_LICENSED = auto()
    SNAPSHOT_OF_MIRROR = auto()
    VOLUME_IS_FENCED = auto()
    NO_CONSISTENCY_GROUP = auto()


LUN_GONE = (Fault.NO_LUN, Fault.NO_ENTRY)
GROUP_GONE = (Fault.NO_GROUP, Fault.NO_ENTRY)
SNAPSHOT_GONE = (Fault.NO_SNAPSHOT, Fault.NO_ENTRY)
CONSISTENCY_GROUP_GONE = (Fault.NO_CONSISTENCY_GROUP, Fault.NO_ENTRY)

_FREE_SPACE = "enlarge the volume, choose another one, or ask for a thin LUN"
_RUN_AGAIN = "somebody else changed it at the same moment; run the task again"
_WAYS_OUT: Mapping[Fault | None, str] = MappingProxyType(
    {
        Fault.NO_SPACE: _FREE_SPACE,
        Fault.NO_VOLUME: "correct the name of the volume, or create it",
        Fault.NO_QTREE: "create the qtree, or give the LUN a name without a slash",
        Fault.NO_SVM: "correct the name of the SVM",
        Fault.LUN_IS_MAPPED: "unmap it from its igroups first",
        Fault.GROUP_IS_MAPPED: "it stays because LUNs are mapped to it",
        Fault.BAD_LUN_CHARACTERS: "choose another name for the LUN",
        Fault.SIZE_TOO_SMALL: "ask for a larger size",
        Fault.SIZE_TOO_LARGE: "ask for a smaller size",
        Fault.ROOT_VOLUME: "choose a data volume",
        Fault.LUN_OF_APPLICATION: "delete it where its application is managed",
        Fault.AGGREGATE_OFFLINE: "bring the aggregate of its volume online",
        Fault.VOLUME_OFFLINE: "bring its volume online",
        Fault.LUN_EXISTS: _RUN_AGAIN,
        Fault.GROUP_EXISTS: _RUN_AGAIN,
        Fault.SNAPSHOT_EXISTS: _RUN_AGAIN,
        Fault.VOLUME_IS_FENCED: "a mirror or another job is at work on the volume; wait for its end, then run the task again",
        Fault.SNAPSHOT_OF_MIRROR: "the volume is the destination of a mirror; do it at its source",
        Fault.SNAPSHOT_IS_OWNED: "something needs the snapshot (`volume snapshot show -fields owners`); end that first",
        Fault.SNAPSHOT_IS_LOCKED: "wait until it expires (`volume snapshot show -fields expiry-time,snaplock-expiry-time`)",
        Fault.SNAPSHOT_IS_BUSY: (
            "something needs the snapshot, or it has to be kept (`volume snapshot show -fields owners,expiry-time,snaplock-expiry-time`); "
            "end that, or wait until it expires"
        ),
        Fault.NOT_LICENSED: "clones need the licence FlexClone, and restorations SnapRestore (`license show`); install it",
        Fault.OTHER_OS_TYPE: "give the os_type that its other igroups have, or remove it from those",
        Fault.MAP_RACE: _RUN_AGAIN,
    }
)
_SPACE = re.compile(r"\b(?:no|not enough|insufficient)\b.{0,40}\bspace\b", re.IGNORECASE)


class OntapRefusal(RemoteError):
    """ONTAP understood and said no; `fault` is what that means, None where it means nothing to us."""

    def __init__(self, message: str, code: str = "", fault: Fault | None = None) -> None:
        super().__init__(message, code)
        self.fault = fault


class InterfaceMissing(ConnectionFailed):
    """Nothing at the endpoint speaks this one of ONTAP's interfaces: it is switched off, gone, or not there yet."""


class ReleaseTooOld(RemoteError):
    """The array's ONTAP is older than what the collection needs of this interface."""


class ChangeUnfinished(OutcomeUnknown):
    """The array is still at it, or cannot be asked any more: what was begun may yet be done."""


def way_out(fault: Fault | None, message: str) -> str:
    """What a user can do about a refusal, or nothing. Lack of space has no code of its own everywhere, so its text tells it."""
    return _WAYS_OUT.get(fault) or (_FREE_SPACE if _SPACE.search(message) else "")
