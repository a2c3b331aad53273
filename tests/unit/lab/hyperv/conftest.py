# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The machines of one world, fresh for every test."""

from __future__ import annotations

import pytest

from tests.lab.hyperv.running import Lab
from tests.unit.lab.hyperv.desk import GUEST, HOST, NODE1, NODE2, Desk


@pytest.fixture
def lab() -> Lab:
    return Lab()


@pytest.fixture
def host(lab: Lab) -> Desk:
    return Desk(lab, HOST)


@pytest.fixture
def node(lab: Lab) -> Desk:
    return Desk(lab, NODE1)


@pytest.fixture
def other_node(lab: Lab) -> Desk:
    return Desk(lab, NODE2)


@pytest.fixture
def guest(lab: Lab) -> Desk:
    return Desk(lab, GUEST)
