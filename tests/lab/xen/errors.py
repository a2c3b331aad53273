# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What XAPI says when it refuses: an error code and its parameters, all text."""

from __future__ import annotations


class Failure(Exception):
    """A call that XAPI refuses."""

    def __init__(self, *code_and_parameters: object) -> None:
        super().__init__(*code_and_parameters)
        self.description = [str(part) for part in code_and_parameters]

    @property
    def code(self) -> str:
        """Return the error code."""
        return self.description[0]


SM_CODES = {
    "SRInUse": (16, "The SR device is currently in use"),
    "InvalidDev": (19, "No such device"),
    "VDIInUse": (24, "The VDI is currently in use"),
    "SRNotEmpty": (39, "The SR is not empty"),
    "SRScan": (40, "The SR scan failed "),
    "SRNoSpace": (44, "There is insufficient space"),
    "VDIUnavailable": (46, "The VDI is not available"),
    "SRUnavailable": (47, "The SR is not available"),
    "ISCSIDevice": (67, "ISCSI device failed to appear"),
    "ISCSILogin": (
        68,
        "ISCSI login failed - check access settings for the initiator on the storage, if CHAP is used verify CHAP credentials",
    ),
    "ISCSIInitiator": (70, "Failed to set ISCSI initiator"),
    "VDISize": (79, "VDI Invalid size"),
    "ISCSIDiscovery": (83, "ISCSI discovery failed"),
    "ConfigLocationMissing": (94, "The request is missing the location parameter"),
    "ConfigTargetMissing": (95, "The request is missing the target parameter"),
    "ConfigTargetIQNMissing": (96, "The request is missing or has an incorrect target IQN parameter"),
    "ConfigISCSIIQNMissing": (97, "Unable to retrieve the host configuration ISCSI IQN parameter"),
    "ConfigSCSIid": (107, "The SCSIid parameter is missing or incorrect"),
    "VDICreate": (78, "VDI Creation failed"),
    "ISCSITarget": (141, "Unable to connect to ISCSI service on target"),
    "ISCSIPort": (142, "Incorrect value for iSCSI port, must be a number between 1 and 65535"),
    "SMGeneral": (202, "General backend error"),
    "GenericException": (1200, ""),
}
"""Storage manager's errors: number and text of ``XE_SR_ERRORCODES.xml``."""
TRANSLATED = {16: "SR_DEVICE_IN_USE", 24: "VDI_IN_USE", 39: "SR_NOT_EMPTY"}
"""Numbers for which XAPI has an error of its own, without parameters."""


def sm_failure(kind: str, detail: str = "", stderr: str = "") -> Failure:
    """Return what XAPI makes of an error of the storage manager; ``stderr`` carries the answer of a probe."""
    number, text = SM_CODES[kind]
    if number in TRANSLATED:
        return Failure(TRANSLATED[number])
    return Failure(f"SR_BACKEND_FAILURE_{number}", "", f"{text} [opterr={detail}]" if detail else text, stderr)
