# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The filters `naa`, `serial`, `wwid` and `scsi_name`: a LUN's name as another tool printed it, in the spelling that a playbook needs."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

from ansible.errors import AnsibleFilterError

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import InvalidInput
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName, ontap_serial

_Value = TypeVar("_Value")

_PARSERS = {
    None: ScsiName.parse,
    "ontap": ScsiName.from_ontap_serial,
    "7mode": ScsiName.from_7mode_serial,
}


def _fails_as_filter(function: Callable[..., _Value]) -> Callable[..., _Value]:
    @functools.wraps(function)
    def filtered(*args: Any, **kwargs: Any) -> _Value:
        try:
            return function(*args, **kwargs)
        except InvalidInput as error:
            raise AnsibleFilterError(str(error)) from None

    return filtered


def _name(text: object, serial_of: str | None) -> ScsiName:
    if serial_of not in _PARSERS:
        raise InvalidInput(f"serial_of={serial_of!r:.100} is no kind of NetApp array: say ontap or 7mode, or leave it out.")
    return _PARSERS[serial_of](_quoted(text))


def _quoted(text: object) -> str:
    if not isinstance(text, str):
        # !s, not !r: ansible-core 2.18 hands over undefined variables, which name themselves when they are turned into text
        raise InvalidInput(f"{text!s:.100} is not text: put the name in quotes, because YAML reads a name without letters as a number.")
    return text


@_fails_as_filter
def naa(text: object, serial_of: str | None = None) -> str:
    """The bare hex digits."""
    return _name(text, serial_of).naa


@_fails_as_filter
def wwid(text: object, serial_of: str | None = None) -> str:
    """`3<hex>`."""
    return _name(text, serial_of).wwid


@_fails_as_filter
def serial(text: object, product: str | None = None) -> str:
    """The serial number that the array shows."""
    name = _name(text, None)
    number = ontap_serial(name, product) if name.ontap_serial else name.serial
    if number is None:
        raise InvalidInput(
            f"{name} holds no serial number: only NetApp ONTAP (product LUN C-Mode), 7-Mode and Pure make it part of the name."
        )
    return number


@_fails_as_filter
def scsi_name(text: object, serial_of: str | None = None) -> dict[str, str | None]:
    """Every spelling, and what the name tells about the array."""
    name = _name(text, serial_of)
    return {
        "naa": name.naa,
        "vmware": name.vmware,
        "wwid": name.wwid,
        "wwn": name.wwn,
        "windows": name.windows,
        "xapi": name.xapi,
        "vendor": name.vendor,
        "serial": name.serial,
    }


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"naa": naa, "serial": serial, "wwid": wwid, "scsi_name": scsi_name}
