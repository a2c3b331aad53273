# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where the service listens."""

from __future__ import annotations

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.connection import Connection
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import InvalidInput
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.wsman_endpoint import endpoint_url


@pytest.mark.parametrize(
    ("hostname", "port", "scheme", "url"),
    [
        ("hv1", None, None, "https://hv1:5986/wsman"),
        ("hv1", 5986, None, "https://hv1:5986/wsman"),
        ("hv1", 5985, None, "http://hv1:5985/wsman"),
        ("hv1", 443, None, "https://hv1:443/wsman"),
        ("hv1", 5985, "https", "https://hv1:5985/wsman"),
        ("hv1", 8080, "http", "http://hv1:8080/wsman"),
        ("2001:db8::1", 5986, None, "https://[2001:db8::1]:5986/wsman"),
    ],
)
def test_the_port_tells_the_scheme_unless_it_is_said(hostname: str, port: int | None, scheme: str | None, url: str) -> None:
    assert endpoint_url(Connection("hypervisor", "hyperv", hostname, port), scheme) == url


def test_an_endpoint_without_a_name_is_none() -> None:
    with pytest.raises(InvalidInput, match=r"hypervisor\.hostname is not set"):
        endpoint_url(Connection("hypervisor", "hyperv"))
