# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which hypervisor this is: by the word of its endpoint, or by what a machine sees of itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible_collections.crossvisor.san.plugins.module_utils._san.detection.detect import detect
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.base import Hypervisor
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.plain import plain

if TYPE_CHECKING:
    from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.windows.guest import WindowsGuest


def of_endpoint(hypervisor: Hypervisor) -> dict[str, Any]:
    """The facts that an endpoint tells. Raises a `CrossvisorError`."""
    return {"source": "endpoint", **plain(hypervisor.about())}


def of_guest(guest: WindowsGuest) -> dict[str, Any]:
    """The facts that a Windows machine tells of itself when it is asked from outside. Raises a `CrossvisorError`."""
    return {"source": "guest", **plain(guest.detect())}


def of_this_machine() -> dict[str, Any]:
    """The facts that the machine on which this runs tells of itself."""
    return {"source": "local", **plain(detect())}
