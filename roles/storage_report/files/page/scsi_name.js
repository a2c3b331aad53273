// Copyright (c) 2026, the crossvisor.san authors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// The identity of a LUN in every spelling: the rules of plugins/module_utils/_san/scsi_name.py, in the same order.

const ONTAP_PREFIX = "600a0980";
const SEVEN_MODE_PREFIX = "60a98000";
const NETAPP_SERIAL = /^[!-~]{12}$/;
const NETAPP_SERIAL_HEX = /^[0-9a-fA-F]{24}$/;
const NAA = "(?:[25][0-9a-f]{15}|6[0-9a-f]{31})";
const ESX_DISKS = "(?:/vmfs/devices/disks/|/dev/disks/)";
const LUN_SPELLINGS = [
  `(?:0x)?(${NAA})`,
  `${ESX_DISKS}?naa\\.(${NAA})(?::[0-9]+)?`,
  `(?:/dev/disk/by-id/)?wwn-0x(${NAA})(?:-part[0-9]+)?`,
  `(?:/dev/disk/by-id/)?scsi-3(${NAA})(?:-part[0-9]+)?`,
  `(?:/dev/disk/by-id/dm-uuid-)?(?:part[0-9]+-)?mpath-3(${NAA})`,
  `(?:/dev/mapper/|/dev/disk/by-id/dm-name-)?3(${NAA})(?:-part[0-9]+|p[0-9]+)?`,
  `${ESX_DISKS}?(?:vml\\.)?02[0-9a-f]{8}(${NAA})(?:[0-9a-f]{2}){0,16}(?::[0-9]+)?`,
].map((pattern) => new RegExp(`^${pattern}$`));

/** The NAA digits that a text spells, or null. */
function lunName(text) {
  const folded = text.trim().toLowerCase();
  for (const spelling of LUN_SPELLINGS) {
    const match = spelling.exec(folded);
    if (match) return match[1];
  }
  return null;
}

/** The NetApp serial number that a text is, in characters or in hex digits, or null. */
function netappSerial(text) {
  const word = text.trim();
  const plain = NETAPP_SERIAL_HEX.test(word) ? String.fromCharCode(...word.match(/../g).map((digits) => parseInt(digits, 16))) : word;
  return NETAPP_SERIAL.test(plain) ? plain : null;
}

/** The NAA digits of the LUNs that have this NetApp serial number: on ONTAP, and on 7-Mode. */
function namesOfSerial(serial) {
  const digits = [...serial].map((character) => character.charCodeAt(0).toString(16)).join("");
  return [ONTAP_PREFIX + digits, SEVEN_MODE_PREFIX + digits];
}

/** The serial number that is part of a NetApp LUN's name, or null. */
function serialInName(naa) {
  const ours = naa.startsWith(ONTAP_PREFIX) || naa.startsWith(SEVEN_MODE_PREFIX);
  return ours ? netappSerial(naa.slice(ONTAP_PREFIX.length)) : null;
}
