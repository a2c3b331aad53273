# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An endpoint that speaks vSphere's SOAP, for tests that need one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab.certificates import Certificates, issue
from tests.unit import vsphere


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return issue(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def endpoint(certificates: Certificates) -> Iterator[vsphere.Endpoint]:
    with vsphere.endpoint(certificates) as there:
        yield there
