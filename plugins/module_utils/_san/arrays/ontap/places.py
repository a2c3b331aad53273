# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Finding a LUN, or a place for one, and what to say when there is none."""

from __future__ import annotations

from dataclasses import replace

from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.base import LunAddress
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.luns import StoredLun, lun_path
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.states import refuse_volume_unless_online
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.transport import Transport
from ansible_collections.crossvisor.san.plugins.module_utils._san.entity_name import did_you_mean
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import (
    Ambiguous,
    CrossvisorError,
    InvalidInput,
    MissingRight,
    NotFound,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName


def find(array: Transport, wanted: LunAddress | ScsiName) -> StoredLun | None:
    """The LUN at this place or of this name. Raises `InvalidInput` for what is no name of an ONTAP LUN, and `Ambiguous`."""
    if isinstance(wanted, LunAddress):
        return array.lun_at(wanted)
    if wanted.ontap_serial is None:
        maker = wanted.vendor or "its maker is not known"
        raise InvalidInput(f"{wanted} is not the name of an ONTAP LUN ({maker}): look for it on another array.")
    found = array.luns_with_serials([wanted.ontap_serial])
    if len(found) > 1:
        places = ", ".join(f"{stored.lun.svm}:{stored.lun.path}" for stored in found)
        raise Ambiguous(f"Several LUNs are named {wanted} on array {array.connection}: {places}; name one of them by SVM, volume and LUN.")
    return found[0] if found else None


def require(array: Transport, wanted: LunAddress | ScsiName) -> StoredLun:
    """The same LUN. Raises `NotFound` when it is not there."""
    stored = find(array, wanted)
    if stored is None and isinstance(wanted, LunAddress):
        raise no_lun(array, wanted, "correct its name")
    if stored is None:
        raise NotFound(f"There is no LUN {wanted} on array {array.connection}: correct its name, or ask the array that has it.")
    return stored


def require_place(array: Transport, address: LunAddress) -> None:
    """Raises `NotFound` when the SVM or the volume of a LUN-to-be does not exist, `Refused` when the volume is not online."""
    state = array.volume_state(address.svm, address.volume)
    if state is not None:
        return refuse_volume_unless_online(address, state)
    _require_svm(array, address.svm)
    raise NotFound(
        f"There is no volume {address.volume} in SVM {address.svm} of array {array.connection}: correct its name, or create it"
        + did_you_mean([address.volume], array.volume_names(address.svm))
    )


def no_lun(array: Transport, address: LunAddress, way_out: str) -> NotFound:
    """What to say of a LUN that is not at this place: its SVM, its volume or it itself is not there, and which names are near."""
    try:
        require_place(array, address)
    except NotFound as place:
        return place
    except CrossvisorError:
        known: list[str] = []
    else:
        known = array.lun_paths(address.svm, address.volume)
    prefix = lun_path(replace(address, lun=""))
    near = did_you_mean([address.lun], [name[len(prefix) :] for name in known])
    return NotFound(f"There is no LUN {address} on array {array.connection}: {way_out}{near}")


def missing_place(array: Transport, address: LunAddress) -> list[str]:
    """That the SVM or volume of a LUN that is not there does not exist either, as a warning. One request where both do.

    Of LUNs none is named that is near: one that is about to be removed is mostly gone already, and the next one is somebody else's.
    """
    try:
        require_place(array, address)
    except NotFound as place:
        return [str(place)]
    except CrossvisorError:
        return []
    return []


def _require_svm(array: Transport, svm: str) -> None:
    """Raise `NotFound` when there is no such SVM; where the right to ask is missing, nobody says so."""
    try:
        known = array.svm_names()
    except MissingRight:
        return
    if svm not in known:
        raise NotFound(f"There is no SVM {svm} on array {array.connection}: correct its name{did_you_mean([svm], known)}")
