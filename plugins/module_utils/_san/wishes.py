# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What users write in a task, as the values that the services take: sizes, places, LUNs, and what is to be frozen."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ansible.module_utils.common.text.formatters import human_to_bytes

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import InvalidInput
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import Slot
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import PlannedLun, ScsiName

_PLACE = re.compile(r"(?:SCSI)?\(?(?P<bus>\d{1,3})(?::(?P<unit>\d{1,3}))?\)?", re.IGNORECASE | re.ASCII)
_FROZEN_SECONDS = range(5, 601)


def size_in_bytes(text: str) -> int:
    """Bytes of a size such as `10GiB`, `1.5T` or `1073741824`; units are binary. Raises `InvalidInput`."""
    try:
        size = int(human_to_bytes(text.strip().replace("iB", "B")))
    except ValueError:
        raise InvalidInput(f"'{text}' is not a size: write a number of bytes, or a number with K, M, G or T, such as 10GiB.") from None
    if size <= 0:
        raise InvalidInput(f"'{text}' is not a size for a LUN: it must be more than nothing.")
    return size


def place(text: str | None) -> Slot:
    """The place that `SCSI(1:3)`, `1:3` or, for the first free unit of a bus, `SCSI(1)` names. Raises `InvalidInput`."""
    if text is None:
        return Slot()
    match = _PLACE.fullmatch(text.strip())
    if match is None:
        raise InvalidInput(f"'{text}' is not a place on a virtual controller: write SCSI(bus:unit), such as SCSI(1:3), or SCSI(bus).")
    return Slot(bus=int(match["bus"]), unit=int(match["unit"]) if match["unit"] else None)


def lun_name(spelling: str | None, serial: str | None, planned: str | None = None) -> ScsiName:
    """The LUN that a task names by any spelling of its NAA, by its ONTAP serial number, or before it exists. Raises `InvalidInput`."""
    if planned is not None:
        return PlannedLun(planned)
    if serial:
        return ScsiName.from_ontap_serial(serial)
    return ScsiName.parse(spelling or "")


def refuse_plans_that_would_be_done(params: Mapping[str, Any], check_mode: bool) -> None:
    """Raise `InvalidInput` when a task is to do something with LUNs that do not exist yet."""
    given = [option for option in ("planned_lun", "planned_disks") if params[option]]
    if given and (not check_mode or params["state"] != "present"):
        raise InvalidInput(
            f"{given[0]} only tells in check mode what would be done for a disk that shall be there: make the LUN, then name it by naa or "
            "serial."
        )


def freeze_options() -> dict[str, Any]:
    """The argument spec of what is to be held still, by whoever does it."""
    return {
        "state": {"type": "str", "choices": ["frozen", "thawed"], "required": True},
        "naas": {"type": "list", "elements": "str", "default": []},
        "thaw_after": {"type": "int", "default": 60},
        "made_by": {"type": "str", "default": ""},
        "timeout": {"type": "float", "default": 15.0},
    }


def luns_to_freeze(params: Mapping[str, Any]) -> list[ScsiName]:
    """The LUNs whose file systems such options name to be frozen. Raises `InvalidInput`, also for a time that is none."""
    if not params["naas"]:
        raise InvalidInput("naas names no LUN: give at least one whose file systems are to be frozen.")
    if params["thaw_after"] not in _FROZEN_SECONDS:
        seconds = f"{_FROZEN_SECONDS.start} to {_FROZEN_SECONDS.stop - 1} seconds"
        raise InvalidInput(f"thaw_after={params['thaw_after']} is not one of {seconds}.")
    return [lun_name(naa, None) for naa in params["naas"]]
