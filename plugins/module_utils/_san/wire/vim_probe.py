# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether an endpoint speaks the vSphere API, asked without credentials and without pyvmomi."""

from __future__ import annotations

import re

from ansible_collections.crossvisor.san.plugins.module_utils._san.connection import Connection
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.https import HttpsSession
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.limits import LARGEST_PROBE

_VERSIONS = "/sdk/vimServiceVersions.xml"
"""Served to anybody by every vCenter Server and ESXi host since 2.5; vSphere Web Services SDK Programming Guide, "API versions"."""
_VIM_NAMESPACE = re.compile(rb"<name>\s*urn:vim25\s*</name>")


def is_vsphere(connection: Connection) -> bool:
    """Tell whether a vCenter Server or ESXi host answers; False for any other web server. Raises `ConnectionFailed` or `MissingLibrary`."""
    https = HttpsSession(connection, largest=LARGEST_PROBE)
    try:
        response = https.request("GET", _VERSIONS)
        return response.status_code == 200 and _VIM_NAMESPACE.search(response.content) is not None
    finally:
        https.close()
