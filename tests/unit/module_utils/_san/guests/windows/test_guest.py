# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A login at a Windows guest."""

from __future__ import annotations

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.connection import Connection
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import ConnectionFailed, InvalidInput
from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.windows.guest import open_guest
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from tests.unit.windows_guest import Bench

NAME = ScsiName("600a0980" + "1" * 24)


def test_it_shows_a_lun_and_tells_its_hypervisor() -> None:
    bench = Bench()
    assert bench.guest.session(bench.name, 1.0).found is None
    assert bench.guest.detect().type == "hyperv"


def test_nothing_is_sent_before_something_is_asked() -> None:
    guest = open_guest(Connection(role="guest", hostname="127.0.0.1", port=1, username="u", password="p", timeout=1))
    with pytest.raises(ConnectionFailed, match=r"guest 127\.0\.0\.1:1"):
        guest.session(NAME, 1.0)
    guest.close()
    guest.close()


def test_what_a_login_lacks_is_told() -> None:
    with pytest.raises(InvalidInput, match=r"guest\.username is not set"):
        open_guest(Connection(role="guest", hostname="127.0.0.1", port=1))
