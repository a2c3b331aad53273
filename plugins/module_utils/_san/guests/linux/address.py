# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where a hypervisor put a disk, as far as it tells, and what that means to the SCSI hosts of a Linux guest.

A slot of a virtual controller, `SCSI(bus:unit)`, does not tell the number of the guest's SCSI host: the kernel numbers controllers in the
order in which it finds them. It does tell the target or the LUN, which one depends on the controller. H:C:T:L tells everything.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ansible_collections.crossvisor.san.plugins.module_utils._san import wishes
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import InvalidInput

_ANY = "*"
_NUMBER = r"[0-9]{1,20}|\*"
_HCTL = re.compile(rf"\[?(?P<host>{_NUMBER}):(?P<channel>{_NUMBER}):(?P<target>{_NUMBER}):(?P<lun>{_NUMBER})\]?")

_UNIT_IS_TARGET = frozenset({"vmw_pvscsi", "mptspi", "BusLogic", "sym53c8xx"})
_UNIT_IS_LUN = re.compile("virtio_scsi|(hv_)?storvsc.*")


@dataclass(frozen=True)
class Address:
    """What is known of a disk's place in the guest; None is for any. All of them None is no restriction at all."""

    host: int | None = None
    channel: int | None = None
    target: int | None = None
    lun: int | None = None
    unit: int | None = None
    """The unit on a virtual controller, which is a target or a LUN."""

    @classmethod
    def parse(cls, text: str) -> Address:
        """The place that `2:0:0:1`, `*:0:3:0`, `SCSI(1:3)` or `1:3` names. Raises `InvalidInput`."""
        exact = _HCTL.fullmatch(text.strip())
        if exact:
            return cls(**{part: None if number == _ANY else int(number) for part, number in exact.groupdict().items()})
        try:
            slot = wishes.place(text)
        except InvalidInput:
            raise InvalidInput(
                f"'{text:.100}' is no address of a disk: write host:channel:target:lun with * for what is not known, such as *:0:3:0, "
                "or SCSI(bus:unit), as ptd_attach returns it in guest_address."
            ) from None
        return cls(unit=slot.unit)

    def on(self, host: int) -> bool:
        """Tell whether the disk may be on the SCSI host of this number."""
        return self.host in (None, host)

    def scan(self, driver: str) -> str:
        """What a SCSI host with this driver takes as an order to look for the disk: channel, target and LUN, `-` for all."""
        target, lun = self.target, self.lun
        if self.unit is not None:
            target = self.unit if driver in _UNIT_IS_TARGET else None
            lun = self.unit if _UNIT_IS_LUN.fullmatch(driver) else None
        return " ".join("-" if number is None else str(number) for number in (self.channel, target, lun))


ANYWHERE = Address()
