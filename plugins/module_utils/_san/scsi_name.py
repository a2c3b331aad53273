# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The identity of a LUN in every spelling: NAA, WWID, by-id link, vml, UniqueId, SCSIid, VPD page, array serial.

Only this module knows what the digits of a vendor's name mean.

The name is the NAA designator of SPC-4 7.8.6.6: 16 hex digits (NAA 2 or 5) or 32 (NAA 6). Names of other kinds are refused, because
they are either not unique in the world (NAA 3, `mpx.`) or cannot be compared with an NAA name (`eui.`, `t10.`, `vml.01`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import InvalidInput

_ONTAP = "600a0980"
_7_MODE = "60a98000"
_PURE = "624a9370"
_VENDORS = {
    _7_MODE: "NetApp 7-Mode",
    _PURE: "Pure Storage",
    "68ccf098": "Dell PowerStore",
    "6000097": "Dell PowerMax",
    "6006048": "Dell PowerMax",
    "6006016": "Dell Unity",
    "60002ac": "HPE 3PAR",
    "60050763": "IBM DS8000",
    "60050768": "IBM SVC",
    "60060e8": "Hitachi",
    "6742b0f": "Infinidat",
    "6001405": "LIO",
    "60000000000000000e0000": "tgt",
}
_ONTAP_PRODUCT = "LUN C-Mode"
_NETAPP_SERIAL = re.compile("[!-~]{12}")
_SERIAL_HEX = re.compile("[0-9a-fA-F]{24}")
_ARRAY_PATH = re.compile("(?:[^/]+:)?/vol/")

_NAA = "(?:[25][0-9a-f]{15}|6[0-9a-f]{31})"
_NAA_TYPES = "652"  # best first
_BARE = re.compile(_NAA)
_ESX_DISKS = "(?:/vmfs/devices/disks/|/dev/disks/)"
_SPELLINGS = [
    re.compile(pattern)
    for pattern in (
        rf"(?:0x)?(?P<naa>{_NAA})",  # also MSFT_Disk.UniqueId
        rf"{_ESX_DISKS}?naa\.(?P<naa>{_NAA})(?::[0-9]+)?",  # also Linux' sysfs wwid
        rf"(?:/dev/disk/by-id/)?wwn-0x(?P<naa>{_NAA})(?:-part[0-9]+)?",
        rf"(?:/dev/disk/by-id/)?scsi-3(?P<naa>{_NAA})(?:-part[0-9]+)?",
        rf"(?:/dev/disk/by-id/dm-uuid-)?(?:part[0-9]+-)?mpath-3(?P<naa>{_NAA})",
        rf"(?:/dev/mapper/|/dev/disk/by-id/dm-name-)?3(?P<naa>{_NAA})(?:-part[0-9]+|p[0-9]+)?",
        # uuid type 02 (NAA), device type, LUN number (low byte, high byte since ESXi 7), reserved, name, model: VMware KB 320217, 379673
        rf"{_ESX_DISKS}?(?:vml\.)?02[0-9a-f]{{8}}(?P<naa>{_NAA})(?:[0-9a-f]{{2}}){{0,16}}(?::[0-9]+)?",
    )
]


@dataclass(frozen=True, order=True)
class ScsiName:
    """The name of a LUN: two LUNs are the same one exactly when their names are equal.

    `naa` is the bare name, 16 or 32 lower-case hex digits. Raises `InvalidInput` for anything else; `parse` reads the other spellings.
    """

    naa: str

    def __post_init__(self) -> None:
        if not (isinstance(self.naa, str) and _BARE.fullmatch(self.naa)):
            raise InvalidInput(
                f"{self.naa!r:.100} is not a bare NAA name: expected 32 lower-case hex digits that start with 6, or 16 with 2 or 5."
            )

    @classmethod
    def parse(cls, text: str) -> ScsiName:
        """The LUN that `text` names, in any spelling and any case; a partition's name gives its LUN. Raises `InvalidInput`.

        A NetApp serial number is refused: its 12 characters tell neither ONTAP from 7-Mode, nor a serial number from any other short text.
        See `from_ontap_serial` and `from_7mode_serial`.
        """
        name = cls.try_parse(text)
        if name is None:
            raise InvalidInput(f"{text!r:.100} is not the NAA name of a LUN: {_what_else(text)}.")
        return name

    @classmethod
    def try_parse(cls, text: str) -> ScsiName | None:
        """Like `parse`, but None where that raises."""
        if not isinstance(text, str):
            return None
        folded = text.strip().lower()
        matches = (spelling.fullmatch(folded) for spelling in _SPELLINGS)
        return next((cls(match["naa"]) for match in matches if match), None)

    @classmethod
    def from_ontap_serial(cls, serial: str) -> ScsiName:
        """The ONTAP LUN with this `serial_number`, 12 printable characters in which case counts. Raises `InvalidInput`."""
        return cls(_ONTAP + _hex_of_netapp_serial(serial))

    @classmethod
    def from_7mode_serial(cls, serial: str) -> ScsiName:
        """The LUN with this serial number on Data ONTAP 7-Mode, 12 printable characters in which case counts. Raises `InvalidInput`."""
        return cls(_7_MODE + _hex_of_netapp_serial(serial))

    @classmethod
    def from_vpd83(cls, page: bytes) -> ScsiName | None:
        """The LUN's name in a Device Identification page (SPC-4 7.8.6), wherever it stands among the designators.

        NAA 6 goes before 5, 5 before 2. None when the logical unit has no such name, or two of the best type, so that neither is its
        identity.
        """
        names = {designator.hex() for designator in _naa_designators(page)}
        for naa_type in _NAA_TYPES:
            best = [name for name in names if name.startswith(naa_type) and _BARE.fullmatch(name)]
            if best:
                return cls(best[0]) if len(best) == 1 else None
        return None

    def __str__(self) -> str:
        return self.vmware

    @property
    def vmware(self) -> str:
        """`naa.<hex>`, VMware's `ScsiLun.canonicalName` and Linux' sysfs `wwid`."""
        return f"naa.{self.naa}"

    @property
    def wwid(self) -> str:
        """`3<hex>`, the WWID of Linux' multipath and `scsi_id -g` (designator type 3, NAA)."""
        return f"3{self.naa}"

    @property
    def wwn(self) -> str:
        """`wwn-0x<hex>`, the link in `/dev/disk/by-id`."""
        return f"wwn-0x{self.naa}"

    @property
    def windows(self) -> str:
        """The hex digits in upper case, `MSFT_Disk.UniqueId`."""
        return self.naa.upper()

    @property
    def xapi(self) -> str:
        """`3<hex>`, the `SCSIid` in XAPI's `device_config` and `sm_config`, which comes from `scsi_id -g`."""
        return self.wwid

    @property
    def ontap_serial(self) -> str | None:
        """The `serial_number` of an ONTAP LUN, else None.

        Names of E-Series share the prefix but hold no printable text; where the INQUIRY product is known, ask the function `ontap_serial`.
        """
        return self._netapp_serial_after(_ONTAP)

    @property
    def vendor(self) -> str | None:
        """The maker and family of the array, as far as the name's first digits tell, or None."""
        if self.naa.startswith(_ONTAP):
            return "NetApp ONTAP" if self.ontap_serial else "NetApp E-Series"
        return next((vendor for prefix, vendor in _VENDORS.items() if self.naa.startswith(prefix)), None)

    @property
    def serial(self) -> str | None:
        """The serial number that the array shows for the LUN, where the vendor makes it part of the name (NetApp, Pure), else None."""
        if self.naa.startswith(_PURE):
            return self.naa[len(_PURE) :].upper()
        return self.ontap_serial or self._netapp_serial_after(_7_MODE)

    def _netapp_serial_after(self, prefix: str) -> str | None:
        if not self.naa.startswith(prefix):
            return None
        text = bytes.fromhex(self.naa[len(prefix) :]).decode("latin-1")
        return text if _NETAPP_SERIAL.fullmatch(text) else None


@dataclass(frozen=True)
class PlannedLun(ScsiName):
    """A LUN that does not exist yet, by what it will be called, such as its path: no LUN that there is equals it.

    The words stand in for the name, which only the array will give. Raises `InvalidInput` when there are none.
    """

    def __post_init__(self) -> None:
        if not self.naa.strip():
            raise InvalidInput("A LUN that does not exist yet was asked about without saying what it will be called: name its path.")

    def __str__(self) -> str:
        return self.naa


def ontap_serial(name: ScsiName, product: str | None) -> str | None:
    """The ONTAP `serial_number` of a device with this name and INQUIRY product, which may be padded, or None when it is not ONTAP's.

    `product` is None when it is not known.
    """
    if product is not None and product.strip() != _ONTAP_PRODUCT:
        return None
    return name.ontap_serial


def from_vpd80(page: bytes) -> str:
    """The serial number in a Unit Serial Number page (SPC-4 7.8.18), unpadded, empty where there is none. Raises `InvalidInput`."""
    length = int.from_bytes(page[2:4], "big")
    serial = page[4 : 4 + length]
    if page[1:2] != b"\x80" or len(serial) < length or not serial.isascii():
        raise InvalidInput(f"{page.hex()!r:.100} is not a Unit Serial Number page (VPD 0x80) with ASCII text: read the device again.")
    return serial.decode("ascii").strip(" \0")


def _what_else(text: str) -> str:
    """What a text may be that is no NAA name, and what to write instead."""
    serial = _netapp_serial_in(text)
    if serial:
        return f"if it is the serial number of a LUN on ONTAP, the NAA name of that LUN is {ScsiName.from_ontap_serial(serial)}"
    if isinstance(text, str) and _ARRAY_PATH.match(text.strip()):
        return "it looks like the path of a LUN on its array, where a serial number or NAA name is told for it"
    return (
        "expected 32 hex digits that start with 6, or 16 with 2 or 5, bare or as naa.<hex>, 0x<hex>, wwn-0x<hex>, scsi-3<hex>, 3<hex>, "
        "vml.02<hex>, a VMware uuid, or a path to one of these"
    )


def _netapp_serial_in(text: str) -> str | None:
    """The serial number that a text is, in characters or, as ONTAP's `serial_hex`, in hex digits."""
    if not isinstance(text, str):
        return None
    word = text.strip()
    plain = bytes.fromhex(word).decode("latin-1") if _SERIAL_HEX.fullmatch(word) else word
    return plain if _NETAPP_SERIAL.fullmatch(plain) else None


def _hex_of_netapp_serial(serial: str) -> str:
    if not (isinstance(serial, str) and _NETAPP_SERIAL.fullmatch(serial.strip())):
        known = ScsiName.try_parse(serial) is not None
        what = "it is an NAA name, which is given as such" if known else "expected 12 printable ASCII characters, no spaces"
        raise InvalidInput(f"{serial!r:.100} is not the serial number of a NetApp LUN: {what}.")
    return serial.strip().encode("ascii").hex()


def _naa_designators(page: bytes) -> Iterator[bytes]:
    """The binary NAA designators (code set 1, designator type 3) of the logical unit itself (association 0)."""
    rest = page[4 : 4 + int.from_bytes(page[2:4], "big")] if page[1:2] == b"\x83" else b""
    while len(rest) > 4:
        end = 4 + rest[3]
        if rest[0] & 0x0F == 1 and rest[1] & 0x3F == 3:
            yield rest[4:end]
        rest = rest[end:]
