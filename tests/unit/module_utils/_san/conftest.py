# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Endpoints that speak vSphere's SOAP and Windows' WS-Management, for tests that need one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab.certificates import Certificates, issue
from tests.lab.hyperv.negotiate import keep_account
from tests.unit import vsphere, wsman


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return issue(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def endpoint(certificates: Certificates) -> Iterator[vsphere.Endpoint]:
    with vsphere.endpoint(certificates) as there:
        yield there


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The only account that NTLM knows."""
    monkeypatch.setenv("NTLM_USER_FILE", "")
    accounts = keep_account(wsman.USERNAME, wsman.PASSWORD)
    yield
    accounts.unlink()


@pytest.fixture
def windows(certificates: Certificates, account: None) -> Iterator[wsman.Endpoint]:
    """A Windows host that listens over TLS."""
    with wsman.endpoint(certificates) as there:
        yield there


@pytest.fixture
def windows_http(account: None) -> Iterator[wsman.Endpoint]:
    """A Windows host that listens over HTTP and takes only encrypted messages."""
    with wsman.endpoint(None) as there:
        yield there
