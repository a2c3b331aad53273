# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The Windows guest that a module was given, by its option or the environment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.crossvisor.san.plugins.module_utils._san.connection import GUEST, connection, connection_option
from ansible_collections.crossvisor.san.plugins.module_utils._san.runtime import kept_secret

if TYPE_CHECKING:
    from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.windows.guest import WindowsGuest


def guest_option(**settings: Any) -> dict[str, Any]:
    """The argument spec of `guest`."""
    return connection_option(GUEST, **settings)


def open_guest(module: AnsibleModule) -> WindowsGuest:
    """Prepare a login at the guest that the module was given. Raises `InvalidInput` or `MissingLibrary`."""
    # Not above: nobody shall pay for pywinrm who asks no guest.
    from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.windows import guest

    given = connection(GUEST, module.params["guest"])
    given.required("hostname")
    return guest.open_guest(kept_secret(module, given))
