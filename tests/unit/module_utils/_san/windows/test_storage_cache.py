# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A Windows machine that refuses to look for disks is asked again, and not for ever."""

from __future__ import annotations

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import OutcomeUnknown, RemoteError
from ansible_collections.crossvisor.san.plugins.module_utils._san.windows import storage_cache
from tests.lab.hyperv.running import Lab
from tests.unit.windows import Wire, client, lost, refusing

RESCAN = "UpdateHostStorageCache"


def refused(times: int) -> Wire:
    no = refusing(RemoteError("The lab says no.", "0x80041001"))
    return Wire(before=dict.fromkeys(range(times), no))


@pytest.mark.parametrize("times", [0, 1, 2])
def test_what_was_refused_is_asked_for_again(times: int) -> None:
    wire, pauses = refused(times), list[float]()
    storage_cache.refresh(client(Lab(), "hv01.lab", wire), sleep=pauses.append)
    assert (wire.count(RESCAN), pauses) == (times + 1, [0.5, 2.0][:times])


def test_the_third_refusal_is_the_machines_word() -> None:
    wire, pauses = refused(3), list[float]()
    with pytest.raises(RemoteError, match="The lab says no"):
        storage_cache.refresh(client(Lab(), "hv01.lab", wire), sleep=pauses.append)
    assert wire.count(RESCAN) == 3


def test_a_lost_answer_is_left_to_who_reads_what_is_there() -> None:
    wire = Wire(after_next={RESCAN: lost})
    with pytest.raises(OutcomeUnknown):
        storage_cache.refresh(client(Lab(), "hv01.lab", wire), sleep=lambda _seconds: None)
    assert wire.count(RESCAN) == 1
