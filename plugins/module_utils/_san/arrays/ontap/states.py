# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The states in which ONTAP keeps a LUN from its hosts, and the way out of each.

Source: `status.state` and `status.container_state` of LUNs, `state` of volumes, and codes 5374865 and 5374866 of the deletion of a LUN, in
NetApp's ONTAP REST API reference.
"""

from __future__ import annotations

from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.base import LunAddress
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import Refused
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import ONLINE, UNKNOWN, Lun

_BRING_ONLINE = "bring it online with `lun modify -vserver {svm} -path {path} -state online`"
_WAYS_OUT = {
    "offline": f"see why it was taken offline, which a full volume does too, then {_BRING_ONLINE}",
    "space_error": f"make room in volume {{volume}}, then {_BRING_ONLINE}",
    "nvfail": f"the array may have lost what was written last, so check what is on it, then {_BRING_ONLINE}",
    "foreign_lun_error": "mend the array that it is imported from (`lun import show`)",
    "volume_offline": "bring its volume online with `volume online -vserver {svm} -volume {volume}`",
    "aggregate_offline": "bring the aggregate of volume {volume} online",
}
_OTHERWISE = "look at it on the array (`lun show -vserver {svm} -path {path}`)"

_OF_ITS_CONTAINER = "_offline"


def refuse_unless_online(lun: Lun) -> None:
    """Raise `Refused` for a LUN that no host can see, whoever it is mapped to; nothing is brought online by itself."""
    if lun.state not in (ONLINE, UNKNOWN):
        raise Refused(f"LUN {lun.svm}:{lun.path} is in state {lun.state}, in which no host can see it: {_way_out(lun)}.")


def refuse_unless_container_online(lun: Lun) -> None:
    """Raise `Refused` for a LUN whose volume or aggregate is not online; one that is offline itself may be."""
    if lun.state.endswith(_OF_ITS_CONTAINER):
        refuse_unless_online(lun)


def refuse_unless_deletable(lun: Lun) -> None:
    """Raise `Refused` for a LUN that ONTAP does not delete, because its volume or aggregate is not online."""
    if lun.state.endswith(_OF_ITS_CONTAINER):
        raise Refused(f"LUN {lun.svm}:{lun.path} is in state {lun.state}, in which the array does not delete it: {_way_out(lun)}.")


def refusal_of_asa_r2(what: str) -> Refused:
    """Why nothing is done on a disaggregated system: its LUNs have no volume, and are made and deleted as storage units."""
    return Refused(
        f"{what} is an ASA r2, whose storage units this collection does not know: use a unified ONTAP system or an ASA before r2."
    )


def refuse_without_volume(lun: Lun) -> None:
    """Raise `Refused` for a LUN that is in no volume, which tells an ASA r2 also to an account that may not ask what the array is."""
    if not lun.path.startswith("/vol/"):
        raise refusal_of_asa_r2(f"The array of LUN {lun.svm}:{lun.path}")


def refuse_volume_unless_online(address: LunAddress, state: str) -> None:
    """Raise `Refused` when a volume can take no LUN."""
    if state not in (ONLINE, UNKNOWN):
        raise Refused(
            f"Volume {address.volume} of SVM {address.svm} is {state} and can hold no LUN that a host sees: bring it online with "
            f"`volume online -vserver {address.svm} -volume {address.volume}`, or name another one."
        )


def warnings(lun: Lun) -> list[str]:
    """What a user should know of a LUN that hosts do see."""
    if not lun.read_only:
        return []
    return [f"LUN {lun.svm}:{lun.path} is read-only on its array, as the destination of a mirror is: nobody can write to it."]


def _way_out(lun: Lun) -> str:
    return _WAYS_OUT.get(lun.state, _OTHERWISE).format(svm=lun.svm, volume=lun.volume, path=lun.path)
