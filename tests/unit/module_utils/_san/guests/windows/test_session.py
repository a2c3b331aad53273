# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Looking for a LUN in a guest, and looking again."""

from __future__ import annotations

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import NotFound
from tests.unit.lab.hyperv.desk import HOST, Desk
from tests.unit.windows_guest import Bench


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_a_lun_is_found_by_a_rescan_and_not_before(bench: Bench) -> None:
    session = bench.session()
    assert session.found is None
    assert session.disk_in_words() == f"LUN {bench.name} on win01.lab"
    with pytest.raises(NotFound, match="does not show LUN"):
        session.layout  # noqa: B018
    session.rescan()
    assert session.layout.disk.number == 1
    assert session.disk_in_words() == f"disk 1 ({bench.name}) of win01.lab"


def test_a_lun_that_comes_late_is_waited_for(bench: Bench) -> None:
    host = Desk(bench.lab, HOST)
    host.detach("win01", bench.name.naa)
    bench.lab.estate.timeline.settle(everything=True)
    session = bench.session()

    def come() -> None:
        host.attach("win01", host.drive_path(bench.name.naa))
        bench.lab.estate.timeline.settle(everything=True)

    bench.wire.after[len(bench.wire.asked) + 2] = come
    session.rescan()
    assert session.found is not None
    assert bench.wire.count("UpdateHostStorageCache") == 2


def test_one_that_does_not_come_is_told_with_what_is_there(bench: Bench) -> None:
    Desk(bench.lab, HOST).detach("win01", bench.name.naa)
    bench.lab.estate.timeline.settle(everything=True)
    session = bench.session()
    with pytest.raises(NotFound, match=r"1 s after it began to look; it shows: disk 0 is .*: check that the LUN is attached"):
        session.rescan()


def test_waiting_ends(bench: Bench) -> None:
    session = bench.session()
    assert session.wait_until(lambda: True)
    assert not session.wait_until(lambda: False)


def test_a_disk_is_found_again_under_another_number(bench: Bench) -> None:
    bench.see()
    session = bench.session()
    bench.disk.number = 7
    session.look()
    assert session.layout.disk.number == 7
    session.on_disk("Online")
    assert not bench.disk.offline
