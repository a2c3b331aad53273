# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""LUNs that are clones of LUNs in snapshots: by what they are known, and what is refused of others.

The comment of a clone bears a token that is made of its origin's names, after the mark of the run that made it, and one that is made of the
snapshot's identity, because there may be another snapshot of that name later.
"""

from __future__ import annotations

import hashlib

from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.base import CloneOrigin
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.luns import StoredLun
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import Refused
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import Snapshot

_OF = "crossvisor.san-of:"


def path_in(snapshot: str, path: str) -> str:
    """ONTAP's name of a LUN as a snapshot of its volume holds it."""
    volume, _slash, rest = path[len("/vol/") :].partition("/")
    return f"/vol/{volume}/.snapshot/{snapshot}/{rest}"


def token(volume: str, origin: CloneOrigin) -> str:
    """What the comment of a clone of this bears."""
    digest = hashlib.sha256(path_in(origin.snapshot, f"/vol/{volume}/{origin.lun}").encode()).hexdigest()
    return f"crossvisor.san-clone:{digest[:16]}"


def snapshot_token(snapshot: Snapshot) -> str:
    """What the comment of a clone bears of the one snapshot that it was made of."""
    return f"{_OF}{hashlib.sha256(snapshot.id.encode()).hexdigest()[:16]}"


def refuse_of_another_snapshot(stored: StoredLun, snapshot: Snapshot) -> None:
    """Raise `Refused` for a clone of an earlier snapshot of the same name."""
    told = [word for word in stored.comment.split() if word.startswith(_OF)]
    if told and snapshot_token(snapshot) not in told:
        raise Refused(
            f"LUN {stored.lun.svm}:{stored.lun.path} is a clone of an earlier snapshot {snapshot.name}, and there is another since "
            f"{snapshot.created}: take the clone away first when nobody needs it, or choose another name for the new one."
        )


def refuse_another(stored: StoredLun, origin: CloneOrigin) -> None:
    """Raise `Refused` for a LUN that is no clone which this collection has made of that origin."""
    if token(stored.lun.volume, origin) not in stored.comment.split():
        raise Refused(
            f"LUN {stored.lun.svm}:{stored.lun.path} is no clone that this collection has made of LUN {origin}, and stays as it is: choose "
            "another name for the clone."
        )
