# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a Windows machine is logged in to, from what the user said."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import InvalidInput
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.cim_login import open_client
from tests.unit import wsman

NOTHING = wsman.page("")


def test_ntlm_is_used_unless_the_user_chose(windows: wsman.Endpoint) -> None:
    windows.answers = deque([wsman.Answer(NOTHING)])
    client = open_client(windows.connection)
    list(client.session.query("root/cimv2", "SELECT * FROM Win32_OperatingSystem"))
    assert next(post["Authorization"].split()[0] for post in windows.posts if "Authorization" in post) == "Negotiate"


def test_basic_is_used_when_it_is_asked_for(windows: wsman.Endpoint) -> None:
    windows.answers = deque([wsman.Answer(NOTHING)])
    client = open_client(replace(windows.connection, transport="basic"))
    list(client.session.query("root/cimv2", "SELECT * FROM Win32_OperatingSystem"))
    assert windows.posts[-1]["Authorization"].startswith("Basic ")


@pytest.mark.parametrize("given", [{"client_cert": "/cert.pem"}, {"client_key": "/key.pem"}])
def test_a_certificate_needs_its_key(windows: wsman.Endpoint, given: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match=r"needs both hypervisor\.client_cert and hypervisor\.client_key"):
        open_client(replace(windows.connection, **given))


def test_basic_over_http_is_refused(windows: wsman.Endpoint) -> None:
    with pytest.raises(InvalidInput, match="in the clear over HTTP"):
        open_client(replace(windows.connection, transport="basic", scheme="http"))
