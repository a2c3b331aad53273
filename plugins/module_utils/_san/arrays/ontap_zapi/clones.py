# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Clones of LUNs over ZAPI, which gives a clone no comment with its making.

So it is made under a name of its own that nobody else has, gets the comment, and then its name: under its name there is never one that does
not tell whose it is. What a run that was killed has left is known by that name, and goes with the next one for the same clone.
"""

from __future__ import annotations

import contextlib
import re
import secrets

from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.base import CloneOrigin, LunAddress
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.luns import StoredLun, lun_path
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.site import SETTLE_SECONDS
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_zapi import codes
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_zapi.client import ZapiClient
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_zapi.lookup import ZapiLookup
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import CrossvisorError, OutcomeUnknown


def clone(client: ZapiClient, address: LunAddress, origin: CloneOrigin, thin: bool, comment: str) -> None:
    """Make a LUN of one in a snapshot of its volume. Raises a `CrossvisorError` after which there is none, or `OutcomeUnknown`."""
    _sweep(client, address)
    begun = LunAddress(address.svm, address.volume, f"{_prefix(address)}{secrets.token_hex(8)}")
    uuid = _begin(client, begun, origin, thin)
    try:
        client.change("lun-set-comment", begun.svm, {"path": lun_path(begun), "comment": comment})
        client.change("lun-move", begun.svm, {"path": lun_path(begun), "new-path": lun_path(address)})
    except CrossvisorError:
        _take_back(client, begun, uuid)
        raise


def delete(client: ZapiClient, svm: str, path: str, uuid: str) -> None:
    """Delete a LUN that is mapped nowhere. ZAPI refuses one that is mapped only while it is online, so that this looks itself."""
    if ZapiLookup(client).is_mapped(uuid):
        raise client.refusal(f"LUN {svm}:{path} is mapped", codes.LUN_IS_MAPPED)
    client.change("lun-destroy", svm, {"path": path, "force": False})


def _prefix(address: LunAddress) -> str:
    return f"{address.lun}.crossvisor_"


def _begin(client: ZapiClient, begun: LunAddress, origin: CloneOrigin, thin: bool) -> str:
    """Make the clone under its first name; what is there under it after a lost answer is it. Returns its UUID."""
    arguments = {
        "volume": begun.volume,
        "source-path": origin.lun,
        "snapshot-name": origin.snapshot,
        "destination-path": begun.lun,
        "space-reserve": not thin,
    }
    lost: OutcomeUnknown | None = None
    try:
        client.change("clone-create", begun.svm, arguments)
    except OutcomeUnknown as error:
        lost = error
    found: list[StoredLun] = []

    def look() -> bool:
        stored = ZapiLookup(client).lun_at(begun)
        found.extend([stored] if stored else [])
        return bool(found)

    if not client.wait_for(look, SETTLE_SECONDS):
        raise lost or OutcomeUnknown(f"LUN {begun} was made and is not there: look at the array's event log, then run this task again")
    return found[0].lun.id


def _sweep(client: ZapiClient, address: LunAddress) -> None:
    """Delete what runs for the same clone have begun and not ended."""
    left = re.compile(re.escape(f"/vol/{address.volume}/{_prefix(address)}") + "[0-9a-f]{16}")
    for path in ZapiLookup(client).lun_paths(address.svm, address.volume):
        if left.fullmatch(path):
            found = ZapiLookup(client).luns_at(address.svm, [path])
            for lun in found:
                delete(client, address.svm, path, lun.id)


def _take_back(client: ZapiClient, begun: LunAddress, uuid: str) -> None:
    """Delete a clone that has still its first name; why it could not be ended stays the failure that is told."""
    with contextlib.suppress(CrossvisorError):
        if ZapiLookup(client).path_of(uuid) == lun_path(begun):
            delete(client, begun.svm, lun_path(begun), uuid)
