# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The identity of a LUN in every spelling: NAA, WWID, by-id link, vml, UniqueId, SCSIid, VPD page, array serial.

Only this module knows what the digits of a vendor's NAA name mean.

The name is the NAA identifier of SPC-4 7.8.6.6: 16 hex digits (NAA 2 or 5) or 32 (NAA 6).  Names of other kinds are refused, because they are
either not unique in the world (NAA 3, ``mpx.``) or not comparable with an NAA name (``eui.``, ``t10.``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Optional

from ansible_collections.crossvisor.san.plugins.module_utils.errors import InvalidInput

_ONTAP = "600a0980"  # shared with E-Series
_DATA_ONTAP_7_MODE = "60a98000"
_PURE = "624a9370"
_ONTAP_PRODUCT = "LUN C-Mode"

_VENDORS = (
    (_DATA_ONTAP_7_MODE, "NetApp 7-Mode"),
    (_PURE, "Pure Storage"),
    ("68ccf098", "Dell PowerStore"),
    ("6000097", "Dell PowerMax"),
    ("6006048", "Dell PowerMax"),
    ("6006016", "Dell Unity"),
    ("60002ac", "HPE 3PAR"),
    ("60050768", "IBM SVC"),
    ("60060e8", "Hitachi"),
    ("6742b0f", "Infinidat"),
    ("6001405", "LIO"),
    ("60000000000000000e0000", "tgt"),
)

_NAA = "(?:[25][0-9a-f]{15}|6[0-9a-f]{31})"
_CANONICAL = re.compile(_NAA)
_DIRECTORY = "(?:/dev/disk/by-id/|/dev/disks/|/dev/mapper/|/vmfs/devices/disks/)"
_SPELLINGS = tuple(
    re.compile(pattern)
    for pattern in (
        rf"(?:0x)?(?P<naa>{_NAA})",  # plain, Windows MSFT_Disk.UniqueId
        rf"{_DIRECTORY}?naa\.(?P<naa>{_NAA})(?::[0-9]+)?",  # VMware canonical name, Linux sysfs wwid
        rf"(?:/dev/disk/by-id/)?wwn-0x(?P<naa>{_NAA})(?:-part[0-9]+)?",
        rf"(?:/dev/disk/by-id/)?scsi-3(?P<naa>{_NAA})(?:-part[0-9]+)?",
        rf"(?:/dev/disk/by-id/dm-uuid-|dm-uuid-)?mpath-3(?P<naa>{_NAA})",
        rf"(?:/dev/mapper/)?3(?P<naa>{_NAA})(?:p[0-9]+|-part[0-9]+)?",  # multipath WWID, XAPI SCSIid
        # uuid type 02 (NAA), device type, LUN number (low byte first, high byte since ESXi 7), reserved, name, model: VMware KB 320217 and 379673
        rf"{_DIRECTORY}?(?:vml\.)?02[0-9a-f]{{8}}(?P<naa>{_NAA})(?:[0-9a-f]{{2}}){{0,16}}(?::[0-9]+)?",
    )
)
_ACCEPTED = "naa.<hex>, 16 or 32 hex digits (NAA 2, 5 or 6), 0x<hex>, wwn-0x<hex>, scsi-3<hex>, 3<hex>, vml.02<hex> and their /dev or /vmfs paths"


@dataclass(frozen=True, order=True)
class ScsiName:
    """A LUN's name; two LUNs are the same one exactly when their names are equal.

    ``naa`` is the bare name in lower case: 16 hex digits (NAA 2 or 5) or 32 (NAA 6).  Raises InvalidInput for anything else.
    """

    naa: str

    def __post_init__(self) -> None:
        if not _CANONICAL.fullmatch(self.naa):
            raise InvalidInput(f"{self.naa!r} is not a bare NAA name: expected 16 or 32 lower-case hex digits that start with 2, 5 or 6.")

    @classmethod
    def parse(cls, text: str) -> ScsiName:
        """The name that ``text`` spells, in any spelling and case; a partition suffix is dropped.  Raises InvalidInput.

        A 12-character ONTAP serial is refused: it does not tell ONTAP from 7-Mode, nor from any other 12 characters; see from_ontap_serial.
        """
        raise NotImplementedError

    @classmethod
    def try_parse(cls, text: str) -> Optional[ScsiName]:
        """The name that ``text`` spells, or None."""
        raise NotImplementedError

    @classmethod
    def from_ontap_serial(cls, serial: str) -> ScsiName:
        """The name of the ONTAP LUN with this 12-character serial number.  Raises InvalidInput."""
        raise NotImplementedError

    @classmethod
    def from_7mode_serial(cls, serial: str) -> ScsiName:
        """The name of the Data ONTAP 7-Mode LUN with this 12-character serial number.  Raises InvalidInput."""
        raise NotImplementedError

    @classmethod
    def from_vpd83(cls, page: bytes) -> Optional[ScsiName]:
        """The name in a Device Identification page (SPC-4 7.8.6), or None."""
        raise NotImplementedError

    def __str__(self) -> str:
        return self.vmware

    @property
    def vmware(self) -> str:
        """``naa.<hex>``: ScsiLun.canonicalName, also Linux' sysfs wwid."""
        return f"naa.{self.naa}"

    @property
    def wwid(self) -> str:
        """``3<hex>``: multipath WWID, ``scsi_id -g``."""
        return f"3{self.naa}"

    @property
    def wwn(self) -> str:
        """``wwn-0x<hex>``: the link in /dev/disk/by-id."""
        return f"wwn-0x{self.naa}"

    @property
    def windows(self) -> str:
        """Upper-case hex: MSFT_Disk.UniqueId."""
        return self.naa.upper()

    @property
    def xapi(self) -> str:
        """``3<hex>``: the SCSIid of XAPI's device_config and sm_config."""
        return self.wwid

    @property
    def ontap_serial(self) -> Optional[str]:
        """The 12-character serial number if this can be an ONTAP LUN, else None."""
        raise NotImplementedError

    @property
    def vendor(self) -> Optional[str]:
        """Who made the array, by the name's prefix, or None."""
        raise NotImplementedError

    @property
    def serial(self) -> Optional[str]:
        """The serial number that the array shows for this LUN, where the vendor puts it in the name, else None."""
        raise NotImplementedError


def ontap_serial(name: ScsiName, product: Optional[str]) -> Optional[str]:
    """The ONTAP serial number of ``name``, or None when the INQUIRY product is known and is not ONTAP's ``LUN C-Mode``."""
    raise NotImplementedError


def from_vpd80(page: bytes) -> str:
    """The serial number in a Unit Serial Number page (SPC-4 7.8.18), without padding.  Raises InvalidInput."""
    raise NotImplementedError
